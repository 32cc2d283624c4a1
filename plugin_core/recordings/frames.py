"""Walking over streams whose frames begin with a header of their own: MPEG audio and AAC in ADTS.

Nothing here is shared with the reader of such files, although that counts MPEG frames as well: what is hashed must not
change when reading is improved.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Final, NamedTuple

_ROOM: Final = 1 << 14
"""More than the largest frame (8191 bytes of ADTS) and the header after it."""

_RATES: Final = (44100, 48000, 32000)
_MPEG1_KILOBITS: Final = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_MPEG2_KILOBITS: Final = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By layer (ISO 11172-3 and 13818-3)."""

_NO_KIND: Final = -1

_MANY: Final = 1 << 14
"""More headers than a stream has that differ."""

_LENGTH_MARKS: Final = re.compile(rb"Xing|Info|VBRI")


class Frame(NamedTuple):
    """What a header says."""

    kind: int
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
    read: ClassVar[Callable[[bytes], Frame | None]]
    """Says what a header says, None of what is none."""

    def __init__(self) -> None:
        self._kind = _NO_KIND
        self._known: dict[bytes, Frame] = {}
        """What headers of the kind say: of most frames, nothing else is to be looked at."""
        self._rest = b""

    def feed(self, piece: bytes, *, is_last: bool = False) -> Iterator[memoryview]:
        """Take the next bytes of the stream and give payloads, as many at a time as lie side by side."""
        data = self._rest + piece
        view, end, header, recall = memoryview(data), len(data), self.header, self._known.get
        limit = end - (header - 1 if is_last else _ROOM)
        at = begun = done = 0
        while at < limit:
            frame = recall(data[at : at + header]) or self._look(data, at)
            if frame is None:
                found = data.find(b"\xff", at + 1)
                at = found if found >= 0 else end
                continue
            _, size, skipped = frame
            if at + size > end:
                at = end
                break
            if skipped or at != done:
                yield view[begun:done]
                begun = at + skipped
            at = done = at + size
        yield view[begun:done]
        self._rest = data[at:]

    def _look(self, data: bytes, at: int) -> Frame | None:
        header = data[at : at + self.header]
        frame = type(self).read(header)
        if frame is None or frame.kind != self._kind:
            return None if frame is None else self._begin(data, at, frame)
        if len(self._known) >= _MANY:
            self._known.clear()
        self._known[header] = frame
        return frame

    def _begin(self, data: bytes, at: int, frame: Frame) -> Frame | None:
        """Believe the first frame; afterwards one of another kind is none."""
        after = at + frame.size
        following = type(self).read(data[after : after + self.header])
        is_followed = after == len(data) or (following is not None and following.kind == frame.kind)
        if self._kind != _NO_KIND or not is_followed:
            return None
        self._kind = frame.kind
        return frame


@functools.lru_cache(maxsize=4096)
def _read_mpeg_header(header: bytes) -> Frame | None:
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    # Of MPEG-1, 2 and 2.5 the sample rates are halved each time.
    halvings = {3: 0, 2: 1, 0: 2}.get(header[1] >> 3 & 3)
    layer = {3: 1, 2: 2, 1: 3}.get(header[1] >> 1 & 3)
    rate, bits = header[2] >> 2 & 3, header[2] >> 4
    # Free format, which has no size, is none of ours.
    if halvings is None or layer is None or rate == 3 or not 0 < bits < 15:
        return None
    kilobits = (_MPEG2_KILOBITS if halvings else _MPEG1_KILOBITS)[layer][bits - 1]
    samples = 384 if layer == 1 else 576 if layer == 3 and halvings else 1152
    slot = 4 if layer == 1 else 1
    size = (samples * kilobits * 125 // ((_RATES[rate] >> halvings) * slot) + (header[2] >> 1 & 1)) * slot
    return Frame((header[1] & 0xFE) << 2 | rate, size, 0)


@functools.lru_cache(maxsize=16384)
def _read_adts_header(header: bytes) -> Frame | None:
    if len(header) < AdtsWalker.header or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    skipped = 7 if header[1] & 1 else 9
    return Frame((header[1] & 8) << 3 | header[2] >> 2, size, skipped) if size > skipped else None


class MpegWalker(FrameWalker):
    """MPEG audio of all layers: frames with their headers, but for one that only says how long the stream is."""

    header = 4
    read = _read_mpeg_header

    def _begin(self, data: bytes, at: int, frame: Frame) -> Frame | None:
        is_length = _LENGTH_MARKS.search(data, at, at + min(frame.size, 64)) is not None
        begun = super()._begin(data, at, frame)
        return begun._replace(skipped=frame.size) if begun is not None and is_length else begun


class AdtsWalker(FrameWalker):
    """AAC in ADTS: raw blocks without the headers that other containers do not have."""

    header = 6
    read = _read_adts_header


def is_adts(data: bytes) -> bool:
    """Tell whether bytes begin with ADTS frames; raw blocks of AAC never begin so."""
    frame = _read_adts_header(data[: AdtsWalker.header])
    if frame is None:
        return False
    following = data[frame.size : frame.size + AdtsWalker.header]
    return not following or _read_adts_header(following) is not None


def payloads(walker: FrameWalker, pieces: Iterable[bytes]) -> Iterator[memoryview]:
    """Give the payloads of a whole stream that comes in pieces."""
    for piece in pieces:
        yield from walker.feed(piece)
    yield from walker.feed(b"", is_last=True)
