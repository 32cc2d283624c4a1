"""The process that separates one file into a folder: ``python -m plugin_core.providers.local.worker``.

Reads one request from standard input and answers on standard output, a JSON object a line. It ends at once when its
standard input does: whoever started it is gone. Decodes, separates, mixes down so that the stems sum to the source (the
last one is what the others leave), and writes.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin_core.audio.formats import FORMATS, AudioFormat
from plugin_core.audio.overload import OPEN_ENDED, refuse_peak
from plugin_core.audio.reader import Reader, open_reader
from plugin_core.audio.samples import Samples, count_overs, to_integers
from plugin_core.audio.writer import open_writer
from plugin_core.errors import SettingsError, SourceError, StembridgeError, TransientError
from plugin_core.files.errors import explain_write_error
from plugin_core.model import from_json, to_json
from plugin_core.providers.local.estimates import Estimates, separate
from plugin_core.providers.local.network import MaskNetwork, read_network
from plugin_core.providers.local.request import STEMS, Failed, Message, WorkerDone, WorkerRequest, Working

Int32 = NDArray[np.int32]
Stems = dict[str, NDArray[Any]]
"""Blocks (frames, channels) by stem."""


DEEP = frozenset({"pcm_32", "double"})
"""Encodings that float32 does not hold exactly."""

ORPHANED = 3
"""Exit code of a worker whose parent is gone."""

ALL_BUT_SILENT = 10**-2.5
"""Share of the source's energy that is worth a note: 25 dB below it."""

REPORT_SECONDS = 0.1
"""Progress is said no more often."""


def mix_down(estimates: Estimates, bits: int | None) -> Stems:
    """Return the four stems of a block, as float32 or as integers of ``bits``.

    Integers sum to the source, rounded to ``bits`` and clipped to its range, without any error; floats sum to it
    within the rounding of one addition. Nothing is normalised.
    """
    return _floats(estimates) if bits is None else _integers(estimates, bits)


def _floats(estimates: Estimates) -> Stems:
    source, drums, bass, vocals = estimates
    others = drums.astype(np.float64)
    others += bass
    others += vocals
    rest = (source - others).astype(np.float32)
    return {"vocals": vocals, "drums": drums, "bass": bass, "other": rest}


def _integers(estimates: Estimates, bits: int) -> Stems:
    source, drums, bass, vocals = (to_integers(block, bits) for block in estimates)
    rest = source - drums
    rest -= bass
    rest -= vocals
    limit = 1 << (bits - 1)
    if rest.size and (rest.max() >= limit or rest.min() < -limit):
        excess = _clip(rest, limit)
        for stem in (drums, vocals, bass):
            stem += excess
            excess = _clip(stem, limit)
    return {"vocals": vocals, "drums": drums, "bass": bass, "other": rest}


def _clip(block: Int32, limit: int) -> Int32:
    """Clip in place and return what was cut off."""
    whole = block.copy()
    np.clip(block, -limit, limit - 1, out=block)
    whole -= block
    return whole


def render(request: WorkerRequest, report: Callable[[float | None], None]) -> WorkerDone:
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


def _render(request: WorkerRequest, report: Callable[[float | None], None]) -> WorkerDone:
    chosen = FORMATS[request.format]
    files = {stem: stem + chosen.suffix for stem in STEMS}
    with open_reader(request.source, info=request.info) as reader, ExitStack() as stack:
        intake = Intake(reader, chosen)
        info = reader.info
        writers = {
            stem: stack.enter_context(
                open_writer(request.folder / name, sample_rate=info.sample_rate, channels=info.channels, format=chosen)
            )
            for stem, name in files.items()
        }
        network, notes = _choose_network(request)
        written = 0
        energies = np.zeros(3)
        for estimates in separate(
            intake.read,
            sample_rate=info.sample_rate,
            channels=info.channels,
            parameters=request.parameters,
            network=network,
            block_seconds=request.block_seconds,
        ):
            for stem, block in mix_down(estimates, chosen.bits).items():
                writers[stem].write(block)
            source, vocals = estimates.source, estimates.vocals
            energies += [_energy(source), _energy(vocals), _energy(source - vocals)]
            written += len(source)
            report(min(1.0, written / info.frames) if info.frames else None)
    return WorkerDone(files, intake.clipped, notes or (_tell_voice(energies) if network else ()))


def _energy(block: Samples) -> float:
    return float(np.sum(np.square(block, dtype=np.float64)))


def _tell_voice(energies: NDArray[np.float64]) -> tuple[str, ...]:
    """Say what is missing, by the energies of source, vocals and the rest."""
    source, vocals, rest = energies
    if source and vocals < ALL_BUT_SILENT * source:
        return ("no voice was heard: the vocals are all but silent",)
    if source and rest < ALL_BUT_SILENT * source:
        return ("nothing but a voice was heard: drums, bass and other are all but silent",)
    return ()


def _choose_network(request: WorkerRequest) -> tuple[MaskNetwork | None, tuple[str, ...]]:
    """Return the wished network; where it cannot be used, none and why."""
    if not request.network:
        return None, ()
    try:
        return read_network(), ()
    except SettingsError as error:
        return None, (f"separated by signal processing alone: {error}",)


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


def main() -> int:
    """Do the one request; return the exit code, 1 when an error line was written."""
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return ORPHANED
    threading.Thread(target=_end_with_parent, daemon=True).start()
    request = from_json(line, WorkerRequest)
    _step_back(request.nice)
    try:
        _say(_separate(request))
    except StembridgeError as error:
        return _fail(error)
    except MemoryError:
        return _fail(TransientError("there is not enough memory to separate", remedy="close other programs"))
    return 0


def _fail(error: StembridgeError) -> int:
    _say(Failed(type(error).__name__, error.message, error.remedy))
    return 1


def _separate(request: WorkerRequest) -> Message:
    from plugin_core.providers.local.worker import render

    said = 0.0

    def report(fraction: float | None) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= REPORT_SECONDS:
            said = now
            _say(Working(fraction))

    return render(request, report)


def _say(message: Message) -> None:
    try:
        sys.stdout.buffer.write(to_json(message) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(ORPHANED)


def _end_with_parent() -> None:
    # The raw descriptor: a buffered reader's lock would hinder the interpreter's own end.
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(ORPHANED)


def _step_back(nice: int) -> None:
    if nice and hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(nice)


if __name__ == "__main__":
    sys.exit(main())
