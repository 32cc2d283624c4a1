"""Separates one file into a folder: decode, separate, mix down, write."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from plugin_core.audio.formats import FORMATS, AudioFormat
from plugin_core.audio.overload import OPEN_ENDED, refuse_peak
from plugin_core.audio.reader import Reader, open_reader
from plugin_core.audio.samples import Samples, count_overs
from plugin_core.audio.writer import open_writer
from plugin_core.errors import SourceError
from plugin_core.files.errors import explain_write_error
from plugin_core.providers.local.messages import Done, Request
from plugin_core.providers.local.mixdown import mix_down
from plugin_core.providers.local.parameters import STEMS
from plugin_core.providers.local.separate import separate

DEEP = frozenset({"pcm_32", "double"})
"""Encodings that float32 does not hold exactly."""


def render(request: Request, report: Callable[[float | None], None]) -> Done:
    """Write the four stems of ``request.source`` into ``request.folder``, or leave nothing behind.

    Args:
        request: what to do.
        report: hears, block by block, the share of the source that is written; None where its length is unknown.

    Raises:
        SourceError: the source cannot be decoded, or peaks over full scale do not fit the format.
        TransientError: the disk is full, or a share does not answer.
        PlacementError: the folder cannot be written.
    """
    try:
        request.folder.mkdir(parents=True)
    except OSError as error:
        raise explain_write_error(request.folder, error) from error
    try:
        return _render(request, report)
    except BaseException:
        shutil.rmtree(request.folder, ignore_errors=True)
        raise


def _render(request: Request, report: Callable[[float | None], None]) -> Done:
    chosen = FORMATS[request.format]
    files = {stem: stem + chosen.suffix for stem in STEMS}
    with open_reader(request.source) as reader, ExitStack() as stack:
        intake = Intake(reader, chosen)
        info = reader.info
        writers = {
            stem: stack.enter_context(
                open_writer(request.folder / name, sample_rate=info.sample_rate, channels=info.channels, format=chosen)
            )
            for stem, name in files.items()
        }
        written = 0
        for estimates in separate(
            intake.read,
            sample_rate=info.sample_rate,
            channels=info.channels,
            parameters=request.parameters,
            block_seconds=request.block_seconds,
        ):
            for stem, block in mix_down(estimates, chosen.bits).items():
                writers[stem].write(block)
            written += len(estimates.source)
            report(min(1.0, written / info.frames) if info.frames else None)
    return Done(files, intake.clipped)


class Intake:
    """Reads the source as it will be summed to, and minds its full scale.

    Args:
        reader: the source.
        chosen: the format of the stems.
    """

    def __init__(self, reader: Reader, chosen: AudioFormat) -> None:
        self.clipped = 0
        """Samples of a lossy source over full scale so far."""
        self._reader = reader
        self._format = chosen
        self._is_deep = reader.info.encoding in DEEP
        self._may_clip = chosen.bits is not None and not reader.info.encoding.startswith("pcm")

    def read(self, frames: int) -> Samples:
        """Return the next frames (frames, channels), fewer only at the end.

        Raises:
            SourceError: damaged, or over full scale where the format cannot hold it.
        """
        block = self._decode(frames)
        if self._may_clip:
            overs = count_overs(block)
            if overs and self._reader.info.encoding in OPEN_ENDED:
                raise self._refuse(block)
            self.clipped += overs
        return block

    def _decode(self, frames: int) -> NDArray[np.floating]:
        return self._reader.read(frames, "float64" if self._is_deep else "float32")

    def _refuse(self, block: Samples) -> SourceError:
        """Name the highest peak of the whole source, so that one correction is enough."""
        peak = 0.0
        while len(block):
            peak = max(peak, float(np.abs(block).max()))
            block = self._decode(len(block))
        return refuse_peak(self._reader.path, peak, self._format)
