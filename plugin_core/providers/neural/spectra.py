"""The short-time spectra of a song as Open-Unmix has them, block by block, and the sound of what was made of them.

Periodic Hann window, hop of a quarter, centred, the song mirrored at its ends; the inverse is exact up to the ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.neural.networks import StereoMix

Float32 = NDArray[np.float32]
Complex64 = NDArray[np.complex64]

BLOCK: Final = 300
"""Frames that are filtered together, as Open-Unmix does."""
FEW: Final = 32
"""Frames that are transformed, and bins that are filtered, at once: few enough for the processor's caches."""
_FLOOR: Final = 1e-5
"""Keeps what is inverted from being singular: the root of Open-Unmix's 1e-10."""


def hann(size: int) -> Float32:
    """Return a periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


class Spectrogram:
    """The spectra of a song.

    Args:
        mix: the song.
        size: samples of a window.
        block: frames that are filtered together.
    """

    def __init__(self, mix: StereoMix, size: int, block: int = BLOCK) -> None:
        self.size, self.hop = size, size // 4
        self._mix, self._block = mix, block
        # What is mirrored must be longer than half a window.
        self._length = max(mix.frames, size // 2 + 1)
        self.frames = 1 + self._length // self.hop
        # numpy transforms in float64, several times as slow, unless it divides by the size, a power of two.
        self._window = hann(size) * np.float32(size)

    def blocks(self) -> Iterator[tuple[int, Complex64]]:
        """Yield the first frame of each block and its spectra (frames, 2, bins)."""
        for start in range(0, self.frames, self._block):
            yield start, self._transform(start, min(self.frames, start + self._block))

    def _transform(self, start: int, end: int) -> Complex64:
        first = start * self.hop - self.size // 2
        samples = self._mirrored(first, first + (end - start - 1) * self.hop + self.size)
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.size, axis=0)[:: self.hop]
        spectra = np.empty((end - start, 2, self.size // 2 + 1), dtype=np.complex64)
        for few in range(0, len(frames), FEW):
            windowed = frames[few : few + FEW] * self._window
            spectra[few : few + FEW] = np.fft.rfft(windowed, axis=-1, norm="forward")
        return spectra

    def _mirrored(self, start: int, end: int) -> Float32:
        inside = self._mix.read(max(0, start), min(end, self._length) - max(0, start))
        before = self._mix.read(1, max(0, -start))[::-1]
        beyond = max(0, end - self._length)
        after = self._mix.read(self._length - 1 - beyond, beyond)[::-1]
        return np.concatenate((before, inside, after))


class Sound:
    """Turns spectra back into sound, by overlap and add.

    Args:
        spectrogram: what the spectra are of.
        length: samples of the song.
    """

    def __init__(self, spectrogram: Spectrogram, length: int) -> None:
        self._size, self._hop, self._frames = spectrogram.size, spectrogram.hop, spectrogram.frames
        self._window = hann(self._size)
        self._at = 0
        self._left = length
        self._skip = self._size // 2
        self._tail = np.zeros((2, 3, self._hop), dtype=np.float32)
        self._squares = np.square(self._window).reshape(4, self._hop)
        self._inside: Float32 = self._squares.sum(axis=0)

    def push(self, spectra: Complex64) -> Float32:
        """Return the samples (samples, 2) that the next spectra complete; with the last ones, all that remain."""
        count = len(spectra)
        mixed = np.zeros((2, count + 3, self._hop), dtype=np.float32)
        mixed[:, :3] = self._tail
        for few in range(0, count, FEW):
            waves = np.fft.irfft(spectra[few : few + FEW], n=self._size, axis=-1)
            waves *= self._window
            quarters = waves.reshape(len(waves), 2, 4, self._hop).transpose(2, 1, 0, 3)
            for place, quarter in enumerate(quarters, few):
                mixed[:, place : place + len(waves)] += quarter
        self._tail = mixed[:, count:].copy()
        is_last = self._at + count == self._frames
        done = mixed if is_last else mixed[:, :count]
        for index in range(done.shape[1]):
            done[:, index] /= self._weight(self._at + index)
        self._at += count
        return self._cut(done.reshape(2, -1).T)

    def _weight(self, hop: int) -> Float32:
        """Return the sum of the squared windows that cover a hop: fewer at the ends than inside."""
        if 3 <= hop < self._frames:
            return self._inside
        covering = [quarter for quarter in range(4) if 0 <= hop - quarter < self._frames]
        weight: Float32 = np.maximum(self._squares[covering].sum(axis=0), np.float32(1e-11))
        return weight

    def _cut(self, samples: Float32) -> Float32:
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        kept = samples[skipped : skipped + self._left]
        self._left -= len(kept)
        return kept


def filter_stems(spectra: Complex64, masks: Sequence[Float32], wanted: int) -> list[Complex64]:
    """Return the stems of a block, each sharpened by what the others claim: one step of expectation and maximisation.

    Products are taken in float32, sums and the systems of two channels in float64: where both channels are alike those
    are nearly singular, and float32 gives no numbers at all.

    Args:
        spectra: of the mix, (frames, 2, bins).
        masks: of each stem, as ``spectra``; together they must claim about all of the mix.
        wanted: how many of the stems, the first, are returned.
    """
    scale = max(1.0, float(np.abs(spectra).max(initial=0.0)) / 10)
    stems = [np.empty(spectra.shape, dtype=np.complex64) for _ in masks[:wanted]]
    for low in range(0, spectra.shape[2], FEW):
        bins = slice(low, low + FEW)
        _filter_bins(
            spectra[:, :, bins], [mask[:, :, bins] for mask in masks], scale, [stem[:, :, bins] for stem in stems]
        )
    return stems


def _filter_bins(spectra: Complex64, masks: Sequence[Float32], scale: float, stems: Sequence[Complex64]) -> None:
    left, right = spectra[:, 0] / np.float32(scale), spectra[:, 1] / np.float32(scale)
    c00 = c11 = np.full(left.shape, _FLOOR)
    c01 = np.zeros(left.shape, dtype=np.complex128)
    models = []
    for mask in masks:
        y0, y1 = mask[:, 0] * left, mask[:, 1] * right
        p0, p1 = _power(y0), _power(y1)
        power = ((p0 + p1) / 2).astype(np.float64)
        total = 1e-10 + power.sum(axis=0)
        r00, r11 = p0.sum(axis=0, dtype=np.float64) / total, p1.sum(axis=0, dtype=np.float64) / total
        r01 = (y0 * y1.conj()).sum(axis=0, dtype=np.complex128) / total
        models.append((power, r00, r11, r01))
        c00, c11, c01 = c00 + power * r00, c11 + power * r11, c01 + power * r01
    determinant = c00 * c11 - _power(c01)
    determinant /= scale
    z0, z1 = (c11 * left - c01 * right) / determinant, (c00 * right - c01.conj() * left) / determinant
    for stem, (power, r00, r11, r01) in zip(stems, models, strict=False):
        stem[:, 0] = power * (r00 * z0 + r01 * z1)
        stem[:, 1] = power * (r01.conj() * z0 + r11 * z1)


def _power(values: NDArray[np.complexfloating]) -> NDArray[np.floating]:
    return values.real**2 + values.imag**2
