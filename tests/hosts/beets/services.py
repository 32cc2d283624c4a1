"""A plugin of stembridge for ``beet`` processes under test: a separator, a tagger's stager, and their books.

What was submitted stands in the file ``LEDGER`` names, one line a job, so that a test sees what was paid for. ``MOOD``
says how the separator is: ``fine``, ``down``, ``away`` (down from the first question on), ``broke`` (no credits),
``closed`` (no account any more, once it is paid), or ``slow``. Once ``MOST`` songs are paid for, the next ones wait for
ever.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core import hookimpl
from plugin_core.errors import RefusedError, TransientError
from plugin_core.model import Model, Part, Plan, RemoteFile, Separation, Source, Ticket
from plugin_core.protocols import Finished, Order, Report, Separator, Stager
from plugin_core.settings import Settings

if TYPE_CHECKING:
    from tests.simulators.mediax import MediaxSimulator

STEMS = ("vocals", "instrumental")


class LedgerSeparator:
    name, title, remote = "ledger", "Halves the song and keeps books", True

    def __init__(self) -> None:
        self._ledger = Path(os.environ.get("LEDGER", os.devnull))
        self._mood = os.environ.get("MOOD", "fine")

    def account(self) -> str:
        return self.name

    async def slots(self) -> int:
        return int(os.environ.get("SLOTS", "4"))

    async def models(self) -> Sequence[Model]:
        return [Model(id="half", name="Half", stems=STEMS)]

    async def plan(self, source: Source, wish: Separation) -> Plan:
        if self._mood == "away":
            raise TransientError("the ledger is away")
        return Plan(operation=msgspec.structs.replace(wish, model="half"), stems=STEMS, credits=2.0)

    async def submit(self, order: Order, report: Report) -> Ticket:
        if self._mood == "down":
            raise TransientError("the ledger does not answer")
        if self._mood == "broke":
            raise RefusedError("no credits are left", remedy="buy some")
        while "MOST" in os.environ and self._count() >= int(os.environ["MOST"]):  # noqa: ASYNC110 - others buy too
            await asyncio.sleep(0.02)
        with self._ledger.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{order.key} {order.source.path}\n")
        return Ticket(remote_id=order.key)

    def _count(self) -> int:
        return self._ledger.read_bytes().count(b"\n") if self._ledger.exists() else 0

    async def find(self, order: Order) -> Ticket | None:
        known = self._ledger.exists() and order.key in self._ledger.read_text("utf-8", "surrogateescape")
        return Ticket(remote_id=order.key) if known else None

    async def poll(self, order: Order, report: Report) -> Finished:
        if self._mood == "closed":
            raise RefusedError("the account is closed", remedy="ask the ledger")
        if self._mood == "slow":
            await asyncio.sleep(0.05)
        return Finished(files=tuple(RemoteFile(label=stem, stem=stem, name=f"{stem}.wav") for stem in STEMS))

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:
        return await asyncio.to_thread(_halve, order)

    async def cancel(self, order: Order) -> None:
        pass

    async def release(self, order: Order) -> None:
        pass


class NowhereStager:
    name = "nowhere"

    async def stage(self, path: Path, key: str) -> str:
        return f"https://nowhere.invalid/{key}"

    async def unstage(self, key: str) -> None:
        pass


def _halve(order: Order) -> list[Part]:
    import soundfile

    samples, rate = soundfile.read(os.fsencode(order.source.path), dtype="float32", always_2d=True)
    parts = []
    for file in order.results:
        path = order.folder / f"{order.attempt}-{file.stem}.wav"
        soundfile.write(os.fsencode(path), samples * 0.5, rate, subtype="FLOAT")
        parts.append(Part(stem=file.stem, label=file.label, path=path))
    return parts


@hookimpl
def register_separators(register: Callable[[Separator], None], settings: Settings) -> None:
    register(LedgerSeparator())


@hookimpl
def register_stagers(register: Callable[[Stager], None], settings: Settings) -> None:
    register(NowhereStager())


def account_at(service: MediaxSimulator) -> dict[str, str]:
    """Return the environment of someone with an account at a simulated service."""
    from tests.simulators.mediax import SECRET_ID, SECRET_KEY

    return {
        "STEMBRIDGE_MEDIAX_BASE_URL": service.url,
        "STEMBRIDGE_MEDIAX_SECRET_ID": SECRET_ID,
        "STEMBRIDGE_MEDIAX_SECRET_KEY": SECRET_KEY,
    }


def install(folder: Path) -> Path:
    """Make an installed distribution of this module, to be named in ``PYTHONPATH``."""
    info = folder / "beets_under_test-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: beets-under-test\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[stembridge]\nledger = {__name__}\n", encoding="utf-8")
    return folder
