"""Works on a store: ``python -m tests.plugin_core.jobs.worker STORE SERVICE SLOTS DELAY FINDS SEARCH [GATE AHEAD]``"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path

from plugin_core.jobs.engine import Engine
from plugin_core.jobs.policy import Backoff, Policy
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, JobState
from tests.plugin_core.jobs.fakes import FakeWork, Service

LEASE = 1.0
HELD = (JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING)


def main(
    place: str, service_folder: str, slots: str, delay: str, finds: str, search: str, gate: str = "", ahead: str = "0"
) -> None:
    """Work until every job of the store is settled, with a clock that is so many seconds ahead."""
    time.time = partial(lambda now: now() + float(ahead), time.time)
    policy = Policy(backoff=Backoff(first=0.1, most=0.3), search_for=float(search), settle=0.2)
    service = Service(Path(service_folder))
    work = FakeWork(service, slots=int(slots), delay=float(delay))
    work.polls = 3
    work.can_find = finds == "True"
    work.gate = Path(gate) if gate else None
    with JobStore(place if place.startswith("postgresql:") else Path(place), lease=LEASE) as store:

        def count(name: str, job: Job) -> None:
            service.log("alive", str(len(store.list(HELD))))
            service.log(f"{name} {os.getpid()}", job.id)

        work.on_call = count
        asyncio.run(Engine(store, lambda job: work, lambda job, previous: None, policy=policy).run())


if __name__ == "__main__":
    main(*sys.argv[1:])
