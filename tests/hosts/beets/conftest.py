"""Real ``beet`` processes over a library of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.audio_files import write_song
from tests.hosts.beets.library import Beets, is_installed


@pytest.fixture
def beets(tmp_path: Path) -> Beets:
    """Return a beets with an empty library."""
    if not is_installed():
        pytest.skip("beets is not installed")
    return Beets(tmp_path / "user")


@pytest.fixture
def three(beets: Beets) -> Beets:
    """Return a beets with three songs."""
    import_songs(beets, "One", "Two", "Three")
    return beets


def import_songs(beets: Beets, *titles: str) -> None:
    """Import songs, each of its own sound."""
    for number, title in enumerate(titles):
        path = write_song(beets.inbox / f"{title}.flac", 0.6, seed=number + 1)
        tag(path, title=title, artist="Artist", album="Album")
    beets.do("import", "-q", str(beets.inbox))


def tag(path: Path, **fields: str) -> None:
    """Give a FLAC its tags."""
    from mutagen.flac import FLAC

    audio = FLAC(path)
    for name, value in fields.items():
        audio[name] = value
    audio.save()


def make_later(path: Path) -> None:
    """Give a file a time at which beets sees that another program has written it: it tells whole seconds."""
    later = path.stat().st_mtime + 2
    os.utime(path, (later, later))
