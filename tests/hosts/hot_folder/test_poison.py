"""Case 35: a file that ends its reader is failed; one that was only being read when the watch was killed is not."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from stembridge_hot_folder import files, queue
from stembridge_hot_folder.files import read_identity
from stembridge_hot_folder.ledger import LEDGER_NAME, Look, SongLedger, SongState

from tests.hosts.hot_folder.conftest import PATIENCE, Desk, wait_for
from tests.hosts.hot_folder.processes import finish, start
from tests.plugin_core.cli.fakes import write_song

KILLS = 12

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


def suspect(desk: Desk, song: Path, deaths: int = 0) -> None:
    """Leave the trace of a process that ended while it read a song."""
    identity = read_identity(os.fsencode(song))
    assert identity is not None
    with SongLedger(desk.home / LEDGER_NAME) as ledger:
        look = Look(path=os.fsencode(song), root=os.fsencode(desk.root), identity=identity, deaths=deaths)
        ledger.begin_look(look)


def looks(desk: Desk) -> list[Look]:
    with SongLedger(desk.home / LEDGER_NAME) as ledger:
        return ledger.looks(os.fsencode(desk.root))


def test_case_35_innocent_song_is_done_however_often_the_watch_was_killed_while_it_was_read(desk: Desk) -> None:
    # Reading a pipe's worth of time: the song is long enough to be caught being read.
    write_song(desk.root / "Song.wav", 600.0, 1)
    for _ in range(KILLS):
        process = start(desk, is_heard=False)
        end = time.monotonic() + PATIENCE
        while not looks(desk) and desk.state(desk.root / "Song.wav") is None:
            assert time.monotonic() < end
            time.sleep(0.002)
        process.kill()
        process.communicate()
        if desk.state(desk.root / "Song.wav") is not None:
            pytest.skip("this machine reads too fast to be caught")
    assert [look.deaths for look in looks(desk)] == [0]
    assert finish(start(desk, "--once")) == 0
    assert desk.state(desk.root / "Song.wav") is SongState.DONE
    assert looks(desk) == []


def test_case_35_song_that_ends_its_reader_each_time_is_failed_and_the_others_are_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FIRST_WAIT", 0.1)
    crash = "import os, sys; os.path.basename(sys.argv[1]) == 'Bad.wav' and os.abort()"
    monkeypatch.setattr(files, "command", (sys.executable, "-c", crash))
    bad, good = desk.song("Bad.wav", seed=1), desk.song("Good.wav", seed=2)
    suspect(desk, bad)
    suspect(desk, good)
    with desk.running() as watch:
        watch.wait("failed", "Bad.wav")
        watch.wait_done("Good.wav")
    assert f"ended the process that read it, {files.DEATHS} times" in watch.listener.reasons("Bad.wav")[-1]
    assert looks(desk) == []
    assert desk.separator.paid == ["Good.wav"]


def test_case_35_deaths_are_counted_across_restarts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "command", (sys.executable, "-c", "import os; os.abort()"))
    song = desk.song()
    suspect(desk, song)
    for deaths in range(1, files.DEATHS):
        assert desk.once().of("waits") == ["Song.wav"]
        assert [look.deaths for look in looks(desk)] == [deaths]
    assert desk.once().of("failed") == ["Song.wav"]


def test_case_35_new_version_of_a_suspect_is_no_suspect(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "command", (sys.executable, "-c", "import os; os.abort()"))
    suspect(desk, desk.song(seed=1), deaths=files.DEATHS - 1)
    desk.song(seed=2)
    assert desk.once().of("done") == ["Song.wav"]


def test_reader_reads_songs_and_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "Bad.wav").write_text("just words, no audio")
    assert files.main(write_song(tmp_path / "Song.wav")) == 0
    assert files.main(tmp_path / "Bad.wav") == 1
    assert files.main(tmp_path / "missing.wav") == 1


def test_ending_the_watch_while_it_reads_leaves_no_suspect(desk: Desk) -> None:
    write_song(desk.root / "Song.wav", 600.0, 1)
    process = start(desk, is_heard=False)
    wait_for(lambda: looks(desk) or desk.state(desk.root / "Song.wav"))
    process.terminate()
    process.wait(timeout=PATIENCE)
    assert looks(desk) == []


def test_user_s_word_outlives_a_crash_while_the_song_is_read_again(desk: Desk) -> None:
    from stembridge_hot_folder.status import retry_songs

    song = desk.song()
    desk.once()
    retry_songs(desk.context(), [song], failed=False, as_json=True)
    suspect(desk, song)
    assert desk.once().of("done") == ["Song.wav"]
    assert desk.separator.paid == ["Song.wav", "Song.wav"]
