"""How long to wait: before the next try, and for the rate a service grants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


WINDOW: Final = 60.0

_shared: dict[str, RateBudget] = {}


class RateBudget:
    """Requests left in the present minute; knows nothing until the service has said something.

    Times are seconds since the epoch. The service does not say when its minute began, so the first answer of a minute
    is taken for its beginning: waiting ends too late rather than too early.
    """

    def __init__(self) -> None:
        self._limit: int | None = None
        self._left: int | None = None
        self._resets = 0.0
        self._paused_until = 0.0
        self._pause = 0.0
        self._under_way = 0
        self._is_anew = False

    def delay(self, now: float) -> float:
        """Return the seconds until a request may be sent."""
        self._roll(now)
        wait = self._resets - now if self._left is not None and self._left <= 0 else 0.0
        # A clock that was set back must not turn a pause into hours.
        return max(wait, min(self._paused_until - now, self._pause), 0.0)

    def spend(self, now: float) -> None:
        """Count a request that is about to be sent."""
        self._roll(now)
        self._under_way += 1
        if self._left is not None:
            self._left -= 1

    def settle(self, headers: Mapping[str, str] | None, now: float) -> None:
        """Count a request as over, and learn from the headers (lower-case names) of its answer, if one came."""
        self._under_way = max(self._under_way - 1, 0)
        limit, left = _count(headers, "x-ratelimit-limit"), _count(headers, "x-ratelimit-remaining")
        if limit is not None:
            self._limit = limit
        if left is None:
            return
        is_new = self._left is None or left > self._left + self._under_way
        self._left = left - self._under_way if is_new else min(self._left or 0, left)
        if is_new or self._is_anew:
            self._resets, self._is_anew = now + WINDOW, False

    def pause(self, now: float, seconds: float) -> None:
        """Let nothing out for a while: the service asked for it."""
        if seconds > self.delay(now):
            self._paused_until, self._pause = now + seconds, seconds

    def _roll(self, now: float) -> None:
        if self._left is not None and not now < self._resets <= now + WINDOW:
            self._left, self._resets, self._is_anew = self._limit, now + WINDOW, True


def shared_budget(name: str) -> RateBudget:
    """Return this process's one budget of that name; a name holds no secret."""
    return _shared.setdefault(name, RateBudget())


def _count(headers: Mapping[str, str] | None, name: str) -> int | None:
    text = (headers or {}).get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
