"""MediaX as the core's tagger."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from plugin_core.callbacks.reading import read_json
from plugin_core.errors import OutcomeUnknownError, RefusedError, ServiceError, StembridgeError, TransientError
from plugin_core.model import Finding, Plan, Progress, Question, Source, Tagging, Ticket, Verdict
from plugin_core.moments import forget, remember
from plugin_core.protocols import Finished, Order, Report, Waiting
from plugin_core.providers.mediax.answers import MediaxJob, State, find_job, is_absent
from plugin_core.providers.mediax.client import MediaxClient, descriptor
from plugin_core.providers.mediax.results import DIMENSIONS, read_labels
from plugin_core.providers.mediax.settings import LOGIN, MediaxSettings
from plugin_core.settings import Secret

GROWTH: Final = 1.3
SUBMITTED: Final = "submitted"
LOOKED_FOR: Final = "looked-for-since"
"""Since when the job is looked for, also by processes before this one."""

GRACE: Final = 180.0
"""Seconds after it was made in which a job may be unknown."""
ADVISED = (".mp3", ".wav")


class MediaxTagger:
    """Labels by MediaX.

    Args:
        settings: the section ``[mediax]``.
        client: default one over these settings.
        clock: seconds since the epoch.
    """

    name = "mediax"
    title = "Tencent MediaX: mood, genre, language, scene and more"
    remote = True
    section = "mediax"
    token = ""

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
        """Name the account by a fingerprint of its id."""
        secret_id = self._settings.secret_id.reveal()
        return f"mediax:{hashlib.sha256(secret_id.encode()).hexdigest()[:12]}" if secret_id else "mediax"

    async def slots(self) -> int:
        """Return how many jobs may be alive at once."""
        return self._settings.slots

    async def plan(self, source: Source, wish: Tagging) -> Plan:
        """Check the wish and fill in its defaults.

        Raises:
            RefusedError: there are no keys.
            SettingsError: a setting is malformed.
            UsageError: an unknown dimension.
        """
        self._settings.check()
        dimensions = wish.dimensions or DIMENSIONS
        descriptor(dimensions)
        ordered = tuple(each for each in DIMENSIONS if each in dimensions)
        is_advised = source.path.suffix.lower() in ADVISED
        notes = () if is_advised else (f"MediaX advises mp3 and wav; {source.path.suffix or 'this format'} may fail",)
        return Plan(operation=msgspec.structs.replace(wish, dimensions=ordered), notes=notes)

    async def submit(self, order: Order, report: Report) -> Ticket:
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
            order.url,
            [descriptor(_wish(order).dimensions or DIMENSIONS)],
            custom_id=order.key,
            callback=self._settings.callback_url,
        )
        return self._make_ticket(job)

    async def find(self, order: Order) -> Ticket | None:
        """Look for the job by its ``customId``; None only after the service had time to list it.

        Of several the first is taken, as its like were paid for already.

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
        chosen = next(iter(good or jobs), None)
        if chosen is None:
            if now - since < self._settings.register_seconds:
                raise OutcomeUnknownError("MediaX lists no such job yet", remedy="it is looked for again")
            return None
        return self._make_ticket(chosen)

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:  # noqa: ARG002
        """Ask how far the job is.

        Raises:
            ServiceError: it failed, was cancelled or is not known any more.
            TransientError: no answer now.
        """
        try:
            job = await self._client.get_job(_ticket(order).remote_id)
        except TransientError:
            raise
        except ServiceError as error:
            if isinstance(error, RefusedError):
                raise
            if is_absent(error):
                if self._age(order) < GRACE:
                    return Waiting(seconds=self._settings.poll_first, progress=Progress(note="not listed yet"))
                raise
            # What is no clear word about this job may pass: the job is paid for, and asking again is free.
            raise TransientError(error.message) from error
        return self._read(order, job)

    def _read(self, order: Order, job: MediaxJob) -> Waiting | Finished:
        if job.is_working:
            seconds = self._waits.get(order.key, self._settings.poll_first)
            self._waits[order.key] = min(seconds * GROWTH, self._settings.poll_longest)
            note = "waiting at the service" if job.state == State.SUBMITTED else "listening"
            return Waiting(seconds=seconds, progress=Progress(note=note))
        self._waits.pop(order.key, None)
        if job.state == State.COMPLETED:
            return Finished(labels=read_labels(job.raw, _wish(order).dimensions or DIMENSIONS))
        what = "was cancelled" if job.state == State.CANCELED else "failed"
        reason = f": {job.reason}" if job.reason else ", and it gives no reason"
        raise ServiceError(f"MediaX {what}{reason}", remedy="check that the service can read the staged file")

    async def cancel(self, order: Order) -> None:  # noqa: ARG002
        """Say that MediaX cannot: it documents no such action.

        Raises:
            ServiceError: always.
        """
        raise ServiceError("MediaX has no way to cancel a job, which may be charged")

    async def release(self, order: Order) -> None:
        """Forget the job; nothing of it lies at the service."""
        self._waits.pop(order.key, None)

    def _make_ticket(self, job: MediaxJob) -> Ticket:
        return Ticket(remote_id=job.id, data={SUBMITTED: repr(self._clock())})

    def _age(self, order: Order) -> float:
        """Return the seconds since the job was made or found; long ago when nothing says it."""
        try:
            return abs(self._clock() - float(_ticket(order).data[SUBMITTED]))
        except (KeyError, ValueError):
            return float("inf")

    @property
    def questions(self) -> Sequence[Question]:
        """What a login asks."""
        return (
            Question(name="secret_id", text="secretId (tmpSecretId of the registration)"),
            Question(name="secret_key", text="secretKey (tmpSecretKey of the registration)"),
        )

    async def login(self, answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
        """Try the keys by listing jobs that do not exist, which costs nothing.

        Raises:
            RefusedError: the service does not accept them.
        """
        settings = msgspec.structs.replace(
            self._settings, secret_id=answers["secret_id"], secret_key=answers["secret_key"]
        )
        settings.check()
        await MediaxClient(settings).list_jobs("stembridge-login")
        return {"secret_id": settings.secret_id, "secret_key": settings.secret_key}

    def read_callback(self, body: bytes, content_type: str) -> Collection[str]:  # noqa: ARG002
        """Return the names in a callback: the job's id and its ``customId``.

        Raises:
            ServiceError: it is no JSON.
        """
        job = find_job(read_json(body, "callback of MediaX"))
        return () if job is None else {name for name in (job.id, job.custom_id) if name}

    async def examine(self) -> Sequence[Finding]:
        """Try the keys, when there are any."""
        if not (self._settings.secret_id or self._settings.secret_key):
            return ()
        if not (self._settings.secret_id and self._settings.secret_key):
            found = "only one of secret_id and secret_key is set"
            return (Finding(name="mediax", verdict=Verdict.WRONG, found=found, remedy=LOGIN),)
        try:
            self._settings.check()
            await self._client.list_jobs("stembridge-doctor")
        except StembridgeError as error:
            return (Finding(name="mediax", verdict=Verdict.WRONG, found=error.message, remedy=error.remedy),)
        return (Finding(name="mediax", verdict=Verdict.OK, found="the keys are accepted"),)


_STAGER = "configure one: [tencent] with a bucket, [s3], or [public_url]; see the README"


def _ticket(order: Order) -> Ticket:
    if order.ticket is None:
        raise ServiceError("the job has no id at MediaX", remedy="retry the job")
    return order.ticket


def _wish(order: Order) -> Tagging:
    assert isinstance(order.operation, Tagging)
    return order.operation
