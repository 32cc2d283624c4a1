"""A tagger that finds what a test tells it to, a stager in memory, and the plugin that registers them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from plugin_core import hookimpl
from plugin_core.model import Label, Plan, Source, Tagging, Ticket
from plugin_core.plugins import Plugins
from plugin_core.protocols import Finished, Order, Report, Stager, Tagger, Waiting
from plugin_core.settings import Settings
from tests.plugin_core.cli.fakes import FakePoint, load_fakes

LABELS = (
    Label(dimension="mood", value="安静", english="Calm", probability=0.9),
    Label(dimension="genre", value="摇滚", english="Rock", probability=0.8),
    Label(dimension="language", value="其他", english="Other", probability=0.95),
    Label(dimension="scene", value="航拍", english="Aerial Footage", probability=0.2),
)


class FakeTagger:
    """Answers at once."""

    name = "ears"
    title = "A fake for tests"
    remote = True

    def __init__(self) -> None:
        self.labels: tuple[Label, ...] = LABELS
        self.price: float | None = 2.0
        self.submit_error: Exception | None = None
        self.submitted: list[Order] = []
        self.cancelled: list[str] = []

    def account(self) -> str:
        return "ears:1"

    async def slots(self) -> int:
        return 4

    async def plan(self, source: Source, wish: Tagging) -> Plan:
        return Plan(operation=msgspec.structs.replace(wish), credits=self.price)

    async def submit(self, order: Order, report: Report) -> Ticket:
        if self.submit_error is not None:
            raise self.submit_error
        self.submitted.append(order)
        return Ticket(remote_id=f"remote-{order.key}")

    async def find(self, order: Order) -> Ticket | None:
        return None

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:
        return Finished(labels=self.labels)

    async def cancel(self, order: Order) -> None:
        self.cancelled.append(order.key)

    async def release(self, order: Order) -> None:
        return None


class LinkedTagger(FakeTagger):
    """Reads songs by link."""

    stager: str | None = ""


class FakeStager:
    """Keeps what is staged in a mapping."""

    def __init__(self, name: str = "shelf") -> None:
        self.name = name
        self.staged: dict[str, Path] = {}
        self.seen: list[str] = []

    async def stage(self, path: Path, key: str) -> str:
        self.staged[key] = path
        self.seen.append(key)
        return f"https://shelf.example/{key}?signature=secret"

    async def unstage(self, key: str) -> None:
        self.staged.pop(key, None)


class TaggerPlugin:
    """A plugin module in all but name."""

    def __init__(self, *taggers: Tagger, stagers: tuple[Stager, ...] = ()) -> None:
        self.taggers = taggers
        self.stagers = stagers

    @hookimpl
    def register_taggers(self, register: Callable[[Tagger], None], settings: Settings) -> None:
        for tagger in self.taggers:
            register(tagger)

    @hookimpl
    def register_stagers(self, register: Callable[[Stager], None], settings: Settings) -> None:
        for stager in self.stagers:
            register(stager)


def load_taggers(*taggers: Tagger, stagers: tuple[Stager, ...] = (), more: tuple[FakePoint, ...] = ()) -> Plugins:
    """Load these taggers and stagers and no installed plugin."""
    return load_fakes(FakePoint("ears", TaggerPlugin(*taggers, stagers=stagers)), *more)
