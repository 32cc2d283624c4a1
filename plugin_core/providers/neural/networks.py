"""What a kind of network is handed and what it gives; each kind has a module with a ``load`` as ``Load`` says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Protocol

import msgspec

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
