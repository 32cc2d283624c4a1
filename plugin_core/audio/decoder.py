"""ffmpeg as a decoder: raw samples from its standard output, put in their places; its complaints kept for the error."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from plugin_core.audio.ffmpeg import INSTALL, Which, explain, name_input, run_quietly
from plugin_core.audio.info import AudioInfo, ByteSpan, Piece, Timeline
from plugin_core.audio.samples import Samples
from plugin_core.audio.source_file import AGAIN, damaged
from plugin_core.errors import MissingToolError, SourceError
from plugin_core.model import show_path

_PIPED: Final = {"s32le": "<i4", "f32le": "<f4", "f64le": "<f8"}
"""What ffmpeg writes: its name, and numpy's."""
_FULL_SCALE: Final = 2.0**31

_SKIPPED: Final = 1 << 16
_OF_PICTURES: Final = re.compile(
    rb"\[(png|mjpeg|gif|bmp|webp|tiff|IMGUTILS) @|[Pp]icture|Video: |Last message repeated"
)
"""Complaints of a cover, which is no damage of the sound: many a JPEG is called a PNG."""
_SUMMED: Final = frozenset({"flac", "tta"})
"""Codecs of which each frame has a checksum that ffmpeg looks at only when it is told to."""
_DOUBTFUL_SECONDS: Final = 0.25
"""More than encoders add in front and at the end."""


class FfmpegDecoder:
    """One ffmpeg process and the stream of samples it writes."""

    def __init__(
        self, path: Path, info: AudioInfo, process: subprocess.Popen[bytes], complaints: IO[bytes], before: int
    ) -> None:
        assert isinstance(process.stdout, io.BufferedReader)
        self._path = path
        self._info = info
        self._process = process
        self._stream = process.stdout
        self._complaints = complaints
        self._dtype = np.dtype(_PIPED[_choose_format(info)])
        self.position = before
        """Frames given so far, and those of recordings before this one."""

    def decode(self, frames: int, dtype: npt.DTypeLike) -> Samples:
        """Give up to ``frames`` frames; fewer only at the end.

        Raises:
            SourceError: ffmpeg failed.
        """
        block = np.empty((frames, self._info.channels), self._dtype)
        # The pipe is buffered, so that a read is short only at the end.
        count = self._stream.readinto(block.data) // (self._dtype.itemsize * self._info.channels)
        self.position += count
        if count < frames:
            self._finish()
        block = block[:count]
        converted = block.astype(dtype, copy=False)
        if block.dtype.kind != converted.dtype.kind:
            converted /= _FULL_SCALE
        return converted

    def _finish(self) -> None:
        returned = self._process.wait()
        self._complaints.seek(0)
        # A folder may be called Pictures.
        name = os.fsencode(self._path.absolute())
        lines = (line for line in self._complaints if not _OF_PICTURES.search(line.replace(name, b"")))
        said = b"\n".join(lines).strip()
        if returned != 0:
            reason = explain(said, self._path)
            if not self.position and not reason:
                raise SourceError(f"{show_path(self._path)} is damaged, or ffmpeg is: it decodes nothing", remedy=AGAIN)
            raise damaged(self._path, self.position / self._info.sample_rate, reason)
        if said and self._info.encoding != "lossy":
            # Some damage of lossless codecs (ALAC has no checksums) is only complained of; lossy streams give rise
            # to complaints when they are healthy.
            raise damaged(self._path, None, explain(said, self._path))
        if self._is_doubtful(said):
            raise damaged(self._path, self.position / self._info.sample_rate)

    def _is_doubtful(self, said: bytes) -> bool:
        """Tell whether not the codec but the container is complained of, and holds other than its header says."""
        info = self._info
        codec = b"[" + info.codec.encode()
        if info.is_headerless or len(info.layouts) > 1 or all(line.startswith(codec) for line in said.splitlines()):
            return False
        silence = sum(piece.silence for piece in info.timeline.pieces) if info.timeline else 0
        return abs(self.position + silence - info.duration * info.sample_rate) > _DOUBTFUL_SECONDS * info.sample_rate


def _choose_format(info: AudioInfo) -> str:
    """Return the narrowest form that holds all samples exactly."""
    return "s32le" if info.encoding.startswith("pcm") else "f64le" if info.encoding == "double" else "f32le"


def decode_command(
    program: str,
    path: Path,
    sample_format: str,
    part: ByteSpan | None = None,
    *,
    is_raw: bool = False,
    is_summed: bool = False,
) -> list[str]:
    """Build the command that decodes the first audio stream to standard output and stops at the first error.

    ``is_raw``, for MP4 alone, gives what its edit list or its encoder's notes would leave out as well. ``is_summed``
    looks at checksums.
    """
    raw = ("-ignore_editlist", "1", "-flags2", "+skip_manual") if is_raw else ()
    sums = ("-err_detect", "crccheck") if is_summed else ()
    return [
        *(program, "-nostdin", "-hide_banner", "-v", "error", "-xerror", *raw, *sums, *name_input(path, part)),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1"),
        *("-f", sample_format, "-c:a", f"pcm_{sample_format}", "pipe:1"),
    ]


def copy_stream(program: str, path: Path, part: ByteSpan) -> bytes:
    """Return the packets of the first audio stream in a part of a file, end to end; nothing when ffmpeg fails."""
    command = [
        *(program, "-nostdin", "-hide_banner", "-v", "quiet", *name_input(path, part)),
        *("-map", "0:a:0", "-c", "copy", "-f", "data", "pipe:1"),
    ]
    return run_quietly(command)


@contextmanager
def open_decoder(
    path: Path, info: AudioInfo, which: Which, part: ByteSpan | None = None, before: int = 0
) -> Iterator[FfmpegDecoder]:
    """Start ffmpeg on a file; the process is gone afterwards, whatever happened.

    Args:
        path: the file.
        info: what ``probe`` said of it.
        which: finds ffmpeg.
        part: the recording in it that is decoded; default all.
        before: frames of the recordings that precede it.

    Raises:
        SourceError: there is no ffmpeg.
    """
    program = which("ffmpeg")
    if program is None:
        raise MissingToolError(f"{show_path(path)} needs ffmpeg to be read", remedy=INSTALL)
    is_raw = info.timeline is not None and info.timeline.is_raw
    is_summed = info.codec in _SUMMED
    command = decode_command(program, path, _choose_format(info), part, is_raw=is_raw, is_summed=is_summed)
    with tempfile.TemporaryFile() as complaints:
        try:
            # Ctrl-C in the terminal is for us: an ffmpeg that dies of it would look like a damaged file.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                bufsize=1 << 16,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceError(f"{program} does not start ({error.strerror})", remedy=INSTALL) from error
        with process:
            try:
                yield FfmpegDecoder(path, info, process, complaints, before)
            finally:
                process.kill()


class Playback:
    """A decoder whose samples are put in their places.

    What an encoder added at the end is left out; more than that is sound, whatever the index says.
    """

    def __init__(self, decoder: FfmpegDecoder, timeline: Timeline, channels: int) -> None:
        self._decoder = decoder
        self._pieces = list(timeline.pieces)
        self._channels = channels
        self._silence = self._pieces[0].silence
        self._decoded = 0
        self._kept: Samples = np.zeros((0, channels))
        """What came after the end that the index tells."""

    def decode(self, frames: int, dtype: npt.DTypeLike) -> Samples:
        """Give up to ``frames`` frames; fewer only at the end."""
        blocks = [np.zeros((0, self._channels), dtype)]
        while frames and self._pieces:
            block = self._next(frames, dtype)
            blocks.append(block)
            frames -= len(block)
        return blocks[1] if len(blocks) == 2 else np.concatenate(blocks)

    def _next(self, frames: int, dtype: npt.DTypeLike) -> Samples:
        """Give some frames of the current piece; none where it ends."""
        piece = self._pieces[0]
        if self._silence:
            count = min(frames, self._silence)
            self._silence -= count
            return np.zeros((count, self._channels), dtype)
        while self._decoded < piece.start:
            if not len(self._take(min(_SKIPPED, piece.start - self._decoded), dtype)):
                return self._nothing(dtype)
        if piece.end is None or self._decoded < piece.end:
            return self._take(frames if piece.end is None else min(frames, piece.end - self._decoded), dtype)
        return self._go_on(dtype)

    def _go_on(self, dtype: npt.DTypeLike) -> Samples:
        piece = self._pieces.pop(0)
        if self._pieces:
            self._silence = self._pieces[0].silence
        elif piece.padding is not None:
            rest = self._decoder.decode(piece.padding + 1, dtype)
            if len(rest) > piece.padding:
                self._kept, self._pieces = rest, [Piece(0, 0, None)]
        return self._nothing(dtype)

    def _take(self, frames: int, dtype: npt.DTypeLike) -> Samples:
        if len(self._kept):
            block, self._kept = self._kept[:frames], self._kept[frames:]
            return block.astype(dtype, copy=False)
        block = self._decoder.decode(frames, dtype)
        self._decoded += len(block)
        if len(block) < frames:
            self._pieces.clear()
        return block

    def _nothing(self, dtype: npt.DTypeLike) -> Samples:
        return np.zeros((0, self._channels), dtype)
