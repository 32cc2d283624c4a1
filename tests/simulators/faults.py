"""What goes wrong, when asked: faults that strike requests by method, path, occurrence and chance.

``simulator.faults.add(reset_after("POST", "*/create", times=50))``. A fault matches a request by ``method`` and
``path`` (and ``query``), patterns as in fnmatch; it strikes from the ``nth`` match on (1 is the first), ``times`` times
(None: for ever), each with ``probability``. One fault strikes a request, the first that is due; ``late`` and
``no_range`` only mark it and join any other.

``after=True`` on a refusal, reset or hang: the request had its effect first, only the answer is lost or replaced.
"""

from __future__ import annotations

import random
import threading
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from fnmatch import fnmatchcase
from typing import Any

HTML = "<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
KINDS = ("status", "reset", "hang", "drip", "truncate", "stall", "wrong_length", "reset_upload", "late", "no_range")
MARKS = ("late", "no_range")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong; make it with the functions below, or from JSON of the same names."""

    kind: str
    method: str = "*"
    path: str = "*"
    query: str = "*"
    nth: int = 1
    times: int | None = 1
    probability: float = 1.0
    after: bool = False
    status: int = 500
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    requests: int = 0
    at: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind}")

    def has_matched(self, method: str, path: str, query: str) -> bool:
        return (
            fnmatchcase(method, self.method.upper()) and fnmatchcase(path, self.path) and fnmatchcase(query, self.query)
        )


def refuse(method: str, path: str, status: int, body: str = "", /, **rest: Any) -> Fault:
    """Answer with a status and a text; ``headers`` and ``after`` as wanted."""
    return Fault("status", method, path, status=status, body=body, **rest)


def rate_limited(
    method: str = "*", path: str = "*", /, *, seconds: float = 1, date: float | None = None, **rest: Any
) -> Fault:
    """Answer 429 with Retry-After: in seconds, or as an HTTP date if ``date`` (Unix time) is given."""
    value = f"{seconds:g}" if date is None else formatdate(date, usegmt=True)
    headers = {"Retry-After": value, "Content-Type": "application/json"}
    return refuse(method, path, 429, '{"message":"Too Many Attempts."}', headers=headers, **rest)


def server_error(method: str = "*", path: str = "*", /, **rest: Any) -> Fault:
    """Answer 500 with a JSON message."""
    headers = {"Content-Type": "application/json"}
    return refuse(method, path, 500, '{"message":"Server Error"}', headers=headers, **rest)


def bad_gateway(method: str = "*", path: str = "*", /, **rest: Any) -> Fault:
    """Answer 502 with the HTML of a gateway."""
    return _html(method, path, 502, "502 Bad Gateway", rest)


def html_page(method: str = "*", path: str = "*", /, **rest: Any) -> Fault:
    """Answer 200 with HTML where something else is due."""
    return _html(method, path, 200, "Just a moment...", rest)


def _html(method: str, path: str, status: int, title: str, rest: dict[str, Any]) -> Fault:
    headers = {"Content-Type": "text/html; charset=UTF-8"}
    return refuse(method, path, status, HTML.format(title=title), headers=headers, **rest)


def reset_before(method: str = "*", path: str = "*", /, **rest: Any) -> Fault:
    """Reset the connection once the request has come in, before it has an effect."""
    return Fault("reset", method, path, **rest)


def reset_after(method: str = "*", path: str = "*", /, **rest: Any) -> Fault:
    """Reset the connection after the request had its effect: the answer is lost."""
    return Fault("reset", method, path, after=True, **rest)


def reset_upload(method: str = "POST", path: str = "*", /, *, at: int, **rest: Any) -> Fault:
    """Reset the connection when ``at`` bytes of the request's body have come in; no effect."""
    return Fault("reset_upload", method, path, at=at, **rest)


def hang(method: str = "*", path: str = "*", /, **rest: Any) -> Fault:
    """Say nothing until ``simulator.release()`` or the end, then close."""
    return Fault("hang", method, path, **rest)


def drip(method: str = "GET", path: str = "*", /, *, at: int = 1024, seconds: float = 0.05, **rest: Any) -> Fault:
    """Send ``at`` bytes of the answer's body at a time, ``seconds`` between them."""
    return Fault("drip", method, path, at=at, seconds=seconds, **rest)


def truncate(method: str = "GET", path: str = "*", /, *, at: int, **rest: Any) -> Fault:
    """Announce the whole answer, close after ``at`` bytes of its body (from the end if negative)."""
    return Fault("truncate", method, path, at=at, **rest)


def stall(method: str = "GET", path: str = "*", /, *, at: int, **rest: Any) -> Fault:
    """Send ``at`` bytes of the answer's body, then nothing until released."""
    return Fault("stall", method, path, at=at, **rest)


def wrong_length(method: str = "GET", path: str = "*", /, *, at: int, **rest: Any) -> Fault:
    """Announce ``at`` bytes more (less, if negative) than are sent."""
    return Fault("wrong_length", method, path, at=at, **rest)


def no_range(method: str = "GET", path: str = "*", /, *, times: int | None = None, **rest: Any) -> Fault:
    """Answer a request for a range with the whole, 200."""
    return Fault("no_range", method, path, times=times, **rest)


def late(method: str = "POST", path: str = "*", /, *, seconds: float = 0, requests: int = 0, **rest: Any) -> Fault:
    """Hide what the request made for ``seconds``, or until so many lists were asked for; join it with another fault."""
    return Fault("late", method, path, seconds=seconds, requests=requests, **rest)


class ArmedFault:
    """A fault in place, and how often it has struck."""

    def __init__(self, fault: Fault, number: int) -> None:
        self.fault = fault
        self.number = number
        self.seen = 0
        self.struck = 0
        self._changed = threading.Condition()

    def wait(self, count: int = 1, timeout: float = 300.0) -> None:
        """Wait until it has struck ``count`` times.

        Raises:
            TimeoutError: it has not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.struck >= count, timeout):
                raise TimeoutError(f"{self.fault} struck {self.struck} times, not {count}")

    def try_strike(self, chance: random.Random, *, may: bool) -> bool:
        """Count a match and say whether it strikes, if it may."""
        with self._changed:
            self.seen += 1
            spent = self.fault.times is not None and self.struck >= self.fault.times
            if not may or spent or self.seen < self.fault.nth or chance.random() >= self.fault.probability:
                return False
            self.struck += 1
            self._changed.notify_all()
            return True

    def as_json(self) -> dict[str, Any]:
        return {"number": self.number, "seen": self.seen, "struck": self.struck, **asdict(self.fault)}


class Faults:
    """The faults of one simulator; equal seeds give equal chances."""

    def __init__(self, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._armed: list[ArmedFault] = []
        self._number = 0
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> ArmedFault:
        with self._lock:
            self._number += 1
            armed = ArmedFault(fault, self._number)
            self._armed.append(armed)
            return armed

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    def strike(self, method: str, path: str, query: str) -> list[Fault]:
        """Return what strikes this request, in the order of adding."""
        with self._lock:
            struck: list[Fault] = []
            for armed in self._armed:
                if not armed.fault.has_matched(method, path, query):
                    continue
                may = armed.fault.kind in MARKS or all(fault.kind in MARKS for fault in struck)
                if armed.try_strike(self._chance, may=may):
                    struck.append(armed.fault)
            return struck

    def as_json(self) -> list[dict[str, Any]]:
        with self._lock:
            return [armed.as_json() for armed in self._armed]
