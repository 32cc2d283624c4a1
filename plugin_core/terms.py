"""What a provider says of its service beyond its methods; the core makes the rules about money of it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from plugin_core.errors import blame
from plugin_core.model import from_json, to_json
from plugin_core.protocols import Provider

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider may say in attributes of these names; each may be missing."""

    register_seconds: Seconds = 0.0
    """How long after a create the service's lists may miss the job: not listed is surely absent only then."""
    keeps_seconds: Seconds | None = None
    """How long the service keeps results; None for until they are released, or not known."""
    forgets: bool = True
    """Whether the results are gone from the service once it was told to release a job."""
    unclear_hours: Seconds = 24.0
    """How long answers that say nothing of a job are borne before it waits for its user's word."""


def terms_of(provider: Provider) -> Terms:
    """Return what a provider says of its service.

    Raises:
        PluginError: an attribute is no number of seconds or hours.
    """
    names = Terms.__struct_fields__
    with blame(provider.name):
        said = {name: getattr(provider, name) for name in names if hasattr(provider, name)}
        return from_json(to_json(said), Terms)
