"""The embedded separator as the core sees it: a provider whose service is a process on this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec

from plugin_core.audio.formats import FORMATS, AudioFormat, float_format, resolve_format
from plugin_core.audio.overload import must_stay_open
from plugin_core.errors import TransientError, UsageError, suggest
from plugin_core.files.errors import named
from plugin_core.model import Model, Part, Plan, Progress, RemoteFile, Separation, Source, Ticket, show_path
from plugin_core.protocols import Finished, Order, Report
from plugin_core.providers.local import request as requests
from plugin_core.providers.local.request import STEMS, WorkerRequest, fill_options, read_options
from plugin_core.stem_names import INSTRUMENTAL
from plugin_core.worker import run_worker, worker_command

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
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // 2)


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the embedded separator uses the machine."""

    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = msgspec.field(default_factory=default_workers)
    """Songs separated at the same time, each by one process on one processor; default half the processors."""
    block_seconds: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 5.0
    """Seconds of sound worked on at once; memory grows with it (170 MB at 5 s of stereo at 44.1 kHz), the
    stems are the same."""
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 10
    """How far workers step back behind other programs, as ``nice(1)`` counts; no effect on Windows."""


class LocalSeparator:
    """Splits songs into vocals, drums, bass and other without any account.

    Args:
        settings: section ``[local]``.
    """

    name = NAME
    title = "Embedded separator: preview quality, on this machine, free"
    remote = False

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings

    def account(self) -> str:
        """Name the account: this machine's only one."""
        return NAME

    async def slots(self) -> int:
        """Return how many songs are separated at once."""
        return self.settings.workers

    async def models(self) -> Sequence[Model]:
        return (NETWORK, CLASSIC) if requests.NETWORK_MANIFEST.exists() else (CLASSIC,)

    async def plan(self, source: Source, wish: Separation) -> Plan:
        """Check the wish and fill in model, options and format.

        Raises:
            UsageError: unknown model, option, stem or format, or an option out of its range.
        """
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

    async def submit(self, order: Order, report: Report) -> Ticket:  # noqa: ARG002
        """Give the job's own key back: the work is done in ``poll``, and nothing is spent."""
        return Ticket(remote_id=order.key)

    async def find(self, order: Order) -> Ticket | None:  # noqa: ARG002
        """Find nothing: no job lives on without its process."""
        return None

    async def poll(self, order: Order, report: Report) -> Finished:
        """Do the work, in a worker process; cancelling kills it and removes what it wrote.

        Raises:
            SourceError: the source cannot be decoded, or its peaks do not fit the format.
            TransientError: the disk is full, or the worker was killed.
            PlacementError: the staging folder cannot be written.
            ServiceError: the worker crashed.
        """
        from plugin_core.audio.probe import probe  # heavy imports wait until there is work

        operation = order.separation
        folder = order.folder / order.attempt
        song = show_path(Path(order.source.path.name))
        request = WorkerRequest(
            source=order.source.path,
            info=await asyncio.to_thread(probe, order.source.path),
            folder=folder,
            format=worker_format(operation, order.source).name,
            parameters=read_options(operation.options),
            network=operation.model != CLASSIC.id,
            block_seconds=self.settings.block_seconds,
            nice=self.settings.nice,
        )
        report(Progress(fraction=0.0))
        await _remove(folder)
        try:
            with named({folder / stem: f"{stem} of {song}" for stem in STEMS} | {folder: f"the stems of {song}"}):
                done = await run_worker(
                    worker_command(WORKER),
                    request,
                    lambda fraction: report(Progress(fraction=fraction)),
                    relief="lower workers or block_seconds in [local]",
                )
        except BaseException:
            # A killed worker could not tidy up.
            await _remove(folder)
            raise
        clipped = (f"{done.clipped} samples over full scale were clipped, as a player does",) if done.clipped else ()
        report(Progress(fraction=1.0, note="; ".join((*clipped, *done.notes))))
        return Finished(files=tuple([_describe(folder, stem, name) for stem, name in done.files.items()]))

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:  # noqa: ARG002
        """Return all four stems where the worker left them.

        Raises:
            TransientError: a stem is gone from staging, or not whole.
        """
        return [_take(order, file) for file in order.results]

    async def cancel(self, order: Order) -> None:
        """Do nothing: the worker ended with the task that polled."""

    async def release(self, order: Order) -> None:
        """Do nothing: all there is lies in the job's folder, which is the core's."""


def worker_format(wish: Separation, source: Source) -> AudioFormat:
    """Return the lossless format the worker writes; the core makes of it what is lossy, scaled or of fewer bits.

    Raises:
        UsageError: no such format.
    """
    chosen = FORMATS.get(wish.format) or resolve_format(wish.format, source)
    lossless = chosen if chosen.is_lossless else resolve_format("", source)
    return float_format(lossless, source) if must_stay_open(wish.on_overload, source.encoding) else lossless


async def _remove(folder: Path) -> None:
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _check_word(kind: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        hint = ", did you mean --stems vocals?" if word == INSTRUMENTAL else suggest(word.lower(), known, lead=", ")
        raise UsageError(f"the separator {NAME!r} has no {kind} {word!r}{hint}", remedy=f"it knows {', '.join(known)}")


def _describe(folder: Path, stem: str, name: str) -> RemoteFile:
    return RemoteFile(
        label=stem.capitalize(), stem=stem, name=f"{folder.name}/{name}", size=(folder / name).stat().st_size
    )


def _take(order: Order, file: RemoteFile) -> Part:
    root = order.folder.resolve()
    path = (root / file.name).resolve()
    is_whole = path.is_relative_to(root) and path.is_file() and file.size in (None, path.stat().st_size)
    if not is_whole:
        raise TransientError(
            f"the separated {file.stem} of {show_path(Path(order.source.path.name))} is gone",
            remedy="the song is separated again",
        )
    return Part(stem=file.stem, label=file.label, path=order.folder / file.name, exact=True)
