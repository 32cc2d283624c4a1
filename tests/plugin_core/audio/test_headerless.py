"""Bare streams of frames: nothing in them says how long they are, and ffprobe's guess is often wrong."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio.mpeg import walk
from plugin_core.audio.probe import probe
from plugin_core.audio.source_file import Window
from plugin_core.errors import SourceError
from tests.audio_files import encode, make_noise, make_song, truncate, write_samples
from tests.plugin_core.audio.test_probe import needs_ffmpeg
from tests.plugin_core.audio.test_reader import read_all

RATE = 44100
SECONDS = 6


@pytest.fixture(scope="module")
def swelling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds that begin all but silent: the bit rate of the beginning says nothing of the rest."""
    samples = make_noise(SECONDS * RATE)
    samples[:RATE] *= 0.001
    return write_samples(tmp_path_factory.mktemp("swelling") / "s.wav", samples)


@pytest.fixture(scope="module")
def falling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds that end in silence."""
    samples = make_noise(SECONDS * RATE)
    samples[3 * RATE :] = 0
    return write_samples(tmp_path_factory.mktemp("falling") / "s.wav", samples)


STREAMS = {
    "a.aac": ("-b:a", "96k"),
    "a.ac3": (),
    "a.eac3": (),
    "a.dts": ("-strict", "-2"),
    "a.mlp": ("-strict", "-2"),
    "a.thd": ("-strict", "-2"),
    "a.mp2": (),
    "a.mp3": ("-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"),
    "v.mp3": ("-q:a", "4", "-write_xing", "0", "-id3v2_version", "0"),
    "m.mp3": ("-q:a", "4", "-write_xing", "0", "-id3v2_version", "0", "-ar", "22050"),
}
VARYING = ("a.aac", "a.mlp", "a.thd", "v.mp3", "m.mp3")
"""Those whose bit rate follows the sound, so that a guess by it goes wrong either way."""


@needs_ffmpeg
@pytest.mark.parametrize(
    ("song", "name"), [*(("swelling", name) for name in STREAMS), *(("falling", name) for name in VARYING)]
)
def test_stream_is_read_whole(tmp_path: Path, request: pytest.FixtureRequest, song: str, name: str) -> None:
    path = encode(request.getfixturevalue(song), tmp_path / name, *STREAMS[name])

    info = probe(path)

    assert info.frames == 0
    assert info.duration == pytest.approx(SECONDS, abs=0.15)
    assert len(read_all(path)) / info.sample_rate == pytest.approx(SECONDS, abs=0.15)


@needs_ffmpeg
def test_cut_adts_stream_is_read_to_its_last_whole_frame_or_refused(tmp_path: Path, falling: Path) -> None:
    path = truncate(encode(falling, tmp_path / "a.aac"), 0.5)

    with pytest.raises(SourceError, match=r"a\.aac is damaged at 0:0"):
        read_all(path)


@needs_ffmpeg
def test_adts_stream_that_ends_inside_a_frame_is_refused_or_noted(tmp_path: Path) -> None:
    """A part of a frame is passed over by ffmpeg without a word now and then."""
    path = encode(write_samples(tmp_path / "song.wav", make_song(1.0)[:30_011]), tmp_path / "a.aac")
    whole = path.read_bytes()
    assert probe(path).note == ""
    for lost in (2, 8, 12):
        path.write_bytes(whole[:-lost])
        assert "ends in the middle of a frame" in probe(path).note
        with suppress(SourceError):
            assert len(read_all(path)) % 1024 == 0


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "rate", "size"),
    [
        ("a.mp3", 44100, 1152),
        ("a.mp3", 22050, 576),
        ("a.mp3", 11025, 576),
        ("a.mp2", 44100, 1152),
        ("a.mp2", 22050, 1152),
    ],
)
def test_frames_are_counted_as_ffprobe_counts_them(
    tmp_path: Path, falling: Path, name: str, rate: int, size: int
) -> None:
    bare = ("-write_xing", "0", "-id3v2_version", "0") if name == "a.mp3" else ()
    path = encode(falling, tmp_path / name, *bare, "-ar", str(rate))
    command = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]
    packets = int(subprocess.run([*command, path], check=True, capture_output=True).stdout)
    path.write_bytes(path.read_bytes() + np.random.default_rng(1).bytes(5000))

    assert count_samples(path) == pytest.approx(packets * size, abs=size)


def test_nothing_holds_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"\xff\xff\xff\xff" * 100)
    assert count_samples(path) == 0


def count_samples(path: Path) -> int:
    with path.open("rb") as opened:
        return sum(one.samples for one in walk(Window(path, opened.fileno()), 0, path.stat().st_size))
