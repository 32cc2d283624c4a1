"""What lies over full scale: floats hold it, integers and lossy codecs do not.

What a float source holds is meant, and a format that would clip it is refused unless the user says otherwise. A lossy
source goes over full scale by its coding; its peaks are clipped as a player does, and counted. Stems that are made or
paid for are never refused: they are scaled, written as floats, or clipped and counted. Planning imports this: neither
numpy nor soundfile, until something is measured.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.formats import AudioFormat, SourceShape, float_format
from plugin_core.errors import SourceError
from plugin_core.model import OnOverload, Source, show_path

OPEN_ENDED: Final = frozenset({"float", "double"})
"""Encodings whose samples mean what they say, even over full scale."""

CLIPPED: Final = "what lies over full scale comes back clipped"
"""Said of a service that writes no format which holds it."""

_BLOCK: Final = 1 << 16


def may_exceed(encoding: str) -> bool:
    """Tell whether what is so encoded may decode to more than full scale."""
    return not encoding.startswith("pcm")


def must_stay_open(on_overload: OnOverload, encoding: str) -> bool:
    """Tell whether whoever separates must give floats, since what lies over full scale is to be kept."""
    return on_overload != "refuse" and may_exceed(encoding)


async def exceeds(source: Source) -> bool:
    """Tell whether a float source lies over full scale; only such a source is read.

    Raises:
        SourceError: it cannot be decoded.
        TransientError: the disk or share does not answer.
    """
    if source.encoding not in OPEN_ENDED:
        return False
    from plugin_core.tasks import run_stoppable  # only who plans has a loop; asyncio is a tenth of a worker's start

    return await run_stoppable(lambda stopper: measure_peak(source.path, stopper.check)) > 1.0


def measure_peak(path: Path, check: Callable[[], None]) -> float:
    """Return the largest sample of a file, 1 at full scale.

    Args:
        path: the file, which is read to its end.
        check: called for each block; raise there to stop.

    Raises:
        SourceError: it cannot be decoded.
        TransientError: the disk or share does not answer.
    """
    import numpy as np

    from plugin_core.audio.reader import open_reader

    peak = 0.0
    with open_reader(path) as reader:
        while len(block := reader.read(_BLOCK, dtype="float64")):
            check()
            peak = max(peak, float(np.abs(block).max()))
    return peak


def require_fit(source: Source, chosen: AudioFormat, check: Callable[[], None]) -> None:
    """Refuse a float source that a format would clip; only such a source is read.

    Args:
        source: what is separated.
        chosen: the format of its stems.
        check: called for each block; raise there to stop.

    Raises:
        SourceError: its peak does not fit, or it cannot be decoded.
        TransientError: the disk or share does not answer.
    """
    if chosen.is_float or source.encoding not in OPEN_ENDED:
        return
    peak = measure_peak(source.path, check)
    if peak > 1.0:
        raise refuse_peak(source.path, peak, chosen)


def refuse_peak(path: Path, peak: float, chosen: AudioFormat) -> SourceError:
    """Say that a source's peak, 1 at full scale, does not fit a format."""
    kind, depth = chosen.suffix[1:].upper(), f" ({chosen.bits} bit)" if chosen.bits else ""
    return SourceError(
        f"{show_path(path)}: peaks {show_excess(peak)} over full scale do not fit {kind}{depth}",
        remedy="use --format wav32f or --on-overload scale (of a preset: on_overload), or lower the source's level",
    )


def show_excess(peak: float) -> str:
    """Write by how much a peak lies over full scale."""
    return f"{max(0.1, 20 * math.log10(peak)):.1f} dB"


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
