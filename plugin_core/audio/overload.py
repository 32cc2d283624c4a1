"""What lies over full scale: floats hold it, integers and lossy codecs do not.

What a float source holds is meant, and a format that would clip it is refused unless the user says otherwise. A lossy
source goes over full scale by its coding; its peaks are clipped as a player does, and counted. Planning imports this:
neither numpy nor soundfile, until something is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plugin_core.audio.formats import AudioFormat
from plugin_core.errors import SourceError
from plugin_core.model import OnOverload, Source, show_path
from plugin_core.tasks import run_stoppable

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
    depth = f" ({chosen.bits} bit)" if chosen.bits else ""
    return SourceError(
        f"{show_path(path)}: peaks {show_excess(peak)} over full scale do not fit {chosen.container}{depth}",
        remedy="use --format wav32f or --on-overload scale (of a preset: on_overload), or lower the source's level",
    )


def show_excess(peak: float) -> str:
    """Write by how much a peak lies over full scale."""
    return f"{max(0.1, 20 * math.log10(peak)):.1f} dB"
