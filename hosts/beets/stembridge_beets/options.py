"""What the commands are told."""

from __future__ import annotations

from typing import Protocol


class RunOptions(Protocol):
    """What both commands are told."""

    pretend: bool
    force: bool
    quiet: bool
    yes: bool
    album: bool
    threads: int | None


class StemsOptions(RunOptions, Protocol):
    """What ``beet stems`` is told."""

    preset: str | None
    provider: str | None
    model: str | None
    check: bool


class MoodsOptions(RunOptions, Protocol):
    """What ``beet moods`` is told."""

    write: bool | None
    dimensions: str | None
    undo: bool
