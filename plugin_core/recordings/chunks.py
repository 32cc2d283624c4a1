"""Where the samples of an MP4's track lie, by tables of its chunks (ISO 14496-12, 8.7, QuickTime) and by fragments."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from plugin_core.audio.movie import Boxes, OddBoxError

_Numbers = npt.NDArray[np.int64]

_HANGS_ON_OTHERS: Final = frozenset({b"stss", b"stps"})
"""Tables of samples that can be decoded alone: for sound there are none, as all can."""

_LARGEST: Final = 1 << 30
"""ffmpeg's limit of a sample."""


_PARTS: Final = frozenset({b"mfhd", b"traf"})
_TRACK_PARTS: Final = frozenset({b"tfhd", b"tfdt", b"trun", b"sgpd", b"sbgp"})
"""Boxes that a fragment is made of, and a track in it; not those of encryption."""

_HAS_BASE: Final = 0x1
_HAS_DESCRIPTION: Final = 0x2
_HAS_DURATION: Final = 0x8
_HAS_SIZE: Final = 0x10
_HAS_FLAGS: Final = 0x20
_BASE_IS_FRAGMENT: Final = 0x20000
"""Of a ``tfhd``."""

_HAS_OFFSET: Final = 0x1
_HAS_FIRST_FLAGS: Final = 0x4
_EACH_DURATION: Final = 0x100
_EACH_SIZE: Final = 0x200
_EACH_FLAGS: Final = 0x400
_EACH_TIME: Final = 0x800
"""Of a ``trun``."""

_IS_DEPENDENT: Final = 0x1010000
"""Flags of a sample that cannot be decoded alone, which no sample of sound is."""


def find_chunks(tables: Boxes, room: int) -> _Numbers:
    """Return offset and size in bytes of each chunk of a track, (n, 2), in order.

    Args:
        tables: what ``stbl`` holds.
        room: the bytes of the file.

    Raises:
        OddBoxError, ValueError, struct.error: they do not add up.
    """
    if not _HANGS_ON_OTHERS.isdisjoint(tables.names):
        raise OddBoxError
    offsets = _read_offsets(tables)
    samples, sizes = _read_sizes(tables)
    if not len(offsets) and not samples:
        # All of it is in fragments.
        return np.empty((0, 2), np.int64)
    counts = _count_samples(tables.only(b"stsc"), len(offsets))
    if int(counts.sum()) != samples or not sizes.all() or sizes.max() >= _LARGEST or _is_uncompressed(tables):
        raise OddBoxError
    if len(sizes) == samples:
        return np.column_stack((offsets, np.add.reduceat(sizes, np.cumsum(counts) - counts)))
    if samples * int(sizes[0]) > room:
        raise OddBoxError
    return np.column_stack((offsets, counts * sizes[0]))


def _is_uncompressed(tables: Boxes) -> bool:
    """Tell whether samples last one tick each, for which ffmpeg takes chunks for samples."""
    times = tables.only(b"stts")
    (count,) = struct.unpack_from(">I", times, 4)
    _, duration = struct.unpack_from(">II", times, 8)
    return bool(count == 1 and duration == 1)


def _read_offsets(tables: Boxes) -> _Numbers:
    content = tables.only(b"stco", b"co64")
    (count,) = struct.unpack_from(">I", content, 4)
    return _read_numbers(content, 8, count, ">u8" if b"co64" in tables.names else ">u4")


def _read_sizes(tables: Boxes) -> tuple[int, _Numbers]:
    """Return how many samples there are, and the bytes of each, or the one size that all have."""
    content = tables.only(b"stsz", b"stz2")
    size, count = struct.unpack_from(">II", content, 4)
    if b"stz2" in tables.names:
        if size not in (8, 16):
            raise OddBoxError
        return count, _read_numbers(content, 12, count, f">u{size // 8}")
    return count, np.array([size]) if size else _read_numbers(content, 12, count, ">u4")


def _count_samples(content: memoryview, chunks: int) -> _Numbers:
    """Return the number of samples in each chunk; they are told for the first of chunks that are alike."""
    (count,) = struct.unpack_from(">I", content, 4)
    table = _read_numbers(content, 8, 3 * count, ">u4").reshape(-1, 3)
    alike = np.diff(np.append(table[:, 0], chunks + 1))
    if not count or table[0, 0] != 1 or (alike < 1).any() or (table[:, 1] < 1).any() or (table[:, 2] != 1).any():
        raise OddBoxError
    return np.repeat(table[:, 1], alike)


def _read_numbers(content: memoryview, at: int, count: int, form: str) -> _Numbers:
    if count * np.dtype(form).itemsize > len(content) - at:
        raise OddBoxError
    return np.frombuffer(content[at:], form, count).astype(np.int64) if count else np.empty(0, np.int64)


class Defaults(NamedTuple):
    """What holds for the samples of a track, or of a fragment, where nothing else is said."""

    description: int
    size: int
    flags: int


def read_defaults(extends: memoryview, track: int) -> Defaults:
    """Return what ``mvex`` says of a track.

    Raises:
        OddBoxError, struct.error: nothing, or more than once.
    """
    tables = [struct.unpack_from(">5I", content, 4) for content in Boxes(extends).all(b"trex")]
    found = [Defaults(description, size, flags) for number, description, _, size, flags in tables if number == track]
    if len(found) != 1:
        raise OddBoxError
    return found[0]


def find_runs(fragment: memoryview, start: int, track: int, defaults: Defaults) -> Iterator[tuple[int, int]]:
    """Give offset and size in bytes of each run of samples of a track, in order.

    Args:
        fragment: the content of a ``moof``.
        start: where that box begins in the file.
        track: the number of the track.
        defaults: what ``read_defaults`` said of it.

    Raises:
        OddBoxError, ValueError, struct.error: it is not understood.
    """
    parts = Boxes(fragment)
    if not _PARTS.issuperset(parts.names):
        raise OddBoxError
    for content in parts.all(b"traf"):
        boxes = Boxes(content)
        head = boxes.only(b"tfhd")
        if struct.unpack_from(">I", head, 4) != (track,):
            continue
        if boxes.names[0] != b"tfhd" or not _TRACK_PARTS.issuperset(boxes.names):
            raise OddBoxError
        base, its = _read_track_head(head, start, defaults)
        for run in boxes.all(b"trun"):
            yield from _read_run(run, base, its)


def _read_track_head(head: memoryview, start: int, defaults: Defaults) -> tuple[int, Defaults]:
    """Return from where offsets count, and the defaults of the fragment."""
    (flags,) = struct.unpack_from(">I", head)
    at = 8
    if flags & _HAS_BASE:
        (start,) = struct.unpack_from(">Q", head, at)
        at += 8
    elif not flags & _BASE_IS_FRAGMENT:
        # They count from the end of another track's samples.
        raise OddBoxError
    numbers = []
    for flag, default in zip(
        (_HAS_DESCRIPTION, _HAS_DURATION, _HAS_SIZE, _HAS_FLAGS), (defaults.description, 0, *defaults[1:]), strict=True
    ):
        numbers.append(struct.unpack_from(">I", head, at)[0] if flags & flag else default)
        at += 4 if flags & flag else 0
    description, _, size, its = numbers
    if description != 1:
        raise OddBoxError
    return start, Defaults(description, size, its)


def _read_run(run: memoryview, base: int, defaults: Defaults) -> Iterator[tuple[int, int]]:
    flags, count = struct.unpack_from(">II", run)
    if not flags & _HAS_OFFSET:
        raise OddBoxError
    (offset,) = struct.unpack_from(">i", run, 8)
    at, samples_flags = 12, [defaults.flags]
    if flags & _HAS_FIRST_FLAGS:
        samples_flags.append(struct.unpack_from(">I", run, at)[0])
        at += 4
    fields = [flag for flag in (_EACH_DURATION, _EACH_SIZE, _EACH_FLAGS, _EACH_TIME) if flags & flag]
    table = np.frombuffer(run, ">u4", count * len(fields) if count else 0, at).reshape(-1, max(1, len(fields)))
    if _EACH_FLAGS in fields:
        samples_flags.append(int(np.bitwise_or.reduce(table[:, fields.index(_EACH_FLAGS)])))
    sizes = table[:, fields.index(_EACH_SIZE)] if _EACH_SIZE in fields else np.array([defaults.size])
    if offset < 0 or not sizes.all() or any(one & _IS_DEPENDENT for one in samples_flags):
        raise OddBoxError
    if count:
        yield base + offset, int(sizes.sum(dtype=np.int64)) * (1 if _EACH_SIZE in fields else count)
