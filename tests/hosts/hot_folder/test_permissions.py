"""Case 21 with permissions that count, also for root: a watch in a process that may not pass over them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.hosts.hot_folder.processes import finish, rows_in, start, unprivileged, wait_until_said

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")


def test_case_21_unreadable_song_and_the_rest_goes_on(desk: Desk) -> None:
    song = desk.song()
    song.chmod(0)
    note = desk.root / "Song.wav.error.txt"
    process = start(desk, within=unprivileged(), CHEAP_WAIT="0.2")
    wait_for(note.exists)
    assert "may not be read" in note.read_text("utf-8")
    desk.song("Other.wav", seed=2)
    wait_for(lambda: rows_in(desk) == 1)
    assert desk.separator.paid == ["Other.wav"]
    song.chmod(0o600)
    wait_for(lambda: rows_in(desk) == 2)
    process.terminate()
    assert finish(process) == 0
    assert desk.separator.paid == ["Other.wav", "Song.wav"]
    assert not note.exists()


def test_case_21_folder_that_may_not_be_written_is_waited_for_before_anything_is_paid(desk: Desk) -> None:
    folder = desk.song("album/Song.wav").parent
    folder.chmod(0o500)
    process = start(desk, within=unprivileged(), CHEAP_WAIT="0.2")
    assert process.stderr is not None
    wait_until_said(process.stderr, b"nothing can be written in")
    assert desk.separator.paid == []
    folder.chmod(0o700)
    wait_for(lambda: rows_in(desk) == 1)
    process.terminate()
    assert finish(process) == 0
    assert desk.separator.paid == ["Song.wav"]


def test_case_21_finished_song_that_may_not_be_moved_is_moved_later_and_paid_once(desk: Desk) -> None:
    done = desk.root / "done"
    done.mkdir(mode=0o500)
    desk.set(done="done")
    song = desk.song()
    process = start(desk, within=unprivileged(), CHEAP_WAIT="0.2")
    assert process.stderr is not None
    wait_until_said(process.stderr, b"what is done waits to be moved")
    assert song.exists()
    done.chmod(0o700)
    wait_for(lambda: rows_in(desk) == 1)
    process.terminate()
    assert finish(process) == 0
    assert desk.separator.paid == ["Song.wav"]
    assert sorted(path.name for path in done.iterdir()) == ["Song.stems", "Song.wav"]
    assert Path(done, "Song.wav").stat().st_size


def test_stems_take_group_and_setgid_of_the_drop_folder(desk: Desk, tmp_path: Path) -> None:
    group = next((one for one in (*os.getgroups(), 1234) if one != os.getegid()), os.getegid())
    try:
        os.chown(desk.root, -1, group)
    except PermissionError:
        pytest.skip("needs a group besides the user's own")
    desk.root.chmod(0o2770)
    desk.set(done="done")
    desk.song("album/Song.wav")
    (desk.root / "album").chmod(0o2770)
    assert desk.once().of("done") == ["Song.wav"]
    stems = desk.root / "done" / "album" / "Song.stems"
    assert len(list(stems.iterdir())) == 2
    for path in (desk.root / "done", stems.parent, stems, *stems.iterdir()):
        assert path.stat().st_gid == group, path
        assert bool(path.stat().st_mode & 0o2000) == path.is_dir(), path
