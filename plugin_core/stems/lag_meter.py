"""Where a part lies against its source.

A part is measured by its own whitened correlation with the source over the whole song. Whitening (the phase transform)
makes every frequency count alike, so that a part stands out however quiet it is beside the others, to the sample. What
it cannot tell, its confidence says: 3 and more was always right on songs with true stems that do not repeat themselves
to the sample, 1.5 is what songs reach that have nothing to do with each other. Of all frequencies, and of those alone
on which a part sounds, of a bass but few, the answer counts that stands out more. A part that is plain to see in a
quarter of each window costs a quarter.

Of a part that leaves doubt it is asked as well where it leaves least of the source, the others taken away: where all
parts together make the source, that tells a bass to the sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from plugin_core.audio.samples import Samples

MAX_LAG: Final = 4096
"""Frames searched in each direction."""

WINDOW: Final = 1 << 16
"""Frames of source and part that are compared at once."""

GLANCE: Final = WINDOW // 4
"""Frames of a window that are compared first, those in which the part is loudest."""

_PLAIN_TO_SEE: Final = 6.0
"""Confidence from which a glance at a window will do; a false one never reached 2.5 on songs with true stems."""

SLOTS: Final = 20
"""How many windows of a long song are compared: of each twentieth of it the one where the part is loudest."""

CONFIDENT: Final = 3.0
"""Confidence from which an offset is believed."""

NEAR: Final = 8
"""Frames around a peak that belong to it."""

_AUDIBLE: Final = 1e-3
"""Amplitude, of a part's loudest frequency, from which others are its own: below is what a bass has no more of."""

_LOUD_SHARE: Final = 0.6
"""Share of the windows that count, the loudest: in the others a part may be but noise."""

_CLEAR: Final = 2.0
"""Confidence from which a single window tells where the part lies in it."""

_FEWEST_CLEAR: Final = 6
_LEAST_DRIFT: Final = 4.0
"""Frames between the first and the last window from which a part drifts."""

_STRAY: Final = 2.0
"""Frames a window may lie off the line of a drift."""

_STRIDE: Final = 64
"""Loudness is measured on every sixty-fourth sample."""

_TINY: Final = np.float32(1e-37)

_FITS: Final = 2.0
"""How much more of the source, in energy, must be left at every other lag than at the one where a part fits."""

_ROUNDING: Final = 1e-6
"""Of the energy, what counts as nothing left."""

Mono = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.complex64]

_NOTHING: Final[Mono] = np.zeros(2 * MAX_LAG + 1, np.float32)
_BEYOND: Final[Mono] = np.zeros(NEAR, np.float32)


class FoundLag(msgspec.Struct, frozen=True):
    """Where a part lies against its source, as far as can be told."""

    lag: int = 0
    """Frames by which it most likely comes late."""
    confidence: float = 0.0
    """The correlation there over the largest elsewhere; 0 of a silent part."""
    is_inverted: bool = False
    drift: float = 0.0
    """Frames that its end comes later than its beginning, against the source; 0 where it keeps pace."""
    relation: float = 0.0
    """Plain correlation with the source at its best, 0..1; 1 where the whitened one leaves no doubt."""
    is_fitting: bool = False
    """Whether the part, with all others, leaves far less of the source at this lag than at any other."""
    is_hint: bool = False
    """Whether all frequencies and the audible ones alone say much the same, which is seldom an accident."""
    curve: tuple[float, ...] = ()
    """Whitened correlation from ``lag - NEAR`` to ``lag + NEAR``, the peak 1."""

    @property
    def is_silent(self) -> bool:
        """Tell whether there was nothing to hear in the part, or in the source with it."""
        return not self.curve

    @property
    def is_sure(self) -> bool:
        """Tell whether the lag is believed."""
        return (self.confidence >= CONFIDENT or self.is_fitting) and not self.drift

    def could_be(self, lag: int) -> bool:
        """Tell whether a lag fits as well as the best one, as far as noise lets that be told.

        A part without heights has a broad peak.
        """
        index = lag - self.lag + NEAR
        return 0 <= index < len(self.curve) and self.curve[index] >= 1 - 1 / self.confidence


class Passage:
    """As many frames of the source or a part as are compared at once.

    Args:
        block: (frames, channels); channels are mixed with unequal weights, so that nothing cancels itself out.
        frames: of the source in this window; a shorter block is followed by silence.
    """

    def __init__(self, block: Samples, frames: int) -> None:
        self._block = block
        self.frames = frames
        self._heard: dict[tuple[int, int], tuple[float, Spectrum]] = {}

    @cached_property
    def loudness(self) -> float:
        """Energy of a few of the samples."""
        few = self._block[::_STRIDE]
        return float(np.vdot(few, few))

    @property
    def loudest(self) -> int:
        """The frame from which ``GLANCE`` frames are the loudest; one of a few."""
        starts = range(0, self.frames - GLANCE + 1, GLANCE)
        stretches = ((self._block[start : start + GLANCE : _STRIDE], start) for start in starts)
        return max((float(np.vdot(few, few)), start) for few, start in stretches)[1]

    def transform(self, start: int = 0, frames: int | None = None) -> tuple[float, Spectrum]:
        """Return energy and spectrum of the channels mixed, faded in and out: no edge is heard."""
        frames = frames or self.frames
        if (start, frames) not in self._heard:
            mono = mix_channels(self._block[start : start + frames])
            tapered = mono * _taper(frames)[: len(mono)]
            # With room for every lag where the song is shorter than a window.
            room = 1 << (frames + MAX_LAG - 1).bit_length()
            # The factor of this norm is a float32, and so all is; that of the default makes numpy compute in doubles.
            spectrum = np.fft.rfft(tapered, min(GLANCE if frames == GLANCE else WINDOW, room), norm="forward")
            self._heard[start, frames] = float(np.vdot(tapered, tapered)), spectrum.astype(np.complex64, copy=False)
        return self._heard[start, frames]


class _Slot:
    """A window of source and part, compared once it is known that it counts."""

    def __init__(self, place: int, source: Passage, part: Passage, rest: Passage | None) -> None:
        self.place = place
        self.loudness = part.loudness
        self.pair: tuple[Passage, Passage] | None = source, part
        self.rest = rest
        self.curve: Mono = _NOTHING
        self.audible: Mono = _NOTHING
        """The curve of the frequencies alone on which the part sounds."""


class _Fit:
    """How much of a source is left, by where one part lies, when that and all others are taken away."""

    def __init__(self) -> None:
        self._product: Spectrum = np.zeros(1, np.complex64)
        self._energy = 0.0

    def hear(self, left: Spectrum, part: Spectrum) -> None:
        """Take what the others leave of a window, and the part itself."""
        self._product = self._product + part * np.conj(left)
        self._energy += _energy_of(left) + _energy_of(part)

    def conclude(self) -> int | None:
        """Return the lag at which the part fits, as at no other; None where there is none such."""
        if not self._energy:
            return None
        frames = 2 * (len(self._product) - 1)
        left = self._energy - 2 * frames * _to_lags(self._product).astype(np.float64)
        best = int(np.argmin(left))
        least = max(float(left[best]), _ROUNDING * self._energy)
        others = np.delete(left, best)
        return best - MAX_LAG if float(others.min()) >= _FITS * least else None


class LagMeter:
    """Hears a source and one part window by window, and says where the part lies.

    Args:
        windows: about how many windows the song has; only the cost depends on it.
    """

    def __init__(self, windows: int) -> None:
        self._per_slot = max(1, -(-windows // SLOTS))
        self._heard = 0
        self._loudest: _Slot | None = None
        self._slots: list[_Slot] = []
        self._plain: Spectrum = np.zeros(1, np.complex64)
        self._source_energy = self._part_energy = 0.0
        self._fit = _Fit()
        self._is_plain_to_see = True
        """Whether a glance was enough each time."""
        self._is_glimpsed = False
        """Whether it was at least once."""

    def hear(self, source: Passage, part: Passage, rest: Passage | None = None) -> None:
        """Take the next window of both, and of what is left of the source when this part and all others are away."""
        is_audible = source.loudness > 0 and part.loudness > 0
        if is_audible and (self._loudest is None or part.loudness > self._loudest.loudness):
            self._loudest = _Slot(self._heard, source, part, rest)
        self._heard += 1
        if self._heard % self._per_slot == 0:
            self._close_slot()

    def conclude(self) -> FoundLag:
        """Return what was found in all windows together."""
        self._close_slot()
        if not self._slots:
            return FoundLag()
        quiet = math.ceil((len(self._slots) - 1) * (1 - _LOUD_SHARE))
        loud = sorted(self._slots, key=lambda slot: slot.loudness)[quiet:]
        for slot in loud:
            self._compare(slot)
        totals: list[Mono] = [
            sum(curves, start=_NOTHING) for curves in zip(*((s.curve, s.audible) for s in loud), strict=True)
        ]
        peaks = [find_peak(total) for total in totals]
        (lag, confidence), total = max(zip(peaks, totals, strict=True), key=lambda one: one[0][1])
        peak = float(total[lag + MAX_LAG])
        if not peak:
            return FoundLag()
        around = np.concatenate((_BEYOND, total, _BEYOND))[lag + MAX_LAG : lag + MAX_LAG + 2 * NEAR + 1] / peak
        drift = _find_drift([slot for slot in self._slots if slot.pair is None])
        fitting = self._fit.conclude() if confidence < CONFIDENT else None
        return FoundLag(
            lag=lag if fitting is None else fitting,
            confidence=confidence,
            is_inverted=peak < 0 and fitting is None,
            drift=drift,
            relation=1.0 if confidence >= CONFIDENT or self._is_glimpsed else self._relate(),
            is_fitting=fitting is not None,
            is_hint=abs(peaks[0][0] - peaks[1][0]) <= NEAR,
            curve=tuple(around.tolist()),
        )

    def _close_slot(self) -> None:
        if self._loudest is not None:
            self._slots.append(self._loudest)
            self._loudest = None
        # In a song of few windows nobody asks for a drift, and the quiet ones are never compared.
        if len(self._slots) >= _FEWEST_CLEAR:
            for slot in self._slots:
                self._compare(slot)

    def _compare(self, slot: _Slot) -> None:
        if slot.pair is not None:
            if not self._glance(*slot.pair, slot):
                (source_energy, source), (part_energy, part) = (one.transform() for one in slot.pair)
                product = part * np.conj(source)
                flat = _whiten(product)
                slot.curve = _to_lags(flat)
                sizes = np.abs(part)
                slot.audible = _to_lags(flat * (sizes >= _AUDIBLE * sizes.max()))
                self._plain = self._plain + product
                self._source_energy += source_energy
                self._part_energy += part_energy
                if slot.rest is not None:
                    self._fit.hear(slot.rest.transform()[1] + part, part)
            slot.pair = slot.rest = None

    def _glance(self, source: Passage, part: Passage, slot: _Slot) -> bool:
        """Compare a quarter of a window, and tell whether that leaves no doubt; where it once did not, no more."""
        if not self._is_plain_to_see or source.frames < WINDOW:
            return False
        start = part.loudest
        curve = _to_lags(_whiten(part.transform(start, GLANCE)[1] * np.conj(source.transform(start, GLANCE)[1])))
        self._is_plain_to_see = find_peak(curve)[1] >= _PLAIN_TO_SEE
        if self._is_plain_to_see:
            slot.curve = slot.audible = curve
            self._is_glimpsed = True
        return self._is_plain_to_see

    def _relate(self) -> float:
        # Of one window alone, noise has up to the correlation of what belongs together.
        for slot in self._slots:
            self._compare(slot)
        frames = 2 * (len(self._plain) - 1)
        largest = float(np.abs(_to_lags(self._plain)).max()) * frames**2
        return largest / float(np.sqrt(self._source_energy * self._part_energy))


def mix_channels(block: Samples) -> Samples:
    """Return one channel out of (frames, channels), each in it with a weight of its own; they add up to 1."""
    weights = 0.6 ** np.arange(block.shape[1])
    mixed: Samples = block @ (weights / weights.sum()).astype(block.dtype)
    return mixed


def take_away(source: Samples, parts: Sequence[Samples]) -> Samples:
    """Return what parts leave of a window of their source: (frames, channels), one to be mixed as the source is."""
    rest = source.copy()
    for part in parts:
        # Whatever is taken away from every channel is taken away from their mix.
        rest[: len(part)] -= part if part.shape[1] == source.shape[1] else mix_channels(part)[:, None]
    return rest


def find_peak(curve: Mono) -> tuple[int, float]:
    """Return the lag of the largest value of a correlation, and by how much it stands above all that are not near."""
    sizes = np.abs(curve)
    best = int(np.argmax(sizes))
    peak = float(sizes[best])
    sizes[max(0, best - NEAR) : best + NEAR + 1] = 0
    return best - MAX_LAG, peak / max(float(sizes.max()), float(_TINY))


def _energy_of(spectrum: Spectrum) -> float:
    """Return the energy of samples by the half of their spectrum that there is, in units of its norm."""
    edges = spectrum[[0, -1]]
    return 2 * float(np.vdot(spectrum, spectrum).real) - float(np.vdot(edges, edges).real)


@lru_cache(maxsize=3)
def _taper(frames: int) -> Mono:
    return np.hanning(frames).astype(np.float32)


def _whiten(product: Spectrum) -> Spectrum:
    """Return the spectrum of a correlation in which every frequency counts alike."""
    flat: Spectrum = product * (1 / np.maximum(np.abs(product), _TINY))
    return flat


def _to_lags(spectrum: Spectrum) -> Mono:
    """Return a correlation at the lags -MAX_LAG..MAX_LAG."""
    whole = np.fft.irfft(spectrum)
    return np.concatenate((whole[-MAX_LAG:], whole[: MAX_LAG + 1]))


def _find_drift(slots: Sequence[_Slot]) -> float:
    """Return by how many frames the lag grows from the first window to the last, where it does so evenly."""
    peaks = [(slot.place, *find_peak(slot.curve)) for slot in slots]
    clear = np.array([(place, lag) for place, lag, confidence in peaks if confidence >= _CLEAR])
    if len(clear) < _FEWEST_CLEAR:
        return 0.0
    at, lags = clear.T
    # The median of the slopes between any two windows: the few that heard something else do not move it.
    first, second = np.triu_indices(len(at), 1)
    slope = float(np.median((lags[second] - lags[first]) / (at[second] - at[first])))
    off = np.abs(lags - slope * at - np.median(lags - slope * at))
    drift = slope * float(at[-1] - at[0])
    is_even = np.mean(off <= _STRAY) >= _LOUD_SHARE
    return drift if is_even and abs(drift) >= _LEAST_DRIFT else 0.0
