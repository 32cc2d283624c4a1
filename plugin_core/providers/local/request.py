"""What is asked of a worker, and the options that users choose from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from plugin_core.audio.info import AudioInfo
from plugin_core.errors import UsageError, suggest
from plugin_core.worker import WorkerOrder

BLOCK_SECONDS: Final = 4.0
"""How much sound a worker works on at once, unless the settings say otherwise."""

STEMS = ("vocals", "drums", "bass", "other")
NETWORK_MANIFEST = Path(__file__).parent / "network.toml"
"""Names the weights beside it, where they came from, and their digest."""


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


class Option(NamedTuple):
    """One number users may choose."""

    low: float
    high: float
    meaning: str


OPTIONS: Final = {
    "centre_weight": Option(
        0, 32, "how strongly sound away from the stereo centre is kept out of vocals and bass (no unit)"
    ),
    "bass_edge_hz": Option(80, 600, "where bass ends and vocals begin, in hertz"),
    "melody_depth": Option(0, 1, "how far sound between the melody's harmonics is kept out of the vocals (share)"),
}
"""By the name of the field of ``Parameters`` each one sets."""


def read_options(options: Mapping[str, str]) -> Parameters:
    """Return the method's parameters for these options.

    Raises:
        UsageError: an unknown name, no number, or a number outside its range.
    """
    return msgspec.structs.replace(Parameters(), **{name: _read(name, text) for name, text in options.items()})


def fill_options(options: Mapping[str, str]) -> dict[str, str]:
    """Return every option in one spelling, so that equal wishes compare equal.

    Raises:
        UsageError: as ``read_options``.
    """
    parameters = read_options(options)
    return {name: f"{getattr(parameters, name):g}" for name in OPTIONS}


def _read(name: str, text: str) -> float:
    if name not in OPTIONS:
        names = tuple(OPTIONS)
        raise UsageError(
            f"the separator 'local' has no option {name!r}{suggest(name.lower(), names, lead=', ')}",
            remedy=f"its options are {', '.join(names)}",
        )
    option = OPTIONS[name]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not option.low <= value <= option.high:
        raise UsageError(
            f"option {name}={text!r} is no number from {option.low:g} to {option.high:g}",
            remedy=f"it says {option.meaning}; the default is {getattr(Parameters(), name):g}",
        )
    return value


class WorkerRequest(WorkerOrder, frozen=True, kw_only=True):
    """The one line a worker reads."""

    source: Path
    info: AudioInfo | None = None
    """What ``probe`` said of it; default asked by the worker."""
    format: str
    """Name of a lossless format."""
    parameters: Parameters = Parameters()
    network: bool = True
    """Whether the network has its say; without its weights the worker does without, and notes it."""
    block_seconds: float = BLOCK_SECONDS
