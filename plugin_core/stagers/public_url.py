"""The stager ``public_url``: a folder that a web server shows under an address."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from plugin_core.errors import PlacementError, SettingsError, StembridgeError, TransientError
from plugin_core.files.disk import AWAY, FULL, explain_read_error, explain_write_error
from plugin_core.model import Finding, Verdict, show_path
from plugin_core.stagers import check_key, staged_name

FOLDER_PREFIX = "stembridge-"
"""What the folders begin with that we make; nothing else is ever removed."""


class PublicUrlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that a web server shows."""

    base_url: str = ""
    """Address of the folder: ``https://files.example.org/stems``."""
    folder: Path = Path()
    """The folder on this machine."""


class PublicUrlStager:
    """Stages files in a folder; those that lie in it already stay where they are.

    Args:
        settings: section ``[public_url]``.

    Raises:
        SettingsError: the address or the folder is none.
    """

    name = "public_url"

    def __init__(self, settings: PublicUrlSettings) -> None:
        parts = urlsplit(settings.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise SettingsError(
                "[public_url] base_url is no address of a folder", remedy="it looks like https://host/x"
            )
        if not settings.folder.is_absolute():
            raise SettingsError(
                "[public_url] folder is not set, or not from the root on",
                remedy="set it to the whole path of the folder that base_url shows",
            )
        self._base = settings.base_url.rstrip("/")
        self._root = settings.folder

    async def stage(self, path: Path, key: str) -> str:
        """Link or copy the file into the folder, unless it lies there, and return its address."""
        return await asyncio.to_thread(self._stage, path, key)

    async def unstage(self, key: str) -> None:
        """Remove what was staged for a job; absent is fine, and the user's own files are never touched."""
        await asyncio.to_thread(self._unstage, key)

    async def examine(self) -> Sequence[Finding]:
        try:
            await asyncio.to_thread(self._try)
        except StembridgeError as error:
            return [Finding(name=self.name, verdict=Verdict.WRONG, found=error.message, remedy=error.remedy)]
        return [Finding(name=self.name, verdict=Verdict.OK, found=f"{show_path(self._root)} can be written")]

    def _try(self) -> None:
        self._require_folder()
        try:
            with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, dir=self._root):
                pass
        except OSError as error:
            raise PlacementError(
                f"{show_path(self._root)} cannot be written: {error.strerror}", remedy="see [public_url] folder"
            ) from error

    def _require_folder(self) -> None:
        if not self._root.is_dir():
            raise TransientError(
                f"{show_path(self._root)} is no folder", remedy="mount it, or correct [public_url] folder"
            )

    def _stage(self, path: Path, key: str) -> str:
        inside = self._inside(path)
        if inside is not None:
            return self._address(inside)
        self._require_folder()
        target = self._folder(key) / staged_name(path, key)
        try:
            target.parent.mkdir(exist_ok=True)
            _place(path, target)
        except OSError as error:
            if error.filename is not None and Path(os.fsdecode(error.filename)) == path and error.filename2 is None:
                raise explain_read_error(path, error) from error
            if error.errno in FULL | AWAY:
                raise explain_write_error(target.parent, error) from error
            raise PlacementError(
                f"{show_path(target.parent)} cannot be written: {error.strerror}", remedy="see [public_url] folder"
            ) from error
        return self._address(target.relative_to(self._root))

    def _unstage(self, key: str) -> None:
        folder = self._folder(key)
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise PlacementError(
                f"{show_path(folder)} cannot be removed: {error.strerror}", remedy="remove it by hand"
            ) from error

    def _inside(self, path: Path) -> Path | None:
        """Return where in the folder a file lies; None when it does not."""
        with contextlib.suppress(ValueError):
            return path.resolve().relative_to(self._root.resolve())
        return None

    def _folder(self, key: str) -> Path:
        return self._root / f"{FOLDER_PREFIX}{check_key(key)}"

    def _address(self, relative: Path) -> str:
        return "/".join([self._base, *(quote(os.fsencode(part), safe="") for part in relative.parts)])


def _place(path: Path, target: Path) -> None:
    """Make the file appear whole under its name: by a hard link where that can be, else by copying."""
    scratch = target.with_name(f"{uuid.uuid4().hex}.part")
    try:
        if not _link(path, scratch):
            shutil.copyfile(path, scratch)
            scratch.chmod(0o644)
        scratch.replace(target)
    finally:
        # Renaming a link onto another of the same file leaves both.
        scratch.unlink(missing_ok=True)


def _link(path: Path, scratch: Path) -> bool:
    """Make a hard link, if the web server, which is another user, could read it."""
    if not path.stat().st_mode & stat.S_IROTH:
        return False
    try:
        # A symbolic link would be linked itself, and lead nowhere from another folder.
        scratch.hardlink_to(path.resolve())
    except OSError:
        # Another file system, or one without links.
        return False
    return True
