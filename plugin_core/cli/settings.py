"""Settings of the command line."""

from __future__ import annotations

from plugin_core.preferences import SeparateSettings

__all__ = ["SeparateSettings"]
