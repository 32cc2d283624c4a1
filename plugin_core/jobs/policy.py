"""How patient the engine is, which jobs it reaches, and the ``jobs`` section of the settings."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple

import msgspec

from plugin_core.model import JobState
from plugin_core.settings import Secret

LONGEST: Final = 3600.0
"""Seconds that a job waits at most, whoever asked for more: what is due later was written by a clock that was ahead."""


@dataclass(frozen=True)
class Backoff:
    """A growing delay with jitter, so that many jobs that failed together do not return together.

    Args:
        first: seconds before the second try.
        most: the longest delay, in seconds.
        jitter: share of the delay that chance may add.
        rng: returns a number from 0 to 1.
    """

    first: float = 1.0
    most: float = 300.0
    jitter: float = 0.25
    rng: Callable[[], float] = random.random

    def delay(self, attempts: int, retry_after: float | None = None) -> float:
        """Return seconds to wait after so many failed tries; never less than the other side asked for."""
        # 2**64 seconds is past any cap; beyond it a float power would overflow.
        grown = min(self.most, self.first * 2.0 ** min(max(attempts - 1, 0), 64))
        wished = max(grown, retry_after or 0.0)
        return wished + wished * self.jitter * self.rng()


@dataclass(frozen=True)
class Policy:
    """How patient the engine is.

    Args:
        backoff: delays after transient errors.
        search_for: seconds a lost job is looked for before it is ``unconfirmed``.
        settle: seconds that must pass between two looks that find nothing before that counts as "surely absent", at
            least: a service may still be busy with a request whose sender has died. A provider may ask for more.
        grace: seconds that a paid call in flight may still take when the engine is told to stop.
        stop_within: seconds a step may take to end once cancelled.
        progress_every: least seconds between two stored progress reports of a job.
        fetch_tries: how often results that are no good are fetched, with growing pauses, before the job fails; what is
            paid for is kept even then.
        slots_for: seconds that an account's number of slots is believed.
    """

    backoff: Backoff = field(default_factory=Backoff)
    search_for: float = 120.0
    settle: float = 5.0
    grace: float = 3.0
    stop_within: float = 10.0
    progress_every: float = 0.25
    fetch_tries: int = 4
    slots_for: float = 60.0


class JobsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the job store is, and how several processes share it."""

    database: Secret = Secret("")
    """The address of a PostgreSQL database that machines share; without, jobs are kept in a file of the home folder."""

    lease_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 20.0
    """A process that gave no sign of life for so long loses the step it was working on; it says one every quarter."""
    staging: str = ""
    """Where results are worked on and kept, for every machine that works on the jobs: a folder, or ``s3://bucket/prefix``
    for what is kept alone; default stembridge's home."""


class Reach(NamedTuple):
    """Which jobs a process can work on; the others are for those that can."""

    states: tuple[JobState, ...] | None = None
    """Where jobs that live at a service are in their life; None for anywhere."""
    is_local: bool = True
    """Whether jobs of engines on this machine are among them."""
    names: tuple[str, ...] | None = None
    """Names in the store of the folders with songs that are seen; None for any song."""
    left: tuple[str, ...] = ()
    """Accounts whose jobs are left to other machines; it counts in a store that those share."""

    def covers(self, state: JobState, *, occupies: bool) -> bool:
        """Tell whether a job that has come to a state is still among them."""
        return (self.states is None or state in self.states) if occupies else self.is_local

    @property
    def condition(self) -> str:
        """The same for the rows ``j``."""
        states = ", ".join(f"'{state}'" for state in self.states or ())
        at_service = "1 = 1" if self.states is None else f"j.state IN ({states})" if states else "1 = 0"
        local = "1 = 1" if self.is_local else "1 = 0"
        parts = [f"((j.occupies = 1 AND {at_service}) OR (j.occupies = 0 AND {local}))"]
        if self.names is not None:
            seen = [f"(j.path >= '{name}:' AND j.path < '{name};')" for name in self.names]
            parts.append(f"({' OR '.join(seen or ['1 = 0'])})")
        return " AND ".join(parts)


ANY: Final = Reach()
