"""Looking for a job whose answer was lost: in the queue of the account, then in its history."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from plugin_core.errors import OutcomeUnknownError, StembridgeError
from plugin_core.providers.mvsep.account_calls import HistoryEntry, User
from plugin_core.providers.mvsep.job_calls import JobAnswer, Phase
from plugin_core.providers.mvsep.keys import carries_key, time_of_hash, time_of_key

PAGE: Final = 20
PAGES: Final = 200
"""Pages read at most; an account that busy cannot be searched."""

SLACK: Final = 36 * 3600.0
"""Seconds an entry may seem older than the job: the service's time zone is not known, and clocks are wrong."""

REGIONS: Final = tuple(f"https://{name}.mvsep.com/api" for name in ("de", "de2", "sg", "mirror"))
"""Other nodes a job of the geo-routed base may live on."""


_log = logging.getLogger(__name__)


class History(Protocol):
    """What of the client a search needs."""

    async def user(self) -> User:
        """Ask about the account."""
        ...

    async def history(self, *, start: int = 0, limit: int = 20) -> tuple[HistoryEntry, ...]:
        """List past jobs, newest first."""
        ...

    async def get(self, job: str, *, origin: str = "", mirror: bool = False) -> JobAnswer:
        """Ask about a job."""
        ...


async def find_hash(client: History, key: str) -> str | None:
    """Return the newest hash that carries the submission key; None when the account surely has none.

    Raises:
        OutcomeUnknownError: queue or history cannot be read to the end.
    """
    try:
        queued = [job.hash for job in (await client.user()).current_queue if carries_key(job.hash, key)]
        return max(queued, key=_age_key) if queued else await _search_history(client, key)
    except OutcomeUnknownError:
        raise
    except StembridgeError as error:
        raise OutcomeUnknownError(
            f"MVSEP's history cannot be read: {error.message}", remedy=error.remedy or "it is tried again"
        ) from error


async def locate(client: History, job: str, origins: Sequence[str]) -> str:
    """Return the first origin that knows a job, "" when none says so: history does not tell where a job lives."""
    for origin in origins:
        try:
            if (await client.get(job, origin=origin)).phase is not Phase.MISSING:
                return origin
        except StembridgeError as error:
            _log.info("%s does not say whether it has %s: %s", origin, job, error)
    return ""


async def _search_history(client: History, key: str) -> str | None:
    made = time_of_key(key)
    seen: set[str] = set()
    start = 0
    for _ in range(PAGES):
        page = await client.history(start=start, limit=PAGE)
        found = [entry.hash for entry in page if carries_key(entry.hash, key)]
        if found:
            return max(found, key=_age_key)
        fresh = {_identity(entry) for entry in page} - seen
        if not fresh or (made is not None and _is_older(page, made - SLACK)):
            return None
        seen |= fresh
        # Pages overlap: an entry deleted meanwhile moves all others up.
        start += max(1, len(page) - 2)
    raise OutcomeUnknownError(f"MVSEP's history is longer than {PAGES * PAGE} jobs", remedy="look for the job there")


def _identity(entry: HistoryEntry) -> str:
    return entry.hash or f"id {entry.id}"


def _is_older(page: Sequence[HistoryEntry], time: float) -> bool:
    """Tell whether a page ends before that time; entries whose time cannot be read count for nothing."""
    times = [found for entry in page if (found := _time_of(entry)) is not None]
    return bool(times) and max(times[-3:]) < time


def _time_of(entry: HistoryEntry) -> float | None:
    stamp = time_of_hash(entry.hash)
    if stamp is not None:
        return stamp
    text = re.sub(r"Z$", "+00:00", entry.created_at.strip())
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def _age_key(text: str) -> float:
    return time_of_hash(text) or 0.0
