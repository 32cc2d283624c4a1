"""What of ours lies hidden beside the user's files for a while: noted in the home, so that no kill leaves it for ever.

A note is made and locked before the hidden file or folder. It goes with it; of a process that was killed it stays, and
says what may be removed. Whatever lives keeps its lock, also when it is frozen, and nobody removes what it works on.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from plugin_core.files.disk import explain_write_error, try_lock
from plugin_core.files.names import HIDDEN_PREFIX

_FOLDER: Final = "hidden"
_LOCKED: Final = 1 << 16
"""Place of the lock in a note; no path is as long."""
_TRIES: Final = 100
"""Of getting a note past somebody who tidies up in that very moment."""

ABANDONED_AFTER: Final = 3600.0
"""Seconds after which nobody is still writing such a file: each takes the blink of an eye."""
DOCTOR: Final = ".stembridge-doctor-"
"""Beginning of what ``stembridge doctor`` writes to try the home."""

_SCRATCH: Final = {
    "": re.compile(
        r"\.config\.toml\.[0-9a-f]{8}|callbacks\.secret\.[0-9a-f]{32}|\.room-\d+|" + re.escape(DOCTOR) + r"\w+"
    ),
    "cache": re.compile(r"\.[\w-]+\.json\.\w{8}"),
}
"""What is written under another name first, by folder of the home. Such names are ours alone; what a job writes lies in
its staging, and goes with that."""


class HiddenNotes:
    """The notes of one home.

    Args:
        home: stembridge's home.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / _FOLDER

    @contextmanager
    def noted(self, path: Path) -> Iterator[None]:
        """Keep a note of a hidden file or folder while it is made, used and removed again, or put in its place.

        Args:
            path: where it will be; a name of its own, that begins with ``HIDDEN_PREFIX``.

        Raises:
            TransientError: the home's disk is full or gone.
            PlacementError: the home cannot be written.
        """
        try:
            note, descriptor = self._make(path)
        except OSError as error:
            raise explain_write_error(self._folder, error) from error
        try:
            yield
        finally:
            if os.path.lexists(path):
                os.close(descriptor)
            else:
                _remove_note(note, descriptor)

    def find(self) -> list[Path]:
        """Return what killed processes left."""
        found: list[Path] = []
        for path, _, descriptor in self._dead():
            os.close(descriptor)
            found += [path] if path is not None and os.path.lexists(path) else []
        return found

    def sweep(self) -> list[Path]:
        """Remove what killed processes left; what cannot be removed now, or lies on a disk that is away, stays noted.

        Returns:
            What was removed.
        """
        removed: list[Path] = []
        for path, note, descriptor in self._dead():
            is_there = path is not None and os.path.lexists(path)
            if path is not None and is_there:
                remove(path)
            if path is not None and (os.path.lexists(path) or not path.parent.exists()):
                os.close(descriptor)
                continue
            removed += [path] if path is not None and is_there else []
            _remove_note(note, descriptor)
        return removed

    def _dead(self) -> Iterator[tuple[Path | None, Path, int]]:
        """Lock each note that nobody holds; with it what it tells of, None where that is nothing of ours to remove."""
        dead: list[tuple[Path | None, Path, int]] = []
        living: set[Path | None] = set()
        for note in self._notes():
            try:
                descriptor = os.open(note, os.O_RDWR)
            except OSError:
                # It went with its process just now.
                continue
            path = _read(descriptor)
            if _lock(descriptor):
                dead.append((path, note, descriptor))
            else:
                living.add(path)
                os.close(descriptor)
        # Whoever goes on where a killed process was may use the same name.
        return ((None if path in living else path, note, descriptor) for path, note, descriptor in dead)

    def _notes(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _make(self, path: Path) -> tuple[Path, int]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(_TRIES):
            note = self._folder / secrets.token_hex(8)
            descriptor = os.open(note, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, os.fsencode(path.absolute()))
            # Whoever tidies up may take the new note for a dead one before it is locked; some disks know no locks.
            if (_lock(descriptor) or attempt == _TRIES - 1) and _is_same(note, descriptor):
                return note, descriptor
            _remove_note(note, descriptor)
        raise FileNotFoundError(note)


def _read(descriptor: int) -> Path | None:
    words = os.read(descriptor, _LOCKED)
    path = Path(os.fsdecode(words))
    return path if words and path.is_absolute() and path.name.startswith(HIDDEN_PREFIX) else None


def _lock(descriptor: int) -> bool:
    """Lock a note behind its words, so that others can read them on Windows too."""
    os.lseek(descriptor, _LOCKED, os.SEEK_SET)
    return try_lock(descriptor)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it, as far as that can be done now."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        # What cannot be removed now stays for the next time.
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _remove_note(note: Path, descriptor: int) -> None:
    """Unlink and close: in this order where possible, so that nobody locks a note that is about to go."""
    if sys.platform == "win32":
        os.close(descriptor)
    with suppress(OSError):
        note.unlink(missing_ok=True)
    if sys.platform != "win32":
        os.close(descriptor)


def _is_same(note: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(note.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def find_scratch(home: Path, *, now: float) -> list[Path]:
    """Return the files in the home that killed processes left half written, an hour ago or longer.

    Args:
        home: stembridge's home.
        now: seconds since the epoch.
    """
    return [path for folder, names in _SCRATCH.items() for path in sorted(_old(home / folder, names, now))]


def _old(folder: Path, names: re.Pattern[str], now: float) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if names.fullmatch(entry.name) and entry.is_file(follow_symlinks=False) and _is_old(entry, now):
                    yield Path(entry.path)
    except (FileNotFoundError, NotADirectoryError):
        return


def _is_old(entry: os.DirEntry[str], now: float) -> bool:
    try:
        return now - entry.stat(follow_symlinks=False).st_mtime >= ABANDONED_AFTER
    except FileNotFoundError:
        return False
