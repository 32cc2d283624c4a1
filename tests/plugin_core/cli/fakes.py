"""A separator that does at once what a test tells it to, and the plugin that registers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import soundfile

from plugin_core import hookimpl
from plugin_core.errors import UsageError
from plugin_core.model import Model, Part, Plan, Progress, RemoteFile, Separation, Source, Ticket
from plugin_core.plugins import Plugins, load_plugins
from plugin_core.protocols import Finished, Order, Report, Separator, Waiting
from plugin_core.settings import Settings

STEMS = ("vocals", "instrumental")


class FakeSeparator:
    """Halves the song: both stems are the song at half its level."""

    name = "fake"
    title = "A fake for tests"
    remote = True

    def __init__(self) -> None:
        self.price: float | None = 0.0
        self.plan_error: Exception | None = None
        self.submit_errors: dict[str, Exception] = {}
        """By file name."""
        self.hold: asyncio.Event | None = None
        self.submitted: list[Order] = []

    def account(self) -> str:
        return "fake:1"

    async def slots(self) -> int:
        return 4

    async def models(self) -> Sequence[Model]:
        return (
            Model(id="halves", name="Halves", stems=STEMS, credits_per_minute=1.5, rating=7.25),
            Model(id="drumsep", name="Drums apart", stems=("kick", "snare"), access="premium"),
        )

    async def plan(self, source: Source, wish: Separation) -> Plan:
        if self.plan_error is not None:
            raise self.plan_error
        if wish.model not in ("", "halves"):
            raise UsageError(f"no model {wish.model!r}", remedy="did you mean 'halves'?")
        operation = msgspec.structs.replace(wish, model="halves", format=wish.format or "flac16")
        return Plan(operation=operation, stems=STEMS, credits=self.price, seconds=1.0)

    async def submit(self, order: Order, report: Report) -> Ticket:
        error = self.submit_errors.get(order.source.path.name)
        if error is not None:
            raise error
        self.submitted.append(order)
        return Ticket(remote_id=f"remote-{order.key}")

    async def find(self, order: Order) -> Ticket | None:
        return None

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:
        if self.hold is not None and not self.hold.is_set():
            return Waiting(seconds=0.01, progress=Progress(fraction=0.5, note="held"))
        names = order.operation.stems if isinstance(order.operation, Separation) else ()
        return Finished(
            files=tuple(RemoteFile(label=stem.title(), stem=stem, name=f"{stem}.flac") for stem in (names or STEMS))
        )

    async def cancel(self, order: Order) -> None:
        return None

    async def release(self, order: Order) -> None:
        return None

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:
        with order.source.path.open("rb") as opened:
            samples, rate = soundfile.read(opened, always_2d=True)
        parts = []
        for file in order.results:
            path = order.folder / f"{file.stem}.flac"
            soundfile.write(path, samples / 2, rate, subtype="PCM_16")
            parts.append(Part(stem=file.stem, label=file.label, path=path))
        return parts


class FakePlugin:
    """A plugin module in all but name."""

    def __init__(self, separator: Separator) -> None:
        self.separator = separator

    @hookimpl
    def register_separators(self, register: Callable[[Separator], None], settings: Settings) -> None:
        register(self.separator)


class FakePoint(NamedTuple):
    """An entry point that needs no installation."""

    name: str
    plugin: object
    value: str = "tests.fakes"

    def load(self) -> object:
        if isinstance(self.plugin, Exception):
            raise self.plugin
        return self.plugin


def load_fakes(*points: FakePoint) -> Plugins:
    """Load these plugins and no installed one."""
    return load_plugins(points, environ={})


def write_song(path: Path, seconds: float = 1.0, seed: int = 0) -> Path:
    """Write a short stereo song with content of its own."""
    import numpy as np

    rate = 8000
    noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (round(seconds * rate), 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise, rate, subtype="PCM_16")
    return path
