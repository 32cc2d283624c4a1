"""The process that separates one file into a folder: ``python -m plugin_core.providers.neural.worker``.

Checks the weights, decodes the song to what networks hear, lets the network work, and brings what it gives back to the
song's rate and channels. The last stem is what the others leave of the song itself.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray

from plugin_core.audio.formats import FORMATS
from plugin_core.audio.reader import open_reader
from plugin_core.audio.remainder import Intake, leave_rest, open_stems
from plugin_core.errors import SettingsError
from plugin_core.files.disk import explain_write_error
from plugin_core.model import show_path
from plugin_core.providers.neural.library import read_digest
from plugin_core.providers.neural.networks import RATE, Load, NeuralRequest, StemNetwork, Weights
from plugin_core.worker import Reported, WorkerDone, made_folder, serve, usable_processors

Float32 = NDArray[np.float32]

DECODED: Final = 0.04
"""Share of the work that is done once the song is decoded."""
_BLOCK: Final = 1 << 18
_QUALITY: Final = "VHQ"


class ScratchMix:
    """The song as networks hear it, in a file.

    Args:
        path: of the file, which is made.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self.frames = 0

    def append(self, samples: Float32) -> None:
        """Write samples (samples, 2) at the end; all before the first are read."""
        self._file.write(np.ascontiguousarray(samples, dtype=np.float32).tobytes())
        self.frames += len(samples)

    def read(self, start: int, count: int) -> Float32:
        found = np.zeros((count, 2), dtype=np.float32)
        first, last = max(0, start), min(self.frames, start + count)
        if last > first:
            self._file.seek(8 * first)
            data = np.frombuffer(self._file.read(8 * (last - first)), dtype=np.float32)
            found[first - start : last - start] = data.reshape(-1, 2)
        return found

    def close(self) -> None:
        self._file.close()


class Rate:
    """Turns a stream of samples (samples, channels) into another rate.

    Args:
        given: hertz of what is pushed.
        wanted: hertz of what comes back.
        channels: of both.
    """

    def __init__(self, given: int, wanted: int, channels: int) -> None:
        self._stream = soxr.ResampleStream(given, wanted, channels, "float32", _QUALITY) if given != wanted else None

    def push(self, samples: NDArray[Any], *, is_last: bool = False) -> Float32:
        """Return what is ready; with the last samples, all of it."""
        plain = np.ascontiguousarray(samples, dtype=np.float32)
        if self._stream is None:
            return plain
        ready: Float32 = self._stream.resample_chunk(plain, last=is_last)
        return ready


def render(request: NeuralRequest, report: Reported) -> WorkerDone:
    """Write the stems of ``request.source`` into ``request.folder``, or leave nothing behind.

    Raises:
        SettingsError: a file of the model is not what it was.
        UsageError: what runs the model is not installed.
        SourceError: the source cannot be decoded, or peaks over full scale do not fit the format.
        TransientError: the disk is full, or a share does not answer.
        PlacementError: the folder cannot be written.
        ServiceError: the network gave up.
    """
    with made_folder(request.folder):
        # Checked before anything of them is read.
        for one in request.weights:
            _check(one)
        kind = importlib.import_module(f"plugin_core.providers.neural.{request.choice.model.kind}")
        load: Load = kind.load
        network = load(request.choice.model, request.weights, request.computing)
        try:
            with tempfile.TemporaryDirectory(dir=request.folder, prefix="scratch-") as scratch:
                return _render(request, network, Path(scratch), report)
        except OSError as error:
            raise explain_write_error(request.folder, error) from error


def _check(weights: Weights) -> None:
    try:
        digest = read_digest(weights.path)
    except OSError as error:
        why = error.strerror or str(error)
    else:
        if digest.sha256 == weights.file.sha256:
            return
        why = "its digest is not the one it had"
    raise SettingsError(
        f"{show_path(weights.path)}: {why}; nothing of it was run", remedy="fetch the model again: stembridge models"
    )


def _render(request: NeuralRequest, network: StemNetwork, scratch: Path, report: Reported) -> WorkerDone:
    chosen, choice = FORMATS[request.format], request.choice
    files = {stem: stem + chosen.suffix for stem in choice.stems}
    with ExitStack() as stack:
        mix = ScratchMix(scratch / "mix")
        stack.callback(mix.close)
        clipped = _decode(request, mix, report)
        reader = stack.enter_context(open_reader(request.source, info=request.info))
        intake, info = Intake(reader, chosen), reader.info
        write = stack.enter_context(open_stems(request.folder, files, info, chosen, ahead=usable_processors() > 1))
        own = scratch / "network"
        own.mkdir()
        blocks = network.separate(mix, own, lambda done: report(DECODED + (1 - DECODED) * done))
        others = tuple(stem for stem in choice.stems if stem != choice.rest)
        for block in _at_rate(blocks, others, info.sample_rate, info.channels):
            source = intake.read(len(next(iter(block.values()))))
            stems = {stem: samples[: len(source)] for stem, samples in block.items()}
            write(leave_rest(source, stems, choice.rest, chosen.bits))
        # What resampling rounded off at the end.
        while len(source := intake.read(_BLOCK)):
            silence = dict.fromkeys(others, np.zeros(source.shape, dtype=np.float32))
            write(leave_rest(source, silence, choice.rest, chosen.bits))
    return WorkerDone(files, clipped, network.notes)


def _decode(request: NeuralRequest, mix: ScratchMix, report: Reported) -> int:
    """Write the song as networks hear it; return how many of its samples were clipped."""
    with open_reader(request.source, info=request.info) as reader:
        intake, info = Intake(reader, FORMATS[request.format]), reader.info
        rate, read = Rate(info.sample_rate, RATE, 2), 0
        while len(block := intake.read(_BLOCK)):
            read += len(block)
            mix.append(rate.push(np.broadcast_to(block, (len(block), 2))))
            report(DECODED * min(1.0, read / info.frames) if info.frames else None)
        mix.append(rate.push(np.zeros((0, 2), dtype=np.float32), is_last=True))
        return intake.clipped


def _at_rate(
    blocks: Iterator[Mapping[str, Float32]], stems: tuple[str, ...], rate: int, channels: int
) -> Iterator[dict[str, Float32]]:
    """Yield blocks in the rate and channels of the song, none of them empty."""
    rates = {stem: Rate(RATE, rate, channels) for stem in stems}

    def convert(block: Mapping[str, Float32], *, is_last: bool = False) -> dict[str, Float32]:
        narrow = {stem: block[stem] if channels == 2 else block[stem].mean(axis=1, keepdims=True) for stem in stems}
        return {stem: rates[stem].push(samples, is_last=is_last) for stem, samples in narrow.items()}

    for block in blocks:
        ready = convert(block)
        if len(next(iter(ready.values()))):
            yield ready
    last = convert(dict.fromkeys(stems, np.zeros((0, 2), dtype=np.float32)), is_last=True)
    if len(next(iter(last.values()))):
        yield last


if __name__ == "__main__":
    sys.exit(serve(NeuralRequest, render))
