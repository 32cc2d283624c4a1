"""ffmpeg as an encoder, for the lossy formats libsndfile does not write: samples through a pipe into a file."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Final

import numpy as np

from plugin_core.audio.ffmpeg import INSTALL, Which, explain, find_encoder, quote_file
from plugin_core.audio.formats import AudioFormat
from plugin_core.audio.samples import Samples
from plugin_core.errors import PlacementError, UsageError
from plugin_core.files.errors import explain_write_error, find_write_error

_CODECS: Final = {
    # The Xing header, written once the end is known, holds the delay, so that players and we decode it off again.
    "MP3": ("-c:a", "libmp3lame", "-b:a", "320k", "-write_xing", "1", "-id3v2_version", "3", "-f", "mp3"),
    "M4A": ("-c:a", "aac", "-b:a", "256k", "-movflags", "+faststart", "-f", "ipod"),
}

_AAC_FRAME: Final = 1024


def count_tail(chosen: AudioFormat, frames: int) -> int:
    """Return how many samples of silence a reader plays after the end that decodes AAC in whole frames.

    M4A's edit list holds the true end; ffmpeg, among others, keeps to its beginning and not to its end.
    """
    return -frames % _AAC_FRAME if chosen.container == "M4A" else 0


class FfmpegEncoder:
    """One ffmpeg process that is fed float samples."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes], complaints: IO[bytes]) -> None:
        assert process.stdin is not None
        self._path = path
        self._process = process
        self._stream = process.stdin
        self._complaints = complaints

    def encode(self, block: Samples) -> None:
        """Write a block of floats.

        Raises:
            TransientError: the disk is full.
            PlacementError: ffmpeg gave up.
        """
        clipped = np.clip(block, -1.0, 1.0).astype("<f4")
        try:
            self._stream.write(clipped.tobytes())
        except OSError:
            self.finish()
            raise PlacementError(f"ffmpeg stopped reading while {self._path.name!r} was written") from None

    def finish(self) -> None:
        """Close the pipe and wait for ffmpeg to complete the file."""
        with suppress(OSError):  # of a pipe that ffmpeg left the return code tells more
            self._stream.close()
        returned = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read()
        # ffmpeg 5.1 returns 0 even when a full disk kept it from writing the end of the file; it says so, though.
        if returned != 0 or said:
            raise self._explain(said)

    def _explain(self, stderr: bytes) -> Exception:
        said = explain(stderr, self._path) or "ffmpeg failed"
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except OSError as error:
            return explain_write_error(self._path, error)
        try:
            return find_write_error(self._path, descriptor, said)
        finally:
            os.close(descriptor)


@contextmanager
def open_encoder(
    path: Path, sample_rate: int, channels: int, chosen: AudioFormat, which: Which
) -> Iterator[FfmpegEncoder]:
    """Start ffmpeg writing to ``path``; afterwards the file is complete, or the process killed.

    Raises:
        UsageError: there is no ffmpeg.
    """
    program = find_encoder(chosen.name, which)
    command = [
        *(program, "-nostdin", "-hide_banner", "-v", "error", "-y"),
        *("-f", "f32le", "-ar", str(sample_rate), "-ac", str(channels), "-i", "pipe:0"),
        *(*_CODECS[chosen.container], *_choose_timescale(program, sample_rate, chosen), quote_file(path)),
    ]
    with tempfile.TemporaryFile() as complaints:
        try:
            # Ctrl-C in the terminal is for us, who then stop it and remove the file.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints, start_new_session=True
            )
        except OSError as error:
            raise UsageError(f"{program} does not start ({error.strerror})", remedy=INSTALL) from error
        encoder = FfmpegEncoder(path, process, complaints)
        try:
            yield encoder
            encoder.finish()
        finally:
            _end(process)


def _choose_timescale(program: str, sample_rate: int, chosen: AudioFormat) -> tuple[str, ...]:
    """Let an M4A's edit list count in samples: by itself ffmpeg rounds the end to milliseconds, inside the music."""
    if chosen.container != "M4A" or not _knows_timescale(program):
        return ()
    return ("-movie_timescale", str(sample_rate))


@cache
def _knows_timescale(program: str) -> bool:
    """Ask for an option that ffmpeg before 5.0 may lack, and would not start with."""
    try:
        command = [program, "-hide_banner", "-h", "muxer=ipod"]
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"-movie_timescale" in said.stdout


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdin is not None
    with suppress(OSError):  # what is still buffered has nobody to go to
        process.stdin.close()
