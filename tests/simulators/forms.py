"""Form bodies: urlencoded, and multipart whose files stay where they were received."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from urllib.parse import parse_qsl

from tests.simulators.blobs import Blob

_LONGEST_HEAD = 1 << 16


class FormError(ValueError):
    """A form that cannot be read."""


@dataclass(frozen=True)
class Upload:
    """One file of a form: the name the client gave it, its type and its bytes."""

    filename: str
    content_type: str
    blob: Blob

    @property
    def length(self) -> int:
        return self.blob.length

    @cached_property
    def sha256(self) -> str:
        return self.blob.sha256()


@dataclass
class Form:
    """The fields of a form; of a repeated field the last counts."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)


def read_form(content_type: str, body: Blob) -> Form:
    """Read a form of either kind; any other body is an empty form.

    Raises:
        FormError: it is neither complete nor well-formed.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return Form(dict(parse_qsl(body.read().decode("utf-8", "replace"), keep_blank_values=True)))
    if kind == "multipart/form-data":
        return _read_multipart(content_type, body)
    return Form()


def _read_multipart(content_type: str, body: Blob) -> Form:
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)
    if boundary is None:
        raise FormError("multipart without a boundary")
    mark = b"--" + boundary[1].encode("ascii", "surrogateescape")
    found = body.positions(mark)
    if not found or found[0] != 0 or body.cut(found[-1] + len(mark), 2).read() != b"--":
        raise FormError("multipart without its last boundary")
    form = Form()
    for start, end in pairwise(found):
        _read_part(body.cut(start + len(mark) + 2, end - start - len(mark) - 4), form)
    return form


def _read_part(part: Blob, form: Form) -> None:
    head = part.cut(0, _LONGEST_HEAD).read()
    split = head.find(b"\r\n\r\n")
    if split < 0:
        raise FormError("a part without an end of its head")
    lines = head[:split].decode("utf-8", "surrogateescape").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    content = part.cut(split + 4, part.length)
    disposition = headers.get("content-disposition", "")
    name = _parameter(disposition, "name")
    filename = _parameter(disposition, "filename")
    if name is None:
        raise FormError("a part without a name")
    if filename is None:
        form.fields[name] = content.read().decode("utf-8", "replace")
    else:
        form.files[name] = Upload(filename, headers.get("content-type", "application/octet-stream"), content)


def _parameter(disposition: str, name: str) -> str | None:
    """Return a parameter as browsers write it, ``%22`` for a quotation mark, UTF-8 otherwise as it is."""
    found = re.search(rf'[;\s]{name}="((?:[^"\\]|\\.)*)"', disposition) or re.search(
        rf"[;\s]{name}=([^;\s]+)", disposition
    )
    if found is None:
        return None
    return re.sub(r"\\(.)", r"\1", found[1]).replace("%22", '"')
