"""What the service says about one separation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from plugin_core.providers.mvsep.answers.drift import as_flag, as_mapping, read, read_all
from plugin_core.providers.mvsep.answers.words import read_words
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


_PHASES: Final = {
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

    @property
    def phase(self) -> Phase:
        """What the status means."""
        if self.status:
            return _PHASES.get(self.status, Phase.UNCLEAR)
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
