from __future__ import annotations

import numpy as np
import pytest

from plugin_core.providers.local.stft import Analysis, Frames, Synthesis


@pytest.mark.parametrize(("rate", "size"), [(8000, 1024), (44100, 4096), (48000, 4096), (96000, 8192), (192000, 16384)])
def test_window_follows_the_sample_rate(rate: int, size: int) -> None:
    assert Frames(rate, 4096 / 44100).size == size


def test_there_and_back_is_the_same() -> None:
    frames = Frames(8000, 4096 / 44100)
    samples = np.random.default_rng(1).uniform(-1, 1, 40 * frames.hop).astype(np.float32)
    analysis, synthesis = Analysis(frames, 10), Synthesis(frames, 10)
    heard = []
    for block in [*np.split(samples, 4), np.zeros(frames.lead, dtype=np.float32)]:
        spectra = np.empty((block.size // frames.hop, frames.bins), dtype=np.complex64)
        analysis.push(block, spectra)
        heard.append(synthesis.push(spectra))
    back = np.concatenate(heard)[frames.lead :]
    assert np.abs(back - samples).max() < 2e-6


def test_frames_cover_every_sample() -> None:
    frames = Frames(8000, 4096 / 44100)
    for samples in (1, frames.hop, frames.hop + 1, 5000):
        last = frames.count(samples) - 1
        assert last * frames.hop - frames.lead < samples <= (last + 1) * frames.hop
