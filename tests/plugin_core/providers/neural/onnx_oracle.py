"""Records for tests what audio-separator and demucs make of a song.

    python -m tests.plugin_core.providers.neural.onnx_oracle

Run by hand, where torch is installed, and with both packages unpacked (``pip download --no-deps audio-separator==0.47.1
demucs==4.1.0``) on PYTHONPATH. What they import beside torch and numpy is not needed here, and made of nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import logging
import sys
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.plugin_core.providers.neural.onnx_cases import (
    DEMUCS,
    FIXTURE,
    MDX,
    Float32,
    choose,
    demucs_net,
    make_mix,
    mdx_net,
)

UNNEEDED = """einops julius lameenc librosa ml_collections onnx2torch openunmix pydub requests samplerate sphn
    audioread beartype diffq dora rotary_embedding_torch scipy resampy six soundfile tqdm yaml"""


class Nothing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module for what both import and do not need here, whose names are all of no use."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        is_unneeded = name.partition(".")[0] in UNNEEDED.split()
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if is_unneeded else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__path__ = []
        module.__getattr__ = stand_in  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass


def stand_in(name: str) -> Any:
    """Return something of a name: an iterable is its own progress bar, and what Python itself looks for is missing."""
    if name.startswith("__"):
        raise AttributeError(name)
    return iter if name == "tqdm" else type(name, (), {})


def ask_audio_separator(name: str) -> Float32:
    """Return the primary stem (samples, 2) of a case, before audio-separator's gains."""
    from audio_separator.separator.architectures.mdx_separator import MDXSeparator

    case = MDX[name]
    separator: Any = object.__new__(MDXSeparator)
    separator.__dict__.update(
        logger=logging.getLogger("oracle"),
        segment_size=case.shape.dim_t,
        overlap=case.overlap,
        batch_size=1,
        hop_length=1024,
        enable_denoise=False,
        compensate=case.shape.compensate,
        dim_f=case.shape.dim_f,
        dim_t=case.shape.dim_t,
        n_fft=case.shape.n_fft,
        torch_device="cpu",
        model_run=lambda spectra: mdx_net(spectra.numpy()),
    )
    separator.initialize_model_settings()
    stem: Float32 = separator.demix(make_mix(case.frames).T).T
    return stem


def ask_demucs(name: str) -> Float32:
    """Return the stems (stems, samples, 2) of a case."""
    import torch
    from demucs.api import Separator

    case = DEMUCS[name]

    class Model(torch.nn.Module):
        samplerate, segment, sources, audio_channels = 44_100, (case.segment + 0.5) / 44_100, list("abcd"), 2

        def valid_length(self, length: int) -> int:
            return case.segment

        def forward(self, mix: Any) -> Any:
            return torch.from_numpy(demucs_net(mix.numpy()))

    separator: Any = object.__new__(Separator)
    separator.__dict__.update(
        _model=Model(), _samplerate=44_100, _segment=None, _shifts=0, _split=True, _overlap=0.25, _device="cpu", _jobs=0
    )
    separator.__dict__.update(_callback=None, _callback_arg=None, _progress=False)
    _, stems = separator.separate_tensor(torch.from_numpy(make_mix(case.frames).T.copy()))
    return np.stack([stem.numpy().T for stem in stems.values()])


def main() -> None:
    """Write the fixture."""
    sys.meta_path.append(Nothing())
    found: dict[str, NDArray[np.float32]] = {name: choose(ask_audio_separator(name)) for name in MDX}
    found |= {name: choose(ask_demucs(name), axis=1) for name in DEMUCS}
    np.savez_compressed(FIXTURE, **found)  # type: ignore[arg-type]
    print({name: values.shape for name, values in found.items()}, FIXTURE.stat().st_size)


if __name__ == "__main__":
    main()
