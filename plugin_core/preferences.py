"""What the user usually wants: section ``separate`` of the settings, for the command line, presets and hosts."""

from __future__ import annotations

import msgspec


class SeparateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``stembridge separate`` does when no option says otherwise: section ``separate``."""

    provider: str = "local"
    """Who separates; also for presets that leave it open."""
    model: str = ""
    """Model of that provider; empty means its own default."""
    format: str = ""
    """Format of the stems; empty means the provider's default for the source."""
    preset: str = ""
    """Preset to start from; empty means provider, model and format above."""
