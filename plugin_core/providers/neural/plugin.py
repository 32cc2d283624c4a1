"""Registers the networks of others; imports nothing until a separator is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from plugin_core.protocols import Separator
    from plugin_core.settings import Settings


@hookimpl
def register_separators(register: Callable[[Separator], None], settings: Settings) -> None:
    """Offer the separator named ``neural``.

    Raises:
        SettingsError: a value in section ``neural`` is wrong.
    """
    from plugin_core.providers.engine import SpeedBook
    from plugin_core.providers.neural.adapter import NeuralSeparator, NeuralSettings
    from plugin_core.providers.neural.library import Library

    library = Library(settings.home / "models")
    register(NeuralSeparator(settings.section("neural", NeuralSettings), library, SpeedBook(settings.home)))
