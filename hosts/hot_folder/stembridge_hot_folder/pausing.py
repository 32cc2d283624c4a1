"""What nothing is taken for at the moment: a folder whose disk is full, a recipe whose account is refused.

One song at a time finds out whether it is over. Pure: no file system, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

Gate = bytes | str
"""A folder's path, or a recipe's key."""


class _Pause(msgspec.Struct):
    until: float
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
        self._pauses: dict[Gate, _Pause] = {}

    @property
    def is_refused(self) -> bool:
        """Whether a gate is closed because an account is refused."""
        return any(pause.is_refusal for pause in self._pauses.values())

    def pause(self, gate: Gate, path: bytes, now: float, *, is_refusal: bool = False) -> float:
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
        known.until, known.prober, known.is_refusal = now + seconds, b"", is_refusal
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

    def next_due(self, gates: Iterable[Gate]) -> float | None:
        """Return when a song may pass these gates; None when that depends on the one that finds out."""
        closed = [pause for gate in gates if (pause := self._pauses.get(gate)) is not None]
        if any(pause.prober for pause in closed):
            return None
        return max((pause.until for pause in closed), default=float("-inf"))
