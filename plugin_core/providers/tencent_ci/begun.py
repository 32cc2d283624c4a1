"""An upload in parts as its job knows it: for accounts that may not ask the service which uploads are under way."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

import msgspec

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
        """Return what is kept."""
        if self._path is None:
            return Begun()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Begun)
        except (OSError, msgspec.MsgspecError):
            return Begun()

    def write(self, begun: Begun) -> None:
        """Keep it, whole or not at all."""
        if self._path is None:
            return
        scratch = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(msgspec.json.encode(begun))
            scratch.replace(self._path)
        except OSError as error:
            _log.warning("%s cannot be written: %s", FILE_NAME, error.strerror)

    def forget(self) -> None:
        """Keep it no longer; absent is fine."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
