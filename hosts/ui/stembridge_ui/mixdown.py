"""The mix as it is heard, written beside the stems: the core's reader and writer, and a sum between them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from plugin_core import __version__, open_reader, open_writer, resolve_format, tag_stem
from plugin_core.errors import UsageError
from plugin_core.files.database import new_id
from plugin_core.files.hidden import HiddenNotes
from plugin_core.files.names import HIDDEN_PREFIX, clean_component
from plugin_core.files.placement import adopt_group, explain_os_error, rename_numbered
from plugin_core.model import Job
from plugin_core.tasks import Stopper
from stembridge_ui.lanes import Lane, check_version

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
