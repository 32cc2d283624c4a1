"""Tables of an MP4 that say where samples are: they lead there still, wherever the tags stand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plugin_core.tags.tagger import Writing, restore_exactly
from tests.plugin_core.tags.anatomy import anatomy
from tests.plugin_core.tags.tagged_files import audio_digest, make_audio, need, stream_digest
from tests.plugin_core.tags.test_tagger import label

CHAPTERS = """;FFMETADATA1
title=Song
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1000
title=One
[CHAPTER]
TIMEBASE=1/1000
START=1000
END=2000
title=Two
"""


def make_mp4(folder: Path, *options: str) -> Path:
    need("ffmpeg")
    path, plain = folder / "song.m4a", make_audio(folder / "plain.wav", frames=88200)
    (folder / "chapters.txt").write_text(CHAPTERS)
    given: list[str | Path] = ["-i", plain, "-i", folder / "chapters.txt", "-map_metadata", "1"]
    subprocess.run(["ffmpeg", "-v", "error", *given, "-c:a", "aac", *options, path], check=True)
    return path


def chapters(path: Path) -> str:
    command: list[str | Path] = ["ffprobe", "-v", "error", "-show_chapters", "-of", "json", path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("flags", ["+faststart", "-faststart"], ids=["tags-first", "samples-first"])
def test_chapters_and_samples_stay(tmp_path: Path, flags: str) -> None:
    path = make_mp4(tmp_path, "-movflags", flags)
    data = path.read_bytes()
    assert (data.index(b"moov") < data.index(b"mdat")) is (flags == "+faststart")
    decoded, coded, told, parts = audio_digest(path), stream_digest(path), chapters(path), anatomy(path)
    assert "Two" in told
    written = label(path)
    assert path.stat().st_size > len(data)
    assert (audio_digest(path), stream_digest(path), chapters(path)) == (decoded, coded, told)
    assert anatomy(path) == parts
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == data


@pytest.mark.parametrize("flags", ["empty_moov", "empty_moov+default_base_moof", "empty_moov+delay_moov"])
def test_fragments_of_an_mp4_still_lead_to_their_samples(tmp_path: Path, flags: str) -> None:
    need("ffmpeg")
    path, plain = tmp_path / "song.m4a", make_audio(tmp_path / "plain.wav", frames=88200)
    options = ["-c:a", "aac", "-movflags", f"frag_keyframe+{flags}", "-frag_duration", "300000"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", plain, *options, path], check=True)
    before, digest, places = path.read_bytes(), audio_digest(path), _index_of(path)
    written = label(path)
    assert len(places) > 2
    assert audio_digest(path) == digest
    data = path.read_bytes()
    assert all(data[place + 4 : place + 8] == b"moof" for place in _index_of(path))
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


def _index_of(path: Path) -> list[int]:
    """Return where the index at the end says that fragments begin, as ffmpeg writes it: 64 bits, single bytes."""
    data = path.read_bytes()
    start = data.rindex(b"tfra")
    assert (data[start + 4], data[start + 15]) == (1, 0)
    count = int.from_bytes(data[start + 16 : start + 20], "big")
    entries = range(start + 28, start + 28 + 19 * count, 19)
    return [int.from_bytes(data[place : place + 8], "big") for place in entries]
