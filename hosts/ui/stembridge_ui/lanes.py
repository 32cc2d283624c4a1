"""What of a job can be played: its source and each of its stems, as peaks and as segments of samples.

A segment is always four seconds from a whole multiple of four seconds, so that a request asks for no more than that
whatever it says, and lanes of different rates keep step.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from plugin_core import (
    AUDIO_SUFFIXES,
    __version__,
    colour_of,
    distinct,
    open_reader,
    open_writer,
    resolve_format,
    tag_stem,
    title,
)
from plugin_core.errors import SourceError, StembridgeError, UsageError
from plugin_core.files.database import new_id
from plugin_core.files.hidden import HiddenNotes
from plugin_core.files.names import HIDDEN_PREFIX, clean_component
from plugin_core.files.placement import adopt_group, explain_os_error, rename_numbered
from plugin_core.model import Job, show_path
from plugin_core.session import Session
from plugin_core.tasks import Stopper, run_stoppable
from stembridge_ui.jobs import Json, read_number

SECONDS: Final = 4
"""Length of a segment."""
PEAKS_EVERY: Final = 20
"""Peaks a second."""
SOURCE: Final = "source"
_AT_ONCE: Final = 2
"""Segments that are decoded at the same time."""
_OPEN: Final = 12
"""Readers that are kept where they are, since the segment after theirs is usually asked for next."""
_IDLE: Final = 20.0
"""Seconds for which they are."""
_REMEMBERED: Final = 64
"""Songs and stems whose peaks are remembered."""
_BLOCK_SECONDS: Final = 8
_NEIGHBOURS: Final = 10_000
"""Names that a song which is gone is looked for among."""


class Lane(msgspec.Struct, frozen=True):
    """One file that plays beside the others."""

    name: str
    path: Path
    title: str
    colour: str
    gain: float
    """What the stem was multiplied with, so that the source plays as loud."""


class ChangedError(StembridgeError):
    """A file is another than the one that was listed."""


def check_version(path: Path, listed: str = "") -> str:
    """Return what a file is known by until somebody writes to it.

    Raises:
        SourceError: it is not there.
        ChangedError: it is another than the one that was listed.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{show_path(Path(path.name))}: {error.strerror}") from error
    found = f"{status.st_dev:x}-{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
    if listed not in ("", found):
        raise ChangedError(f"{show_path(Path(path.name))} was changed on the disk", remedy="it is read anew")
    return found


def lanes_of(job: Job) -> dict[str, Lane]:
    """Return the lanes of a job by name: its source, and the stems that are sound."""
    stems = [stem for stem in job.stems if stem.path.suffix.lower() in AUDIO_SUFFIXES]
    names = distinct([SOURCE, *(stem.name for stem in stems)])[1:]
    gain = next((stem.gain for stem in stems if stem.gain != 1.0), 1.0)
    found = [Lane(SOURCE, job.source.path, "Source", "#9aa0a6", gain)]
    for name, stem in zip(names, stems, strict=True):
        found.append(Lane(name, stem.path, title(stem.name), "#{:02x}{:02x}{:02x}".format(*colour_of(stem.name)), 1.0))
    return {lane.name: lane for lane in found}


def _follow(session: Session, job: Job) -> bool:
    """Let jobs follow a song that was renamed, or its folder was, to a place near by; tell whether one did."""
    old = job.source.path
    song = (job.source.device, job.source.inode, job.source.size, job.source.mtime_ns)
    for folder in (old.parent, old.parent.parent):
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in islice(entries, _NEIGHBOURS):
                is_folder = folder != old.parent
                found = Path(entry.path, old.name) if is_folder else Path(entry.path)
                with suppress(OSError):
                    status = found.lstat()
                    if (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) == song:
                        moved = (old.parent, found.parent) if is_folder and not old.parent.exists() else (old, found)
                        return session.moved(*moved) > 0
    return False


class OpenedLane(NamedTuple):
    """A reader that stands at the beginning of a segment."""

    stack: ExitStack
    reader: Any
    since: float


class Lanes:
    """Reads what is played.

    Args:
        session: is told of a song that was moved.
        find: the job that a request names.
    """

    def __init__(self, session: Session, find: Callable[[Request], Job]) -> None:
        self._session = session
        self._find = find
        self._room = asyncio.Semaphore(_AT_ONCE)
        # Whole files are read for these: what is about to be played does not wait for it.
        self._room_for_peaks = asyncio.Semaphore(1)
        self._kept: OrderedDict[tuple[tuple[Path, str], int], OpenedLane] = OrderedDict()
        self._peaks: OrderedDict[tuple[Path, str], bytes] = OrderedDict()

    def routes(self) -> list[Route]:
        """Return where it is asked."""
        return [
            Route("/api/jobs/{id}/lanes", self._list),
            Route("/api/jobs/{id}/lanes/{lane}/peaks", self._show_peaks),
            Route("/api/jobs/{id}/lanes/{lane}/pcm/{segment}", self._show_segment),
        ]

    def close(self) -> None:
        """Close every file."""
        while self._kept:
            self._kept.popitem()[1].stack.close()

    async def _find_lanes(self, request: Request, name: str = "") -> dict[str, Lane]:
        """Return the lanes of a job, or the one of a name, where they are: people rename songs while they listen."""
        job = self._find(request)
        lanes = {lane.name: lane for lane in lanes_of(job).values() if name in ("", lane.name)}
        is_there = all(lane.path.exists() for lane in lanes.values())
        if is_there or not await asyncio.to_thread(_follow, self._session, job):
            return lanes
        return lanes_of(self._find(request))

    async def _find_lane(self, request: Request) -> Lane:
        """Return the lane that a request names.

        Raises:
            UsageError: there is no such job or lane.
        """
        name = request.path_params["lane"]
        lane = (await self._find_lanes(request, name)).get(name)
        if lane is None:
            raise UsageError("this job has no such stem")
        return lane

    async def _list(self, request: Request) -> Response:
        lanes = (await self._find_lanes(request)).values()
        async with self._room:
            return Json([await asyncio.to_thread(_describe, lane) for lane in lanes])

    async def _show_peaks(self, request: Request) -> Response:
        path = (await self._find_lane(request)).path
        key = (path, await asyncio.to_thread(check_version, path))
        if key not in self._peaks:
            async with self._room_for_peaks:
                self._peaks[key] = await run_stoppable(lambda stopper: measure_peaks(path, stopper))
        self._peaks.move_to_end(key)
        while len(self._peaks) > _REMEMBERED:
            self._peaks.popitem(last=False)
        return Response(self._peaks[key], media_type="application/octet-stream")

    async def _show_segment(self, request: Request) -> Response:
        path, segment = (await self._find_lane(request)).path, read_number(request.path_params["segment"], -1)
        if segment < 0:
            raise HTTPException(404)
        async with self._room:
            version = await asyncio.to_thread(check_version, path, request.headers.get("if-match", ""))
            key = (path, version)
            opened, samples = await asyncio.to_thread(_read_segment, *key, segment, self._take(key, segment))
        self._keep(key, segment + 1, opened)
        headers = {"x-channels": str(opened.reader.info.channels), "x-rate": str(opened.reader.info.sample_rate)}
        return Response(samples, 200, headers, "application/octet-stream")

    def _take(self, lane: tuple[Path, str], segment: int) -> OpenedLane | None:
        """Return a reader that stands at the segment, or else before it; what is compressed may only be read on."""
        before = [key for key in self._kept if key[0] == lane and key[1] <= segment]
        return self._kept.pop(max(before)) if before else None

    def _keep(self, lane: tuple[Path, str], segment: int, opened: OpenedLane) -> None:
        loop = asyncio.get_running_loop()
        previous = self._kept.pop((lane, segment), None)
        if previous is not None:
            previous.stack.close()
        self._kept[lane, segment] = opened._replace(since=loop.time())
        loop.call_later(_IDLE, self._sweep, loop.time)
        self._sweep(loop.time)

    def _sweep(self, clock: Callable[[], float]) -> None:
        while self._kept:
            oldest = next(iter(self._kept))
            if len(self._kept) <= _OPEN and clock() - self._kept[oldest].since < _IDLE:
                return
            self._kept.pop(oldest).stack.close()


def _describe(lane: Lane) -> dict[str, Any]:
    told = {"name": lane.name, "title": lane.title, "colour": lane.colour, "gain": lane.gain}
    try:
        version = check_version(lane.path)
        with open_reader(lane.path) as reader:
            info = reader.info
    except StembridgeError as error:
        return told | {"trouble": str(error)}
    frames = info.frames or round(info.duration * info.sample_rate)
    return told | {"rate": info.sample_rate, "channels": info.channels, "frames": frames, "version": version}


def _read_segment(path: Path, version: str, segment: int, opened: OpenedLane | None) -> tuple[OpenedLane, bytes]:
    """Return the samples of a segment as little-endian floats, channel by channel, and the reader behind it."""
    if opened is None:
        stack = ExitStack()
        opened = OpenedLane(stack, stack.enter_context(open_reader(path)), 0.0)
    try:
        frames = SECONDS * opened.reader.info.sample_rate
        opened.reader.skip(segment * frames - opened.reader.position)
        block = opened.reader.read(frames) if not opened.reader.is_over else np.zeros((0, opened.reader.info.channels))
        # Not what was written meanwhile.
        check_version(path, version)
    except BaseException:
        opened.stack.close()
        raise
    # Each channel in one piece, as a browser wants it.
    return opened, np.ascontiguousarray(block.T, "<f4").tobytes()


def measure_peaks(path: Path, stopper: Stopper) -> bytes:
    """Return the lowest and the highest sample of each twentieth of a second over all channels, from -127 to 127."""
    found = []
    with open_reader(path) as reader:
        each = max(1, reader.info.sample_rate // PEAKS_EVERY)
        while len(block := reader.read(each * PEAKS_EVERY * _BLOCK_SECONDS)):
            stopper.check()
            # All channels in one row: eighty times as fast as channel by channel.
            starts = np.arange(0, block.size, each * block.shape[1])
            ends = (np.minimum.reduceat(block.ravel(), starts), np.maximum.reduceat(block.ravel(), starts))
            found.append(np.stack(ends, axis=1))
    peaks = np.concatenate(found) if found else np.zeros((0, 2))
    return bytes(np.rint(np.clip(peaks, -1.0, 1.0) * 127).astype(np.int8).tobytes())


Samples = npt.NDArray[Any]

LOUDEST: Final = 4.0
"""What a lane may be multiplied with at most; 12 dB."""
_BLOCK: Final = 1 << 16
_DEPTHS: Final = {"pcm_u8": 0, "pcm_s8": 0, "pcm_16": 0, "lossy": 1, "pcm_24": 1, "pcm_32": 2, "float": 2, "double": 2}
"""Which of several encodings holds the others."""


class Fader(msgspec.Struct, array_like=True, frozen=True):
    """How a lane is heard."""

    gain: Annotated[float, msgspec.Meta(ge=0, le=LOUDEST)]
    version: str = ""
    """Of the file that was listed."""


def require_heard(mix: Mapping[str, Fader], lanes: Mapping[str, Lane]) -> dict[str, Fader]:
    """Return the lanes of a mix that are heard.

    Raises:
        UsageError: one is no lane, or nothing is heard.
    """
    if not mix.keys() <= lanes.keys():
        raise UsageError("the mix names stems that this job does not have")
    heard = {name: fader for name, fader in mix.items() if fader.gain}
    if not heard:
        raise UsageError("nothing is heard", remedy="unmute a stem")
    return heard


def write_mix(
    job: Job, lanes: Mapping[str, Lane], heard: Mapping[str, Fader], notes: HiddenNotes, stopper: Stopper
) -> tuple[Path, int]:
    """Write the sum of the lanes beside the stems, whole or not at all, under a name that nothing has.

    Args:
        job: made the stems, of which there are some.
        lanes: those of the job.
        heard: those of them that are heard.
        notes: know of the file while it is written.
        stopper: ends it.

    Returns:
        The file, and how many samples had to be clipped.

    Raises:
        UsageError: the lanes have not one rate and number of channels.
        StembridgeError: a lane cannot be read, or the file not be written.
    """
    folder = job.stems[0].path.parent
    with ExitStack() as stack:
        readers = {one: stack.enter_context(open_reader(lanes[one].path)) for one in heard}
        for name, fader in heard.items():
            check_version(lanes[name].path, fader.version)
        infos = [reader.info for reader in readers.values()]
        if len({(info.sample_rate, info.channels) for info in infos}) > 1:
            raise UsageError("these stems have not one sample rate and number of channels", remedy="mute the odd one")
        deepest = max(infos, key=lambda info: _DEPTHS.get(info.encoding, _DEPTHS["lossy"]))
        chosen = resolve_format("", deepest)
        draft = folder / f"{HIDDEN_PREFIX}mix-{new_id(time.time)}{chosen.suffix}"
        stack.enter_context(notes.noted(draft))
        try:
            with open_writer(
                draft, sample_rate=infos[0].sample_rate, channels=infos[0].channels, format=chosen
            ) as writer:
                while True:
                    stopper.check()
                    blocks = [fader.gain * readers[one].read(_BLOCK, "float64") for one, fader in heard.items()]
                    if not (frames := max(map(len, blocks))):
                        break
                    writer.write(np.sum([_pad(block, frames) for block in blocks], axis=0))
            # Without it a hot folder, or whoever takes all songs of a folder, would have it separated.
            made = {"stembridge": __version__, "job": job.id, "source_sha256": job.source.content}
            tag_stem(job.source.path, draft, stem_title="Mix", provenance=made)
            adopt_group(draft, folder)
            name = clean_component(f"{job.source.path.stem} - Mix")
            return rename_numbered(draft, folder, name, chosen.suffix), writer.clipped
        except OSError as error:
            raise explain_os_error(error, folder) from error
        finally:
            draft.unlink(missing_ok=True)


def _pad(block: Samples, frames: int) -> Samples:
    return np.pad(block, ((0, frames - len(block)), (0, 0)))
