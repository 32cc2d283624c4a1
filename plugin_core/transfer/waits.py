"""How long to wait before the next try."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

FIRST: Final = 1.0
MOST: Final = 30.0
JITTER: Final = 0.5

LONGEST: Final = 90.0
"""Seconds a call waits at most before it is sent; what takes longer is left to the caller's own patience."""


def backoff(tries: int, rng: Callable[[], float]) -> float:
    """Return seconds to wait after so many failed tries, with jitter."""
    grown = min(MOST, FIRST * 2.0 ** min(max(tries - 1, 0), 32))
    return grown * (1.0 + JITTER * rng())


def read_retry_after(text: str | None, now: float) -> float | None:
    """Return the seconds a ``Retry-After`` names, as a number or an HTTP date; None when it names none."""
    if not text:
        return None
    text = text.strip()
    if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), 86_400.0)
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    stamp = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    return min(max(stamp - now, 0.0), 86_400.0)
