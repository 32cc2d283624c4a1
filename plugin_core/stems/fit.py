"""What is done about stems that lie over full scale, where their format cannot hold it.

Nothing that is made or paid for is refused here: it is scaled, written as floats, or clipped and counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from plugin_core.audio.formats import AudioFormat, SourceShape, float_format
from plugin_core.audio.overload import show_excess
from plugin_core.model import OnOverload

_STEPS: Final = 10
"""Steps of a gain in each decibel: a round number can be dialled back."""

_ROOM: Final = 1 + 2.0**-12
"""Head room for what rounding adds to one of several stems."""


class Fit(msgspec.Struct, frozen=True):
    """How all stems of a job are made to fit."""

    format: AudioFormat
    gain: float = 1.0
    notes: tuple[str, ...] = ()


def widest_format(chosen: AudioFormat, on_overload: OnOverload, info: SourceShape) -> AudioFormat:
    """Return the format that stems may come to be written in."""
    return float_format(chosen, info) if on_overload == "float" else chosen


def choose_fit(
    chosen: AudioFormat, on_overload: OnOverload, info: SourceShape, peaks: Callable[[], Sequence[float]]
) -> Fit:
    """Decide what is done with all stems of a job.

    Args:
        chosen: the format that was wished.
        on_overload: as wished.
        info: of the source.
        peaks: measures whatever is to fit, 1 at full scale; asked only where it matters.
    """
    if chosen.is_float or on_overload == "refuse":
        return Fit(chosen)
    peak = max(peaks())
    if peak <= 1.0:
        return Fit(chosen)
    if on_overload == "float":
        wide = float_format(chosen, info)
        note = (
            f"written as {wide.name} in place of {chosen.name}, which cannot hold {show_excess(peak)} over full scale"
        )
        return Fit(wide, notes=(note,))
    decibels = math.ceil(20 * math.log10(peak * _ROOM) * _STEPS) / _STEPS
    note = f"all stems are {decibels:.1f} dB quieter than the song, so that {chosen.name} holds them"
    return Fit(chosen, 10 ** (-decibels / 20), (note,))


def show_gain(gain: float) -> str:
    """Write a gain in decibels, as stems carry it in their tags."""
    return f"{20 * math.log10(gain):.1f}"


def read_gain(text: str) -> float:
    """Return the gain that ``show_gain`` wrote; 1 for anything else."""
    found = re.fullmatch(r"-\d{1,3}\.\d", text)
    return 10 ** (float(text) / 20) if found else 1.0
