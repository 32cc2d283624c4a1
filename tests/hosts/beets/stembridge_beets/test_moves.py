"""Moving songs: the stems follow, and the core hears of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from beets import logging
from beets.library import Item, Library
from stembridge_beets.moves import Follower, Teller

from plugin_core import plugins
from plugin_core.files.hidden import HiddenNotes
from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState
from plugin_core.session import STORE_NAME
from plugin_core.settings import Settings
from tests.hosts.beets.rows import add_rows, make_library, visits
from tests.plugin_core.jobs.fakes import make_job

pytest.importorskip("beets")

SONGS = 5000


class Log:
    """Keeps warnings."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def warning(self, text: str, *values: object) -> None:
        self.told.append(text.format(*values))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def teller(home: Path, log: Log) -> Iterator[Teller]:
    teller = Teller(log, lambda: Settings(home))
    yield teller
    if teller._session is not None:
        teller._session.close()


@pytest.fixture(autouse=True)
def _no_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a move that loads a plugin fail."""
    monkeypatch.setattr(plugins, "_load", None)


def move_all(teller: Teller) -> None:
    for number in range(SONGS):
        teller.tell(Path(f"/music/{number}.flac"), Path(f"/music/{number} moved.flac"))


def test_a_move_with_no_job_store_makes_none(teller: Teller, home: Path, log: Log) -> None:
    move_all(teller)
    assert list(home.iterdir()) == [] and log.told == []


def test_a_library_that_moves_opens_the_job_store_once_and_writes_only_of_its_jobs(
    teller: Teller, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = msgspec.structs.replace(make_job(path=Path("/music/7.flac")), state=JobState.DONE)
    with JobStore(home / STORE_NAME) as store:
        store.add(job)
    opened, asked, written = (count(monkeypatch, name) for name in ("__init__", "placed_at", "relocate"))
    move_all(teller)
    assert (len(opened), len(asked), written) == (1, SONGS, [job.id])
    with JobStore(home / STORE_NAME) as store:
        assert store.get(job.id).source.path == Path("/music/7 moved.flac")


def count(monkeypatch: pytest.MonkeyPatch, method: str) -> list[object]:
    """Collect the first argument of each call of a method of job stores."""
    called: list[object] = []
    plain = getattr(JobStore, method)

    def call(store: JobStore, first: object, *rest: object, **options: object) -> object:
        called.append(first)
        return plain(store, first, *rest, **options)

    monkeypatch.setattr(JobStore, method, call)
    return called


def test_what_hinders_is_said_once(teller: Teller, home: Path, log: Log) -> None:
    (home / STORE_NAME).write_text("no database")
    move_all(teller)
    assert len(log.told) == 1
    assert "beet stembridge resume" in log.told[0]


pytest.importorskip("beets")
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
        os.fsencode(tmp_path / "music" / f"new {number}.stems") for number in range(BROUGHT)
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
