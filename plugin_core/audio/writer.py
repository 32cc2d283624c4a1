"""Writing one stem in blocks: on disk for good when the ``with`` block ends, and gone when it fails.

libsndfile writes the lossless formats, Vorbis and Opus, ffmpeg the others: samples through a pipe into a file.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, Protocol

import numpy as np
import soundfile
import soxr

from plugin_core.audio.ffmpeg import INSTALL, Which, explain, find_encoder, quote_file
from plugin_core.audio.formats import AudioFormat
from plugin_core.audio.samples import Samples, count_overs, to_integers
from plugin_core.errors import PlacementError, UsageError
from plugin_core.files.disk import explain_write_error, find_write_error
from plugin_core.model import show_path

_AS_IT_IS: Final = ("-aac_pns", "0", "-aac_tns", "0")
"""No other noise in place of noise, and none shaped in time: stems are to sum to the song, and do by 8 dB more around
drum strokes, in files of the same size."""

_CODECS: Final = {
    # The Xing header, written once the end is known, holds the delay, so that players and we decode it off again.
    "MP3": ("-c:a", "libmp3lame", "-b:a", "320k", "-write_xing", "1", "-id3v2_version", "3", "-f", "mp3"),
    "M4A": ("-c:a", "aac", "-b:a", "256k", *_AS_IT_IS, "-movflags", "+faststart", "-f", "ipod"),
}

_AAC_FRAME: Final = 1024


_COMPRESSION: Final = {"VORBIS": 0.3, "OPUS": 0.5}
"""About 140 and 265 kbit/s of a stereo song; libsndfile's 0 is the best and largest, 1 the smallest."""

FLAC_COMPRESSION: Final = 0.5
"""libFLAC's level 4 of 8: as fast as level 0 within 15 %, and within 3 % of the smallest (24-bit pop song)."""

_OPUS_RATES: Final = (8000, 12000, 16000, 24000, 48000)

_TAIL_FRAMES: Final = 4096


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


class _Encoder(Protocol):
    def encode(self, block: Samples) -> None:
        """Write a block of the dtype the format takes."""
        ...


class Writer:
    """A stem being written from its beginning to its end."""

    def __init__(self, path: Path, channels: int, format: AudioFormat, encoder: _Encoder) -> None:  # noqa: A002
        self.path = path
        self.channels = channels
        self.format = format
        self.frames = 0
        """Frames written so far."""
        self.clipped = 0
        """Samples so far that the format could not hold, and that were clipped."""
        self._encoder = encoder

    def write(self, block: Samples) -> None:
        """Write a block of (n, channels): floats in -1..1, or int32 holding integers of ``format.bits``.

        Integer formats take floats rounded half to even, without dither. What exceeds full scale is clipped, by lossy
        codecs too, and counted.

        Raises:
            TransientError: the disk is full.
            PlacementError: the file cannot be written.
        """
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise ValueError(f"a block of (n, {self.channels}) is needed, not {block.shape}")
        if len(block):
            self._encoder.encode(self._convert(block))
            self.frames += len(block)

    def _convert(self, block: Samples) -> Samples:
        bits = self.format.bits
        if np.issubdtype(block.dtype, np.floating):
            if not self.format.is_float:
                self.clipped += count_overs(block)
            # libsndfile scales floats by 2**(n-1) - 1, which is not what it reads back.
            return block if bits is None else to_integers(block, bits) << (32 - bits)
        if bits is None or block.dtype != np.int32:
            raise TypeError(f"{self.format.name} takes no {block.dtype}")
        limit = 1 << (bits - 1)
        if block.max() >= limit or block.min() < -limit:  # no copy, and hardly ever so
            self.clipped += int(np.count_nonzero((block >= limit) | (block < -limit)))
            block = np.clip(block, -limit, limit - 1)
        return block << (32 - bits)


@contextmanager
def open_writer(
    path: Path,
    *,
    sample_rate: int,
    channels: int,
    format: AudioFormat,  # noqa: A002
    which: Which = shutil.which,
) -> Iterator[Writer]:
    """Create an audio file, flushed to the disk at the end; if anything is raised inside, it is removed.

    Args:
        path: the file, in a staging folder of ours; what is there is replaced.
        sample_rate: hertz; MP3, M4A and Opus are resampled to the next rate their codec knows.
        channels: at most ``format.max_channels``.
        format: from ``resolve_format``.
        which: finds ffmpeg, for MP3 and M4A.

    Raises:
        UsageError: the format needs ffmpeg, which is not there.
        TransientError: the disk is full.
        PlacementError: the file cannot be created or written.
    """
    rate = _choose_rate(sample_rate, format)
    descriptor = _create(path)
    try:
        with _open_encoder(path, descriptor, sample_rate, rate, channels, format, which) as encoder:
            writer = Writer(path, channels, format, encoder)
            yield writer
        _verify(path, descriptor, writer, _count_resampled(writer.frames, sample_rate, rate))
        _flush(path, descriptor)
    except BaseException:
        _remove(path, descriptor)
        raise
    finally:
        os.close(descriptor)


def _create(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise explain_write_error(path, error) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise PlacementError(f"{show_path(path)} is no file that can be written")


def _remove(path: Path, descriptor: int) -> None:
    """Remove what was written, but not what a successor made there while this process was frozen."""
    with suppress(OSError):
        if os.path.samestat(path.lstat(), os.fstat(descriptor)):
            path.unlink()


@contextmanager
def _open_encoder(
    path: Path, descriptor: int, given: int, rate: int, channels: int, chosen: AudioFormat, which: Which
) -> Iterator[_Encoder]:
    if chosen.needs_ffmpeg:
        with open_encoder(path, given, channels, chosen, which) as piped:
            yield piped
        return
    with _open_sndfile(path, descriptor, rate, channels, chosen) as encoder:
        if rate == given:
            yield encoder
        else:
            resampled = _Resampled(encoder, given, rate, channels)
            yield resampled
            resampled.finish()


def _choose_rate(sample_rate: int, chosen: AudioFormat) -> int:
    """Return the rate of a file that libsndfile writes."""
    known = _OPUS_RATES if chosen.subtype == "OPUS" else (sample_rate,)
    return next((one for one in known if one >= sample_rate), known[-1])


def _count_resampled(frames: int, given: int, wanted: int) -> int:
    """Return the samples in each channel that a file has at another rate, to the nearest one."""
    return max(1, round(frames * (wanted / given)))


class _SndfileEncoder:
    def __init__(self, path: Path, descriptor: int, opened: Any) -> None:
        self._path = path
        self._descriptor = descriptor
        self._opened = opened

    def encode(self, block: Samples) -> None:
        """Write a block; what a lossy codec would write over full scale is clipped."""
        try:
            self._opened.write(np.clip(block, -1.0, 1.0) if self._opened.subtype in _COMPRESSION else block)
        except (soundfile.LibsndfileError, AssertionError) as error:
            # soundfile asserts that everything was written.
            raise find_write_error(self._path, self._descriptor, str(error)) from error


class _Resampled:
    """An encoder that is fed at another rate; what it gets is as long as what is fed, to the nearest sample."""

    def __init__(self, encoder: _SndfileEncoder, given: int, wanted: int, channels: int) -> None:
        self._encoder = encoder
        self._rates = given, wanted
        self._stream = soxr.ResampleStream(given, wanted, channels, dtype="float64", quality="VHQ")
        self._channels = channels
        self._fed = self._written = 0

    def encode(self, block: Samples) -> None:
        """Write a block."""
        self._fed += len(block)
        self._write(self._stream.resample_chunk(np.ascontiguousarray(block, np.float64)))

    def finish(self) -> None:
        """Write what is held back."""
        rest = self._stream.resample_chunk(np.zeros((0, self._channels)), last=True)
        missing = _count_resampled(self._fed, *self._rates) - self._written
        self._write(np.pad(rest, ((0, max(0, missing - len(rest))), (0, 0)))[:missing])

    def _write(self, block: Samples) -> None:
        if len(block):
            self._encoder.encode(block)
            self._written += len(block)


class _WrittenFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is flushed to the disk once it is complete, and not also just before its header is."""

    def flush(self) -> None:
        """Leave it to ``open_writer``."""


@contextmanager
def _open_sndfile(
    path: Path, descriptor: int, sample_rate: int, channels: int, chosen: AudioFormat
) -> Iterator[_SndfileEncoder]:
    try:
        opened = _WrittenFile(
            str(path) if os.name == "nt" else descriptor,
            "w",
            samplerate=sample_rate,
            channels=channels,
            format=chosen.container,
            subtype=chosen.subtype,
            compression_level=FLAC_COMPRESSION if chosen.container == "FLAC" else _COMPRESSION.get(chosen.subtype),
            closefd=False,
        )
    except soundfile.LibsndfileError as error:
        raise find_write_error(path, descriptor, str(error)) from error
    try:
        yield _SndfileEncoder(path, descriptor, opened)
    finally:
        try:
            opened.close()
        except soundfile.LibsndfileError as error:
            raise find_write_error(path, descriptor, str(error)) from error


def _verify(path: Path, descriptor: int, writer: Writer, frames: int) -> None:
    """Read the end back: libsndfile reports no failure of the last, buffered block."""
    if not writer.frames:
        raise PlacementError(f"{show_path(path)} would hold no samples")
    if not writer.format.needs_ffmpeg and not _is_end_readable(path, frames):
        raise find_write_error(path, descriptor, "its end is missing")


def _is_end_readable(path: Path, frames: int) -> bool:
    tail = min(frames, _TAIL_FRAMES)
    try:
        with soundfile.SoundFile(str(path) if os.name == "nt" else os.fsencode(path)) as opened:
            opened.seek(frames - tail)
            return bool(opened.frames == frames) and len(opened.read(tail, dtype="int32")) == tail
    except soundfile.LibsndfileError:
        return False


def _flush(path: Path, descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise explain_write_error(path, error) from error
