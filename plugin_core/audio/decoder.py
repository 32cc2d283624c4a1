"""ffmpeg as a decoder: raw samples from its standard output, put in their places; its complaints kept for the error."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from plugin_core.audio.ffmpeg import INSTALL, Which, explain, name_container, name_input, run_quietly
from plugin_core.audio.info import AudioInfo, ByteSpan, Piece, Timeline
from plugin_core.audio.interleaved import is_by_faac, is_by_recorder
from plugin_core.audio.samples import Samples
from plugin_core.audio.source_file import AGAIN, damaged, describe_begun, describe_gap, show_time
from plugin_core.audio.streams import begins_inside
from plugin_core.errors import MissingToolError, SourceError
from plugin_core.model import show_path

_PIPED: Final = {"s32le": "<i4", "f32le": "<f4", "f64le": "<f8"}
"""What ffmpeg writes: its name, and numpy's."""
_FULL_SCALE: Final = 2.0**31
_SKIPPED: Final = 1 << 16
_HARMLESS: Final = re.compile(
    rb"\[(png|mjpeg|gif|bmp|webp|tiff|IMGUTILS|mpeg[124]\w*|h26[1-5]|hevc|vc1|vp[89]|av1) @|[Pp]icture|Video: "
    rb"|Last message repeated|dts to muxer in stream"
)
"""Complaints of pictures, which are no damage of the sound: many a JPEG is called a PNG, and films are cut where they
cannot begin; and of times that do not go up, as mkvmerge rounds them, of which what we are given has none."""
_SUMMED: Final = frozenset({"ac3", "eac3", "flac", "mlp", "mp4als", "tak", "truehd", "tta", "wavpack"})
"""Codecs of which each frame has a checksum that ffmpeg looks at only when it is told to."""
_DOUBTFUL_SECONDS: Final = 0.1
"""More than encoders add in front and at the end."""
_TIMED: Final = frozenset({"FLV", "MKV", "MPEG", "TS", "WMA"})
"""Containers in which each packet has a time: the end of the last one tells what is missing in front of it."""
_PRIMED_SECONDS: Final = 0.015
"""More than rounding makes, and what Opus and Vorbis begin with; most packets are longer."""
_OPUS_SECONDS: Final = 0.035
_WMA: Final = frozenset({"wmapro", "wmav1", "wmav2"})
_USUAL_SECONDS: Final = dict.fromkeys(("WMA", *_WMA), 0.15) | {"pcm_dvd": 0.025}
"""By container or codec: more than the two frames that prime the decoder of WMA, of which nothing is heard, and than
other sounds begin earlier, of which packets are told by numbers; more than ffmpeg's times of a DVD's packets leap."""
_VORBIS_SECONDS: Final = 0.04
"""More than half of a long block, of which nothing is heard where a stream begins with one."""
_FAAC_FRAME: Final = 1024
"""Samples of the frame that ffmpeg leaves out, one of the first."""
_PROGRESS: Final = re.compile(rb"^\w+=.*\n?", re.M)
_END: Final = re.compile(rb"^out_time_us=(\d+)", re.M)
_COMPLAINANT: Final = re.compile(rb"\[([\w,]+) @ ")
_EMPTY: Final = re.compile(rb"Error (while decoding|submitting) .*Invalid argument$")
"""What ffmpeg says of a packet without a byte."""
_EMPTIED: Final = frozenset({("AVI", "aac"), ("OGG", "speex")})
"""Where such may be: an AVI puts off by them what comes later, and an early Speex ends with one."""
_PART: Final = re.compile(rb": corrupt input packet in stream \d+$")
_BROKEN: Final = re.compile(rb"Error (while decoding|submitting) ")
_WRONG: Final = b"CRC mismatch"
_TORN_SECONDS: Final = 0.05
"""More than a frame of what a DVD holds."""
_CHANGED: Final = b"Changing audio frame properties on the fly"


class FfmpegDecoder:
    """One ffmpeg process and the stream of samples it writes."""

    def __init__(
        self,
        path: Path,
        info: AudioInfo,
        process: subprocess.Popen[bytes],
        complaints: IO[bytes],
        before: int,
        *,
        torn: int,
    ) -> None:
        assert isinstance(process.stdout, io.BufferedReader)
        assert isinstance(process.args, list)
        self._command: list[str] = process.args
        self._path = path
        self._info = info
        self._process = process
        self._stream = process.stdout
        self._complaints = complaints
        self._dtype = np.dtype(_PIPED[_choose_format(info)])
        self._before = before
        self._torn = torn
        """Parts of frames in front of all sound."""
        self.position = before
        """Frames given so far, and those of recordings before this one."""
        self.note = ""
        """What people should know of it, at the end."""

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
        name = os.fsencode(self._path.absolute())  # A folder may be called Pictures.
        written = self._complaints.read()
        told = _PROGRESS.sub(b"", written).splitlines()
        told = [line for line in told if not _HARMLESS.search(line.replace(name, b""))]
        usual = _choose_usual(self._info)
        told = [line for line in told if not (usual and usual.search(line))]
        said = b"\n".join(told).strip()
        if "-xerror" not in self._command and (_WRONG in said or self._is_broken(told)):
            raise damaged(self._path, None)
        if _CHANGED in said:
            raise SourceError(
                f"{show_path(self._path)} changes its sample rate or channels at "
                f"{show_time(self.position / self._info.sample_rate)}",
                remedy="take it apart there, or convert it to FLAC first, which has one of each",
            )
        if returned != 0:
            reason = explain(said, self._path)
            if not self.position:
                raise self._explain_nothing(reason)
            raise damaged(self._path, self.position / self._info.sample_rate, reason)
        if said and self._info.encoding != "lossy":
            # Some damage of lossless codecs (ALAC has no checksums) is only complained of; lossy streams give rise
            # to complaints when they are healthy.
            raise damaged(self._path, None, explain(said, self._path))
        missing = self._count_missing(written)
        if self._is_doubtful(said, missing):
            raise damaged(self._path, self.position / self._info.sample_rate)
        if self._torn:
            self.note = describe_begun(self._path)
        if missing and not is_by_recorder(self._path):
            self.note = describe_gap(self._path, missing / self._info.sample_rate)

    def _is_broken(self, told: list[bytes]) -> bool:
        """Tell whether a decoder that goes on complained of more than what was torn in front of all sound."""
        return sum(_BROKEN.search(line) is not None for line in told) > self._torn

    def _count_missing(self, written: bytes) -> int:
        """Return by how many samples the times of packets go on beyond the sound, but for what is usual."""
        ends, info = _END.findall(written), self._info
        if not ends or not _is_timed(info):
            return 0
        silence = info.timeline.pieces[0].silence if info.timeline else 0
        missing = round(int(ends[-1]) * info.sample_rate / 1e6) - silence - (self.position - self._before)
        usual = _USUAL_SECONDS.get(info.codec, _USUAL_SECONDS.get(info.container, _PRIMED_SECONDS))
        usual += self._torn * _TORN_SECONDS
        bar = (_VORBIS_SECONDS if info.codec == "vorbis" else usual) * info.sample_rate
        if missing > bar and info.codec == "aac" and is_by_faac(self._path):
            missing -= _FAAC_FRAME
        return missing if missing > bar else 0

    def _explain_nothing(self, reason: str) -> SourceError:
        """Say why nothing was decoded: of the first error ffmpeg says nothing where that ends it."""
        command = [one for one in self._command if one != "-xerror"]
        again = [*command[:-1], "-t", "1", command[-1]]
        shown = show_path(self._path)
        said = b"" if reason else run_quietly(again, is_asked_why=True)
        if reason := reason or explain(said, self._path):
            return SourceError(
                f"{shown} is damaged, or cannot be decoded here: {reason}",
                remedy=f"{AGAIN}, or install a newer ffmpeg",
            )
        if self._info.codec in _SUMMED and _BROKEN.search(said):
            return damaged(self._path, 0.0)
        return SourceError(f"{shown} is damaged, or ffmpeg is: it decodes nothing", remedy=AGAIN)

    def _is_doubtful(self, said: bytes, missing: int) -> bool:
        """Tell whether not the codec but the container is complained of, and holds other than its header says."""
        info = self._info
        if not any(_is_of_container(line, info) for line in said.splitlines()):
            return False
        if missing or info.is_headerless or len(info.layouts) > 1:
            return missing > 0
        silence = sum(piece.silence for piece in info.timeline.pieces) if info.timeline else 0
        short = info.duration - (self.position + silence) / info.sample_rate
        # A Matroska tells to the millisecond when its sound ends; of Opus, what is left out of the last packet as well.
        bar = (
            (_OPUS_SECONDS if info.codec == "opus" else _PRIMED_SECONDS)
            if info.container == "MKV"
            else _DOUBTFUL_SECONDS
        )
        return short > bar or short < -_DOUBTFUL_SECONDS


def _is_timed(info: AudioInfo) -> bool:
    """Tell whether each packet has a time that counts from the beginning of the file."""
    is_raw = info.timeline is not None and info.timeline.is_raw
    # Of what WMA Lossless and Voice put in front nothing is known.
    is_known = info.container != "WMA" or info.codec in _WMA or not info.codec.startswith("wma")
    # Packets of WavPack have no length, and some no time.
    is_known &= (info.container, info.codec) != ("MKV", "wavpack")
    return (info.container in _TIMED and is_known) or (info.container == "M4A" and not is_raw)


def _choose_usual(info: AudioInfo) -> re.Pattern[bytes] | None:
    """Return what ffmpeg says of packets that it is not to stop at: an open WAV gives less of its last than it asks."""
    is_open = info.container == "WAV" and info.is_headerless
    return _PART if is_open else _EMPTY if (info.container, info.codec) in _EMPTIED else None


def _is_of_container(line: bytes, info: AudioInfo) -> bool:
    """Tell whether a complaint is the demuxer's; a decoder has another name than its codec now and then."""
    if (found := _COMPLAINANT.match(line)) is None:
        return line.startswith(b"file:")
    return name_container(found[1].split(b",")[0].decode("ascii")) == info.container


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
    is_timed: bool = False,
    is_strict: bool = True,
) -> list[str]:
    """Build the command that decodes the first audio stream to standard output.

    ``is_raw``, for MP4 alone, gives what its edit list or its encoder's notes would leave out as well. ``is_summed``
    looks at checksums. ``is_timed`` writes to the standard error how far the times of packets went. ``is_strict``
    stops at the first error.
    """
    raw = ("-ignore_editlist", "1", "-flags2", "+skip_manual") if is_raw else ()
    sums = ("-err_detect", "crccheck") if is_summed else ()
    times = ("-progress", "pipe:2") if is_timed else ()
    # Left to itself, ffmpeg gives what follows at the rate, and in the channels, of what was first.
    one = ("-reinit_filter", "0")
    level = ("error", "-xerror") if is_strict else ("repeat+error",)
    return [
        *(program, "-nostdin", "-hide_banner", "-v", *level, *times, *raw, *sums, *one, *name_input(path, part)),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1"),
        *("-f", sample_format, "-c:a", f"pcm_{sample_format}", "pipe:1"),
    ]


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
    command = partial(
        decode_command,
        program,
        path,
        _choose_format(info),
        part,
        is_raw=info.timeline is not None and info.timeline.is_raw,
        is_summed=info.codec in _SUMMED,
        is_timed=_is_timed(info),
    )
    with ExitStack() as running:
        process, complaints = running.enter_context(_start(command(is_strict=_choose_usual(info) is None)))
        torn = 0
        # All but the first file of a DVD begin in the middle of a frame, which ffmpeg takes for damage.
        is_torn = info.container == "MPEG" and _is_silent(process)
        if is_torn and begins_inside(program, path, info.codec):
            lenient = command(is_strict=False)
            first = run_quietly([*lenient[:-1], "-frames:a", "1", lenient[-1]], is_asked_why=True)
            torn = len(_BROKEN.findall(first))
            process, complaints = running.enter_context(_start(lenient))
        yield FfmpegDecoder(path, info, process, complaints, before, torn=torn)


@contextmanager
def _start(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start ffmpeg, and give it with the file in which its complaints are; it is gone afterwards."""
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
            raise SourceError(f"{command[0]} does not start ({error.strerror})", remedy=INSTALL) from error
        with process:
            try:
                yield process, complaints
            finally:
                process.kill()


def _is_silent(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether it ends without a sample."""
    assert isinstance(process.stdout, io.BufferedReader)
    return not process.stdout.peek(1)


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

    @property
    def note(self) -> str:
        """That of its decoder."""
        return self._decoder.note

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
