"""Records what Open-Unmix's own code says of random networks: ``python -m tests.plugin_core.providers.neural.oracle``.

Needs torch and openunmix 1.3.0, whose import of torchaudio is answered by an empty module. Run once; the numbers stand
beside this in ``openunmix.npz``, every ``STEP``th sample of them.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.plugin_core.providers.neural.weights import Tensors, random_target

RECORDED: Final = Path(__file__).parent / "openunmix.npz"
STEMS: Final = ("vocals", "drums", "bass", "other")
SAMPLES: Final = 20_500
"""Of the recorded mix: with a hop of 64 more than 300 frames, which are filtered by themselves."""
STEP: Final = 6


def is_installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "openunmix"))


def random_mix(seed: int, samples: int) -> NDArray[np.float32]:
    """Return (samples, 2): noise of changing loudness, more of it in one channel."""
    random = np.random.RandomState(seed)
    loud = np.sin(np.arange(samples) * 2 * np.pi / 5_000)[:, None] ** 2
    return np.asarray(random.standard_normal((samples, 2)) * loud * [0.2, 0.14], dtype=np.float32)


def separate(targets: dict[str, Tensors], mix: NDArray[np.float32], *, residual: bool) -> NDArray[np.float32]:
    """Return (stems, samples, 2) by Open-Unmix, with the defaults of its ``umxhq``; the residual comes last."""
    sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
    import torch
    from openunmix.model import OpenUnmix, Separator

    models: dict[str, Any] = {}
    for stem, tensors in targets.items():
        bins, crop, hidden = (len(tensors[name]) for name in ("output_mean", "input_mean", "fc1.weight"))
        layers = sum("weight_ih" in name for name in tensors) // 2
        model = OpenUnmix(nb_bins=bins, nb_channels=2, hidden_size=hidden, nb_layers=layers, max_bin=crop)
        model.load_state_dict({name: torch.from_numpy(one.copy()) for name, one in tensors.items()})
        model.freeze()
        models[stem] = model
    separator = Separator(models, niter=1, residual=residual, n_fft=2 * (bins - 1), n_hop=(bins - 1) // 2)
    separator.freeze()
    with torch.no_grad():
        estimates = separator(torch.from_numpy(mix.T[None].copy()))
    return np.asarray(estimates[0].numpy().transpose(0, 2, 1), dtype=np.float32)


def recorded_targets() -> dict[str, Tensors]:
    return {stem: random_target(seed) for seed, stem in enumerate(STEMS)}


def main() -> None:
    targets, mix = recorded_targets(), random_mix(7, SAMPLES)
    four = separate(targets, mix, residual=False)
    two = separate({"vocals": targets["vocals"]}, mix, residual=True)
    np.savez(RECORDED, four=four[:, ::STEP], two=two[:1, ::STEP])
    print(RECORDED.stat().st_size, [float(np.abs(stem).max()) for stem in (*four, *two)])


if __name__ == "__main__":
    main()
