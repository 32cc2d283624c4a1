"""Samples as floats in -1..1 and as integers of a bit depth, exactly convertible into each other.

A float32 holds every integer of up to 24 bits, a float64 of up to 32: there and back changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]
"""(frames, channels): float32 or float64 in -1..1, or int32 holding integers of a stated bit depth."""

_LOOKED_AT: Final = 1 << 13
"""Frames of a block by which its kind of samples is judged."""
_STRETCH: Final = 251
"""Frames that are judged by themselves, so that a click does not decide; a prime, as few waves have for a period."""
_LEAST_STRETCHES: Final = 8
_MANY_STRETCHES: Final = 12
_LEAST_VALUES: Final = 32
"""What is so quiet that it has fewer may get smoother by chance."""
_SMOOTHER: Final = 0.4
"""By so much: what is read as another kind than it is gets rougher by more, in all music that was tried."""
_SMOOTHER_FLOATS: Final = 0.7
"""Of what may be floats at all: integers of music would be no numbers, or beyond all measure."""
_NO_NOISE: Final = 0.3
"""Of white noise the roughness is 1."""
_ALTERNATING: Final = 1.2
"""Of high tones the roughness is more, and they get smoother where every second sample is left out."""
_MOST_SHARE: Final = 0.9
_PLAUSIBLE: Final = 1e-6, 64.0
"""Between these is the highest peak of floats that are music."""
_SWAPPED: Final = "with the bytes of its samples in the other order"
_BITS: Final = {"pcm_16": 16, "pcm_24": 24, "pcm_32": 32}
_BYTES: Final = {
    "pcm_u8": "as unsigned bytes",
    "pcm_s8": "as signed bytes",
    "pcm_mulaw": "as mu-law",
    "pcm_alaw": "as A-law",
}
"""Kinds of samples that take a byte."""


def to_integers(block: Samples, bits: int) -> npt.NDArray[np.int32]:
    """Round floats to integers of ``bits`` (half to even), clipped to the range and never wrapped.

    Args:
        block: float samples of any shape; 1.0 is full scale and becomes the largest integer.
        bits: 8 to 32.

    Returns:
        int32 of the same shape.
    """
    scale = float(1 << (bits - 1))
    # A float32 cannot hold the largest 32-bit integer, and would wrap where it should clip.
    scaled = np.multiply(block, scale, dtype=np.float64 if bits > 24 else None)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -scale, scale - 1.0, out=scaled)
    return scaled.astype(np.int32)


def count_overs(block: Samples) -> int:
    """Count the samples of a block of floats that lie over full scale; 1.0 does not."""
    # Two passes without a copy: nearly every block has none.
    if not block.size or (block.max() <= 1.0 and block.min() >= -1.0):
        return 0
    return int(np.count_nonzero(np.abs(block) > 1.0))


def is_judged(coding: str) -> bool:
    """Tell whether samples of this kind could be another by their size."""
    return coding in (*_BITS, *_BYTES, "float", "double")


def find_smoother(block: Samples, coding: str) -> str | None:
    """Say as what other kind of samples of its size a block would be much smoother than as what it is read as.

    That is so where a header names the wrong kind. Noise and silence are as rough in all of them.

    Args:
        block: floats (frames, channels).
        coding: what it is read as, by our name, or ffmpeg's where we have none.

    Returns:
        In words; empty for none, None where there is too little sound in it to tell.
    """
    block = block[: len(block[:_LOOKED_AT]) // _STRETCH * _STRETCH]
    rough, is_heard = _measure_roughness(block)
    if np.count_nonzero(is_heard) < _LEAST_STRETCHES or len(np.unique(block[:, 0])) < _LEAST_VALUES:
        return None
    for words, other in _list_others(block, coding):
        with np.errstate(invalid="ignore"):
            is_plausible = other.dtype.kind != "f" or bool(_PLAUSIBLE[0] < np.abs(other).max() < _PLAUSIBLE[1])
        if not is_plausible:
            continue
        less, is_other = _measure_roughness(other)
        share = _SMOOTHER_FLOATS if other.dtype.kind == "f" != coding[0] else _SMOOTHER
        is_smoother = is_other & (less < share * rough) & (less < _NO_NOISE)
        if np.count_nonzero(is_smoother & is_heard) > _MOST_SHARE * np.count_nonzero(is_heard):
            return words
    return ""


def find_other_channels(block: Samples) -> str:
    """Say in how many other channels a block (frames, channels) of floats would be much smoother, as ``find_smoother``.

    Channels that are all alike are as smooth in any number. Two are never said to be one: those of a recorder that took
    them by turns lie half a sample apart, and are as smooth as one.
    """
    block = block[: len(block[:_LOOKED_AT]) // (2 * _STRETCH) * (2 * _STRETCH)]
    channels = block.shape[1]
    for count in (2 * channels, *((channels // 2,) if channels > 2 and channels % 2 == 0 else ())):
        # Both are judged by as many samples, for in longer stretches low tones are louder.
        one, other = (2, 1) if count > channels else (1, 2)
        rough = _find_usual_roughness(block, one * _STRETCH)
        less = _find_usual_roughness(block.reshape(-1, count), other * _STRETCH)
        if 0 < less < _NO_NOISE and less < _SMOOTHER * rough < _SMOOTHER * _ALTERNATING:
            return f"in {count} channels"
    return ""


def _find_usual_roughness(block: Samples, stretch: int) -> float:
    rough, is_heard = _measure_roughness(block, stretch)
    return float(np.median(rough[is_heard])) if np.count_nonzero(is_heard) >= _MANY_STRETCHES else 0.0


def _measure_roughness(
    block: Samples, stretch: int = _STRETCH
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return for each stretch how much samples differ from those before, white noise being 1; and whether it sounds."""
    stretches = block.astype(np.float64).reshape(-1, stretch, block.shape[1])
    stretches -= stretches.mean(axis=1, keepdims=True)
    power = np.square(stretches).sum(axis=(1, 2))
    steps = np.square(np.diff(stretches, axis=1)).sum(axis=(1, 2))
    is_heard = power > 0
    return steps / np.where(is_heard, 2 * power, 1.0), is_heard


def _list_others(block: Samples, coding: str) -> Iterator[tuple[str, Samples]]:
    """Give what the bytes of a block would be as another kind of samples of their size, each with its words."""
    if (bits := _BITS.get(coding)) is not None:
        whole = to_integers(block, bits) << (32 - bits)
        yield _SWAPPED, whole.byteswap() << (32 - bits)
        if bits == 32:
            yield "as floating point", whole.view(np.float32)
            yield "as floating point in the other order of bytes", whole.byteswap().view(np.float32)
    elif coding == "float" and block.dtype == np.float32:
        whole = np.ascontiguousarray(block)
        yield "as integers", whole.view(np.int32)
        yield _SWAPPED, whole.byteswap()
    elif coding == "double" and block.dtype == np.float64:
        yield _SWAPPED, block.byteswap()
    elif coding in _BYTES:
        table = _tabulate(coding)
        order = np.argsort(table, kind="stable")
        found = order[np.searchsorted(table[order], np.rint(block * 32768)).clip(0, 255)]
        yield from ((words, _tabulate(other)[found]) for other, words in _BYTES.items() if other != coding)


@cache
def _tabulate(coding: str) -> npt.NDArray[np.int32]:
    """Return what each byte means, in 16 bits (ITU-T G.711)."""
    values = np.arange(256, dtype=np.int32)
    if coding == "pcm_u8":
        return (values - 128) << 8
    if coding == "pcm_s8":
        return values.astype(np.int8).astype(np.int32) << 8
    values ^= 0xFF if coding == "pcm_mulaw" else 0x55
    power, step = values >> 4 & 7, values & 15
    if coding == "pcm_mulaw":
        sizes = (((step << 3) + 0x84) << power) - 0x84
        return np.where(values & 0x80, -sizes, sizes)
    sizes = np.where(power == 0, (step << 4) + 8, ((step << 4) + 0x108) << np.maximum(power - 1, 0))
    return np.where(values & 0x80, sizes, -sizes)
