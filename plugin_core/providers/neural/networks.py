"""The models that are known, and what a kind of network is handed and gives: each has a module with such a ``load``."""

from __future__ import annotations

import functools
import importlib.util
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Protocol

import msgspec

from plugin_core.audio.info import AudioInfo
from plugin_core.errors import MissingModelError, UsageError, install_hint, suggest
from plugin_core.manifests import manifest
from plugin_core.model import Separation
from plugin_core.stem_names import INSTRUMENTAL, VOCALS, canonical
from plugin_core.worker import WorkerOrder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]

RATE: Final = 44_100
"""Hertz that every network hears and gives, in two channels."""

Kind = Literal["umx", "mdx", "htdemucs"]
Device = Literal["cpu", "cuda", "coreml", "directml"]
Commerce = Literal["allowed", "not stated", "forbidden"]
"""What whoever published weights says of commercial use."""


class WeightFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a model, as it was published."""

    name: str
    stem: str = ""
    """The one stem that it gives; "" where it gives all of the model's."""
    addresses: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Where it can be had, the best first."""
    bytes: Annotated[int, msgspec.Meta(ge=1)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8,64}$")]
    """Whole, or the first digits where its author publishes no more."""
    md5: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?$")] = ""
    """Of the whole file; "" where nobody says."""
    parameters: dict[str, float] = {}
    """What is to be known to use it and does not stand in it, by a name of its kind's."""


class NeuralModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model, a row of ``manifests/providers/neural.toml``."""

    id: str
    kind: Kind
    name: str
    summary: str
    stems: tuple[str, ...]
    """What a song is split into, all of them together the song."""
    rest: str
    """The one of them that takes what the others leave: its samples are the song's without theirs."""
    files: tuple[WeightFile, ...]
    licence: str
    commerce: Commerce
    author: str
    page: str
    """Where people read about it."""


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a model on this machine, its size and digest checked."""

    file: WeightFile
    path: Path


class Computing(msgspec.Struct, frozen=True, kw_only=True):
    """How the machine is used."""

    threads: int = 1
    device: Device = "cpu"
    segment_seconds: float | None = None
    """Seconds worked on at once, for a kind that can choose; None for its own."""


class StereoMix(Protocol):
    """The song as networks hear it: two channels at ``RATE``, any part of it at any time."""

    @property
    def frames(self) -> int:
        """Samples in each channel."""

    def read(self, start: int, count: int) -> Float32:
        """Return (count, 2) from a sample on, which may be negative: zeros outside the song. A copy, to be changed."""


Told = Callable[[float], None]
"""Hear which share of the work is done, 0 to 1."""


class StemNetwork(Protocol):
    """Weights that are loaded, of one song at a time."""

    @property
    def stems(self) -> tuple[str, ...]:
        """What it gives, without the model's ``rest`` perhaps."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of how it was done, once it is."""

    def separate(self, mix: StereoMix, scratch: Path, tell: Told) -> Iterator[Mapping[str, Float32]]:
        """Yield blocks (samples, 2) by stem, which one after the other are as long as the song; memory stays flat.

        Args:
            mix: the song; nothing is yielded of one without samples.
            scratch: an empty folder of its own, removed by the caller.
            tell: hears how far it is, also while nothing is yielded.
        """


class Load(Protocol):
    """The function ``load`` of each kind's module."""

    def __call__(self, model: NeuralModel, weights: Sequence[Weights], computing: Computing) -> StemNetwork:
        """Read the weights, all of the model's files or those of the wanted stems.

        Raises:
            SettingsError: a file is not what its kind is: damaged, of other shapes; it is named.
            UsageError: what the kind needs is not installed.
        """


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


def read_catalogue() -> Mapping[str, NeuralModel]:
    """Return the models of the manifest by id, the best first."""
    return _read(manifest("providers/neural.toml"))


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
    if not has_runtime(model):
        raise MissingModelError(f"{model.id} needs onnxruntime, which is not installed", remedy=install_hint("neural"))


def has_runtime(model: NeuralModel) -> bool:
    return model.kind == "umx" or importlib.util.find_spec("onnxruntime") is not None


def gives_all(model: NeuralModel, stems: Sequence[str]) -> bool:
    """Tell whether a model is one to take where none was named: for no stems in particular, one of four or more."""
    return bool(stems) or len(model.stems) >= 4
