"""Saying of a file that it is damaged, cut short, or not as long as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from plugin_core.errors import SourceError
from plugin_core.model import show_path

AGAIN: Final = "copy or download it again"


def damaged(path: Path, seconds: float | None, reason: str = "") -> SourceError:
    """Say where a file can no longer be decoded, as far as that is known."""
    where = "" if seconds is None else f" at {show_time(seconds)}"
    said = f" ({reason})" if reason else ""
    return SourceError(f"{show_path(path)} is damaged{where}{said}", remedy=AGAIN)


def cut_short(path: Path, lost: float = 0.0) -> SourceError:
    """Say that a share (0..1) of a file's sound is missing; 0 where that is not known."""
    missing = f": {lost:.0%} of its audio is missing" if lost >= 0.01 else ""
    return SourceError(f"{show_path(path)} is cut short{missing}", remedy=AGAIN)


def joined(path: Path, reason: str = "") -> SourceError:
    """Say of a file that it holds several recordings, and cannot be read as one."""
    which = f", which {reason}" if reason else ", and only the first would be read"
    return SourceError(
        f"{show_path(path)} is several recordings joined in one file{which}", remedy="convert it to FLAC first"
    )


def describe_length(path: Path, frames: int, told: int, sample_rate: int) -> str:
    """Say of a file that its sound is longer or shorter than its header tells, in samples of each channel."""
    extra = frames - told
    if abs(extra) < sample_rate:
        samples = "1 sample" if abs(extra) == 1 else f"{abs(extra)} samples"
        said = f"{samples} {'longer' if extra > 0 else 'shorter'} than its header says"
    else:
        said = f"{show_time(frames / sample_rate)} long, though its header says {show_time(told / sample_rate)}"
    return f"{path.name} is {said}: all that it holds was read"


def show_time(seconds: float) -> str:
    """Write a position as people do: ``0:12.3``, ``1:02:03.4``."""
    tenths = int(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{clock}:{rest // 10:02}.{rest % 10}"
