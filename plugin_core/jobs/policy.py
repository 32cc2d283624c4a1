"""The waiting times of the engine, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field

from plugin_core.jobs.backoff import Backoff


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
