"""Workers with a store on a PostgreSQL server: frozen, and with a wrong clock; a storm is in ``tests/end_to_end``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import MissingModelError, MissingToolError, SourceError, StembridgeError, UsageError
from plugin_core.files.path_map import PathMap
from plugin_core.jobs import presence
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.policy import Reach
from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Job, JobState
from tests.plugin_core.jobs.conftest import FAST
from tests.plugin_core.jobs.fakes import FakeWork, make_job
from tests.plugin_core.jobs.test_crash import assert_a_frozen_worker_pays_nothing_twice

ANY_STORE = True


@pytest.fixture
def store(store_place: Place) -> Iterator[JobStore]:
    with JobStore(store_place) as opened:
        yield opened


@pytest.mark.shared
def test_a_frozen_worker_pays_nothing_twice(store: JobStore, tmp_path: Path) -> None:
    assert_a_frozen_worker_pays_nothing_twice(store, tmp_path, 8, delay=0.1)


@pytest.mark.shared
def test_a_worker_whose_clock_is_ahead_changes_no_time(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + 3600)
    with JobStore(store.place) as ahead:
        job, _ = ahead.add(make_job(clock=ahead.clock))
        assert abs(ahead.clock() - true()) < 60 and abs(job.created - true()) < 60
        claimed = ahead.claim(ahead.new_owner(), ids=None, slots={"fake": 1})
        assert claimed is not None
        # Its lease is no longer than it should be, and another's that is not over is not over for it.
        assert store.claim(store.new_owner(), ids=None, slots={"fake": 9}) is None
        other, _ = store.add(make_job(2, clock=store.clock))
        assert store.claim(store.new_owner(), ids=None, slots={"fake": 9}) is not None
        assert ahead.claim(ahead.new_owner(), ids=None, slots={"fake": 9}) is None
        assert store.get(other.id).state is JobState.QUEUED


@pytest.mark.shared
@pytest.mark.parametrize("is_sent", [False, True], ids=["claimed", "sent"])
@pytest.mark.parametrize("occupies", [True, False], ids=["service", "engine"])
def test_a_service_s_slot_counts_on_every_machine_and_an_engine_s_on_its_own(
    store: JobStore, monkeypatch: pytest.MonkeyPatch, occupies: bool, is_sent: bool
) -> None:
    for number in (1, 2, 3):
        store.add(make_job(number), occupies=occupies)
    owner, slots = store.new_owner(), {"fake": 1}
    first = store.claim(owner, ids=None, slots=slots)
    assert first is not None
    if is_sent:
        assert store.save(first, msgspec.structs.replace(first, state=JobState.SUBMITTING), owner, False)
    assert store.claim(store.new_owner(), ids=None, slots=slots) is None
    monkeypatch.setattr(presence, "_machine", lambda: "0" * 8)
    with JobStore(store.place) as elsewhere:
        other = elsewhere.claim(elsewhere.new_owner(), ids=None, slots=slots)
        assert (other is None) is occupies
        store.release(first.id, owner)
        # What was sent holds its slot already, so that whoever has none free can go on with it.
        again = store.claim(store.new_owner(), ids=None, slots=slots)
        assert again is not None and again.id == first.id


@pytest.mark.shared
def test_jobs_whose_provider_or_account_a_machine_lacks_are_left_to_others(
    store_place: Place, work: FakeWork, caplog: pytest.LogCaptureFixture
) -> None:
    """They are neither begun nor gone on with there, which is said once."""
    bare, stop = FakeWork(work.service), asyncio.Event()
    bare.keys = "paid"

    def work_for(job: Job) -> FakeWork:
        if job.account == "gone:1":
            raise UsageError("no separator 'gone'", remedy="there is only fake")
        return bare if job.account.startswith("paid:") else work

    def hear(after: Job, _before: Job | None) -> None:
        if after.state.is_settled:
            stop.set()

    with JobStore(store_place, paths=PathMap({"all": Path("/")}, is_shared=True)) as store:
        left = [
            make_job(number, account=account, clock=store.clock)
            for number, account in enumerate(("paid:1", "paid:2", "gone:1"), 1)
        ]
        left[1:] = [msgspec.structs.replace(one, state=JobState.RUNNING) for one in left[1:]]
        for job in (*left, mine := make_job(9, clock=store.clock)):
            store.add(job)
        engine = Engine(store, work_for, hear, clock=store.clock, policy=FAST)
        asyncio.run(asyncio.wait_for(engine.serve(None, stop=stop), 60))
        assert store.get(mine.id).state is JobState.DONE
        assert [store.get(one.id) for one in left] == left and bare.calls == []
        assert [record.getMessage() for record in caplog.records if "left to" in record.getMessage()] == [
            "jobs of fake are left to other workers: no separator 'gone'; there is only fake",
            "jobs of fake are left to other workers: no account of paid is set up here",
        ]
        # Who asks for one job by name hears at once what is wrong.
        engine = Engine(store, work_for, hear, clock=store.clock, policy=FAST)
        asyncio.run(engine.run([left[0].id]))
        assert store.get(left[0].id).account == "paid"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("method", "error"),
    [("prepare", MissingToolError("it needs ffmpeg to be read")), ("poll", MissingModelError("umxhq is not here"))],
)
def test_a_job_waits_for_a_machine_that_has_what_this_one_lacks(
    store_place: Place, work: FakeWork, method: str, error: StembridgeError
) -> None:
    with JobStore(store_place, paths=PathMap({"all": Path("/")}, is_shared=True)) as store:
        job, _ = store.add(make_job(clock=store.clock))
        work.fail(method, [error, error])
        told: list[str] = []

        def hear(after: Job, _before: Job | None) -> None:
            told.extend([after.problem.message] if after.problem else [])

        asyncio.run(Engine(store, lambda _job: work, hear, clock=store.clock, policy=FAST).run([job.id]))
        assert store.get(job.id).state is JobState.DONE and told[:1] == [error.message]
        assert len(work.service.lines("creates")) == 1


class Share:
    """A share with a song, which can be away."""

    def __init__(self, folder: Path) -> None:
        self.place, self._elsewhere = folder / "share", folder / "elsewhere"
        self.song = self.place / "music" / "Song.wav"
        for each in (self.song.parent, self.place / "staging"):
            each.mkdir(parents=True)
        self.song.touch()
        folders = {"music": self.song.parent, "staging": self.place / "staging", "rest": Path("/")}
        self.paths = PathMap(folders, is_shared=True)

    def unmount(self) -> None:
        self.place.rename(self._elsewhere)

    def mount(self) -> None:
        self._elsewhere.rename(self.place)


@pytest.mark.shared
def test_songs_of_a_share_that_is_away_are_left_to_others_until_it_is_there_again(
    store_place: Place, work: FakeWork, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    share, stop = Share(tmp_path), asyncio.Event()

    def hear(after: Job, _before: Job | None) -> None:
        if after.state.is_settled:
            stop.set()

    async def work_on(store: JobStore) -> None:
        reach = Reach(names=share.paths.names)
        engine = Engine(store, lambda _job: work, hear, clock=store.clock, policy=FAST, reach=reach)
        serving = asyncio.create_task(engine.serve(None, stop=stop))
        while not caplog.records:  # noqa: ASYNC110 - a log says nothing by itself
            await asyncio.sleep(0.01)
        share.mount()
        await asyncio.wait_for(serving, 60)

    with JobStore(store_place, paths=share.paths) as store:
        job, _ = store.add(make_job(path=share.song, clock=store.clock))
        share.unmount()
        asyncio.run(work_on(store))
        assert store.get(job.id).state is JobState.DONE and work.calls.count("prepare") == 1
    away, back = "is away, or empty: its songs are left to other workers", "is there again"
    folders = [f"{share.place / name} ({name} in [paths])" for name in ("music", "staging")]
    assert {record.getMessage() for record in caplog.records if record.levelname == "WARNING"} == {
        *(f"{folder} {away}" for folder in folders),
        *(f"{folder} {back}" for folder in folders),
    }


@pytest.mark.shared
def test_a_job_whose_share_goes_away_under_it_waits(store_place: Place, work: FakeWork, tmp_path: Path) -> None:
    share, told = Share(tmp_path), list[str]()
    work.fail("prepare", [SourceError(f"{share.song} does not exist")])
    work.on_call = lambda name, _job: share.unmount() if name == "prepare" and not told else None

    def hear(after: Job, _before: Job | None) -> None:
        if after.problem and not told:
            told.append(after.problem.message)
            share.mount()

    with JobStore(store_place, paths=share.paths) as store:
        job, _ = store.add(make_job(path=share.song, clock=store.clock))
        engine = Engine(store, lambda _job: work, hear, clock=store.clock, policy=FAST)
        asyncio.run(asyncio.wait_for(engine.run([job.id]), 60))
        assert store.get(job.id).state is JobState.DONE
    assert len(told) == 1 and told[0].endswith(" is away, or empty")


@pytest.mark.parametrize("name", ["music", "staging"])
def test_a_folder_that_is_no_mount_any_more_or_holds_nothing_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    mounts = {tmp_path / "there"}
    monkeypatch.setattr(Path, "is_mount", lambda path: path in mounts)
    (tmp_path / "there").mkdir()
    paths = PathMap({name: tmp_path / "there", "never": tmp_path / "never"})
    # Staging holds nothing before the first job.
    assert list(paths.away()) == ([] if name == "staging" else [name])
    (tmp_path / "there" / "Song.wav").touch()
    assert paths.away() == {}
    mounts.clear()
    assert paths.away_of(tmp_path / "there" / "Song.wav") == tmp_path / "there"
