"""Serving files as an object store does: whole, by range, or changed meanwhile."""

from __future__ import annotations

import re
from email.utils import formatdate

from tests.simulators.blobs import Blob
from tests.simulators.messages import Answer, Request


def serve(
    request: Request,
    content: Blob,
    *,
    etag: str | None = None,
    modified: float | None = None,
    content_type: str = "application/octet-stream",
    has_ranges: bool = True,
) -> Answer:
    """Answer a GET or HEAD with the content: 200, 206 for one range, 416 for a range that is not there.

    A range whose If-Range (ETag, or date) does not fit any more gets the whole. ``etag`` is given without quotes.
    """
    headers = {"Content-Type": content_type}
    if etag is not None:
        headers["ETag"] = f'"{etag}"'
    if modified is not None:
        headers["Last-Modified"] = formatdate(modified, usegmt=True)
    if not has_ranges or request.has_fault("no_range"):
        return Answer(200, content, headers)
    headers["Accept-Ranges"] = "bytes"
    if not request.headers.get("range") or not _fits(request.headers.get("if-range"), headers):
        return Answer(200, content, headers)
    return _part(request.headers["range"], content, headers)


def _fits(condition: str | None, headers: dict[str, str]) -> bool:
    return condition is None or condition in (headers.get("ETag"), headers.get("Last-Modified"))


def _part(asked: str, content: Blob, headers: dict[str, str]) -> Answer:
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.strip())
    if found is None or not any(found.groups()):
        return Answer(200, content, headers)
    size = content.length
    if found[1]:
        start, end = int(found[1]), min(int(found[2]) if found[2] else size - 1, size - 1)
    else:
        start, end = max(0, size - int(found[2])), size - 1
    if start >= size or end < start:
        return Answer(416, Blob.of(b""), {**headers, "Content-Range": f"bytes */{size}"})
    return Answer(206, content.cut(start, end - start + 1), {**headers, "Content-Range": f"bytes {start}-{end}/{size}"})
