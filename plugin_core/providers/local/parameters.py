"""The method's numbers, in hertz and seconds so that they hold at any sample rate."""

from __future__ import annotations

import msgspec

STEMS = ("vocals", "drums", "bass", "other")


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What can be varied; the defaults gave the best mean signal-to-distortion ratio on songs with true stems."""

    window_seconds: float = 4096 / 44100
    """Length of the Fourier window; rounded to a power of two samples."""
    centre_weight: float = 4.0
    """How strongly sound away from the centre is kept out of vocals and bass (power of side against middle)."""
    time_median_seconds: float = 0.26
    frequency_median_hz: float = 250.0
    harmonic_weight: float = 3.0
    """How strongly steady sound is kept out of the drums."""
    low_median_seconds: float = 0.54
    low_weight: float = 0.5
    low_edge_hz: float = 130.0
    """Below it drums are what rises above the running median of time, above it what is broad in frequency."""
    bass_edge_hz: float = 260.0
    vocals_low_hz: float = 130.0
    vocals_high_hz: float = 9000.0
    melody_depth: float = 0.7
    """How far sound between the melody's harmonics is kept out of the vocals, 0 to 1; 0 follows no melody."""
