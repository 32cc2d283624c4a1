"""How the end of a job is told: in commands of beets, never of stembridge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from beets import ui
from stembridge_beets.host import in_beets_words
from stembridge_beets.run import LibraryRun, Manners, describe_end
from stembridge_beets.tasks import Task

import plugin_core
from plugin_core.errors import GoneError, OutcomeUnknownError, PlacementError, RefusedError
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, JobState
from plugin_core.purchases.purchase import PurchaseState
from plugin_core.run import Ready
from tests.plugin_core.console.test_prices import make_offer
from tests.plugin_core.jobs.conftest import FAST
from tests.plugin_core.jobs.fakes import FakeWork, Service, make_job

pytest.importorskip("beets")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with JobStore(tmp_path / "jobs.sqlite3") as opened:
        yield opened


@pytest.fixture
def work(tmp_path: Path) -> FakeWork:
    return FakeWork(Service(tmp_path / "service"))


def finish(store: JobStore, work: FakeWork) -> Job:
    """Add a job, and work until it is settled."""
    added, _ = store.add(make_job())
    asyncio.run(Engine(store, lambda _: work, lambda _job, _before: None, policy=FAST).run([added.id]))
    return store.get(added.id)


def lose(store: JobStore, work: FakeWork) -> Job:
    """Let a service say of a finished job that it is gone."""
    work.fail("fetch", [PlacementError("read-only")])
    ready = finish(store, work)
    work.kept.clear()
    work.fail("poll", [GoneError("kept for three days only")])
    store.retry(ready.id)
    asyncio.run(Engine(store, lambda _: work, lambda _job, _before: None, policy=FAST).run([ready.id]))
    return store.get(ready.id)


def make_run(name: str = "stems") -> LibraryRun:
    kind: Any = SimpleNamespace(name=name, verb="separate")
    nobody: Any = None
    return LibraryRun(nobody, nobody, kind, Manners())


def tell(job: Job, name: str = "stems") -> str:
    task = Task(item_id=17, name="Song", path=job.source.path, operation=job.operation)
    told: list[str] = []
    make_run(name)._say(lambda words, *values: told.append(words.format(*values)), task, describe_end(job))
    assert "stembridge jobs" not in told[0] and "--force" not in told[0]
    return told[0]


def test_what_is_paid_for_goes_on_with_resume(store: JobStore, work: FakeWork) -> None:
    work.fail("fetch", [RefusedError("closed")])
    assert "`beet stembridge resume`: what is done is kept, nothing is bought again" in tell(finish(store, work))


@pytest.mark.parametrize("name", ["stems", "moods"])
def test_what_is_gone_takes_the_users_word(store: JobStore, work: FakeWork, name: str) -> None:
    first = lose(store, work)
    again = finish(store, work)
    assert [job.state for job in (first, again)] == [JobState.FAILED] * 2 and first.id != again.id
    for job in (first, again):
        assert f"`beet {name} -f id:17` buys it again if need be" in tell(job, name)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("choose another place with --to FOLDER", "choose another place by a preset that says to = FOLDER"),
        ("free some space or choose another place with --to FOLDER", "another place by a preset that says to = FOLDER"),
        ("name an existing one with --to FOLDER", "name an existing one by a preset that says to = FOLDER"),
        (
            "use --format wav32f or --on-overload scale (of a preset: on_overload), or lower the source's level",
            "use a preset that says format = wav32f or on_overload = scale, or lower the source's level",
        ),
        (
            "retry the job, or separate it again with --as-is, which takes them as they came",
            "`beet stembridge retry`, or use a preset that says as_is = true, which takes them as they came",
        ),
        ("use `stembridge login mvsep`", "use `beet stembridge login mvsep`"),
        ("use `stembridge login mvsep --token`", "use `beet stembridge login mvsep -- --token`"),
        ("`stembridge account mvsep` shows", "`beet stembridge account mvsep` shows"),
        ("`stembridge jobs list` shows the ids", "`beet stembridge jobs list` shows the ids"),
        (
            "`stembridge fetch {purchase.provider} {remote_id}`",
            "`beet stembridge fetch {purchase.provider} {remote_id}`",
        ),
    ],
)
def test_remedies_are_what_somebody_in_beets_can_do(theirs: str, ours: str) -> None:
    sources = "".join(path.read_text("utf-8") for path in Path(plugin_core.__path__[0]).rglob("*.py"))
    assert theirs in sources
    assert ours in in_beets_words(f"failed: it is so; {theirs}")


def test_an_unconfirmed_job_is_looked_for_by_resume(store: JobStore, work: FakeWork) -> None:
    work.can_find = False
    work.fail("late_submit", [OutcomeUnknownError("timeout")])
    lost = finish(store, work)
    assert lost.state is JobState.UNCONFIRMED and store.goes_on(lost)
    told = tell(lost)
    assert "`beet stembridge resume` looks again" in told and "`beet stems -f id:17` sends it again" in told


@pytest.mark.parametrize("is_gone", [True, False])
def test_nobody_buys_twice_by_pressing_enter(monkeypatch: pytest.MonkeyPatch, is_gone: bool) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    def answer(prompt: str, require: bool = False) -> bool:
        asked.append((prompt, require))
        return True

    monkeypatch.setattr(ui, "input_yn", answer)
    offer = make_offer(PurchaseState.EXPIRED if is_gone else PurchaseState.KEPT)
    task = Task(item_id=17, name="Song", path=offer.source.path, operation=offer.plan.operation)
    run = make_run()
    assert run._is_granted([Ready(want=task, offer=offer)])
    ((prompt, is_required),) = asked
    assert (is_required, run._may_buy, "bought before" in prompt) == (is_gone, is_gone, is_gone)
