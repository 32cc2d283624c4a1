"""What beets' thread is offered and hears, without beets."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from stembridge_beets.core_thread import CoreThread, Trouble
from stembridge_beets.tasks import Changed, Task

from plugin_core.console.phrases import has_price
from plugin_core.errors import OutcomeUnknownError, RefusedError
from plugin_core.jobs import engine
from plugin_core.jobs.policy import Policy
from plugin_core.model import Job, JobState, Operation, Problem, Separation, Source, Tagging, Ticket
from plugin_core.protocols import Order, Report
from plugin_core.run import Ready
from plugin_core.session import STORE_NAME, Session
from plugin_core.settings import Settings
from plugin_core.transfer import redaction
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, write_song
from tests.plugin_core.tagger_fakes import FakeTagger, load_taggers

SEPARATION = Separation(provider="fake")


class Provided:
    """Sessions with a separator and a tagger that have a price."""

    def __init__(self) -> None:
        self.separator, self.tagger = FakeSeparator(), FakeTagger()
        self.separator.price = 2.0

    def session(self, settings: Settings) -> Session:
        return Session(settings, load_taggers(self.tagger, more=(FakePoint("fake", FakePlugin(self.separator)),)))


@pytest.fixture
def provided() -> Provided:
    return Provided()


@pytest.fixture(params=[0, 1], ids=["all at once", "one by one"])
def core(request: pytest.FixtureRequest, provided: Provided) -> Iterator[CoreThread]:
    with CoreThread(Settings(), threads=request.param, tries=1, make_session=provided.session) as core:
        yield core


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Song.flac", 0.3)


def task(path: Path, operation: Operation) -> Task:
    return Task(item_id=1, name=path.stem, path=path, operation=operation)


def plan(core: CoreThread, *tasks: Task) -> Sequence[Ready[Task]]:
    ready, refused = core.plan(tasks, lambda _done: None)
    assert refused == []
    return ready


def ends(core: CoreThread, ready: Sequence[Ready[Task]]) -> list[tuple[str, JobState]]:
    """Work, and return the ends that were told."""
    told = [event for event in core.work(ready) if isinstance(event, Changed)]
    return [(event.task.name, event.job.state) for event in told if event.job.state.is_settled]


def test_a_look_makes_no_store(core: CoreThread, song: Path, home: Path) -> None:
    ready = plan(core, task(song, SEPARATION))
    assert has_price([one.offer for one in ready])
    assert not (home / STORE_NAME).exists()


@pytest.mark.parametrize(
    ("bought", "wanted"),
    [
        (SEPARATION, SEPARATION),
        (Tagging(provider="ears", write=False), Tagging(provider="ears", write=False, dimensions=("mood",))),
        (Tagging(provider="ears", write=False), Tagging(provider="ears", policy="replace")),
    ],
    ids=["stems elsewhere", "some of the labels", "labels by other rules"],
)
@pytest.mark.parametrize("price", [2.0, None], ids=["credits", "no price"])
def test_what_was_bought_before_costs_nothing(
    core: CoreThread, provided: Provided, song: Path, bought: Operation, wanted: Operation, price: float | None
) -> None:
    provided.separator.price = provided.tagger.price = price
    first = plan(core, task(song, bought))
    assert has_price([one.offer for one in first])
    assert ends(core, first) == [("Song", JobState.DONE)]
    (song.parent / "elsewhere").mkdir()
    copy = Path(shutil.copy(song, song.parent / "elsewhere" / "Copy.flac"))
    again = plan(core, task(copy, wanted))
    assert not has_price([one.offer for one in again])
    assert ends(core, again) == [("Copy", JobState.DONE)]
    assert len(provided.separator.submitted) + len(provided.tagger.submitted) == 1


def test_an_end_that_another_process_brought_about_is_told_once(
    core: CoreThread, provided: Provided, song: Path
) -> None:
    other = write_song(song.with_name("Other.flac"), 0.3, seed=1)
    ready = plan(core, task(song, SEPARATION), task(other, SEPARATION))
    run = core.session.run

    async def run_late(ids: Sequence[str], **options: object) -> object:
        """Let another process be the first."""
        with provided.session(Settings()) as rival:
            await rival.run(ids)
        return await run(ids, **options)  # type: ignore[arg-type]

    core.session.run = run_late  # type: ignore[method-assign,assignment]
    assert sorted(ends(core, ready)) == [("Other", JobState.DONE), ("Song", JobState.DONE)]
    assert len(provided.separator.submitted) == 2


def test_an_end_that_several_lanes_hear_of_is_told_once(provided: Provided, song: Path) -> None:
    """A lane that waits for a slot goes on with the job that holds it, and brings it to its end."""
    other = write_song(song.with_name("Other.flac"), 0.3, seed=1)
    with CoreThread(Settings(), threads=2, tries=1, make_session=provided.session) as core:
        ready = plan(core, task(song, SEPARATION), task(other, SEPARATION))
        run = core.session.run

        async def run_and_tell_all(ids: Sequence[str], **options: Any) -> Any:
            done = await run(ids, **options)
            for job in core.session.store.list():
                options["on_change"](job, None)
            return done

        core.session.run = run_and_tell_all  # type: ignore[method-assign,assignment]
        assert sorted(ends(core, ready)) == [("Other", JobState.DONE), ("Song", JobState.DONE)]


@pytest.mark.parametrize("is_forced", [False, True], ids=["plain", "forced"])
@pytest.mark.parametrize("is_moved", [False, True], ids=["stays", "moved"])
def test_a_job_that_failed_with_its_results_paid_for_goes_on(
    core: CoreThread, provided: Provided, song: Path, monkeypatch: pytest.MonkeyPatch, is_forced: bool, is_moved: bool
) -> None:
    """Also where its song was moved meanwhile, and nobody told."""
    wanted = msgspec.structs.replace(task(song, SEPARATION), force=is_forced)

    async def refuse(*_: object) -> None:
        raise RefusedError("the account is closed")

    with monkeypatch.context() as patch:
        patch.setattr(provided.separator, "fetch", refuse)
        ended = [event for event in core.work(plan(core, wanted)) if isinstance(event, Changed)][-1]
    assert (ended.job.state, ended.goes_on) == (JobState.FAILED, True)
    path = song.rename(song.with_name("Eins.flac")) if is_moved else song
    again = plan(core, msgspec.structs.replace(wanted, path=path, job=ended.job.id))
    done = [event for event in core.work(again) if isinstance(event, Changed)][-1]
    assert (done.job.id, done.job.state, done.goes_on) == (ended.job.id, JobState.DONE, False)
    assert done.job.stems[0].path.parent == path.with_suffix(".stems")
    assert len(provided.separator.submitted) == 1


def test_a_job_that_is_done_and_lost_its_stems_is_not_forced_again(
    core: CoreThread, provided: Provided, song: Path
) -> None:
    """Killed before the library knew of them: what was forced was bought."""
    wanted = msgspec.structs.replace(task(song, SEPARATION), force=True)
    done = [event for event in core.work(plan(core, wanted)) if isinstance(event, Changed)][-1]
    shutil.rmtree(song.with_suffix(".stems"))
    again = plan(core, msgspec.structs.replace(wanted, job=done.job.id))
    assert ends(core, again) == [("Song", JobState.DONE)]
    assert len(provided.separator.submitted) == 1 and song.with_suffix(".stems").is_dir()


def test_two_songs_of_their_own_are_told_once_each(core: CoreThread, song: Path) -> None:
    other = write_song(song.with_name("Other.flac"), 0.3, seed=1)
    ready = plan(core, task(song, SEPARATION), task(other, SEPARATION))
    assert sorted(ends(core, ready)) == [("Other", JobState.DONE), ("Song", JobState.DONE)]


def test_what_the_core_tells_is_kept_and_told_with_secrets_masked(
    core: CoreThread, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redaction.register("hunter2-hunter2")
    logging.getLogger("plugin_core.somewhere").warning("sent hunter2-hunter2")
    assert capsys.readouterr().err == f"stembridge: sent {redaction.MASK}\n"
    (kept,) = (home / "logs" / "stembridge.log").read_text().splitlines()
    assert kept.endswith(f"plugin_core.somewhere: sent {redaction.MASK}")


def test_resume_looks_for_an_unconfirmed_job_and_buys_nothing(
    core: CoreThread, provided: Provided, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "Policy", lambda: Policy(search_for=0.0, settle=0.0))
    separator, submit = provided.separator, provided.separator.submit

    async def lose(order: Order, report: Report) -> Ticket:
        await submit(order, report)
        raise OutcomeUnknownError("the answer was lost")

    async def shrug(order: Order) -> Ticket | None:
        raise OutcomeUnknownError("the service cannot tell")

    async def find(order: Order) -> Ticket | None:
        return Ticket(remote_id=f"remote-{order.key}")

    separator.submit, separator.find = lose, shrug  # type: ignore[method-assign]
    asked = task(song, SEPARATION)
    assert ends(core, plan(core, asked)) == [("Song", JobState.UNCONFIRMED)]
    (job,) = core.session.store.list()
    separator.find = find  # type: ignore[method-assign]
    assert ends(core, plan(core, msgspec.structs.replace(asked, job=job.id))) == [("Song", JobState.DONE)]
    assert len(separator.submitted) == 1


SOURCE = Source(
    path=Path("/a"),
    device=1,
    inode=1,
    size=1,
    mtime_ns=1,
    content="",
    duration=1,
    frames=1,
    channels=1,
    sample_rate=44100,
    encoding="pcm_16",
)


def job(name: str, state: JobState, attempts: int = 0) -> Job:
    return Job(
        id=name,
        state=state,
        operation=Separation(provider="local"),
        source=SOURCE,
        account="",
        dedupe="",
        created=0,
        updated=0,
        attempts=attempts,
        problem=Problem(kind="x", message="y") if attempts else None,
    )


def test_waiting_ends_when_nothing_but_trouble_is_left() -> None:
    trouble = Trouble(3)
    trouble.note(job("a", JobState.RUNNING))
    trouble.note(job("b", JobState.QUEUED, 3))
    assert not trouble.is_all
    trouble.note(job("a", JobState.DONE))
    assert trouble.is_all


def test_what_is_tried_again_may_still_come_right() -> None:
    trouble = Trouble(3)
    trouble.note(job("a", JobState.QUEUED, 2))
    assert not trouble.is_all
    trouble.note(job("a", JobState.RUNNING))
    assert not trouble.is_all


def test_jobs_not_begun_do_not_count() -> None:
    trouble = Trouble(1)
    trouble.note(job("a", JobState.QUEUED))
    assert not trouble.is_all
    trouble.note(job("b", JobState.QUEUED, 1))
    assert trouble.is_all


def test_the_search_for_a_lost_answer_is_waited_for() -> None:
    now = 0.0
    trouble = Trouble(1, clock=lambda: now)
    trouble.note(job("a", JobState.SUBMITTING, 9))
    assert not trouble.is_all


def test_a_search_that_the_service_does_not_answer_is_trouble() -> None:
    now = 1e6
    trouble = Trouble(1, clock=lambda: now)
    trouble.note(job("a", JobState.SUBMITTING, 9))
    assert trouble.is_all
