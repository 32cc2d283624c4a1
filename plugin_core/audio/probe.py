"""Looking at an audio file: its shape, or one clear line why it cannot be separated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import msgspec
import soundfile

from plugin_core.audio import completeness, sndfile
from plugin_core.audio.ffmpeg import INSTALL, Which, measure_duration
from plugin_core.audio.ffprobe import probe_with_ffprobe
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.source_file import open_file, read_at
from plugin_core.errors import SourceError
from plugin_core.model import Source, show_path

MIN_SECONDS: Final = 0.01
MAX_CHANNELS: Final = 8
SAMPLE_RATES: Final = range(8000, 192_001)

_COUNT_FRAMES: Final = 1 << 16

_MPEG_SLACK: Final = 2 * 1152
"""The first frames may hold no music, the last ones may be cut."""


def probe(path: Path, *, which: Which = shutil.which) -> AudioInfo:
    """Read an audio file's header: libsndfile first, ffprobe for what libsndfile does not know.

    Args:
        path: any name the file system allows; a video gives its first audio stream.
        which: finds ffprobe.

    Raises:
        SourceError: the file cannot be read, is not audio, is cut short, or cannot be separated.
        TransientError: the disk or share does not answer.
    """
    info = identify(path, which=which)
    check_separable(path, info)
    return info


def identify(path: Path, *, which: Which = shutil.which) -> AudioInfo:
    """Do what ``probe`` does for any audio file: labels suit many that cannot be separated, such as DSF.

    Raises:
        SourceError: the file cannot be read, is not audio, or is cut short.
        TransientError: the disk or share does not answer.
    """
    with open_file(path) as descriptor:
        info = _probe_sndfile(path, descriptor)
    if info is None:
        info = _probe_ffmpeg(path, which)
    _check_sound(path, info)
    return info


def _probe_sndfile(path: Path, descriptor: int) -> AudioInfo | None:
    if not sndfile.is_known(read_at(path, descriptor, 0, 16)):
        return None
    try:
        with sndfile.open_sndfile(path, descriptor) as opened:
            _refuse_incomplete(path, descriptor, opened)
            return _describe(path, descriptor, opened)
    except soundfile.LibsndfileError:
        return None


def _describe(path: Path, descriptor: int, opened: sndfile.SequentialFile) -> AudioInfo | None:
    frames = estimate = opened.frames
    if opened.format == "MP3" and not completeness.has_mpeg_length(path, descriptor):
        counted = completeness.count_mpeg_samples(path, descriptor)
        if counted > frames + _MPEG_SLACK:
            # libsndfile guesses the length and stops there, ffmpeg goes on to the end.
            return None
        frames, estimate = 0, counted or frames
    elif frames >= sndfile.UNKNOWN_FRAMES:
        frames = estimate = _count_frames(path, opened)
    return AudioInfo(
        frames=frames,
        sample_rate=opened.samplerate,
        channels=opened.channels,
        encoding=sndfile.name_encoding(opened),
        container=sndfile.name_container(opened),
        duration=estimate / opened.samplerate if opened.samplerate else 0.0,
        decoder="libsndfile",
    )


def _count_frames(path: Path, opened: sndfile.SequentialFile) -> int:
    """Decode a file whose header gives no length (FLAC written into a pipe)."""
    frames = 0
    try:
        while block := len(sndfile.read_block(opened, _COUNT_FRAMES, "int32")):
            frames += block
    except soundfile.LibsndfileError as error:
        raise damaged(path, sndfile.count_decoded(opened) / opened.samplerate) from error
    return frames


def _probe_ffmpeg(path: Path, which: Which) -> AudioInfo:
    ffprobe, ffmpeg = which("ffprobe"), which("ffmpeg")
    if ffprobe is None or ffmpeg is None:
        raise SourceError(
            f"{show_path(path)} is not audio, or of a kind that needs ffmpeg (AAC, M4A, WMA, video, MP3 of varying "
            "bit rate without a length)",
            remedy=INSTALL,
        )
    info = probe_with_ffprobe(ffprobe, path)
    if not info.is_headerless:
        return info
    # ffprobe guesses from the bit rate of the beginning, or says nothing.
    return msgspec.structs.replace(info, duration=measure_duration(ffmpeg, path) or info.duration)


def _check_sound(path: Path, info: AudioInfo) -> None:
    if info.channels < 1:
        raise SourceError(f"{show_path(path)} has no audio channels")
    if info.duration <= 0:
        raise SourceError(f"{show_path(path)} holds no samples")


def check_separable(path: Path, info: AudioInfo | Source) -> None:
    """Make sure that a file can be separated: at least 10 ms, at most 8 channels, 8 to 192 kHz.

    Raises:
        SourceError: it cannot.
    """
    shown = show_path(path)
    if info.channels > MAX_CHANNELS:
        raise SourceError(f"{shown} has {info.channels} channels; at most {MAX_CHANNELS} can be separated")
    if info.sample_rate not in SAMPLE_RATES:
        raise SourceError(
            f"{shown} has a sample rate of {info.sample_rate} Hz; 8 to 192 kHz can be separated",
            remedy="convert it first",
        )
    if info.duration < MIN_SECONDS:
        raise SourceError(f"{shown} is too short to separate ({info.duration * 1000:.2g} ms, at least 10 are needed)")


def damaged(path: Path, seconds: float | None, reason: str = "") -> SourceError:
    """Say where a file can no longer be decoded, as far as that is known."""
    where = "" if seconds is None else f" at {show_time(seconds)}"
    said = f" ({reason})" if reason else ""
    return SourceError(f"{show_path(path)} is damaged{where}{said}", remedy="copy or download it again")


def show_time(seconds: float) -> str:
    """Write a position as people do: ``0:12.3``, ``1:02:03.4``."""
    tenths = int(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{clock}:{rest // 10:02}.{rest % 10}"


def _refuse_incomplete(path: Path, descriptor: int, opened: sndfile.SequentialFile) -> None:
    lost = completeness.find_lost_share(opened.extra_info)
    is_ogg, is_mp3 = opened.format == "OGG", opened.format == "MP3"
    if lost or (is_ogg and completeness.is_ogg_cut(path, descriptor)):
        raise _cut_short(path, lost)
    if (is_ogg and completeness.is_ogg_chained(path, descriptor)) or (
        is_mp3 and completeness.is_mpeg_joined(path, descriptor)
    ):
        raise SourceError(
            f"{show_path(path)} is several recordings joined in one file, and only the first would be read",
            remedy="convert it to FLAC first",
        )


def _cut_short(path: Path, lost: float) -> SourceError:
    missing = f": {lost:.0%} of its audio is missing" if lost >= 0.01 else ""
    return SourceError(f"{show_path(path)} is cut short{missing}", remedy="copy or download it again")
