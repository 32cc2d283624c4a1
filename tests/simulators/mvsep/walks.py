"""The statuses a job goes through, driven by polls or by the clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TERMINAL = ("done", "failed")


@dataclass(frozen=True)
class Step:
    """One status: for ``polls`` answers, or for ``seconds`` of the clock if given; ``data`` goes into the answer."""

    status: str
    polls: int = 1
    seconds: float | None = None
    data: dict[str, Any] = field(default_factory=dict)


def waiting(order: int, *, seconds: float | None = None) -> Step:
    """In the queue, ``order`` counting from 1."""
    return Step("waiting", seconds=seconds, data={"queue_count": order + 1, "current_order": order})


def processing(polls: int = 1, *, seconds: float | None = None) -> Step:
    return Step("processing", polls, seconds, {"message": "Your audio is being processed"})


def distributing(finished: int, total: int, *, seconds: float | None = None) -> Step:
    data = {"finished_chunks": finished, "all_chunks": total, "message": "The audio is large and was splitted"}
    return Step("distributing", seconds=seconds, data=data)


def merging(polls: int = 1, *, seconds: float | None = None) -> Step:
    return Step("merging", polls, seconds, {"message": "Parts are being joined"})


def failed(reason: str) -> Step:
    """The end of a walk: it never leaves this status."""
    return Step("failed", data={"message": reason})


INSTANT: tuple[Step, ...] = ()
"""Done at the first poll."""
SHORT = (waiting(1), processing())
"""In the queue once, processed once, then done."""
LONG = (
    *(waiting(order) for order in (3, 2, 1)),
    processing(),
    *(distributing(finished, 3) for finished in range(4)),
    merging(),
)
FOREVER = (Step("processing", polls=1 << 60),)


class Walker:
    """Where a job is in its walk, which ends in done."""

    def __init__(self, walk: tuple[Step, ...], now: float) -> None:
        self._walk = (*walk, Step("done"))
        self._at = 0
        self._polls = 0
        self._since = now

    def look(self, now: float) -> Step:
        """Return the step it is in, steps whose seconds are over left behind; counts as no poll."""
        while (step := self._walk[self._at]).status not in TERMINAL:
            if step.seconds is None or now < self._since + step.seconds:
                break
            self._since += step.seconds
            self._enter()
        return step

    def poll(self, now: float) -> Step:
        """Return the step that this poll is answered with."""
        step = self.look(now)
        if step.seconds is None and step.status not in TERMINAL:
            self._polls += 1
            if self._polls >= step.polls:
                self._since = now
                self._enter()
        return step

    def _enter(self) -> None:
        self._at += 1
        self._polls = 0
