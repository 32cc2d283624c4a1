"""Songs that wait: the oldest first, those in trouble until their time comes. Pure: no file system, no clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from stembridge_hot_folder.folders import HotFolder
from stembridge_hot_folder.identity import Identity

FIRST_WAIT: Final = 5.0
LONGEST_WAIT: Final = 300.0
JITTER: Final = 0.25


class Waiting(msgspec.Struct, frozen=True):
    """A version of a file that is to be taken."""

    folder: HotFolder
    path: bytes
    identity: Identity
    settled: float = 0.0
    """When it was found complete."""


class _Later(msgspec.Struct):
    song: Waiting
    tries: int
    due: float


class Queue:
    """What is to be taken, now or later.

    Args:
        rng: returns a number from 0 to 1.
    """

    def __init__(self, rng: Callable[[], float] = random.random) -> None:
        self._rng = rng
        self._ready: dict[bytes, Waiting] = {}
        self._order: list[tuple[int, bytes]] = []
        self._later: dict[bytes, _Later] = {}
        self._tries: dict[bytes, int] = {}
        self._paused: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._ready)

    def __iter__(self) -> Iterator[Waiting]:
        yield from list(self._ready.values())
        yield from [one.song for one in self._later.values()]

    @property
    def waiting(self) -> int:
        """How many songs wait for trouble to pass."""
        return len(self._later)

    def find(self, path: bytes) -> Waiting | None:
        """Return the song that waits at a path."""
        later = self._later.get(path)
        return self._ready.get(path) or (later.song if later else None)

    def put(self, song: Waiting) -> None:
        """Let a song be taken in its turn."""
        self._later.pop(song.path, None)
        self._ready[song.path] = song
        heapq.heappush(self._order, (song.identity.mtime_ns, song.path))

    def postpone(self, song: Waiting, now: float) -> float:
        """Let a song be taken after a while, longer each time; return the seconds."""
        tries = self._tries[song.path] = self._tries.get(song.path, 0) + 1
        seconds = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries - 1, 32))
        seconds += seconds * JITTER * self._rng()
        self._later[song.path] = _Later(song, tries, now + seconds)
        return seconds

    def tries(self, path: bytes) -> int:
        """Return how often a song was postponed."""
        return self._tries.get(path, 0)

    def succeed(self, path: bytes) -> None:
        """Forget the troubles of a song."""
        self._tries.pop(path, None)

    def forget(self, path: bytes) -> bool:
        """Forget a song altogether; tell whether it waited."""
        self._tries.pop(path, None)
        return bool(self._ready.pop(path, None)) | bool(self._later.pop(path, None))

    def pause(self, root: bytes, until: float) -> None:
        """Take nothing of a folder until some time."""
        self._paused[root] = until

    def resume(self, root: bytes) -> bool:
        """Take songs of a folder again; tell whether it was paused."""
        return self._paused.pop(root, None) is not None

    def is_paused(self, root: bytes) -> bool:
        """Tell whether a folder is paused, whenever it is to be tried again."""
        return root in self._paused

    def pop(self, now: float) -> Waiting | None:
        """Return the next song to take; None when there is none, or its folder is paused."""
        for path in [path for path, later in self._later.items() if later.due <= now]:
            self.put(self._later.pop(path).song)
        kept = []
        found = None
        while self._order and found is None:
            entry = heapq.heappop(self._order)
            song = self._ready.get(entry[1])
            if song is None or song.identity.mtime_ns != entry[0]:
                continue
            if self._paused.get(song.folder.path, now) > now:
                kept.append(entry)
                continue
            found = self._ready.pop(entry[1])
        for entry in kept:
            heapq.heappush(self._order, entry)
        return found

    def next_due(self) -> float | None:
        """Return when a song or folder is to be tried again."""
        dues = [later.due for later in self._later.values()]
        if self._ready:
            dues += self._paused.values()
        return min(dues, default=None)
