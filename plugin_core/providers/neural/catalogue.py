"""The models that are known, from the manifest, which of their files a wish needs, and what a worker is asked."""

from __future__ import annotations

import functools
import importlib.util
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.info import AudioInfo
from plugin_core.errors import MissingModelError, UsageError, install_hint, suggest
from plugin_core.manifests import manifest
from plugin_core.model import Separation
from plugin_core.providers.neural.networks import Computing, NeuralModel, WeightFile, Weights
from plugin_core.stem_names import INSTRUMENTAL, VOCALS, canonical
from plugin_core.worker import WorkerOrder

_TWO: Final = frozenset({VOCALS, INSTRUMENTAL})


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    models: tuple[NeuralModel, ...]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What of a model does for a wish."""

    model: NeuralModel
    stems: tuple[str, ...]
    """What the song is split into; its sum."""
    rest: str
    """The one of them that takes what the others leave."""
    files: tuple[WeightFile, ...]


class NeuralRequest(WorkerOrder, frozen=True, kw_only=True):
    """The one line that the worker reads."""

    source: Path
    info: AudioInfo | None = None
    """What ``probe`` said of it; default asked by the worker."""
    format: str
    """Name of a lossless format."""
    choice: Choice
    weights: tuple[Weights, ...]
    """Where the files of the choice are, with their whole digests."""
    computing: Computing


def read_catalogue(path: Path | None = None) -> Mapping[str, NeuralModel]:
    """Return the models by id, the best first; default those of the manifest."""
    return _read(path or manifest("providers/neural.toml"))


@functools.cache
def _read(path: Path) -> Mapping[str, NeuralModel]:
    found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Manifest)
    return {model.id: model for model in found.models}


def find_model(catalogue: Mapping[str, NeuralModel], word: str) -> NeuralModel:
    """Return the model that a word means, by id or name.

    Raises:
        UsageError: none.
    """
    wanted = word.casefold()
    for model in catalogue.values():
        if wanted in (model.id, model.name.casefold()):
            return model
    known = tuple(catalogue)
    raise UsageError(
        f"the separator 'neural' has no model {word!r}{suggest(wanted, known, lead=', ')}",
        remedy=f"it knows {', '.join(known)}",
    )


def choose(model: NeuralModel, wish: Separation) -> Choice:
    """Return what of a model gives the wanted stems; of a voice alone, the one file that gives it.

    Raises:
        UsageError: it does not give one of them.
    """
    given = {*model.stems, INSTRUMENTAL} if VOCALS in model.stems else set(model.stems)
    wanted = {canonical(stem) for stem in (*wish.stems, *wish.minus)}
    missing = sorted(wanted - given) + [stem for stem in wish.minus if canonical(stem) not in model.stems]
    if missing:
        raise UsageError(f"neural {model.id} gives no {missing[0]!r}", remedy=f"it gives {', '.join(model.stems)}")
    by_stem = {file.stem: file for file in model.files}
    if wanted and wanted <= _TWO and VOCALS in by_stem and len(model.stems) > 2:
        return Choice(model=model, stems=(VOCALS, INSTRUMENTAL), rest=INSTRUMENTAL, files=(by_stem[VOCALS],))
    # Open-Unmix filters each stem by what all of them claim, also that which is the rest.
    files = tuple(file for file in model.files if file.stem != model.rest or model.kind == "umx")
    return Choice(model=model, stems=model.stems, rest=model.rest, files=files)


def check_runtime(model: NeuralModel) -> None:
    """Look whether what runs a model is installed, and import nothing.

    Raises:
        MissingModelError: it is not.
    """
    if model.kind != "umx" and importlib.util.find_spec("onnxruntime") is None:
        raise MissingModelError(f"{model.id} needs onnxruntime, which is not installed", remedy=install_hint("neural"))


def gives_all(model: NeuralModel, stems: Sequence[str]) -> bool:
    """Tell whether a model is one to take where none was named: for no stems in particular, one of four or more."""
    return bool(stems) or len(model.stems) >= 4
