"""Decoding a source in blocks, with memory that does not grow with its length."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
import soundfile

from plugin_core.audio import sndfile
from plugin_core.audio.decoder import Playback, open_decoder
from plugin_core.audio.ffmpeg import Which
from plugin_core.audio.info import AudioInfo, list_parts
from plugin_core.audio.probe import probe
from plugin_core.audio.samples import Samples, find_other_channels, find_smoother, is_judged
from plugin_core.audio.source_file import (
    Identity,
    Memory,
    damaged,
    describe_length,
    explain_os_error,
    look_at,
    open_file,
    rewritten,
    show_time,
)
from plugin_core.errors import SourceError, StembridgeError
from plugin_core.model import show_path

Dtype = Literal["float32", "float64", "int32"]

_MP3_SLACK: Final = 2 * 1152
"""MP3s end up to two frames before the length their header gives, by the encoder that wrote it."""

_LOSSY_SLACK_SECONDS: Final = 0.25
"""Containers count the encoder's padding in the duration of lossy streams."""


_JUDGED: Final = 3
"""Blocks by which it is told whether samples are of the kind that a header names."""
_UNSURE_CHANNELS: Final = ("AU", "VOC", "EPAF", "IRCAM", "PVF")
"""Containers in which nothing else speaks for the number of channels."""
_PACKED: Final = ("FLAC", "OGG")
"""Containers of which libsndfile tells no codec, and that hold no plain samples."""
_SKIPPED: Final = 1 << 16
"""Frames that are decoded at once to get past them."""

_SEEKABLE: Final = frozenset({"WAV", "WAVEX", "FLAC", "AIFF", "W64", "RF64", "CAF"})
"""Containers in which libsndfile finds a frame to the sample, as long as they hold PCM, or FLAC."""

_whole: Final = Memory[Identity, bool]()
"""Files that were decoded to their ends, by a status that tells of every later write."""


class _Decoder(Protocol):
    @property
    def note(self) -> str:
        """What people should know of it, at the end."""
        ...

    def decode(self, frames: int, dtype: Dtype) -> Samples:
        """Give up to ``frames`` frames; fewer only at the end."""
        ...


def _coding_of(info: AudioInfo) -> str:
    """Return the kind of plain samples that a header names; empty where a codec says itself what its samples are."""
    if info.container in _PACKED or not (info.codec or "pcm").startswith("pcm"):
        return ""
    return info.codec if info.encoding == "lossy" else info.encoding


class Reader:
    """A source being decoded from its beginning to its end."""

    def __init__(self, path: Path, info: AudioInfo, decoder: _Decoder) -> None:
        self.path = path
        self.info = info
        self.position = 0
        """Frames read so far."""
        self.is_over = False
        """Whether its end was reached, and nothing was missing."""
        self.has_leapt = False
        """Whether something before that was passed over unread."""
        self._decoder = decoder
        self._may_hold_nan = not info.encoding.startswith("pcm")
        self._coding = _coding_of(info)
        self._smoother: list[str] = []
        """As what else its first blocks with sound would be smoother, in words; empty for nothing."""

    @property
    def name(self) -> str:
        """What a person calls it: its path."""
        return show_path(self.path)

    def read(self, frames: int, dtype: Dtype = "float32") -> Samples:
        """Decode the next ``frames`` frames: (n, channels) in -1..1, n == 0 at the end and only there.

        Floats may exceed -1..1. 32-bit and double sources need ``float64`` to be exact; ``int32``, left-justified, is
        for what holds integers (``pcm_*``) alone.

        Raises:
            SourceError: the file is damaged here, ends before its header says, or holds NaN or infinity.
            TransientError: the disk or share does not answer.
        """
        block = self._decoder.decode(frames, dtype)
        if self._may_hold_nan:
            self._refuse_nan(block)
        if len(self._smoother) < _JUDGED and is_judged(self._coding):
            self._judge(block)
        self.position += len(block)
        if len(block) < frames:
            self._check_end()
            self.is_over = True
        return block

    def skip(self, frames: int) -> None:
        """Go on as many frames later; by a seek where that is exact, else by decoding what lies between.

        Raises:
            SourceError: as ``read``.
            TransientError: the disk or share does not answer.
        """
        if frames > 0 and isinstance(self._decoder, _JoinedDecoder) and self._decoder.seek(self.position + frames):
            self.position += frames
            self.has_leapt = True
            return
        while frames > 0 and (got := len(self.read(min(frames, _SKIPPED)))):
            frames -= got

    @property
    def note(self) -> str:
        """What people should know of how it was read; known at the end."""
        info, told = self.info, self._told
        words = max(self._smoother, key=self._smoother.count, default="")
        if words and 2 * self._smoother.count(words) > len(self._smoother):
            return f"{self.path.name} would sound much smoother {words}: its header may be damaged"
        is_short = self.is_over and self._count_missing() > 0
        # Of the last packet of WavPack a Matroska tells no length.
        is_untold = (info.container, info.codec) == ("MKV", "wavpack")
        is_long = not is_untold and self.position > told + (0 if info.frames else self._slack)
        if not told or not (is_short or is_long):
            return info.note or self._decoder.note
        return describe_length(self.path, self.position, told, info.sample_rate)

    def _judge(self, block: Samples) -> None:
        floats = block if block.dtype.kind == "f" else block / 2.0**31
        words = find_smoother(floats, self._coding)
        if words == "" and self.info.container in _UNSURE_CHANNELS:
            words = find_other_channels(floats)
        if words is not None:
            self._smoother.append(words)

    def _refuse_nan(self, block: Samples) -> None:
        is_good = np.isfinite(block)
        if is_good.all():
            return
        first = self.position + int(np.argmin(is_good.all(axis=1)))
        raise SourceError(
            f"{show_path(self.path)} holds a sample that is no number (NaN or infinity) at "
            f"{show_time(first / self.info.sample_rate)}",
            remedy="render it again",
        )

    def _check_end(self) -> None:
        missing = self._count_missing()
        if not self.position and (self.info.codec, self.info.encoding) == ("flac", "pcm_32"):
            raise SourceError(
                f"{show_path(self.path)} is a FLAC of 32 bits, which this ffmpeg does not decode",
                remedy="install a newer ffmpeg, or convert it to WAV first, with flac for example",
            )
        if missing > 0 and not (self.info.is_whole and self.position):
            raise damaged(self.path, self.position / self.info.sample_rate, "it ends before its header says")

    def _count_missing(self) -> int:
        """Return how many frames fewer there were than the header says, with what is usual left out."""
        info = self.info
        if not self.position:
            return max(1, info.frames)
        if info.is_headerless:
            return 0
        slack = self._slack if info.slack is None else min(self._slack, round(info.slack * info.sample_rate))
        return self._told - slack - self.position

    @property
    def _told(self) -> int:
        """The frames that the header tells; of a bare stream, and of one that libsndfile reads, 0 for unknown."""
        info = self.info
        is_timed = info.decoder == "ffmpeg" and not info.is_headerless
        return info.frames or (round(info.duration * info.sample_rate) if is_timed else 0)

    @property
    def _slack(self) -> int:
        info = self.info
        if info.decoder == "ffmpeg":
            # Of lossy codecs an MP4 counts the silence at the end as well, the codec's own frames do not.
            is_indexed = info.timeline is not None and info.timeline.is_raw
            is_sure = info.frames and (info.encoding != "lossy" or not is_indexed)
            return 0 if is_sure else int(_LOSSY_SLACK_SECONDS * info.sample_rate) * max(1, len(info.layouts))
        return _MP3_SLACK * max(1, len(info.layouts)) if info.container == "MP3" else 0


class _SndfileDecoder:
    """One recording of a file; ``before`` frames precede it."""

    def __init__(self, path: Path, descriptor: int, opened: sndfile.SequentialFile, before: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._opened = opened
        self.position = before
        """Frames given so far, and those of recordings before this one."""
        self._before = before
        self._size = os.fstat(descriptor).st_size
        self.note = ""

    def decode(self, frames: int, dtype: Dtype) -> Samples:
        """Give up to ``frames`` frames; fewer only at the end."""
        try:
            block = sndfile.read_block(self._opened, frames, dtype, self.position - self._before)
        except soundfile.LibsndfileError as error:
            self._refuse_changed()
            decoded = self._before + sndfile.count_decoded(self._opened)
            raise damaged(self._path, decoded / self._opened.samplerate) from error
        if len(block) < frames:
            self._refuse_changed()
        self.position += len(block)
        return block

    def seek(self, position: int) -> bool:
        """Go to a frame, and tell whether that could be done to the sample."""
        opened = self._opened
        is_exact = opened.format in _SEEKABLE and opened.subtype.startswith(("PCM_", "FLOAT", "DOUBLE"))
        if not is_exact or not self._before <= position < self._before + opened.frames < sndfile.UNKNOWN_FRAMES:
            return False
        try:
            opened.seek(position - self._before)
        except soundfile.LibsndfileError:
            return False
        self.position = position
        return True

    def _refuse_changed(self) -> None:
        try:
            size = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise explain_os_error(self._path, error) from error
        if size < self._size:
            raise rewritten(self._path)


class _JoinedDecoder:
    """The recordings of a file, nearly always one, each opened when the one before it has ended."""

    def __init__(self, decoders: Generator[_Decoder]) -> None:
        self._decoders = decoders
        self._current: _Decoder | None = next(decoders)
        self.note = ""
        """What people should know of the recordings that have ended."""
        self._nothing: Samples | None = None

    def decode(self, frames: int, dtype: Dtype) -> Samples:
        """Give up to ``frames`` frames; fewer only at the end."""
        if self._current is None:
            assert self._nothing is not None
            return self._nothing.astype(dtype)
        block = self._current.decode(frames, dtype)
        while len(block) < frames and self._current is not None:
            self.note = self.note or self._current.note
            if (following := next(self._decoders, None)) is None:
                break
            self._current = following
            block = np.concatenate((block, following.decode(frames - len(block), dtype)))
        if len(block) < frames:
            self._current, self._nothing = None, block[:0]
        return block

    def seek(self, position: int) -> bool:
        """Go to a frame of the recording that is open, and tell whether that could be done to the sample."""
        return isinstance(self._current, _SndfileDecoder) and self._current.seek(position)

    def close(self) -> None:
        self._decoders.close()


def _open_each(path: Path, descriptor: int, info: AudioInfo) -> Generator[_Decoder]:
    before = 0
    for layout in info.layouts or (None,):
        with sndfile.open_sndfile(path, descriptor, layout) as opened:
            decoder = _SndfileDecoder(path, descriptor, opened, before)
            yield decoder
        before = decoder.position


def _start_each(path: Path, info: AudioInfo, which: Which) -> Generator[_Decoder]:
    before = 0
    for part in list_parts(info.layouts) or (None,):
        with open_decoder(path, info, which, part, before) as decoder:
            yield Playback(decoder, info.timeline, info.channels) if info.timeline else decoder
        before = decoder.position


@contextmanager
def open_reader(path: Path, *, info: AudioInfo | None = None, which: Which = shutil.which) -> Iterator[Reader]:
    """Open a source for decoding in blocks.

    Args:
        path: the file.
        info: what ``probe`` said of it just now; default asked here.
        which: finds ffmpeg.

    Raises:
        SourceError: as ``probe``.
        TransientError: the disk or share does not answer, or the file does not fit together since somebody's tags were
            written to it meanwhile.
    """
    before = _find_identity(path)
    try:
        with _open_now(path, info or probe(path, which=which), which) as reader:
            yield reader
    except SourceError as error:
        after = _find_identity(path)
        if after is None or after == before:
            raise
        raise rewritten(path) from error


def _find_identity(path: Path) -> Identity | None:
    try:
        return look_at(path)
    except (StembridgeError, ValueError):
        # Whoever opens it says what is wrong.
        return None


@contextmanager
def _open_now(path: Path, info: AudioInfo, which: Which) -> Iterator[Reader]:
    if info.decoder == "ffmpeg":
        with closing(_JoinedDecoder(_start_each(path, info, which))) as started:
            yield Reader(path, info, started)
        return
    with open_file(path) as descriptor, closing(_JoinedDecoder(_open_each(path, descriptor, info))) as joined:
        began_ns, before = time.time_ns(), Identity.of(os.fstat(descriptor))
        reader = Reader(path, info, joined)
        yield reader
        # What was leapt over may be damaged.
        is_sure = before.is_settled(began_ns) and not reader.has_leapt
        if is_sure and reader.is_over and before == Identity.of(os.fstat(descriptor)):
            _whole.keep(before, True)


def was_read_whole(path: Path) -> bool:
    """Tell whether this process decoded a file to its end, which libsndfile reads, and its status is the same.

    Raises:
        SourceError: it is not there, or may not be seen.
        TransientError: the disk or share does not answer.
    """
    return _whole.recall(look_at(path)) is not None
