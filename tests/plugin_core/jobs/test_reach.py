"""What one process works on of a store: the songs it sees, the steps it was told to do; and what hosts follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import SettingsError, StembridgeError
from plugin_core.files.path_map import PathMap
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.policy import Reach
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, JobState, Quote, Separation, Stem
from plugin_core.purchases.purchase import Purchase, PurchaseState
from plugin_core.workshop import Onlooker
from tests.plugin_core.jobs.conftest import FAST, Heard
from tests.plugin_core.jobs.fakes import FakeWork, make_job

HERE = PathMap({"music": Path("/mnt/music"), "video": Path("/mnt/video")}, is_shared=True)
THERE = PathMap({"music": Path("/Volumes/music")}, is_shared=True)


def make(path: str, **fields: object) -> Job:
    return msgspec.structs.replace(make_job(path=Path(path)), **fields)


def test_every_path_that_comes_out_of_a_store_is_that_of_the_machine(tmp_path: Path) -> None:
    """Each way in and each way out, by two machines that have the same folder elsewhere."""
    file, here, there = tmp_path / "home" / "jobs.sqlite3", Path("/mnt/music/a.flac"), Path("/Volumes/music/a.flac")
    with JobStore(file, paths=HERE) as one, JobStore(file, paths=THERE) as other:
        job = make(str(here), operation=Separation(provider="fake", to=Path("/mnt/music/stems")))
        one.add(job, occupies=True)
        owner = other.new_owner()
        claimed = other.claim(owner, ids=None, slots={job.account: 1})
        assert claimed is not None and claimed.source.path == there
        assert isinstance(claimed.operation, Separation) and claimed.operation.to == Path("/Volumes/music/stems")
        seen: list[Callable[[], object]] = [
            lambda: other.get(job.id),
            lambda: other.find(job.id),
            lambda: other.find_all([job.id])[0],
            lambda: other.list()[0],
            lambda: other.accounts()[0],
            lambda: other.placed_at(Path("/Volumes/music"))[0],
            lambda: other.placed_at(there)[0],
            lambda: other.resume(job.id),
        ]
        assert [look().source.path for look in seen] == [there] * len(seen)  # type: ignore[attr-defined]
        one.move(job.id, msgspec.structs.replace(job.source, path=Path("/mnt/music/b.flac")))
        told = other.check(job.id, owner).source
        assert told is not None and told.path == Path("/Volumes/music/b.flac")
        stem = Stem(name="vocals", label="", path=Path("/Volumes/music/s/v.flac"), size=1, sha256="")
        done = msgspec.structs.replace(claimed, state=JobState.DONE, stems=(stem,))
        assert other.save(claimed, done, owner, True)
        assert one.placed_at(Path("/mnt/music/s"))[0].stems[0].path == Path("/mnt/music/s/v.flac")
        assert one.done_like(job.dedupe)[0].stems[0].path == Path("/mnt/music/s/v.flac")
        one.relocate(job.id, msgspec.structs.replace(job.source, path=Path("/mnt/music/c.flac")), ())
        assert other.get(job.id).source.path == Path("/Volumes/music/c.flac")
        bought = Purchase(
            id="a1",
            key="key",
            state=PurchaseState.RUNNING,
            provider="fake",
            account="one",
            recording="r",
            quote=Quote(),
            song=here,
            created=1.0,
            updated=1.0,
        )
        one.purchases.put(bought)
        purchases: list[Purchase | None] = [
            *(other.purchases.find("a1"), other.purchases.get("a1"), other.purchases.list()[0]),
            other.purchases.serving([bought.key], bought.quote),
            other.purchases.change("a1", reason="x"),
        ]
        assert [each.song for each in purchases if each] == [there] * 5


def test_a_path_that_other_machines_could_not_find_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    with JobStore(tmp_path / "home" / "jobs.sqlite3", paths=HERE) as store:
        with pytest.raises(SettingsError, match=r"/home/me/a\.flac lies in no folder of \[paths\]"):
            store.add(make("/home/me/a.flac"))
        with pytest.raises(StembridgeError, match="/home/me/stems"):
            store.add(make("/mnt/music/a.flac", operation=Separation(provider="fake", to=Path("/home/me/stems"))))
        assert store.list() == [] and store.placed_at(Path("/home/me/a.flac")) == []


def test_songs_that_are_not_seen_are_left_to_others(tmp_path: Path) -> None:
    file = tmp_path / "home" / "jobs.sqlite3"
    with JobStore(file, paths=HERE) as one, JobStore(file, paths=THERE) as other:
        film, song = make("/mnt/video/a.flac"), make("/mnt/music/b.flac", dedupe="other", due=1.0)
        for job in (film, song):
            one.add(job)
        slots, reach = {film.account: 9}, Reach(names=THERE.names)
        found = other.claim(other.new_owner(), ids=None, slots=slots, reach=reach)
        assert found is not None and found.id == song.id
        assert other.claim(other.new_owner(), ids=None, slots=slots, reach=reach) is None
        # It is listed there all the same, by its name in the store, and what is written there does not lose it.
        assert other.get(film.id).source.path == Path("video:/a.flac") and not other.paths.sees(Path("video:/a.flac"))
        other.request_cancel(film.id)
        other.restore(film.id)
        left = one.claim(one.new_owner(), ids=None, slots=slots, reach=Reach(names=HERE.names))
        assert left is not None and left.source.path == Path("/mnt/video/a.flac")
        assert other.claim(other.new_owner(), ids=None, slots=slots, reach=Reach(names=())) is None


@pytest.mark.parametrize(
    ("reach", "remote", "local"),
    [
        (Reach(), True, True),
        (Reach(states=(JobState.QUEUED, JobState.SUBMITTING), is_local=False), True, False),
        (Reach(states=(JobState.FETCHING,), is_local=False), False, False),
        (Reach(states=(), is_local=True), False, True),
    ],
)
def test_a_worker_takes_the_steps_that_it_was_told(store: JobStore, reach: Reach, *, remote: bool, local: bool) -> None:
    there, here = make("/a.flac"), make("/b.flac", dedupe="other")
    store.add(there, occupies=True)
    store.add(here, occupies=False)
    found = set()
    while job := store.claim(store.new_owner(), ids=None, slots={there.account: 9}, reach=reach):
        found.add(job.id)
    assert found == {*([there.id] if remote else []), *([here.id] if local else [])}


def test_workers_of_one_step_each_hand_a_job_on(store: JobStore, work: FakeWork, heard: Heard) -> None:
    """Nothing is begun that is not one's own, and what is committed to is done."""
    job, _ = store.add(make_job())
    states: list[JobState] = []

    async def work_on(*mine: JobState) -> None:
        stop = asyncio.Event()

        def hear(after: Job, before: Job | None) -> None:
            heard(after, before)
            if after.state not in (*mine, JobState.SUBMITTING):
                stop.set()

        reach = Reach(states=mine, is_local=False)
        engine = Engine(store, lambda _job: work, hear, clock=store.clock, policy=FAST, reach=reach)
        await asyncio.wait_for(engine.serve(None, stop=stop), 60)
        states.append(store.get(job.id).state)

    asyncio.run(work_on(JobState.QUEUED))
    asyncio.run(work_on(JobState.RUNNING))
    asyncio.run(work_on(JobState.FETCHING))
    asyncio.run(work_on(JobState.PUBLISHING))
    assert states == [JobState.RUNNING, JobState.FETCHING, JobState.PUBLISHING, JobState.DONE]
    assert len(work.service.lines("creates")) == 1


def test_a_host_follows_what_others_do_to_its_end(
    store: JobStore, store_path: Path, work: FakeWork, heard: Heard
) -> None:
    job, _ = store.add(make_job())
    seen, late = Heard(), Heard()

    async def both(other: JobStore) -> None:
        stop, following = asyncio.Event(), Onlooker(other, seen)
        # It has seen the job before anybody works on it.
        await following._look({job.id})
        onlooker = asyncio.create_task(following.run(lambda: [job.id], stop, is_endless=False))
        endless = asyncio.create_task(Onlooker(other, Heard()).run(lambda: [job.id], stop, is_endless=True))
        working = asyncio.create_task(
            Engine(store, lambda _job: work, heard, clock=store.clock, policy=FAST).serve(None, stop=stop)
        )
        await asyncio.wait_for(onlooker, 60)
        assert not endless.done()
        stop.set()
        await asyncio.wait_for(asyncio.gather(endless, working), 60)
        # Whoever comes when all is over hears of the end as well.
        await asyncio.wait_for(Onlooker(other, late).run(lambda: [job.id], asyncio.Event(), is_endless=False), 60)

    with JobStore(store_path) as other:
        asyncio.run(both(other))
    last, before = seen.changes[-1]
    assert last.state is JobState.DONE and last == store.get(job.id) and before is not None
    assert len([one for one, _ in seen.changes if one.state is JobState.DONE]) == 1
    assert late.changes == [(last, None)]


def test_it_is_said_once_that_nobody_works(
    store: JobStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin_core.workshop._SAID_AFTER", 0.01)
    monkeypatch.setattr("plugin_core.workshop._LOOK_EVERY", 0.01)
    job, _ = store.add(make_job())

    async def follow() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, stop.set)
        await Onlooker(store, Heard()).run(lambda: [job.id], stop, is_endless=False)
        stop.clear()
        asyncio.get_running_loop().call_later(0.3, stop.set)
        await Onlooker(store, Heard(), heard.append).run(lambda: [job.id], stop, is_endless=False)

    heard: list[str] = []
    asyncio.run(follow())
    assert [record.message for record in caplog.records if "stembridge worker" in record.message] == [
        "no worker has touched these jobs yet: `stembridge worker` runs one, where song and account are at hand"
    ]
    assert len(heard) == 1 and "stembridge worker" in heard[0]


def test_results_that_go_where_a_worker_sees_nothing_are_for_others(tmp_path: Path, work: FakeWork) -> None:
    """Its song is seen; it would fail there for want of the folder."""
    file = tmp_path / "home" / "jobs.sqlite3"
    with JobStore(file, paths=HERE) as one, JobStore(file, paths=THERE) as other:
        job, _ = one.add(make("/mnt/music/a.flac", operation=Separation(provider="fake", to=Path("/mnt/video"))))
        engine = Engine(
            other, lambda _job: work, Heard(), clock=other.clock, policy=FAST, reach=Reach(names=("music",))
        )
        asyncio.run(engine.advance(job.id))
        left = one.get(job.id)
        assert (left.state, work.calls) == (JobState.QUEUED, []) and left.due > other.clock()
        assert isinstance(left.operation, Separation) and left.operation.to == Path("/mnt/video")
        one.resume(job.id)
        taken = one.claim(one.new_owner(), ids=None, slots={job.account: 1})
        assert taken is not None and taken.id == job.id
