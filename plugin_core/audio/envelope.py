"""Where the sound of a file lies: between chunks, or the tags that programs put before and behind it.

Digests of recordings hang on it: what it finds in a whole file never changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, Literal, NamedTuple

from plugin_core.audio.source_file import LEAP, Window, damaged, read_at

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
