"""Containers of which the packets of sound lie among those of pictures: what they say of the first stream with sound.

AVI (Microsoft's RIFF, OpenDML) counts packets, and names them in an index. By frames without a byte, or in the header
of the stream, it says that sound begins later than pictures. The packets of ASF have numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.source_file import Window, cut_short, joined, open_file, read_at

ASF: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA_HEAD: Final = 50
_ASF_FILE: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_STREAM: Final = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_ASF_SOUND: Final = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_ASF_FIRST: Final = 30
"""Where the first object of the header is."""
_ASF_ENDING: Final = 12
"""Bytes that end what ffmpeg wrote into a pipe."""
_ASF_LIVE: Final = 1
"""The flag of a recording whose sizes nobody filled in."""
_ASF_WIDTHS: Final = (0, 1, 2, 4)
"""Bytes of a number, by two bits that say so."""
_ASF_HEAD: Final = 64
"""More bytes than the head of a packet has."""
_ASF_ROOM: Final = 300
"""More bytes than what precedes the sound in a part of a packet."""
_COMPRESSED: Final = 1
"""In place of the size of what is told of a packet: it holds several small ones."""
_HEAD: Final = 12
"""Of the file, and of a list: a name, a size and a kind."""
_LISTS: Final = (b"hdrl", b"strl", b"movi", b"rec ")
_HEADER: Final = 48
_ENTRY: Final = 16
_FIRST_FRAMES: Final = 2
_OPEN: Final = (0, 0xFFFFFFFF)
"""Sizes of what its writer could not go back to fill in."""
_FRAMED: Final = (0x50, 0x55, 0xFF, 0x2000, 0x2001)
"""MP2, MP3, AAC, AC-3 and DTS: every packet gives as many samples, if packets are counted and not bytes."""
_FAAC: Final = b"libfaac"
"""What stands in a first frame of AAC that ffmpeg leaves out, one of the first."""
_FAAC_ROOM: Final = 64
_FAAC_FAR: Final = 1 << 26
"""How far that is looked for."""
_RECORDERS: Final = (b"\x4d\x80\x86Chrome", b"QTmuxingAppLibWebM")
"""How browsers name themselves in a WebM: its times are a clock's, and while they hear nothing they write nothing."""
_RECORDER_ROOM: Final = 1 << 10
_AAC: Final = 0xFF
_DTS: Final = 0x2001
_BLOCKS: Final = (2, 6, 7, 0x11, 0x31)
"""ADPCM, A-law, u-law and GSM: so does every block."""
_USUAL_SECONDS: Final = 0.1
"""More than the first packets of some codecs that give no sound, and than a frame that was counted in part."""


class InterleavedSound(NamedTuple):
    """Of the first stream with sound."""

    is_whole: bool
    """Whether the file is as long as it says."""
    late: float = 0.0
    """Seconds of silence in front of it."""
    lasts: float | None = None
    """Seconds that its header counts, the silence included; 0 where it counts nothing, None where it is damaged."""
    counted: float = 0.0
    """Seconds by its packets of DTS, to which ffmpeg gives times that are none, where its header counts nothing."""
    slack: float = 0.0
    """Seconds by which what is decoded may be shorter than that, and nothing is missing."""
    broken: float | None = None
    """The second at which a packet is not there; None for nowhere."""
    is_torn: bool = False
    """Whether it ends in the middle of a packet, and says not how long it is."""


class _Payload(NamedTuple):
    """A part of a packet of sound, as an ASF holds it."""

    number: int
    """Of the packet, which goes up by one and wraps."""
    last: int
    """That of the last one, where it holds several."""
    wraps: int
    """How many numbers there are."""
    start: int
    """Where in the packet it begins."""
    end: int
    size: int
    """Of the packet."""
    seconds: float

    def follows(self, other: _Payload) -> bool:
        """Tell whether nothing lies between it and another."""
        if self.number == other.last and self.start:
            return self.start == other.end
        return self.number == (other.last + 1) % self.wraps and self.start == 0 and other.end == other.size


class _Object(NamedTuple):
    """A part of an ASF."""

    name: bytes
    start: int
    end: int


class _Chunk(NamedTuple):
    name: bytes
    start: int
    size: int


class _Header(NamedTuple):
    """The header of a stream."""

    name: bytes
    """Of its packets."""
    second: float
    """What a unit lasts."""
    start: int
    units: int
    unit: int
    """Bytes of a unit; 0 where a packet is one."""
    codec: int = 0

    @property
    def lasts(self) -> float:
        return (self.start + self.units) * self.second


def read_avi(path: Path, window: Window, leaps: Window) -> InterleavedSound:
    """Read what an AVI says of its sound.

    Args:
        path: the file.
        window: on it.
        leaps: a window on it that reads no more than it is asked for.

    Raises:
        SourceError: it is cut short.
    """
    is_whole = _is_whole(path, window)
    header, late = _read_headers(window)
    if header is None:
        return InterleavedSound(is_whole)
    is_exact = header.codec in _BLOCKS or (header.codec in _FRAMED and not header.unit)
    # Who could not go back to write the size counts something else, too; ffmpeg counts bytes of AAC that it copied.
    is_counted = header.units and is_whole and not (header.codec == _AAC and header.unit)
    lasts = header.lasts if is_counted else 0.0
    is_exact &= lasts > 0
    return InterleavedSound(
        is_whole,
        late,
        lasts,
        0.0 if is_whole or header.codec != _DTS else _count_packets(window, header),
        header.second / 2 if is_exact else _USUAL_SECONDS,
        _find_lost(leaps, lasts),
    )


def _is_whole(path: Path, window: Window) -> bool:
    at, size = 0, window.size
    while (head := window.take(at, 8)).startswith(b"RIFF"):
        length = int.from_bytes(head[4:], "little")
        at += 8 + length
        if length in _OPEN:
            return False
        if at > size:
            raise cut_short(path, 1 - size / at)
    return True


def _read_headers(window: Window) -> tuple[_Header | None, float]:
    """Return the header of the first stream with sound, None if that is damaged, and how many seconds late it is."""
    streams = late = filled = 0
    shown = 0.0
    sound: _Header | None = None
    is_begun = False
    for chunk in _list_chunks(window, _LISTS):
        if chunk.name == b"strh":
            data = window.take(chunk.start, _HEADER).ljust(_HEADER, b"\0")
            scale, rate, start, count, unit = struct.unpack_from("<IIII8xI", data, 20)
            header = _Header(b"%02dwb" % streams, scale / rate if rate else 0.0, start, count, unit)
            if data.startswith(b"vids"):
                shown = max(shown, header.lasts)
            elif data.startswith(b"auds"):
                sound = sound or header
            streams += 1
        elif chunk.name == b"strf" and sound is not None and not sound.codec:
            sound = sound._replace(codec=int.from_bytes(window.take(chunk.start, 2), "little"))
        elif chunk.name == b"movi":
            is_begun = True
        elif sound is not None and is_begun and chunk.name == sound.name:
            # ffmpeg leaves the gap after the first frame, in which there is no sound yet.
            filled, late = filled + bool(chunk.size), late + (not chunk.size)
            if _FAAC in window.take(chunk.start, min(chunk.size, _FAAC_ROOM)):
                sound = sound._replace(codec=0)
            if filled == _FIRST_FRAMES:
                break
    if sound is None or not sound.second:
        return None, 0.0
    if (sound.start + late) * sound.second > (shown or sound.units * sound.second):
        # Beyond the end of the pictures, or longer than all there is, it is no time.
        return sound._replace(start=0), 0.0
    return sound, (sound.start + late) * sound.second


def _count_packets(window: Window, header: _Header) -> float:
    """Return the seconds that all packets of a stream last, of which each is a unit."""
    packets = sum(chunk.name == header.name for chunk in _list_chunks(window, _LISTS))
    return (header.start + packets) * header.second


def _find_lost(window: Window, lasts: float) -> float | None:
    """Return the second at which the index first names a packet in vain; None where it does not."""
    movie, index = 0, b""
    for chunk in _list_chunks(window):
        if chunk.name == b"LIST" and window.take(chunk.start, 4) == b"movi":
            movie = chunk.start
        elif chunk.name == b"idx1":
            index = window.take(chunk.start, chunk.size)
            break
    entries = [index[at : at + _ENTRY] for at in range(0, len(index) - _ENTRY + 1, _ENTRY)]
    sounds = [one for one in entries if one[2:4] == b"wb"]
    name = min(sounds, default=b"")[:4]
    sound = [(int.from_bytes(one[8:12], "little"), one[:4] + one[12:]) for one in sounds if one[:4] == name]
    # Places count from the file's beginning, or from the list's name.
    first = 0 if sound and window.take(sound[0][0], 4) == sound[0][1][:4] else movie
    lost = [number for number, (place, packet) in enumerate(sound) if window.take(first + place, 8) != packet]
    # Where much of it leads nowhere, the index is what is wrong.
    return lasts * lost[0] / len(sound) if lost and len(lost) < len(sound) / 10 else None


def _list_chunks(window: Window, lists: tuple[bytes, ...] = ()) -> Iterator[_Chunk]:
    """Give the chunks in order, and of some lists the kind and what lies in them."""
    at = _HEAD
    while len(head := window.take(at, _HEAD)) >= 8:
        length = int.from_bytes(head[4:8], "little")
        if head.startswith(b"LIST") and head[8:] in lists:
            at += _HEAD
            yield _Chunk(head[8:], at, 0)
            continue
        yield _Chunk(head[:4], at + 8, length)
        at += 8 + length + (length & 1)


def read_asf(path: Path, window: Window, passing: Window) -> InterleavedSound:
    """Read what an ASF says of its sound: ffmpeg guesses how long it is from its size, cover and all.

    Args:
        path: the file.
        window: on it.
        passing: a window on it by which it is gone through.

    Raises:
        SourceError: it is cut short, or several are joined.
    """
    size, header_size = window.size, int.from_bytes(window.take(16, 8), "little")
    data = window.take(header_size, _ASF_DATA_HEAD)
    header = list(_list_objects(window, _ASF_FIRST, header_size))
    about = next((one.start for one in header if one.name == _ASF_FILE), None)
    if about is None or not data.startswith(_ASF_DATA):
        return InterleavedSound(is_whole=False)
    end = header_size + int.from_bytes(data[16:24], "little")
    first, packet = header_size + _ASF_DATA_HEAD, int.from_bytes(window.take(about + 92, 4), "little")
    if int.from_bytes(window.take(about + 88, 1)) & _ASF_LIVE:
        is_ended = window.take(size - _ASF_ENDING, 2) == b"$E"
        is_counted = packet >= _ASF_HEAD and not first < end <= size
        torn = (size - first - is_ended * _ASF_ENDING) % packet if is_counted else 0
        return InterleavedSound(is_whole=False, is_torn=torn > 0)
    if end > size:
        raise cut_short(path, (end - size) / (end - header_size))
    objects = list(_list_objects(window, end, size))
    last = objects[-1].end if objects else end
    if ASF in {one.name for one in objects} or (last != size and window.find(ASF, header_size, size) < size):
        raise joined(path)
    play, preroll = (int.from_bytes(window.take(about + at, 8), "little") for at in (64, 80))
    streams = (one.start for one in header if one.name == _ASF_STREAM)
    stream = next((window.take(at + 72, 1) for at in streams if window.take(at + 24, 16) == _ASF_SOUND), b"")
    count = int.from_bytes(data[40:48], "little") or end
    broken = None
    if stream and packet >= _ASF_HEAD:
        places = range(first, min(end - packet, first + (count - 1) * packet) + 1, packet)
        broken = _find_break(_list_payloads(passing, places, packet, stream[0] & 127), preroll / 1e3)
    return InterleavedSound(is_whole=True, lasts=max(0.0, play / 1e7 - preroll / 1e3), broken=broken)


def _list_objects(window: Window, start: int, end: int) -> Iterator[_Object]:
    at = start
    while at < end and len(head := window.take(at, 24)) == 24:
        following = at + max(24, int.from_bytes(head[16:], "little"))
        yield _Object(head[:16], at, following)
        at = following


def _find_break(payloads: Iterator[_Payload], preroll: float) -> float | None:
    """Return the second of the first packet that does not follow the one before; None where all do."""
    before: _Payload | None = None
    for one in payloads:
        if before is not None and not one.follows(before):
            return max(0.0, before.seconds - preroll)
        before = one
    return None if before is None or before.end == before.size else max(0.0, before.seconds - preroll)


def _list_payloads(window: Window, places: Iterable[int], packet: int, stream: int) -> Iterator[_Payload]:
    """Give the parts of a stream's packets that the packets of the file hold, as far as they can be told."""
    for place in places:
        head = _Numbers(window.take(place, _ASF_HEAD))
        flags = head.take(1)
        if flags & 0x80:
            head.take(flags & 15)
            flags = head.take(1)
        widths = head.take(1)
        length = head.take(_ASF_WIDTHS[flags >> 5 & 3]) or packet
        head.take(_ASF_WIDTHS[flags >> 1 & 3])
        end = place + length - head.take(_ASF_WIDTHS[flags >> 3 & 3])
        head.take(6)
        several = head.take(1) if flags & 1 else 0
        at = place + head.at
        for _ in range(several & 63 if flags & 1 else 1):
            if not place < at < end <= place + packet:
                break
            found, number, size = _read_payload(window, at, end, widths, several >> 6)
            if found == stream and number is not None:
                yield number
            at += size


def _read_payload(window: Window, at: int, end: int, widths: int, wide: int) -> tuple[int, _Payload | None, int]:
    """Return of a part of a packet the stream, what it says, and its bytes; those are the rest where none are told."""
    head = _Numbers(data := window.take(at, _ASF_ROOM))
    stream, wraps = head.take(1) & 127, 256 ** _ASF_WIDTHS[widths >> 4 & 3]
    number, start = head.take(_ASF_WIDTHS[widths >> 4 & 3]), head.take(_ASF_WIDTHS[widths >> 2 & 3])
    told = head.take(_ASF_WIDTHS[widths & 3])
    about = head.at
    head.take(told)
    length = head.take(_ASF_WIDTHS[wide]) if wide else max(0, end - at - head.at)
    size = head.at + length
    if told == _COMPRESSED:
        count = _count_small(window.take(at + head.at, length))
        return stream, _Payload(number, (number + count - 1) % wraps, wraps, 0, 0, 0, start / 1e3), size
    if told < 8 or wraps == 1:
        return stream, None, size
    whole, time = (int.from_bytes(data[place : place + 4], "little") for place in (about, about + 4))
    return stream, _Payload(number, number, wraps, start, start + length, whole, time / 1e3), size


def _count_small(data: bytes) -> int:
    """Return how many small packets lie end to end, each behind its size."""
    at = count = 0
    while at < len(data):
        at, count = at + 1 + data[at], count + 1
    return count


class _Numbers:
    """Numbers of some bytes each, the lowest first, one behind the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, width: int) -> int:
        self.at += width
        return int.from_bytes(self._data[self.at - width : self.at], "little")


def is_by_faac(path: Path) -> bool:
    with open_file(path) as descriptor:
        window = Window(path, descriptor)
        room = min(_FAAC_FAR, window.size)
        return window.find(_FAAC, 0, room) < room


def is_by_recorder(path: Path) -> bool:
    with open_file(path) as descriptor:
        head = read_at(path, descriptor, 0, _RECORDER_ROOM)
    return any(name in head for name in _RECORDERS)
