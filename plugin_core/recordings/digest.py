"""The digest that is equal for two files if they hold the same recording.

Three kinds, chosen by the codec and never by what is installed: ``pcm1`` of exact samples, ``pkt1`` of coded packets,
and ``raw1`` of the bytes for what cannot be told otherwise. Their rules never change: an improvement is a new kind, and
the old ones stay, for purchases are found by them.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from plugin_core.audio.envelope import find_audio
from plugin_core.audio.ffmpeg import INSTALL, Which, quote_file
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.probe import identify
from plugin_core.audio.reader import open_reader
from plugin_core.audio.source_file import held_still, open_file, read_pieces
from plugin_core.errors import MissingToolError, SourceError
from plugin_core.model import show_path
from plugin_core.recordings.content import hash_content, pkt1, raw1
from plugin_core.recordings.mp4 import UnclearExcerptError, read_excerpt
from plugin_core.recordings.packets import AdtsWalker, MpegWalker, is_adts, packets, payloads
from plugin_core.recordings.track import find_samples, read_samples

if TYPE_CHECKING:
    from plugin_core.audio.samples import Samples


_FULL_SCALE: Final = 2.0**31

Lane = Literal["i", "f"]
"""How samples are hashed: as int32 of which 1.0 is 2^31, or as float64."""


class OffGridError(ValueError):
    """A sample is no integer of 32 bits: the recording is hashed as floats, from its beginning."""


class Pcm1:
    """The text ``pcm1:<lane>:<rate>:<channels>:<frames>:<sha256>``, fed from a decode that happens anyway.

    Lane ``i`` is for all recordings whose values it holds, ``f`` for the others; both little endian and interleaved,
    -0.0 as 0.0. Channels that are equal throughout count as one. The text holds for a decode that reached the end
    without complaint, and does not depend on how it is cut into blocks.

    Args:
        rate: hertz.
        channels: as they come in the blocks.
        lane: as above.
        is_integer: whether the source is known to hold integers of up to 32 bits, which are not looked at then.
    """

    def __init__(self, rate: int, channels: int, lane: Lane = "i", *, is_integer: bool = False) -> None:
        self.rate, self.channels, self.frames = rate, channels, 0
        self._lane = lane
        self._is_integer = is_integer
        self._hashes = {width: hashlib.sha256() for width in sorted({1, channels})}
        """By channels: of the first one for as long as they were equal, and of all."""

    def feed(self, block: Samples) -> None:
        """Take the next samples: (n, channels), floats of which 1.0 is full scale, or left-justified int32.

        Raises:
            OffGridError: lane ``i`` does not hold them.
        """
        self.frames += len(block)
        if 1 in self._hashes and (block[:, 1:] != block[:, :1]).any():
            del self._hashes[1]
        samples = self._to_integers(block) if self._lane == "i" else _to_floats(block)
        for width, digest in self._hashes.items():
            digest.update(np.ascontiguousarray(samples[:, :width]).data)

    def __str__(self) -> str:
        width, digest = next(iter(self._hashes.items()))
        return f"pcm1:{self._lane}:{self.rate}:{width}:{self.frames}:{digest.hexdigest()}"

    def _to_integers(self, block: Samples) -> Samples:
        if block.dtype.kind == "i":
            return block.astype("<i4", copy=False)
        # What is too large becomes some integer, which it does not equal.
        with np.errstate(over="ignore", invalid="ignore"):
            scaled: Samples = block * block.dtype.type(_FULL_SCALE)
            whole: Samples = scaled.astype("<i4")
        if not self._is_integer and (whole != scaled).any():
            raise OffGridError
        return whole


def _to_floats(block: Samples) -> Samples:
    values: Samples = block / _FULL_SCALE if block.dtype.kind == "i" else block
    # Adding makes 0.0 of -0.0.
    return np.add(values, 0.0, dtype="<f8")


MPEG_AUDIO: Final = frozenset({"mp1", "mp2", "mp3"})

_EXACT: Final = re.compile(r"pcm_.*|flac|alac|wavpack|tta|ape|tak|truehd|mlp|wmalossless")
"""Codecs every decoder gives the same samples of. Another one in here makes another digest: ``pcm2``."""

_ALONE: Final = {"MP3": "mp3", "AAC": "aac", "FLAC": "flac", "WAVPACK": "wavpack", "TTA": "tta", "TAK": "tak"}
"""Containers that hold one codec; the layers of MPEG audio are walked over alike."""

_COPIED: Final = 1 << 20
Check = Callable[[], None]
"""Called now and then; raises to stop."""

_BLOCK: Final = 1 << 15
_WIDE: Final = frozenset({"pcm_32", "double"})
"""Encodings a float32 cannot carry exactly."""


def is_exact(codec: str) -> bool:
    """Tell whether every decoder gives the same samples of a codec."""
    return _EXACT.fullmatch(codec) is not None


def name_codec(info: AudioInfo) -> str:
    """Return ffprobe's name of a file's codec, whoever read it; empty where nobody has one."""
    if info.container in _ALONE:
        return _ALONE[info.container]
    if info.decoder == "ffmpeg" or info.encoding == "lossy":
        return info.codec
    return f"pcm_{info.encoding.removeprefix('pcm_')}"


def copy_packets(path: Path, info: AudioInfo, check: Callable[[], None], which: Which) -> Iterator[bytes]:
    """Give the packets in pieces, all of them: what an edit list leaves out is there as well.

    Args:
        path: the file.
        info: what ``identify`` said of it.
        check: called for each piece; raise there to stop.
        which: finds ffmpeg.

    Raises:
        SourceError: there is no ffmpeg, or it fails.
    """
    program = which("ffmpeg")
    if program is None:
        raise MissingToolError(f"{show_path(path)} needs ffmpeg to be read", remedy=INSTALL)
    try:
        process = subprocess.Popen(
            _copy_command(program, path, info),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise SourceError(f"{program} does not start ({error.strerror})", remedy=INSTALL) from error
    with process:
        assert process.stdout is not None
        try:
            while piece := process.stdout.read(_COPIED):
                check()
                yield piece
            if process.wait() != 0:
                raise SourceError(f"{show_path(path)} cannot be copied from by ffmpeg")
        finally:
            process.kill()


def _copy_command(program: str, path: Path, info: AudioInfo) -> list[str]:
    # Other demuxers refuse the option.
    edits = ("-ignore_editlist", "1") if info.container == "M4A" else ()
    return [
        *(program, "-nostdin", "-hide_banner", "-v", "quiet", "-protocol_whitelist", "file", *edits),
        *("-i", quote_file(path), "-map", "0:a:0", "-vn", "-sn", "-dn", "-c", "copy", "-f", "data", "pipe:1"),
    ]


def digest_of(
    path: Path, info: AudioInfo | None = None, *, check: Check = lambda: None, which: Which = shutil.which
) -> str:
    """Return the digest of a file's recording.

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
    is_integer = info.encoding.startswith("pcm")
    try:
        return _hear(path, info, Pcm1(info.sample_rate, info.channels, is_integer=is_integer), check, which)
    except OffGridError:
        # Mostly in its first block, or in the first after some silence.
        return _hear(path, info, Pcm1(info.sample_rate, info.channels, "f"), check, which)


def _hear(path: Path, info: AudioInfo, samples: Pcm1, check: Check, which: Which) -> str:
    dtype: Literal["float32", "float64"] = "float64" if info.encoding in _WIDE else "float32"
    with open_reader(path, info=info, which=which) as reader, ThreadPoolExecutor(1, "digest") as beside:
        # A block is hashed while the next one is decoded.
        fed = None
        while len(block := reader.read(_BLOCK, dtype)):
            check()
            if fed is not None:
                fed.result()
            fed = beside.submit(samples.feed, block)
        if fed is not None:
            fed.result()
    return str(samples) if samples.frames else ""


def _tell(path: Path, info: AudioInfo, check: Check, which: Which) -> str:
    with open_file(path) as descriptor:
        samples = find_samples(path, descriptor) if info.container == "M4A" else None
        codec = samples.codec if samples else name_codec(info)
        if is_exact(codec):
            return pcm1_of(path, info, check=check, which=which)
        try:
            excerpt = read_excerpt(path, descriptor) if info.container == "M4A" else None
        except UnclearExcerptError:
            return ""
        digest, has_sound = hashlib.sha256(), False
        copied = read_samples(path, samples, check) if samples else copy_packets(path, info, check, which)
        for packet in _packets(path, descriptor, info, codec, check, copied):
            digest.update(packet)
            has_sound = has_sound or len(packet) > 0
    return pkt1(digest.hexdigest(), excerpt) if has_sound else ""


def _packets(
    path: Path, descriptor: int, info: AudioInfo, codec: str, check: Check, copied: Iterator[bytes]
) -> Iterator[bytes | memoryview]:
    match info.container, codec:
        case "OGG", "vorbis" | "opus":
            return packets(_heed(check, read_pieces(path, descriptor)))
        case "MP3" | "AAC", _:
            walker = MpegWalker() if info.container == "MP3" else AdtsWalker()
            return payloads(walker, _heed(check, read_pieces(path, descriptor, *find_audio(path, descriptor))))
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


def _heed(check: Check, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        check()
        yield piece
