"""Registers the separator ``mvsep`` and its commands; imports nothing until one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

    from plugin_core.protocols import Separator
    from plugin_core.settings import Settings


@hookimpl
def register_separators(register: Callable[[Separator], None], settings: Settings) -> None:
    """Offer the separator named ``mvsep``, with or without an account.

    Raises:
        SettingsError: a value in section ``mvsep`` is wrong.
    """
    from plugin_core.providers.mvsep.adapter import MvsepSeparator
    from plugin_core.providers.mvsep.caller import MvsepSettings

    register(MvsepSeparator(settings.section("mvsep", MvsepSettings), settings.home))


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add ``stembridge mvsep``."""
    from plugin_core.console.groups import Deferred

    group.add_command(Deferred("mvsep", "plugin_core.providers.mvsep.commands", "Use the rest of the MVSEP API."))
