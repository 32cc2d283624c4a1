"""Adds ``stembridge watch``; imports nothing heavy, since every command loads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core import hookimpl

if TYPE_CHECKING:
    import click
    import msgspec


@hookimpl
def register_commands(group: click.Group) -> None:
    from stembridge_hot_folder.commands import watch

    group.add_command(watch)


@hookimpl
def register_sections(register: Callable[[str, type[msgspec.Struct]], None]) -> None:
    """Declare section ``watch``."""
    from stembridge_hot_folder.folders import WatchSettings

    register("watch", WatchSettings)
