"""Files as objects, large ones in parts: several at once, and after a crash only those that are missing.

The service itself is asked which upload of the key is under way and which parts it has, so that a process that was
frozen meanwhile works on the same upload as its successor. Id and finished parts are kept in the job as well, for
accounts that may not ask.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import mimetypes
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import ServiceError, SourceError, TransientError
from plugin_core.files.disk import explain_read_error
from plugin_core.model import show_path
from plugin_core.providers.tencent_ci.caller import (
    nodes_of,
    read_words,
    read_xml,
    refusal,
    text_of,
    write_xml,
    xml_body,
)
from plugin_core.providers.tencent_ci.objects import NOTHING_KEPT, Begun, BegunFile, CosObjects
from plugin_core.tasks import run_stoppable, start
from plugin_core.transfer import Answer, Bytes, FileBody

MOST_PARTS: Final = 10_000
PART_PATIENCE: Final = 120.0
COMPLETE_PATIENCE: Final = 1200.0
"""Seconds the service may put parts together."""

_MIB: Final = 1 << 20
_log = logging.getLogger(__name__)


class UploadGoneError(Exception):
    """The upload ended under our hands: completed by another process, or given up; internal."""


class UploadedPart(msgspec.Struct, frozen=True):
    """One part that the service has."""

    number: int
    etag: str
    size: int


def part_size(size: int, wanted: int) -> int:
    """Return the bytes of a part: as wanted, or as many whole MiB as make few enough parts."""
    least = -(-size // MOST_PARTS)
    return max(wanted, -(-least // _MIB) * _MIB)


async def upload_file(
    objects: CosObjects, path: Path, key: str, report: Bytes | None = None, *, kept: BegunFile = NOTHING_KEPT
) -> None:
    """Make an object of a file: in parts if it is large, going on where an earlier process stopped.

    An object of that key and size counts as uploaded: keys belong to one job each.

    Args:
        objects: the bucket.
        path: the file.
        key: of the object.
        report: told of bytes sent.
        kept: where the job keeps what it knows of an upload in parts.

    Raises:
        SourceError: the file cannot be read, or changes.
        TransientError: no answer, or the file's disk is away.
        RefusedError: keys or rights.
        SettingsError: wrong bucket.
    """
    size = await asyncio.to_thread(_size_of, path)
    head = await objects.head(key)
    if head is not None and head.size == size:
        return
    settings = objects.caller.settings
    if size > settings.multipart_above_mb * _MIB:
        length = part_size(size, settings.part_mb * _MIB)
        at_once = settings.parts_at_once
        in_parts = MultipartUpload(
            objects, key, path, size=size, length=length, at_once=at_once, kept=kept, report=report
        )
        await in_parts.run()
    else:
        await objects.put(key, FileBody(path, media_type(path)), report)


class MultipartUpload:
    """One file on its way.

    Args:
        objects: the bucket.
        key: of the object.
        path: the file.
        size: its bytes.
        length: bytes of a part.
        at_once: parts on their way at the same time.
        kept: id and finished parts, as the job keeps them.
        report: told of bytes sent.
    """

    def __init__(
        self,
        objects: CosObjects,
        key: str,
        path: Path,
        *,
        size: int,
        length: int,
        at_once: int,
        kept: BegunFile,
        report: Bytes | None,
    ) -> None:
        self._objects = objects
        self._caller = objects.caller
        self._key = key
        self._path = path
        self._size = size
        self._length = length
        self._at_once = at_once
        self._kept = kept
        self._report = report
        self._sent: dict[int, int] = {}

    async def run(self) -> None:
        """Bring the file there.

        Raises:
            SourceError: it cannot be read, or changes.
            TransientError: to be continued.
        """
        stamp = await asyncio.to_thread(_stamp, self._path)
        for _ in range(2):
            earlier = await self._resume()
            upload_id = earlier or await self._begin()
            try:
                known = await self._known_parts(upload_id) if earlier else {}
                etags = await self._send_parts(upload_id, known)
                if await asyncio.to_thread(_stamp, self._path) != stamp:
                    await self._objects.abort(self._key, upload_id)
                    raise SourceError(
                        f"{show_path(self._path)} changed while it was uploaded",
                        remedy="try again once nothing writes to it",
                    )
                await self._complete(upload_id, etags)
            except UploadGoneError:
                pass
            await asyncio.to_thread(self._kept.forget)
            if await self._is_there():
                return
        raise TransientError("Tencent COS: the upload in parts was ended by another process")

    async def _is_there(self) -> bool:
        head = await self._objects.head(self._key)
        return head is not None and head.size == self._size

    async def _resume(self) -> str:
        """Return the id of the upload under way, the kept one where we may not ask; "" when there is none."""
        try:
            found = [upload_id for key, upload_id in await self._objects.list_uploads(self._key) if key == self._key]
        except ServiceError as error:
            _log.info("an upload that was begun earlier is not looked for: %s", error)
            kept = await asyncio.to_thread(self._kept.read)
            return kept.id if kept.key == self._key else ""
        return found[-1] if found else ""

    async def _begin(self) -> str:
        call = self._objects.call("POST", self._key, "Initiate Multipart Upload", {"uploads": ""}, xml_body(b""))
        answer = await self._caller.read(call)
        upload_id = text_of(answer.get("UploadId"))
        if not upload_id:
            raise TransientError("Tencent COS began an upload in parts and did not name it")
        await asyncio.to_thread(self._kept.write, Begun(self._key, upload_id))
        return upload_id

    async def _send_parts(self, upload_id: str, known: Mapping[int, UploadedPart]) -> dict[int, str]:
        """Send what the service does not have; return the tag of each part."""
        gate, keeping = asyncio.Semaphore(self._at_once), asyncio.Lock()
        count = -(-self._size // self._length)
        etags: dict[int, str] = {}

        async def send(number: int) -> None:
            async with gate:
                etags[number] = await self._known_etag(known.get(number), number) or await self._send(upload_id, number)
                async with keeping:
                    begun = Begun(self._key, upload_id, dict(etags))
                    # Cancelled, it is waited for: it must not come after what is kept of another try.
                    await run_stoppable(lambda _stopper: self._kept.write(begun))
                self._tell(number, self._size_of(number))

        tasks = [start(send(number)) for number in range(1, count + 1)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            # Nothing may be on its way any more once the caller goes on.
            await asyncio.gather(*tasks, return_exceptions=True)
        return etags

    async def _known_parts(self, upload_id: str) -> dict[int, UploadedPart]:
        parts: dict[int, UploadedPart] = {}
        marker = "0"
        while True:
            query = {"max-parts": "1000", "part-number-marker": marker, "uploadId": upload_id}
            call = self._objects.call("GET", self._key, "List Parts", query)
            answer = await self._caller.exchange(call)
            if answer.status == 404:
                raise UploadGoneError
            if not answer.is_success:
                _log.info("parts that were sent earlier are not listed: %s", refusal("List Parts", answer, 0.0))
                return await self._kept_parts(upload_id)
            page = read_xml(answer.content, call.what)
            found = [part for part in map(_read_part, nodes_of(page, "Part")) if part is not None]
            parts |= {part.number: part for part in found}
            following = text_of(page.get("NextPartNumberMarker"))
            if text_of(page.get("IsTruncated")) != "true" or not found or following == marker:
                return parts
            marker = following

    async def _kept_parts(self, upload_id: str) -> dict[int, UploadedPart]:
        kept = await asyncio.to_thread(self._kept.read)
        parts = kept.parts if (kept.key, kept.id) == (self._key, upload_id) else {}
        return {number: UploadedPart(number, etag, self._size_of(number)) for number, etag in parts.items()}

    async def _known_etag(self, part: UploadedPart | None, number: int) -> str:
        """Return the tag of a part that the service has if it holds these very bytes, else ""."""
        if part is None or part.size != self._size_of(number):
            return ""
        digest = await asyncio.to_thread(hash_part, self._path, (number - 1) * self._length, self._length)
        return part.etag if part.etag.strip('"').lower() == digest else ""

    async def _send(self, upload_id: str, number: int) -> str:
        body = FileBody(self._path, "", offset=(number - 1) * self._length, length=self._size_of(number))
        query = {"partNumber": str(number), "uploadId": upload_id}
        call = self._objects.call("PUT", self._key, f"Upload Part {number}", query, body)
        call = replace(call, patience=PART_PATIENCE, report=lambda sent, _total: self._tell(number, sent))
        answer = await self._caller.exchange(call)
        if read_words(answer).code == "NoSuchUpload":
            raise UploadGoneError
        etag = self._caller.check(call, answer).headers.get("etag", "")
        if not etag:
            raise TransientError(f"{call.what}: no ETag came back")
        return etag

    async def _complete(self, upload_id: str, etags: Mapping[int, str]) -> None:
        parts = [{"PartNumber": str(number), "ETag": etags[number]} for number in sorted(etags)]
        body = xml_body(write_xml("CompleteMultipartUpload", {"Part": parts}))
        call = self._objects.call("POST", self._key, "Complete Multipart Upload", {"uploadId": upload_id}, body)
        answer = await self._caller.exchange(replace(call, patience=COMPLETE_PATIENCE))
        # An error may come with status 200: only a tag means success.
        if answer.is_success and text_of(_read(answer, call.what).get("ETag")):
            return
        words = read_words(answer)
        if words.code == "NoSuchUpload":
            raise UploadGoneError
        error = refusal(call.what, answer, self._caller.clock())
        if isinstance(error, TransientError) or not words.code:
            raise TransientError(error.message)
        await self._objects.abort(self._key, upload_id)
        raise error

    def _size_of(self, number: int) -> int:
        return min(self._length, self._size - (number - 1) * self._length)

    def _tell(self, number: int, sent: int) -> None:
        self._sent[number] = sent
        if self._report is not None:
            self._report(sum(self._sent.values()), self._size)


def _read(answer: Answer, what: str) -> dict[str, object]:
    try:
        return read_xml(answer.content, what)
    except ServiceError:
        return {}


def _read_part(node: Mapping[str, object]) -> UploadedPart | None:
    number, size = text_of(node.get("PartNumber")), text_of(node.get("Size"))
    if not number.isdecimal() or not size.isdecimal():
        return None
    return UploadedPart(int(number), text_of(node.get("ETag")), int(size))


def hash_part(path: Path, offset: int, length: int) -> str:
    """Return the MD5 of a stretch of a file, hexadecimal: the tag that the service gives a part.

    Raises:
        SourceError: the file cannot be read.
        TransientError: its disk is away.
    """
    found = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while length and (block := file.read(min(_MIB, length))):
                found.update(block)
                length -= len(block)
    except OSError as error:
        raise explain_read_error(path, error) from error
    return found.hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise explain_read_error(path, error) from error
    return status.st_size, status.st_mtime_ns


def media_type(path: Path) -> str:
    """Return the media type that a file's suffix says."""
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise explain_read_error(path, error) from error
