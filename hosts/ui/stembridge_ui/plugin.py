"""Adds ``stembridge ui``; imports nothing heavy, since every command loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_core import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_commands(group: click.Group) -> None:
    from plugin_core.console.groups import Deferred

    group.add_command(Deferred("ui", "stembridge_ui.commands", "Hear stems, see jobs and start new ones in a browser."))
