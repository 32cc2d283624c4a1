"""Registers the tagger ``mediax`` and the separator ``mediax_stems``; imports nothing until one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from plugin_core.protocols import Separator, Tagger
    from plugin_core.settings import Settings


@hookimpl
def register_separators(register: Callable[[Separator], None], settings: Settings) -> None:
    """Register MediaX's stems.

    Raises:
        SettingsError: a value in section ``mediax`` is wrong.
    """
    from plugin_core.providers.mediax.client import MediaxSettings
    from plugin_core.providers.mediax.separator import MediaxSeparator

    register(MediaxSeparator(settings.section("mediax", MediaxSettings)))


@hookimpl
def register_taggers(register: Callable[[Tagger], None], settings: Settings) -> None:
    """Register MediaX's labels."""
    from plugin_core.providers.mediax.adapter import MediaxTagger
    from plugin_core.providers.mediax.client import MediaxSettings

    register(MediaxTagger(settings.section("mediax", MediaxSettings)))
