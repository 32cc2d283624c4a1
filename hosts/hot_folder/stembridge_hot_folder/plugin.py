"""Adds ``stembridge watch``; imports nothing heavy, since every command loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_core import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add the command."""
    from stembridge_hot_folder.commands import watch

    group.add_command(watch)
