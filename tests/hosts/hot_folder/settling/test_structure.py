"""What files say of their own length: whole ones are whole, cut ones are not, and what does not say counts as whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stembridge_hot_folder.settling import flac_end
from stembridge_hot_folder.settling.structure import is_whole

from tests.audio_files import encode, truncate, write_song

SHARES = (0.001, 0.05, 0.3, 0.5, 0.75, 0.9, 0.99)


def make(tmp_path: Path, kind: str) -> Path:
    if kind == "m4a":
        return encode(write_song(tmp_path / "s.wav", 2.0), tmp_path / "Song.m4a")
    if kind == "flac by ffmpeg":
        return encode(write_song(tmp_path / "s.wav", 2.0), tmp_path / "Song.flac")
    return write_song(tmp_path / f"Song.{kind}", 2.0)


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "flac by ffmpeg", "m4a"])
def test_whole_is_whole_and_cut_is_not(tmp_path: Path, kind: str) -> None:
    song = make(tmp_path, kind)
    assert is_whole(os.fsencode(song))
    data = song.read_bytes()
    for share in SHARES:
        song.write_bytes(data)
        assert not is_whole(os.fsencode(truncate(song, share))), share


def test_preallocated_flac_is_not_whole(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.flac", 2.0)
    size = song.stat().st_size
    truncate(song, 0.7)
    os.truncate(song, size)
    assert not is_whole(os.fsencode(song))


def test_flac_with_an_old_tag_at_its_end_is_whole(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.flac", 2.0)
    song.write_bytes(song.read_bytes() + b"TAG" + bytes(125))
    assert is_whole(os.fsencode(song))


@pytest.mark.parametrize("kind", ["ogg", "mp3"])
def test_kinds_that_do_not_say_count_as_whole(tmp_path: Path, kind: str) -> None:
    assert is_whole(os.fsencode(truncate(write_song(tmp_path / f"Song.{kind}", 2.0), 0.5)))


def test_missing_file_is_somebody_elses_to_tell(tmp_path: Path) -> None:
    assert is_whole(os.fsencode(tmp_path / "none.wav"))


def stream_info(samples: int = 0, longest: int = 0xFFFFFF) -> bytes:
    block = bytearray(34)
    block[2:4] = (4096).to_bytes(2, "big")
    block[7:10] = longest.to_bytes(3, "big")
    block[13:18] = samples.to_bytes(5, "big")
    return bytes(block)


FRAME = b"\xff\xf8\xc9\x10\x00\x00"


@pytest.mark.parametrize("rest", ["blocks", "syncs", "frames"])
def test_flac_made_up_to_keep_its_reader_busy_is_soon_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    """Each of these once took minutes to hours in the loop of the watch."""
    frame = FRAME[:5] + bytes([flac_end._crc8(FRAME[:5])])
    fillings = {
        "blocks": b"fLaC" + bytes([0, 0, 0, 34]) + stream_info() + bytes(4 * 1_000_000),
        "syncs": b"fLaC" + bytes([0x80, 0, 0, 34]) + stream_info() + b"\xff\xf8" * 2_000_000,
        "frames": b"fLaC" + bytes([0x80, 0, 0, 34]) + stream_info() + frame * 1_000_000,
    }
    song = tmp_path / "Song.flac"
    song.write_bytes(fillings[rest])
    assert len(fillings[rest]) > flac_end._LONGEST_FRAME
    checked: list[int] = []
    headers: list[bytes] = []
    end_of_frame = flac_end._end_of_frame

    def count_headers(frame: bytes, info: flac_end.StreamInfo) -> int | None:
        headers.append(frame)
        return end_of_frame(frame, info)

    def count_checked(data: bytes) -> int:
        checked.append(len(data))
        return 1

    monkeypatch.setattr(flac_end, "_end_of_frame", count_headers)
    monkeypatch.setattr(flac_end, "_crc16", count_checked)
    assert not is_whole(os.fsencode(song))
    assert sum(checked) <= flac_end._MOST_CHECKED
    assert len(headers) <= flac_end._MOST_TRIES
    assert bool(headers) == (rest != "blocks")
    assert bool(checked) == (rest == "frames")
