"""How well a separation went, measured against the true parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def read_pcm(path: Path) -> NDArray[np.int32]:
    """Return a file's samples, shape (samples, channels), scaled so that full scale is 32 bits whatever its depth."""
    import soundfile

    samples: NDArray[np.int32] = soundfile.read(path, dtype="int32", always_2d=True)[0]
    return samples


def measure_sdr(truth: NDArray[np.int32], estimate: NDArray[np.int32]) -> float:
    """Return the signal-to-distortion ratio in dB: 10 log10(sum s^2 / sum (s - e)^2), over all channels.

    Infinite when both are equal; minus infinite when the truth is silent and the estimate is not.
    """
    signal = float(np.sum(np.square(truth, dtype=np.float64)))
    distortion = float(np.sum(np.square(truth.astype(np.float64) - estimate)))
    if distortion == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / distortion) if signal else -math.inf


def largest_difference(whole: NDArray[np.int32], parts: Iterable[NDArray[np.int32]]) -> int:
    """Return the largest difference between a whole and the sum of its parts, in steps of 32-bit full scale."""
    total = np.sum([part.astype(np.int64) for part in parts], axis=0)
    return int(np.abs(whole - total).max())


class Score(NamedTuple):
    """A separation measured against the truth."""

    sdr: Mapping[str, float]
    """dB for each stem."""
    untouched: Mapping[str, float]
    """dB for each stem if the song itself were taken for it: where any separation starts."""
    difference: float
    """Largest difference between the song and the sum of the stems, of full scale; 0 is exact."""


def score(mixture: Path, truth: Mapping[str, Path], stems: Mapping[str, Path]) -> Score:
    """Measure stems against the true parts of the same names.

    Raises:
        KeyError: a true part has no stem.
    """
    whole = read_pcm(mixture)
    true = {name: read_pcm(path) for name, path in truth.items()}
    found = {name: read_pcm(stems[name]) for name in truth}
    return Score(
        {name: measure_sdr(true[name], found[name]) for name in truth},
        {name: measure_sdr(true[name], whole) for name in truth},
        largest_difference(whole, found.values()) / 2**31,
    )
