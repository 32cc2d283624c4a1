"""Cases 1 to 8: a song is taken when it is complete, however it comes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.plugin_core.cli.fakes import write_song

WRITER = """
import sys, time
data = open(sys.argv[1], "rb").read()
gap, parts, how = float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
step = -(-len(data) // parts)
for number in range(parts):
    mode = "wb" if number == 0 else "ab"
    if how == "reopen" or number == 0:
        out = open(sys.argv[2], mode)
    out.write(data[number * step:(number + 1) * step])
    out.flush()
    if how == "reopen":
        out.close()
    time.sleep(gap)
"""


def write_slowly(song: Path, target: Path, gap: float, parts: int, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(song), str(target), str(gap), str(parts), how])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_case_01_slow_copy_with_gaps_longer_than_the_settle_time(desk: Desk, tmp_path: Path, suffix: str) -> None:
    song = write_song(tmp_path / f"whole.{suffix}", 1.0, 1)
    target = desk.root / f"Song.{suffix}"
    with desk.running() as watch:
        # Each gap is twice the settle time: only the file's own structure tells that more is to come.
        with write_slowly(song, target, 0.25, 4, "keep"):
            pass
        watch.wait_done(target.name)
    assert desk.separator.paid == [target.name]
    assert target.read_bytes() == song.read_bytes()


def test_case_01_a_file_that_never_settles_is_warned_about_and_never_dropped(desk: Desk) -> None:
    desk.set(max_wait_seconds=0.3, settle_seconds=0.2)
    path = desk.root / "Song.wav"
    with desk.running() as watch:
        data = write_song(desk.home / "x.wav", 0.3, 1).read_bytes()
        end = time.monotonic() + 20
        while "Song.wav" not in watch.listener.of("warning"):
            assert time.monotonic() < end
            path.write_bytes(data)
            time.sleep(0.02)
        watch.wait_done("Song.wav")


def test_case_02_writer_that_opens_and_closes_many_times(desk: Desk, tmp_path: Path) -> None:
    song = write_song(tmp_path / "whole.mp3", 4.0, 1) if False else write_song(tmp_path / "whole.wav", 1.0, 1)
    target = desk.root / "Song.wav"
    with desk.running() as watch:
        with write_slowly(song, target, 0.04, 20, "reopen"):
            pass
        watch.wait_done("Song.wav")
    assert len(desk.separator.paid) == 1
    assert watch.listener.of("failed") == []


def test_case_03_preallocated_file_of_constant_size(desk: Desk, tmp_path: Path) -> None:
    data = write_song(tmp_path / "whole.wav", 1.0, 1).read_bytes()
    target = desk.root / "Song.wav"
    with desk.running() as watch:
        with target.open("wb") as out:
            out.truncate(len(data))
            step = -(-len(data) // 10)
            for start in range(0, len(data), step):
                out.write(data[start : start + step])
                out.flush()
                time.sleep(0.04)
        watch.wait_done("Song.wav")
    assert watch.listener.of("failed") == []
    assert len(desk.separator.paid) == 1


def test_case_04_old_mtime_proves_nothing(desk: Desk, tmp_path: Path) -> None:
    song = write_song(tmp_path / "whole.wav", 1.0, 1)
    target = desk.root / "Song.wav"
    half = song.stat().st_size // 2
    with desk.running() as watch:
        target.write_bytes(song.read_bytes()[:half])
        os.utime(target, (1e9, 1e9))
        time.sleep(0.25)
        assert desk.separator.paid == []
        target.write_bytes(song.read_bytes())
        os.utime(target, (1e9, 1e9))
        watch.wait_done("Song.wav")
    assert watch.listener.of("failed") == []


def test_case_05_zero_byte_placeholder_is_waited_for(desk: Desk, tmp_path: Path) -> None:
    desk.set(max_wait_seconds=0.2)
    data = write_song(tmp_path / "whole.wav", 0.2, 1).read_bytes()
    target = desk.root / "Song.wav"
    target.touch()
    with desk.running() as watch:
        watch.wait("warning", "Song.wav")
        assert desk.state(target) is None
        target.write_bytes(data)
        watch.wait_done("Song.wav")


def test_case_05_once_does_not_wait_for_a_placeholder_for_ever(desk: Desk) -> None:
    (desk.root / "Song.wav").touch()
    desk.song("Other.wav")
    assert desk.once().of("done") == ["Other.wav"]


def test_case_06_atomic_rename_in_without_a_close_event(desk: Desk) -> None:
    desk.set(rescan_seconds=3600)
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        desk.song()
        watch.wait_done("Song.wav")
    assert desk.stems() == ["Song - Instrumental.wav", "Song - Vocals.wav"]


def test_case_07_part_renamed_to_its_final_name(desk: Desk, tmp_path: Path) -> None:
    song = write_song(tmp_path / "whole.wav", 0.2, 1)
    with desk.running() as watch:
        part = desk.root / "Song.wav.part"
        part.write_bytes(song.read_bytes())
        time.sleep(0.3)
        assert desk.separator.paid == []
        part.rename(desk.root / "Song.wav")
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Song.wav"]
    assert "Song.wav.part" not in {one.name for one in watch.listener.told}


def test_case_08_whole_folder_moved_in(desk: Desk, tmp_path: Path) -> None:
    desk.set(rescan_seconds=3600)
    for number in range(3):
        write_song(tmp_path / "album" / f"disc {number}" / f"{number}.wav", 0.2, number)
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        shutil.move(tmp_path / "album", desk.root / "album")
        watch.wait_done("0.wav", "1.wav", "2.wav")


def test_case_08_nested_folders_made_with_files_at_once(desk: Desk) -> None:
    with desk.running() as watch:
        for number in range(5):
            desk.song(f"a{number}/b/c/d/{number}.wav", seed=number)
        watch.wait_done(*(f"{number}.wav" for number in range(5)))
    assert sorted(desk.separator.paid) == [f"{number}.wav" for number in range(5)]
