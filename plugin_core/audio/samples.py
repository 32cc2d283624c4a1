"""Samples as floats in -1..1 and as integers of a bit depth, exactly convertible into each other.

A float32 holds every integer of up to 24 bits, a float64 of up to 32: there and back changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]
"""(frames, channels): float32 or float64 in -1..1, or int32 holding integers of a stated bit depth."""


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
