"""libsndfile through soundfile: which files it is trusted with, and how they are read in order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import soundfile

from plugin_core.audio.hush import hushed
from plugin_core.audio.layout import Layout, View

if TYPE_CHECKING:
    from plugin_core.audio.samples import Samples

UNKNOWN_FRAMES: Final = 2**62
"""libsndfile gives 2**63 - 1 frames for a FLAC whose header does not say."""

_CONTAINERS: Final = {"WAVEX": "WAV"}

_ENCODINGS: Final = {
    "PCM_U8": "pcm_u8",
    "PCM_S8": "pcm_s8",
    "PCM_16": "pcm_16",
    "PCM_24": "pcm_24",
    "PCM_32": "pcm_32",
    "FLOAT": "float",
    "DOUBLE": "double",
    "ALAC_16": "pcm_16",
    "ALAC_20": "pcm_24",
    "ALAC_24": "pcm_24",
    "ALAC_32": "pcm_32",
}

_W64: Final = b"riff\x2e\x91\xcf\x11"
_MAGIC: Final = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b".snd", b"dns.", b"caff", _W64, b"ID3")


class SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read from its beginning to its end and never sought in.

    soundfile seeks after each read of a seekable file; that costs time in compressed formats and fails at the
    end of a FLAC without a length.
    """

    view: View | None = None
    """What it is read through, if that is not the file itself."""

    def seekable(self) -> bool:
        """Say no."""
        return False


def is_known(head: bytes) -> bool:
    """Tell whether the first bytes are of a container libsndfile reads reliably.

    Left to itself it takes text named .au or .vox for headerless audio, and prints to the terminal while it looks
    for MPEG frames in anything named .mp3.
    """
    return head.startswith(_MAGIC) or is_mpeg_audio(head)


def is_mpeg_audio(head: bytes) -> bool:
    """Tell whether the bytes begin with an MPEG audio frame (layer 1 to 3; AAC has the same sync and layer 0)."""
    return (
        len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 != 0 and head[2] & 0xF0 < 0xF0
    )


@contextmanager
def open_sndfile(path: Path, descriptor: int, layout: Layout | None = None) -> Iterator[SequentialFile]:
    """Open a file, or what a layout makes of it, for reading in order.

    Raises:
        soundfile.LibsndfileError: libsndfile cannot read it.
    """
    if layout is not None:
        view = View(path, descriptor, layout)
        with hushed():
            viewed = SequentialFile(view)
        with viewed:
            viewed.view = view
            yield viewed
        return
    # The descriptor spares any trouble with names, and with files renamed meanwhile; Windows has one table of
    # descriptors per C library, so there the name it is.
    with hushed():
        opened = SequentialFile(str(path) if os.name == "nt" else descriptor, closefd=False)
    with opened:
        yield opened


def name_encoding(opened: soundfile.SoundFile) -> str:
    """Return our word for the encoding of an open file."""
    return _ENCODINGS.get(opened.subtype, "lossy")


def name_container(opened: soundfile.SoundFile) -> str:
    """Return our word for the container of an open file."""
    return str(_CONTAINERS.get(opened.format, opened.format))


def read_block(opened: SequentialFile, frames: int, dtype: str) -> Samples:
    """Read up to ``frames`` frames: (n, channels), n smaller at the end."""
    # soundfile makes room for all that is asked for; what lies beyond the end costs more than a short file itself.
    if _knows_its_place(opened):
        frames = min(frames, max(1, opened.frames - opened.tell()))
    with hushed():
        block: Any = opened.read(frames, dtype=dtype, always_2d=True)
    if len(block) < frames and opened.view is not None and opened.view.trouble is not None:
        raise opened.view.trouble
    return block  # type: ignore[no-any-return]


def count_decoded(opened: soundfile.SoundFile) -> int:
    """Return how many frames were decoded so far, those of a read that failed half-way included; 0 if unknown."""
    return int(opened.tell()) if _knows_its_place(opened) else 0


def _knows_its_place(opened: soundfile.SoundFile) -> bool:
    """Tell whether the codec can say where it is: that is a seek, which GSM 6.10, G.721 and others do not have."""
    return bool(soundfile.SoundFile.seekable(opened))
