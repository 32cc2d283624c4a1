"""An Ogg file's pages: whether the last one is there and marked as the end, and where recordings were joined.

libsndfile takes what is there for the whole, and reads only the first of several recordings (RFC 3533).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.flac import FLAC_HEADER, read_frame, read_stream_info
from plugin_core.audio.info import ByteSpan, FileLayout, Structure
from plugin_core.audio.source_file import AGAIN, FileReading, cut_short, read_pieces
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_MARK: Final = b"OggS"
_HEADER: Final = 27
_ROOM: Final = _HEADER + 255 + 255 * 255
"""The largest page."""
_CONTINUED, _BEGIN, _END = 1, 2, 4
_SUM: Final = slice(22, 26)
_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits the other way round."""
_CODECS: Final = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"fLaC", b"Speex   ")
"""How the first packet of a stream of sound begins."""
_OPUS: Final = b"OpusHead"
_FLAC: Final = b"\x7fFLAC"
_FLAC_INFO: Final = 17
"""Where in its first packet its STREAMINFO is."""
_OPUS_LENGTHS: Final = (*3 * (480, 960, 1920, 2880), *2 * (480, 960), *4 * (120, 240, 480, 960))
"""Samples of a frame, by the five highest bits of a packet (RFC 6716, 3.1)."""
OGG_ORDERS: Final = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}
"""Where Vorbis and Opus have the channels of a WAV, by their number (Vorbis I, 4.3.9): the centre is their second."""
OGG_HEAD: Final = 1 << 9
"""Bytes in which the first page of an Ogg says how its channels are mapped."""


class OggPage(NamedTuple):
    """A page, which holds packets or parts of them."""

    start: int
    head: bytes
    lacing: bytes
    """Sizes of its segments; a packet ends with one below 255."""
    body: memoryview
    is_cut: bool
    """Whether the file ends before it does."""

    @property
    def end(self) -> int:
        return self.start + _HEADER + len(self.lacing) + len(self.body)

    @property
    def begins(self) -> bool:
        """Whether a stream begins with it."""
        return bool(self.head[5] & _BEGIN)

    @property
    def ends(self) -> bool:
        """Whether its stream ends with it."""
        return bool(self.head[5] & _END)

    @property
    def serial(self) -> int:
        """Of its stream."""
        return int.from_bytes(self.head[14:18], "little")

    @property
    def number(self) -> int:
        """Its place among the pages of its stream."""
        return int.from_bytes(self.head[18:22], "little")

    @property
    def place(self) -> int:
        """Where its last packet ends, in samples or the like; -1 where none ends in it."""
        return int.from_bytes(self.head[6:14], "little", signed=True)

    @property
    def is_sound(self) -> bool:
        """Whether its checksum is right; a page of which it is not is passed over by every decoder."""
        whole = b"".join((self.head[: _SUM.start], bytes(4), self.head[_SUM.stop :], self.lacing, self.body))
        # Ogg's CRC takes the highest bits first, zlib's the lowest, and inverts them before and afterwards.
        mirrored = ~zlib.crc32(whole.translate(_MIRRORED), 0xFFFFFFFF) & 0xFFFFFFFF
        return mirrored.to_bytes(4, "big").translate(_MIRRORED) == self.head[_SUM]

    @property
    def packets(self) -> Iterator[memoryview]:
        """Those that begin and end in it."""
        begin, size = 0, 0
        is_begun = not self.head[5] & _CONTINUED
        for segment in self.lacing:
            size += segment
            if segment < 255:
                if is_begun:
                    yield self.body[begin : begin + size]
                begin, size, is_begun = begin + size, 0, True

    def holds(self, *starts: bytes) -> bool:
        """Tell whether its first bytes are one of these."""
        return bytes(self.body[:8]).startswith(starts)


class _Link:
    """One recording of a file: streams that begin together, of which the first with sound counts."""

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self.serial: int | None = None
        self.is_ended = self.is_broken = self.is_wrong = self.is_backward = self.has_begun = False
        self.is_joined = self._is_opus = False
        self._number = self._place = 0

    def add(self, page: OggPage) -> None:
        self.end = page.end
        if page.begins:
            if self.serial is None and page.holds(*_CODECS):
                self.serial, self._number, self._is_opus = page.serial, page.number, page.holds(_OPUS)
            return
        self.has_begun = True
        if page.serial == self.serial:
            self._number += 1
            self.is_broken |= page.number != self._number
            self._number = page.number
            self.is_wrong |= not page.is_sound
            if page.place >= 0:
                self.is_backward |= page.place < self._place
                # Only the last page may count fewer samples than it holds, unless streams were put end to end.
                is_short = (
                    self._is_opus and not page.ends and page.place - self._place < sum(map(_measure_opus, page.packets))
                )
                self.is_joined |= is_short and self._place > 0
                self._place = page.place
            self.is_ended = page.ends


def examine_ogg(path: Path, descriptor: int, passage: FileReading | None = None) -> Structure | None:
    """Find the recordings in an Ogg file; None where it has no sound that we know.

    Raises:
        SourceError: it ends before its sound is whole, or lacks a part of it.
    """
    pages = list_pages(read_pieces(path, descriptor, passage=passage))
    links = [link for link in _split(path, pages) if link.serial is not None]
    if not links:
        return None
    for link in links:
        _check(path, link, len(links))
    if len(links) == 1 and not links[0].start:
        # libsndfile stops where a page counts fewer samples than it holds.
        return Structure(needs_ffmpeg=links[0].is_joined)
    return Structure(layouts=tuple(FileLayout((ByteSpan(link.start, link.end),)) for link in links))


def measure_late_flac(path: Path, descriptor: int) -> float:
    """Return the seconds by which FLAC begins later than what else an Ogg holds, of which ffmpeg does not tell."""
    serial, others, info = None, 0, None
    for page in list_pages(read_pieces(path, descriptor)):
        if page.begins and info is None and page.holds(_FLAC):
            serial, info = page.serial, read_stream_info(bytes(page.body[_FLAC_INFO:]))
        elif page.begins:
            others += 1
        elif serial is None:
            # All streams begin before any goes on: there is no FLAC, and a film may be long.
            break
        elif page.serial == serial and page.place:
            frames = [read_frame(bytes(packet[:FLAC_HEADER]), info.block) for packet in page.packets] if info else []
            if info is None or not others or not frames or (first := frames[0]) is None or (last := frames[-1]) is None:
                break
            return max(0, page.place - (last.end - first.first)) / max(1, info.rate)
    return 0.0


def list_pages(pieces: Iterable[bytes]) -> Iterator[OggPage]:
    """Give the pages of a file that comes in pieces."""
    splitter = PageSplitter()
    for piece in pieces:
        yield from splitter.feed(piece)
    yield from splitter.feed(b"", is_last=True)


class PageSplitter:
    """Gives the pages of a file, the last one also where it is cut; what is none is passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._start = 0

    def feed(self, piece: bytes | memoryview, *, is_last: bool = False) -> Iterator[OggPage]:
        """Take the next bytes and give the pages in them."""
        data, start, at = self._rest + piece, self._start, 0
        view = memoryview(data)
        # In the end all that is left is gone through.
        until = len(data) if is_last else len(data) - _ROOM
        while at < until:
            if not data.startswith(_MARK, at):
                found = data.find(_MARK, at + 1)
                at = found if found >= 0 else max(at + 1, len(data) + 1 - len(_MARK))
                continue
            head = data[at : at + _HEADER]
            table = at + len(head)
            body = table + (head[26] if len(head) == _HEADER else 0)
            lacing = data[table:body]
            end = body + sum(lacing)
            yield OggPage(start + at, head, lacing, view[body:end], len(head) < _HEADER or end > len(data))
            at = end
        self._rest, self._start = data[at:], start + at


def _split(path: Path, pages: Iterator[OggPage]) -> list[_Link]:
    links: list[_Link] = []
    for page in pages:
        if page.is_cut:
            raise cut_short(path)
        if not links or (page.begins and links[-1].has_begun):
            links.append(_Link(page.start))
        links[-1].add(page)
    return links


def _check(path: Path, link: _Link, count: int) -> None:
    shown = show_path(path)
    if link.is_broken:
        raise SourceError(f"{shown} is damaged: pages in its middle are missing", remedy=AGAIN)
    if link.is_wrong:
        raise SourceError(f"{shown} is damaged: the checksum of a page is wrong", remedy=AGAIN)
    if link.is_backward:
        raise SourceError(f"{shown} is damaged: a page says that it ends before the one in front of it", remedy=AGAIN)
    if not link.is_ended:
        which = "" if count == 1 else f" in one of its {count} recordings"
        raise SourceError(
            f"{shown} is cut short: the mark of its end is missing{which}",
            remedy=f"{AGAIN}, or convert it to FLAC first if this is all of it",
        )


def _measure_opus(head: memoryview) -> int:
    """Return the samples at 48 kHz of a packet that begins with these bytes; 0 where it has none."""
    if not head or (len(head) < 2 and head[0] & 3 == 3):
        return 0
    count = (1, 2, 2)[head[0] & 3] if head[0] & 3 < 3 else head[1] & 63
    return _OPUS_LENGTHS[head[0] >> 3] * count


def read_order(head: bytes, channels: int) -> tuple[int, ...] | None:
    """Return where Vorbis or Opus of so many channels has those of a WAV; None if in their order (RFC 7845, 5.1.1)."""
    opus = head.find(b"OpusHead")
    stands_for_speakers = opus < 0 or head[opus + 18 : opus + 19] == b"\1"
    return OGG_ORDERS[channels] if stands_for_speakers else None
