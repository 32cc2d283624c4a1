"""Coded packets: frames that begin with a header (MPEG audio, AAC in ADTS), pages of Ogg, and what ffmpeg copies.

What is hashed must not change when reading is improved: only headers are understood as the readers do, by the standard.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar, Final, NamedTuple, Protocol

from plugin_core.audio.ffmpeg import INSTALL, Which, name_input
from plugin_core.audio.frames import ADTS_HEADER, measure_adts, read_frame
from plugin_core.audio.info import AudioInfo, ByteSpan, list_parts
from plugin_core.audio.ogg import OggPage, PageSplitter
from plugin_core.errors import MissingToolError, SourceError
from plugin_core.model import show_path

_ROOM: Final = 1 << 14
"""More than the largest frame (8191 bytes of ADTS) and the header after it."""

_MANY: Final = 1 << 14
"""More headers than a stream has that differ."""

_LENGTH_MARKS: Final = re.compile(rb"Xing|Info|VBRI")


_CODECS: Final = {b"\x01vorbis": 3, b"OpusHead": 2}
"""How the first packet begins, and how many packets are headers: setup and tags, but no sound."""


_NOTHING: Final = hashlib.sha256().hexdigest()

ALL: Final = ((0, sys.maxsize),)
"""The span of everything."""

_COPIED: Final = 1 << 20


class Split(Protocol):
    """Gives the packets of a stream that comes in pieces."""

    def __call__(self, piece: bytes | memoryview, *, is_last: bool) -> Iterable[bytes | memoryview]:
        """Take the next bytes of the stream and give the packets that end in them."""
        ...


class Framing(NamedTuple):
    """What a header says."""

    kind: object
    """What all frames of a stream have in common."""
    size: int
    """Bytes with the header."""
    skipped: int
    """Bytes in front that are no payload."""


class FrameWalker:
    """Gives the payload of a stream's frames; what is no frame is passed over.

    Two headers of one kind in a row are needed for the first to be believed. A frame that the stream's end cuts short
    is left out.
    """

    header: ClassVar[int]
    """Bytes in which a header says how long its frame is."""
    read: ClassVar[Callable[[bytes], Framing | None]]
    """Says what a header says, None of what is none."""

    def __init__(self) -> None:
        self._kind: object = None
        self._known: dict[bytes, tuple[int, int]] = {}
        """Size and what is skipped, by headers of the kind: of most frames, nothing else is to be looked at."""
        self._rest = b""

    def feed(self, piece: bytes | memoryview, *, is_last: bool = False) -> list[memoryview]:
        """Take the next bytes of the stream and give the payloads in them; those that lie side by side as one."""
        data = self._rest + piece
        view, end, header, recall = memoryview(data), len(data), self.header, self._known.get
        limit = end - (header - 1 if is_last else _ROOM)
        at = begun = done = 0
        parts: list[memoryview] = []
        while at < limit:
            frame = recall(data[at : at + header]) or self._look(data, at)
            if frame is None:
                found = data.find(b"\xff", at + 1)
                at = found if found >= 0 else end
                continue
            size, skipped = frame
            if at + size > end:
                at = end
                break
            if skipped or at != done:
                parts.append(view[begun:done])
                begun = at + skipped
            at = done = at + size
        self._rest = data[at:]
        parts.append(view[begun:done])
        return parts

    def _look(self, data: bytes, at: int) -> tuple[int, int] | None:
        header = data[at : at + self.header]
        frame = type(self).read(header)
        if frame is None or frame.kind != self._kind:
            begun = frame and self._begin(data, at, frame)
            return begun and (begun.size, begun.skipped)
        if len(self._known) >= _MANY:
            self._known.clear()
        self._known[header] = frame.size, frame.skipped
        return frame.size, frame.skipped

    def _begin(self, data: bytes, at: int, frame: Framing) -> Framing | None:
        """Believe the first frame; afterwards one of another kind is none."""
        after = at + frame.size
        following = type(self).read(data[after : after + self.header])
        is_followed = after == len(data) or (following is not None and following.kind == frame.kind)
        if self._kind is not None or not is_followed:
            return None
        self._kind = frame.kind
        return frame


@lru_cache(maxsize=4096)
def _read_mpeg_header(header: bytes) -> Framing | None:
    # Free format, which has no size, is none of ours.
    frame = read_frame(header)
    return frame and Framing(frame.kind, frame.size, 0)


@lru_cache(maxsize=16384)
def _read_adts_header(header: bytes) -> Framing | None:
    if not (size := measure_adts(header)):
        return None
    skipped = 7 if header[1] & 1 else 9
    return Framing((header[1] & 8) << 3 | header[2] >> 2, size, skipped) if size > skipped else None


class MpegWalker(FrameWalker):
    """MPEG audio of all layers: frames with their headers, but for one that only says how long the stream is."""

    header = 4
    read = _read_mpeg_header

    def _begin(self, data: bytes, at: int, frame: Framing) -> Framing | None:
        is_length = _LENGTH_MARKS.search(data, at, at + min(frame.size, 64)) is not None
        begun = super()._begin(data, at, frame)
        return begun._replace(skipped=frame.size) if begun is not None and is_length else begun


class AdtsWalker(FrameWalker):
    """AAC in ADTS: raw blocks without the headers that other containers do not have."""

    header = ADTS_HEADER
    read = _read_adts_header


def is_adts(data: bytes) -> bool:
    """Tell whether bytes begin with ADTS frames; raw blocks of AAC never begin so."""
    frame = _read_adts_header(data[: AdtsWalker.header])
    if frame is None:
        return False
    following = data[frame.size : frame.size + AdtsWalker.header]
    return not following or _read_adts_header(following) is not None


class _OggStream:
    """The packets of one logical stream."""

    def __init__(self, headers: int) -> None:
        self._headers = headers
        self._open = b""
        """The beginning of a packet that goes on in the next page."""

    def feed(self, lacing: bytes, body: memoryview) -> Iterator[bytes | memoryview]:
        """Take a page and give the packets that end in it, without the headers."""
        start = 0
        if self._headers:
            start, lacing = self._skip_headers(lacing)
        # A packet ends where a segment is shorter than 255 bytes.
        ended = len(lacing.rstrip(b"\xff"))
        end = start + sum(lacing[:ended])
        if ended:
            yield self._open
            yield body[start:end]
            self._open = b""
        if not self._headers:
            self._open += body[end:]

    def _skip_headers(self, lacing: bytes) -> tuple[int, bytes]:
        for number, length in enumerate(lacing):
            self._headers -= length < 255
            if not self._headers:
                return sum(lacing[: number + 1]), lacing[number + 1 :]
        return 0, b""


class OggWalker:
    """Gives the packets of the first stream if it is Vorbis or Opus; of joined files, those of each."""

    def __init__(self) -> None:
        self._stream: _OggStream | None = None
        self._serial = 0
        self._is_beginning = False

    def feed(self, page: OggPage) -> Iterator[bytes | memoryview]:
        """Take the next page and give the packets that end in it, as they lie side by side."""
        if page.begins:
            self._begin(page)
        else:
            self._is_beginning = False
        if self._stream is not None and page.serial == self._serial:
            yield from self._stream.feed(page.lacing, page.body)

    def _begin(self, page: OggPage) -> None:
        """Choose the stream: all of a recording begin before any goes on."""
        if not self._is_beginning:
            self._stream = None
        self._is_beginning = True
        headers = next((count for start, count in _CODECS.items() if page.holds(start)), 0)
        if self._stream is None and headers:
            self._stream, self._serial = _OggStream(headers), page.serial


class OggPackets:
    """Gives the packets of a whole Ogg file, whatever pages they lie in."""

    def __init__(self) -> None:
        self._pages = PageSplitter()
        self._walker = OggWalker()

    def feed(self, piece: bytes | memoryview, *, is_last: bool = False) -> Iterator[bytes | memoryview]:
        """Take the next bytes of the file and give the packets that end in them."""
        for page in self._pages.feed(piece, is_last=is_last):
            if not page.is_cut:
                yield from self._walker.feed(page)


def as_it_is(piece: bytes | memoryview, *, is_last: bool) -> tuple[bytes | memoryview]:  # noqa: ARG001 - a ``Split``
    """Take everything for packets."""
    return (piece,)


class PacketHash:
    """Hashes the packets of a file that is heard from its beginning to its end.

    Args:
        spans: where in the file they lie, offset and size of each, in order.
        split: gives those in the next bytes of the spans, which may be the last.
    """

    def __init__(self, spans: Iterable[tuple[int, int]], split: Split) -> None:
        self._spans = iter(spans)
        self._span: tuple[int, int] | None = next(self._spans, None)
        self._split = split
        self._position = 0
        self._digest = hashlib.sha256()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the file."""
        view, before = memoryview(piece), self._position
        self._position += len(piece)
        while self._span is not None and self._span[0] < self._position:
            start, size = self._span
            self._hash(view[max(0, start - before) : max(0, start + size - before)], is_last=False)
            if start + size > self._position:
                return
            self._span = next(self._spans, None)

    def finish(self) -> str:
        """Return the SHA-256 at the end of the file, hexadecimal; "" where there were no packets."""
        self._hash(b"", is_last=True)
        found = self._digest.hexdigest()
        return "" if found == _NOTHING else found

    def _hash(self, part: bytes | memoryview, *, is_last: bool) -> None:
        packets = list(self._split(part, is_last=is_last))
        # Thousands of small ones are copied sooner than they are handed over one by one.
        self._digest.update(packets[0] if len(packets) == 1 else b"".join(packets))


def copy_packets(path: Path, info: AudioInfo, check: Callable[[], None], which: Which) -> Iterator[bytes]:
    """Give the packets in pieces, all of them: what an edit list leaves out is there as well.

    Args:
        path: the file.
        info: what ``identify`` said of it.
        check: called for each piece; raise there to stop.
        which: finds ffmpeg.

    Raises:
        SourceError: there is no ffmpeg, or it fails.
    """
    program = which("ffmpeg")
    if program is None:
        raise MissingToolError(f"{show_path(path)} needs ffmpeg to be read", remedy=INSTALL)
    for part in list_parts(info.layouts) or (None,):
        yield from _copy(program, path, info, part, check)


def _copy(
    program: str, path: Path, info: AudioInfo, part: ByteSpan | None, check: Callable[[], None]
) -> Iterator[bytes]:
    # Other demuxers refuse the option.
    edits = ("-ignore_editlist", "1") if info.container == "M4A" else ()
    with start_copying(program, *edits, *name_input(path, part)) as process:
        for piece in read_copied(process):
            check()
            yield piece
        if process.wait() != 0:
            raise SourceError(f"{show_path(path)} cannot be copied from by ffmpeg")


@contextmanager
def start_copying(program: str, *source: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start ffmpeg, which writes packets to standard output; it is gone afterwards, whatever happened.

    Args:
        program: ffmpeg.
        source: the arguments that name what it reads.

    Raises:
        SourceError: it does not start.
    """
    command = [
        *(program, "-nostdin", "-hide_banner", "-v", "quiet", *source),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-c", "copy", "-f", "data", "pipe:1"),
    ]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        raise SourceError(f"{program} does not start ({error.strerror})", remedy=INSTALL) from error
    with process:
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.kill()
            # What was to be written yet goes nowhere.
            with suppress(OSError):
                process.stdin.close()


def read_copied(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Give what ffmpeg copied in pieces of a MiB."""
    assert process.stdout is not None
    return iter(partial(process.stdout.read, _COPIED), b"")
