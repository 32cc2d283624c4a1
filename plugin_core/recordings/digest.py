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
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from plugin_core.audio.envelope import find_audio, find_start, is_transport_stream
from plugin_core.audio.ffmpeg import Which
from plugin_core.audio.frames import measure_free_frame
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.probe import identify
from plugin_core.audio.reader import Dtype, open_reader
from plugin_core.audio.sndfile import is_mpeg_audio
from plugin_core.audio.source_file import held_still, look_at, open_file, read_at, read_pieces
from plugin_core.errors import SourceError
from plugin_core.recordings.content import Heard, hash_content, keep, pkt1, raw1, recall
from plugin_core.recordings.packets import (
    ALL,
    AdtsWalker,
    FrameWalker,
    MpegWalker,
    OggPackets,
    PacketHash,
    as_it_is,
    copy_packets,
    is_adts,
    read_copied,
    start_copying,
)
from plugin_core.recordings.track import UnclearExcerptError, find_samples, read_excerpt, read_samples
from plugin_core.tasks import beside

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
    """

    def __init__(self, rate: int, channels: int, lane: Lane = "i") -> None:
        self.rate, self.channels, self.frames = rate, channels, 0
        self._lane = lane
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
        samples = _to_integers(block) if self._lane == "i" else _to_floats(block)
        for width, digest in self._hashes.items():
            digest.update(np.ascontiguousarray(samples[:, :width]).data)

    def __str__(self) -> str:
        width, digest = next(iter(self._hashes.items()))
        return f"pcm1:{self._lane}:{self.rate}:{width}:{self.frames}:{digest.hexdigest()}"


def _to_integers(block: Samples) -> Samples:
    if block.dtype.kind == "i":
        return block.astype("<i4", copy=False)
    # What is too large becomes some integer, which it does not equal.
    with np.errstate(over="ignore", invalid="ignore"):
        scaled: Samples = block * block.dtype.type(_FULL_SCALE)
        whole: Samples = scaled.astype("<i4")
    # An integer that came of a float is one in its type as well: no wider one is needed to tell.
    if not np.array_equal(whole.astype(block.dtype), scaled):
        raise OffGridError
    return whole


def _to_floats(block: Samples) -> Samples:
    if block.dtype.kind == "i":
        return block / _FULL_SCALE
    # Makes 0.0 of -0.0, quicker before there are twice as many bytes.
    plain: Samples = block + block.dtype.type(0)
    return plain.astype("<f8", copy=False)


MPEG_AUDIO: Final = frozenset({"mp1", "mp2", "mp3"})

_EXACT: Final = re.compile(r"pcm_.*|flac|alac|wavpack|tta|ape|tak|truehd|mlp|wmalossless")
"""Codecs every decoder gives the same samples of. Another one in here makes another digest: ``pcm2``."""

_ALONE: Final = {"MP3": "mp3", "AAC": "aac", "FLAC": "flac", "WAVPACK": "wavpack", "TTA": "tta", "TAK": "tak"}
"""Containers that hold one codec; the layers of MPEG audio are walked over alike."""

_HANDED_ON: Final = {b"\x30\x26\xb2\x75": "WMA", b"\x1a\x45\xdf\xa3": "MKV", b"FLV\1": "FLV", b"\0\0\1\xba": "MPEG"}
"""How files begin of which ffmpeg copies the same from a pipe: their containers, by our word.

So do MPEG-TS and AVI, but for an AVI whose pictures and sound lie apart and whose index leaves some of it out.
"""

_HEAD: Final = 1 << 14
"""More than the first frame, and the header of the second."""
Check = Callable[[], None]
"""Called now and then; raises to stop."""

_BLOCK: Final = 1 << 16


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
    with held_still(path) as identity:
        began_ns, heard = time.time_ns(), recall(identity)
        if heard is not None and heard.digest:
            return heard.digest
        try:
            info = info or identify(path, which=which)
            told = _tell(path, info, check, which)
        except SourceError:
            # No audio we know, damaged, or ffmpeg is missing.
            told = ""
        if told and heard is not None:
            keep(path, identity, began_ns, heard._replace(digest=told))
        return told or raw1(hash_content(path, check))


def pcm1_of(path: Path, info: AudioInfo, *, check: Check = lambda: None, which: Which = shutil.which) -> str:
    """Decode a file of an exact codec to its end and return the digest of its samples; empty if it has none.

    Raises:
        SourceError: it is damaged, or is not what its header says.
        TransientError: the disk or share does not answer.
    """
    try:
        return _hear(path, info, "i", check, which)
    except OffGridError:
        # Mostly in the first block after some silence.
        return _hear(path, info, "f", check, which)


def _hear(path: Path, info: AudioInfo, lane: Lane, check: Check, which: Which) -> str:
    is_integer = info.encoding.startswith("pcm")
    dtype: Dtype = "int32" if is_integer else "float64" if info.encoding == "double" else "float32"
    with open_reader(path, info=info, which=which) as reader:
        samples = _begin(info, lane, reader.read(_BLOCK, dtype))
        # What libsndfile decodes is there too soon for a thread to gain anything.
        with beside(samples.feed) if info.decoder == "ffmpeg" else nullcontext(samples.feed) as feed:
            while len(block := reader.read(_BLOCK, dtype)):
                check()
                feed(block)
    return str(samples) if samples.frames else ""


def _begin(info: AudioInfo, lane: Lane, block: Samples) -> Pcm1:
    """Return what hashes the samples of a file, of which it took the first; in another lane if that does not fit."""
    samples = Pcm1(info.sample_rate, info.channels, lane)
    try:
        samples.feed(block)
    except OffGridError:
        samples = Pcm1(info.sample_rate, info.channels, "f")
        samples.feed(block)
    return samples


def read_song(path: Path, *, check: Check = lambda: None, which: Which = shutil.which) -> tuple[AudioInfo, str]:
    """Return what ``identify`` says of a file, and the SHA-256 of its bytes, in one reading.

    Of a file whose packets lie in it as they are hashed, ``digest_of`` need not read it again.

    Raises:
        SourceError: the file cannot be read, is not audio, or is cut short.
        TransientError: the disk or share does not answer.
    """
    began_ns, before = time.time_ns(), look_at(path)
    if (known := recall(before)) is not None:
        return identify(path, which=which), known.sha256
    content = hashlib.sha256()
    with open_file(path) as descriptor:
        container = _guess_container(path, descriptor)
        packed = _find_packets(container, path, descriptor)
        digest = ""

        def hear(piece: bytes) -> None:
            check()
            content.update(piece)
            if packed is not None:
                packed.feed(piece)
            if copying is not None:
                copying.feed(piece)

        with _copy_meanwhile(container, which) as copying:
            info = identify(path, which=which, hear=hear)
            if copying is not None and info.container == container and not info.layouts:
                digest = _name(path, descriptor, info, copying.finish(name_codec(info)))
        if packed is not None and info.container == container and _is_open(info):
            digest = _name(path, descriptor, info, packed.finish())
    keep(path, before, began_ns, Heard(content.hexdigest(), digest))
    return info, content.hexdigest()


def _guess_container(path: Path, descriptor: int) -> str:
    """Return by a file's first bytes which container it may be, of those whose packets can be found in it."""
    head = read_at(path, descriptor, find_start(path, descriptor), _HEAD)
    if head.startswith(b"OggS"):
        return "OGG"
    if head[:4] in _HANDED_ON:
        return _HANDED_ON[head[:4]]
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "AVI"
    if is_transport_stream(head):
        return "TS"
    return "MP3" if is_mpeg_audio(head) else "AAC" if is_adts(head) else "M4A" if head[4:8] == b"ftyp" else ""


class _Copying:
    """An ffmpeg that is handed a file as it is gone through, and the packets that it copies meanwhile."""

    def __init__(self, process: subprocess.Popen[bytes], thread: ThreadPoolExecutor) -> None:
        assert process.stdin is not None
        self._process, self._input = process, process.stdin
        self._hashing = thread.submit(_hash_guessed, read_copied(process))

    def feed(self, piece: bytes) -> None:
        """Hand on the next bytes of the file."""
        # It may have had enough, which Windows calls an invalid argument.
        with suppress(OSError):
            self._input.write(piece)

    def finish(self, codec: str) -> str:
        """Return the SHA-256 of the packets at the end of the file; "" where it is not sure."""
        with suppress(OSError):
            self._input.close()
        first, sha256 = self._hashing.result()
        is_sure = not is_exact(codec) and _choose_walker(codec, first) is _choose_walker(_guess_codec(first), first)
        return sha256 if self._process.wait() == 0 and is_sure else ""


@contextmanager
def _copy_meanwhile(container: str, which: Which) -> Iterator[_Copying | None]:
    program = which("ffmpeg") if container in (*_HANDED_ON.values(), "AVI", "TS") else None
    if program is None:
        yield None
        return
    piped = ("-protocol_whitelist", "pipe", "-i", "pipe:0")
    with start_copying(program, *piped) as process, ThreadPoolExecutor(1, "packets") as thread:
        try:
            yield _Copying(process, thread)
        finally:
            process.kill()


def _hash_guessed(pieces: Iterator[bytes]) -> tuple[bytes, str]:
    """Hash what is copied of a codec that nobody knows yet; return its first bytes as well."""
    first = next(pieces, b"")
    return first, _hash_copied(chain((first,), pieces), _guess_codec(first))


def _guess_codec(first: bytes) -> str:
    return "aac" if is_adts(first) else "mp3" if is_mpeg_audio(first) else ""


def _find_packets(container: str, path: Path, descriptor: int) -> PacketHash | None:
    """Return what hashes the packets of a file as it is gone through; None where they do not lie there in order."""
    match container:
        case "OGG":
            return PacketHash(ALL, OggPackets().feed)
        case "MP3" | "AAC":
            start, end = find_audio(path, descriptor)
            if measure_free_frame(read_at(path, descriptor, start, _HEAD)):
                return None
            walker = MpegWalker() if container == "MP3" else AdtsWalker()
            return PacketHash([(start, end - start)], walker.feed)
        case "M4A" if (samples := find_samples(path, descriptor)) is not None and samples.is_in_order:
            first, size = samples.runs[0].tolist()
            if size >= AdtsWalker.header and not is_adts(read_at(path, descriptor, first, AdtsWalker.header)):
                return PacketHash(samples.runs.tolist(), as_it_is)
    return None


def _is_open(info: AudioInfo) -> bool:
    """Tell whether packets lie in a file of their container as they are hashed."""
    return info.container in ("MP3", "AAC", "M4A") or (info.container == "OGG" and info.codec in ("vorbis", "opus"))


def _tell(path: Path, info: AudioInfo, check: Check, which: Which) -> str:
    with open_file(path) as descriptor:
        samples = find_samples(path, descriptor) if info.container == "M4A" else None
        codec = samples.codec if samples else name_codec(info)
        if is_exact(codec):
            return pcm1_of(path, info, check=check, which=which)
        if info.container != "M4A" and _is_open(info):
            packed = _find_packets(info.container, path, descriptor)
            if packed is None:
                # Of free format, whose frames say no size.
                return ""
            for piece in read_pieces(path, descriptor):
                check()
                packed.feed(piece)
            return _name(path, descriptor, info, packed.finish())
        copied = read_samples(path, samples, check) if samples else copy_packets(path, info, check, which)
        return _name(path, descriptor, info, _hash_copied(copied, codec))


def _name(path: Path, descriptor: int, info: AudioInfo, sha256: str) -> str:
    try:
        excerpt = read_excerpt(path, descriptor) if info.container == "M4A" else None
    except UnclearExcerptError:
        return ""
    return pkt1(sha256, excerpt) if sha256 else ""


def _hash_copied(pieces: Iterator[bytes], codec: str) -> str:
    """Hash what was copied out of a container as a file of its own would be."""
    first = next(pieces, b"")
    walker = _choose_walker(codec, first)
    packed = PacketHash(ALL, walker().feed if walker else as_it_is)
    for piece in chain((first,), pieces):
        packed.feed(piece)
    return packed.finish()


def _choose_walker(codec: str, first: bytes) -> type[FrameWalker] | None:
    """Return what finds the payload in copied packets, of which the first begin so; None: all of it is."""
    return MpegWalker if codec in MPEG_AUDIO else AdtsWalker if codec == "aac" and is_adts(first) else None
