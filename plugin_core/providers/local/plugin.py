"""Registers the embedded separator; imports nothing until a separator is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from plugin_core.protocols import Separator
    from plugin_core.settings import Settings


@hookimpl
def register_separators(register: Callable[[Separator], None], settings: Settings) -> None:
    """Offer the separator named ``local``.

    Raises:
        SettingsError: a value in section ``local`` is wrong.
    """
    from plugin_core.providers.engine import SpeedBook
    from plugin_core.providers.local.adapter import LocalSeparator, LocalSettings

    register(LocalSeparator(settings.section("local", LocalSettings), SpeedBook(settings.home)))
