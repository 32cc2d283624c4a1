"""Looking for what is paid for and was not named: a job, by the UserData that is our key, and the results of one."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from pathlib import PurePosixPath
from typing import Final, Protocol

import msgspec

from plugin_core.errors import OutcomeUnknownError, RefusedError, ServiceError, StembridgeError, TransientError
from plugin_core.protocols import Order
from plugin_core.providers.tencent_ci.client import JobFilter
from plugin_core.providers.tencent_ci.jobs import CANCELLED, FAILED, SUCCESS, JobDetail, Result
from plugin_core.providers.tencent_ci.names import expected_keys, job_folder, source_keys, time_of_key
from plugin_core.providers.tencent_ci.objects import ObjectHead
from plugin_core.providers.tencent_ci.planning import codec_of
from plugin_core.providers.tencent_ci.rules import load_rules
from plugin_core.providers.tencent_ci.service import Service

SLACK: Final = 24 * 3600.0
"""Seconds a job may seem older than its key: clocks are wrong, and time zones mistaken."""

_log = logging.getLogger(__name__)


class Lists(Protocol):
    """What of the client a search needs."""

    def list_jobs(self, wanted: JobFilter) -> AsyncGenerator[JobDetail]:
        """Give every job of a list."""
        ...

    async def queues(self) -> tuple[str, ...]:
        """Return the ids of the queues."""
        ...


class Heads(Protocol):
    """What of the bucket a search needs."""

    async def head(self, key: str) -> ObjectHead | None:
        """Return what is known of an object."""
        ...


async def find_job(client: Lists, objects: Heads, prefix: str, key: str, *, queue: str, now: float) -> JobDetail | None:
    """Return the job that carries a submission key and can still be used; None when there surely is none.

    A job that failed or was cancelled is none: making it anew costs what it cost the first time, nothing. One whose
    results are gone is an earlier one, of a try that is over.

    Args:
        client: the jobs.
        objects: the bucket.
        prefix: what the names of our objects begin with.
        key: the submission key.
        queue: the queue that is set now; the job may be in another.
        now: seconds since the epoch.

    Raises:
        OutcomeUnknownError: the list cannot be read.
        TransientError: no answer now.
    """
    try:
        found = [job async for job in _list_all(client, prefix, key, queue, now)]
        for job in sorted(found, key=lambda job: job.created, reverse=True):
            if job.state not in (FAILED, CANCELLED) and await _is_usable(objects, job):
                return job
    except (TransientError, OutcomeUnknownError):
        raise
    except StembridgeError as error:
        raise OutcomeUnknownError(error.message, remedy=error.remedy or "it is tried again") from error
    return None


async def find_results(service: Service, order: Order, job: str) -> tuple[Result, ...]:
    """Return the results of a job whose description names none: what lies where they were asked for.

    Raises:
        TransientError: no answer now.
        StembridgeError: refused.
    """
    prefix, wish = service.settings.folder, order.separation
    stems = load_rules().modes[wish.model].stems
    try:
        keys = await service.objects.list_keys(f"{job_folder(prefix, order.key)}{job}/")
    except ServiceError as error:
        _log.info("the results of job %s are not listed: %s", order.key, error)
        expected = expected_keys(prefix, order.key, stems, job, codec_of(wish.options))
        keys = [key for key in expected if await service.objects.head(key) is not None]
    return tuple(Result(stem, key) for key in keys if (stem := PurePosixPath(key).stem) in stems)


async def _list_all(client: Lists, prefix: str, key: str, queue: str, now: float) -> AsyncGenerator[JobDetail]:
    for source in source_keys(prefix, key):
        for job in await list_in_queues(client, _filter(key, source, now), queue):
            if job.user_data == key:
                yield job


async def list_in_queues(client: Lists, wanted: JobFilter, queue: str) -> list[JobDetail]:
    """Return every job of a list, also where the service wants to be told each queue.

    Raises:
        StembridgeError: as ``Caller.read``.
    """
    try:
        return [job async for job in client.list_jobs(wanted)]
    except RefusedError:
        raise
    except ServiceError as error:
        # Documentation and clients differ in whether a list must name its queue.
        _log.info("jobs are listed queue by queue: %s", error)
        each = [msgspec.structs.replace(wanted, queue=name) for name in await _queues(client, queue)]
        return [job for one in each async for job in client.list_jobs(one)]


async def _queues(client: Lists, queue: str) -> list[str]:
    try:
        found = await client.queues()
    except ServiceError:
        if not queue:
            raise
        found = ()
    return list(dict.fromkeys([queue, *found] if queue else found))


def _filter(key: str, source: str, now: float) -> JobFilter:
    made = time_of_key(key)
    # A clock that was ahead when the key was made must not hide the job.
    return JobFilter(source=source, since=None if made is None else min(made, now) - SLACK)


async def _is_usable(objects: Heads, job: JobDetail) -> bool:
    if job.state != SUCCESS:
        return True
    return all([await objects.head(result.key) is not None for result in job.results])
