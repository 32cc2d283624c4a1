"""A settings file of REAPER's as lines, with its encoding and line ends kept, and a copy made before it is changed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from plugin_core.errors import PlacementError
from plugin_core.model import show_path

MARK = ".stembridge-backup-"


class TextFile:
    """One file, read once; bytes that are not UTF-8 stay what they are.

    Raises:
        PlacementError: it cannot be read, or is no text in an encoding that REAPER writes.
    """

    def __init__(self, path: Path, *, default_newline: str = os.linesep) -> None:
        self.path = path
        self._before = _read(path)
        text = (self._before or b"").decode("utf-8", "surrogateescape")
        breaks = text.count("\n")
        # Of a file with both kinds of ends, some lines keep a carriage return.
        self.newline = default_newline if not breaks else "\r\n" if text.count("\r\n") == breaks else "\n"
        self.lines = text.split(self.newline)
        self._had_end = self.lines[-1] == ""
        if self._had_end:
            self.lines.pop()

    @property
    def exists(self) -> bool:
        """Whether the file was there when it was read."""
        return self._before is not None

    def end_line(self) -> bool:
        """See to it that the last line ends; return whether it did not."""
        was_open, self._had_end = not self._had_end and bool(self.lines), True
        return was_open

    def open_line(self) -> None:
        """Leave the last line without an end, as it was before ``end_line``."""
        self._had_end = False

    def save(self, *, clock: Callable[[], float] = time.time) -> Path | None:
        """Write the file if it changed, and return the copy of what it was; None when there is none.

        Raises:
            PlacementError: it cannot be written; then it is as it was.
        """
        text = self.newline.join([*self.lines, ""] if self._had_end and self.lines else self.lines)
        after = text.encode("utf-8", "surrogateescape")
        if after == (self._before or b""):
            return None
        try:
            copy = self._back_up(clock) if self.exists else None
            write_bytes(self.path, after)
        except OSError as error:
            raise PlacementError(f"{show_path(self.path)} cannot be written: {error.strerror}") from error
        self._before = after
        return copy

    def _back_up(self, clock: Callable[[], float]) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(clock()))
        for number in range(1, 1000):
            copy = self.path.with_name(f"{self.path.name}{MARK}{stamp}" + (f"-{number}" if number > 1 else ""))
            if not copy.exists():
                break
        shutil.copy2(self.path, copy)
        return copy


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file in one step, with the mode it had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A settings file may be a link into a folder that is kept in sync; the link stays.
    path = path.resolve()
    staged = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with staged.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        if path.exists():
            shutil.copymode(path, staged)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def backups_of(path: Path) -> list[Path]:
    """Return the copies that were made of a file, oldest first."""
    return sorted(path.parent.glob(f"{path.name}{MARK}*"))


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PlacementError(f"{show_path(path)} cannot be read: {error.strerror}") from error
    if b"\0" in content:
        raise PlacementError(
            f"{show_path(path)} is not written as REAPER writes it", remedy="save it as UTF-8, or put it aside"
        )
    return content
