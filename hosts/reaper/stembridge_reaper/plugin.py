"""The commands of the REAPER host, as a plugin of stembridge."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core import hookimpl

if TYPE_CHECKING:
    import click
    import msgspec


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add ``stembridge reaper`` and the worker that REAPER's actions start."""
    from stembridge_reaper.commands import reaper, worker

    group.add_command(reaper)
    group.add_command(worker)


@hookimpl
def register_sections(register: Callable[[str, type[msgspec.Struct]], None]) -> None:
    """Declare section ``reaper``."""
    from stembridge_reaper.runs import ReaperSettings

    register("reaper", ReaperSettings)
