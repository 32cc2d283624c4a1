"""A trivial separation whose parts sum to the source exactly, on the grid of the output format.

The part ``n`` of ``N`` is the band ``n`` of the spectrum, in blocks of 65536 frames; the last part is the source minus
the others, so it also takes what rounding left. Labels that repeat others (``Instrumental`` beside drums, bass and
other) are sums of parts and no parts themselves.
"""

from __future__ import annotations

import numpy as np

from tests.simulators.mvsep.media import Signal

_BLOCK = 1 << 16
_LOWEST = 200.0
_MIXES = ("Instrum", "Instrumental")


def derived_labels(labels: list[str]) -> list[str]:
    """Return the labels that are sums of others: ``Instrumental`` among many, ``Back_Instrum``, ``Sum``."""
    named = [label for label in labels if label in ("Sum", "Back_Instrum")]
    rest = [label for label in labels if label not in named]
    is_many = len(rest) > 3 or (len(rest) == 3 and "Other" in rest)
    return named + [label for label in rest if is_many and label in _MIXES]


def split(samples: Signal, sample_rate: int, labels: list[str], step: float | None) -> dict[str, Signal]:
    """Return samples (frames, channels) by label.

    ``step`` is the distance of two values of the output format, None for floating point.
    """
    derived = derived_labels(labels)
    parts = [label for label in labels if label not in derived]
    source = _round(samples, step)
    bands = [_round(band, step) for band in _bands(source, sample_rate, len(parts))[:-1]]
    bands.append(source - sum(bands, start=np.zeros_like(source)))
    found = dict(zip(parts, bands, strict=True))
    return {label: found[label] if label in found else _mix(label, found, source) for label in labels}


def _mix(label: str, parts: dict[str, Signal], source: Signal) -> Signal:
    without = {"Sum": "-", "Back_Instrum": "Vocals_Lead"}.get(label, "Vocal")
    return source - sum((part for name, part in parts.items() if name.startswith(without)), start=np.zeros_like(source))


def _bands(samples: Signal, sample_rate: int, count: int) -> list[Signal]:
    """Cut the spectrum into ``count`` bands, the low ones narrower."""
    edges = np.geomspace(_LOWEST, sample_rate / 2, count) if count > 1 else np.array([])
    bands = [np.zeros_like(samples) for _ in range(count)]
    for start in range(0, len(samples), _BLOCK):
        block = samples[start : start + _BLOCK]
        spectrum = np.fft.rfft(block, axis=0)
        where = np.searchsorted(edges[:-1], np.fft.rfftfreq(len(block), 1 / sample_rate), side="right")
        for number, band in enumerate(bands):
            band[start : start + len(block)] = np.fft.irfft(spectrum * (where == number)[:, None], n=len(block), axis=0)
    return bands


def _round(samples: Signal, step: float | None) -> Signal:
    if step is None:
        return samples
    rounded: Signal = np.clip(np.rint(samples / step) * step, -1.0, 1.0 - step)
    return rounded
