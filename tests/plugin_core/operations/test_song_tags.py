"""Taggings through a whole session: bought once, written once, re-entrant at any instruction."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_core import Job, JobState, Separation, Session, Settings, Tagging, hookimpl
from plugin_core.errors import PlacementError, UsageError
from plugin_core.operations import song_tags
from plugin_core.plugins import Plugins
from plugin_core.tags import tagger as tagger_module
from plugin_core.tags.fields import TagSet
from plugin_core.tags.reader import read_fields
from plugin_core.tags.writer import write_tags
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, write_song
from tests.plugin_core.operations.running import tag
from tests.plugin_core.tagger_fakes import FakeTagger, load_taggers
from tests.plugin_core.tags.tagged_files import names
from tests.simulators.s3 import BUCKET, S3Simulator


def test_labels_stand_in_the_song_and_nothing_is_left_behind(session: Session, song: Path, home: Path) -> None:
    job, made = tag(session, song)
    assert (job.state, made) == (JobState.DONE, True)
    assert job.written is not None
    assert job.written.fields == {"mood": ("Calm",), "genre": ("Rock",)}
    assert read_fields(song) == job.written.fields
    assert names(song.parent) == ["Song.flac"]
    assert names(home / "staging") == []


def test_listeners_hear_once_that_tags_are_written(session: Session, song: Path) -> None:
    heard: list[Job] = []

    class Listener:
        @hookimpl
        def tags_written(self, job: Job) -> None:
            heard.append(job)

        @hookimpl
        def stems_placed(self, job: Job) -> None:
            raise AssertionError

    session.plugins.manager.register(Listener())
    job, _ = tag(session, song)
    assert heard == [job]


def test_tagged_song_is_recognised_by_what_became_of_it(session: Session, song: Path, tagger: FakeTagger) -> None:
    first, _ = tag(session, song)
    again, made = tag(session, song)
    assert (again.id, made) == (first.id, False)
    moved = song.rename(song.with_name("Moved.flac"))
    assert tag(session, moved)[1] is False
    assert len(tagger.submitted) == 1


FILLED: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "filled": ("Jazz", ("genre",), True),
    "in-part": ("Jazz", ("genre", "mood"), False),
    "unknown": ("Unknown", ("genre",), False),
    "number": ("(255)", ("genre",), False),
}


@pytest.mark.parametrize("case", FILLED)
def test_what_is_filled_is_not_bought(session: Session, song: Path, tagger: FakeTagger, case: str) -> None:
    genre, dimensions, is_filled = FILLED[case]
    write_tags(song, TagSet({"genre": (genre,)}))
    before = song.read_bytes()
    wish = Tagging(provider="ears", dimensions=dimensions)
    offer = asyncio.run(session.offer(session.inspect(song), wish))
    assert offer.is_paid is not is_filled
    job, made = tag(session, song, dimensions=dimensions)
    assert (job.state, made, len(tagger.submitted)) == (JobState.DONE, not is_filled, 0 if is_filled else 1)
    assert (song.read_bytes() == before) is is_filled
    if is_filled:
        assert job.written is not None and job.written.left == {"genre": "has Jazz"} and "--force" in job.notes[-1]
        # Nobody takes it for a song whose labels are known.
        write_tags(song, TagSet({"genre": ()}))
        assert tag(session, song, dimensions=dimensions)[0].labels
        assert (len(tagger.submitted), read_fields(song)["genre"]) == (1, ("Rock",))
    else:
        assert read_fields(song)["genre"] == (("Jazz",) if case == "in-part" else ("Rock",))


def test_who_is_about_to_be_told_that_all_is_filled_joins_the_job_that_filled_it(session: Session, song: Path) -> None:
    wish = Tagging(provider="ears", dimensions=("genre",))

    async def work() -> tuple[Job, bool, Job, bool]:
        first, made = await session.add(session.inspect(song), await session.plan(session.inspect(song), wish))
        # Its song is written, and it is not yet known to be done.
        write_tags(song, TagSet({"genre": ("Rock",)}))
        source = session.inspect(song)
        second, again = await session.add(source, await session.plan(source, wish))
        return first, made, second, again

    first, made, second, again = asyncio.run(work())
    assert (made, again, second.id) == (True, False, first.id)


def test_force_asks_where_all_is_filled(session: Session, song: Path, tagger: FakeTagger) -> None:
    write_tags(song, TagSet({"genre": ("Jazz",)}))
    job, made = tag(session, song, dimensions=("genre",), force=True)
    assert (job.state, made, len(tagger.submitted)) == (JobState.DONE, True, 1)
    assert read_fields(song)["genre"] == ("Jazz",)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"policy": "replace", "labels": "zh"}, {"mood": ("安静",), "genre": ("摇滚",)}),
        ({"policy": "append", "labels": "zh"}, {"mood": ("Calm", "安静"), "genre": ("Rock", "摇滚")}),
        ({"min_probability": 0.1}, {"mood": ("Calm",), "genre": ("Rock",), "scene": ("Aerial Footage",)}),
        ({"dimensions": ("mood",)}, {"mood": ("Calm",), "genre": ("Rock",)}),
    ],
    ids=["replace", "append", "threshold", "part"],
)
def test_other_rules_use_the_labels_that_are_bought(
    session: Session, song: Path, tagger: FakeTagger, words: dict[str, Any], expected: dict[str, tuple[str, ...]]
) -> None:
    tag(session, song)
    job, made = tag(session, song, **words)
    # What is filled already makes no job.
    assert (job.state, made) == (JobState.DONE, "dimensions" not in words)
    assert read_fields(song) == expected
    assert len(tagger.submitted) == 1


def test_a_part_does_not_pass_for_the_whole(session: Session, song: Path, tagger: FakeTagger) -> None:
    tag(session, song, dimensions=("mood",))
    tag(session, song)
    assert len(tagger.submitted) == 2


def test_force_buys_again(session: Session, song: Path, tagger: FakeTagger) -> None:
    tag(session, song)
    tag(session, song, force=True)
    assert len(tagger.submitted) == 2


def test_price_is_not_told_for_what_is_bought(session: Session, song: Path) -> None:
    tag(session, song)

    async def plan() -> float | None:
        offer = await session.offer(session.inspect(song), Tagging(provider="ears", policy="replace"))
        assert offer.standing is None
        return offer.credits

    assert asyncio.run(plan()) == 0.0


@pytest.fixture(params=[False, True], ids=["here", "elsewhere"])
def is_elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Tell whether a machine with another home goes on, which shares a bucket with the first."""
    if request.param:
        pytest.importorskip("obstore")
        with S3Simulator() as bucket:
            for name, value in {**bucket.environment(), "STEMBRIDGE_JOBS_STAGING": f"s3://{BUCKET}/x"}.items():
                monkeypatch.setenv(name, value)
            yield True
        assert bucket.store.objects == {}
    else:
        yield False


@pytest.mark.parametrize("moment", ["record", "rename", "after"])
def test_writing_is_taken_up_wherever_a_process_died(
    home: Path,
    plugins: Plugins,
    song: Path,
    tagger: FakeTagger,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    is_elsewhere: bool,
) -> None:
    class Died(BaseException):
        pass

    def die(*_args: object, **_words: object) -> None:
        raise Died

    before = song.read_bytes()
    original = song_tags.TaggingWork._publish
    with monkeypatch.context() as patch, pytest.raises(Died), Session(Settings(home), plugins) as session:
        if moment == "after":

            def publish_and_die(self: Any, job: Job, attempt: str) -> None:
                original(self, job, attempt)
                raise Died

            patch.setattr(song_tags.TaggingWork, "_publish", publish_and_die)
        elif moment == "record":
            patch.setattr(song_tags.TaggingWork, "_keep", die)
        else:
            patch.setattr(tagger_module, "replace_with", die)
        tag(session, song)
    assert (song.read_bytes() == before) is (moment != "after")
    if is_elsewhere:
        shutil.rmtree(home / "staging")
    with Session(Settings(home), plugins) as session:
        (job,) = asyncio.run(session.run())
        assert job.state is JobState.DONE
        assert job.written is not None and job.written.previous == {"mood": (), "genre": ()}
        assert read_fields(song)["mood"] == ("Calm",)
        assert session.undo(song).exact
    assert song.read_bytes() == before
    assert len(tagger.submitted) == 1
    assert names(song.parent) == ["Song.flac"]


def test_tags_changed_while_the_service_listened_stay(session: Session, song: Path) -> None:
    async def work() -> Job:
        source = session.inspect(song)
        job, _ = await session.add(source, await session.plan(source, Tagging(provider="ears")))
        write_tags(song, TagSet({"title": ("Mine",), "genre": ("Jazz",)}))
        return (await session.run([job.id]))[0]

    assert asyncio.run(work()).state is JobState.DONE
    assert read_fields(song) == {"title": ("Mine",), "genre": ("Jazz",), "mood": ("Calm",)}


def test_another_song_at_the_place_is_left_alone_and_costs_nothing(
    session: Session, song: Path, tagger: FakeTagger
) -> None:
    async def work() -> Job:
        source = session.inspect(song)
        job, _ = await session.add(source, await session.plan(source, Tagging(provider="ears")))
        write_song(song, seconds=2.0)
        return (await session.run([job.id]))[0]

    job = asyncio.run(work())
    assert job.state is JobState.FAILED and job.problem is not None
    assert "changed since it was queued" in job.problem.message
    assert tagger.submitted == []


def test_song_that_became_read_only_keeps_its_labels_for_a_retry(
    session: Session, song: Path, tagger: FakeTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = tagger.submit

    async def submit_and_lock(order: Any, report: Any) -> Any:
        await asyncio.to_thread(song.chmod, 0o444)
        return await submit(order, report)

    monkeypatch.setattr(tagger, "submit", submit_and_lock)
    job, _ = tag(session, song)
    assert job.state is JobState.FAILED and job.problem is not None and "read-only" in job.problem.message
    song.chmod(0o644)
    session.retry(job.id)
    asyncio.run(session.run([job.id]))
    assert read_fields(song)["mood"] == ("Calm",)
    assert len(tagger.submitted) == 1


@pytest.mark.parametrize("slow", ["tagging", "separation"])
def test_stems_and_labels_of_one_song_do_not_hinder_each_other(home: Path, song: Path, slow: str) -> None:
    separator, tagger = FakeSeparator(), FakeTagger()
    plugins = load_taggers(tagger, more=(FakePoint("fake", FakePlugin(separator)),))

    async def work(session: Session) -> list[Job]:
        source = session.inspect(song)
        ids = []
        for operation in (Separation(provider="fake"), Tagging(provider="ears")):
            job, _ = await session.add(source, await session.plan(source, operation))
            ids.append(job.id)
        # What the first one does to the song must be nothing to the other.
        for job_id in ids if slow == "tagging" else reversed(ids):
            await session.run([job_id])
        return [session.store.get(job_id) for job_id in ids]

    with Session(Settings(home), plugins) as session:
        jobs = asyncio.run(work(session))
    assert [job.state for job in jobs] == [JobState.DONE, JobState.DONE], [job.problem for job in jobs]


@pytest.mark.parametrize("words", [{"labels": "fr"}, {"dimensions": ("mod",)}], ids=["labels", "dimension"])
def test_wrong_rule_is_refused_by_the_plan(session: Session, song: Path, words: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        tag(session, song, **words)


def test_read_only_song_is_refused_by_the_plan(session: Session, song: Path, tagger: FakeTagger) -> None:
    song.chmod(0o444)
    with pytest.raises(PlacementError, match="read-only"):
        tag(session, song)


@pytest.mark.parametrize(
    ("taggers", "expected"), [((), "no tagger is installed"), (("a", "b"), "several taggers")], ids=["none", "several"]
)
def test_provider_left_out_must_be_clear(home: Path, song: Path, taggers: tuple[str, ...], expected: str) -> None:
    fakes = []
    for name in taggers:
        fakes.append(FakeTagger())
        fakes[-1].name = name
    with Session(Settings(home), load_taggers(*fakes)) as session, pytest.raises(UsageError, match=expected):
        tag(session, song, provider="")


def test_a_song_that_is_replaced_in_the_moment_of_writing_gets_no_labels_of_the_one_before(
    session: Session, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_song(tmp_path / "other" / "Song.flac", 0.5, seed=7)
    new, read = other.read_bytes(), tagger_module.write_labels

    def replace_first(*arguments: Any) -> Any:
        other.replace(song)
        return read(*arguments)

    monkeypatch.setattr(tagger_module, "write_labels", replace_first)
    job, _ = tag(session, song)
    assert job.state is JobState.FAILED
    assert job.problem is not None and "changed since it was queued" in job.problem.message
    assert song.read_bytes() == new
    assert names(song.parent) == ["Song.flac"]
    monkeypatch.undo()
    again, made = tag(session, song)
    assert (again.state, made) == (JobState.DONE, True)
