"""Two seconds in every container and codec that ffmpeg reads for us, and ways to tell another length of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio.samples import Samples
from tests.audio_files import encode, make_once, make_song, write_samples
from tests.plugin_core.audio.library import RATE, has_ffmpeg, read_whole

FRAMES = 100_003
"""Not a multiple of any codec's frame."""

_PICTURE = ("-f", "lavfi", "-i", "testsrc=d=3:s=64x64:r=25", "-map", "1:v", "-map", "0:a")
"""Lasts longer than the sound."""

OPTIONS = {
    "aac.m4a": ("-c:a", "aac"),
    "exact.m4a": ("-c:a", "aac", "-movie_timescale", str(RATE)),
    "plain.m4a": ("-c:a", "aac", "-use_editlist", "0"),
    "fragments.m4a": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov+default_base_moof"),
    "alac.m4a": ("-c:a", "alac", "-movie_timescale", str(RATE)),
    "mp3.mp4": ("-c:a", "libmp3lame"),
    "opus.mp4": ("-c:a", "libopus"),
    "ac3.mp4": ("-c:a", "ac3"),
    "pcm.mov": ("-c:a", "pcm_s24le"),
    "video.mp4": (*_PICTURE, "-c:a", "aac"),
    "video.mov": (*_PICTURE, "-c:v", "mpeg4", "-c:a", "alac"),
    "video.mkv": (*_PICTURE, "-c:a", "aac"),
    "flac.mkv": (*_PICTURE, "-c:a", "flac"),
    "video.webm": (*_PICTURE, "-c:v", "libvpx", "-c:a", "libopus"),
    "video.avi": (*_PICTURE, "-c:a", "libmp3lame"),
    "video.wmv": (*_PICTURE, "-c:v", "wmv2", "-c:a", "wmav2"),
    "video.flv": (*_PICTURE, "-c:v", "flv", "-c:a", "aac"),
    "vorbis.mka": ("-c:a", "libvorbis"),
    "opus.mka": ("-c:a", "libopus"),
    "s.wma": (),
    "s.wv": ("-c:a", "wavpack"),
    "s.tta": (),
    "s.ogg": ("-c:a", "libvorbis"),
    "s.opus": ("-c:a", "libopus"),
    "flac.oga": ("-c:a", "flac"),
}

_FRAGMENTS = "frag_keyframe+empty_moov"
FRAGMENTED = {
    "aac.mp4": ("-c:a", "aac", "-movflags", _FRAGMENTS),
    "index.mp4": ("-c:a", "aac", "-movflags", "frag_keyframe"),
    "pieces.mp4": ("-c:a", "aac", "-movflags", "dash+frag_keyframe"),
    "opus.mp4": ("-c:a", "libopus", "-movflags", _FRAGMENTS),
    "flac.mp4": ("-c:a", "flac", "-strict", "-2", "-movflags", _FRAGMENTS),
    "pcm.mov": ("-c:a", "pcm_s16le", "-movflags", _FRAGMENTS),
    "whole.mp4": ("-c:a", "aac", "-use_editlist", "0"),
}
"""Where ffmpeg writes by a first packet that lasts too long, not by an edit list, that sound begins late."""
INDEXED = {"aac.ismv": ("-c:a", "aac"), "cmaf.mp4": ("-c:a", "aac", "-movflags", "cmaf+frag_keyframe")}
"""Where it writes that into the index at the end alone."""


class Shorts:
    """Gives the files by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._samples: dict[str, Samples] = {}

    def file(self, name: str) -> Path:
        if not has_ffmpeg:
            pytest.skip("ffmpeg is not installed")
        source = make_once(self.folder / "s.wav", lambda new: write_samples(new, make_song(3.0)[:FRAMES]))
        return make_once(self.folder / name, lambda new: encode(source, new, *OPTIONS[name]))

    def read(self, name: str) -> Samples:
        if name not in self._samples:
            self._samples[name] = read_whole(self.file(name))[0]
        return self._samples[name]

    def late(self, name: str) -> Path:
        """Return a video whose sound starts 1.25 s after its picture."""
        self.file("s.ogg")
        source = self.folder / "s.wav"
        sound = ("-itsoffset", "1.25", "-i", f"file:{source}", "-map", "1:v", "-map", "2:a")
        codec = (FRAGMENTED | INDEXED).get(name) or OPTIONS[name][len(_PICTURE) :]
        options = (*_PICTURE[:4], *sound, "-c:v", "mpeg4", *codec)
        return make_once(self.folder / f"late-{name}", lambda new: encode(source, new, *options))


def set_edits(data: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """Give an MP4 another edit list: (samples, start) each, a start below 0 for silence; none at all if empty."""
    at = data.index(b"edts") - 4
    size = struct.unpack_from(">I", data, at)[0]
    entries = b"".join(struct.pack(">Iii", length, start, 1 << 16) for length, start in edits)
    elst = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    edts = struct.pack(">I4s", 8 + len(elst), b"edts") + elst if edits else b""
    assert data.index(b"mdat") < at, "the offsets of the sound must stay"
    changed = bytearray(data[:at] + edts + data[at + size :])
    for name in (b"moov", b"trak"):
        place = changed.index(name) - 4
        struct.pack_into(">I", changed, place, struct.unpack_from(">I", changed, place)[0] + len(edts) - size)
    return bytes(changed)


def _tell_times(data: bytearray, frames: int) -> None:
    place = data.index(b"stts") + 12
    (length,) = struct.unpack_from(">I", data, place + 4)
    struct.pack_into(">I", data, place + 4, length * frames // FRAMES)


def _tell_head(name: bytes) -> Callable[[bytearray, int], None]:
    def tell(data: bytearray, frames: int) -> None:
        struct.pack_into(">I", data, data.index(name) + 20, frames)

    return tell


def _tell_wma(data: bytearray, frames: int) -> None:
    place = data.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    (before,) = struct.unpack_from("<Q", data, place + 80)
    struct.pack_into("<Q", data, place + 64, frames * 10_000_000 // RATE + before * 10_000 if frames else 0)


def _tell_matroska(data: bytearray, frames: int) -> None:
    struct.pack_into(">d", data, data.index(b"\x44\x89\x88") + 3, frames * 1000 / RATE)


def _tell_wavpack(data: bytearray, frames: int) -> None:
    struct.pack_into("<I", data, 12, frames)


def _tell_tta(data: bytearray, frames: int) -> None:
    struct.pack_into("<I", data, 14, frames)
    struct.pack_into("<I", data, 18, zlib.crc32(data[:18]))


def _tell_ogg(data: bytearray, frames: int) -> None:
    place = data.rindex(b"OggS")
    struct.pack_into("<q", data, place + 6, frames)
    _seal_page(data, place, len(data))


def _tell_ogg_flac(data: bytearray, frames: int) -> None:
    place = data.index(b"fLaC") + 18
    fields = int.from_bytes(data[place : place + 8], "big") >> 36 << 36 | frames
    data[place : place + 8] = fields.to_bytes(8, "big")
    _seal_page(data, 0, data.index(b"OggS", 4))


def _seal_page(data: bytearray, start: int, end: int) -> None:
    data[start + 22 : start + 26] = bytes(4)
    found = 0
    for byte in data[start:end]:
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1 ^ (0x04C11DB7 if found & 0x80000000 else 0)) & 0xFFFFFFFF
    struct.pack_into("<I", data, start + 22, found)


TELL: dict[tuple[str, str], Callable[[bytearray, int], None]] = {
    ("aac.m4a", "stts"): _tell_times,
    ("aac.m4a", "mdhd"): _tell_head(b"mdhd"),
    ("aac.m4a", "mvhd"): _tell_head(b"mvhd"),
    ("alac.m4a", "stts"): _tell_times,
    ("alac.m4a", "mdhd"): _tell_head(b"mdhd"),
    ("s.wma", "play"): _tell_wma,
    ("vorbis.mka", "Duration"): _tell_matroska,
    ("s.wv", "total"): _tell_wavpack,
    ("s.tta", "samples"): _tell_tta,
    ("s.ogg", "granule"): _tell_ogg,
    ("s.opus", "granule"): _tell_ogg,
    ("flac.oga", "STREAMINFO"): _tell_ogg_flac,
}
"""How a header is made to tell another length, by file and field."""


def lag_of(heard: Samples, song: Samples) -> int:
    """Return by how many samples one comes later than the other."""
    size = 1 << (len(heard) + len(song)).bit_length()
    spectra = [np.fft.rfft(one[:, 0], size) for one in (song, heard)]
    lag = int(np.argmax(np.fft.irfft(spectra[0].conj() * spectra[1])))
    return lag if lag < size // 2 else lag - size
