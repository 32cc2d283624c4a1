"""An upload in parts as its job knows it: for accounts that may not ask the service which uploads are under way."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from plugin_core.providers.tencent_ci.notes import read_note, write_note

FILE_NAME: Final = "upload.json"


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
        return (read_note(self._path, Begun) if self._path is not None else None) or Begun()

    def write(self, begun: Begun) -> None:
        """Keep it, whole or not at all."""
        if self._path is not None:
            write_note(self._path, begun)

    def forget(self) -> None:
        """Keep it no longer; absent is fine."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
