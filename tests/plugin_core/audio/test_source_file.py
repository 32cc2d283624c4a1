"""The status of a file tells that it is unchanged; where it could lie it is not believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_core.audio.source_file import Identity, cut_short, describe_length, held_still, look_at, show_time
from plugin_core.errors import SourceError

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def settled(age: float, ctime_age: float | None = None, inode: int = 5) -> bool:
    ages = (age, age if ctime_age is None else ctime_age)
    mtime, ctime = (NOW - round(one * SECOND) for one in ages)
    return Identity(1, inode, 100, mtime, ctime).is_settled(NOW)


def test_younger_than_two_seconds_is_racy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_core.audio.source_file.os.name", "posix")
    assert settled(2.1)
    assert not settled(1.9)
    assert not settled(100, ctime_age=1.0)
    assert not settled(1.0, ctime_age=100)


def test_dated_ahead_is_racy() -> None:
    assert not settled(-3600, ctime_age=100)


def test_a_file_without_a_number_is_never_known() -> None:
    assert not settled(100, inode=0)


def test_on_windows_no_file_is_known_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_core.audio.source_file.os.name", "nt")
    assert not settled(100)


def test_windows_has_no_ctime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path.stat()
    assert Identity.of(status).ctime_ns == status.st_ctime_ns
    with monkeypatch.context() as patched:
        patched.setattr("plugin_core.audio.source_file.os.name", "nt")
        told = Identity.of(status)
    assert told == (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, 0)


def test_a_write_with_its_time_put_back_is_seen(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"1234")
    os.utime(song, ns=(NOW, NOW))
    before = look_at(song)
    with song.open("r+b") as opened:
        opened.write(b"5")
    os.utime(song, ns=(NOW, NOW))
    assert look_at(song)[:4] == before[:4]
    assert look_at(song) != before


def test_reading_changes_nothing(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"1234")
    with held_still(song) as identity:
        song.read_bytes()
    assert identity == look_at(song)


@pytest.mark.parametrize(
    "change",
    [
        lambda song: song.write_bytes(b"12345"),
        lambda song: song.with_name("new").rename(song),
        lambda song: song.unlink(),
    ],
    ids=["grows", "is replaced", "is deleted"],
)
def test_what_happens_to_a_file_meanwhile_is_noticed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"1234")
    song.with_name("new").write_bytes(b"1234")
    with pytest.raises(SourceError, match=r"is being written|does not exist"), held_still(song):
        change(song)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        look_at(tmp_path / "gone.wav")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0, "0:00.0"), (12.34, "0:12.3"), (61.0, "1:01.0"), (3723.46, "1:02:03.4")]
)
def test_time_is_shown_as_people_write_it(seconds: float, shown: str) -> None:
    assert show_time(seconds) == shown


@pytest.mark.parametrize(
    ("frames", "told", "said"),
    [
        (2_646_000, 1_323_000, "a.flac is 1:00.0 long, though its header says 0:30.0"),
        (2_646_000, 0, "a.flac is 1:00.0 long, though its header says 0:00.0"),
        (2_646_000, 2_645_999, "a.flac is 1 sample longer than its header says"),
        (2_646_000, 2_646_100, "a.flac is 100 samples shorter than its header says"),
    ],
)
def test_length_that_is_not_the_header_s_is_said_in_time_or_samples(frames: int, told: int, said: str) -> None:
    assert describe_length(Path("a.flac"), frames, told, 44100) == f"{said}: all that it holds was read"


def test_missing_share_is_said_where_it_is_known() -> None:
    assert "a.wav is cut short: 25% of its audio is missing; copy" in str(cut_short(Path("a.wav"), 0.25))
    assert "a.wav is cut short; copy" in str(cut_short(Path("a.wav")))
