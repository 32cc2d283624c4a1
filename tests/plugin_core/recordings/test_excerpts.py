"""An MP4 that is trimmed by its edit list is a part of the recording, and never taken for the whole."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from plugin_core.audio.probe import identify
from plugin_core.recordings.digest import digest_of, pcm1_of
from tests.plugin_core.recordings.songs import SECONDS, Songs, run

pytestmark = pytest.mark.usefixtures("ffmpeg")

RATE = 44100


def trim(path: Path, edits: Sequence[tuple[float, float]]) -> Path:
    """Write another edit list, (start, seconds) each, as editors do that do not touch the sound; -1 is silence."""
    data = bytearray(path.read_bytes())
    edts, moov, trak = (data.find(name) - 4 for name in (b"edts", b"moov", b"trak"))
    clock = struct.unpack_from(">I", data, data.find(b"mvhd") + 16)[0]
    entries = b"".join(
        struct.pack(">Iii", round(seconds * clock), -1 if start < 0 else round(start * RATE), 1 << 16)
        for start, seconds in edits
    )
    elst = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    box = struct.pack(">I4s", 8 + len(elst), b"edts") + elst
    old = struct.unpack_from(">I", data, edts)[0]
    assert data.find(b"mdat") < moov, "the offsets of the sound must stay"
    for at in (moov, trak):
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(box) - old)
    data[edts : edts + old] = box
    path.write_bytes(data)
    return path


def test_trimmed_it_is_a_slice_of_the_recording(songs: Songs, tmp_path: Path) -> None:
    song = trim(songs.copy("m4a", tmp_path), [(1.0, 1.5)])
    assert identify(song).duration == pytest.approx(1.5, abs=0.05)
    told = digest_of(song)
    assert told != songs.hear("m4a")
    assert told == f"{songs.hear('m4a')}:{RATE}:{RATE}+66150"


def test_trimmed_elsewhere_it_is_another_slice(songs: Songs, tmp_path: Path) -> None:
    one = digest_of(trim(songs.copy("m4a", tmp_path), [(1.0, 1.5)]))
    assert digest_of(trim(songs.copy("m4a", tmp_path), [(0.9, 1.5)])) != one
    assert digest_of(trim(songs.copy("m4a", tmp_path), [(1.0, 1.4)])) != one


@pytest.mark.parametrize(
    "edits",
    [[(0.0, SECONDS)], [(0.4, SECONDS - 0.4)], [(-1.0, 2.0), (0.0, SECONDS)], [(0.0, 1.0), (1.0, SECONDS - 1.0)]],
    ids=["all", "padding", "silence before", "cut in two that follow"],
)
def test_less_than_half_a_second_is_padding(songs: Songs, tmp_path: Path, edits: list[tuple[float, float]]) -> None:
    assert digest_of(trim(songs.copy("m4a", tmp_path), edits)) == songs.hear("m4a")


def test_pieces_that_lie_apart_are_told_by_their_bytes(songs: Songs, tmp_path: Path) -> None:
    assert digest_of(trim(songs.copy("m4a", tmp_path), [(0.0, 1.0), (2.0, 1.0)])).startswith("raw1:")


def test_trimmed_alac_is_what_is_heard(songs: Songs, tmp_path: Path) -> None:
    song = trim(songs.copy("alac.m4a", tmp_path), [(1.0, 1.5)])
    told = digest_of(song)
    assert told == pcm1_of(song, identify(song))
    assert told != songs.hear("wav")


def test_first_of_two_audio_tracks(songs: Songs, tmp_path: Path) -> None:
    two = tmp_path / "two.mp4"
    run(
        *("ffmpeg", "-i", "{one}", "-i", "{two}", "-map", "0:a", "-map", "1:a", "-c", "copy", "{new}"),
        one=songs.get("m4a"),
        two=songs.get("mp3"),
        new=two,
    )
    assert digest_of(two) == songs.hear("m4a")


@pytest.mark.parametrize("cut", [8, 40, 200, 600])
def test_a_damaged_index_is_no_traceback(songs: Songs, tmp_path: Path, cut: int) -> None:
    song = songs.copy("m4a", tmp_path)
    data = bytearray(song.read_bytes())
    at = data.find(b"moov") + cut
    data[at : at + 40] = b"\xff" * 40
    song.write_bytes(data)
    assert digest_of(song).startswith(("pkt1:", "raw1:"))


def turn_down(path: Path, decibels: float) -> Path:
    """Write a gain into the first page of Ogg, with its checksum."""
    data = bytearray(path.read_bytes())
    at = data.find(b"OpusHead") + 16
    data[at : at + 2] = round(decibels * 256).to_bytes(2, "little", signed=True)
    data[22:26] = bytes(4)
    page = data[: 27 + data[26] + sum(data[27 : 27 + data[26]])]
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum >> 31 else 0)) & 0xFFFFFFFF
    data[22:26] = checksum.to_bytes(4, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("decibels", [-6.0, 3.5])
def test_the_gain_that_opus_asks_for_is_no_part_of_the_recording(songs: Songs, tmp_path: Path, decibels: float) -> None:
    song = turn_down(songs.copy("opus", tmp_path), decibels)
    assert song.read_bytes() != songs.get("opus").read_bytes()
    assert digest_of(song) == songs.hear("opus")
