"""Cases 1 to 8: a song is taken when it is complete, however it comes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import soundfile
from stembridge_hot_folder.files import is_hollow

from tests import audio_files
from tests.hosts.hot_folder.conftest import PATIENCE, Desk, wait_for
from tests.plugin_core.cli.fakes import write_song

WRITER = """
import os, sys, time
data = open(sys.argv[1], "rb").read()
longest, last = 0.0, time.monotonic()
gap, parts, how = float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
step = -(-len(data) // parts)
for number in range(parts):
    if how == "reopen" or number == 0:
        out = open(sys.argv[2], "wb" if number == 0 else "ab")
    if how == "reserve" and number == 0:
        os.posix_fallocate(out.fileno(), 0, len(data))
    out.write(data[number * step:(number + 1) * step])
    out.flush()
    if how == "reopen":
        out.close()
    if how == "old":
        os.utime(sys.argv[2], (1e9, 1e9))
    longest, last = max(longest, time.monotonic() - last), time.monotonic()
    time.sleep(gap)
with open(sys.argv[1] + ".gap", "w") as out:
    out.write(str(longest))
"""


def write_slowly(song: Path, target: Path, gap: float, parts: int, how: str) -> subprocess.Popen[bytes]:
    """Start a process that copies a song in parts.

    Args:
        song: what to copy.
        target: where to.
        gap: seconds after each part.
        parts: how many.
        how: "keep" the file open, "reopen" it for each part, "reserve" its whole length first, or give it an "old"
            time after each part.
    """
    return subprocess.Popen([sys.executable, "-c", WRITER, str(song), str(target), str(gap), str(parts), how])


def longest_gap(song: Path) -> float:
    """Return the most seconds that ``write_slowly`` left between two parts: a busy machine makes them more."""
    return float(Path(f"{song}.gap").read_text())


def ever_slower(desk: Desk) -> Iterator[tuple[Desk, float]]:
    """Yield desks with longer and longer settle times, for tests that go on until this machine keeps up with one."""
    for settle in (0.6, 3.0, 15.0):
        root, home = desk.root / str(settle), desk.home / str(settle)
        root.mkdir()
        home.mkdir()
        slower = Desk(root, home)
        slower.set(settle_seconds=settle)
        yield slower, settle
    pytest.skip("this machine is too busy for steady copies")


def copy_steadily(desk: Desk, tmp_path: Path, suffix: str, how: str) -> None:
    """Have a song copied in many parts, none long after the last, and expect it to be taken once, when it is whole."""
    song = audio_files.write_song(tmp_path / f"whole.{suffix}", 2.0, 8000)
    for desk, settle in ever_slower(desk):  # noqa: B020 - each takes the place of the one before
        target = desk.root / f"Song.{suffix}"
        taken: list[bytes] = []
        with desk.running() as watch:
            watch.listener.on["taken"] = lambda: taken.append(target.read_bytes())  # noqa: B023 - ends with the turn
            with write_slowly(song, target, settle / 10, 16, how):
                watch.wait("settling", target.name)
            watch.wait_done(target.name)
        if longest_gap(song) < settle:
            break
    assert taken == [song.read_bytes()]
    assert desk.separator.paid == [target.name]
    assert watch.listener.of("taken") == [target.name]
    assert watch.listener.of("failed") == []
    assert target.read_bytes() == song.read_bytes()


STRUCTURES = pytest.mark.parametrize("suffix", ["wav", "mp3"], ids=["says its length", "says nothing"])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_case_01_slow_copy_with_gaps_longer_than_the_settle_time(desk: Desk, tmp_path: Path, suffix: str) -> None:
    song = write_song(tmp_path / f"whole.{suffix}", 1.0, 1)
    target = desk.root / f"Song.{suffix}"
    desk.set(settle_seconds=0.4)
    with desk.running() as watch:
        # Each gap is twice the settle time: only the file's own structure tells that more is to come, which is believed
        # for twelve settle times; a busy machine makes the gaps longer.
        with write_slowly(song, target, 0.8, 3, "keep"):
            pass
        watch.wait_done(target.name)
    assert desk.separator.paid == [target.name]
    assert target.read_bytes() == song.read_bytes()


def test_case_01_a_file_that_never_settles_is_warned_about_and_never_dropped(desk: Desk) -> None:
    desk.set(max_wait_seconds=0.3, settle_seconds=0.2)
    path = desk.root / "Song.wav"
    with desk.running() as watch:
        data = write_song(desk.home / "x.wav", 0.3, 1).read_bytes()
        end = time.monotonic() + PATIENCE
        while "Song.wav" not in watch.listener.of("warning"):
            assert time.monotonic() < end
            path.write_bytes(data)
            time.sleep(0.02)
        watch.wait_done("Song.wav")


def test_case_01_song_that_grows_after_it_was_taken_is_done_anew(desk: Desk, tmp_path: Path) -> None:
    # An MP3 without a header does not say how long it is: after a long gap nothing tells that more is to come.
    wave = audio_files.write_song(tmp_path / "whole.wav", 2.0)
    bare = ("-ar", "48000", "-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0")
    frames = audio_files.encode(wave, tmp_path / "whole.mp3", *bare).read_bytes()
    size = 144 * 64_000 // 48_000
    half = len(frames) // size // 2 * size
    desk.separator.hold = True
    with desk.running() as watch:
        with (desk.root / "Song.mp3").open("wb") as out:
            out.write(frames[:half])
            out.flush()
            wait_for(lambda: desk.separator.paid, lambda: watch.listener.told)
            out.write(frames[half:])
        wait_for(lambda: desk.separator.cancelled)
        desk.separator.hold = False
        watch.wait_done("Song.mp3")
    assert desk.stems() == ["Song - Instrumental.wav", "Song - Vocals.wav"]
    assert soundfile.info(desk.root / "Song.stems" / "Song - Vocals.wav").duration == pytest.approx(2.0, abs=0.2)


@STRUCTURES
def test_case_02_writer_that_opens_and_closes_many_times(desk: Desk, tmp_path: Path, suffix: str) -> None:
    copy_steadily(desk, tmp_path, suffix, "reopen")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no room")
@STRUCTURES
def test_case_03_preallocated_file_of_constant_size(desk: Desk, tmp_path: Path, suffix: str) -> None:
    copy_steadily(desk, tmp_path, suffix, "reserve")


@STRUCTURES
def test_case_04_old_mtime_proves_nothing(desk: Desk, tmp_path: Path, suffix: str) -> None:
    copy_steadily(desk, tmp_path, suffix, "old")


def test_case_05_zero_byte_placeholder_is_waited_for(desk: Desk, tmp_path: Path) -> None:
    # Longer than a file is waited for whose structure promises more.
    desk.set(settle_seconds=0.02, max_wait_seconds=0.6)
    data = write_song(tmp_path / "whole.wav", 0.2, 1).read_bytes()
    target = desk.root / "Song.wav"
    target.touch()
    with desk.running() as watch:
        watch.wait("warning", "Song.wav")
        assert desk.state(target) is None
        target.write_bytes(data)
        watch.wait_done("Song.wav")


def test_case_05_placeholder_of_full_size_is_waited_for_and_taken_when_it_fills(desk: Desk, tmp_path: Path) -> None:
    """A cloud's client changes neither size nor time of a file when it fetches what is in it."""
    desk.set(settle_seconds=0.02, max_wait_seconds=0.6)
    song = write_song(tmp_path / "whole.wav", 0.2, 1)
    target = desk.root / "Song.wav"
    hidden = desk.home / "Song.wav"
    hidden.touch()
    os.truncate(hidden, song.stat().st_size)
    os.utime(hidden, (1e9, 1e9))
    hidden.rename(target)
    before = target.stat()
    if getattr(before, "st_blocks", True):
        pytest.skip("this file system knows no holes")
    with desk.running() as watch:
        watch.wait("warning", "Song.wav")
        assert desk.state(target) is None
        with target.open("r+b") as opened:
            opened.write(song.read_bytes())
        os.utime(target, (1e9, 1e9))
        assert (target.stat().st_size, target.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        watch.wait_done("Song.wav")
        assert watch.listener.of("failed") == []
        # Its content goes back to the cloud: it is done all the same.
        target.write_bytes(b"")
        os.truncate(target, before.st_size)
        os.utime(target, (1e9, 1e9))
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")
        wait_for(lambda: not len(watch.watch._intakes[0].settler))
    assert desk.separator.paid == ["Song.wav", "Other.wav"]
    assert watch.listener.of("skipped") == []


@pytest.mark.parametrize(
    "field", [{"st_flags": 0x40000000}, {"st_file_attributes": 0x400000}], ids=["macOS", "Windows"]
)
def test_case_05_placeholders_of_other_systems_are_known_by_their_flags(tmp_path: Path, field: dict[str, int]) -> None:
    song = write_song(tmp_path / "whole.wav", 0.2, 1)
    known = {name: getattr(song.stat(), name) for name in ("st_size", "st_blocks")}
    assert not is_hollow(os.fsencode(song), cast("os.stat_result", SimpleNamespace(**known)))
    assert is_hollow(os.fsencode(song), cast("os.stat_result", SimpleNamespace(**known | field)))


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
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")
        part.rename(desk.root / "Song.wav")
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Other.wav", "Song.wav"]
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
