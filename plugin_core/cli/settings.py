"""Settings of the command line."""

from __future__ import annotations

import msgspec


class SeparateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``stembridge separate`` does when no option says otherwise: section ``separate``."""

    provider: str = "local"
    model: str = ""
    """Model of that provider; empty means its own default."""
    format: str = ""
    """Format of the stems; empty means the provider's default for the source."""
    preset: str = ""
    """Preset to start from; empty means provider, model and format above."""
