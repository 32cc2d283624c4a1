"""What engines on this machine have in common: a worker process does the work of ``poll``, and nothing outlives it."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from plugin_core.audio.formats import FORMATS, AudioFormat, float_format, resolve_format
from plugin_core.audio.overload import must_stay_open
from plugin_core.errors import TransientError
from plugin_core.files.disk import named
from plugin_core.files.placement import write_durably
from plugin_core.model import Part, Progress, RemoteFile, Separation, Source, Ticket, show_path
from plugin_core.protocols import Finished, Order, Report
from plugin_core.worker import WorkerOrder, run_worker, worker_command

_REMEMBERED: Final = 5
"""Songs whose speed is remembered of each model."""
_TELLING: Final = 10.0
"""Seconds that a song has at least whose speed tells anything: of a shorter one, most time goes into starting."""


class LocalEngine:
    """An engine on this machine: what it shares with every other.

    Args:
        speeds: where it notes how fast it was; default nowhere.
    """

    name: ClassVar[str]
    worker: ClassVar[str]
    """The module that its worker runs."""
    relief: ClassVar[str]
    """What to do for want of memory."""
    remote = False

    def __init__(self, speeds: SpeedBook | None = None) -> None:
        self.speeds = speeds

    def account(self) -> str:
        return self.name

    def speed(self, model: str) -> float | None:
        """Return how many times as fast as they play it separated songs on this machine; None if it did not yet."""
        return self.speeds.of(f"{self.name} {model}") if self.speeds is not None else None

    async def submit(self, order: Order, report: Report) -> Ticket:  # noqa: ARG002
        """Give the job's own key back: the work is done in ``poll``, and nothing is spent."""
        return Ticket(remote_id=order.key)

    async def find(self, order: Order) -> Ticket | None:  # noqa: ARG002
        """Find nothing: no job lives on without its process."""
        return None

    async def work(self, order: Order, report: Report, request: WorkerOrder, stems: Sequence[str]) -> Finished:
        """Do the work in a worker process; cancelling kills it and removes what it wrote.

        Raises:
            SourceError: the source cannot be decoded, or its peaks do not fit the format.
            TransientError: the disk is full, or the worker was killed.
            PlacementError: the staging folder cannot be written.
            ServiceError: the worker crashed.
        """
        folder = request.folder
        song = show_path(Path(order.source.path.name))
        report(Progress(fraction=0.0))
        await _remove(folder)
        began = time.monotonic()
        try:
            with named({folder / stem: f"{stem} of {song}" for stem in stems} | {folder: f"the stems of {song}"}):
                done = await run_worker(
                    worker_command(self.worker),
                    request,
                    lambda fraction: report(Progress(fraction=fraction)),
                    relief=self.relief,
                )
        except BaseException:
            # A killed worker could not tidy up.
            await _remove(folder)
            raise
        if self.speeds is not None:
            self.speeds.note(f"{self.name} {order.separation.model}", order.source.duration, time.monotonic() - began)
        clipped = (f"{done.clipped} samples over full scale were clipped, as a player does",) if done.clipped else ()
        report(Progress(fraction=1.0, note="; ".join((*clipped, *done.notes))))
        return Finished(files=tuple([_describe(folder, stem, name) for stem, name in done.files.items()]))

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:  # noqa: ARG002
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


class SpeedBook:
    """How fast engines were on this machine, by the songs they finished last.

    Args:
        home: stembridge's home.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "speeds.json"

    def note(self, what: str, sound: float, work: float) -> None:
        """Remember that so many seconds of sound took so many of work; not to be able to hinders nothing."""
        if sound < _TELLING:
            return
        known = self._read()
        known[what] = [*known.get(what, []), (sound, work)][-_REMEMBERED:]
        with suppress(OSError):
            write_durably(self._path, msgspec.json.encode(known))

    def of(self, what: str) -> float | None:
        """Return how many times as fast as it plays a song was separated; None if none was."""
        songs = self._read().get(what, [])
        work = sum(seconds for _, seconds in songs)
        return sum(seconds for seconds, _ in songs) / work if work > 0 else None

    def _read(self) -> dict[str, list[tuple[float, float]]]:
        try:
            return _SPEEDS.decode(self._path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return {}


_SPEEDS: Final = msgspec.json.Decoder(dict[str, list[tuple[float, float]]])
