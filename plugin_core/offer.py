"""What a run would do, said before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from plugin_core.model import Job, Plan, Source


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one source, planned and not yet begun."""

    source: Source
    plan: Plan
    """With the price of what is still to be bought, unless its results stand."""
    files: Mapping[str, Path] = {}
    """What would be made, by stem; known in a dry run."""
    standing: Job | None = None
    """The job whose results stand already, so that nothing is to be made."""
