"""The process that separates one file into a folder: ``python -m plugin_core.providers.local.worker``.

Decodes, separates, mixes down so that the stems sum to the source (the last one is what the others leave), and writes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin_core.audio.formats import FORMATS
from plugin_core.audio.reader import open_reader
from plugin_core.audio.remainder import Intake, Stems, leave_rest, open_stems
from plugin_core.audio.samples import Samples
from plugin_core.errors import SettingsError
from plugin_core.providers.local.masks import Features, Masker
from plugin_core.providers.local.network import MaskNetwork, read_network
from plugin_core.providers.local.refinement import Refinement
from plugin_core.providers.local.request import BLOCK_SECONDS, STEMS, Parameters, WorkerRequest
from plugin_core.providers.local.stft import Analysis, Complex64, Frames, Synthesis
from plugin_core.worker import Reported, WorkerDone, made_folder, serve, usable_processors

Float32 = NDArray[np.float32]

CHUNK = 64
"""Frames analysed at once, few enough for the processor's caches."""
FEW = 16
"""Frames weighed and turned into samples at once, likewise."""

LOUDEST = 1e6
"""Samples beyond are heard as this, lest their power overflow; the stems' sum is not touched."""

LAYOUTS = {
    3: "LRC",
    4: "LRLR",
    5: "LRCLR",
    6: "LRCCLR",
    7: "LRCCCLR",
    8: "LRCCLRLR",
}
"""Whether a channel stands left, right or in the centre, in the order of FLAC and WAVE files."""


class Estimates(NamedTuple):
    """Some frames of the source with what is heard in them: four arrays (frames, channels)."""

    source: Samples
    drums: Float32
    bass: Float32
    vocals: Float32


def separate(
    read: Callable[[int], Samples],
    *,
    sample_rate: int,
    channels: int,
    parameters: Parameters | None = None,
    network: MaskNetwork | None = None,
    block_seconds: float = BLOCK_SECONDS,
) -> Iterator[Estimates]:
    """Yield the whole stream in order, each frame once.

    One channel is separated without the stereo's help. Three to eight are heard as the stereo pair they would be
    played as; the pair's masks go onto every channel. More are heard as left, right, left, right, ...

    Args:
        read: returns the next frames (frames, channels), as many as asked, fewer only at the end.
        sample_rate: hertz.
        channels: of the stream.
        parameters: of the method.
        network: weighs its masks anew; default none does.
        block_seconds: how much is worked on at once (less, down to a second, for many channels or a high sample rate);
            memory grows with it, the result is the same.
    """
    stream = _View(sample_rate, channels, parameters or Parameters(), network, block_seconds)
    while not stream.ended:
        yield from stream.advance(read(stream.wanted))


class _View:
    """A view of some frames, moving along the stream: first those that wait for the melody, last those just heard.

    A frame is known, then decided when the medians reach no further, then masked when its pitch is decided, then
    settled when the network has heard what follows.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        parameters: Parameters,
        network: MaskNetwork | None,
        block_seconds: float,
    ) -> None:
        self.frames = frames = Frames(sample_rate, parameters.window_seconds)
        self.masker = Masker(frames, parameters)
        self.refinement = Refinement(frames, network) if network else None
        self.context = self.masker.context + 1
        block = max(1, round(_affordable(block_seconds, sample_rate * channels) * frames.rate))
        rows = block + 2 * self.context + self.masker.lag + (self.refinement.lag if self.refinement else 0) + 4
        self.wanted = block * frames.hop
        self.ended = False
        self.analyses = [Analysis(frames, CHUNK) for _ in range(channels)]
        self.spectra: list[Complex64] = [np.zeros((rows, frames.bins), dtype=np.complex64) for _ in range(channels)]
        self.features = Features(rows, frames.bins)
        self.syntheses = [[Synthesis(frames, FEW) for _ in range(channels)] for _ in Estimates._fields[1:]]
        self.first = 0
        """Frame that row 0 holds."""
        self.known = 0
        """Frames that have been analysed."""
        self.decided = 0
        """Frames whose drums and melody have been heard."""
        self.masked = 0
        """Frames whose masks are told."""
        self.settled = 0
        """Frames whose masks are final, and applied."""
        self.samples = 0
        """Samples that have been read, and below, given out."""
        self.given = 0
        self.sources: list[Samples] = []

    def advance(self, block: Samples) -> Iterator[Estimates]:
        """Take the next samples; a short block ends the stream."""
        self.ended = len(block) < self.wanted
        self.samples += len(block)
        self.sources.append(block)
        total = self.frames.count(self.samples) if self.ended else self.known + len(block) // self.frames.hop
        if self.samples:
            self._analyse(block, total - self.known)
            self._decide(total if self.ended else max(0, total - self.context))
            self._mask(total if self.ended else max(0, self.decided - self.masker.lag))
            yield from self._settle(self.refinement.ready(ended=self.ended) if self.refinement else self.masked)
            self._move()

    def _analyse(self, block: Samples, count: int) -> None:
        frames = self.frames
        padded = np.zeros((len(self.spectra), count * frames.hop), dtype=np.float32)
        np.clip(block.T, -LOUDEST, LOUDEST, out=padded[:, : len(block)], casting="same_kind")
        first = self.known - self.first
        for rows in _chunks(first, first + count, CHUNK):
            samples = padded[:, (rows.start - first) * frames.hop : (rows.stop - first) * frames.hop]
            for analysis, channel, spectra in zip(self.analyses, samples, self.spectra, strict=True):
                analysis.push(channel, spectra[rows])
            self.masker.describe(*_pair([spectra[rows] for spectra in self.spectra]), self.features, rows)
        self.known += count

    def _decide(self, until: int) -> None:
        start, stop = self.decided - self.first, until - self.first
        if start < stop:
            self.masker.decide(self.features, start, stop, (0, self.known - self.first))
            self.decided = until
        if self.ended and self.masker.melody:
            self.masker.melody.finish()

    def _mask(self, until: int) -> None:
        start, stop = self.masked - self.first, until - self.first
        for rows in _chunks(start, stop, CHUNK):
            self.masker.mask(self.features, rows.start, rows.stop)
            if self.refinement:
                self.refinement.hear(self.features, rows.start, rows.stop)
        self.masked = max(self.masked, until)

    def _settle(self, until: int) -> Iterator[Estimates]:
        if until <= self.settled:
            return
        rows = slice(self.settled - self.first, until - self.first)
        if self.refinement:
            self.refinement.refine(self.features, rows.start, rows.stop)
        pairs = zip(self.features.masks(), self.syntheses, strict=True)
        waves = [self._apply(mask, syntheses, rows) for mask, syntheses in pairs]
        # The first frames reach back before the stream, and the last ones beyond its end.
        early = max(0, self.frames.lead - self.settled * self.frames.hop)
        self.settled = until
        count = max(0, min(len(waves[0]) - early, self.samples - self.given))
        self.given += count
        drums, bass, vocals = (wave[early : early + count] for wave in waves)
        if count:
            yield Estimates(self._take(count), drums, bass, vocals)

    def _apply(self, mask: Float32, syntheses: list[Synthesis], rows: slice) -> Float32:
        """Return the samples (frames, channels) of these rows, each cell weighed."""
        hop = self.frames.hop
        waves = np.empty(((rows.stop - rows.start) * hop, len(syntheses)), dtype=np.float32)
        scaled = np.empty((FEW, self.frames.bins), dtype=np.complex64)
        for chunk in _chunks(rows.start, rows.stop, FEW):
            place = slice((chunk.start - rows.start) * hop, (chunk.stop - rows.start) * hop)
            for channel, (spectra, synthesis) in enumerate(zip(self.spectra, syntheses, strict=True)):
                part = np.multiply(spectra[chunk], mask[chunk], out=scaled[: chunk.stop - chunk.start])
                waves[place, channel] = synthesis.push(part)
        return waves

    def _take(self, count: int) -> Samples:
        """Return the oldest samples that were read, so that source and estimates keep together."""
        kept = np.concatenate(self.sources)
        self.sources = [kept[count:].copy()]
        return kept[:count]

    def _move(self) -> None:
        """Forget the frames that are settled, and of masked ones what no median needs any more."""
        rows = self.known - self.first
        heard = max(0, min(self.masked, self.decided - self.context) - self.first)
        drop = min(heard, self.settled - self.first)
        for start, arrays in ((drop, (*self.spectra, *self.features.masks())), (heard, self.features.heard())):
            for array in arrays if drop else ():
                for chunk in _chunks(start, rows, drop):  # none of which reaches into itself
                    array[chunk.start - drop : chunk.stop - drop] = array[chunk]
        self.first += drop


def _chunks(start: int, stop: int, most: int) -> Iterator[slice]:
    for first in range(start, stop, most):
        yield slice(first, min(first + most, stop))


def _affordable(block_seconds: float, values_per_second: int) -> float:
    """Shorten the blocks of wide and fast streams, so that they need little more memory than stereo at 48 kHz."""
    shorter = block_seconds * 2 * 48_000 / values_per_second
    return min(block_seconds, max(shorter, 1.0))


def _pair(spectra: list[Complex64]) -> tuple[Complex64, Complex64 | None]:
    """Return the stereo pair that is listened to; one channel has no right one."""
    if len(spectra) <= 2:
        return spectra[0], spectra[1] if len(spectra) == 2 else None
    layout = LAYOUTS.get(len(spectra)) or ("LR" * len(spectra))[: len(spectra)]
    gain = {"L": (1.0, 0.0), "R": (0.0, 1.0), "C": (0.5**0.5, 0.5**0.5)}
    left, right = np.zeros_like(spectra[0]), np.zeros_like(spectra[0])
    for side, spectrum in zip(layout, spectra, strict=True):
        left += np.float32(gain[side][0]) * spectrum
        right += np.float32(gain[side][1]) * spectrum
    return left, right


ALL_BUT_SILENT = 10**-2.5
"""Share of the source's energy that is worth a note: 25 dB below it."""


def render(request: WorkerRequest, report: Reported) -> WorkerDone:
    """Write the four stems of ``request.source`` into ``request.folder``, or leave nothing behind.

    Args:
        request: what to do.
        report: hears, block by block, the share of the source that is written; None where its length is unknown.

    Raises:
        SourceError: the source cannot be decoded, or peaks over full scale do not fit the format.
        TransientError: the disk is full, or a share does not answer.
        PlacementError: the folder cannot be written.
    """
    with made_folder(request.folder):
        return _render(request, report)


def _render(request: WorkerRequest, report: Reported) -> WorkerDone:
    chosen = FORMATS[request.format]
    files = {stem: stem + chosen.suffix for stem in STEMS}
    with (
        open_reader(request.source, info=request.info) as reader,
        open_stems(request.folder, files, reader.info, chosen, ahead=usable_processors() > 1) as write,
    ):
        intake, info = Intake(reader, chosen), reader.info
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
            write(mix_down(estimates, chosen.bits))
            source, vocals = estimates.source, estimates.vocals
            energies += [_energy(source), _energy(vocals), _energy(source - vocals)]
            written += len(source)
            report(min(1.0, written / info.frames) if info.frames else None)
    return WorkerDone(files, intake.clipped, notes or (_tell_voice(energies) if network else ()))


def mix_down(estimates: Estimates, bits: int | None) -> Stems:
    """Return the four stems of a block, as float32 or as integers of ``bits``: drums take what is left over first."""
    source, drums, bass, vocals = estimates
    return leave_rest(source, {"drums": drums, "vocals": vocals, "bass": bass}, STEMS[-1], bits)


def _energy(block: Samples) -> float:
    return float(np.vdot(block, block))


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


if __name__ == "__main__":
    sys.exit(serve(WorkerRequest, render))
