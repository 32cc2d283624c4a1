"""The front door: plans are checked, jobs reused, listeners told, and no provider is missing in silence."""

from __future__ import annotations

import asyncio
import errno
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_core import Job, JobState, Separation, Session, Settings, hookimpl
from plugin_core.errors import PluginError, SourceError, UsageError
from plugin_core.jobs.engine import JobSet
from plugin_core.model import Plan
from plugin_core.operations.history import History
from plugin_core.plugins import Plugins
from plugin_core.recordings import digest
from plugin_core.stems import publication, staging_folder
from plugin_core.workshop import OnChange
from tests.audio_files import write_song
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes
from tests.plugin_core.tags.tagged_files import make_audio, need


class Listener:
    """A plugin that writes down what it hears."""

    def __init__(self) -> None:
        self.states: list[JobState] = []
        self.placed: list[Job] = []

    @hookimpl
    def job_changed(self, job: Job) -> None:
        if self.states[-1:] != [job.state]:
            self.states.append(job.state)

    @hookimpl
    def stems_placed(self, job: Job) -> None:
        self.placed.append(job)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "Song.flac"
    write_song(path, 0.5)
    return path


@pytest.fixture
def plugins(fake: FakeSeparator) -> Plugins:
    return load_fakes(FakePoint("fake", FakePlugin(fake)))


@pytest.fixture
def fake() -> FakeSeparator:
    return FakeSeparator()


def separate(session: Session, song: Path, *, force: bool = False, **wish: Any) -> tuple[Job, bool]:
    """Plan, add and run one job."""

    async def work() -> tuple[Job, bool]:
        source = session.inspect(song)
        plan = await session.plan(source, Separation(provider="fake", **wish))
        job, made = await session.add(source, plan, force=force)
        await session.run([job.id])
        return session.store.get(job.id), made

    return asyncio.run(work())


def test_listeners_hear_every_state_and_the_placing_once(home: Path, plugins: Plugins, song: Path) -> None:
    listener = Listener()
    plugins.manager.register(listener)
    with Session(Settings(home), plugins) as session:
        job, _ = separate(session, song)
    whole_life = ["submitting", "running", "fetching", "publishing", "done"]
    assert [state.value for state in listener.states if state is not JobState.QUEUED] == whole_life
    assert [(one.id, one.stems) for one in listener.placed] == [(job.id, job.stems)]


def test_standing_stems_are_reused_until_one_is_changed(home: Path, plugins: Plugins, song: Path) -> None:
    with Session(Settings(home), plugins) as session:
        first, made = separate(session, song)
        assert made
        again, made = separate(session, song)
        assert (again.id, made) == (first.id, False)
        first.stems[0].path.write_bytes(b"mine now")
        third, made = separate(session, song)
        assert made
        assert third.stems[0].path.parent != first.stems[0].path.parent
        assert first.stems[0].path.read_bytes() == b"mine now"


def test_stems_that_another_process_places_while_this_one_looks_are_reused(
    home: Path, plugins: Plugins, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, others = History.standing, []

    async def look_slowly(history: History, *arguments: Any) -> Job | None:
        monkeypatch.setattr(History, "standing", look)
        found = await look(history, *arguments)
        with Session(Settings(home), plugins) as other:
            others.append(await asyncio.to_thread(separate, other, song))
        return found

    monkeypatch.setattr(History, "standing", look_slowly)
    with Session(Settings(home), plugins) as session:
        job, is_new = separate(session, song)
        assert (session.store.list(), others) == ([job], [(job, True)])
        assert not is_new


def test_force_swaps_its_own_result_each_time(home: Path, plugins: Plugins, song: Path) -> None:
    with Session(Settings(home), plugins) as session:
        folders = {separate(session, song, force=True)[0].stems[0].path.parent for _ in range(4)}
    assert folders == {song.parent / "Song.stems"}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [({"format": "nonsense"}, "nonsense"), ({"stems": ("tuba",)}, "tuba"), ({"minus": ("tuba",)}, "tuba")],
    ids=["format", "stem", "minus"],
)
def test_wrong_wish_is_refused_before_anything_is_submitted(
    home: Path, plugins: Plugins, fake: FakeSeparator, song: Path, wish: dict[str, Any], expected: str
) -> None:
    async def lenient(source: object, wish: Separation) -> Plan:
        return Plan(operation=wish, stems=("vocals", "instrumental"))

    fake.plan = lenient  # type: ignore[method-assign]
    with Session(Settings(home), plugins) as session, pytest.raises(UsageError, match=expected):
        separate(session, song, **wish)


def test_a_file_beyond_what_can_be_separated_is_looked_at_all_the_same(
    home: Path, plugins: Plugins, tmp_path: Path
) -> None:
    """Labels need no samples: DSF has a million bits a second and tags like any other."""
    need("ffprobe")
    song = make_audio(tmp_path / "Song.dsf")
    with Session(Settings(home, environ={}), plugins) as session:
        source = session.inspect(song)
        assert source.sample_rate > 192_000
        with pytest.raises(SourceError, match="8 to 192 kHz can be separated"):
            asyncio.run(session.plan(source, Separation(provider="fake")))


def test_provider_that_breaks_its_promise_is_named(
    home: Path, plugins: Plugins, fake: FakeSeparator, song: Path
) -> None:
    async def broken(source: object, wish: Separation) -> Plan:
        raise KeyError("oops")

    fake.plan = broken  # type: ignore[method-assign]
    with Session(Settings(home), plugins) as session, pytest.raises(PluginError, match="plugin fake failed: KeyError"):
        separate(session, song)


def test_job_of_an_absent_provider_waits_and_is_named(
    home: Path, plugins: Plugins, song: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def queue(session: Session) -> Job:
        source = session.inspect(song)
        plan = await session.plan(source, Separation(provider="fake"))
        return (await session.add(source, plan))[0]

    with Session(Settings(home), plugins) as session:
        job = asyncio.run(queue(session))
    with Session(Settings(home), load_fakes()) as session:
        assert asyncio.run(session.run()) == []
        assert "jobs of fake wait: not installed" in caplog.text
        with pytest.raises(UsageError, match="no separator 'fake'"):
            asyncio.run(session.run([job.id]))
        with pytest.raises(UsageError, match="no separator 'fake'"):
            asyncio.run(session.cancel(job.id))
        assert session.store.get(job.id).state is JobState.QUEUED


def in_a_minute() -> float:
    return time.time() + 61


def test_prune_keeps_the_staging_of_living_jobs(home: Path, plugins: Plugins, song: Path) -> None:
    with Session(Settings(home), plugins, clock=in_a_minute) as session:
        job, _ = separate(session, song)
        living = msgspec.structs.replace(job, id="0" * 8 + job.id[8:], state=JobState.RUNNING, dedupe="other")
        session.store.add(living)
        for name in (living.id, job.id):
            (home / "staging" / name).mkdir(parents=True)
        assert session.prune(older_than=-1) == 1
        assert [path.name for path in (home / "staging").iterdir()] == [living.id]


def test_prune_spares_a_job_that_is_added_meanwhile(
    home: Path, plugins: Plugins, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(Settings(home), plugins, clock=in_a_minute) as session:
        job, _ = separate(session, song)
        late = msgspec.structs.replace(job, id="0" * 8 + job.id[8:], state=JobState.RUNNING, dedupe="other")
        folder = home / "staging" / late.id
        listed = session.store.leftovers

        def list_then_add() -> list[Job]:
            found = listed()
            session.store.add(late)
            folder.mkdir(parents=True, exist_ok=True)
            return found

        monkeypatch.setattr(session.store, "leftovers", list_then_add)
        session.prune(older_than=0)
        assert folder.is_dir()


def test_young_staging_of_nobody_is_swept_only_later(home: Path, plugins: Plugins) -> None:
    folder = home / "staging" / "nobody"
    folder.mkdir(parents=True)
    with Session(Settings(home), plugins) as session:
        session.prune(older_than=0)
        assert folder.is_dir()
    with Session(Settings(home), plugins, clock=in_a_minute) as session:
        session.prune(older_than=0)
        assert not folder.exists()


@pytest.fixture
def unplaced(home: Path, plugins: Plugins, song: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Leave a job behind that was paid for and could not be placed."""

    def refuse(old: Path, new: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch, Session(Settings(home), plugins) as session:
        patch.setattr(publication, "rename_exclusive", refuse)
        job, _ = separate(session, song)
    assert job.state is JobState.FAILED
    return job


def staged_files(home: Path) -> set[str]:
    return {path.name for path in (home / "staging").rglob("*.flac") if path.parent.name == "Song.stems"}


STAGED = {"Song - Vocals.flac", "Song - Instrumental.flac"}


@pytest.mark.parametrize("again", ["retry", "separate"])
def test_paid_result_that_could_not_be_placed_is_kept_and_placed_later(
    home: Path, plugins: Plugins, fake: FakeSeparator, song: Path, unplaced: Job, again: str
) -> None:
    assert unplaced.problem is not None and f"stembridge jobs retry {unplaced.id}" in unplaced.problem.remedy
    assert staged_files(home) == STAGED
    with Session(Settings(home), plugins, clock=in_a_minute) as session:
        assert session.prune(older_than=3600) == 0
        assert staged_files(home) == STAGED
        if again == "retry":
            session.retry(unplaced.id)
            (done,) = asyncio.run(session.run())
        else:
            done, made = separate(session, song)
            assert not made
        assert (done.id, done.state) == (unplaced.id, JobState.DONE)
    assert {path.name for path in (song.parent / "Song.stems").iterdir()} == STAGED
    assert len(fake.submitted) == 1
    assert list((home / "staging").iterdir()) == []


@pytest.mark.parametrize("in_a_loop", [False, True], ids=["plain", "in a loop"])
def test_pruning_a_job_removes_what_it_kept(home: Path, plugins: Plugins, unplaced: Job, in_a_loop: bool) -> None:
    with Session(Settings(home), plugins) as session:

        async def prune() -> int:
            return session.prune(older_than=-1)

        assert (asyncio.run(prune()) if in_a_loop else session.prune(older_than=-1)) == 1
        assert session.store.list() == []
    assert list((home / "staging").iterdir()) == []


def test_look_ends_soon_after_it_is_cancelled(
    home: Path, plugins: Plugins, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, left = threading.Event(), threading.Event()

    def read_for_ever(path: Path, *, check: Callable[[], None]) -> None:
        begun.set()
        try:
            while True:
                check()
        finally:
            left.set()

    async def interrupt(session: Session) -> None:
        task = asyncio.create_task(session.look(song))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left.is_set()

    with Session(Settings(home), plugins) as session:
        assert asyncio.run(session.look(song)) == session.inspect(song)
        monkeypatch.setattr(digest, "read_song", read_for_ever)
        asyncio.run(interrupt(session))


Heard = list[tuple[JobState, JobState | None]]


def hear_ends(heard: Heard) -> OnChange:
    """Return what writes down the ends it hears of."""

    def change(job: Job, previous: Job | None) -> None:
        if job.state.is_settled:
            heard.append((job.state, previous.state if previous else None))

    return change


def test_each_end_is_told_once_whoever_brought_it_about(
    home: Path, plugins: Plugins, fake: FakeSeparator, song: Path
) -> None:
    """Two processes wait for one job: one does it, the other hears of it without a job before."""
    listener = Listener()
    plugins.manager.register(listener)
    heard: tuple[Heard, Heard] = ([], [])

    async def work(one: Session, other: Session) -> None:
        fake.hold = asyncio.Event()
        source = await one.look(song)
        job, _ = await one.add(source, await one.plan(source, Separation(provider="fake")))

        def release(after: Job, previous: Job | None) -> None:
            assert fake.hold is not None
            if after.progress is not None:
                fake.hold.set()

        def hear(after: Job, previous: Job | None) -> None:
            release(after, previous)
            hear_ends(heard[0])(after, previous)

        await asyncio.gather(
            one.run([job.id], on_change=hear), other.run([job.id, job.id], on_change=hear_ends(heard[1]))
        )

    with Session(Settings(home), plugins) as one, Session(Settings(home), plugins) as other:
        asyncio.run(work(one, other))
    assert heard[0] == [(JobState.DONE, JobState.PUBLISHING)]
    assert heard[1] == [(JobState.DONE, None)]
    assert len(listener.placed) == 1, "plugins hear of it where it was done"


def test_a_run_that_is_told_to_stop_still_tells_what_others_brought_to_an_end(
    home: Path, plugins: Plugins, song: Path
) -> None:
    heard: Heard = []

    async def stop_at_once(session: Session, job: Job) -> None:
        stop = asyncio.Event()
        stop.set()
        await session.run([job.id], on_change=hear_ends(heard), stop=stop)

    with Session(Settings(home), plugins) as session:
        job, _ = separate(session, song)
    with Session(Settings(home), plugins) as session:
        asyncio.run(stop_at_once(session, job))
    assert heard == [(JobState.DONE, None)]


def test_a_cancelled_job_is_told_once(home: Path, plugins: Plugins, song: Path) -> None:
    heard: Heard = []

    async def cancel(session: Session) -> Job:
        source = await session.look(song)
        job, _ = await session.add(source, await session.plan(source, Separation(provider="fake")))
        return await session.cancel(job.id, on_change=hear_ends(heard))

    with Session(Settings(home), plugins) as session:
        assert asyncio.run(cancel(session)).state is JobState.CANCELLED
    assert heard == [(JobState.CANCELLED, JobState.QUEUED)]


def test_the_room_that_is_told_is_the_room_that_is_asked_for(
    home: Path, plugins: Plugins, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(staging_folder, "check_space", lambda _folder, needed: asked.append(needed))

    async def tell(session: Session) -> int:
        source = await session.look(song)
        return await session.bytes_needed(source, await session.plan(source, Separation(provider="fake")))

    with Session(Settings(home), plugins) as session:
        separate(session, song)
        assert asked == [asyncio.run(tell(session))]


def test_what_serves_for_days_lets_go_of_what_is_kept_for_too_long(
    home: Path, plugins: Plugins, song: Path, clock: list[float]
) -> None:
    async def serve(session: Session) -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(session.serve(JobSet(), stop=stop))
        async with asyncio.timeout(60):
            while session.store.purchases.kept():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        stop.set()
        await serving

    with Session(Settings(home), plugins, clock=lambda: clock[0]) as session:
        separate(session, song)
        assert len(session.store.purchases.kept()) == 1
        clock[0] += 8 * 86_400
        asyncio.run(serve(session))
    assert list((home / "purchases").iterdir()) == []


def test_only_what_was_bought_takes_a_folder(home: Path, plugins: Plugins, song: Path) -> None:
    with Session(Settings(home), plugins) as session:
        separate(session, song)
        shutil.rmtree(song.parent / "Song.stems")
        separate(session, song, format="wav24")
        assert len(session.store.list()) == 2
    assert len(list((home / "purchases").iterdir())) == 1


@pytest.fixture
def clock() -> list[float]:
    """The time, to be set."""
    return [time.time()]
