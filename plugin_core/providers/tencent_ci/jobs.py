"""Jobs as CI speaks of them: the request that makes one, what comes back, and what that means to the core."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec

from plugin_core.callbacks import read_json
from plugin_core.errors import GoneError, ServiceError, UnchargedError
from plugin_core.model import Progress, RemoteFile, disarm
from plugin_core.protocols import Finished, Waiting
from plugin_core.providers.tencent_ci.caller import nodes_of, read_xml, text_of, write_xml
from plugin_core.providers.tencent_ci.rules import TAG, AudioConfig, load_rules
from plugin_core.transfer.redaction import redact

WORKING: Final = ("Submitted", "Running", "Pause")
SUCCESS: Final = "Success"
FAILED: Final = "Failed"
CANCELLED: Final = "Cancel"

_MD5: Final = re.compile(r"[0-9A-Fa-f]{32}\Z")


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """Where CI tells that a job ended; an empty URL asks for nothing."""

    url: str = ""
    format: str = ""
    kind: str = ""
    queue: dict[str, str] = {}
    """MqRegion, MqMode and MqName, for the kind ``TDMQ``."""

    def nodes(self) -> dict[str, object]:
        return {
            "CallBack": self.url,
            "CallBackFormat": self.format,
            "CallBackType": self.kind,
            "CallBackMqConfig": self.queue,
        }


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One VoiceSeparate job to be made."""

    source: str
    """Key of the source in the bucket of the host."""
    bucket: str
    region: str
    outputs: dict[str, str]
    """Key of each stem, by stem."""
    mode: str = ""
    config: AudioConfig | None = None
    template: str = ""
    """Id of a template; it outranks mode and config."""
    user_data: str = ""
    level: str = ""
    queue: str = ""
    callback: Callback = Callback()

    def to_xml(self) -> bytes:
        """Return the body of ``POST /jobs``."""
        keys = {node: self.outputs.get(stem, "") for stem, node in load_rules().outputs.items()}
        how: dict[str, object] = (
            {"TemplateId": self.template}
            if self.template
            else {TAG: {"AudioMode": self.mode, "AudioConfig": self.config.nodes() if self.config else {}}}
        )
        return write_xml(
            "Request",
            {
                "Tag": TAG,
                "Input": {"Object": self.source},
                "Operation": {
                    **how,
                    "Output": {"Region": self.region, "Bucket": self.bucket, **keys},
                    "UserData": self.user_data,
                    "JobLevel": self.level,
                },
                "QueueId": self.queue,
                **self.callback.nodes(),
            },
        )


class Result(msgspec.Struct, frozen=True):
    """One object that a job made."""

    stem: str
    """Canonical name; the file's own when the job does not say which it is."""
    key: str
    md5: str = ""


class JobDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A job as CI describes it."""

    id: str
    state: str
    code: str = ""
    message: str = ""
    progress: float | None = None
    """0 to 1."""
    created: str = ""
    queue: str = ""
    user_data: str = ""
    source: str = ""
    bucket: str = ""
    region: str = ""
    results: tuple[Result, ...] = ()
    raw: Mapping[str, Any] = {}
    """The whole description."""

    @property
    def answer(self) -> str:
        """The whole description as JSON, but for where CI calls."""
        return redact(json.dumps(_without_callback(self.raw), ensure_ascii=False))

    @property
    def is_working(self) -> bool:
        """Whether CI still has something to do; a paused queue goes on later, a word not known yet counts as work."""
        return self.state not in (SUCCESS, FAILED, CANCELLED)

    @property
    def is_unclear(self) -> bool:
        """Whether the state is none, or a word that nobody knows."""
        return self.is_working and self.state not in WORKING

    @property
    def reason(self) -> str:
        """Why it failed, in CI's words."""
        return ": ".join(text for text in (self.code, self.message) if text and text != "Success") or "no reason given"


def _without_callback(node: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out where CI calls, at any depth: an address that nobody else may know."""
    return {
        name: _without_callback(each) if isinstance(each, Mapping) else each
        for name, each in node.items()
        if not name.startswith("CallBack")
    }


class JobPage(msgspec.Struct, frozen=True):
    """One page of a list."""

    jobs: tuple[JobDetail, ...]
    next_token: str = ""
    unknown: tuple[str, ...] = ()
    """Ids that CI does not know."""


def read_page(document: Mapping[str, Any]) -> JobPage:
    """Read an answer that holds jobs."""
    return JobPage(
        tuple(_read_job(node) for node in nodes_of(document, "JobsDetail")),
        text_of(document.get("NextToken")),
        tuple(_texts(document.get("NonExistJobIds"))),
    )


def _read_job(node: Mapping[str, Any]) -> JobDetail:
    operation = _node(node, "Operation")
    source = _node(node, "Input")
    output = _node(operation, "Output")
    return JobDetail(
        id=text_of(node.get("JobId")),
        state=text_of(node.get("State")),
        code=text_of(node.get("Code")),
        message=text_of(node.get("Message")),
        progress=_share(text_of(node.get("Progress"))),
        created=_moment(text_of(node.get("CreationTime"))),
        queue=text_of(node.get("QueueId")),
        user_data=text_of(operation.get("UserData")) or text_of(node.get("UserData")),
        source=text_of(source.get("Object")),
        bucket=text_of(output.get("Bucket")),
        region=text_of(output.get("Region")),
        results=_read_results(operation, output),
        raw=node,
    )


def _read_results(operation: Mapping[str, Any], output: Mapping[str, Any]) -> tuple[Result, ...]:
    """Match the objects that were made with the keys that were asked for: their order means nothing."""
    asked = {
        text_of(output.get(node)): stem for stem, node in load_rules().outputs.items() if text_of(output.get(node))
    }
    made = _node(_node(operation, "MediaResult"), "OutputFile")
    sums = {each["ObjectName"]: each["Md5"] for each in _sums(made)}
    # A name whose wildcards nobody filled in is the name of nothing.
    keys = list(dict.fromkeys(_texts(made.get("ObjectName")))) or [key for key in asked if "${" not in key]
    return tuple(Result(_stem_of(key, asked), key, sums.get(key, "")) for key in keys)


def _sums(made: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return object and digest of each ``Md5Info``; its name comes as a list of one, like every ``ObjectName``.

    A digest in another form than 32 hexadecimal digits is left out: no download would ever match it.
    """
    return [
        {"ObjectName": next(iter(_texts(each.get("ObjectName"))), ""), "Md5": text}
        for each in nodes_of(made, "Md5Info")
        if _MD5.match(text := text_of(each.get("Md5")).strip('"'))
    ]


def _stem_of(key: str, asked: Mapping[str, str]) -> str:
    """Return the stem that a key was asked for: by the whole key, else by its name without extension."""
    if key in asked:
        return asked[key]
    name = PurePosixPath(key).stem
    by_name = {PurePosixPath(each).stem: stem for each, stem in asked.items()}
    return by_name.get(name, name)


def _node(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    return next(iter(nodes_of(parent, name)), {})


def _texts(node: object) -> list[str]:
    each = node if isinstance(node, list) else [node]
    return [text for text in map(text_of, each) if text]


def _share(text: str) -> float | None:
    try:
        return min(max(float(text) / 100, 0.0), 1.0)
    except ValueError:
        return None


def _moment(text: str) -> str:
    return "" if text == "-" else text


_WHAT = "callback of Tencent CI"


def read_names(body: bytes) -> set[str]:
    """Return the job ids and the UserData in a callback; nothing signs it, so that it is only a hint.

    Raises:
        ServiceError: it is neither XML without a document type nor JSON.
    """
    page = read_page(_document(body))
    return {name for job in page.jobs for name in (job.id, job.user_data) if name}


def _document(body: bytes) -> Mapping[str, Any]:
    if body.lstrip().startswith(b"<"):
        return read_xml(body, _WHAT)
    document = read_json(body, _WHAT)
    if not isinstance(document, dict):
        raise ServiceError(f"{_WHAT}: no object")
    inner = document.get("Response")
    return inner if isinstance(inner, dict) else document


SCHEME: Final = "cos://"
"""What begins the address of a result: an object, which only our keys can read."""

_NOTES: Final = {
    "Submitted": "waiting at Tencent CI",
    "Running": "separating",
    "Pause": "paused: the queue at Tencent CI is stopped in the console",
}
_LONGEST: Final = 300


def pick_job(page: JobPage, job: str) -> JobDetail | None:
    """Return one job of an answer; None when CI does not know it."""
    return next((each for each in page.jobs if each.id == job), None)


def read_state(job: JobDetail | None, seconds: float) -> Waiting | Finished:
    """Return what an answer means.

    Args:
        job: as CI describes it; None when it knows none.
        seconds: until the next look.

    Raises:
        UnchargedError: it failed or was cancelled.
        GoneError: it is not known any more.
        ServiceError: it made nothing.
    """
    if job is None:
        raise GoneError("Tencent CI does not know the job any more", remedy="the separation has to be made again")
    if job.state == FAILED:
        raise UnchargedError(f"Tencent CI failed the separation: {_plain(job.reason)}")
    if job.state == CANCELLED:
        raise UnchargedError("the job was cancelled at Tencent CI", remedy="make it again if that was not meant")
    if job.is_working:
        note = _NOTES.get(job.state, _plain(job.state)[:40] or "working")
        unclear = f"state {job.state!r}" if job.is_unclear else ""
        return Waiting(seconds=seconds, progress=Progress(note=note, fraction=job.progress), unclear=unclear)
    if not job.results:
        raise ServiceError(
            "Tencent CI says the job succeeded, and its results are not in the bucket",
            remedy="the separation has to be made again",
        )
    files = tuple(_describe(job.bucket, each.stem, each.key, each.md5) for each in job.results)
    return Finished(files=files, answer=job.answer)


def object_of(file: RemoteFile) -> str:
    """Return the key of a result's object."""
    return file.url.removeprefix(SCHEME).partition("/")[2]


def _describe(bucket: str, stem: str, key: str, md5: str) -> RemoteFile:
    name = PurePosixPath(key).name
    return RemoteFile(label=stem, stem=stem, name=name, url=f"{SCHEME}{bucket}/{key}", md5=md5.lower())


def _plain(text: str) -> str:
    return disarm(" ".join(text.split()))[:_LONGEST]
