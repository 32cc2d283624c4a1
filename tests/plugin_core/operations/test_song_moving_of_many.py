"""``session.moved``: jobs follow what a host moved, and what was bought is found at its new place."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core import Job, JobState, Separation, Session, Settings
from plugin_core.plugins import Plugins
from plugin_core.session import STORE_NAME
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song

SONGS = 2000


@pytest.fixture
def fake() -> FakeSeparator:
    return FakeSeparator()


@pytest.fixture
def plugins(fake: FakeSeparator) -> Plugins:
    return load_fakes(FakePoint("fake", FakePlugin(fake)))


@pytest.fixture
def session(home: Path, plugins: Plugins) -> Iterator[Session]:
    with Session(Settings(home), plugins) as opened:
        yield opened


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "music" / "Song.flac")


def add(session: Session, song: Path) -> Job:
    async def work() -> Job:
        plan = await session.plan(session.inspect(song), Separation(provider="fake"))
        return (await session.add(session.inspect(song), plan))[0]

    return asyncio.run(work())


def finish(session: Session, song: Path) -> Job:
    job = add(session, song)
    asyncio.run(session.run([job.id]))
    return session.store.get(job.id)


def test_a_move_makes_no_job_store(session: Session, home: Path) -> None:
    assert session.moved(Path("/music/old.flac"), Path("/music/new.flac")) == 0
    assert not (home / STORE_NAME).exists()


def test_a_renamed_song_is_not_read_and_followed_twice(
    session: Session, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = add(session, song)
    monkeypatch.setattr("plugin_core.operations.song.inspect", None)
    there = song
    for name in ("Renamed.flac", "Again.flac"):
        before, there = there, there.rename(there.with_name(name))
        assert session.moved(before, there) == 1
    assert session.store.get(job.id).source.path == there
    asyncio.run(session.run([job.id]))
    assert there.with_name("Again.stems").is_dir() and not song.with_name("Song.stems").exists()


def test_a_song_from_another_disk_is_told_by_its_sound(session: Session, song: Path, tmp_path: Path) -> None:
    """Copied and deleted: another inode; another recording that took its place is not followed."""
    job = add(session, song)
    there = Path(shutil.copy(song, tmp_path / "There.flac"))
    assert session.moved(song, there) == 1
    assert session.store.get(job.id).source.path == there
    other = write_song(tmp_path / "Other.flac", seed=1)
    assert session.moved(there, other) == 0
    assert session.store.get(job.id).source.path == there


def test_stems_that_a_host_moved_and_renamed_serve_others(
    session: Session, song: Path, fake: FakeSeparator, home: Path
) -> None:
    """Found through the purchase, though nothing of it is kept."""
    job = finish(session, song)
    renamed = song.rename(song.with_name("Eins.flac"))
    folder = song.with_suffix(".stems").rename(song.with_name("Eins.stems"))
    session.moved(song, renamed)
    session.moved(song.with_suffix(".stems"), folder)
    for stem in job.stems:
        before = folder / stem.path.name
        session.moved(before, before.rename(folder / stem.path.name.replace("Song", "Eins")))
    assert [stem.path.name for stem in session.store.get(job.id).stems] == [
        "Eins - Vocals.flac",
        "Eins - Instrumental.flac",
    ]
    assert finish(session, renamed).id == job.id
    shutil.rmtree(home / "purchases")
    copy = Path(shutil.copy(renamed, song.parent / "Copy.flac"))
    copied = finish(session, copy)
    assert (copied.state, copied.purchase) == (JobState.DONE, "")
    assert len(fake.submitted) == 1


def test_one_of_thousands_of_songs_is_looked_up_by_an_index(
    session: Session, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move of a song that no job knows reads no job; of one that is known, that one."""
    job = finish(session, song)
    read: list[str] = []
    fetch = type(session.store).placed_at

    def count(self: object, path: Path) -> list[Job]:
        found = fetch(session.store, path)
        read.extend(one.id for one in found)
        return found

    monkeypatch.setattr(type(session.store), "placed_at", count)
    for number in range(SONGS):
        session.moved(song.with_name(f"{number}.flac"), song.with_name(f"{number} moved.flac"))
    assert read == []
    session.moved(song, song.with_name("Moved.flac"))
    assert read == [job.id]
