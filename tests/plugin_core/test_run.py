"""One run for every host: what it looks at, asks, adds and tells, whoever calls it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_core.errors import RefusedError, StembridgeError, UsageError
from plugin_core.jobs import engine
from plugin_core.jobs.policy import Policy
from plugin_core.model import Job, JobState, Problem, Separation
from plugin_core.purchases.purchase import Offer
from plugin_core.run import Asker, Ready, Reply, Run, Want, is_refused
from plugin_core.session import Session
from plugin_core.settings import Settings
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song

WISH = Separation(provider="fake")


class Host(Asker[Want]):
    """Writes down what it hears."""

    host = "tests"

    def __init__(self, answer: Reply = Reply.YES, *, again: bool = False) -> None:
        self.heard: list[Any] = []
        self.asked: list[Offer] = []
        self.ends: list[JobState] = []
        self._answer = answer
        self._again = again

    def look(self, done: int, count: int) -> None:
        self.heard.append(f"{done} of {count}")

    def refuse(self, want: Want, error: StembridgeError) -> None:
        self.heard.append((want.path.name, type(error)))

    async def ask(self, ready: Sequence[Ready[Want]]) -> Reply:
        self.asked = [one.offer for one in ready]
        return self._answer

    def reuse(self, want: Want, job: Job) -> None:
        self.heard.append(("reused", want.path.name))

    def change(self, job: Job, previous: Job | None) -> None:
        if job.state.is_settled:
            self.ends.append(job.state)

    async def ask_again(self, jobs: Sequence[Job]) -> bool:
        self.heard.append(("again", len(jobs)))
        return self._again


@pytest.fixture
def fake() -> FakeSeparator:
    found = FakeSeparator()
    found.price = 2.0
    return found


@pytest.fixture
def session(home: Path, fake: FakeSeparator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(engine, "Policy", lambda: Policy(search_for=0.0, settle=0.0))
    with Session(Settings(home, environ={}), load_fakes(FakePoint("fake", FakePlugin(fake)))) as opened:
        yield opened


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Song.flac", 0.3)


def test_a_song_is_looked_at_once_and_one_that_cannot_be_used_hinders_no_other(
    session: Session, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = song.with_name("Broken.flac")
    broken.write_bytes(b"no audio")
    look, looked = session.look, list[str]()

    async def count(path: Path) -> Any:
        looked.append(path.name)
        return await look(path)

    monkeypatch.setattr(session, "look", count)
    host = Host()
    wishes = (WISH, msgspec.structs.replace(WISH, stems=("vocals",)))
    ready = asyncio.run(Run(session, host).offer([Want(path=p, operation=w) for p in (broken, song) for w in wishes]))
    assert looked == ["Broken.flac", "Song.flac"]
    assert [one.want.operation for one in ready] == list(wishes)
    (refused,) = [one for one in host.heard if isinstance(one, tuple)]
    assert refused[0] == "Broken.flac"
    assert [one for one in host.heard if isinstance(one, str)] == ["0 of 2", "1 of 2", "2 of 2"]
    assert not session.has_store


@pytest.mark.parametrize("error", [UsageError("no"), RefusedError("no")], ids=["usage", "refused"])
def test_what_befalls_every_song_ends_the_look(
    session: Session, fake: FakeSeparator, song: Path, error: Exception
) -> None:
    fake.plan_error = error
    with pytest.raises(type(error)):
        asyncio.run(Run(session, Host()).do([Want(path=song, operation=WISH)]))
    assert not session.has_store


def test_no_makes_nothing_and_yes_tells_of_the_end_once(session: Session, fake: FakeSeparator, song: Path) -> None:
    async def do(host: Host, **how: Any) -> Run[Want]:
        run = Run(session, host, **how)
        await run.do([Want(path=song, operation=WISH)])
        return run

    run = asyncio.run(do(Host(Reply.NO)))
    assert (run.has_begun, run.jobs, session.has_store) == (False, [], False)
    host = Host()
    (job,) = asyncio.run(do(host, preset="mine")).jobs
    assert (job.host, job.preset, host.ends) == ("tests", "mine", [JobState.DONE])
    again = Host()
    run = asyncio.run(do(again))
    assert ([one.id for one in run.reused], run.jobs, again.heard[-1]) == ([job.id], [], ("reused", "Song.flac"))
    assert len(fake.submitted) == 1


@pytest.mark.parametrize("keeps", [False, True])
def test_what_stands_and_no_job_made_gets_one_only_for_who_looks_for_it(
    session: Session, song: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    made = Run(session, Host())
    asyncio.run(made.do([Want(path=song, operation=WISH)]))
    (job,) = made.jobs
    offer = session.offer

    async def find_beside(source: Any, wish: Any, **how: Any) -> Offer:
        found = await offer(source, wish, **how)
        return msgspec.structs.replace(found, standing=msgspec.structs.replace(job, id="not stored"))

    monkeypatch.setattr(session, "offer", find_beside)
    host = Host()
    host.keeps_ids = keeps
    run = Run(session, host)
    asyncio.run(run.do([Want(path=song, operation=WISH)]))
    assert [one.id for one in run.reused] == [job.id if keeps else "not stored"]


def test_files_are_foreseen_where_that_is_asked(session: Session, song: Path) -> None:
    want = [Want(path=song, operation=WISH)]
    ((plain,), (seen,)) = (asyncio.run(Run(session, Host(), foresees=on).offer(want)) for on in (False, True))
    assert plain.offer.files == {}
    assert seen.offer.files["vocals"] == song.parent / "Song.stems" / "Song - Vocals.flac"


@pytest.mark.parametrize("keeps", [False, True])
def test_a_run_that_is_stopped_adds_the_rest_only_for_who_resumes_by_jobs(
    session: Session, tmp_path: Path, keeps: bool
) -> None:
    host = Host()
    host.keeps_rest = keeps

    async def work() -> int:
        run = Run(session, host)
        wants = [Want(path=write_song(tmp_path / f"{n}.flac", 0.2, seed=n), operation=WISH) for n in range(2)]
        ready = await run.offer(wants)
        run.stop.set()
        return len(await run.add(ready))

    assert asyncio.run(work()) == (2 if keeps else 0)


def test_only_who_was_asked_about_it_buys_again(session: Session, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []
    add = session.add

    async def note(*arguments: Any, may_buy: bool, **named: Any) -> tuple[Job, bool]:
        given.append(may_buy)
        return await add(*arguments, may_buy=may_buy, **named)

    monkeypatch.setattr(session, "add", note)
    monkeypatch.setattr(Offer, "is_bought_again", property(lambda offer: offer.plan.operation.stems == ("vocals",)))

    async def work(answer: Reply) -> None:
        run = Run(session, Host())
        wishes = (WISH, msgspec.structs.replace(WISH, stems=("vocals",)))
        await run.add(await run.offer([Want(path=song, operation=wish) for wish in wishes]), answer)

    for answer in (Reply.YES, Reply.AGAIN):
        asyncio.run(work(answer))
    assert given == [False, False, False, True]


def test_a_job_of_an_earlier_run_goes_on_and_a_forced_one_is_made_once(
    session: Session, fake: FakeSeparator, song: Path
) -> None:
    fake.submit_errors["Song.flac"] = RefusedError("no credits")
    failed = Run(session, Host())
    asyncio.run(failed.do([Want(path=song, operation=WISH)]))
    assert is_refused(failed.jobs[0])
    fake.submit_errors.clear()
    again = Run(session, Host())
    asyncio.run(again.do([Want(path=song, operation=WISH, job=failed.jobs[0].id, force=True)]))
    (done,) = again.jobs
    assert done.state is JobState.DONE
    third = Run(session, Host())
    asyncio.run(third.do([Want(path=song, operation=WISH, job=done.id, force=True)]))
    assert [one.id for one in third.finished] == [done.id]
    shutil.rmtree(done.stems[0].path.parent)
    asyncio.run(Run(session, Host()).do([Want(path=song, operation=WISH, job=done.id, force=True)]))
    assert len(fake.submitted) == 1


def test_lanes_do_not_tell_an_end_twice(session: Session, fake: FakeSeparator, tmp_path: Path) -> None:
    host = Host()
    wants = [Want(path=write_song(tmp_path / f"{n}.flac", 0.2, seed=n), operation=WISH) for n in range(3)]
    run = Run(session, host, lanes=2, threads=2)
    asyncio.run(run.do(wants))
    assert host.ends == [JobState.DONE] * 3
    assert len(run.jobs) == len(fake.submitted) == 3


def test_an_end_that_two_lanes_hear_of_is_told_once(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run_all(ids: Sequence[str], *, on_change: Any, **_: object) -> list[Job]:
        for job in session.store.list():
            on_change(msgspec.structs.replace(job, state=JobState.DONE), job)
        return [session.store.get(job_id) for job_id in ids]

    monkeypatch.setattr(session, "run", run_all)
    host = Host()
    wants = [Want(path=write_song(tmp_path / f"{n}.flac", 0.2, seed=n), operation=WISH) for n in range(2)]
    asyncio.run(Run(session, host, threads=2).do(wants))
    assert host.ends == [JobState.DONE] * 2


def test_what_is_not_to_be_had_is_bought_again_only_on_a_word(session: Session, song: Path) -> None:
    gone = Problem(kind="BoughtBeforeError", message="gone", needs_word=True)

    def work(host: Host) -> list[bool]:
        forced: list[bool] = []
        run = Run(session, host)

        async def run_all(ids: Sequence[str], **_: object) -> list[Job]:
            jobs = [session.store.get(job_id) for job_id in ids]
            return jobs if forced else [msgspec.structs.replace(job, problem=gone) for job in jobs]

        def retry(job_id: str, *, force: bool = False) -> Job:
            forced.append(force)
            return session.store.get(job_id)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "run", run_all)
            patch.setattr(session, "retry", retry)
            asyncio.run(run.do([Want(path=song, operation=WISH)]))
        assert ("again", 1) in host.heard
        return forced

    assert work(Host()) == []
    assert work(Host(again=True)) == [True]


def test_a_caller_that_cannot_tell_any_more_stops_the_run(session: Session, song: Path) -> None:
    host, error = Host(), OSError(28, "No space left on device")

    def fail(job: Job, previous: Job | None) -> None:
        raise error

    host.change = fail  # type: ignore[method-assign]
    run = Run(session, host)
    with pytest.raises(OSError, match="No space left") as raised:
        asyncio.run(run.do([Want(path=song, operation=WISH)]))
    assert raised.value is error
    assert run.stop.is_set()
