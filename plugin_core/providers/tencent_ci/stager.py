"""The stager ``cos``: an object in the bucket, readable by link for some hours."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from pathlib import Path
from typing import Final

from plugin_core.errors import ServiceError
from plugin_core.files.disk import explain_read_error
from plugin_core.providers.tencent_ci.multipart import hash_part, upload_file
from plugin_core.providers.tencent_ci.objects import BegunFile, ObjectHead
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.settings import Secret
from plugin_core.stagers import Ledger, check_key, staged_name
from plugin_core.transfer import Transfer

_log = logging.getLogger(__name__)


class CosStager:
    """Stages files in a COS bucket.

    Args:
        settings: section ``[tencent]``.
        home: stembridge's home, where is kept what was staged for which job.
        transfer: the way there; default one with the network behind it.
    """

    name = "cos"

    def __init__(self, settings: TencentSettings, home: Path, *, transfer: Transfer | None = None) -> None:
        self._settings = settings
        self._service = Service(settings, transfer, time.time)
        self._ledger = Ledger(home / "staged" / self.name)
        self._begun = home / "staged" / f"{self.name}-uploads"

    async def stage(self, path: Path, key: str) -> str:
        """Upload the file, unless the bucket has it, and return a link good for some hours."""
        name = await self._own_name(path)
        if not name:
            name = f"{self._folder(key)}{staged_name(path, key)}"
            await asyncio.to_thread(self._ledger.note, key, name)
            await upload_file(self._service.objects, path, name, kept=self._kept(key))
        return self._service.objects.link(name, self._settings.link_hours * 3600)

    async def unstage(self, key: str) -> None:
        objects, folder = self._service.objects, self._folder(key)
        names = await asyncio.to_thread(self._ledger.names, key)
        for name in await self._listed(folder) if names is None else names:
            await objects.delete(name)
        try:
            await objects.abort_uploads(folder, self._kept(key))
        except ServiceError as error:
            _log.info("unfinished uploads of job %s are not looked for: %s", key, error)
        await asyncio.to_thread(self._ledger.forget, key)

    async def link(self, key: str) -> Secret | None:
        """Return a link good for some hours to any object of the bucket; None when there is none.

        Raises:
            TransientError: no answer now.
            StembridgeError: refused.
        """
        objects = self._service.objects
        if await objects.head(key) is None:
            return None
        return objects.link(key, self._settings.link_hours * 3600)

    async def find(self, beginning: str) -> list[str]:
        return await self._service.objects.list_keys(beginning)

    async def remove(self, key: str) -> None:
        await self._service.objects.delete(key)

    async def _own_name(self, path: Path) -> str:
        """Return the name of the user's own object that is the file, byte for byte; "" when none surely is.

        It is not written down as staged, and never removed.
        """
        library = self._settings.library
        if library == Path():
            return ""
        try:
            below = (await asyncio.to_thread(path.resolve)).relative_to(await asyncio.to_thread(library.resolve))
        except ValueError:
            return ""
        name = f"{self._settings.library_prefix}{below.as_posix()}"
        head = await self._service.objects.head(name)
        if head is None or not await asyncio.to_thread(_is_same, path, head):
            return ""
        return name

    async def _listed(self, folder: str) -> list[str]:
        """Ask the bucket: another machine, or a home that is lost, may have staged it."""
        try:
            return await self._service.objects.list_keys(folder)
        except ServiceError as error:
            _log.info("%s is not listed: %s", folder, error)
            return []

    def _kept(self, key: str) -> BegunFile:
        return BegunFile(self._begun / check_key(key))

    def _folder(self, key: str) -> str:
        return f"{self._settings.folder}links/{check_key(key)}/"


_PART_SIZES: Final = tuple(
    size << 20 for size in (1, 2, 4, 5, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024)
)
"""Bytes of a part, as programs that upload in parts usually have them."""


def _is_same(path: Path, head: ObjectHead) -> bool:
    """Tell whether a file is an object: by the digest of it, or of the digests of its parts, if their size is usual."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise explain_read_error(path, error) from error
    if not 0 < size == head.size:
        return False
    digest, dash, count = head.etag.lower().partition("-")
    if not dash:
        return hash_part(path, 0, size) == digest
    likely = {min(part, size) for part in _PART_SIZES if str(-(-size // part)) == count}
    return any(_hash_parts(path, size, part) == digest for part in likely)


def _hash_parts(path: Path, size: int, part: int) -> str:
    digests = (bytes.fromhex(hash_part(path, offset, part)) for offset in range(0, size, part))
    return hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
