"""Finding ffmpeg and ffprobe, asking them without a shell, a prompt or the network, and what they say in our words."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.envelope import misses_beginning
from plugin_core.audio.info import AudioInfo, ByteSpan, Piece, Timeline, read_timeline
from plugin_core.audio.movie import Movie
from plugin_core.audio.source_file import AGAIN, describe_begun, open_file
from plugin_core.errors import SourceError, UsageError
from plugin_core.model import show_path

Which = Callable[[str], str | None]
"""Finds a program's path by its name, or None: ``shutil.which`` unless a test puts its own in."""

INSTALL: Final = "install ffmpeg (https://ffmpeg.org) so that it is in PATH"

_MEANINGS: Final = (
    ("moov atom not found", "its index is missing"),
    ("Insufficient channel information", "it does not name its channels, and this ffmpeg needs that"),
    ("Permission denied", "ffmpeg may not read it"),
    ("No such file or directory", "ffmpeg does not find it"),
    ("Cannot allocate memory", "there is no memory left"),
    ("No space left on device", "no space left on the disk"),
    ("Decoder not found", "this ffmpeg lacks the decoder for it"),
    ("in FFmpeg", "this ffmpeg lacks the decoder for it"),
    ("Unknown encoder", "this ffmpeg lacks the encoder for it"),
    ("error while loading shared libraries", "ffmpeg lacks a library"),
)
"""What is written in a complaint, and what it means."""

_log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 60.0


_CONTAINERS: Final = {
    "mov": "M4A",
    "matroska": "MKV",
    "asf": "WMA",
    "wv": "WAVPACK",
    "mpegts": "TS",
}
_PLAYLISTS: Final = frozenset({"hls", "concat", "dash", "sdp", "rtsp", "tty", "image2", "lavfi"})
"""What ffmpeg opens and what is no recording: lists of other files, and text."""

_UNSURE: Final = frozenset({"nut", "swf"})
"""What is played as far as it goes, and nothing in it tells how far that should be."""

_SURE_SCORE: Final = 51
_LIKELY_SCORE: Final = 25
"""ffprobe's confidence of 100: what only the file's name speaks for gets 50 or less."""

_STREAMS: Final = frozenset(
    {"aac", "ac3", "dts", "eac3", "flac", "mlp", "mp3", "mpeg", "mpegts", "shn", "tak", "truehd"}
)
"""Formats without a header of their own, found by their frames; ffprobe is never sure of them."""

HEADERLESS: Final = (_STREAMS - {"flac", "tak"}) | {"adx", "amr", "dtshd", "gsm", "loas", "voc"}
"""Formats that nowhere say how long they are, VOC not to ffmpeg; ffprobe guesses from the bit rate, or from time stamps
that may jump."""

_PRIMED: Final = frozenset({"opus", "vorbis", "wmapro", "wmav1", "wmav2"})
"""Codecs of which what begins a stream gives no sound: the stream starts earlier than that."""
_PRIMING: Final = 4
"""Packets of which at least one gives sound."""

_UNTRIMMED: Final = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3"})
"""Codecs of which ffmpeg leaves nothing out where an MP4 does not say so."""

_LATEST_SECONDS: Final = 3600.0
"""By so much no sound begins later than pictures; the times of a DVD wrap after a day."""

_PROTECTED: Final = frozenset({"drms", "enca"})
"""MP4's names for encrypted audio."""

_LOSSLESS: Final = frozenset(
    {"alac", "ape", "flac", "mlp", "mp4als", "ralf", "shorten", "tak", "truehd", "tta", "wavpack", "wmalossless"}
)
_SAMPLE_FORMATS: Final = {"u8": "pcm_u8", "s16": "pcm_16", "s32": "pcm_32", "flt": "float", "dbl": "double"}
_MERGED: Final = "_STATISTICS_WRITING_APP"
"""What mkvmerge counts of a track of Matroska says by this who counted."""
_CLOCK: Final = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


def find_encoder(name: str, which: Which = shutil.which) -> str:
    """Return the ffmpeg that writes a format.

    Raises:
        UsageError: there is none.
    """
    program = which("ffmpeg")
    if program is None:
        raise UsageError(f"{name} needs ffmpeg to be written", remedy=f"{INSTALL}, or choose flac")
    return program


def quote_file(path: Path) -> str:
    """Write a path so that ffmpeg takes it for a file, whatever characters it begins with or holds."""
    return f"file:{path.absolute()}"


def name_input(path: Path, part: ByteSpan | None = None) -> tuple[str, ...]:
    """Return the arguments by which ffmpeg reads a file, or a part of it as a file of its own, and nothing else."""
    if part is None:
        return "-protocol_whitelist", "file", "-i", quote_file(path)
    return (
        "-protocol_whitelist",
        "file,subfile",
        "-i",
        f"subfile,,start,{part.start},end,{part.end},,:{quote_file(path)}",
    )


def run_ffprobe(program: str, path: Path, part: ByteSpan | None = None) -> bytes:
    """Return ffprobe's JSON on the first audio stream and the container, of a whole file or a part of it.

    Raises:
        SourceError: ffprobe cannot read the file, or cannot be started.
    """
    command = [
        *(program, "-hide_banner", "-v", "error", *name_input(path, part)),
        *("-of", "json", "-show_format", "-show_streams", "-select_streams", "a:0"),
    ]
    shown = show_path(path)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{shown} is not audio, or damaged: its header has no end") from None
    except OSError as error:
        raise SourceError(
            f"{shown} cannot be read: {program} does not start ({error.strerror})", remedy=INSTALL
        ) from error
    if done.returncode != 0:
        is_empty = done.stderr.rstrip().endswith(b"End of file")
        meaning = explain(done.stderr, path) or ("it ends before any sound begins" if is_empty else "")
        raise SourceError(f"{shown} is not audio, or damaged" + (f": {meaning}" if meaning else ""), remedy=AGAIN)
    return done.stdout


def run_quietly(command: list[str], *, is_asked_why: bool = False) -> bytes:
    """Return what a command writes, or complains of; nothing where it does not start or does not end."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return b""
    return done.stderr if is_asked_why else done.stdout


def copy_stream(program: str, path: Path, part: ByteSpan) -> bytes:
    """Return the packets of the first audio stream in a part of a file, end to end; nothing when ffmpeg fails."""
    command = [
        *(program, "-nostdin", "-hide_banner", "-v", "quiet", *name_input(path, part)),
        *("-map", "0:a:0", "-c", "copy", "-f", "data", "pipe:1"),
    ]
    return run_quietly(command)


def explain(stderr: bytes, path: Path) -> str:
    """Return in our words what a program complained of; empty where its words say nothing to people.

    Its own words go to the log.
    """
    said = stderr.decode("utf-8", "replace").strip()
    if said:
        _log.info("of %s ffmpeg says: %s", show_path(path), said)
    return next((meaning for words, meaning in _MEANINGS if words in said), "")


class _Stream(msgspec.Struct, frozen=True):
    codec_name: str = ""
    id: str = ""
    profile: str = ""
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


def probe_with_ffprobe(
    program: str, path: Path, movie: Movie | None = None, part: ByteSpan | None = None, *, is_sure: bool = False
) -> AudioInfo:
    """Describe the first audio stream.

    Args:
        program: ffprobe.
        path: the file.
        movie: the index of an MP4.
        part: what of the file is looked at; default all.
        is_sure: whether it is known to be sound, however sure ffprobe is.

    Raises:
        SourceError: not audio, without an audio stream, or protected.
    """
    shown = show_path(path)
    try:
        answer = _ANSWERS.decode(run_ffprobe(program, path, part))
    except msgspec.DecodeError as error:
        raise SourceError(f"{shown} cannot be read: ffprobe's answer makes no sense ({error})") from error
    container = answer.format.format_name.split(",")[0]
    if not (is_sure or _is_recording(container, answer.format.probe_score)):
        raise SourceError(f"{shown} is not audio", remedy="if it is sound without a header, convert it to WAV first")
    if container in _UNSURE:
        raise SourceError(
            f"{shown} is of a kind ({container.upper()}) that does not show whether it is whole",
            remedy="convert it to FLAC first",
        )
    if not answer.streams:
        raise SourceError(f"{shown} holds no audio")
    stream = answer.streams[0]
    if stream.codec_tag_string in _PROTECTED:
        raise SourceError(f"{shown} is protected against copying (DRM) and cannot be decoded")
    if not stream.codec_name or stream.codec_name in ("none", "unknown") or not stream.sample_fmt:
        raise SourceError(f"{shown} holds audio that ffmpeg cannot decode", remedy="save it in another format first")
    if (container, stream.codec_name) == ("matroska", "tta"):
        raise SourceError(
            f"{shown} holds TTA in Matroska, of which ffmpeg does not read the last second",
            remedy="take the TTA file that it was made of, or another format",
        )
    info = _place(program, path, _describe(container, stream, answer.format), answer, movie, part)
    if info.container == "TS" and stream.id:
        with open_file(path) as descriptor:
            is_torn = misses_beginning(path, descriptor, int(stream.id, 16))
        info = msgspec.structs.replace(info, note=describe_begun(path, "packet") if is_torn else info.note)
    return info


def _is_recording(container: str, score: int) -> bool:
    if container in _PLAYLISTS:
        return False
    return score >= (_LIKELY_SCORE if container in _STREAMS else _SURE_SCORE)


def _describe(container: str, stream: _Stream, about: _Format) -> AudioInfo:
    sample_rate = int(_number(stream.sample_rate))
    encoding = _name_encoding(stream)
    frames = 0
    is_headerless = container in HEADERLESS
    if encoding != "lossy" and not is_headerless and stream.time_base == f"1/{sample_rate}":
        # Of lossy codecs the container counts whole packets, not samples of music.
        frames = max(0, stream.duration_ts)
    own = _number(stream.duration) or _read_end(stream, about)
    return AudioInfo(
        frames=frames,
        sample_rate=sample_rate,
        channels=stream.channels,
        encoding=encoding,
        container=name_container(container),
        duration=frames / sample_rate if frames else own or _number(about.duration),
        decoder="ffmpeg",
        # The picture may last longer than the sound.
        is_headerless=is_headerless
        or (about.nb_streams > 1 and (not own or container in ("asf", "rm")))
        or not (own or _number(about.duration)),
        codec=stream.codec_name,
    )


def name_container(demuxer: str) -> str:
    """Return our word for what ffmpeg calls by this name."""
    return _CONTAINERS.get(demuxer, demuxer.upper())


def _read_end(stream: _Stream, about: _Format) -> float:
    """Return the seconds between the start of a Matroska file and the end of a stream; 0 where it does not say."""
    found = _CLOCK.fullmatch(stream.tags.get("DURATION", ""))
    if found is None:
        return 0.0
    # mkvmerge counts from where the stream begins, and others from 0.
    start = stream.start_time if _MERGED in stream.tags else "0"
    end = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) + _number(start)
    return max(0.0, end - _number(about.start_time))


def _place(
    program: str, path: Path, info: AudioInfo, answer: _Answer, movie: Movie | None, part: ByteSpan | None
) -> AudioInfo:
    """Add what is played, and when, of what will be decoded."""
    stream, about = answer.streams[0], answer.format
    start, beginning = _number(stream.start_time), _number(about.start_time)
    late = movie.late / movie.track_clock if movie is not None and not movie.edits and about.nb_streams > 1 else 0.0
    late *= late < _number(about.duration)  # Beyond the pictures' end it is no time.
    is_film = about.nb_streams > 1 and info.container in ("RM", "WMA")
    picture = _find_first(program, path, part, "packet", "V:0") if is_film else None
    is_primed = info.codec in _PRIMED and movie is None and start > beginning
    if picture is not None or late or is_primed:
        start = _find_first(program, path, part, "frame", "a:0") or start
    if picture is not None:
        # The header of RealMedia says 0 whatever its packets say; what primes a WMA's decoder precedes the pictures.
        beginning = min(start, picture)
    # Of Vorbis the packet that lasts too long gives no sound: the next one's time is late already.
    lead = max(0, round((start - beginning + late * (info.codec != "vorbis")) * info.sample_rate))
    # A damaged time, or one that ffprobe does not know.
    lead *= lead < _LATEST_SECONDS * info.sample_rate and (info.container, info.codec) != ("OGG", "flac")
    timeline = None
    if movie is not None and movie.is_fragmented and movie.timed:
        lasts = movie.timed / movie.track_clock
        info = msgspec.structs.replace(info, frames=round(lasts * info.sample_rate) * bool(info.frames), duration=lasts)
    elif late:
        rest = max(0, info.frames - round(late * info.sample_rate))
        info = msgspec.structs.replace(info, frames=rest, duration=max(0.0, info.duration - late))
    if movie is not None:
        length = stream.duration_ts if stream.time_base == f"1/{movie.track_clock}" else 0
        timeline = read_timeline(
            path,
            movie,
            codec=info.codec,
            sample_rate=info.sample_rate,
            length=length,
            lead=lead,
            is_late=stream.profile.startswith("HE-AAC"),
        )
    # Left to itself, ffmpeg drops what a fragment gives the time of what was before it.
    is_raw = movie is not None and movie.is_fragmented and not movie.edits and info.codec in _UNTRIMMED
    if timeline is None and (lead or is_raw):
        timeline = Timeline((Piece(lead, 0, info.frames or None),), is_raw=is_raw)
    if timeline is None:
        return info
    # A Matroska's end counts from the start of the file, and so does that of Opus in Ogg.
    is_counted = bool(_read_end(stream, about)) and not _number(stream.duration)
    is_counted |= (info.container, info.codec) == ("OGG", "opus")
    frames = timeline.samples
    duration = frames / info.sample_rate if frames else info.duration + (0 if is_counted else lead / info.sample_rate)
    return msgspec.structs.replace(info, timeline=timeline, note=timeline.note, frames=frames, duration=duration)


def _find_first(program: str, path: Path, part: ByteSpan | None, entry: str, stream: str) -> float | None:
    """Return the earliest time among the first frames that are decoded, or packets; None where that is not told."""
    command = [
        *(
            program,
            "-v",
            "quiet",
            *name_input(path, part),
            "-select_streams",
            stream,
            "-read_intervals",
            f"%+#{_PRIMING}",
        ),
        *("-show_entries", f"{entry}=pts_time", "-of", "default=nokey=1:noprint_wrappers=1"),
    ]
    times = run_quietly(command).decode("ascii", "replace").split()
    return min((_number(one) for one in times if one != "N/A"), default=None)


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
