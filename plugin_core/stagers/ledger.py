"""What is staged for which job: written down before the file is, so that any later process can remove it."""

from __future__ import annotations

import os
from pathlib import Path

from plugin_core.errors import PlacementError
from plugin_core.model import show_path
from plugin_core.stagers.names import check_key


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
