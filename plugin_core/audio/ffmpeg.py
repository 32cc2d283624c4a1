"""Finding ffmpeg and ffprobe, and asking them without a shell, a prompt or the network."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plugin_core.audio.damage import AGAIN
from plugin_core.errors import SourceError, UsageError
from plugin_core.model import show_path

Which = Callable[[str], str | None]
"""Finds a program's path by its name, or None: ``shutil.which`` unless a test puts its own in."""

INSTALL: Final = "install ffmpeg (https://ffmpeg.org) so that it is in PATH"

_MEANINGS: Final = (
    ("moov atom not found", "its index is missing"),
    ("Permission denied", "ffmpeg may not read it"),
    ("No such file or directory", "ffmpeg does not find it"),
    ("Cannot allocate memory", "there is no memory left"),
    ("No space left on device", "no space left on the disk"),
    ("Decoder not found", "this ffmpeg lacks the decoder for it"),
    ("not currently supported in FFmpeg", "this ffmpeg lacks the decoder for it"),
    ("Unknown encoder", "this ffmpeg lacks the encoder for it"),
    ("error while loading shared libraries", "ffmpeg lacks a library"),
)
"""What is written in a complaint, and what it means."""

_log = logging.getLogger(__name__)

_PROBE_SECONDS: Final = 60.0


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


def decode_command(program: str, path: Path, sample_format: str, *, is_raw: bool = False) -> list[str]:
    """Build the command that decodes the first audio stream to standard output and stops at the first error.

    ``is_raw``, for MP4 alone, gives what its edit list or its encoder's notes would leave out as well.
    """
    raw = ("-ignore_editlist", "1", "-flags2", "+skip_manual") if is_raw else ()
    return [
        *(program, "-nostdin", "-hide_banner", "-v", "error", "-xerror"),
        *("-protocol_whitelist", "file", *raw, "-i", quote_file(path)),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1"),
        *("-f", sample_format, "-c:a", f"pcm_{sample_format}", "pipe:1"),
    ]


def run_ffprobe(program: str, path: Path) -> bytes:
    """Return ffprobe's JSON on the first audio stream and the container.

    Raises:
        SourceError: ffprobe cannot read the file, or cannot be started.
    """
    command = [
        *(program, "-hide_banner", "-v", "error", "-protocol_whitelist", "file"),
        *("-of", "json", "-show_format", "-show_streams", "-select_streams", "a:0", quote_file(path)),
    ]
    shown = show_path(path)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{shown} is not audio, or damaged: its header has no end") from None
    except OSError as error:
        raise SourceError(
            f"{shown} cannot be read: {program} does not start ({error.strerror})", remedy=INSTALL
        ) from error
    if done.returncode != 0:
        meaning = explain(done.stderr, path)
        raise SourceError(f"{shown} is not audio, or damaged" + (f": {meaning}" if meaning else ""), remedy=AGAIN)
    return done.stdout


def measure_duration(program: str, path: Path) -> float:
    """Return the seconds of the first audio stream, its packets counted without decoding; 0 when ffmpeg fails."""
    command = [
        *(program, "-nostdin", "-hide_banner", "-v", "error", "-protocol_whitelist", "file", "-i", quote_file(path)),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-c", "copy", "-f", "null", "-progress", "pipe:1", "-"),
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0.0
    told = re.findall(rb"^out_time_us=(\d+)$", done.stdout, re.MULTILINE)
    return int(told[-1]) / 1e6 if told else 0.0


def explain(stderr: bytes, path: Path) -> str:
    """Return in our words what a program complained of; empty where its words say nothing to people.

    Its own words go to the log.
    """
    said = stderr.decode("utf-8", "replace").strip()
    if said:
        _log.info("of %s ffmpeg says: %s", show_path(path), said)
    return next((meaning for words, meaning in _MEANINGS if words in said), "")
