"""The embedded separator as the core sees it: a provider whose service is a process on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, ClassVar, Final

import msgspec

from plugin_core.audio.formats import resolve_format
from plugin_core.errors import UsageError, suggest
from plugin_core.model import Model, Plan, Separation, Source
from plugin_core.protocols import Finished, Order, Report
from plugin_core.providers.engine import LocalEngine, SpeedBook, worker_format
from plugin_core.providers.local import request as requests
from plugin_core.providers.local.request import BLOCK_SECONDS, STEMS, WorkerRequest, fill_options, read_options
from plugin_core.stem_names import INSTRUMENTAL
from plugin_core.worker import usable_processors

NAME: Final = "local"
WORKER: Final = "plugin_core.providers.local.worker"
NETWORK: Final = Model(
    id="network",
    name="Small network over signal processing",
    stems=STEMS,
    summary="a network of 1 MB weighs the masks of 'classic'; works offline, sums exactly to the source",
)
CLASSIC: Final = Model(
    id="classic",
    name="Classic signal processing",
    stems=STEMS,
    summary="preview quality, no training data: centre, melody, percussion; twice as fast",
)
SAMPLES_PER_SECOND: Final = 20 * 2 * 44_100
"""Samples a slow processor separates and writes in a second, for estimates."""


def default_workers() -> int:
    """Return half the processors this process may use, at least one."""
    return max(1, usable_processors() // 2)


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the embedded separator uses the machine."""

    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = msgspec.field(default_factory=default_workers)
    """Songs separated at the same time, each by one process on one processor; default half the processors."""
    block_seconds: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = BLOCK_SECONDS
    """Seconds of sound worked on at once; memory grows with it (133 MB at 4 s of stereo at 44.1 kHz), the
    stems are the same."""
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 10
    """How far workers step back behind other programs, as ``nice(1)`` counts; no effect on Windows."""


class LocalSeparator(LocalEngine):
    """Splits songs into vocals, drums, bass and other without any account.

    Args:
        settings: section ``[local]``.
        speeds: where it notes how fast it was.
    """

    name = NAME
    title = "Embedded separator: preview quality, on this machine, free"
    worker = WORKER
    relief = "lower workers or block_seconds in [local]"
    preference: ClassVar[float] = 1.0

    def __init__(self, settings: LocalSettings, speeds: SpeedBook | None = None) -> None:
        super().__init__(speeds)
        self.settings = settings

    async def slots(self) -> int:
        return self.settings.workers

    async def models(self) -> Sequence[Model]:
        return (NETWORK, CLASSIC) if requests.NETWORK_MANIFEST.exists() else (CLASSIC,)

    async def plan(self, source: Source, wish: Separation) -> Plan:
        models = tuple(model.id for model in await self.models())
        _check_word("model", wish.model or models[0], models)
        for stem in wish.stems:
            _check_word("stem", stem, (*STEMS, INSTRUMENTAL))
        for stem in wish.minus:
            _check_word("stem to subtract", stem, STEMS)
        chosen = resolve_format(wish.format, source)
        options = fill_options(wish.options)
        samples = source.duration * source.sample_rate * source.channels
        notes = ("a mono source has no stereo centre to listen for: expect little in 'other'",)
        return Plan(
            operation=msgspec.structs.replace(wish, model=wish.model or models[0], options=options, format=chosen.name),
            stems=STEMS,
            seconds=0.5 + samples / SAMPLES_PER_SECOND,
            notes=notes if source.channels == 1 else (),
        )

    async def poll(self, order: Order, report: Report) -> Finished:
        from plugin_core.audio.probe import probe  # heavy imports wait until there is work

        operation = order.separation
        request = WorkerRequest(
            source=order.source.path,
            info=await asyncio.to_thread(probe, order.source.path),
            folder=order.folder / order.attempt,
            format=worker_format(operation, order.source).name,
            parameters=read_options(operation.options),
            network=operation.model != CLASSIC.id,
            block_seconds=self.settings.block_seconds,
            nice=self.settings.nice,
        )
        return await self.work(order, report, request, STEMS)


def _check_word(kind: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        hint = ", did you mean --stems vocals?" if word == INSTRUMENTAL else suggest(word.lower(), known, lead=", ")
        raise UsageError(f"the separator {NAME!r} has no {kind} {word!r}{hint}", remedy=f"it knows {', '.join(known)}")
