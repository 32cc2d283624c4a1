"""The digest that is equal for two files if they hold the same recording.

Three kinds, chosen by the codec and never by what is installed: ``pcm1`` of exact samples, ``pkt1`` of coded packets,
and ``raw1`` of the bytes for what cannot be told otherwise. Their rules never change: an improvement is a new kind, and
the old ones stay, for purchases are found by them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final, Literal

from plugin_core.audio.ffmpeg import Which
from plugin_core.audio.identity import held_still
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.probe import identify
from plugin_core.audio.reader import open_reader
from plugin_core.audio.source_file import explain_os_error, open_file
from plugin_core.errors import SourceError
from plugin_core.recordings.bounds import find_audio
from plugin_core.recordings.codecs import MPEG_AUDIO, is_exact, name_codec
from plugin_core.recordings.content import hash_content
from plugin_core.recordings.copying import copy_packets
from plugin_core.recordings.frames import AdtsWalker, MpegWalker, is_adts, payloads
from plugin_core.recordings.mp4 import UnclearSpanError, read_span
from plugin_core.recordings.ogg import packets
from plugin_core.recordings.pcm import Pcm1
from plugin_core.recordings.samples import find_samples, read_samples
from plugin_core.recordings.texts import pkt1, raw1

Check = Callable[[], None]
"""Called now and then; raises to stop."""

_BLOCK: Final = 1 << 16
_PIECE: Final = 1 << 18
"""Bytes that the processor's own memory holds, as they are gone through more than once."""
_WIDE: Final = frozenset({"pcm_32", "double"})
"""Encodings a float32 cannot carry exactly."""


def digest_of(
    path: Path, info: AudioInfo | None = None, *, check: Check = lambda: None, which: Which = shutil.which
) -> str:
    """Return the digest of a file's recording; for a part that an edit list cuts out, see ``texts.whole_of``.

    Args:
        path: the file.
        info: what ``identify`` said of it just now; default asked here.
        check: called for each piece or block; raise there to stop.
        which: finds ffmpeg.

    Raises:
        SourceError: the file cannot be opened, or is written meanwhile.
        TransientError: the disk or share does not answer.
    """
    with held_still(path):
        try:
            info = info or identify(path, which=which)
            told = _tell(path, info, check, which)
        except SourceError:
            # No audio we know, damaged, or ffmpeg is missing.
            told = None
        return told or raw1(hash_content(path, check))


def pcm1_of(path: Path, info: AudioInfo, *, check: Check = lambda: None, which: Which = shutil.which) -> str:
    """Decode a file of an exact codec to its end and return the digest of its samples; empty if it has none.

    Raises:
        SourceError: it is damaged, or is not what its header says.
        TransientError: the disk or share does not answer.
    """
    samples = new_pcm1(info)
    dtype: Literal["float32", "float64"] = "float64" if info.encoding in _WIDE else "float32"
    with open_reader(path, info=info, which=which) as reader:
        while len(block := reader.read(_BLOCK, dtype)):
            check()
            samples.feed(block)
    return str(samples) if samples.frames else ""


def new_pcm1(info: AudioInfo) -> Pcm1:
    """Begin the digest of an exact source; its blocks are to be decoded as float64 if it has 32 bits or more."""
    return Pcm1(info.sample_rate, info.channels, is_integer=info.encoding.startswith("pcm"))


def _tell(path: Path, info: AudioInfo, check: Check, which: Which) -> str:
    with open_file(path) as descriptor:
        samples = find_samples(path, descriptor) if info.container == "M4A" else None
        codec = samples.codec if samples else name_codec(path, info)
        if is_exact(codec):
            return pcm1_of(path, info, check=check, which=which)
        try:
            span = read_span(path, descriptor) if info.container == "M4A" else None
        except UnclearSpanError:
            return ""
        digest, has_sound = hashlib.sha256(), False
        copied = read_samples(path, samples, check) if samples else copy_packets(path, info, check, which)
        for packet in _packets(path, descriptor, info, codec, check, copied):
            digest.update(packet)
            has_sound = has_sound or len(packet) > 0
    return pkt1(digest.hexdigest(), span) if has_sound else ""


def _packets(
    path: Path, descriptor: int, info: AudioInfo, codec: str, check: Check, copied: Iterator[bytes]
) -> Iterator[bytes | memoryview]:
    match info.container, codec:
        case "OGG", "vorbis" | "opus":
            return packets(_pieces(path, 0, os.fstat(descriptor).st_size, check))
        case "MP3", _:
            return payloads(MpegWalker(), _pieces(path, *find_audio(path, descriptor), check))
        case "AAC", _:
            return payloads(AdtsWalker(), _pieces(path, *find_audio(path, descriptor), check))
    return _unwrap(copied, codec)


def _unwrap(pieces: Iterator[bytes], codec: str) -> Iterator[bytes | memoryview]:
    """Take what was copied out of a container for the same as a file of its own would be."""
    first = next(pieces, b"")
    pieces = chain((first,), pieces)
    if codec in MPEG_AUDIO:
        return payloads(MpegWalker(), pieces)
    if codec == "aac" and is_adts(first):
        return payloads(AdtsWalker(), pieces)
    return pieces


def _pieces(path: Path, start: int, end: int, check: Check) -> Iterator[bytes]:
    try:
        with path.open("rb") as opened:
            opened.seek(start)
            while piece := opened.read(min(_PIECE, end - opened.tell())):
                check()
                yield piece
    except OSError as error:
        raise explain_os_error(path, error) from error
