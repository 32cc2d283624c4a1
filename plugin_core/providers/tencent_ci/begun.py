"""An upload in parts as its job knows it: for accounts that may not ask the service which uploads are under way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.files.placement import write_durably
from plugin_core.model import from_json, to_json

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
