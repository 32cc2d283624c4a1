"""The process that separates one file into a folder: ``python -m plugin_core.providers.local.worker``.

Decodes, separates, mixes down so that the stems sum to the source (the last one is what the others leave), and writes.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from plugin_core.audio.formats import FORMATS
from plugin_core.audio.reader import open_reader
from plugin_core.audio.remainder import Intake, Stems, leave_rest, open_stems
from plugin_core.audio.samples import Samples
from plugin_core.errors import SettingsError
from plugin_core.providers.local.estimates import Estimates, separate
from plugin_core.providers.local.network import MaskNetwork, read_network
from plugin_core.providers.local.request import STEMS, WorkerRequest
from plugin_core.worker import Reported, WorkerDone, made_folder, serve, usable_processors

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
