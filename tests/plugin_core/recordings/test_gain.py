"""The gain in the header of Opus is no part of the digest, and can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.errors import SourceError
from plugin_core.recordings.digest import digest_of
from plugin_core.recordings.gain import header_gain
from tests.plugin_core.recordings.songs import Songs, run

pytestmark = pytest.mark.usefixtures("ffmpeg")


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


@pytest.mark.parametrize("decibels", [-6.0, 3.5, 0.0])
def test_header_gain_is_told_and_the_recording_stays(songs: Songs, tmp_path: Path, decibels: float) -> None:
    song = turn_down(songs.copy("opus", tmp_path), decibels)
    assert header_gain(song) == decibels
    assert digest_of(song) == songs.hear("opus")


@pytest.mark.parametrize("new", ["song.mka", "song.webm", "song.mp4", "copied.opus"])
def test_header_gain_in_other_containers(songs: Songs, tmp_path: Path, new: str) -> None:
    song = turn_down(songs.copy("opus", tmp_path), -6.0)
    run("ffmpeg", "-i", "{song}", "-c", "copy", "{new}", song=song, new=tmp_path / new)
    assert header_gain(tmp_path / new) == -6.0


@pytest.mark.parametrize("kind", ["wav", "mp3", "ogg", "m4a", "alac.m4a"])
def test_others_have_none(songs: Songs, kind: str) -> None:
    assert header_gain(songs.get(kind)) == 0.0


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        header_gain(tmp_path / "gone.opus")
