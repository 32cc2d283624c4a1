"""A separator that costs almost nothing, remembers in a file what was asked of it, and finds it again after a crash."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from plugin_core.errors import TransientError
from plugin_core.model import Model, Part, Plan, Progress, RemoteFile, Separation, Source, Ticket
from plugin_core.protocols import Finished, Order, Report, Waiting

STEMS = ("vocals", "instrumental")


class CheapSeparator:
    """Gives the song back, twice, a sample quieter; a service in all but the network.

    Args:
        ledger: file that gets a line for each paid call.
        slots: jobs alive at once.
        polls: how often it is asked before it is done.
    """

    name = "fake"
    title = "A cheap separator for tests"
    remote = True

    def __init__(self, ledger: Path, *, slots: int = 8, polls: int = 0) -> None:
        self.ledger = ledger
        self._slots = slots
        self.polls = polls
        self.hold = False
        self.gate: Path | None = None
        """Results are held back while this file exists."""
        self.most: int | None = None
        """How many songs are paid for at the most; the next ones wait for ever."""
        self.trouble: Exception | None = None
        self.submit_delay = 0.0
        self.price: float | None = 0.0
        self.dies = ""
        """When the process ends while it fetches: "half" in the middle of a file, "whole" after the last one."""
        self.fetched: Callable[[], None] = lambda: None
        """Called once the parts of a song are fetched."""
        self.cancelled: list[str] = []
        self._asked: dict[str, int] = {}

    @property
    def paid(self) -> list[str]:
        """The names of the songs that were paid for, in order."""
        return [line.partition(" ")[2] for line in self._lines()]

    @property
    def asked(self) -> Path:
        """File that is there once a paid call with a delay is under way."""
        return self.ledger.with_name(f"{self.ledger.name}-asked")

    def account(self) -> str:
        return "fake:1"

    async def slots(self) -> int:
        return self._slots

    async def models(self) -> Sequence[Model]:
        return (Model(id="halves", name="Halves", stems=STEMS),)

    async def plan(self, source: Source, wish: Separation) -> Plan:
        operation = msgspec.structs.replace(wish, model="halves", format="wav16")
        return Plan(operation=operation, stems=wish.stems or STEMS, credits=self.price)

    async def submit(self, order: Order, report: Report) -> Ticket:
        if self.trouble is not None:
            raise self.trouble
        while self.most is not None and len(self.paid) >= self.most:  # noqa: ASYNC110 - others write the file too
            await asyncio.sleep(0.02)
        if self.submit_delay:
            self.asked.touch()
        await asyncio.sleep(self.submit_delay)
        with self.ledger.open("a", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(f"{order.key} {order.source.path.name}\n")
        return Ticket(remote_id=order.key)

    async def find(self, order: Order) -> Ticket | None:
        is_known = any(line.startswith(order.key) for line in self._lines())
        return Ticket(remote_id=order.key) if is_known else None

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:
        count = self._asked[order.key] = self._asked.get(order.key, 0) + 1
        is_held = self.hold or (self.gate is not None and self.gate.exists())
        if is_held or count <= self.polls:
            return Waiting(seconds=0.05, progress=Progress(fraction=0.5, note="held"))
        wish = order.operation
        names = (wish.stems if isinstance(wish, Separation) else ()) or STEMS
        return Finished(files=tuple(RemoteFile(label=name.title(), stem=name, name=name) for name in names))

    async def cancel(self, order: Order) -> None:
        self.cancelled.append(order.source.path.name)

    async def release(self, order: Order) -> None:
        self._asked.pop(order.key, None)

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:
        return await asyncio.to_thread(self._fetch, order)

    def _fetch(self, order: Order) -> list[Part]:
        import soundfile

        try:
            with order.source.path.open("rb") as opened:
                samples, rate = soundfile.read(opened, always_2d=True)
        except OSError as error:
            raise TransientError(f"the song cannot be read: {error}") from error
        parts = []
        for file in order.results:
            path = order.folder / f"{file.stem}.wav"
            soundfile.write(path, samples * 0.5, rate, subtype="PCM_16")
            if self.dies == "half":
                os.truncate(path, path.stat().st_size // 2)
                os._exit(9)
            parts.append(Part(stem=file.stem, label=file.label, path=path))
        if self.dies:
            os._exit(9)
        self.fetched()
        return parts

    def _lines(self) -> list[str]:
        return self.ledger.read_text("utf-8").splitlines() if self.ledger.exists() else []
