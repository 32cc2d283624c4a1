"""The rate limit: requests a minute for each token, told in headers and enforced."""

from __future__ import annotations

from email.utils import formatdate

from tests.simulators.messages import Answer, json_answer

WINDOW = 60.0


class Budget:
    """``limit`` requests in each window of a minute for each token, or for all without one."""

    def __init__(self, limit: int, *, says_date: bool = False) -> None:
        self.limit = limit
        self.says_date = says_date
        self._windows: dict[str, tuple[float, int]] = {}

    def spend(self, token: str, now: float) -> tuple[dict[str, str], Answer | None]:
        """Count a request; return the headers every answer carries, and the 429 if it was one too many."""
        start, used = self._windows.get(token, (now, 0))
        if now >= start + WINDOW:
            start, used = now, 0
        self._windows[token] = (start, used + 1)
        headers = {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(max(0, self.limit - used - 1))}
        if used < self.limit:
            return headers, None
        until = start + WINDOW
        headers["Retry-After"] = formatdate(until + 1, usegmt=True) if self.says_date else str(int(until - now) + 1)
        return headers, json_answer({"message": "Too Many Attempts."}, 429)
