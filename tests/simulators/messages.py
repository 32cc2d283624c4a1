"""What comes in and what goes out: requests, answers, and the log of both."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.simulators.blobs import Blob
from tests.simulators.faults import Fault
from tests.simulators.forms import Form, read_form

LOGGED_BODY = 1 << 16


@dataclass
class LogEntry:
    """One request in the log; ``body`` is kept up to 64 KiB, of larger ones length and digest."""

    number: int
    time: float
    node: int
    method: str
    target: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    length: int = 0
    sha256: str = ""
    body: bytes = b""
    form: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    status: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "body": self.body.decode("utf-8", "replace")}


@dataclass
class Request:
    """One request, whole: ``headers`` by lower-case name, ``path`` decoded, ``query`` with the last of each name."""

    number: int
    node: int
    origin: str
    method: str
    target: str
    headers: dict[str, str]
    body: Blob
    sha256: str
    time: float
    log: LogEntry
    faults: list[Fault] = field(default_factory=list)
    is_body_kept: bool = False

    @property
    def raw_path(self) -> str:
        return urlsplit(self.target).path

    @property
    def raw_query(self) -> str:
        return urlsplit(self.target).query

    @cached_property
    def path(self) -> str:
        return unquote(self.raw_path)

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @cached_property
    def form(self) -> Form:
        """The form in the body, also written to the log.

        Raises:
            FormError: it cannot be read; the server answers 400.
        """
        form = read_form(self.headers.get("content-type", ""), self.body)
        self.log.form = dict(form.fields)
        self.log.files = {
            name: {"filename": file.filename, "length": file.length, "sha256": file.sha256}
            for name, file in form.files.items()
        }
        return form

    def has_fault(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self.faults)

    def find_fault(self, kind: str) -> Fault | None:
        return next((fault for fault in self.faults if fault.kind == kind), None)

    def json(self) -> Any:
        return json.loads(self.body.read())


@dataclass
class Answer:
    """One answer; Content-Length is added unless ``headers`` has it."""

    status: int = 200
    body: Blob = field(default_factory=lambda: Blob.of(b""))
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(value: object, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON; headers as keywords, ``Retry_After="1"``."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = Blob.of(json.dumps(value).encode())
    return Answer(status, body, {"Content-Type": "application/json", **named})


def text_answer(text: str, status: int = 200, content_type: str = "text/plain; charset=utf-8") -> Answer:
    return Answer(status, Blob.of(text.encode()), {"Content-Type": content_type})
