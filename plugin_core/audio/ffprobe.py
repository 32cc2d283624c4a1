"""What ffprobe says of a file, in our words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.ffmpeg import run_ffprobe
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.movie import Movie
from plugin_core.audio.timeline import Piece, Timeline, read_timeline
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_CONTAINERS: Final = {
    "mov": "M4A",
    "matroska": "MKV",
    "asf": "WMA",
    "wv": "WAVPACK",
    "mpegts": "TS",
}

_PLAYLISTS: Final = frozenset({"hls", "concat", "dash", "sdp", "rtsp", "tty", "image2", "lavfi"})
"""What ffmpeg opens and what is no recording: lists of other files, and text."""

_SURE_SCORE: Final = 51
_LIKELY_SCORE: Final = 25
"""ffprobe's confidence of 100: what only the file's name speaks for gets 50 or less."""

_STREAMS: Final = frozenset(
    {"aac", "ac3", "dts", "eac3", "flac", "mlp", "mp3", "mpeg", "mpegts", "shn", "tak", "truehd"}
)
"""Formats without a header of their own, found by their frames; ffprobe is never sure of them."""

_HEADERLESS: Final = (_STREAMS - {"flac", "tak"}) | {"adx", "amr", "dtshd", "gsm", "loas"}
"""Formats that nowhere say how long they are; ffprobe guesses from the bit rate, or from time stamps that may jump."""

_PROTECTED: Final = frozenset({"drms", "enca"})
"""MP4's names for encrypted audio."""

_LOSSLESS: Final = frozenset(
    {"alac", "ape", "flac", "mlp", "mp4als", "ralf", "shorten", "tak", "truehd", "tta", "wavpack", "wmalossless"}
)

_SAMPLE_FORMATS: Final = {"u8": "pcm_u8", "s16": "pcm_16", "s32": "pcm_32", "flt": "float", "dbl": "double"}


_CLOCK: Final = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


class _Stream(msgspec.Struct, frozen=True):
    codec_name: str = ""
    codec_tag_string: str = ""
    sample_fmt: str = ""
    sample_rate: str = "0"
    channels: int = 0
    bits_per_raw_sample: str = "0"
    time_base: str = ""
    duration_ts: int = 0
    duration: str = "0"
    start_time: str = "0"
    tags: dict[str, str] = {}


class _Format(msgspec.Struct, frozen=True):
    format_name: str = ""
    probe_score: int = 0
    duration: str = "0"
    start_time: str = "0"
    nb_streams: int = 1


class _Answer(msgspec.Struct, frozen=True):
    streams: tuple[_Stream, ...] = ()
    format: _Format = _Format()


# Worked out once, at import: msgspec crashes when two threads work out a type at the same time.
_ANSWERS: Final = msgspec.json.Decoder(_Answer)


def probe_with_ffprobe(program: str, path: Path, movie: Movie | None = None) -> AudioInfo:
    """Describe the first audio stream; ``movie`` is the index of an MP4.

    Raises:
        SourceError: not audio, without an audio stream, or protected.
    """
    shown = show_path(path)
    try:
        answer = _ANSWERS.decode(run_ffprobe(program, path))
    except msgspec.DecodeError as error:
        raise SourceError(f"{shown} cannot be read: ffprobe's answer makes no sense ({error})") from error
    container = answer.format.format_name.split(",")[0]
    if not _is_recording(container, answer.format.probe_score):
        raise SourceError(f"{shown} is not audio")
    if not answer.streams:
        raise SourceError(f"{shown} holds no audio")
    stream = answer.streams[0]
    if stream.codec_tag_string in _PROTECTED:
        raise SourceError(f"{shown} is protected against copying (DRM) and cannot be decoded")
    if not stream.codec_name or stream.codec_name in ("none", "unknown") or not stream.sample_fmt:
        raise SourceError(f"{shown} holds audio that ffmpeg cannot decode")
    return _place(path, _describe(container, stream, answer.format), stream, answer.format, movie)


def _is_recording(container: str, score: int) -> bool:
    if container in _PLAYLISTS:
        return False
    return score >= (_LIKELY_SCORE if container in _STREAMS else _SURE_SCORE)


def _describe(container: str, stream: _Stream, about: _Format) -> AudioInfo:
    sample_rate = int(_number(stream.sample_rate))
    encoding = _name_encoding(stream)
    frames = 0
    is_headerless = container in _HEADERLESS
    if encoding != "lossy" and not is_headerless and stream.time_base == f"1/{sample_rate}":
        # Of lossy codecs the container counts whole packets, not samples of music.
        frames = max(0, stream.duration_ts)
    own = _number(stream.duration) or _read_end(stream, about)
    return AudioInfo(
        frames=frames,
        sample_rate=sample_rate,
        channels=stream.channels,
        encoding=encoding,
        container=_CONTAINERS.get(container, container.upper()),
        duration=frames / sample_rate if frames else own or _number(about.duration),
        decoder="ffmpeg",
        # The picture may last longer than the sound.
        is_headerless=is_headerless or (not own and about.nb_streams > 1),
        codec=stream.codec_name,
    )


def _read_end(stream: _Stream, about: _Format) -> float:
    """Return the seconds between the start of a Matroska file and the end of a stream; 0 where it does not say."""
    found = _CLOCK.fullmatch(stream.tags.get("DURATION", ""))
    if found is None:
        return 0.0
    return max(0.0, int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) - _number(about.start_time))


def _place(path: Path, info: AudioInfo, stream: _Stream, about: _Format, movie: Movie | None) -> AudioInfo:
    """Add what is played, and when, of what will be decoded."""
    lead = max(0, round((_number(stream.start_time) - _number(about.start_time)) * info.sample_rate))
    timeline = None
    if movie is not None:
        length = stream.duration_ts if stream.time_base == f"1/{movie.track_clock}" else 0
        timeline = read_timeline(path, movie, codec=info.codec, sample_rate=info.sample_rate, length=length, lead=lead)
    if timeline is None and lead:
        timeline = Timeline((Piece(lead, 0, info.frames or None),), is_raw=False)
    if timeline is None:
        return info
    # A Matroska's end counts from the start of the file.
    is_counted = bool(_read_end(stream, about)) and not _number(stream.duration)
    frames = timeline.samples
    duration = frames / info.sample_rate if frames else info.duration + (0 if is_counted else lead / info.sample_rate)
    return msgspec.structs.replace(info, timeline=timeline, note=timeline.note, frames=frames, duration=duration)


def _name_encoding(stream: _Stream) -> str:
    if stream.codec_name not in _LOSSLESS and not _is_plain_pcm(stream.codec_name):
        return "lossy"
    kind = _SAMPLE_FORMATS.get(stream.sample_fmt.removesuffix("p"), "pcm_32")
    bits = _number(stream.bits_per_raw_sample)
    return "pcm_24" if kind == "pcm_32" and 16 < bits <= 24 else kind


def _is_plain_pcm(codec: str) -> bool:
    return codec.startswith("pcm_") and codec not in ("pcm_alaw", "pcm_mulaw", "pcm_vidc")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
