"""Folders around and below a hot folder: none of them may be watched by another process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from plugin_core.errors import UsageError
from plugin_core.model import show_path
from stembridge_hot_folder.folder.locking import LOCK_NAME, is_watched


def refuse_neighbours(folder: bytes) -> None:
    """Refuse a folder that lies in another watched one, or in which one lies; our own lock must be taken before.

    Of two that start together at least one sees the other.

    Raises:
        UsageError: another process watches such a folder.
    """
    for other in _parents(folder):
        if is_watched(other):
            _refuse(other, f"{_show(folder)} lies in {_show(other)}")
    for other in _locked_below(folder):
        if is_watched(other):
            _refuse(other, f"{_show(other)} lies in {_show(folder)}")


def _refuse(other: bytes, what: str) -> None:
    raise UsageError(f"{what}, and another stembridge watches {_show(other)}", remedy="watch only one of the two")


def _parents(folder: bytes) -> Iterator[bytes]:
    while (parent := os.path.dirname(folder)) != folder:  # noqa: PTH120 - bytes
        yield parent
        folder = parent


def _locked_below(folder: bytes) -> Iterator[bytes]:
    """Yield the folders below that were ever watched; only folders are looked into, which is quick."""
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.name == LOCK_NAME and parent != folder:
                        yield parent
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            # What we cannot look into we cannot take songs from.
            continue


def _show(path: bytes) -> str:
    return show_path(Path(os.fsdecode(path)))
