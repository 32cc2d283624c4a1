"""The commands of the REAPER host, as a plugin of stembridge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_core import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add ``stembridge reaper`` and the worker that REAPER's actions start."""
    from stembridge_reaper.commands import reaper, worker

    group.add_command(reaper)
    group.add_command(worker)
