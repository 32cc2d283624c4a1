"""A folder that is paused: nothing new is begun, what was begun goes on, and nothing is paid twice."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from stembridge_hot_folder import workers
from stembridge_hot_folder.first_look import find_twin
from stembridge_hot_folder.ledger import LEDGER_NAME, SongLedger, SongState
from stembridge_hot_folder.status import pause_folders, show_status
from stembridge_hot_folder.strays import HOST, Strays, is_begun

from plugin_core import JobSet
from plugin_core.errors import ExitCode, UsageError
from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState
from plugin_core.operations.separation import SeparationWork
from plugin_core.session import STORE_NAME, Session
from tests.hosts.hot_folder.conftest import PATIENCE, Desk, wait_for
from tests.plugin_core.cli.jobs import make_job


def pause(desk: Desk, *, is_paused: bool = True) -> None:
    assert pause_folders(desk.context(), [desk.root], is_paused=is_paused, as_json=False) == ExitCode.DONE


def said(listener: object, words: str) -> bool:
    return any(words in one.text for one in listener.told)  # type: ignore[attr-defined]


def states(desk: Desk) -> list[JobState]:
    with JobStore(desk.home / STORE_NAME) as store:
        return sorted(job.state for job in store.list())


def status(desk: Desk, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    show_status(desk.context(), [desk.root], as_json=False)
    return capsys.readouterr().out


def test_what_is_paid_for_goes_on_and_the_rest_waits_also_after_a_restart(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.separator = type(desk.separator)(desk.separator.ledger, slots=1)
    desk.separator.hold = True
    first = desk.song("A.wav", seed=1)
    with desk.running() as running:
        wait_for(lambda: desk.separator.paid == [first.name])
        desk.song("B.wav", seed=2)
        # Its job is made, and waits for the one place that there is.
        wait_for(lambda: states(desk) == [JobState.QUEUED, JobState.RUNNING])
        pause(desk)
        wait_for(lambda: said(running.listener, "paused, what is at work goes on"))
        desk.song("C.wav", seed=3)
        running.wait("queued", "C.wav")
        desk.separator.hold = False
        running.wait_done("A.wav")
        wait_for(lambda: "waiting     C.wav" in status(desk, capsys).replace(f"{desk.root}/", ""))
        told = status(desk, capsys)
        assert "(watched, paused since 20" in told
        assert told.count("its folder is paused") == 2
        assert desk.separator.paid == ["A.wav"]
    with desk.running() as running:
        wait_for(lambda: said(running.listener, "paused, what is at work goes on"))
        running.wait("queued", "C.wav")
        assert "paused since 20" in status(desk, capsys)
        assert desk.separator.paid == ["A.wav"]
        pause(desk, is_paused=False)
        running.wait_done("B.wav", "C.wav")
    assert sorted(desk.separator.paid) == ["A.wav", "B.wav", "C.wav"]
    assert states(desk) == [JobState.DONE] * 3


def test_paused_in_the_middle_of_a_purchase_or_of_the_first_look(desk: Desk) -> None:
    desk.separator.submit_delay = 0.5
    desk.song("A.wav", seed=1)
    with desk.running() as running:
        wait_for(desk.separator.asked.exists)
        pause(desk)
        running.wait_done("A.wav")
        assert desk.separator.paid == ["A.wav"]
        wait_for(lambda: said(running.listener, "paused, what is at work goes on"))
        desk.song("B.wav", seed=2)
        running.wait("queued", "B.wav")
    # One that is done only where nothing new may be begun is not done, and says so.
    left = desk.once()
    assert (left.code, left.of("taken")) == (ExitCode.FAILED, [])  # type: ignore[attr-defined]
    pause(desk, is_paused=False)
    assert desk.once().of("done") == ["B.wav"]
    assert desk.separator.paid == ["A.wav", "B.wav"]


@pytest.mark.parametrize("moment", ["offer", "add"])
def test_paused_while_a_song_is_looked_at_buys_nothing_until_it_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    ask, asked, paused = getattr(Session, moment), threading.Event(), threading.Event()

    async def ask_slowly(self: Session, *args: Any, **options: Any) -> Any:
        asked.set()
        await asyncio.to_thread(paused.wait, PATIENCE)
        return await ask(self, *args, **options)

    monkeypatch.setattr(Session, moment, ask_slowly)
    desk.song("A.wav", seed=1)
    with desk.running() as running:
        wait_for(asked.is_set)
        pause(desk)
        wait_for(lambda: said(running.listener, "paused, what is at work goes on"))
        paused.set()
        wait_for(lambda: not running.watch._workers.working)
        # No job where none was made yet: another process would do it.
        assert states(desk) == ([] if moment == "offer" else [JobState.QUEUED])
        pause(desk, is_paused=False)
        running.wait_done("A.wav")
    assert desk.separator.paid == ["A.wav"]


def test_what_the_engine_took_up_in_the_moment_of_the_pause_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, begun, paused = SeparationWork.prepare, threading.Event(), threading.Event()

    async def prepare_slowly(self: SeparationWork, *args: Any) -> None:
        begun.set()
        await asyncio.to_thread(paused.wait, PATIENCE)
        await prepare(self, *args)

    monkeypatch.setattr(SeparationWork, "prepare", prepare_slowly)
    desk.song("A.wav", seed=1)
    with desk.running() as running:
        wait_for(begun.is_set)
        pause(desk)
        wait_for(lambda: said(running.listener, "paused, what is at work goes on"))
        wait_for(lambda: not running.watch._workers.working)
        paused.set()
        running.wait_done("A.wav")
    assert desk.separator.paid == ["A.wav"]


def test_what_is_paid_for_is_finished_by_a_watch_of_a_paused_folder_and_a_new_version_waits(desk: Desk) -> None:
    other = desk.root.with_name("other")
    other.mkdir()
    desk.separator.hold = True
    desk.song("A.wav", seed=1)
    with desk.running():
        wait_for(lambda: desk.separator.paid)
    pause(desk)
    desk.separator.hold = False
    with desk.running(desk.root, other) as running:
        running.wait_done("A.wav")
        assert [one.text.partition(":")[0] for one in running.listener.told if "paused" in one.text] == [str(desk.root)]
        desk.song("A.wav", seed=2)
        running.wait("queued", "A.wav")
        wait_for(lambda: running.watch.counts().waiting == 1)
    assert desk.separator.paid == ["A.wav"]


def test_a_song_that_is_renamed_and_finished_while_paused_is_found_done(desk: Desk) -> None:
    song = desk.song("A.wav", seed=1)
    desk.once()
    row = desk.row(song)
    assert row is not None
    # As it is left then: its job is done, and nobody came to say so of the song, which waited under its new name.
    left = msgspec.structs.replace(row, state=SongState.WORKING)
    with SongLedger(desk.home / LEDGER_NAME) as ledger, desk.context().session() as session:
        ledger.put(left)
        path = os.fsencode(song.with_name("B.wav"))
        assert find_twin(session, ledger, path, {row.content}, row.recipe) is None
        song.rename(song.with_name("B.wav"))
        assert find_twin(session, ledger, path, {row.content}, row.recipe) == (ledger.get(row.path), b"")


def test_what_counts_as_begun() -> None:
    queued = make_job(JobState.QUEUED)
    assert not is_begun(queued)
    # Work of this machine, and what was bought and is tried once more.
    assert is_begun(msgspec.structs.replace(queued, state=JobState.RUNNING))
    assert is_begun(msgspec.structs.replace(queued, purchase="bought"))


def test_of_songs_that_left_their_place_only_what_is_begun_is_worked_on_while_paused() -> None:
    jobs = {
        "begun": make_job(JobState.RUNNING, job_id="begun", path=Path("/in/Begun.wav")),
        "queued": make_job(JobState.QUEUED, job_id="queued", path=Path("/in/Queued.wav")),
    }
    withdrawn: list[str] = []
    now = 0.0
    store = SimpleNamespace(find_all=lambda ids: [jobs[one] for one in ids], withdraw=withdrawn.append)
    told = SimpleNamespace(tell=lambda *_: None)
    tools: Any = SimpleNamespace(
        paused={b"/in"}, roster=JobSet(), clock=lambda: now, session=SimpleNamespace(store=store),
        settings=SimpleNamespace(attempts=10), reporter=told,
    )  # fmt: skip
    folder: Any = SimpleNamespace(path=b"/in", patience=SimpleNamespace(settle=1.0), rescan=1.0)
    strays = Strays(tools, lambda _job: False, lambda _path: False, lambda _folder, _path: None)
    for name, job in jobs.items():
        jobs[name] = msgspec.structs.replace(job, host=HOST)
        strays.add(folder, bytes(job.source.path), [name])
    assert tools.roster.ids == {"begun"}
    # ``--once`` ends where the rest waits for somebody's word.
    assert strays.waited_for == 1
    now = 1000.0
    strays.look((), is_expecting=False)
    assert (withdrawn, tools.roster.ids) == ([], {"begun"})
    tools.paused.clear()
    strays.look((), is_expecting=True)
    assert tools.roster.ids == {"begun", "queued"}
    tools.paused.add(b"/in")
    strays.look((), is_expecting=True)
    assert tools.roster.ids == {"begun"}
    tools.paused.clear()
    strays.look((), is_expecting=False)
    assert withdrawn == ["begun", "queued"]
    # What is withdrawn comes to its end, paused or not.
    tools.paused.add(b"/in")
    jobs["queued"] = msgspec.structs.replace(jobs["queued"], cancel=True)
    strays.look((), is_expecting=False)
    assert tools.roster.ids == {"begun", "queued"}


def test_a_folder_is_paused_before_it_is_ever_watched_and_one_that_is_none_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    def pause_all(*, is_paused: bool) -> str:
        pause_folders(desk.context(), [], is_paused=is_paused, as_json=False)
        return capsys.readouterr().out

    pause(desk, is_paused=False)
    assert "no folder was watched yet" in pause_all(is_paused=True)
    assert not (desk.home / LEDGER_NAME).exists()
    pause(desk)
    desk.song("A.wav")
    assert desk.once().of("taken") == []
    assert desk.separator.paid == []
    with pytest.raises(UsageError, match="no such folder"):
        pause_folders(desk.context(), [desk.root / "none"], is_paused=True, as_json=False)
    # All that are known, and one whose disk is away.
    capsys.readouterr()
    assert pause_all(is_paused=False) == f"{desk.root}: going on, from when it is watched again\n"
    desk.root.rename(desk.root.with_name("away"))
    pause(desk)
    assert capsys.readouterr().out == f"{desk.root}: paused, from when it is watched again\n"


def test_what_the_engine_tells_is_shown_and_wakes_its_song_and_what_goes_before_its_turn_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_LOOK_EVERY", 3600.0)
    with desk.running() as running:
        shown: list[JobState] = []
        running.listener.change = lambda job, previous: shown.append(job.state)  # type: ignore[method-assign]
        desk.song("A.wav", seed=1)
        running.wait_done("A.wav")
        assert {JobState.RUNNING, JobState.DONE} <= set(shown)
        pause(desk)
        wait_for(lambda: said(running.listener, "paused, what is at work goes on"))
        song = desk.song("B.wav", seed=2)
        running.wait("queued", "B.wav")
        song.unlink()
        running.wait("gone", "B.wav")
        # A song that nobody waits for is nothing to tell of.
        (desk.root / "A.wav").unlink()
        desk.song("C.wav", seed=3)
        running.wait("queued", "C.wav")
        assert running.listener.of("gone") == ["B.wav"]
