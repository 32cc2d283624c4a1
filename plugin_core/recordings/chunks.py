"""Where the samples of a track lie by the tables of its chunks (ISO 14496-12, 8.7, and QuickTime)."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from plugin_core.audio.boxes import Boxes, OddBoxError

_Numbers = npt.NDArray[np.int64]

_HANGS_ON_OTHERS: Final = frozenset({b"stss", b"stps"})
"""Tables of samples that can be decoded alone: for sound there are none, as all can."""

_LARGEST: Final = 1 << 30
"""ffmpeg's limit of a sample."""


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
