"""The demo's files: the song, and its true parts in a folder beside it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple

from plugin_core.demo import song
from plugin_core.demo.synth import RATE
from plugin_core.errors import PlacementError


class Demo(NamedTuple):
    """Where a demo song lies."""

    song: Path
    truth: Mapping[str, Path]
    """The true parts by canonical name."""
    seconds: float


def make_demo(folder: Path) -> Demo:
    """Write the song and its parts into a folder that is new; where the name is taken it is numbered.

    Raises:
        PlacementError: the folder cannot be made or written.
    """
    parts = song.compose()
    try:
        folder = _make_new(folder)
        (folder / "truth").mkdir()
        truth = {name: folder / "truth" / f"{song.TITLE} - {name.title()}.flac" for name in parts}
        for name, path in truth.items():
            song.write_song(path, parts[name], f"{song.TITLE} - {name.title()}")
        song.write_song(folder / f"{song.TITLE}.flac", song.mix(parts))
    except OSError as error:
        raise PlacementError(f"{folder}: {error.strerror or error}", remedy="choose another with --to") from error
    return Demo(folder / f"{song.TITLE}.flac", truth, song.LENGTH / RATE)


def _make_new(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in count(2):
        try:
            folder.mkdir()
        except FileExistsError:
            folder = folder.with_name(f"{folder.name.removesuffix(f' ({number - 1})')} ({number})")
        else:
            return folder
    raise AssertionError("count() ends never")
