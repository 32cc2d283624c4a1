"""Watches every ``*.stems`` from outside: each file ever seen decodes whole, and nothing is written where it shows."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import soundfile

_EVENT: Final = struct.Struct("iIII")
_MODIFY, _CLOSE_WRITE, _MOVED_TO, _CREATE = 0x2, 0x8, 0x80, 0x100
_SUFFIX: Final = ".stems"


class Guard(threading.Thread):
    """Decodes what it sees as soon as it sees it; on Linux the kernel also tells what was written in between.

    Args:
        root: the hot folder; songs lie in it, not deeper.
        stems: how many files a stems folder holds.
        samples: how long each is.
    """

    def __init__(self, root: Path, stems: int, samples: int) -> None:
        super().__init__()
        self.root = root
        self.seen: set[str] = set()
        self.broken: list[str] = []
        self.is_over = False
        self._stems = stems
        self._samples = samples
        self._known: set[str] = set()
        self._changes = _Changes(root) if sys.platform == "linux" else None

    def run(self) -> None:
        while not self.is_over:
            self.look()
            time.sleep(0.002)
        self.look()
        if self._changes is not None:
            self._changes.close()

    def look(self) -> None:
        """Look at what is new."""
        with os.scandir(self.root) as entries:
            new = [entry.path for entry in entries if entry.name.endswith(_SUFFIX) and entry.path not in self._known]
        for folder in new:
            self._known.add(folder)
            if self._changes is not None:
                self._changes.add(folder)
            found = [entry.path for entry in os.scandir(folder)]
            if len(found) != self._stems:
                self.broken.append(f"{folder}: {len(found)} files")
            for path in found:
                self.seen.add(path)
                self._check(path)
        if self._changes is not None:
            self.broken += self._changes.read()

    def _check(self, path: str) -> None:
        try:
            samples, _ = soundfile.read(path)
        except (soundfile.LibsndfileError, OSError) as error:
            self.broken.append(f"{path}: {error}")
        else:
            if len(samples) != self._samples:
                self.broken.append(f"{path}: {len(samples)} samples")


class _Changes:
    """What the kernel tells of stems folders: they come by a rename, and nothing in them changes from then on."""

    def __init__(self, root: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._folders: dict[int, str] = {}
        self._root = self._watch(os.fspath(root), _CREATE)

    def add(self, folder: str) -> None:
        """Watch a stems folder."""
        self._watch(folder, _CREATE | _MOVED_TO | _MODIFY | _CLOSE_WRITE)

    def read(self) -> Iterator[str]:
        """Yield what should not have happened."""
        try:
            data = os.read(self._descriptor, 2**20)
        except BlockingIOError:
            return
        place = 0
        while place < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, place)
            place += _EVENT.size + length
            name = os.fsdecode(data[place - length : place].rstrip(b"\0"))
            if watch != self._root or name.endswith(_SUFFIX):
                yield f"{self._folders.get(watch, '?')}/{name}: written where it shows ({mask:#x})"

    def close(self) -> None:
        os.close(self._descriptor)

    def _watch(self, folder: str, mask: int) -> int:
        watch: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask)
        self._folders[watch] = folder
        return watch


@contextmanager
def guarded(root: Path, *, stems: int = 2, samples: int = 800) -> Iterator[Guard]:
    """Watch while inside."""
    guard = Guard(root, stems, samples)
    guard.start()
    try:
        yield guard
    finally:
        guard.is_over = True
        guard.join()
