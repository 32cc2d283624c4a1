"""Songs that wait: the oldest first, those in trouble until their time comes. Pure: no file system, no clock."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from stembridge_hot_folder.files import FileIdentity
from stembridge_hot_folder.folders import HotFolder
from stembridge_hot_folder.ledger import InLine

Gate = bytes | str
"""A folder's path, or a recipe's key: of a hot folder, or of one that finished songs move to."""
HELD: Final = "held"
PAUSED: Final = "paused"
AWAY: Final = "away"
_NEVER_OPEN: Final = {
    HELD: "its folder names no preset",
    PAUSED: "its folder is paused",
    AWAY: "its folder cannot be reached",
}
"""Gates of songs that wait for somebody's word, or a disk; they never open, the songs take another way."""


class Obstacle(NamedTuple):
    """Why nothing can be placed."""

    reason: str
    gate: Gate | None
    """Whose songs all wait; None where it is this song's alone."""


class _Pause(msgspec.Struct):
    until: float
    reason: str = ""
    tries: int = 1
    is_refusal: bool = False
    prober: bytes = b""
    """The song that finds out; none other passes meanwhile."""


class Pauses:
    """The gates that are closed.

    Args:
        wait: returns the seconds to wait after so many tries.
    """

    def __init__(self, wait: Callable[[int], float]) -> None:
        self._wait = wait
        self._pauses: dict[Gate, _Pause] = {gate: _Pause(float("inf"), why) for gate, why in _NEVER_OPEN.items()}

    @property
    def is_refused(self) -> bool:
        """Whether a gate is closed because an account is refused."""
        return any(pause.is_refusal for pause in self._pauses.values())

    def pause(self, gate: Gate, path: bytes, now: float, reason: str = "", *, is_refusal: bool = False) -> float:
        """Close a gate that a song found closed, for a while, longer each time; return the seconds."""
        known = self._pauses.get(gate)
        if known is None:
            known = self._pauses[gate] = _Pause(now)
        elif known.prober == path:
            known.tries += 1
        else:
            # Taken before the gate was closed: it says nothing new.
            return max(known.until - now, 0.0)
        seconds = self._wait(known.tries)
        known.until, known.prober, known.is_refusal, known.reason = now + seconds, b"", is_refusal, reason
        return seconds

    def resume(self, gate: Gate, path: bytes) -> bool:
        """Open a gate that a song got through; tell whether it was closed.

        Only the one that was to find out opens it: what was taken before it closed says nothing of what is now.
        """
        known = self._pauses.get(gate)
        if known is None or known.prober != path:
            return False
        del self._pauses[gate]
        return True

    def is_paused(self, gate: Gate) -> bool:
        """Tell whether a gate is closed, whenever it is to be tried again."""
        return gate in self._pauses

    def why(self, gates: Iterable[Gate]) -> str:
        """Return why a song may not pass these gates; empty where all are open."""
        return next((self._pauses[gate].reason for gate in gates if gate in self._pauses), "")

    def may_pass(self, gates: Iterable[Gate], now: float) -> bool:
        """Tell whether a song may be taken through these gates."""
        closed = [pause for gate in gates if (pause := self._pauses.get(gate)) is not None]
        return all(pause.until <= now and not pause.prober for pause in closed)

    def begin_probe(self, gates: Iterable[Gate], path: bytes) -> None:
        """Let one song find out whether closed gates are to be opened."""
        for gate in gates:
            if gate in self._pauses:
                self._pauses[gate].prober = path

    def end_probe(self, path: bytes) -> None:
        """Let another song find out what this one did not."""
        for pause in self._pauses.values():
            if pause.prober == path:
                pause.prober = b""

    def is_asking(self, path: bytes) -> bool:
        """Tell whether a song finds out whether an account still refuses."""
        return any(pause.prober == path and pause.is_refusal for pause in self._pauses.values())

    def next_due(self, gates: Iterable[Gate]) -> float | None:
        """Return when a song may pass these gates; None when that depends on the one that finds out."""
        closed = [pause for gate in gates if (pause := self._pauses.get(gate)) is not None]
        if any(pause.prober for pause in closed):
            return None
        return max((pause.until for pause in closed), default=float("-inf"))


FIRST_WAIT: Final = 5.0
LONGEST_WAIT: Final = 300.0
JITTER: Final = 0.25


class WaitingSong(msgspec.Struct, frozen=True):
    """A version of a file that is to be taken."""

    folder: HotFolder
    path: bytes
    identity: FileIdentity
    settled: float = 0.0
    """When it was found complete."""


class _Later(msgspec.Struct):
    song: WaitingSong
    due: float
    reason: str


_Place = tuple[int, int, bytes]
"""Turns, time and path: the lowest is taken first."""

Lane = tuple[Gate, ...]
"""The gates that all songs of a lane go through."""


class SongQueue:
    """What is to be taken, now or later.

    Args:
        lane_of: tells which gates a song goes through: its folder's, and that of what is done to it.
        rng: returns a number from 0 to 1.
    """

    def __init__(
        self,
        lane_of: Callable[[WaitingSong], Lane],
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._lane_of = lane_of
        self._rng = rng
        self._ready: dict[bytes, tuple[WaitingSong, Lane]] = {}
        self._lanes: dict[Lane, list[_Place]] = {}
        self._sizes: Counter[Lane] = Counter()
        self._later: dict[bytes, _Later] = {}
        self._tries: dict[bytes, int] = {}
        self._turns: dict[bytes, int] = {}
        """How often a song found a gate closed: another one finds out next, or one would keep it closed for all."""
        self.pauses = Pauses(self._longer)

    def __len__(self) -> int:
        return len(self._ready)

    def __iter__(self) -> Iterator[WaitingSong]:
        yield from [song for song, _ in self._ready.values()]
        yield from [one.song for one in self._later.values()]

    @property
    def blocked(self) -> int:
        """How many of the songs whose turn it is stand before a closed gate."""
        return sum(size for lane, size in self._sizes.items() if any(map(self.pauses.is_paused, lane)))

    @property
    def held(self) -> int:
        """How many songs wait for their folder to name a preset."""
        return sum(size for lane, size in self._sizes.items() if HELD in lane)

    @property
    def waiting(self) -> int:
        """How many songs wait for trouble to pass."""
        return len(self._later) + self.blocked - self.held

    def standing(self, folder: bytes) -> Iterator[tuple[bytes, InLine]]:
        """Yield where each song of a folder stands, and why."""
        for song, lane in self._ready.values():
            if song.folder.path == folder:
                turns, mtime, path = self._place(song)
                is_closed = any(map(self.pauses.is_paused, lane))
                state = "held" if HELD in lane else "waiting" if is_closed else "queued"
                yield path, InLine(state=state, reason=self.pauses.why(lane), turns=turns, mtime=mtime)
        for path, later in self._later.items():
            if later.song.folder.path == folder:
                yield path, InLine(state="waiting", reason=later.reason)

    def find(self, path: bytes) -> WaitingSong | None:
        if path in self._ready:
            return self._ready[path][0]
        later = self._later.get(path)
        return later.song if later else None

    def crowd(self, song: WaitingSong) -> int:
        """Return how many songs stand before the gates that this one would stand before."""
        return self._sizes[self._lane_of(song)]

    def is_blocked(self, song: WaitingSong) -> bool:
        """Tell whether a song would stand before a closed gate."""
        return any(map(self.pauses.is_paused, self._lane_of(song)))

    def put(self, song: WaitingSong) -> Lane:
        """Let a song be taken in its turn; return which gates it goes through."""
        self._later.pop(song.path, None)
        self._remove(song.path)
        lane = self._lane_of(song)
        self._ready[song.path] = song, lane
        self._sizes[lane] += 1
        heapq.heappush(self._lanes.setdefault(lane, []), self._place(song))
        return lane

    def put_last(self, song: WaitingSong) -> None:
        """Let a song that found a gate closed be taken after those that did not try as often, until it is open."""
        self._turns[song.path] = self._turns.get(song.path, 0) + 1
        self.put(song)

    def open(self) -> None:
        """Let all songs be taken in their turn again: a gate was opened."""
        self._turns.clear()
        self.sort_anew()

    def sort_anew(self) -> None:
        """Ask again which gates the songs go through."""
        songs = [song for song, _ in self._ready.values()]
        for each in (self._ready, self._lanes, self._sizes):
            each.clear()
        for song in songs:
            self.put(song)

    def postpone(self, song: WaitingSong, now: float, reason: str = "") -> float:
        """Let a song be taken after a while, longer each time; return the seconds."""
        tries = self._tries[song.path] = self._tries.get(song.path, 0) + 1
        seconds = self._longer(tries)
        self._later[song.path] = _Later(song, now + seconds, reason)
        return seconds

    def tries(self, path: bytes) -> int:
        """Return how often a song was postponed."""
        return self._tries.get(path, 0)

    def succeed(self, path: bytes) -> None:
        """Forget the troubles of a song."""
        self._tries.pop(path, None)
        self._turns.pop(path, None)

    def forget(self, path: bytes) -> bool:
        """Forget a song altogether; tell whether it waited."""
        self.succeed(path)
        return bool(self._remove(path)) | bool(self._later.pop(path, None))

    def pop(self, now: float) -> WaitingSong | None:
        """Return the next song to take; None when there is none, or its gates are closed."""
        for path in [path for path, later in self._later.items() if later.due <= now]:
            self.put(self._later.pop(path).song)
        heads = [(entry, lane) for lane in list(self._lanes) if (entry := self._head(lane)) is not None]
        open_ = [(entry, lane) for entry, lane in heads if self.pauses.may_pass(lane, now)]
        if not open_:
            return None
        (*_, path), lane = min(open_, key=lambda one: one[0])
        heapq.heappop(self._lanes[lane])
        self.pauses.begin_probe(lane, path)
        return self._remove(path)

    def next_due(self) -> float | None:
        """Return when a song or gate is to be tried again."""
        dues = [later.due for later in self._later.values()]
        dues += [due for lane in list(self._lanes) if self._head(lane) and (due := self.pauses.next_due(lane))]
        return min((due for due in dues if due != float("-inf")), default=None)

    def _place(self, song: WaitingSong) -> _Place:
        return self._turns.get(song.path, 0), song.identity.mtime_ns, song.path

    def _head(self, lane: Lane) -> _Place | None:
        """Return the first of a lane, with what is no longer there out of the way."""
        order = self._lanes[lane]
        while order:
            song, where = self._ready.get(order[0][-1], (None, None))
            if song is not None and where == lane and self._place(song) == order[0]:
                return order[0]
            heapq.heappop(order)
        del self._lanes[lane]
        return None

    def _remove(self, path: bytes) -> WaitingSong | None:
        song, lane = self._ready.pop(path, (None, None))
        if lane is not None:
            self._sizes[lane] -= 1
            if not self._sizes[lane]:
                del self._sizes[lane]
        return song

    def _longer(self, tries: int) -> float:
        seconds = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries - 1, 32))
        return seconds + seconds * JITTER * self._rng()
