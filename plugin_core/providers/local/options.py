"""The options of model ``classic``: text from the user in, numbers of the method out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from plugin_core.errors import UsageError, suggest
from plugin_core.providers.local.parameters import Parameters


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
