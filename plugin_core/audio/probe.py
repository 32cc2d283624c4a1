"""Looking at an audio file: its shape, or one clear line why it cannot be separated.

What its own structure says of the sound is held against the header before anything is decoded.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import soundfile

from plugin_core.audio import sndfile
from plugin_core.audio.contradiction import refuse_odd_tables
from plugin_core.audio.envelope import ends_inside, find_rewritten, find_start, holds_another
from plugin_core.audio.extent import Extent, check_extent
from plugin_core.audio.ffmpeg import INSTALL, Which, copy_stream, probe_with_ffprobe
from plugin_core.audio.flac import examine_flac
from plugin_core.audio.frames import FRAME_HEAD, read_frame
from plugin_core.audio.info import (
    AudioInfo,
    ByteSpan,
    FileLayout,
    Piece,
    Structure,
    Timeline,
    check_index,
    lay_out,
    list_parts,
)
from plugin_core.audio.movie import is_movie, read_movie
from plugin_core.audio.mpeg import examine_mpeg
from plugin_core.audio.ogg import examine_ogg
from plugin_core.audio.pcm import examine_pcm
from plugin_core.audio.sndfile import is_mpeg_audio
from plugin_core.audio.source_file import (
    LEAP,
    FileReading,
    Identity,
    Memory,
    Window,
    damaged,
    describe_begun,
    describe_break,
    describe_index,
    describe_jump,
    describe_length,
    describe_loose,
    describe_more,
    describe_silence,
    describe_torn,
    joined,
    look_at,
    open_file,
    read_at,
    read_pieces,
)
from plugin_core.audio.streams import Times, is_meridian, measure_times
from plugin_core.errors import MissingToolError, SourceError, StembridgeError
from plugin_core.model import Source, show_path

MIN_SECONDS: Final = 0.01
MAX_CHANNELS: Final = 8
SAMPLE_RATES: Final = range(8000, 192_001)
_known: Final = Memory[tuple[Path, Which, Identity], AudioInfo]()
_OPEN: Final = b"\xff" * 4
"""The size of a WAV that was written into a pipe."""
_LAST_BYTES: Final = 1 << 22
"""Enough of a film to hold some frames of its sound."""


def examine(path: Path, descriptor: int, passage: FileReading | None = None) -> Structure | None:
    """Return how a file is to be read; None where its decoder knows best; of one gone through a passage hears all.

    Raises:
        SourceError: it ends before its sound is whole.
        TransientError: the disk or share does not answer.
    """
    start = find_start(path, descriptor)
    magic = read_at(path, descriptor, start, 4)
    if magic == b"fLaC":
        return examine_flac(path, descriptor, start, passage)
    if magic == b"OggS":
        return examine_ogg(path, descriptor, passage)
    if magic == sndfile.VOC[:4]:
        return sndfile.examine_voc(path, descriptor, start)
    if is_mpeg_audio(magic):
        part = ByteSpan(start, os.fstat(descriptor).st_size)
        return examine_mpeg(path, descriptor, part, is_file=start > 0, passage=passage)
    window = Window(path, descriptor, passage, room=LEAP)
    if (sound := find_rewritten(path, descriptor, window, start)) is not None:
        return Structure(layouts=(lay_out(sound.start, sound.end, {sound.size_at: sound.size}),))
    return examine_pcm(path, descriptor, start, passage)


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


def identify(path: Path, *, which: Which = shutil.which, hear: Callable[[bytes], None] | None = None) -> AudioInfo:
    """Do what ``probe`` does for any audio file: labels suit many that cannot be separated, such as DSF.

    Args:
        path: the file.
        which: finds ffprobe.
        hear: is given all its bytes once, in order, while it is read; without it, a file that was identified is not
            read again.

    Raises:
        SourceError: the file cannot be read, is not audio, or is cut short.
        TransientError: the disk or share does not answer.
    """
    identity = _look_at_settled(path)
    info = _known.recall((path, which, identity)) if identity and not hear else None
    if info is None:
        info = _identify(path, which, hear)
        if identity:
            _known.keep((path, which, identity), info)
    return info


def _look_at_settled(path: Path) -> Identity | None:
    """Return what tells by itself that a file is the same; None where it does not, or the file cannot be seen."""
    try:
        identity = look_at(path)
    except (StembridgeError, ValueError):
        return None
    return identity if identity.is_settled(time.time_ns()) else None


def _identify(path: Path, which: Which, hear: Callable[[bytes], None] | None) -> AudioInfo:
    with open_file(path) as descriptor:
        passage = FileReading(path, descriptor, hear) if hear else None
        info = _probe_sndfile(path, descriptor, passage, which) or _probe_ffmpeg(path, descriptor, passage, which)
        if passage is not None:
            passage.finish()
    _check_sound(path, info)
    return info


def _probe_sndfile(path: Path, descriptor: int, passage: FileReading | None, which: Which) -> AudioInfo | None:
    if not sndfile.is_known(read_at(path, descriptor, 0, 16)):
        return None
    found = examine(path, descriptor, passage) or Structure()
    if found.needs_ffmpeg:
        return None
    try:
        infos = [_describe(path, descriptor, layout) for layout in found.layouts or (None,)]
    except soundfile.LibsndfileError:
        if len(found.layouts) < 2:
            # ffmpeg stops where the header says.
            if found.told is not None and holds_another(Window(path, descriptor), 0):
                raise joined(path) from None
            return None
        if not (parts := list_parts(found.layouts)):
            raise joined(path, "cannot be read one by one") from None
        return _probe_each(path, parts, which, is_whole=True)
    return _combine(path, found, infos)


def _describe(path: Path, descriptor: int, layout: FileLayout | None) -> AudioInfo:
    with sndfile.open_sndfile(path, descriptor, layout) as opened:
        frames = opened.frames if opened.frames < sndfile.UNKNOWN_FRAMES else sndfile.count_frames(path, opened)
        if opened.subtype.startswith("DWVW") and layout is None:
            sndfile.refuse_miscounted(path, descriptor)
        return AudioInfo(
            frames=frames,
            sample_rate=opened.samplerate,
            channels=opened.channels,
            encoding=sndfile.name_encoding(opened),
            container=sndfile.name_container(opened),
            codec=sndfile.name_codec(opened),
            duration=frames / opened.samplerate if opened.samplerate else 0.0,
            decoder="libsndfile",
        )


def _combine(path: Path, found: Structure, infos: list[AudioInfo]) -> AudioInfo:
    """Describe the recordings of a file as the one that they are read as."""
    first = infos[0]
    if len({(info.sample_rate, info.channels, info.encoding) for info in infos}) > 1:
        raise joined(path, "differ in sample rate, channels or depth")
    frames = sum(info.frames for info in infos) if all(info.frames for info in infos) else 0
    length = found.samples or frames
    return msgspec.structs.replace(
        first,
        frames=0 if found.samples else frames,
        duration=length / first.sample_rate if length else sum(info.duration for info in infos),
        is_whole=all(info.is_whole for info in infos),
        layouts=found.layouts,
        note=_describe_finding(path, found, length, first.sample_rate),
        container=found.container or first.container,
    )


def _describe_finding(path: Path, found: Structure, frames: int, sample_rate: int) -> str:
    if found.broken is not None:
        return describe_break(path, found.broken)
    if found.is_torn:
        return describe_torn(path)
    if found.is_doubtful:
        return describe_silence(path)
    if len(found.layouts) > 1:
        return f"{path.name} is {len(found.layouts)} recordings joined in one file: all were read, one after the other"
    if found.is_loose or found.is_begun:
        return describe_loose(path) if found.is_loose else describe_begun(path)
    if found.told is None:
        return found.note
    # Of a frame that is cut the decoder gives nothing.
    told = frames * found.told
    return describe_length(
        path, frames, math.ceil(told - 0.01) if told > frames else math.floor(told + 0.01), sample_rate
    )


def _probe_ffmpeg(path: Path, descriptor: int, passage: FileReading | None, which: Which) -> AudioInfo:
    extent = check_extent(path, descriptor, passage)
    if extent.parts:
        info = _probe_each(path, extent.parts, which, is_whole=extent.is_whole)
        return msgspec.structs.replace(info, note=describe_more(path)) if extent.goes_on else info
    ffprobe, ffmpeg = _find_programs(path, which)
    movie = read_movie(path, descriptor) if is_movie(path, descriptor) else None
    begin = extent.span.start if extent.span else 0
    is_sure = is_meridian(read_at(path, descriptor, begin, FRAME_HEAD))
    info = probe_with_ffprobe(ffprobe, path, movie, extent.span, is_sure=is_sure)
    if info.container == "M4A" and movie is None and (movie := read_movie(path, descriptor)) is not None:
        # The name of its first box is none.
        info = probe_with_ffprobe(ffprobe, path, movie, extent.span)
    if info.container == "M4A":
        is_plain = info.codec.startswith("pcm_")
        said = check_index(path, descriptor, movie, info.codec)
        if is_plain:
            refuse_odd_tables(path, descriptor)
        plain = f"{path.name} has a damaged index: all that it holds was read"
        said = said or ((plain if is_plain else describe_index(path)) if movie is None else "")
        info = msgspec.structs.replace(info, note=info.note or said)
    if info.codec == "adpcm_g726" and read_at(path, descriptor, begin + 20, 2) == b"\x40\0":
        raise damaged(path, None)  # G.721, which libsndfile alone reads: ffmpeg gives other sound.
    if info.container == "MP3" and (read := _probe_behind(path, descriptor, passage)) is not None:
        return read
    seconds, times = extent.seconds or info.duration, Times()
    is_piped = info.container == "AVI" and not extent.is_whole
    if seconds == extent.seconds and info.container == "AVI":
        # It is told of the sound alone.
        info = msgspec.structs.replace(info, is_headerless=False)
    if extent.length and (info.is_headerless or is_piped):
        seconds = extent.length
    elif info.is_headerless or is_piped or seconds < MIN_SECONDS:
        # ffprobe guesses from the bit rate of the beginning, or says nothing.
        span = extent.span or ByteSpan(0, os.fstat(descriptor).st_size)
        pieces = read_pieces(path, descriptor, span.start, span.end, passage)
        times = measure_times((ffprobe, ffmpeg), path, info, pieces)
        seconds = times.seconds + extent.late if times.seconds else seconds
    is_open = info.container == "WAV" and read_at(path, descriptor, begin + 4, 4) == _OPEN
    if is_open or _is_guessed(info, extent):
        info = msgspec.structs.replace(info, is_headerless=True)
    is_torn = _ends_inside_frame(ffmpeg, path, info, os.fstat(descriptor).st_size)
    note = extent.note or (describe_torn(path) if is_torn else info.note)
    if info.container in ("MLP", "TRUEHD") and not is_sure:
        note = note or describe_loose(path)
    if times.jump is not None:
        note = describe_jump(path, times.jump)
    # All pages of an Ogg were looked at; ffprobe counts what lies before a sound that begins late.
    is_indexed = movie is not None and movie.timed > 0
    is_whole = (extent.is_whole and (is_indexed or not is_movie(path, descriptor))) or info.container == "OGG"
    layouts = (FileLayout((extent.span,)),) if extent.span else ()
    info = msgspec.structs.replace(
        info, duration=seconds, is_whole=is_whole, slack=extent.slack, note=note, layouts=layouts
    )
    if is_piped or is_open:
        info = msgspec.structs.replace(info, frames=0)
    if extent.seconds and info.frames:
        info = msgspec.structs.replace(info, frames=round(extent.seconds * info.sample_rate))
    if extent.played[1]:
        info = _trim(info, *extent.played)
    if extent.late:
        info = _put_off(info, round(extent.late * info.sample_rate))
    if extent.samples > info.frames or (extent.samples and extent.is_whole):
        return _count(path, info, extent.samples)
    return info


def _is_guessed(info: AudioInfo, extent: Extent) -> bool:
    """Tell whether nothing in a file says how long its sound is, and ffprobe's answer is a guess by its bit rate."""
    if info.container == "AVI":
        # What it counts are no packets; ffmpeg gives those of DTS times that are none.
        return extent.seconds == 0 if extent.is_whole else info.codec == "dts"
    return info.container in ("MKV", "WMA") and not extent.is_whole


def _probe_behind(path: Path, descriptor: int, passage: FileReading | None) -> AudioInfo | None:
    """Describe an MP3 that something else precedes (zeros, a line end), so that libsndfile does not see it."""
    part = ByteSpan(0, os.fstat(descriptor).st_size)
    found = examine_mpeg(path, descriptor, part, passage=passage)
    if found is None or not found.layouts:
        return None
    with suppress(soundfile.LibsndfileError):
        return _combine(path, found, [_describe(path, descriptor, layout) for layout in found.layouts])
    return None


def _ends_inside_frame(ffmpeg: str, path: Path, info: AudioInfo, size: int) -> bool:
    """Tell whether a broadcast or a DVD ends so; of most codecs but these the decoder refuses a part of a frame."""
    if info.container not in ("TS", "MPEG") or info.codec not in ("mp1", "mp2", "mp3"):
        return False
    last = copy_stream(ffmpeg, path, ByteSpan(max(0, size - _LAST_BYTES), size))
    return ends_inside(last, lambda head: frame.size if (frame := read_frame(head)) else 0)


def _find_programs(path: Path, which: Which) -> tuple[str, str]:
    ffprobe, ffmpeg = which("ffprobe"), which("ffmpeg")
    if ffprobe is None or ffmpeg is None:
        raise MissingToolError(
            f"{show_path(path)} is not audio, or of a kind that needs ffmpeg (AAC, M4A, WMA, video)",
            remedy=INSTALL,
        )
    return ffprobe, ffmpeg


def _probe_each(path: Path, parts: Sequence[ByteSpan], which: Which, *, is_whole: bool) -> AudioInfo:
    """Describe recordings that are joined in one file, and that ffmpeg reads one by one."""
    ffprobe, _ = _find_programs(path, which)
    infos = []
    for part in parts:
        info = probe_with_ffprobe(ffprobe, path, part=part)
        if info.timeline is not None or info.is_headerless or not info.duration:
            raise joined(path, "cannot be read one by one")
        infos.append(msgspec.structs.replace(info, is_whole=is_whole))
    return _combine(path, Structure(layouts=tuple(FileLayout((part,)) for part in parts)), infos)


def _put_off(info: AudioInfo, silence: int) -> AudioInfo:
    """Let silence precede the sound, which is counted already."""
    # Pages of an Ogg may count less than it holds.
    end = (max(0, info.frames - silence) or None) if info.container != "OGG" else None
    return msgspec.structs.replace(info, timeline=Timeline((Piece(silence, 0, end),), is_raw=False))


def _trim(info: AudioInfo, front: int, samples: int) -> AudioInfo:
    """Leave out what the decoder puts in front of the sound, and what an encoder adds behind it."""
    timeline = Timeline((Piece(0, front, front + samples),), is_raw=False)
    seconds = samples / info.sample_rate
    return msgspec.structs.replace(info, timeline=timeline, frames=samples, duration=seconds, is_headerless=False)


def _count(path: Path, info: AudioInfo, frames: int) -> AudioInfo:
    """Let the frames of a file count, and not its header."""
    note = info.note
    if info.frames not in (0, frames):
        note = describe_length(path, frames, info.frames, info.sample_rate)
    return msgspec.structs.replace(
        info, frames=frames, duration=frames / info.sample_rate, note=note, is_headerless=False
    )


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
            remedy="convert it first, to 44.1 or 96 kHz for example",
        )
    frames, needed = info.frames or round(info.duration * info.sample_rate), math.ceil(MIN_SECONDS * info.sample_rate)
    if frames < needed:
        raise SourceError(
            f"{shown} is too short to separate: it has {frames} samples a channel, {needed} (10 ms) are needed"
        )
