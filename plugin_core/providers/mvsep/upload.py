"""The file that is uploaded: the source decoded once, as FLAC, so that both sides share one time base."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from plugin_core.audio.formats import AudioFormat, resolve_format
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.probe import probe
from plugin_core.audio.reader import open_reader
from plugin_core.audio.writer import open_writer
from plugin_core.errors import SourceError
from plugin_core.model import Progress
from plugin_core.protocols import Order, Report
from plugin_core.providers.mvsep.formats import upload_format

BLOCK: Final = 1 << 16
PREFIX: Final = "upload"


class Upload(msgspec.Struct, frozen=True):
    """A file ready to be sent."""

    path: Path
    suffix: str
    note: str = ""
    """What the user should know about it."""

    @property
    def is_own(self) -> bool:
        """Whether it was made for the upload, and is not the user's file."""
        return self.path.name.startswith(f"{PREFIX}.")


class OverFullScaleError(Exception):
    """A float source exceeds what integers hold; internal."""


class StoppedError(Exception):
    """The upload is not wanted any more; internal."""


async def prepare_upload(order: Order, report: Report) -> Upload:
    """Return what is sent for a source: itself if it is FLAC, else a FLAC of it in the job's folder.

    16 and 24 bits stay, lossy sources become 16 bits, 32 bits and floats 24; floats beyond full scale are sent as
    32-bit float WAV, so that nothing is clipped. A file that an earlier try has finished is taken as it is.

    Raises:
        SourceError: it cannot be decoded.
        TransientError: the disk is full, or does not answer.
        PlacementError: the job's folder cannot be written.
    """
    loop = asyncio.get_running_loop()
    stop = threading.Event()

    def tell(share: float) -> None:
        if stop.is_set():
            raise StoppedError
        loop.call_soon_threadsafe(report, Progress(fraction=share, note="preparing the upload"))

    work = asyncio.ensure_future(asyncio.to_thread(_prepare, order, tell))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        # Nothing may write into the folder any more once the caller goes on; what it was about to say is moot.
        with contextlib.suppress(BaseException):
            await asyncio.wait([work])
            work.exception()
        raise


def _prepare(order: Order, tell: Callable[[float], None]) -> Upload:
    source = order.source.path
    info = probe(source)
    if is_clean_flac(source, info):
        _hear(order, info, tell)
        return Upload(source, ".flac")
    for earlier in sorted(order.folder.glob(f"{PREFIX}.*")):
        return Upload(earlier, earlier.suffix)
    wish = upload_format(info.encoding)
    try:
        chosen = resolve_format(wish, info)
    except SourceError:
        # FLAC's header cannot say every sample rate.
        chosen = resolve_format("wav24" if wish == "flac24" else "wav16", info)
    is_float = info.encoding in ("float", "double")
    try:
        clipped = _encode(order, info, chosen, tell, refuse_clipping=is_float)
    except OverFullScaleError:
        chosen = resolve_format("wav32f", info)
        _encode(order, info, chosen, tell, refuse_clipping=False)
        return _finished(order, chosen, "sent as 32-bit float WAV: it exceeds full scale")
    note = f"{clipped} samples over full scale were clipped for the upload, as a player does" if clipped else ""
    return _finished(order, chosen, note)


def is_clean_flac(path: Path, info: AudioInfo) -> bool:
    """Tell whether a source can be sent as it is: FLAC of 16 or 24 bits and known length, no tag before it."""
    if info.container != "FLAC" or info.encoding not in ("pcm_16", "pcm_24") or not info.frames:
        return False
    with path.open("rb") as opened:
        return opened.read(4) == b"fLaC"


def _encode(
    order: Order, info: AudioInfo, chosen: AudioFormat, tell: Callable[[float], None], *, refuse_clipping: bool
) -> int:
    """Write the source below a name of our own; return how many samples were clipped."""
    total = info.frames or round(info.duration * info.sample_rate) or 1
    clipped = 0
    path = _scratch(order, chosen)
    with (
        open_reader(order.source.path) as reader,
        open_writer(path, sample_rate=info.sample_rate, channels=info.channels, format=chosen) as writer,
    ):
        while len(block := reader.read(BLOCK, dtype="float64")):
            if not chosen.is_float:
                over = int(np.count_nonzero(np.abs(block) > 1.0))
                if over and refuse_clipping:
                    raise OverFullScaleError
                clipped += over
            writer.write(block)
            tell(min(1.0, reader.position / total))
    return clipped


def _hear(order: Order, info: AudioInfo, tell: Callable[[float], None]) -> None:
    """Decode a source that is sent as it is: one cut short, or damaged, would be paid for in vain.

    Raises:
        SourceError: it cannot be decoded to its end.
    """
    with open_reader(order.source.path) as reader:
        while len(reader.read(BLOCK, dtype="int32")):
            tell(min(1.0, reader.position / info.frames))


def _finished(order: Order, chosen: AudioFormat, note: str) -> Upload:
    path = order.folder / f"{PREFIX}{chosen.suffix}"
    os.replace(_scratch(order, chosen), path)  # noqa: PTH105 - says which of two paths is missing
    return Upload(path, chosen.suffix, note)


def _scratch(order: Order, chosen: AudioFormat) -> Path:
    return order.folder / f"{order.attempt}.{PREFIX}{chosen.suffix}"
