"""Cases 14, 15 and 35 with real processes: killed at any moment, each song is paid once and appears whole or not."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from stembridge_hot_folder.ledger import LEDGER_NAME, SongLedger, SongState
from stembridge_hot_folder.strays import HOST

from plugin_core.jobs.store import JobStore
from plugin_core.model import Separation
from plugin_core.session import STORE_NAME
from tests.hosts.hot_folder.conftest import PATIENCE, Desk, wait_for
from tests.hosts.hot_folder.guard import guarded
from tests.hosts.hot_folder.processes import finish, rows_in, start
from tests.plugin_core.cli.fakes import write_song

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

KILLS = int(os.environ.get("STEMBRIDGE_TEST_KILLS", "6"))
SONGS = int(os.environ.get("STEMBRIDGE_TEST_SONGS", 6 * KILLS))


def test_case_14_case_15_killed_at_random_each_song_is_done_exactly_once_and_never_half(desk: Desk) -> None:
    for number in range(SONGS):
        write_song(desk.root / f"{number:04}.wav", 0.1, number)
    desk.set(at_once=3)
    rng = random.Random(7)
    with guarded(desk.root) as guard:
        for kill in range(KILLS):
            # However late the kill comes, some songs are left for the next one.
            most = SONGS * (kill + 1) // (KILLS + 1)
            process = start_slow(desk, most)
            wait_for_a_moment(desk, process, rng, most if kill % 2 else 0)
            assert process.poll() is None
            assert rows_in(desk) < SONGS
            process.kill()
            process.communicate()
        process = start_slow(desk)
        try:
            wait_until_all_are_done(desk)
        finally:
            process.terminate()
            finish(process)
    assert guard.broken == []
    assert len(guard.seen) == 2 * SONGS
    assert Counter(desk.separator.paid) == {f"{number:04}.wav": 1 for number in range(SONGS)}
    assert len(list(desk.root.glob("*.stems"))) == SONGS
    assert not list(desk.root.glob("*.error.txt"))


def start_slow(desk: Desk, most: int = SONGS) -> subprocess.Popen[bytes]:
    """Start a watch whose service takes its time, so that a kill meets jobs in every state."""
    return start(desk, is_heard=False, CHEAP_SUBMIT_DELAY="0.02", CHEAP_POLLS="1", CHEAP_MOST=str(most))


def wait_for_a_moment(desk: Desk, process: subprocess.Popen[bytes], rng: random.Random, most: int) -> None:
    """Wait until anywhere between the start and the first song, or, where more songs may be done, while they are."""
    if is_late := rows_in(desk) < most:
        before = rows_in(desk)
        wait_for(lambda: rows_in(desk) > before or process.poll() is not None)
    time.sleep(rng.uniform(0, 0.1 if is_late else 1.0))


def wait_until_all_are_done(desk: Desk) -> None:
    """Wait for as long as there is any progress."""
    done = rows_in(desk)
    while done < SONGS:
        wait_for(lambda: rows_in(desk) > done, lambda: open_rows(desk))  # noqa: B023 - called at once
        done = rows_in(desk)


def open_rows(desk: Desk) -> list[tuple[bytes, str, str]]:
    """Return what is not done, with the states of the jobs."""
    with SongLedger(desk.home / LEDGER_NAME) as ledger, JobStore(desk.home / STORE_NAME) as store:
        rows = list(ledger.list([state for state in SongState if state is not SongState.DONE]))
        return [(row.path[-9:], row.state, str([store.get(one).state.value for one in row.jobs])) for row in rows]


def test_case_14_restart_goes_on_with_the_job_at_the_service_and_pays_once(desk: Desk) -> None:
    desk.song()
    process = start(desk, CHEAP_HOLD="1")
    wait_for(lambda: desk.separator.paid)
    process.kill()
    process.communicate()
    process = start(desk, "--once")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, (out, err)
    assert desk.separator.paid == ["Song.wav"]
    assert len(desk.stems()) == 2


def test_case_14_killed_before_it_was_written_down_which_job_a_song_has(desk: Desk) -> None:
    song = desk.song()
    asyncio.run(add_job(desk, song))
    # The song is complete only long after its job could have been done.
    desk.set(settle_seconds=1)
    listener = desk.once()
    assert listener.of("done") == ["Song.wav"]
    assert desk.state(song) is SongState.DONE
    assert desk.separator.paid == ["Song.wav"]


async def add_job(desk: Desk, song: Path) -> None:
    """Leave what a watch leaves that is killed between the two."""
    with desk.context().session() as session:
        source = await session.look(song)
        offer = await session.offer(source, Separation(provider="fake"))
        await session.add(source, offer.plan, host=HOST)


@pytest.mark.parametrize("when", ["half", "whole"])
def test_case_15_crash_between_download_and_publishing_leaves_nothing_half(desk: Desk, when: str) -> None:
    desk.song(seconds=0.1)
    with guarded(desk.root) as guard:
        assert finish(start(desk, "--once", CHEAP_DIES=when)) == 9
        assert guard.seen == set()
        assert [path.name for path in desk.root.iterdir() if path.suffix == ".stems"] == []
        assert list((desk.home / "staging").iterdir())
        assert finish(start(desk, "--once")) == 0
    assert guard.broken == []
    assert desk.stems() == ["Song - Instrumental.wav", "Song - Vocals.wav"]
    assert list((desk.home / "staging").iterdir()) == [], "what the crash left is swept"
    assert desk.separator.paid == ["Song.wav"]


POISON = """
import os, signal, sys

def bite(event, arguments):
    if event != "open" or not isinstance(arguments[0], (str, bytes)) or b"Poison" not in os.fsencode(arguments[0]):
        return
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(("plugin_core.audio", "plugin_core.tags")):
            os.kill(os.getpid(), signal.SIGSEGV)
        frame = frame.f_back

sys.addaudithook(bite)
"""
"""Ends whatever process decodes a file of this name, as a fault in a decoder would."""


def test_case_35_file_that_ends_every_process_that_reads_it_is_failed_and_the_rest_goes_on(
    desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(POISON)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    desk.song("Poison.wav")
    process = start(desk, PYTHONPATH=path)
    assert finish(process) == -signal.SIGSEGV
    desk.song("Good.wav", seed=2)
    note = desk.root / "Poison.wav.error.txt"
    process = start(desk, is_heard=False, PYTHONPATH=path, CHEAP_WAIT="0.1")
    wait_for(lambda: note.exists() and "times" in note.read_text("utf-8"), lambda: note.exists() and note.read_text())
    wait_for(lambda: rows_in(desk) == 1)
    process.terminate()
    finish(process)
    assert "ended the process" in note.read_text("utf-8")
    assert desk.separator.paid == ["Good.wav"]
