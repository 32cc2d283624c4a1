"""The ``jobs`` section of the settings."""

from __future__ import annotations

from typing import Annotated

import msgspec


class JobsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the job store is shared by several processes."""

    lease_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 20.0
    """A process that gave no sign of life for so long loses the step it was working on; it says one every quarter."""
