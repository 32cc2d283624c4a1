"""MediaX as the core's tagger, with what login, doctor and callbacks need; the job below is that of stems as well."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from plugin_core.abilities import RemoteJob
from plugin_core.callbacks import read_json
from plugin_core.errors import (
    GoneError,
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    StembridgeError,
    TransientError,
    UnchargedError,
    UnclearAnswerError,
    UnresolvedError,
    refusal_of,
)
from plugin_core.model import (
    Finding,
    Label,
    Operation,
    Plan,
    Progress,
    Question,
    Source,
    Tagging,
    Ticket,
    Verdict,
    disarm,
)
from plugin_core.protocols import ANSWER, Finished, Order, Report, Waiting
from plugin_core.providers.mediax.answers import (
    DIMENSIONS,
    MediaxJob,
    State,
    find_job,
    is_absent,
    keep_results,
    list_contents,
    list_unread,
    read_labels,
)
from plugin_core.providers.mediax.client import LOGIN, MediaxClient, MediaxSettings, descriptor
from plugin_core.service import Pace, without_secrets
from plugin_core.settings import Secret
from plugin_core.transfer.redaction import redact_url

ADVISED: Final = (".mp3", ".wav")

_MOST_SHOWN: Final = 100
_SHOWN: Final = 160
"""Characters of an answer that are shown where it is not understood."""


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
        self.register_seconds = settings.register_seconds
        self.forgets = settings.cleanup
        self._pace = Pace(settings.poll_first, settings.poll_longest)

    @property
    def stager(self) -> str | None:
        """Name of the stager; MediaX takes URLs only."""
        return self._settings.stager

    def account(self) -> str:
        """Name the account by a fingerprint of its id; labels and stems share its slots."""
        secret_id = self._settings.secret_id.reveal()
        return f"mediax:{hashlib.sha256(secret_id.encode()).hexdigest()[:12]}" if secret_id else "mediax"

    async def slots(self) -> int:
        return self._settings.slots

    async def find(self, order: Order) -> Ticket | None:
        """Look for the job by its ``customId``.

        Of several one that did not fail is taken, as its like were paid for already; one that failed may be of an
        earlier try, and is taken only once a later one would be listed.

        Raises:
            OutcomeUnknownError: the service does not list jobs for us.
            TransientError: no answer now.
        """
        now = self._clock()
        try:
            jobs = await self._client.list_jobs(order.key)
        except TransientError:
            raise
        except StembridgeError as error:
            raise OutcomeUnknownError(error.message, remedy=error.remedy) from error
        good = [job for job in jobs if job.state not in (State.ERROR, State.CANCELED)]
        is_early = now - (order.looked_since or now) < self.register_seconds
        chosen = next(iter(good or ([] if is_early else jobs)), None)
        return None if chosen is None else Ticket(remote_id=chosen.id)

    async def remote_jobs(self, name: str) -> Sequence[RemoteJob]:
        self._settings.check()
        found = [_remote(job) for job in await self._client.list_jobs(name)]
        return sorted(found, key=lambda job: job.created, reverse=True)[:_MOST_SHOWN]

    async def remote_job(self, remote_id: str) -> RemoteJob:
        self._settings.check()
        return _remote(await self._describe(Ticket(remote_id=remote_id)))

    async def cancel(self, order: Order) -> None:  # noqa: ARG002
        """Say that MediaX cannot: it documents no such action."""
        raise ServiceError("MediaX has no way to cancel a job, which may be charged")

    async def release(self, order: Order) -> None:
        """Leave everything: labels lie nowhere."""

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
        song: dict[str, Any] = {"url": order.url.reveal()}
        if self._settings.input == "source":
            # The link begins with the bucket's host: its path is the object's name.
            path = unquote(urlsplit(order.url.reveal()).path).lstrip("/")
            song = {"source": {"contentId": self._settings.content_id, "path": path}}
        job = await self._client.create_job(song, [output], custom_id=order.key, callback=self._settings.callback_url)
        return Ticket(remote_id=job.id)

    async def _follow(self, order: Order) -> Waiting | MediaxJob:
        """Ask how far the job is; return it once it is complete.

        Raises:
            UnchargedError: it failed or was cancelled.
            ServiceError: it is not known any more.
            TransientError: no answer now, or none about this job.
        """
        job = await self._describe(order.known_ticket)
        if job.is_working:
            seconds = self._pace.wait(order.age(self._clock()))
            note = "waiting at the service" if job.state == State.SUBMITTED else self.doing
            unclear = f"state {job.raw.get('state')!r:.40}" if job.is_unclear else ""
            return Waiting(seconds=seconds, progress=Progress(note=note), unclear=unclear)
        if job.state == State.COMPLETED:
            return job
        what = "was cancelled" if job.state == State.CANCELED else "failed"
        reason = f": {job.reason}" if job.reason else ", and it gives no reason"
        raise UnchargedError(f"MediaX {what}{reason}", remedy=self.check_first)

    async def _describe(self, ticket: Ticket) -> MediaxJob:
        """Return the job as the service describes it.

        Raises:
            GoneError: it is not known any more, or not yet.
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
            raise GoneError(error.message, remedy=error.remedy) from error


def _remote(job: MediaxJob) -> RemoteJob:
    timing, inputs = job.raw.get("timing"), job.raw.get("inputs")
    created = timing.get("createdAt") if isinstance(timing, Mapping) else None
    song = next(iter(inputs), None) if isinstance(inputs, list) else None
    source = song.get("source") if isinstance(song, Mapping) else None
    place = source.get("path") if isinstance(source, Mapping) else song.get("url") if isinstance(song, Mapping) else ""
    return RemoteJob(
        id=job.id,
        state=State(job.state).name if not job.is_unclear else str(job.raw.get("state")),
        name=job.custom_id,
        song=redact_url(str(place or "")).partition("?")[0],
        created=_moment(created),
        reason=job.reason if job.state == State.ERROR else "",
        results=tuple(without_secrets(each) for each in list_contents(job.raw)),
    )


def _moment(milliseconds: object) -> str:
    """Return when that is; "" for never, and for what is no time."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if seconds := int(str(milliseconds)) / 1000:
            return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    return ""


def not_understood(order: Order, job: MediaxJob) -> UnresolvedError:
    """Keep what was paid for and is not understood, and return what is said of it."""
    order.write_note(ANSWER, keep_results(job.raw))
    shown = disarm(without_secrets(list(list_contents(job.raw))))
    what = f"MediaX answered in a way that this version does not understand: {shown[:_SHOWN]}"
    return UnresolvedError(what, remedy="the whole answer is kept: update stembridge")


def kept_answer(order: Order) -> Mapping[str, Any]:
    """Return what an earlier version did not understand; nothing where there is none."""
    return _read_kept(order.note.get(ANSWER, "{}"))


def _read_kept(answer: str) -> Mapping[str, Any]:
    kept = read_json(answer.encode(), "what MediaX said")
    return kept if isinstance(kept, Mapping) else {}


def advise(source: Source) -> tuple[str, ...]:
    """Return what should be known about sending a source as it is."""
    if source.path.suffix.lower() in ADVISED:
        return ()
    return (f"MediaX advises mp3 and wav; {source.path.suffix or 'this format'} may fail",)


_STAGER = "configure one: [tencent] with a bucket, [s3], or [public_url]; see the README"


class MediaxTagger(MediaxJobs):
    """Labels by MediaX."""

    name = "mediax"
    title = "Tencent MediaX: mood, genre, language, scene and more"
    section = "mediax"
    token = ""
    doing = "listening"

    async def plan(self, source: Source, wish: Tagging) -> Plan:
        dimensions = wish.dimensions or DIMENSIONS
        descriptor(dimensions)
        ordered = tuple(each for each in DIMENSIONS if each in dimensions)
        refusal = refusal_of(self._settings.check)
        return Plan(operation=msgspec.structs.replace(wish, dimensions=ordered), notes=advise(source), refusal=refusal)

    async def submit(self, order: Order, report: Report) -> Ticket:
        return await self._create(order, report, descriptor(_dimensions(order.operation)))

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:  # noqa: ARG002
        """Ask how far the job is; an answer that an earlier version did not understand is read again first.

        Raises:
            UnresolvedError: what is paid for was answered in a way that is not understood; it is kept.
        """
        wanted = _dimensions(order.operation)
        if (labels := read_labels(kept_answer(order), wanted)) is not None:
            return Finished(labels=labels)
        found = await self._follow(order)
        if isinstance(found, Waiting):
            return found
        if (labels := read_labels(found.raw, wanted)) is None:
            raise not_understood(order, found)
        return Finished(labels=labels, answer=keep_results(found.raw))

    def read_again(self, answer: str, wish: Tagging) -> tuple[Sequence[Label], Sequence[str]]:
        """Return the labels in an answer that was kept, and of which dimensions it says what is not understood."""
        said, wanted = _read_kept(answer), _dimensions(wish)
        unread = list_unread(said, wanted)
        notes = [f"what MediaX says of {each} is not understood; it is kept with the purchase" for each in unread]
        return read_labels(said, wanted) or (), notes

    @property
    def questions(self) -> Sequence[Question]:
        """What a login asks."""
        return (
            Question(name="secret_id", text="secretId (tmpSecretId of the registration)"),
            Question(name="secret_key", text="secretKey (tmpSecretKey of the registration)"),
        )

    async def login(self, answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
        """Try the keys by listing jobs that do not exist, which costs nothing."""
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
        """Try the keys; without any, nothing is asked of the service."""
        if not (self._settings.secret_id or self._settings.secret_key):
            found, remedy = "no account is set up", "to have one: `stembridge login mediax`"
            return (Finding(name="mediax", verdict=Verdict.OK, found=found, remedy=remedy),)
        if not (self._settings.secret_id and self._settings.secret_key):
            found = "only one of secret_id and secret_key is set"
            return (Finding(name="mediax", verdict=Verdict.WRONG, found=found, remedy=LOGIN),)
        try:
            self._settings.check()
            await self._client.list_jobs("stembridge-doctor")
        except StembridgeError as error:
            remedy = error.remedy or "see the message, and section [mediax] of the settings"
            return (Finding(name="mediax", verdict=Verdict.WRONG, found=error.message, remedy=remedy),)
        return (Finding(name="mediax", verdict=Verdict.OK, found="the keys are accepted"),)


def _dimensions(wish: Operation) -> Sequence[str]:
    assert isinstance(wish, Tagging)
    return wish.dimensions or DIMENSIONS
