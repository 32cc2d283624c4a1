"""The plain recipe that engines are held against: what a few lines with a well-known library give of four stems.

Needs ``librosa``, installed by hand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 44_100
BASS_HZ = 200
VOICE_HZ = (200, 8_000)


def separate_plainly(song: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    """Split a song, shape (samples, 2): what is percussive, what is low, what is in the middle."""
    import librosa
    from scipy.signal import butter, sosfiltfilt

    whole = song.T.astype(np.float64)
    steady, percussive = librosa.effects.hpss(whole)
    bass = sosfiltfilt(butter(4, BASS_HZ, "lowpass", fs=RATE, output="sos"), steady)
    band = butter(4, VOICE_HZ, "bandpass", fs=RATE, output="sos")
    vocals = sosfiltfilt(band, np.broadcast_to((steady - bass).mean(axis=0), whole.shape))
    stems = {"vocals": vocals, "drums": percussive, "bass": bass, "other": steady - bass - vocals}
    top = np.iinfo(np.int32)
    return {name: np.rint(np.clip(stem.T, top.min, top.max)).astype(np.int32) for name, stem in stems.items()}
