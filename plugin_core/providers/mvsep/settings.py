"""Section ``[mvsep]`` of the settings."""

from __future__ import annotations

from typing import Annotated

import msgspec

from plugin_core.settings import Secret

NAME = "mvsep"

BASE_URL = "https://mvsep.com/api"


class MvsepSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose account at MVSEP is used, and how."""

    api_token: Secret = Secret("")
    """From https://mvsep.com/user-api, or kept in the keyring by ``stembridge login mvsep``."""
    base_url: str = BASE_URL
    """Where requests go; jobs made at a regional host stay there."""
    nodes: tuple[str, ...] = ()
    """Further APIs of the service, trusted with the token; empty means those known of mvsep.com."""
    model: str = "63"
    """Id or name of the model used when none is asked for."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    """Jobs alive at once with premium; without it the service takes one."""
    stager: str = ""
    """Name of the stager through which MVSEP fetches sources from a link; empty uploads them."""
    delete_after: bool = False
    """Whether the job and its files are removed from the service once the stems are placed."""
    poll_first: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 5.0
    """Seconds between two looks at a new job."""
    poll_longest: Annotated[float, msgspec.Meta(ge=0.01, le=600)] = 30.0
    """Seconds between two looks at an old job."""
    unknown_hours: Annotated[float, msgspec.Meta(gt=0, le=720)] = 24.0
    """Hours a job may stay in a state that is not documented."""
    register_seconds: Annotated[float, msgspec.Meta(ge=0, le=110)] = 30.0
    """Seconds the service may need to list a job whose answer was lost; only then it counts as absent."""
    catalogue_hours: Annotated[float, msgspec.Meta(ge=0, le=720)] = 24.0
    """Hours the list of models is kept."""
    max_file_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 8192
    """Largest file taken from the service, in MiB."""
