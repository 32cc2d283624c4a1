"""The formats stems are written in, and which one a wish means for a given source.

Imports neither numpy nor soundfile: the command line reads its names for ``--help``.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from plugin_core.errors import SourceError, UsageError, suggest

AUDIO_SUFFIXES: Final = frozenset(
    f".{suffix}"
    for suffix in (
        *("aac", "ac3", "aif", "aifc", "aiff", "alac", "ape", "au", "caf", "flac", "m4a", "m4b", "mka", "mp2", "mp3"),
        *("mpc", "oga", "ogg", "opus", "rf64", "tak", "tta", "w64", "wav", "wave", "webm", "wma", "wv"),
    )
)
"""What a walk through a folder takes for audio; a file that is named is tried whatever it is called."""

_WAV_LIMIT: Final = 2**32 - 4096
"""A RIFF file counts its bytes in 32 bits; some room is left for its chunks and the tags."""


FORMAT_NAMES: Final = (
    "flac",
    "flac16",
    "flac24",
    "wav",
    "wav16",
    "wav24",
    "wav32f",
    "w64",
    "mp3",
    "m4a",
    "ogg",
    "opus",
)
"""What users may write after ``--format``."""

_SHALLOW: Final = frozenset({"pcm_u8", "pcm_s8", "pcm_16"})
_DEEP: Final = frozenset({"pcm_32", "float", "double"})


class AudioFormat(msgspec.Struct, frozen=True):
    """One way to write a stem."""

    name: str
    suffix: str
    container: str
    """soundfile's word; ``MP3`` and ``M4A`` are written by ffmpeg."""
    subtype: str
    bits: int | None
    """Depth of the integers; None for floats and lossy codecs."""
    is_float: bool
    is_lossless: bool
    max_channels: int
    max_bytes: int | None
    """Largest file the container can be; None means no limit in practice."""

    @property
    def needs_ffmpeg(self) -> bool:
        """Whether ffmpeg writes it."""
        return self.container in ("MP3", "M4A")

    @property
    def bytes_per_sample(self) -> int:
        """Size of one sample before compression."""
        return (self.bits or 32) // 8


class SourceShape(Protocol):
    """What of a source decides its format; ``model.Source`` and ``AudioInfo`` both fit."""

    @property
    def encoding(self) -> str:
        """As in ``AudioInfo``."""
        ...

    @property
    def channels(self) -> int:
        """Number of channels."""
        ...

    @property
    def frames(self) -> int:
        """Samples in each channel, 0 when unknown."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hertz."""
        ...

    @property
    def duration(self) -> float:
        """Seconds, an estimate where ``frames`` is 0."""
        ...


FLAC16: Final = AudioFormat("flac16", ".flac", "FLAC", "PCM_16", 16, False, True, 8, None)
FLAC24: Final = AudioFormat("flac24", ".flac", "FLAC", "PCM_24", 24, False, True, 8, None)
WAV16: Final = AudioFormat("wav16", ".wav", "WAV", "PCM_16", 16, False, True, 8, _WAV_LIMIT)
WAV24: Final = AudioFormat("wav24", ".wav", "WAV", "PCM_24", 24, False, True, 8, _WAV_LIMIT)
WAV32F: Final = AudioFormat("wav32f", ".wav", "WAV", "FLOAT", None, True, True, 8, _WAV_LIMIT)
W64_16: Final = AudioFormat("w64_16", ".w64", "W64", "PCM_16", 16, False, True, 8, None)
W64_24: Final = AudioFormat("w64_24", ".w64", "W64", "PCM_24", 24, False, True, 8, None)
W64_32F: Final = AudioFormat("w64_32f", ".w64", "W64", "FLOAT", None, True, True, 8, None)
MP3: Final = AudioFormat("mp3", ".mp3", "MP3", "MPEG_LAYER_III", None, False, False, 2, None)
M4A: Final = AudioFormat("m4a", ".m4a", "M4A", "AAC", None, False, False, 8, None)
# Of more channels Vorbis and WAV have orders of their own.
OGG: Final = AudioFormat("ogg", ".ogg", "OGG", "VORBIS", None, False, False, 2, None)
OPUS: Final = AudioFormat("opus", ".opus", "OGG", "OPUS", None, False, False, 2, None)

FORMATS: Final = {
    one.name: one for one in (FLAC16, FLAC24, WAV16, WAV24, WAV32F, W64_16, W64_24, W64_32F, MP3, M4A, OGG, OPUS)
}
"""Every concrete format by its name."""


_LARGER: Final = {"wav16": W64_16, "wav24": W64_24, "wav32f": W64_32F}


def resolve_format(wish: str, info: SourceShape) -> AudioFormat:
    """Choose the concrete format for a wish; empty means lossless at the source's own depth.

    Raises:
        UsageError: unknown name.
        SourceError: the source has more channels or an odder sample rate than the format holds.
    """
    wish = wish.strip().lower()
    chosen = _choose(wish, info)
    if chosen.container == "FLAC" and not _is_flac_rate(info.sample_rate):
        if wish:
            raise SourceError(f"{chosen.name} cannot hold {info.sample_rate} Hz", remedy="choose wav")
        chosen = WAV16 if chosen is FLAC16 else WAV24
    if chosen.max_bytes is not None and _estimate_bytes(chosen, info) > chosen.max_bytes:
        chosen = _LARGER[chosen.name]
    if info.channels > chosen.max_channels:
        raise SourceError(
            f"{chosen.name} holds at most {chosen.max_channels} channels and the source has {info.channels}",
            remedy="choose flac or wav",
        )
    return chosen


def float_format(chosen: AudioFormat, info: SourceShape) -> AudioFormat:
    """Return the format of the same kind of file, as far as there is one, that holds what lies over full scale."""
    if chosen.is_float:
        return chosen
    return W64_32F if chosen.container == "W64" else resolve_format(WAV32F.name, info)


def usual_format(info: SourceShape) -> str:
    """Return the format of what a service gives when none is wished: 16 bits, and WAV where FLAC cannot be."""
    try:
        return resolve_format("flac16", info).name
    except SourceError:
        return resolve_format("wav16", info).name


def _choose(wish: str, info: SourceShape) -> AudioFormat:
    is_shallow, is_deep = info.encoding in _SHALLOW, info.encoding in _DEEP
    match wish:
        case "":
            return FLAC16 if is_shallow else WAV32F if is_deep else FLAC24
        case "flac":
            return FLAC16 if is_shallow else FLAC24
        case "wav":
            return WAV16 if is_shallow else WAV32F if is_deep else WAV24
        case "w64":
            return W64_16 if is_shallow else W64_32F if is_deep else W64_24
    if wish in FORMATS:
        return FORMATS[wish]
    meant = suggest(wish, FORMAT_NAMES, lead=", ", is_quoted=False)
    raise UsageError(f"no format is called {wish!r}{meant}", remedy=f"choose one of {', '.join(FORMAT_NAMES)}")


def _is_flac_rate(sample_rate: int) -> bool:
    """Tell whether FLAC's frame header can say the rate: in hertz up to 16 bits, beyond that in tens of hertz."""
    return sample_rate < 1 << 16 or sample_rate % 10 == 0


def _estimate_bytes(chosen: AudioFormat, info: SourceShape) -> int:
    frames = info.frames or round(info.duration * info.sample_rate)
    return frames * info.channels * chosen.bytes_per_sample
