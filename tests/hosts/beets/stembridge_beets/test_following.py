"""Stems beside songs that an import brings into a library of thousands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("beets")

from beets import logging
from beets.library import Item, Library
from stembridge_beets.following import Follower

from plugin_core.files.hidden import HiddenNotes
from tests.hosts.beets.rows import add_rows, make_library, visits

SONGS = 5000
BROUGHT = 30


@pytest.fixture
def lib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    lib = make_library(tmp_path, monkeypatch)
    songs = [tmp_path / "music" / f"{number}.flac" for number in range(SONGS)]
    add_rows(lib, {song: {"stems_path": str(song.with_suffix(".stems")), "stems_files": "a.flac"} for song in songs})
    return lib


def bring(lib: Library, follower: Follower, song: Path, target: Path) -> Item:
    """Let a song with stems beside it come into the library, as an import does."""
    stems = song.with_suffix(".stems")
    stems.mkdir(parents=True, exist_ok=True)
    (stems / f"{song.stem} - Vocals.flac").touch()
    target.parent.mkdir(parents=True, exist_ok=True)
    item = Item(path=os.fsencode(song))
    lib.add(item)
    follower.follow(item, os.fsencode(song), os.fsencode(target), "copy")
    item.path = os.fsencode(target)
    item.store()
    return item


def test_an_import_beside_stems_looks_at_no_other_song(
    lib: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(logging.getLogger("beets"), lambda: HiddenNotes(tmp_path / "home"))
    with visits(monkeypatch) as seen:
        brought = [
            bring(lib, follower, tmp_path / "inbox" / f"{number}.flac", tmp_path / "music" / f"new {number}.flac")
            for number in range(BROUGHT)
        ]
    assert [item["stems_path"] for item in brought] == [
        str(tmp_path / "music" / f"new {number}.stems") for number in range(BROUGHT)
    ]
    assert seen == []


def test_stems_of_a_namesake_in_a_large_library_stay_with_it(
    lib: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(logging.getLogger("beets"), lambda: HiddenNotes(tmp_path / "home"))
    with visits(monkeypatch) as seen:
        item = bring(lib, follower, tmp_path / "music" / "7.mp3", tmp_path / "else" / "7.mp3")
    assert "stems_path" not in item
    assert [path.name for path in (tmp_path / "music").iterdir()] == ["7.stems"]
    assert len(seen) == 1
