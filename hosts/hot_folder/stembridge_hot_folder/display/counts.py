"""How many songs of a watch are where."""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct):
    """How many songs are where."""

    settling: int = 0
    left: int = 0
    """Never complete while ``--once`` waited."""
    queued: int = 0
    working: int = 0
    waiting: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    unconfirmed: int = 0

    def __str__(self) -> str:
        told = [f"{getattr(self, name)} {name}" for name in self.__struct_fields__ if getattr(self, name)]
        return ", ".join(told)
