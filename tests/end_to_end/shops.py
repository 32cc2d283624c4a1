"""The three paid services as tests of whole lives use them: what they were paid for, work that can be held and let go.

While a shop holds, jobs stay where they are, also those it is given then; ``let_go`` lets all of them go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from plugin_core.model import Operation, Separation, Tagging
from tests.end_to_end.tencent_bench import settings_for
from tests.simulators.faults import Fault, html_page, refuse, reset_after
from tests.simulators.mediax import MediaxSimulator
from tests.simulators.messages import Answer, Request
from tests.simulators.mvsep import PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.walks import FOREVER, INSTANT, SHORT, Walker, waiting
from tests.simulators.server import Simulator
from tests.simulators.tencent import TencentSimulator
from tests.simulators.tencent.jobs import TERMINAL, WALK

LIMIT = 120.0
"""Seconds that anything may take."""


class Watched(Simulator):
    """Lets others wait for what was answered."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.answered: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def respond(self, request: Request) -> Answer:
        try:
            return super().respond(request)
        finally:
            with self._changed:
                self.answered.append((request.method, request.path))
                self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], seconds: float = LIMIT) -> bool:
        """Wait until something is so, looked at after each answer; tell whether it is."""
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def count(self, method: str, path: str) -> int:
        """Return how many requests were answered."""
        return sum(one == method and fnmatchcase(name, path) for one, name in self.answered)


class _Mvsep(Watched, MvsepSimulator):
    pass


class _Tencent(Watched, TencentSimulator):
    pass


class _Mediax(Watched, MediaxSimulator):
    pass


class Shop:
    """One service, and what it has been paid for.

    Attributes:
        services: the simulators.
        asked: method and path by which a job is asked about.
        wishes: forms of one purchase each list: what is wanted of it, the plainest first.
    """

    services: tuple[Watched, ...]
    asked: tuple[str, str]
    wishes: tuple[tuple[Operation, ...], ...]
    create: tuple[str, str]
    lists: tuple[str, ...] = ()
    """Paths by which a job can be found."""
    files: str = ""
    """Path of results that are downloaded."""

    def environ(self, home: Path) -> dict[str, str]:
        """Return the variables with which stembridge buys here, impatiently."""
        raise NotImplementedError

    def hold(self, *, is_refusing: bool = False) -> None:
        """Let jobs stay where they are; if so where they cannot be cancelled any more."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Let all jobs come to their end."""
        raise NotImplementedError

    @property
    def paid(self) -> int:
        """How many jobs were made, and not given back."""
        raise NotImplementedError

    @property
    def main(self) -> Watched:
        """The service that is paid."""
        return self.services[0]

    def wait_asked(self, count: int = 1) -> None:
        """Wait until jobs were asked about so often: those who ask know them."""
        assert self.main.wait_for(lambda: self.main.count(*self.asked) >= count)

    def away(self) -> None:
        """Refuse every request, as a network that is gone."""
        for service in self.services:
            service.faults.add(refuse("*", "*", 503, times=None))

    def lose(self) -> None:
        """Lose the answer to the next create."""
        self.main.faults.add(reset_after(*self.create))

    def refuse_to_list(self) -> None:
        """Refuse all that is asked after a create, by which a job could be found."""
        for path in self.lists:
            # The account is looked at before anything is bought.
            self.main.faults.add(refuse("GET", path, 404, nth=1 + path.endswith("user*"), times=None))

    def spoil(self, times: int | None = 40) -> None:
        """Answer downloads by a page of HTML."""
        if self.files:
            self.services[-1].faults.add(html_page("GET", self.files, times=times))

    def mend(self) -> None:
        """End all faults."""
        for service in self.services:
            service.faults.clear()

    def break_downloads(self, fault: Callable[..., Fault], **how: Any) -> Any:
        """Add a fault of downloads and return it."""
        return self.services[-1].faults.add(fault("GET", self.files, **how))


class MvsepShop(Shop):
    """MVSEP, with a premium account."""

    asked, create, files = ("GET", "/api/separation/get"), ("POST", "*/separation/create"), "/storage/processed/*"
    lists = ("*/app/user*", "*/app/separation_history*", "*/app/queue*")
    wishes = tuple(
        (
            Separation(provider="mvsep", model=model),
            Separation(provider="mvsep", model=model, format="wav24"),
            Separation(provider="mvsep", model=model, stems=("vocals",)),
            Separation(provider="mvsep", model=model, minus=("vocals",)),
        )
        for model in ("40", "25")
    )

    def __init__(self, service: _Mvsep) -> None:
        self.service = service
        self.services = (service,)

    def environ(self, home: Path) -> dict[str, str]:
        """Return the variables with which stembridge buys here, impatiently."""
        return {
            "STEMBRIDGE_HOME": str(home),
            "STEMBRIDGE_PLUGINS": "mvsep",
            "STEMBRIDGE_MVSEP_API_TOKEN": PREMIUM_TOKEN,
            "STEMBRIDGE_MVSEP_BASE_URL": self.service.api,
            "STEMBRIDGE_MVSEP_POLL_FIRST": "0.05",
            "STEMBRIDGE_MVSEP_POLL_LONGEST": "0.1",
            "STEMBRIDGE_MVSEP_REGISTER_SECONDS": "0.2",
        }

    def hold(self, *, is_refusing: bool = False) -> None:
        """Keep jobs in processing, or in the queue, where a cancel gives the credits back."""
        walk = FOREVER if is_refusing else (waiting(1, seconds=1e12),)
        self.service.behave(Behaviour(walk=walk))

    def let_go(self) -> None:
        """Let all jobs be done at the next poll."""
        with self.service.lock:
            self.service.behave(Behaviour(walk=SHORT))
            now = self.service.clock()
            for job in self.service.jobs:
                if job.is_active(now):
                    job.walker = Walker(INSTANT, now)

    @property
    def paid(self) -> int:
        """Creates whose credits were not given back."""
        with self.service.lock:
            return self.service.created - sum(bool(one["refunded"]) for one in self.service.charges)


class TencentShop(Shop):
    """Tencent CI."""

    asked, create = ("GET", "/jobs/*"), ("POST", "/jobs")
    files, lists = "/stembridge/*", ("/jobs*",)
    wishes = tuple(
        (
            Separation(provider="tencent_ci", model=model),
            Separation(provider="tencent_ci", model=model, format="wav24"),
            Separation(provider="tencent_ci", model=model, stems=("vocals",)),
            Separation(provider="tencent_ci", model=model, minus=("vocals",)),
        )
        for model in ("AudioAndBackground", "MusicMode")
    )

    def __init__(self, service: _Tencent) -> None:
        self.service = service
        self.services = (service,)

    def environ(self, home: Path) -> dict[str, str]:
        """Return the variables with which stembridge buys here, impatiently."""
        quick = {"POLL_FIRST": "0.05", "POLL_LONGEST": "0.1", "REGISTER_SECONDS": "0.2", "SLOTS": "20"}
        return {
            **self.service.environment(),
            "STEMBRIDGE_HOME": str(home),
            "STEMBRIDGE_PLUGINS": "tencent_ci",
            **{f"STEMBRIDGE_TENCENT_{name}": text for name, text in quick.items()},
        }

    def hold(self, *, is_refusing: bool = False) -> None:
        """Keep jobs running, or submitted, where they can be cancelled."""
        self.service.behaviour.walk = ("Submitted", "Running") if is_refusing else ("Submitted",)

    def let_go(self) -> None:
        """Let all jobs come to their end."""
        with self.service.lock:
            self.service.behaviour.walk = WALK
            for job in self.service.jobs.all.values():
                if job.state not in TERMINAL:
                    job.walk, job.looks = WALK, 1

    @property
    def paid(self) -> int:
        """Jobs that were not cancelled."""
        with self.service.lock:
            return sum(job.state != "Cancel" for job in self.service.jobs.all.values())


class MediaxShop(Shop):
    """MediaX: labels, and stems that it puts into the bucket."""

    asked = create = ("POST", "/job")
    wishes = (
        (
            Tagging(provider="mediax"),
            Tagging(provider="mediax", labels="zh"),
            Tagging(provider="mediax", policy="replace", provenance=True),
            Tagging(provider="mediax", write=False),
        ),
        (
            Separation(provider="mediax_stems", model="four-stems"),
            Separation(provider="mediax_stems", model="four-stems", stems=("drums",)),
            Separation(provider="mediax_stems", model="four-stems", stems=("vocals", "instrumental")),
        ),
    )

    def __init__(self, service: _Mediax, bucket: _Tencent) -> None:
        self.service, self.bucket = service, bucket
        self.services = (service, bucket)
        service.stems.put = bucket.store.put

    def environ(self, home: Path) -> dict[str, str]:
        """Return the variables with which stembridge buys here, impatiently."""
        quick = {"STEMBRIDGE_MEDIAX_POLL_FIRST": "0.05", "STEMBRIDGE_MEDIAX_REGISTER_SECONDS": "0.2"}
        return settings_for(self.service, self.bucket, home) | quick

    def hold(self, *, is_refusing: bool = False) -> None:
        """Keep jobs running."""
        self.service.walk = (1, 2)

    def let_go(self) -> None:
        """Let all jobs come to their end."""
        with self.service.lock:
            self.service.walk = (1, 2, 3)
            for job in self.service.jobs.values():
                if job.states[-1] == 2:
                    job.states, job.polls = [2, 3], 0

    def refuse_to_list(self) -> None:
        """Refuse all that follows a create; one path does for everything."""
        words = '{"requestId": "r", "errorResponse": {"message": "no permission"}}'
        self.service.faults.add(refuse("POST", "/job", 200, words, nth=2, times=None))

    @property
    def paid(self) -> int:
        """All jobs: nothing is given back."""
        return self.service.created


@contextmanager
def open_shop(name: str) -> Iterator[Shop]:
    """Open one of ``mvsep``, ``tencent_ci`` and ``mediax``."""
    if name == "mvsep":
        with _Mvsep() as mvsep:
            mvsep.accounts[PREMIUM_TOKEN].credits = 1_000_000
            yield MvsepShop(mvsep)
    elif name == "tencent_ci":
        with _Tencent() as cloud:
            yield TencentShop(cloud)
    else:
        with _Mediax() as service, _Tencent() as bucket:
            yield MediaxShop(service, bucket)
