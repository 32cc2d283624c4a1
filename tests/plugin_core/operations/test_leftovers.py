"""Leftovers of killed processes: doctor tells of them, prune removes what no job needs, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin_core import Session
from plugin_core.cli.commands.doctor import CHECKS
from plugin_core.files.hidden import ABANDONED_AFTER, HiddenNotes
from plugin_core.model import Verdict
from tests import quick_start
from tests.plugin_core.cli.fakes import write_song
from tests.plugin_core.operations.running import tag

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows kills otherwise")


@pytest.fixture(scope="module")
def long_song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_song(tmp_path_factory.mktemp("long") / "Song.flac", seconds=240)


@pytest.fixture
def song(tmp_path: Path, long_song: Path) -> Path:
    (tmp_path / "music").mkdir()
    return Path(shutil.copy(long_song, tmp_path / "music" / "Song.flac"))


@contextmanager
def at_work(what: str, home: Path, song: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds a whole copy beside the song; it is killed at the end."""
    command = [sys.executable, "-m", "tests.plugin_core.operations.stopping", what, str(home), str(song)]
    with quick_start.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "at work\n"
            yield process
        finally:
            process.kill()


def hidden(song: Path) -> list[Path]:
    return sorted(song.parent.glob(".stembridge-*"))


def test_a_killed_undo_leaves_no_copy_for_ever(session: Session, song: Path, home: Path) -> None:
    original = song.read_bytes()
    tag(session, song)
    labelled = song.read_bytes()
    with at_work("undo", home, song):
        (copy,) = hidden(song)
        assert session.leftovers() == []
        session.prune(30 * 86400)
        assert hidden(song) == [copy], "a living process still works on it"
    assert session.leftovers() == [copy]
    assert hidden(song) == [copy], "a look removes nothing"
    session.prune(30 * 86400)
    assert (hidden(song), session.leftovers()) == ([], [])
    assert song.read_bytes() == labelled
    assert session.undo(song).exact
    assert song.read_bytes() == original
    assert list((home / "hidden").iterdir()) == []


def test_the_next_undo_takes_the_copy_of_a_killed_one_along(session: Session, song: Path, home: Path) -> None:
    tag(session, song)
    with at_work("undo", home, song):
        pass
    # Its song may be anywhere by now.
    moved = song.rename(song.parent.parent / "Moved.flac")
    assert len(hidden(song)) == 1
    session.undo(moved)
    assert hidden(song) == []


def test_killed_tag_runs_do_not_pile_up(session: Session, song: Path, home: Path) -> None:
    for _ in range(3):
        with at_work("tag", home, song):
            assert len(hidden(song)) == 1
    assert len(session.leftovers()) == 1
    tag(session, song)
    assert (hidden(song), session.leftovers()) == ([], [])


def test_what_a_killed_tag_left_goes_with_prune_and_its_job_stays(session: Session, song: Path, home: Path) -> None:
    with at_work("tag", home, song):
        pass
    session.prune(30 * 86400)
    assert hidden(song) == []
    (job,) = session.store.list()
    assert job.state.is_active
    tag(session, song)
    assert session.store.get(job.id).state.is_settled


def test_a_frozen_process_keeps_its_copy(session: Session, song: Path, home: Path) -> None:
    with at_work("tag", home, song) as process:
        process.send_signal(signal.SIGSTOP)
        session.prune(-1)
        assert len(hidden(song)) == 1


def test_only_what_is_noted_is_ours(session: Session, song: Path, home: Path) -> None:
    others = [song.with_name(name) for name in (".stembridge-mine.flac", ".stembridge-undo-0.flac", ".hidden")]
    for path in others:
        path.write_bytes(b"somebody else's")
    with at_work("tag", home, song):
        pass
    notes = sorted((home / "hidden").iterdir())
    # A note that says something else than it should is no licence to remove it.
    (home / "hidden" / "forged").write_bytes(os.fsencode(song))
    session.prune(30 * 86400)
    assert hidden(song) == sorted(others[:2])
    assert song.exists()
    assert not any(note.exists() for note in notes)


def test_a_copy_on_a_disk_that_is_away_stays_noted(session: Session, song: Path, home: Path) -> None:
    with at_work("tag", home, song):
        pass
    away = song.parent.rename(song.parent.with_name("away"))
    session.prune(30 * 86400)
    away.rename(song.parent)
    assert len(session.leftovers()) == 1
    session.prune(30 * 86400)
    assert hidden(song) == []


def test_what_killed_processes_left_in_the_home_goes_and_nothing_else_does(session: Session, home: Path) -> None:
    (home / "cache").mkdir()
    ours = [
        ".config.toml.0badcafe",
        f"callbacks.secret.{'0' * 32}",
        ".room-17",
        "cache/.mvsep-algorithms.json.ab12_cd9",
    ]
    ours.append(".stembridge-doctor-abc")
    others = ["config.toml", ".config.toml.backup", "callbacks.secret", "cache/mvsep-algorithms.json", "notes.txt"]
    for name in (*ours, *others):
        (home / name).touch()
    assert session.leftovers() == []
    then = session._clock() - ABANDONED_AFTER
    for name in (*ours, *others):
        os.utime(home / name, (then, then))
    assert sorted(session.leftovers()) == sorted(home / name for name in ours)
    finding = CHECKS["leftovers"](session)
    assert (finding.verdict, finding.remedy) == (Verdict.WARNING, "stembridge jobs prune")
    assert "and 4 more, left behind by earlier runs" in finding.found
    session.prune(30 * 86400)
    assert [name for name in (*ours, *others) if (home / name).exists()] == others
    assert CHECKS["leftovers"](session).verdict is Verdict.OK


def test_staging_of_a_killed_run_is_told_of_and_removed_when_no_job_needs_it(session: Session, home: Path) -> None:
    folder = home / "staging" / "0190a000-0000-7000-8000-000000000000"
    folder.mkdir(parents=True)
    (folder / "part.wav").write_bytes(bytes(1000))
    os.utime(folder, (0, 0))
    assert session.leftovers() == [folder]
    assert folder.exists()
    session.prune(30 * 86400)
    assert not folder.exists()


def test_a_note_goes_with_what_it_tells_of(home: Path, tmp_path: Path) -> None:
    notes = HiddenNotes(home)
    folder = tmp_path / ".stembridge-folder"
    with notes.noted(folder):
        folder.mkdir()
        assert (notes.find(), notes.sweep()) == ([], [])
        folder.rename(tmp_path / "Song.stems")
    assert list((home / "hidden").iterdir()) == []
    with pytest.raises(KeyboardInterrupt), notes.noted(folder):
        folder.mkdir()
        (folder / "stem.flac").touch()
        raise KeyboardInterrupt
    assert notes.find() == [folder]
    assert notes.sweep() == [folder]
    assert (notes.find(), folder.exists()) == ([], False)


def test_whoever_goes_on_under_the_name_of_a_killed_one_keeps_it(home: Path, tmp_path: Path) -> None:
    notes, copy = HiddenNotes(home), tmp_path / ".stembridge-copy"
    with pytest.raises(KeyboardInterrupt), notes.noted(copy):
        copy.touch()
        raise KeyboardInterrupt
    with notes.noted(copy):
        assert (notes.find(), notes.sweep()) == ([], [])
        assert copy.exists()
    assert notes.sweep() == [copy]
