"""libsndfile through soundfile: which files it is trusted with, how they are read in order, and that it says nothing.

libmpg123 complains on the screen of each odd frame, whatever it is told.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import soundfile

from plugin_core.audio.contradiction import explain
from plugin_core.audio.envelope import CHUNKED, find_end, list_chunks
from plugin_core.audio.info import ByteSpan, FileLayout, Structure, lay_out
from plugin_core.audio.ogg import OGG_HEAD, OGG_ORDERS, read_order
from plugin_core.audio.source_file import LEAP, Window, damaged, read_at
from plugin_core.errors import StembridgeError

if TYPE_CHECKING:
    from plugin_core.audio.samples import Samples


UNKNOWN_FRAMES: Final = 2**62
"""libsndfile gives 2**63 - 1 frames for a FLAC whose header does not say."""

_COUNT_FRAMES: Final = 1 << 16
_PADDED: Final = 16
"""Bits that fill the last two bytes, which may be as many samples."""
_CONTAINERS: Final = {"WAVEX": "WAV"}

_ENCODINGS: Final = {
    "PCM_U8": "pcm_u8",
    "PCM_S8": "pcm_s8",
    "PCM_16": "pcm_16",
    "PCM_24": "pcm_24",
    "PCM_32": "pcm_32",
    "FLOAT": "float",
    "DOUBLE": "double",
    "ALAC_16": "pcm_16",
    "ALAC_20": "pcm_24",
    "ALAC_24": "pcm_24",
    "ALAC_32": "pcm_32",
}

_CODECS: Final = {
    "ULAW": "pcm_mulaw",
    "ALAW": "pcm_alaw",
    "VORBIS": "vorbis",
    "OPUS": "opus",
    "MPEG_LAYER_I": "mp1",
    "MPEG_LAYER_II": "mp2",
    "MPEG_LAYER_III": "mp3",
}

_W64: Final = b"riff\x2e\x91\xcf\x11"
VOC: Final = b"Creative Voice "
_VOC_LINE: Final = b"\x08\x04\0\0"
"""How a block begins that tells of stereo."""
_VOC_TEXT: Final = b"\x05\x04\0\0"
"""How one begins that takes as many bytes as sox does not count."""
_VOC_CODINGS: Final = {0: (1, 1), 4: (1, 2), 6: (6, 1), 7: (7, 1)}
"""A WAV's code and the bytes of a sample, by VOC's codes."""
_VOC_HEADS: Final = {1: 2, 9: 12}
"""Bytes in front of the sound, by the kind of its block."""
_VOC_MOST: Final = 1 << 24
_VOC_MORE: Final = b"\2"
"""How a block begins that goes on with the one before it."""
_VOC_PACKET: Final = 1 << 11
"""Bytes of ffmpeg's packets."""
_SOX_LEAVES: Final = {1: (0,), 9: (0, 8)}
"""Bytes that sox does not count, but for what makes sizes begin anew."""
_MAGIC: Final = (
    *(b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"fLaC", b"OggS", b".snd", b"dns.", b"caff", b"ID3"),
    *(_W64, VOC),
)

_BAD_FORK: Final = range(149, 155)
"""libsndfile's errors of SD2, whose half is a Mac's resource fork (SFE_SD2_BAD_DATA_OFFSET and on)."""
_NO_TAGS: Final = b"ID3\3\0\0\0\0\0\n" + bytes(10)
"""Behind tags, of which these hold none, it looks for no such part."""
_READ: Final = 1 << 16
_FURTHEST: Final = (1 << 63) - 1
"""libsndfile knows no place beyond, whatever a damaged header adds up to."""
_TAIL: Final = 128
"""libmpg123 looks for a tag there."""

_lock: Final = threading.Lock()
_users: list[int | None] = []
"""For each one who wants quiet, the stream that stood there before, or None."""


class _VocBlock(NamedTuple):
    kind: int
    code: int
    channels: int
    rate: int
    body: int
    told: int
    """Bytes of sound that are counted."""


class _Streams(NamedTuple):
    current: ctypes.c_void_p
    """The C library's own ``stderr``; Python writes past it."""
    nothing: int


@contextmanager
def hushed() -> Iterator[None]:
    """Let nothing reach the screen through the C library's ``stderr``; with the GNU library, elsewhere do nothing."""
    streams = _find_streams()
    if streams is None:
        yield
        return
    with _lock:
        _users.append(streams.current.value)
        streams.current.value = streams.nothing
    try:
        yield
    finally:
        with _lock:
            before = _users.pop()
            if not _users:
                streams.current.value = before


@cache
def _find_streams() -> _Streams | None:
    # Other libraries have it where it cannot be changed, or not at all.
    with suppress(AttributeError, ValueError, OSError):
        if os.confstr("CS_GNU_LIBC_VERSION"):
            library = ctypes.CDLL(None)
            library.fopen.restype = ctypes.c_void_p
            if nothing := library.fopen(os.devnull.encode(), b"we"):
                return _Streams(ctypes.c_void_p.in_dll(library, "stderr"), nothing)
    return None


class View:
    """A layout as a file that libsndfile reads through soundfile; it may not raise."""

    def __init__(self, path: Path, descriptor: int, layout: FileLayout) -> None:
        self.trouble: StembridgeError | None = None
        """Why a read failed, for whoever asked for it."""
        self._path = path
        self._descriptor = descriptor
        self._pieces = layout.pieces
        self._is_claimed = layout.claimed > 0
        self._size = layout.claimed or sum(_measure(piece) for piece in layout.pieces)
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = min(max(0, base + offset), _FURTHEST)
        return self._position

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes; fewer only at the end, or in trouble."""
        found = bytearray()
        try:
            while len(found) < size and (data := self._read_piece(size - len(found))):
                found += data
                self._position += len(data)
        except StembridgeError as error:
            self.trouble = error
        return bytes(found)

    def _read_piece(self, size: int) -> bytes:
        at = self._position
        if at >= self._size - _TAIL > 0 and self._is_claimed:
            return bytes(min(size, self._size - at))
        for piece in self._pieces:
            length = _measure(piece)
            if at < length:
                if isinstance(piece, bytes):
                    return piece[at : at + size]
                return read_at(self._path, self._descriptor, piece.start + at, min(size, length - at, _READ))
            at -= length
        return b""


def _measure(piece: ByteSpan | bytes) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.end - piece.start


class SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read from its beginning to its end and never sought in.

    soundfile seeks after each read of a seekable file; that costs time in compressed formats and fails at the
    end of a FLAC without a length.
    """

    view: View | None = None
    """What it is read through, if that is not the file itself."""
    order: tuple[int, ...] | None = None
    """Where it has the channels of a WAV, if not in their order."""

    def seekable(self) -> bool:
        """Say no."""
        return False


def is_known(head: bytes) -> bool:
    """Tell whether the first bytes are of a container libsndfile reads reliably.

    Left to itself it takes text named .au or .vox for headerless audio, and prints to the terminal while it looks
    for MPEG frames in anything named .mp3.
    """
    return head.startswith(_MAGIC) or is_mpeg_audio(head)


def is_mpeg_audio(head: bytes) -> bool:
    """Tell whether the bytes begin with an MPEG audio frame (layer 1 to 3; AAC has the same sync and layer 0)."""
    return (
        len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 != 0 and head[2] & 0xF0 < 0xF0
    )


@contextmanager
def open_sndfile(path: Path, descriptor: int, layout: FileLayout | None = None) -> Iterator[SequentialFile]:
    """Open a file, or what a layout makes of it, for reading in order.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot read it.
    """
    with _open_itself(path, descriptor) if layout is None else _open_view(View(path, descriptor, layout)) as opened:
        if opened.format == "OGG" and opened.subtype in ("VORBIS", "OPUS") and opened.channels in OGG_ORDERS:
            whole = layout or FileLayout((ByteSpan(0, OGG_HEAD),))
            opened.order = read_order(View(path, descriptor, whole).read(OGG_HEAD), opened.channels)
        yield opened


def _open_itself(path: Path, descriptor: int) -> SequentialFile:
    # The descriptor spares any trouble with names, and with files renamed meanwhile; Windows has one table of
    # descriptors per C library, so there the name it is.
    with hushed():
        try:
            return SequentialFile(str(path) if os.name == "nt" else descriptor, closefd=False)
        except soundfile.LibsndfileError as error:
            if error.code not in _BAD_FORK:
                raise
    # Where a frame of MPEG begins it, a folder of a Mac's in which we happen to be is taken for a part of it.
    return _open_view(View(path, descriptor, FileLayout((_NO_TAGS, ByteSpan(0, os.fstat(descriptor).st_size)))))


def _open_view(view: View) -> SequentialFile:
    with hushed():
        opened = SequentialFile(view)
    opened.view = view
    return opened


def name_encoding(opened: soundfile.SoundFile) -> str:
    """Return our word for the encoding of an open file."""
    return _ENCODINGS.get(opened.subtype, "lossy")


def name_codec(opened: soundfile.SoundFile) -> str:
    """Return ffprobe's name for the codec of an open file; empty for those it reads alike, or we do not know."""
    return _CODECS.get(opened.subtype, "")


def name_container(opened: soundfile.SoundFile) -> str:
    """Return our word for the container of an open file."""
    return str(_CONTAINERS.get(opened.format, opened.format))


def read_block(opened: SequentialFile, frames: int, dtype: str, position: int) -> Samples:
    """Read up to ``frames`` frames: (n, channels), n smaller at the end.

    Args:
        opened: the file.
        frames: at most.
        dtype: of the samples.
        position: frames read before: what lies beyond the end is given no room.
    """
    # Whoever only looks at files needs it not.
    import numpy as np

    block = np.empty((max(1, min(frames, opened.frames - position)), opened.channels), dtype)
    with hushed():
        # What soundfile looks at in an array is known of this one.
        count = opened.buffer_read_into(block, dtype=dtype)
    if count < len(block) and opened.view is not None and opened.view.trouble is not None:
        raise opened.view.trouble
    return block[:count] if opened.order is None else np.take(block[:count], opened.order, axis=1)


def count_decoded(opened: soundfile.SoundFile) -> int:
    """Return how many frames were decoded so far, those of a read that failed half-way included; 0 if unknown."""
    return int(opened.tell()) if _knows_its_place(opened) else 0


def _knows_its_place(opened: soundfile.SoundFile) -> bool:
    """Tell whether the codec can say where it is: that is a seek, which GSM 6.10, G.721 and others do not have."""
    return bool(soundfile.SoundFile.seekable(opened))


def count_frames(path: Path, opened: SequentialFile) -> int:
    """Decode a file whose header gives no length, and whose end does not either (FLAC written into a pipe, cut).

    Raises:
        SourceError: it is damaged.
    """
    frames = 0
    try:
        while block := len(read_block(opened, _COUNT_FRAMES, "int32", frames)):
            frames += block
    except soundfile.LibsndfileError as error:
        raise damaged(path, count_decoded(opened) / opened.samplerate) from error
    return frames


def examine_voc(path: Path, descriptor: int, start: int) -> Structure:
    """Lay out as a WAV the blocks of a VOC that ffmpeg would not give whole; others are left to it.

    That are sox's, whose size is short or began to count anew, and those of so many channels that ffmpeg's packets end
    inside a sample.

    Raises:
        TransientError: the disk or share does not answer.
    """
    window, last = Window(path, descriptor, room=LEAP, first=start), find_end(path, descriptor) - start - 1
    block = _read_voc(window)
    if block is None:
        return Structure(needs_ffmpeg=True)
    held, (tag, width) = last - block.body, _VOC_CODINGS[block.code]
    lost, frame = held - block.told, width * block.channels
    is_short = lost > 0 and lost % _VOC_MOST in _SOX_LEAVES[block.kind] and window.take(last - 8, 4) != _VOC_TEXT
    spans = [ByteSpan(block.body, last)] if is_short and window.take(last, 1) == b"\0" else []
    if not spans and _VOC_PACKET % frame:
        spans = _list_spans(window, block, last + 1)
    held = sum(span.end - span.start for span in spans)
    if not block.told > 0 or not held or held % frame:
        return Structure(needs_ffmpeg=True)
    about = struct.pack("<HHIIHH", tag, block.channels, block.rate, block.rate * frame, frame, 8 * width)
    head = struct.pack("<4sI8sI16s4sI", b"RIFF", 36 + held, b"WAVEfmt ", len(about), about, b"data", held)
    layout = FileLayout((head, *(ByteSpan(start + span.start, start + span.end) for span in spans)))
    # What sox never counts is no damage.
    told = block.told / held if is_short and lost >= _VOC_MOST else None
    return Structure(layouts=(layout,), told=told, container="VOC")


def _list_spans(window: Window, block: _VocBlock, end: int) -> list[ByteSpan]:
    """Give where the sound is of a block and those that go on with it; none where they do not lead to the end."""
    spans, at = [ByteSpan(block.body, block.body + block.told)], block.body + block.told
    while (head := window.take(at, 4)).startswith(_VOC_MORE):
        spans.append(ByteSpan(at + 4, at + 4 + int.from_bytes(head[1:], "little")))
        at = spans[-1].end
    return spans if at <= end and window.is_silent(at, end) else []


def _read_voc(window: Window) -> _VocBlock | None:
    """Read the first block with sound, and what may precede it; None where a WAV can hold no such sound."""
    at = int.from_bytes(window.take(20, 2), "little")
    head, rate, channels = window.take(at, 24).ljust(24, b"\0"), 0, 1
    if head.startswith(_VOC_LINE):
        channels, at = head[7] + 1, at + 8
        rate = 256_000_000 // (channels * (0x10000 - int.from_bytes(head[4:6], "little")))
        head = head[8:]
    kind, code, size = head[0], head[5], int.from_bytes(head[1:4], "little")
    bits = 0
    if kind == max(_VOC_HEADS):
        rate, bits, channels, code = struct.unpack_from("<IBBH", head, 4)
    is_known = kind in _VOC_HEADS and code in _VOC_CODINGS and channels > 0
    if not is_known or bits not in (0, 8 * _VOC_CODINGS[code][1]):
        return None
    front = _VOC_HEADS[kind]
    return _VocBlock(kind, code, channels, rate or 1_000_000 // (256 - head[4]), at + 4 + front, size - front)


def refuse_miscounted(path: Path, descriptor: int) -> None:
    """Refuse an AIFF that counts other samples than it holds, where each takes as many bits as it needs.

    Raises:
        SourceError: it does.
    """
    window = Window(path, descriptor)
    chunks = {one.name: one for one in list_chunks(window, CHUNKED[b"FORM"], 12, window.size)}
    if not {b"COMM", b"SSND"} <= chunks.keys():
        return
    sound, at = chunks[b"SSND"], chunks[b"COMM"].body + 2
    told, end = int.from_bytes(window.take(at, 4), "big"), min(sound.body + sound.size, window.size)
    layout = lay_out(0, end, {at: b"\x7f\xff\xff\xff"})
    with open_sndfile(path, descriptor, layout) as opened:
        held = count_frames(path, opened)
    if not 0 <= held - told <= _PADDED:
        raise explain(path, f"it has {told} samples, and {held} by its bits")
