"""Hashes, the service's names of jobs: found by the key in a file's name, behind a download, in a webhook's call.

The service makes them of ``<14 digits>-<10 hex digits>-<file name in lower case, with hyphens>``. A job's key comes
first in the name of its upload, so that truncation keeps it, and is made of lower-case letters and digits only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import shlex
import unicodedata
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from plugin_core.callbacks import read_json
from plugin_core.errors import (
    GoneError,
    OutcomeUnknownError,
    ServiceError,
    StembridgeError,
    TransientError,
    UnchargedError,
)
from plugin_core.model import Progress, Ticket, show_path
from plugin_core.protocols import GRACE, Order, Waiting
from plugin_core.providers.mvsep.account_calls import HistoryEntry
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.job_calls import JobAnswer, Phase
from plugin_core.service import time_of_key

_REAL: Final = re.compile(r"(\d{14})-[a-z0-9]+-")
_KEYED: Final = re.compile(r"-sb[a-z2-7]{26}")
"""The key of a song's upload, whoever sent it."""
_LONGEST_SONG: Final = 40
_LINK: Final = re.compile(r"(https?://)\S+")
"""The service may repeat what it could not fetch, which is a secret of the user's."""


def job_key(key: str) -> str:
    """Return the submission key as it stands in file names: ``sb`` and 26 letters and digits."""
    try:
        data = uuid.UUID(key).bytes
    except ValueError:
        data = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:16]
    return "sb" + base64.b32encode(data).decode("ascii").rstrip("=").lower()


def upload_name(key: str, song: Path, suffix: str) -> str:
    """Return the file name the service is told: the key, then the song's name in a form that it keeps."""
    return f"{job_key(key)}-{_slug(song.stem) or 'song'}{suffix}"


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_SONG].strip("-")


def carries_key(text: str, key: str) -> bool:
    """Tell whether a hash, or the file name in a link, holds the submission key in any form."""
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    return job_key(key) in plain or re.sub(r"[^a-z0-9]", "", key.lower()) in plain


def is_real_hash(text: str) -> bool:
    """Tell whether this is the hash of a separation, not the short one of a download by the service."""
    return _REAL.match(text) is not None


def time_of_hash(text: str) -> float | None:
    """Return when a hash was made, as if the service's clock were UTC, which may be hours off."""
    found = _REAL.match(text)
    try:
        return datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp() if found else None
    except ValueError:
        return None


SEEN: Final = "seen"
"""Name of the note with the jobs that were there before one that carries no key."""

PAGE: Final = 20
PAGES: Final = 200
"""Pages read at most; an account that busy cannot be searched."""

SLACK: Final = 36 * 3600.0
"""Seconds an entry may seem older than the job: the service's time zone is not known, and clocks are wrong."""

REGIONS: Final = tuple(f"https://{name}.mvsep.com/api" for name in ("de", "de2", "sg", "mirror"))
"""Other nodes a job of the geo-routed base may live on."""


_log = logging.getLogger(__name__)


async def find_hash(client: MvsepClient, key: str) -> str | None:
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


async def list_known(client: MvsepClient) -> set[str]:
    """Return the hashes of the account's newest jobs, those in its queue among them.

    Raises:
        TransientError: the service does not answer.
    """
    queued = {job.hash for job in (await client.user()).current_queue}
    return queued | {entry.hash for entry in await client.history(limit=PAGE)}


async def find_unnamed(client: MvsepClient, order: Order, taken: Collection[str] = ()) -> str | None:
    """Return the hash of a job that carries no key: the only one of its model that came after its create was sent.

    What carries the key of a song, and what is another request's, is left out; of several it is the one of its name.

    Args:
        client: the service.
        order: the request.
        taken: the jobs of other requests.

    Raises:
        OutcomeUnknownError: several may be it, or the lists cannot be read.
    """
    if SEEN not in order.note:
        return None
    seen, model = set(json.loads(order.note[SEEN])), order.separation.model
    try:
        queued = {job.hash for job in (await client.user()).current_queue} - seen
        entries = [entry for entry in await client.history(limit=PAGE) if entry.hash not in seen]
    except StembridgeError as error:
        raise OutcomeUnknownError(
            f"MVSEP's history cannot be read: {error.message}", remedy=error.remedy or "it is tried again"
        ) from error
    fresh = queued | {entry.hash for entry in entries}
    others = {entry.hash for entry in entries if entry.algorithm.render_id not in (None, int(model))}.union(taken)
    found = {job for job in fresh - others if not _KEYED.search(job)}
    name = _slug(order.source.path.stem)
    found = {job for job in found if _name_in(job).startswith(name)} or found
    if len(found) > 1:
        raise OutcomeUnknownError(
            f"MVSEP has several jobs that may be this one: {', '.join(sorted(found))}",
            remedy=f"`stembridge fetch mvsep JOB {shlex.quote(show_path(order.source.path))}` places the one that is",
        )
    return next(iter(found), None)


def _name_in(text: str) -> str:
    """Return what a hash holds of a file's name; "" for the short one of a download."""
    found = _REAL.match(text)
    return text[found.end() :] if found else ""


async def locate(client: MvsepClient, job: str, origins: Sequence[str]) -> str:
    """Return the first origin that knows a job, "" when none says so: history does not tell where a job lives."""
    for origin in origins:
        try:
            if (await client.get(job, origin=origin)).phase is not Phase.MISSING:
                return origin
        except StembridgeError as error:
            _log.info("%s does not say whether it has %s: %s", origin, job, error)
    return ""


async def _search_history(client: MvsepClient, key: str) -> str | None:
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


NOTE: Final = "MVSEP fetches the song"


class JobLinks:
    """The downloads of one service; what they became is remembered for as long as the process lives.

    Args:
        client: asks the service.
        clock: seconds since the epoch.
        search: looks for a job in the account's lists.
    """

    def __init__(
        self, client: MvsepClient, clock: Callable[[], float], search: Callable[[Order], Awaitable[str | None]]
    ) -> None:
        self._client = client
        self._clock = clock
        self._search_lists = search
        self._known: dict[str, Ticket] = {}

    def forget(self, key: str) -> None:
        """Drop what is remembered of a job."""
        self._known.pop(key, None)

    async def follow(self, order: Order, ticket: Ticket, seconds: float) -> Ticket | Waiting:
        """Return the ticket of the real job, or word to ask again after so many seconds.

        Raises:
            ServiceError: the service could not fetch the link.
            TransientError: it does not answer.
        """
        if order.key in self._known:
            return self._known[order.key]
        answer = await self._client.get_remote(ticket.remote_id, origin=ticket.origin)
        if answer.phase is Phase.DONE and is_real_hash(answer.hash):
            return self._remember(order, ticket, answer.hash, self._client.origin_of(answer.link) or ticket.origin)
        if answer.phase is Phase.FAILED:
            reason = _LINK.sub(r"\1…", answer.message) or answer.status
            raise UnchargedError(
                f"MVSEP could not fetch the song: {reason}",
                remedy="check that the link can be read from outside",
            )
        if order.age(self._clock()) >= GRACE and _says_nothing(answer):
            found = await self._search(order)
            if found is None:
                raise GoneError(
                    f"MVSEP knows nothing of the song it was to fetch ({answer.message or ticket.remote_id})",
                    remedy="try again, or upload the song itself",
                )
            return self._remember(order, ticket, found, ticket.origin)
        progress = Progress(note=NOTE, queue_position=answer.current_order, queue_length=answer.queue_count)
        return Waiting(seconds=seconds, progress=progress)

    async def _search(self, order: Order) -> str | None:
        try:
            return await self._search_lists(order)
        except OutcomeUnknownError as error:
            # The job is not lost, only out of sight for now.
            raise TransientError(error.message, remedy=error.remedy) from error

    def _remember(self, order: Order, ticket: Ticket, real: str, origin: str) -> Ticket:
        known = Ticket(remote_id=real, origin=origin, data=ticket.data)
        self._known[order.key] = known
        return known


def _says_nothing(answer: JobAnswer) -> bool:
    """Tell whether the short hash is unknown, or was done without a real one."""
    if answer.phase in (Phase.MISSING, Phase.DONE):
        return True
    return answer.phase is Phase.UNCLEAR and answer.success is False


_NAMES = ("hash", "job_hash")


def read_names(body: bytes, content_type: str) -> set[str]:
    """Return the hashes in a webhook's call; nothing signs it, so that it is only a hint.

    Raises:
        ServiceError: it announces JSON and holds none.
    """
    is_json = "json" in content_type.lower()
    try:
        payload = read_json(body, "webhook of MVSEP") if body.strip() else {}
    except ServiceError:
        if is_json:
            raise
        payload = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=50)) if b"=" in body[:4096] else {}
    return set(_hashes(payload))


def _hashes(payload: object) -> Iterator[str]:
    if not isinstance(payload, dict):
        return
    for node in (payload, payload.get("data")):
        if isinstance(node, dict):
            yield from (node[name] for name in _NAMES if isinstance(node.get(name), str) and node[name])
