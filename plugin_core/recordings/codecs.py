"""Names of codecs, as ffprobe has them, whichever reader is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.ffmpeg import INSTALL, Which, run_ffprobe
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.sndfile import open_sndfile
from plugin_core.audio.source_file import open_file
from plugin_core.errors import SourceError
from plugin_core.model import show_path

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


class _Stream(msgspec.Struct, frozen=True):
    codec_name: str = ""


class _Answer(msgspec.Struct, frozen=True):
    streams: tuple[_Stream, ...] = ()


# Worked out once, at import: msgspec crashes when two threads work out a type at the same time.
_ANSWERS: Final = msgspec.json.Decoder(_Answer)


def is_exact(codec: str) -> bool:
    """Tell whether every decoder gives the same samples of a codec."""
    return _EXACT.fullmatch(codec) is not None


def name_codec(path: Path, info: AudioInfo, which: Which) -> str:
    """Return ffprobe's name of a file's codec; empty where nobody has one.

    Raises:
        SourceError: the file cannot be read.
        TransientError: the disk or share does not answer.
    """
    if info.container in _ALONE:
        return _ALONE[info.container]
    if info.decoder == "ffmpeg":
        return _ask_ffprobe(path, which)
    if info.encoding != "lossy":
        return f"pcm_{info.encoding.removeprefix('pcm_')}"
    with open_file(path) as descriptor, open_sndfile(path, descriptor) as opened:
        return _SNDFILE.get(opened.subtype, "")


def _ask_ffprobe(path: Path, which: Which) -> str:
    program = which("ffprobe")
    if program is None:
        raise SourceError(f"{show_path(path)} needs ffmpeg to be read", remedy=INSTALL)
    try:
        streams = _ANSWERS.decode(run_ffprobe(program, path)).streams
    except msgspec.DecodeError as error:
        raise SourceError(f"{show_path(path)} cannot be read: ffprobe's answer makes no sense ({error})") from error
    return streams[0].codec_name if streams else ""
