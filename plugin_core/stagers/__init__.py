"""Places where services that only take links can read a file: a bucket, or a folder behind a web server.

What is staged for which job, and as what, is written down before the file, so that any process can remove it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Final

from plugin_core.errors import PlacementError, UsageError
from plugin_core.model import show_path

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z")
_LONGEST: Final = 60


def check_key(key: str) -> str:
    """Return a key that may be part of a path.

    Raises:
        UsageError: it may not.
    """
    if not _KEY.match(key):
        raise UsageError(f"{key!r} cannot be part of a file's name")
    return key


def staged_name(path: Path, key: str) -> str:
    """Return the name a file is staged under: ``<key>-<song>.<suffix>``, letters, digits and hyphens only.

    Raises:
        UsageError: the key may not be part of a name.
    """
    slug = _plain(path.stem)[:_LONGEST].strip("-")
    suffix = _plain(path.suffix)
    return f"{check_key(key)}-{slug or 'song'}" + (f".{suffix.lower()}" if suffix else "")


def _plain(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9]+", "-", ascii_text).strip("-")


class Ledger:
    """The names of staged files by job, one small file a job; every method blocks.

    Args:
        folder: where it is kept; made on first use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, key: str, name: str) -> None:
        """Write a name down, on the disk before this returns.

        Raises:
            PlacementError: it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._path(key).open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise PlacementError(
                f"{show_path(self.folder)} cannot be written: {error.strerror}", remedy="make it writable"
            ) from error

    def names(self, key: str) -> tuple[str, ...] | None:
        """Return the names of a job; None when nothing was ever written down for it."""
        try:
            text = self._path(key).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        # A process killed while writing leaves a line without its end; the file it was for was not staged yet.
        return tuple(dict.fromkeys(line for line in text.split("\n")[:-1] if line))

    def forget(self, key: str) -> None:
        """Drop a job; absent is fine."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / check_key(key)
