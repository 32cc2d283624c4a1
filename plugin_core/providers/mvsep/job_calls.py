"""The endpoints below ``separation/``: what is sent, and what is said of a job."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from plugin_core.errors import OutcomeUnknownError, UsageError
from plugin_core.providers.mvsep.account_calls import Notice, parse_notice
from plugin_core.providers.mvsep.caller import Caller
from plugin_core.providers.mvsep.loose_json import as_flag, as_mapping, read, read_all, read_words
from plugin_core.service import without_secrets
from plugin_core.transfer import Answer, Bytes, FilePart, Multipart
from plugin_core.transfer.redaction import redact


class Phase(StrEnum):
    """What a status means for whoever waits."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    MISSING = "missing"
    """Unknown, deleted or expired; of a job just made from a URL: not known yet."""
    UNCLEAR = "unclear"
    """A status nobody has seen before, or none at all: taken for running, under a time cap."""


PHASES: Final = {
    "waiting": Phase.WAITING,
    "submitted": Phase.WAITING,
    "processing": Phase.RUNNING,
    "distributing": Phase.RUNNING,
    "merging": Phase.RUNNING,
    "converting": Phase.RUNNING,
    "done": Phase.DONE,
    "failed": Phase.FAILED,
    "error": Phase.FAILED,
    "cancelled": Phase.FAILED,
    "canceled": Phase.FAILED,
    "not_found": Phase.MISSING,
}

_SPLIT_WORDS: Final = ("large", "splitted", "distributed")


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """A separation the service has accepted."""

    hash: str = ""
    """Of a file job the real one, of a URL job a short one that only ``get_remote`` knows."""
    link: str = ""


class ResultFile(msgspec.Struct, frozen=True, kw_only=True):
    """One finished file; all of it is data from outside."""

    type: str = ""
    """The service's word for the stem, in any case; may be missing."""
    url: str = ""
    """Absolute and public; needs no token and is given none."""
    download: str = ""
    """Suggested file name, untrusted."""
    size: str = ""
    """For people ("1.3 MB")."""
    bytes: int | None = None


class JobAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How far a separation is: the answer of ``get`` and ``get_remote``."""

    success: bool | None = None
    status: str = ""
    """The service's own word, lower case; "" when it sent none."""
    message: str = ""
    hash: str = ""
    """Of ``get_remote``, once done: the real job."""
    link: str = ""
    queue_count: int | None = None
    current_order: int | None = None
    finished_chunks: int | None = None
    all_chunks: int | None = None
    algorithm: str = ""
    algorithm_description: str = ""
    output_format: str = ""
    size: str = ""
    date: str = ""
    tags: dict[str, Any] = {}
    input_file: ResultFile | None = None
    files: tuple[ResultFile, ...] = ()
    transcription: tuple[Any, ...] = ()
    kept: str = ""
    """The answer whole, but for its input and what gives access to its files."""

    @property
    def phase(self) -> Phase:
        """What the status means."""
        if self.status:
            return PHASES.get(self.status, Phase.UNCLEAR)
        words = self.message.lower()
        if any(word in words for word in _SPLIT_WORDS):
            return Phase.RUNNING
        return Phase.MISSING if "not found" in words else Phase.UNCLEAR


def parse_created(payload: object) -> Created:
    """Read the answer to a create; fields are "" when they are missing, but the hash may also stand in the link."""
    created = read(Created, _data_of(as_mapping(payload)))
    return created if created.hash else msgspec.structs.replace(created, hash=_hash_in(created.link))


def parse_job(payload: object) -> JobAnswer:
    """Read an answer about a job, whatever its shape."""
    body = as_mapping(payload)
    data = _data_of(body)
    answer = read(JobAnswer, data)
    return msgspec.structs.replace(
        answer,
        success=as_flag(body.get("success")),
        status=redact(str(body.get("status") or data.get("status") or "").strip()).lower(),
        message="; ".join(read_words(body)),
        files=read_all(ResultFile, data.get("files")),
        kept=without_secrets({name: value for name, value in data.items() if name != "input_file"}),
    )


def _hash_in(link: str) -> str:
    try:
        return parse_qs(urlsplit(link).query).get("hash", [""])[0]
    except ValueError:
        return ""


def _data_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data``, or the body itself where a node leaves the wrapper out."""
    data = as_mapping(body.get("data"))
    return data or {key: value for key, value in body.items() if key not in ("success", "status")}


REMOTE_TYPES: Final = ("direct", "mega", "drive", "dropbox")
_OPTION: Final = re.compile(r"add_opt[1-9]\Z")


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """A separation to be started: of one of ``audio``, ``url``, the pair of target and reference, or of words alone."""

    model: str
    """``render_id``, sent as ``sep_type``."""
    output_format: int
    """0 mp3 320, 1 wav 16 bit, 2 flac 16 bit, 3 m4a, 4 wav 32 bit, 5 flac 24 bit."""
    audio: Path | None = None
    """The song, streamed."""
    name: str = ""
    """The file name the service is told for ``audio`` or the target; default its own."""
    url: str = ""
    """Where the service fetches the song itself; a ``Secret`` is revealed only while it is sent."""
    remote_type: str = "direct"
    """One of ``REMOTE_TYPES``."""
    target_audio: Path | None = None
    """Of a matchering model, what is to be changed."""
    reference_audio: Path | None = None
    """Of a matchering model, what it shall sound like."""
    options: Mapping[str, str] = {}
    """Option key by field name (``add_opt1`` ..); empty ones are left out."""
    is_demo: bool = False
    """Publish the result."""
    webhook_url: str = ""
    """(experimental) Called when the job ends."""
    preset_id: str = ""
    """(experimental) A preset stored at the service."""

    def body(self, token: Mapping[str, str]) -> Multipart:
        """Return the form, token included.

        Raises:
            UsageError: inputs that exclude each other, or an option no model can have.
        """
        self._check()
        return Multipart(fields={**token, **self._fields()}, files=self._files())

    def _check(self) -> None:
        pair = (self.target_audio, self.reference_audio)
        if len([each for each in (self.audio, self.url, any(pair)) if each]) > 1 or any(pair) != all(pair):
            raise UsageError("MVSEP takes one file, one link, or a target and a reference")
        if self.remote_type not in REMOTE_TYPES:
            raise UsageError(f"no kind of link {self.remote_type!r}", remedy=f"use one of {', '.join(REMOTE_TYPES)}")
        odd = [name for name in self.options if not _OPTION.match(name)]
        if odd:
            raise UsageError(f"no option {odd[0]!r} at MVSEP", remedy="options are named add_opt1, add_opt2, ...")

    def _fields(self) -> dict[str, str]:
        link = {"url": self.url, "remote_type": self.remote_type} if self.url else {}
        wanted = {"webhook_url": self.webhook_url, "preset_id": self.preset_id, **self.options}
        return {
            "sep_type": self.model,
            "output_format": str(self.output_format),
            "is_demo": str(int(self.is_demo)),
            **link,
            **{name: value for name, value in wanted.items() if value},
        }

    def _files(self) -> tuple[FilePart, ...]:
        named = {
            "audiofile": self.audio,
            "target_audiofile": self.target_audio,
            "reference_audiofile": self.reference_audio,
        }
        return tuple(
            _part(field, path, "" if field == "reference_audiofile" else self.name)
            for field, path in named.items()
            if path
        )


def _part(field: str, path: Path, name: str) -> FilePart:
    kind = mimetypes.guess_type(name or path.name, strict=False)[0]
    return FilePart(field=field, path=path, name=name, content_type=kind or "application/octet-stream")


class JobCalls(Caller):
    """Separations: started, asked about, ended and brought here."""

    async def create(self, creation: Creation, *, report: Bytes | None = None) -> Created:
        """Start a separation: the one call that may cost money, never sent twice by itself.

        Args:
            creation: what is asked for.
            report: told of bytes sent.

        Raises:
            RefusedError: token, credits, plan or the quota of the day.
            SourceError: too large or too long for the plan, empty, unreadable, changed under way.
            ServiceError: refused otherwise.
            UsageError: inputs that exclude each other.
            TransientError: surely not created: not sent, rate limit, or another job is still queued.
            OutcomeUnknownError: sent, and no answer of the service came back.
        """
        body = creation.body(self._with_token({}))
        created = parse_created(await self._post_once("separation/create", body, report=report))
        if not created.hash:
            raise OutcomeUnknownError("MVSEP separation/create: accepted, but the answer names no job")
        return created

    async def get(self, job: str, *, origin: str = "", mirror: bool = False) -> JobAnswer:
        """Ask how far a job is; ``status`` is ``not_found`` for one that is unknown, deleted or expired.

        Args:
            job: its real hash.
            origin: API base of the node it lives on (``origin_of``); default the configured base.
            mirror: ask for links at a mirror, which needs the token and costs one credit; sent once.
        """
        query = {"hash": job, "mirror": str(int(mirror))}
        answer = await self._fetch("separation/get", query, origin=origin, with_token=mirror, once=mirror)
        return self._read_job("separation/get", answer)

    async def get_remote(self, job: str, *, origin: str = "") -> JobAnswer:
        """Ask about a job made from a URL by its short hash; once done, ``hash`` and ``link`` name the real job."""
        answer = await self._fetch("separation/get-remote", {"hash": job}, origin=origin)
        return self._read_job("separation/get-remote", answer)

    async def cancel(self, job: str, *, origin: str = "") -> Notice:
        """Cancel a job that waits; its credits come back.

        Raises:
            ServiceError: it is too late, or there is no such job.
        """
        return parse_notice(await self._post("separation/cancel", {"hash": job}, origin=origin))

    async def delete(self, job: str, *, origin: str = "") -> Notice:
        """Remove a job and its files (experimental).

        Raises:
            ServiceError: there is no such job.
        """
        return parse_notice(await self._post("separation/delete", {"hash": job}, origin=origin))

    async def download(
        self,
        url: str,
        target: Path,
        *,
        size: int | None = None,
        limit: int = 8 << 30,
        report: Bytes | None = None,
        part: Path | None = None,
        earlier: Sequence[Path] = (),
    ) -> int:
        """Bring a result file (``ResultFile.url``) without credentials; see ``Transfer.download``."""
        return await self.transfer.download(
            url, target, size=size, limit=limit, report=report, part=part, earlier=earlier
        )

    def _read_job(self, path: str, answer: Answer) -> JobAnswer:
        """Read an answer about a job: also ``success: false`` is one, if it says anything about the job."""
        found = parse_job(answer.data)
        if not found.status and not answer.is_success:
            self._check(path, answer)
        return found
