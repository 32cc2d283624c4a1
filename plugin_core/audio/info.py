"""What is known of an audio file before it is decoded."""

from __future__ import annotations

from typing import Literal

import msgspec

from plugin_core.audio.layout import Layout
from plugin_core.audio.timeline import Timeline

Decoder = Literal["libsndfile", "ffmpeg"]


class AudioInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An audio file's shape, from its header."""

    frames: int
    """Samples in each channel; 0 when the container does not say."""
    sample_rate: int
    channels: int
    encoding: str
    """``pcm_u8``, ``pcm_s8``, ``pcm_16``, ``pcm_24``, ``pcm_32``, ``float``, ``double`` or ``lossy``."""
    container: str
    """``WAV``, ``FLAC``, ``OGG``, ``MP3``, ``M4A``, ..."""
    duration: float
    """Seconds; an estimate where ``frames`` is 0."""
    decoder: Decoder
    is_headerless: bool = False
    """Whether the file is a bare stream of frames (ADTS, AC-3, ...): nothing in it promises a length."""
    codec: str = ""
    """ffprobe's name, where that was asked."""
    is_whole: bool = False
    """Whether the container's own size shows that nothing is missing, however long the sound is said to be."""
    timeline: Timeline | None = None
    """What is played of what ffmpeg decodes; None: all of it."""
    layouts: tuple[Layout, ...] = ()
    """The recordings in the file as libsndfile is to read them, one after the other; empty: the file as it stands."""
    note: str = ""
    """What people should know of how it is read."""
