"""Makes stems of estimates so that they sum to the source: the last stem is what the others leave."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin_core.audio.samples import to_integers
from plugin_core.providers.local.separate import Estimates

Int32 = NDArray[np.int32]
Stems = dict[str, NDArray[Any]]
"""Blocks (frames, channels) by stem."""


def mix_down(estimates: Estimates, bits: int | None) -> Stems:
    """Return the four stems of a block, as float32 or as integers of ``bits``.

    Integers sum to the source, rounded to ``bits`` and clipped to its range, without any error; floats sum to it
    within the rounding of one addition. Nothing is normalised.
    """
    return _floats(estimates) if bits is None else _integers(estimates, bits)


def _floats(estimates: Estimates) -> Stems:
    source, drums, bass, vocals = estimates
    others = drums.astype(np.float64)
    others += bass
    others += vocals
    rest = (source - others).astype(np.float32)
    return {"vocals": vocals, "drums": drums, "bass": bass, "other": rest}


def _integers(estimates: Estimates, bits: int) -> Stems:
    source, drums, bass, vocals = (to_integers(block, bits) for block in estimates)
    rest = source - drums
    rest -= bass
    rest -= vocals
    limit = 1 << (bits - 1)
    if rest.size and (rest.max() >= limit or rest.min() < -limit):
        excess = _clip(rest, limit)
        for stem in (drums, vocals, bass):
            stem += excess
            excess = _clip(stem, limit)
    return {"vocals": vocals, "drums": drums, "bass": bass, "other": rest}


def _clip(block: Int32, limit: int) -> Int32:
    """Clip in place and return what was cut off."""
    whole = block.copy()
    np.clip(block, -limit, limit - 1, out=block)
    whole -= block
    return whole
