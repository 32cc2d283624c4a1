"""Which parts are moved against their source, by what was measured of each.

Lossy encoders add delay: an MP3 without a LAME tag decodes 1105 samples late, raw AAC 1024. A part is moved by what was
measured of itself; one that cannot be measured goes with those of the same encoder and length: they were delayed alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from plugin_core.stems.lag_meter import FoundLag

HINTING: Final = 1.5
"""Confidence from which an offset is no accident, though it may be some samples off."""

UNRELATED = 0.02
"""Correlation with the source that at least one of several parts must have."""


class HeardPart(msgspec.Struct, frozen=True):
    """One part that was listened to."""

    title: str
    """Name for people."""
    kin: tuple[object, ...]
    """What it has in common with parts that one encoder delayed alike: container, encoding, sample rate, length."""
    found: FoundLag


class Alignment(msgspec.Struct, frozen=True):
    """What is done about the places of the parts."""

    lags: tuple[int, ...]
    """Frames by which each part comes late, and is moved; 0 where no offset is sure."""
    notes: tuple[str, ...] = ()


def align(parts: Sequence[HeardPart]) -> Alignment:
    """Decide for every part, and say what people should know."""
    known = [part.found.lag if part.found.is_sure else None for part in parts]
    lent = [_lend(part, parts, known) if lag is None else lag for part, lag in zip(parts, known, strict=True)]
    lags = tuple(lag or 0 for lag in lent)
    lost = [part for part, lag in zip(parts, lent, strict=True) if lag is None and not _is_explained(part)]
    return Alignment(lags, (*_say_moved(parts, lags), *_say_lost(parts, lost), *_say_odd(parts)))


def is_unrelated(parts: Sequence[HeardPart]) -> bool:
    """Tell whether several parts have nothing of their source in them, not one."""
    audible = [part.found for part in parts if not part.found.is_silent]
    return len(audible) > 1 and all(found.relation < UNRELATED for found in audible)


def _lend(part: HeardPart, parts: Sequence[HeardPart], known: Sequence[int | None]) -> int | None:
    """Return the lag of a part's kin where all that were measured agree, and the part does not hint at another."""
    lags = {lag for one, lag in zip(parts, known, strict=True) if lag is not None and one.kin == part.kin}
    if len(lags) != 1 or part.found.drift:
        return None
    (lag,) = lags
    hints = part.found.is_hint or part.found.confidence >= HINTING
    return lag if not hints or part.found.could_be(lag) else None


def _is_explained(part: HeardPart) -> bool:
    return part.found.is_silent or bool(part.found.drift)


def _say_moved(parts: Sequence[HeardPart], lags: Sequence[int]) -> list[str]:
    if len(set(lags)) == 1:
        return [f"removed {_say_offset(lags[0])}"] if lags[0] else []
    return [f"{part.title}: removed {_say_offset(lag)}" for part, lag in zip(parts, lags, strict=True) if lag]


def _say_offset(lag: int) -> str:
    return f"an offset of {lag} {'sample' if abs(lag) == 1 else 'samples'} against the source"


def _say_lost(parts: Sequence[HeardPart], lost: Sequence[HeardPart]) -> list[str]:
    if not lost:
        return []
    if len(lost) == len([part for part in parts if not part.found.is_silent]):
        return ["no offset against the source could be measured: the stems lie as they came"]
    return [f"{part.title}: its offset against the source could not be measured, it lies as it came" for part in lost]


def _say_odd(parts: Sequence[HeardPart]) -> list[str]:
    """Name what is wrong with a part and left as it came."""
    notes = []
    for part in parts:
        if part.found.is_sure and part.found.is_inverted:
            notes.append(f"{part.title}: its polarity is inverted against the source, left so")
        if part.found.drift:
            word = "late" if part.found.drift > 0 else "early"
            samples = abs(round(part.found.drift))
            notes.append(f"{part.title}: drifts against the source, in the end {samples} samples {word}, left so")
    return notes
