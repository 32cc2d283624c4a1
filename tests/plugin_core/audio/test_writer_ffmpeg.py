"""How long the lossy files are that ffmpeg writes for us, by their own word and decoded."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio.formats import FLAC16, M4A, MP3, AudioFormat
from plugin_core.audio.writer import count_tail, open_encoder
from tests.audio_files import make_noise
from tests.plugin_core.audio.test_probe import needs_ffmpeg

LENGTHS = [(44100, 44100), (44100, 100_000), (48000, 123_457), (44100, 102_400)]


def write(path: Path, sample_rate: int, frames: int, chosen: AudioFormat) -> Path:
    with open_encoder(path, sample_rate, 2, chosen, shutil.which) as encoder:
        encoder.encode(make_noise(frames).astype(np.float32))
    return path


def count_decoded(path: Path) -> int:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-c:a", "pcm_f32le", "-"]
    return len(subprocess.run(command, check=True, capture_output=True).stdout) // 8


@needs_ffmpeg
@pytest.mark.parametrize(("sample_rate", "frames"), LENGTHS)
def test_m4a_says_its_length_to_the_sample(tmp_path: Path, sample_rate: int, frames: int) -> None:
    path = write(tmp_path / "a.m4a", sample_rate, frames, M4A)

    command = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-show_entries",
        "stream=time_base,duration_ts,start_pts",
        str(path),
    ]
    (stream,) = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["streams"]

    assert stream == {"time_base": f"1/{sample_rate}", "start_pts": 0, "duration_ts": frames}


@needs_ffmpeg
@pytest.mark.parametrize(("sample_rate", "frames"), LENGTHS)
@pytest.mark.parametrize("chosen", [M4A, MP3], ids=["m4a", "mp3"])
def test_decoded_length_is_the_sources_and_the_tail_that_is_told(
    tmp_path: Path, sample_rate: int, frames: int, chosen: AudioFormat
) -> None:
    path = write(tmp_path / f"a{chosen.suffix}", sample_rate, frames, chosen)

    tail = count_decoded(path) - frames

    # Later versions of ffmpeg keep to the end of the edit list too.
    assert tail in {count_tail(chosen, frames), 0}


def test_only_m4a_has_a_tail() -> None:
    assert [count_tail(M4A, frames) for frames in (1024, 1025, 2047, 0)] == [0, 1023, 1, 0]
    assert count_tail(MP3, 1025) == count_tail(FLAC16, 1025) == 0


@needs_ffmpeg
def test_ffmpeg_that_lacks_the_option_still_writes(tmp_path: Path) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text(
        '#!/bin/sh\ncase " $* " in *" -h "*) exit 0;; *movie_timescale*) exit 1;; esac\n'
        f'exec {shutil.which("ffmpeg")} "$@"\n'
    )
    old.chmod(0o755)

    with open_encoder(tmp_path / "a.m4a", 44100, 2, M4A, lambda _name: str(old)) as encoder:
        encoder.encode(make_noise(44100).astype(np.float32))

    assert count_decoded(tmp_path / "a.m4a") >= 44100
