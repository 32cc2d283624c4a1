"""Names of codecs, as ffprobe has them, whichever reader is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from plugin_core.audio.info import AudioInfo
from plugin_core.audio.sndfile import open_sndfile
from plugin_core.audio.source_file import open_file

MPEG_AUDIO: Final = frozenset({"mp1", "mp2", "mp3"})

_EXACT: Final = re.compile(r"pcm_.*|flac|alac|wavpack|tta|ape|tak|truehd|mlp|wmalossless")
"""Codecs every decoder gives the same samples of. Another one in here makes another digest: ``pcm2``."""

_ALONE: Final = {"MP3": "mp3", "AAC": "aac", "FLAC": "flac", "WAVPACK": "wavpack", "TTA": "tta", "TAK": "tak"}
"""Containers that hold one codec; the layers of MPEG audio are walked over alike."""

_SNDFILE: Final = {
    "ULAW": "pcm_mulaw",
    "ALAW": "pcm_alaw",
    "VORBIS": "vorbis",
    "OPUS": "opus",
    "MPEG_LAYER_I": "mp1",
    "MPEG_LAYER_II": "mp2",
    "MPEG_LAYER_III": "mp3",
}


def is_exact(codec: str) -> bool:
    """Tell whether every decoder gives the same samples of a codec."""
    return _EXACT.fullmatch(codec) is not None


def name_codec(path: Path, info: AudioInfo) -> str:
    """Return ffprobe's name of a file's codec; empty where nobody has one.

    Raises:
        SourceError: the file cannot be read.
        TransientError: the disk or share does not answer.
    """
    if info.container in _ALONE:
        return _ALONE[info.container]
    if info.decoder == "ffmpeg":
        return info.codec
    if info.encoding != "lossy":
        return f"pcm_{info.encoding.removeprefix('pcm_')}"
    with open_file(path) as descriptor, open_sndfile(path, descriptor) as opened:
        return _SNDFILE.get(opened.subtype, "")
