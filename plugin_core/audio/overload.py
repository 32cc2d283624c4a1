"""Samples over full scale: float files hold them, integers and lossy codecs do not.

What a float source holds is meant, and a format that would clip it is refused. A lossy source goes over full scale by
its coding; its peaks are clipped as a player does, and counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from plugin_core.audio.formats import AudioFormat
from plugin_core.audio.reader import open_reader
from plugin_core.errors import SourceError
from plugin_core.model import Source, show_path

OPEN_ENDED: Final = frozenset({"float", "double"})
"""Encodings whose samples mean what they say, even over full scale."""

_BLOCK: Final = 1 << 16


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
    peak = 0.0
    with open_reader(source.path) as reader:
        while len(block := reader.read(_BLOCK, dtype="float64")):
            check()
            peak = max(peak, float(np.abs(block).max()))
    if peak > 1.0:
        raise refuse_peak(source.path, peak, chosen)


def refuse_peak(path: Path, peak: float, chosen: AudioFormat) -> SourceError:
    """Say that a source's peak, 1 at full scale, does not fit a format."""
    depth = f" ({chosen.bits} bit)" if chosen.bits else ""
    return SourceError(
        f"{show_path(path)}: peaks {max(0.1, 20 * math.log10(peak)):.1f} dB over full scale do not fit "
        f"{chosen.container}{depth}",
        remedy="use --format wav32f, or lower the source's level",
    )
