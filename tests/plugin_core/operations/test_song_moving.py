"""``session.moved``: jobs follow songs, folders of songs and stems that a host has moved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core import Job, JobState, Separation, Session, Settings
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song


@pytest.fixture
def fake() -> FakeSeparator:
    return FakeSeparator()


@pytest.fixture
def shop(home: Path, fake: FakeSeparator) -> Iterator[Session]:
    with Session(Settings(home), load_fakes(FakePoint("fake", FakePlugin(fake)))) as session:
        yield session


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for number in range(3):
        write_song(tmp_path / "Album" / f"Song {number}.flac", 0.2, seed=number)
    write_song(tmp_path / "Album 2" / "Song 0.flac", 0.2, seed=9)
    return tmp_path / "Album"


def ask(session: Session, song: Path) -> Job:
    """Ask for the stems of a song."""

    async def work() -> Job:
        source = await session.look(song)
        plan = await session.plan(source, Separation(provider="fake"))
        return (await session.add(source, plan))[0]

    return asyncio.run(work())


def run(session: Session) -> None:
    asyncio.run(session.run())


def test_a_job_that_waits_follows_its_song(shop: Session, fake: FakeSeparator, album: Path) -> None:
    job = ask(shop, album / "Song 0.flac")
    there = (album / "Song 0.flac").rename(album / "Renamed.flac")
    assert shop.moved(album / "Song 0.flac", there) == 1
    run(shop)
    done = shop.store.get(job.id)
    assert (done.state, done.source.path) == (JobState.DONE, there)
    assert {stem.path.parent for stem in done.stems} == {album / "Renamed.stems"}
    assert len(fake.submitted) == 1


def test_an_album_that_moved_takes_its_jobs_and_stems_along_and_no_other_ones(
    shop: Session, fake: FakeSeparator, album: Path
) -> None:
    """``Album 2`` begins with the name of ``Album`` and lies beside it."""
    done = ask(shop, album / "Song 0.flac")
    run(shop)
    waiting = ask(shop, album / "Song 1.flac")
    other = ask(shop, album.with_name("Album 2") / "Song 0.flac")
    there = album.rename(album.with_name("Moved"))
    assert shop.moved(album, there) == 2
    assert [stem.path.parent for stem in shop.store.get(done.id).stems] == [there / "Song 0.stems"] * 2
    # What stands is recognised where it is now: nothing is made.
    assert ask(shop, there / "Song 0.flac").id == done.id
    run(shop)
    assert shop.store.get(waiting.id).source.path == there / "Song 1.flac"
    assert shop.store.get(other.id).source.path == album.with_name("Album 2") / "Song 0.flac"
    assert len(fake.submitted) == 3
    assert shop.moved(album, there) == 0


def test_stems_that_moved_alone_are_found_where_they_are(shop: Session, fake: FakeSeparator, album: Path) -> None:
    job = ask(shop, album / "Song 0.flac")
    run(shop)
    (album / "Song 0.stems").rename(album / "Practice")
    assert shop.moved(album / "Song 0.stems", album / "Practice") == 1
    assert {stem.path.parent for stem in shop.store.get(job.id).stems} == {album / "Practice"}
    assert ask(shop, album / "Song 0.flac").id == job.id
    assert len(fake.submitted) == 1


def test_a_song_that_moved_on_meanwhile_is_followed_by_the_second_word(shop: Session, album: Path) -> None:
    job = ask(shop, album / "Song 0.flac")
    first, second = album / "First.flac", album / "Second.flac"
    (album / "Song 0.flac").rename(second)
    assert shop.moved(album / "Song 0.flac", first) == 0
    assert shop.moved(album / "Song 0.flac", second) == 1
    run(shop)
    assert shop.store.get(job.id).source.path == second
