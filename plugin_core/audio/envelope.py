"""Where the sound of a file lies: between chunks, or the tags that programs put before and behind it.

Digests of recordings hang on it: what it finds in a whole file never changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, Literal, NamedTuple

from plugin_core.audio.frames import AC3, DTS, FRAME_HEAD, choose_reader
from plugin_core.audio.source_file import LEAP, Window, cut_short, damaged, joined, read_at

_ID3V1: Final = 128
_ID3V1_PLUS: Final = 227
_ID3V2: Final = 10
_APE: Final = 32
_LYRICS: Final = 15
_HAS_FOOTER: Final = 0x10
_HAS_HEADER: Final = 1 << 31
_MOST_CHUNKS: Final = 10_000
CAF_TABLE: Final = 24
"""Bytes that precede the sizes of a CAF's packets."""
_WIDEST: Final = 9
"""Bytes of a number."""
MOST_FRONT: Final = 1 << 16
"""Bytes that may precede a stream of frames: silence, or the rest of a frame."""
SURE_FRAMES: Final = 3
"""So many end to end are no chance."""
_PACKET_FRAMES: Final = 12
"""More than lie end to end in a packet of a DVD."""
_VARYING: Final = (
    b"\xff\xf0",
    b"\xff\xf1",
    b"\xff\xf8",
    b"\xff\xf9",
    *(bytes((0x56, 0xE0 + more)) for more in range(32)),
)
"""How a frame of AAC begins, in ADTS and in LOAS: of any size up to the largest."""
_LARGEST: Final = 1 << 13
_TS_FORMS: Final = ((188, 0), (192, 4), (204, 0))
"""Of MPEG-TS, of Blu-ray's, and of one with error correction: bytes of a packet, and the place of its mark."""
_PACK: Final = b"\0\0\1\xba"
_PS_END: Final = b"\0\0\1\xb9"
MOST_TAIL: Final = 1 << 18
_UNIT_HEAD: Final = 16
PACKETS_HEAD: Final = 5 * 204
"""Enough of a broadcast to know it."""
_TS_BEGINS, _TS_NUMBER, _TS_SOUND = 0x4000, 0x1FFF, 0x10
"""What the head of a packet of MPEG-TS says: that one of its stream begins, the stream's number, that it holds some."""
_FAR: Final = 1 << 24
"""So far in a broadcast all its streams have begun."""
_SURE_MAGIC: Final = 12
"""Bytes by which a W64 or CAF begins, and no sound has by chance."""
_EMPTY_BYTES: Final = 4
"""Those of a CAF that are no sound."""
_HOLDERS: Final = (b"DTSHDHDR", b"FORM", b"RF64", b"RIFF", b"RIFX", b"caff", b"riff")
"""How files begin in which frames may lie end to end behind a header."""


class ChunkKind(NamedTuple):
    """How a kind of file lays out its chunks, and which of them is the sound."""

    order: Literal["little", "big"]
    first: int
    """Where the first chunk is."""
    sound: bytes
    name: int = 4
    """Bytes of a chunk's name, and of its size."""
    width: int = 4
    align: int = 2


CHUNKED: Final = {
    b"RIFF": ChunkKind("little", 12, b"data"),
    b"RF64": ChunkKind("little", 12, b"data"),
    b"RIFX": ChunkKind("big", 12, b"data"),
    b"FORM": ChunkKind("big", 12, b"SSND"),
    b"caff": ChunkKind("big", 8, b"data", width=8, align=1),
    b"riff": ChunkKind("little", 40, b"data", name=16, width=8, align=8),
}
SVX: Final = ChunkKind("big", 12, b"BODY")
SVX_FORMS: Final = (b"8SVX", b"16SV")
"""The Amiga's kinds of a FORM."""
SAYING: Final = {
    SVX: {b"CHAN": 4},
    **{CHUNKED[name]: {b"fmt ": 64} for name in (b"RIFF", b"RIFX", b"riff")},
    CHUNKED[b"FORM"]: {b"COMM": 32, b"SSND": 8},
    CHUNKED[b"caff"]: {b"desc": 32, b"kuki": 512, b"pakt": 1 << 24},
}
"""Chunks that describe the sound of a kind, and how many bytes of each do; what is called so in another is no such."""
ALIKE: Final = {b"BW64": b"RF64"}
"""Kinds that are another by another name, which libsndfile does not know."""
UNKNOWN_SIZES: Final = (
    range(0x7EFFFF00, 0x7F000100),
    range(0x7FFF0000, 0x80000000),
    range(0xFFFF0000, 0x100000000),
    range(0x7FFFFFFFFFFF0000, 0x8000000000000000),
    range(0xFFFFFFFFFFFF0000, 0x10000000000000000),
)
"""Sizes written by programs that could not go back to fill in the true one (ffmpeg, sox into a pipe)."""
PLAIN: Final = {b".snd": ChunkKind("big", 0, b""), b"dns.": ChunkKind("little", 0, b"")}
"""AU has a head and no chunks."""


class Chunk(NamedTuple):
    """A part of a file that says its name and how long it is; offsets in the file."""

    name: bytes
    size_at: int
    body: int
    size: int
    next: int


class Rewritten(NamedTuple):
    """What sox writes into a pipe: its header right in front of the sound, up to where that stands once more."""

    start: int
    end: int
    size_at: int
    size: bytes
    """That header's, put right."""


def find_rewritten(path: Path, descriptor: int, window: Window, start: int) -> Rewritten | None:
    """Find the sound of a W64 or CAF of which the header stands twice in front of it, and once behind; None elsewhere.

    Raises:
        SourceError: it is cut short, or something else follows.
    """
    first = _find_empty(window, start)
    second = first and _find_empty(window, first.next)
    if first is None or second is None:
        return None
    length, end = second.next - first.next, find_end(path, descriptor)
    behind = window.find(window.take(start, _SURE_MAGIC), second.next, end)
    if behind >= end:
        raise cut_short(path)
    if find_next(window, min(behind + length, end), end) < end:
        raise joined(path)
    kind = CHUNKED[window.take(start, 4)]
    counted = behind - second.body + (kind.name + kind.width if kind.name > 4 else 0)
    return Rewritten(first.next, behind, second.size_at, counted.to_bytes(kind.width, kind.order))


def _find_empty(window: Window, start: int) -> Chunk | None:
    """Return the sound of a W64 or CAF that has a header and none; None elsewhere."""
    kind = CHUNKED.get(window.take(start, 4))
    if kind is None or kind.width < 8:
        return None
    chunks = list_chunks(window, kind, start + kind.first, window.size)
    sound = next((one for one in chunks if one.name.startswith(kind.sound)), None)
    return sound if sound and sound.size <= _EMPTY_BYTES else None


def find_audio(path: Path, descriptor: int) -> tuple[int, int]:
    """Return where the sound begins and ends, by its tags: ID3v1, ID3v2, TAG+, Lyrics3v2 and APEv2.

    Raises:
        TransientError: the disk or share does not answer.
    """
    end = os.fstat(descriptor).st_size
    start = min(find_start(path, descriptor), end)
    while size := _measure_last(_read_before(path, descriptor, start, end)):
        end = max(start, end - size)
    return start, end


def find_end(path: Path, descriptor: int) -> int:
    return find_audio(path, descriptor)[1]


def find_start(path: Path, descriptor: int) -> int:
    """Return where the sound begins, after any number of tags; beyond the end where a tag says that it is longer."""
    start = 0
    while size := measure_tag(read_at(path, descriptor, start, _APE)):
        start += size
    return start


def measure_tag(head: bytes) -> int:
    """Return the size of the ID3v2 or APE tag that begins with these 32 bytes; 0 where none does."""
    if head.startswith(b"ID3") and len(head) >= _ID3V2:
        footer = _ID3V2 if head[5] & _HAS_FOOTER else 0
        return _ID3V2 + _read_syncsafe(head[6:10]) + footer
    if head.startswith(b"APETAGEX") and len(head) >= _APE:
        return _APE + int.from_bytes(head[12:16], "little")
    return 0


def find_next(window: Window, at: int, end: int) -> int:
    """Return where something stands from ``at`` on that is neither a tag nor padding; ``end`` where nothing does."""
    while at < end and (head := window.take(at, LEAP)):
        size = measure_tag(head) or (_ID3V1 if head.startswith(b"TAG") else len(head) - len(head.lstrip(b"\0")))
        if not size:
            return at
        at += size
    return end


class Beginning(NamedTuple):
    """Where the first frame of a stream is that begins well."""

    at: int
    is_torn: bool
    """Whether the rest of a frame precedes it, and no frame with a damaged header."""


def find_beginning(window: Window, end: int) -> Beginning | None:
    """Find the first frame of a stream that does not begin with one; None where none is near enough."""
    front = window.take(0, min(end, MOST_FRONT))
    for mark in (AC3, *DTS, *_VARYING) if not front.startswith(_HOLDERS) else ():
        at = front.find(mark, 1)
        while at > 0:
            if size := _measure_first(window, at):
                if mark in _VARYING:
                    return Beginning(at, is_torn=False) if at < _LARGEST else None
                # Frames of AC-3 at 44.1 kHz differ by a word.
                return Beginning(at, is_torn=at < size - 2) if at <= size + 2 else None
            at = front.find(mark, at + 1)
    return None


def _measure_first(window: Window, at: int) -> int:
    """Return the size of the frame at ``at`` with what extends it, if others of its kind follow; 0 elsewhere."""
    read = choose_reader(window.take(at, FRAME_HEAD))
    places, kinds = [at], set()
    while read and (frame := read(window.take(places[-1], FRAME_HEAD))) and len(places) <= _PACKET_FRAMES:
        kinds.add(frame.kind)
        places.append(places[-1] + frame.size)
    is_sure = len(places) > (_PACKET_FRAMES if places[-1] < window.size else SURE_FRAMES)
    return places[1] - at if is_sure and len(kinds) == 1 else 0


def ends_inside(data: bytes, measure: Callable[[bytes], int]) -> bool:
    """Tell whether bytes end inside the last of units that lie end to end.

    ``measure`` returns the size of the unit that begins with these up to 16 bytes, 0 for none.
    """
    data = data[-MOST_TAIL:]
    for start in range(len(data)):
        at, count = start, 0
        while at < len(data) and (size := measure(data[at : at + _UNIT_HEAD])):
            at, count = at + size, count + 1
        if count >= SURE_FRAMES and at > len(data) - _UNIT_HEAD:
            return at != len(data)
    return False


def choose_measure(start: bytes) -> Callable[[bytes], int] | None:
    """Return what tells the size of the packets of a broadcast or a DVD, given ``PACKETS_HEAD`` bytes."""
    if (packets := _find_packets(start)) is not None:
        return lambda unit: packets.size if unit[packets.mark : packets.mark + 1] == b"G" else 0
    return _measure_pack if start.startswith(_PACK) else None


def is_transport_stream(start: bytes) -> bool:
    """Tell whether a file that begins so is an MPEG-TS."""
    return _find_form(start) is not None


def _find_form(start: bytes) -> tuple[int, int] | None:
    marks = ((form, start[form[1] : 3 * form[0] : form[0]]) for form in _TS_FORMS)
    return next((form for form, mark in marks if mark == b"GGG"), None)


class _Packets(NamedTuple):
    """Those of an MPEG-TS."""

    start: int
    size: int
    mark: int
    """Where in each its mark is."""


def _find_packets(start: bytes) -> _Packets | None:
    """Find those of a broadcast, which may begin inside one."""
    for size, mark in _TS_FORMS:
        for at in range(size):
            marks = start[at + mark :: size]
            if (not at or len(marks) > SURE_FRAMES) and marks.startswith(b"GGG") and not marks.strip(b"G"):
                return _Packets(at, size, mark)
    return None


def _measure_pack(head: bytes) -> int:
    """Measure a pack's head, or a packet of an MPEG program stream (ISO 11172-1 and 13818-1)."""
    if head.startswith(_PACK) and len(head) >= 14:
        return 12 if head[4] >> 4 == 2 else 14 + (head[13] & 7) if head[4] >> 6 == 1 else 0
    if head.startswith(_PS_END):
        return len(_PS_END)
    is_packet = len(head) >= 6 and head.startswith(b"\0\0\1") and head[3] > _PACK[3]
    return 6 + int.from_bytes(head[4:6], "big") if is_packet else 0


def misses_beginning(path: Path, descriptor: int, stream: int) -> bool:
    """Tell whether an MPEG-TS begins inside a packet, its own or one of a stream, of which the number is given.

    Raises:
        TransientError: the disk or share does not answer.
    """
    window = Window(path, descriptor, first=find_start(path, descriptor))
    if (packets := _find_packets(window.take(0, PACKETS_HEAD))) is None:
        return False
    if packets.start:
        return True
    for packet in range(packets.mark, min(window.size, _FAR), packets.size):
        head = window.take(packet, 4)
        number, has_sound = int.from_bytes(head[1:3], "big"), len(head) == 4 and head[3] & _TS_SOUND
        if has_sound and number & _TS_NUMBER == stream:
            return not number & _TS_BEGINS
    return False


def read_magic(window: Window, start: int) -> bytes:
    """Return the four bytes that name a kind, or those of the kind that it is another name of."""
    magic = window.take(start, 4)
    return ALIKE.get(magic, magic)


def holds_another(window: Window, start: int) -> bool:
    """Tell whether a file begins inside the sound of one of its kind at ``start`` that was cut before."""
    magic = window.take(start, 4)
    at, found = 12 if magic in PLAIN else 8, start
    form = window.take(start + at, 4)
    while (found := window.find(magic, found + 4, window.size)) < window.size:
        if window.take(found + at, 4) == form:
            return True
    return False


def list_chunks(window: Window, kind: ChunkKind, start: int, end: int) -> Iterator[Chunk]:
    """Give the chunks that follow each other from ``start`` to before ``end``."""
    at = start
    for _ in range(_MOST_CHUNKS):
        data = window.take(at, kind.name + kind.width)
        if at >= end or len(data) < kind.name + kind.width:
            return
        size_at, body = at + kind.name, at + len(data)
        size = int.from_bytes(data[kind.name :], kind.order)
        if kind.name > 4:
            # The names that are not four letters count themselves.
            size = max(0, size - len(data))
        following = body + size + -size % kind.align
        yield Chunk(data[: kind.name], size_at, body, size, following)
        at = following


def _read_before(path: Path, descriptor: int, start: int, end: int) -> bytes:
    begun = max(start, end - _ID3V1_PLUS)
    return read_at(path, descriptor, begun, end - begun)


def _measure_last(tail: bytes) -> int:
    """Return the size of the tag that ends here; 0 for none."""
    if tail[-_ID3V1:].startswith(b"TAG") and len(tail) >= _ID3V1:
        return _ID3V1
    if tail[-_ID3V1_PLUS:].startswith(b"TAG+") and len(tail) == _ID3V1_PLUS:
        return _ID3V1_PLUS
    if tail.endswith(b"LYRICS200") and tail[-_LYRICS:-9].isdigit():
        return _LYRICS + int(tail[-_LYRICS:-9])
    if tail[-_APE:].startswith(b"APETAGEX"):
        header = _APE if int.from_bytes(tail[-12:-8], "little") & _HAS_HEADER else 0
        return header + int.from_bytes(tail[-20:-16], "little")
    if tail[-_ID3V2:].startswith(b"3DI"):
        return 2 * _ID3V2 + _read_syncsafe(tail[-4:])
    return 0


def _read_syncsafe(data: bytes) -> int:
    return (data[0] & 127) << 21 | (data[1] & 127) << 14 | (data[2] & 127) << 7 | data[3] & 127


def list_numbers(data: bytes) -> Iterator[int]:
    """Give numbers of seven bits a byte, the highest first, up to one that is longer than any size."""
    number = width = 0
    for byte in data:
        number, width = number << 7 | byte & 0x7F, width + 1
        if not byte & 0x80:
            yield number
            number = width = 0
        elif width == _WIDEST:
            return


def list_packets(path: Path, table: bytes, size: int) -> list[int]:
    """Return the sizes of the packets of sound in CAF, by their table.

    Raises:
        SourceError: together they are not as long as the sound.
    """
    packets = int.from_bytes(table[:8], "big")
    sizes = list(islice(list_numbers(table[CAF_TABLE:]), packets))
    if sizes and (len(sizes) < packets or sum(sizes) != size):
        raise damaged(path, None, f"its {packets} packets have {sum(sizes)} bytes and its sound {size}")
    return sizes
