"""``/storage``: results and uploads, public, on the node of their job only, until they expire."""

from __future__ import annotations

import zlib

from tests.simulators.blobs import Blob
from tests.simulators.messages import Answer, Request, text_answer
from tests.simulators.mvsep.service import MvsepSimulator
from tests.simulators.mvsep.statuses import file_name
from tests.simulators.storage import serve

_TYPES = {"mp3": "audio/mpeg", "wav": "audio/x-wav", "flac": "audio/flac", "m4a": "audio/mp4", "mid": "audio/midi"}


def download(service: MvsepSimulator, request: Request) -> Answer:
    """Serve a file with an ETag, by range if ranges are on."""
    if request.method not in ("GET", "HEAD"):
        return text_answer("Method Not Allowed", 405)
    kind, _, name = request.path.removeprefix("/storage/").partition("/")
    with service.lock:
        content = _find(service, request.node, kind, name)
    if content is None:
        return text_answer("<html><body><h1>404 Not Found</h1></body></html>", 404, "text/html")
    suffix = name.rpartition(".")[2]
    return serve(
        request,
        content,
        etag=f"{content.length:x}-{zlib.crc32(name.encode()):x}",
        content_type=_TYPES.get(suffix, "application/octet-stream"),
        has_ranges=service.has_ranges,
    )


def _find(service: MvsepSimulator, node: int, kind: str, name: str) -> Blob | None:
    now = service.clock()
    for job in service.jobs_named(name):
        if job.node != node or job.status(now) == "not_found":
            continue
        if kind == "temp" and name == job.hash:
            return job.order.upload
        if kind == "processed":
            return next((one.content for one in job.results or [] if file_name(job, one) == name), None)
    return None
