"""One job at MediaX, from its create to its end: what labels and stems have in common."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from plugin_core.errors import (
    GoneError,
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    StembridgeError,
    TransientError,
    UnchargedError,
    UnclearAnswerError,
)
from plugin_core.model import Progress, Source, Ticket
from plugin_core.protocols import Order, Report, Waiting
from plugin_core.providers.mediax.answers import MediaxJob, State, is_absent
from plugin_core.providers.mediax.client import MediaxClient
from plugin_core.providers.mediax.settings import MediaxSettings
from plugin_core.remote.patience import hear
from plugin_core.remote.timestamps import forget, remember

GROWTH: Final = 1.3
SUBMITTED: Final = "submitted"
LOOKED_FOR: Final = "looked-for-since"
"""Since when the job is looked for, also by processes before this one."""

GRACE: Final = 180.0
"""Seconds after it was made in which a job may be unknown."""
ADVISED: Final = (".mp3", ".wav")


class MediaxJobs:
    """The part of a provider that both of MediaX's are made of.

    Args:
        settings: the section ``[mediax]``.
        client: default one over these settings.
        clock: seconds since the epoch.
    """

    remote = True
    doing = "working"
    """What the service does with a song, in a word for people."""
    check_first = "check that the service can read the staged file"
    """Remedy of a job that the service failed."""

    def __init__(
        self,
        settings: MediaxSettings,
        client: MediaxClient | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._client = client or MediaxClient(settings)
        self._clock = clock
        self._waits: dict[str, float] = {}

    @property
    def stager(self) -> str | None:
        """Name of the stager; MediaX takes URLs only."""
        return self._settings.stager

    def account(self) -> str:
        """Name the account by a fingerprint of its id; labels and stems share its slots."""
        secret_id = self._settings.secret_id.reveal()
        return f"mediax:{hashlib.sha256(secret_id.encode()).hexdigest()[:12]}" if secret_id else "mediax"

    async def slots(self) -> int:
        """Return how many jobs may be alive at once."""
        return self._settings.slots

    async def find(self, order: Order) -> Ticket | None:
        """Look for the job by its ``customId``; None only after the service had time to list it.

        Of several one that did not fail is taken, as its like were paid for already; one that failed may be of an
        earlier try, and is taken only once a later one would be listed.

        Raises:
            OutcomeUnknownError: the service does not list jobs for us, or may list this one yet.
            TransientError: no answer now.
        """
        now = self._clock()
        since = await asyncio.to_thread(remember, order.folder, LOOKED_FOR, now)
        try:
            jobs = await self._client.list_jobs(order.key)
        except TransientError:
            raise
        except StembridgeError as error:
            raise OutcomeUnknownError(error.message, remedy=error.remedy) from error
        good = [job for job in jobs if job.state not in (State.ERROR, State.CANCELED)]
        if not good and now - since < self._settings.register_seconds:
            raise OutcomeUnknownError("MediaX lists no such job yet", remedy="it is looked for again")
        chosen = next(iter(good or jobs), None)
        return None if chosen is None else self._make_ticket(order, chosen)

    async def cancel(self, order: Order) -> None:  # noqa: ARG002
        """Say that MediaX cannot: it documents no such action.

        Raises:
            ServiceError: always.
        """
        raise ServiceError("MediaX has no way to cancel a job, which may be charged")

    async def release(self, order: Order) -> None:
        """Forget the job."""
        self._waits.pop(order.key, None)

    async def _create(self, order: Order, report: Report, output: Mapping[str, Any]) -> Ticket:
        """Make the job for the staged file.

        Raises:
            OutcomeUnknownError: it may have been made.
            TransientError: surely not made.
            ServiceError: refused.
        """
        if not order.url:
            raise ServiceError("MediaX reads songs from a URL, and no stager made one", remedy=_STAGER)
        report(Progress(note="submitting"))
        await asyncio.to_thread(forget, order.folder, LOOKED_FOR)
        job = await self._client.create_job(
            order.url, [output], custom_id=order.key, callback=self._settings.callback_url
        )
        return self._make_ticket(order, job)

    async def _follow(self, order: Order) -> Waiting | MediaxJob:
        """Ask how far the job is; return it once it is complete.

        Raises:
            UnchargedError: it failed or was cancelled.
            ServiceError: it is not known any more.
            TransientError: no answer now, or none about this job.
            UnresolvedError: no answer about this job for a day.
        """
        ticket = ticket_of(order)
        job = await hear(order.folder, "MediaX", lambda: self._describe(ticket), _unclear, self._clock)
        if job is None:
            return Waiting(seconds=self._settings.poll_first, progress=Progress(note="not listed yet"))
        if job.is_working:
            seconds = self._waits.get(order.key, self._settings.poll_first)
            self._waits[order.key] = min(seconds * GROWTH, self._settings.poll_longest)
            note = "waiting at the service" if job.state == State.SUBMITTED else self.doing
            return Waiting(seconds=seconds, progress=Progress(note=note))
        self._waits.pop(order.key, None)
        if job.state == State.COMPLETED:
            return job
        what = "was cancelled" if job.state == State.CANCELED else "failed"
        reason = f": {job.reason}" if job.reason else ", and it gives no reason"
        raise UnchargedError(f"MediaX {what}{reason}", remedy=self.check_first)

    async def _describe(self, ticket: Ticket) -> MediaxJob | None:
        """Return the job as the service describes it; None for a new one that it does not know yet.

        Raises:
            ServiceError: it is not known any more.
            RefusedError: the keys.
            UnclearAnswerError: no clear word about this job, which may pass.
            TransientError: no answer now.
        """
        try:
            return await self._client.get_job(ticket.remote_id)
        except ServiceError as error:
            if isinstance(error, RefusedError):
                raise
            if not is_absent(error):
                raise UnclearAnswerError(error.message) from error
            if self._age(ticket) < GRACE:
                return None
            raise GoneError(error.message, remedy=error.remedy) from error

    def _make_ticket(self, order: Order, job: MediaxJob) -> Ticket:  # noqa: ARG002
        return Ticket(remote_id=job.id, data={SUBMITTED: repr(self._clock())})

    def _age(self, ticket: Ticket) -> float:
        """Return the seconds since the job was made or found; long ago when nothing says it."""
        try:
            return abs(self._clock() - float(ticket.data[SUBMITTED]))
        except (KeyError, ValueError):
            return float("inf")


def _unclear(job: MediaxJob | None) -> str:
    return f"state {job.raw.get('state')!r:.40}" if job is not None and job.is_unclear else ""


def ticket_of(order: Order) -> Ticket:
    """Return the ticket of a job that the service has.

    Raises:
        ServiceError: there is none.
    """
    if order.ticket is None:
        raise ServiceError("the job has no id at MediaX", remedy="retry the job")
    return order.ticket


def advise(source: Source) -> tuple[str, ...]:
    """Return what should be known about sending a source as it is."""
    if source.path.suffix.lower() in ADVISED:
        return ()
    return (f"MediaX advises mp3 and wav; {source.path.suffix or 'this format'} may fail",)


_STAGER = "configure one: [tencent] with a bucket, [s3], or [public_url]; see the README"
