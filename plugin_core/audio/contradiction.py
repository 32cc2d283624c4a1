"""Headers that contradict themselves: programs read such files differently, and each says that it read them whole."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.envelope import find_start
from plugin_core.audio.movie import DAMAGE, Boxes, OddBoxError, find_track, list_boxes, list_places, read_index
from plugin_core.audio.source_file import AGAIN, LEAP, Window, damaged
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_WIDTHS: Final = {
    b"alaw": 8,
    b"fl32": 32,
    b"fl64": 64,
    b"in24": 24,
    b"in32": 32,
    b"ulaw": 8,
}
"""QuickTime's kinds of samples, and the bits of each, whatever else is said."""
_SAID: Final = (b"NONE", b"raw ", b"sowt", b"twos")
"""Those whose bits are told."""
_ENTRY: Final = 36
"""Bytes of what describes sound, in its first version."""


class _Samples(NamedTuple):
    channels: int
    bits: int

    @property
    def size(self) -> int:
        """Bytes that one of each channel takes."""
        return self.channels * -(-self.bits // 8)


class _Tables(NamedTuple):
    """What an index says of a track of plain samples."""

    samples: _Samples
    size: int
    """Bytes that one of each channel takes; 0 or 1 for not told."""
    told: int
    """Samples in each channel."""
    chunks: tuple[tuple[int, int], ...]
    """Where each chunk lies, and how many samples of each channel are in it."""


def refuse_odd_tables(path: Path, descriptor: int) -> None:
    """Refuse an MP4 or QuickTime file of plain samples whose tables contradict each other, or lead to other bytes.

    Raises:
        SourceError: they do.
        TransientError: the disk or share does not answer.
    """
    with suppress(*DAMAGE):
        index = read_index(path, descriptor)
        tables = _read_tables(index)
        if tables is None:
            return
        if tables.size > 1 and tables.size != tables.samples.size:
            raise explain_sizes(path, *tables.samples, tables.size)
        held = sum(number for _, number in tables.chunks)
        if held != tables.told:
            raise SourceError(
                f"{show_path(path)} says that it has {tables.told} samples, and {held} by its chunks, which programs"
                " read differently",
                remedy=f"{AGAIN}, or save it anew with the program that wrote it",
            )
        if not _are_places_right(path, descriptor, tables, index):
            raise damaged(path, None, "its index leads to other places than its sound")


def explain_sizes(path: Path, channels: int, bits: int, width: int) -> SourceError:
    """Say of samples that they take more or fewer bytes than they have."""
    return SourceError(
        f"{show_path(path)} says that {channels} samples of {bits} bits take {width} bytes, which programs read"
        " differently",
        remedy=f"{AGAIN}, or save it anew with the program that wrote it",
    )


def _read_tables(index: memoryview) -> _Tables | None:
    """Read those of the first track with sound; None where it holds no plain samples, or the index is damaged."""
    track = find_track(index)
    if track is None:
        return None
    content = Boxes(track).inside(b"mdia", b"minf").only(b"stbl")
    tables = Boxes(content)
    samples = _read_samples(tables.only(b"stsd"))
    if samples is None:
        return None
    size, count = struct.unpack_from(">II", tables.only(b"stsz"), 4)
    chunks = _list_chunks(content)
    return _Tables(samples, size, count, tuple(chunks))


def _list_chunks(content: memoryview) -> Iterator[tuple[int, int]]:
    """Give where each chunk of a track lies, and how many samples are in it, by its tables; none if one is cut."""
    tables, places = Boxes(content), list(list_places(content))
    if int.from_bytes(tables.only(b"stco", b"co64")[4:8], "big") == len(places):
        yield from zip(places, _list_numbers(tables.only(b"stsc"), len(places)), strict=True)


def _list_others(index: memoryview) -> Iterator[tuple[int, int]]:
    """Give where the chunks of other tracks begin and end, of which each sample has a size of its own."""
    for track in Boxes(index).all(b"trak"):
        with suppress(*DAMAGE):
            content = Boxes(track).inside(b"mdia", b"minf").only(b"stbl")
            table = Boxes(content).only(b"stsz")
            sizes = [size for (size,) in struct.iter_unpack(">I", table[12:])] if not any(table[4:8]) else []
            at = 0
            for start, number in _list_chunks(content) if sizes else ():
                yield start, start + sum(sizes[at : at + number])
                at += number


def _read_samples(described: memoryview) -> _Samples | None:
    """Read what describes sound in one way (QuickTime File Format); None where that is another, or several."""
    entry = described[8:]
    if len(entry) < _ENTRY or int.from_bytes(described[4:8], "big") != 1:
        return None
    code = bytes(entry[4:8])
    version, channels, bits = (int.from_bytes(entry[at : at + 2], "big") for at in (16, 24, 26))
    bits = _WIDTHS.get(code, bits if code in _SAID else 0)
    return _Samples(channels, bits) if version < 2 and channels and bits else None


def _list_numbers(table: memoryview, chunks: int) -> Iterator[int]:
    """Give how many samples are in each chunk: an entry counts up to the next one's first chunk."""
    (count,) = struct.unpack_from(">I", table, 4)
    entries = [entry[:2] for entry in struct.iter_unpack(">III", table[8 : 8 + 12 * count])]
    firsts = [first for first, _ in entries]
    if firsts[:1] != [1] or firsts != sorted(set(firsts)):
        entries = [(1, 0)]
    for (first, number), (following, _) in pairwise([*entries, (chunks + 1, 0)]):
        yield from [number] * (min(following, chunks + 1) - first)


def _are_places_right(path: Path, descriptor: int, tables: _Tables, index: memoryview) -> bool:
    """Tell whether chunks lie in the boxes of media, in no other's place, and without a gap if there is no other."""
    start, size, boxes = find_start(path, descriptor), tables.samples.size, []
    with suppress(OddBoxError):
        boxes += [(box.content - start, box.end - start) for box in list_boxes(path, descriptor) if box.name == b"mdat"]
    chunks = sorted((at, at + number * size) for at, number in tables.chunks if number)
    if not all(any(begin <= one[0] and one[1] <= end for begin, end in boxes) for one in chunks):
        return False
    own = set(chunks)
    everything = sorted(own.union(_list_others(index)))
    is_shared = any(one[1] > two[0] != one[0] and (one in own or two in own) for one, two in pairwise(everything))
    if is_shared or len(Boxes(index).all(b"trak")) > 1:
        return not is_shared
    window = Window(path, descriptor, room=LEAP, first=start)
    gaps = [(one[1], two[0]) for one, two in pairwise(chunks) if one[1] < two[0]]
    within = [gap for gap in gaps if any(begin <= gap[0] and gap[1] <= end for begin, end in boxes)]
    # Some programs begin each chunk at a round place.
    return all(window.is_silent(*gap) for gap in within)
