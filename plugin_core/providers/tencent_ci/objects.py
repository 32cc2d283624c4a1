"""Objects in a COS bucket: their names, streamed up and down, asked for, linked to and removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import RefusedError, ServiceError, TransientError
from plugin_core.files.placement import write_durably
from plugin_core.model import disarm, from_json, to_json
from plugin_core.providers.tencent_ci.caller import REQUEST_ID, CosCaller, Query, nodes_of, read_words, text_of
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.providers.tencent_ci.signature import presign, quote_path
from plugin_core.settings import Secret
from plugin_core.stagers import check_key
from plugin_core.transfer import Body, Bytes, Call
from plugin_core.transfer.calls import MissingError

SOURCE_SUFFIXES: Final = (".flac", ".wav")
"""What a source is uploaded as."""


def job_folder(prefix: str, key: str) -> str:
    """Return what the names of a job's objects begin with.

    Raises:
        UsageError: the job's key is none that may stand in a name.
    """
    return f"{prefix}{check_key(key)}/"


def source_key(prefix: str, key: str, suffix: str) -> str:
    """Return the name of a job's uploaded source."""
    return f"{job_folder(prefix, key)}source{suffix}"


def source_keys(prefix: str, key: str) -> tuple[str, ...]:
    """Return every name that a job's uploaded source can have."""
    return tuple(source_key(prefix, key, suffix) for suffix in SOURCE_SUFFIXES)


def output_keys(settings: TencentSettings, key: str, stems: Iterable[str]) -> dict[str, str]:
    """Return what CI is asked to name the stems; it fills in its own job id and the suffix."""
    pattern = settings.results or f"{job_folder(settings.folder, key)}${{jobid}}/${{stem}}.${{ext}}"
    return {stem: pattern.replace("${stem}", stem) for stem in stems}


def expected_keys(settings: TencentSettings, key: str, stems: Iterable[str], job: str, codec: str) -> dict[str, str]:
    """Return the name that each stem gets, as far as can be known without asking."""
    asked = output_keys(settings, key, stems)
    return {stem: name.replace("${jobid}", job).replace("${ext}", codec) for stem, name in asked.items()}


FILE_NAME: Final = "upload.json"

_log = logging.getLogger(__name__)


class Begun(msgspec.Struct, frozen=True):
    """One upload that was begun; an empty id when there is none."""

    key: str = ""
    id: str = ""
    parts: dict[int, str] = {}
    """Tag of each finished part, by number."""


class BegunFile:
    """Where that is kept; every method blocks.

    Args:
        path: in a folder that outlives a crash; None to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self) -> Begun:
        try:
            return from_json(self._path.read_bytes(), Begun) if self._path is not None else Begun()
        except (OSError, msgspec.MsgspecError):
            return Begun()

    def write(self, begun: Begun) -> None:
        """Keep it, whole or not at all; without it an upload begins anew, which costs time alone."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._path, to_json(begun))
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path.name, error.strerror)

    def forget(self) -> None:
        """Keep it no longer; absent is fine."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


NOTHING_KEPT: Final = BegunFile(None)

UPLOAD_PATIENCE: Final = 300.0
DOWNLOAD_SECONDS: Final = 6 * 3600
"""How long the link of one download is good for; a slower one goes on with a new link."""

_PAGES: Final = 100


class ObjectHead(msgspec.Struct, frozen=True):
    """What is known of an object."""

    size: int | None
    etag: str = ""


class CosObjects:
    """The objects of one bucket; keys have no leading slash. Every call raises what ``CosCaller.send`` does.

    Args:
        caller: the way to COS.
    """

    def __init__(self, caller: CosCaller) -> None:
        self.caller = caller

    async def put(self, key: str, body: Body, report: Bytes | None = None) -> None:
        """Make an object in one request."""
        call = self.call("PUT", key, "PUT", body=body)
        await self.caller.send(replace(call, patience=UPLOAD_PATIENCE, report=report))

    async def head(self, key: str) -> ObjectHead | None:
        """Return what is known of an object; None when there is none."""
        call = self.call("HEAD", key, "HEAD")
        answer = await self.caller.exchange(call)
        if answer.status == 404:
            return None
        if not answer.is_success:
            await self._ask_why(key, is_known=False)
        self.caller.check(call, answer)
        length = answer.headers.get("content-length", "")
        return ObjectHead(int(length) if length.isdecimal() else None, answer.headers.get("etag", "").strip('"'))

    async def delete(self, key: str) -> None:
        """Remove an object; absent is fine."""
        call = self.call("DELETE", key, "DELETE")
        answer = await self.caller.exchange(call)
        if answer.status != 404 or read_words(answer).code == "NoSuchBucket":
            self.caller.check(call, answer)

    def link(self, key: str, seconds: float) -> Secret:
        """Return a URL with which anybody can read an object for some time.

        Raises:
            RefusedError: there are no keys.
            SettingsError: wrong bucket or region.
        """
        credentials = self.caller.settings.credentials()
        return presign(credentials, "GET", self._url(key), now=self.caller.clock(), seconds=int(seconds))

    async def download(
        self,
        key: str,
        target: Path,
        *,
        md5: str = "",
        limit: int,
        report: Bytes | None = None,
        part: Path | None = None,
        earlier: Sequence[Path] = (),
    ) -> int:
        """Bring an object to a file, resumed and checked; return its size in bytes.

        Raises:
            MissingError: there is no such object.
            DigestError: it never has the digest.
            ServiceError: it is too large.
            TransientError: network or disk; to be continued.
            RefusedError: keys or rights.
        """
        head = await self.head(key)
        if head is None:
            try:
                await self._ask_why(key)
            except RefusedError:
                raise
            except ServiceError as error:
                raise MissingError(error.message, remedy=error.remedy) from error
            raise MissingError(f"{disarm(key)} is gone from the bucket", remedy="the separation has to be made again")
        if head.size is not None and head.size > limit:
            raise ServiceError(f"{disarm(key)} has {head.size} bytes, more than the {limit} that make sense")
        transfer = self.caller.transfer
        try:
            return await transfer.download(
                self.link(key, DOWNLOAD_SECONDS).reveal(),
                target,
                size=head.size,
                md5=md5,
                limit=limit,
                report=report,
                part=part,
                earlier=earlier,
            )
        except ServiceError as error:
            # A link that was refused says nothing about the object, which is paid for.
            if await self.head(key) is None:
                raise
            raise TransientError(error.message) from error

    async def list_keys(self, prefix: str) -> list[str]:
        """Return every key that begins so."""
        keys: list[str] = []
        marker = ""
        for _ in range(_PAGES):
            query = {"prefix": prefix, "max-keys": "1000"} | ({"marker": marker} if marker else {})
            page = await self.caller.read(self.call("GET", "", "GET Bucket", query))
            found = [text_of(node.get("Key")) for node in nodes_of(page, "Contents")]
            keys += [key for key in found if key.startswith(prefix)]
            if text_of(page.get("IsTruncated")) != "true" or not found:
                return keys
            marker = text_of(page.get("NextMarker")) or found[-1]
        return keys

    async def list_uploads(self, prefix: str) -> list[tuple[str, str]]:
        """Return key and id of every multipart upload under way below a prefix, oldest first."""
        query = {"uploads": "", "prefix": prefix, "max-uploads": "1000"}
        page = await self.caller.read(self.call("GET", "", "List Multipart Uploads", query))
        nodes = sorted(nodes_of(page, "Upload"), key=lambda node: text_of(node.get("Initiated")))
        found = [(text_of(node.get("Key")), text_of(node.get("UploadId"))) for node in nodes]
        return [(key, upload_id) for key, upload_id in found if key.startswith(prefix) and upload_id]

    async def abort_uploads(self, prefix: str, kept: BegunFile = NOTHING_KEPT) -> None:
        """Give up every multipart upload under way below a prefix: the kept one, and all that are listed."""
        begun = await asyncio.to_thread(kept.read)
        if begun.id and begun.key.startswith(prefix):
            await self.abort(begun.key, begun.id)
        await asyncio.to_thread(kept.forget)
        for key, upload_id in await self.list_uploads(prefix):
            await self.abort(key, upload_id)

    async def abort(self, key: str, upload_id: str) -> None:
        """Give up one multipart upload; absent is fine."""
        call = self.call("DELETE", key, "Abort Multipart Upload", {"uploadId": upload_id})
        answer = await self.caller.exchange(call)
        if answer.status != 404:
            self.caller.check(call, answer)

    async def head_bucket(self) -> None:
        """Ask whether the bucket is there and may be used.

        Raises:
            TransientError: something answers that is not COS, as the login page of a network does.
        """
        call = self.call("HEAD", "", "HEAD Bucket")
        answer = await self.caller.exchange(call)
        if not answer.is_success:
            await self.caller.send(self.call("GET", "", "GET Bucket", {"max-keys": "1"}))
        if REQUEST_ID not in self.caller.check(call, answer).headers:
            raise TransientError(f"{call.what}: what answers is not COS", remedy="check the network and its proxy")

    def call(self, method: str, key: str, what: str, query: Query | None = None, body: Body | None = None) -> Call:
        """Return a signed call about one object."""
        return self.caller.call(method, self._url(key), f"Tencent COS {what}", query, body)

    def _url(self, key: str) -> str:
        return self.caller.settings.cos_url() + quote_path(key)

    async def _ask_why(self, key: str, *, is_known: bool = True) -> None:
        """Raise what a refused HEAD, which has no body, could not say; that the object is absent, if ``is_known``."""
        call = self.call("GET", key, "GET")
        answer = await self.caller.exchange(replace(call, headers={"Range": "bytes=0-0"}))
        if is_known or answer.status != 404:
            self.caller.check(call, answer)
