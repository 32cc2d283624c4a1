"""A song of ten seconds in every container and codec that is read, each made once, and ways to break its header."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import Samples
from plugin_core.errors import SourceError
from tests.audio_files import encode, make_once, make_song, write_samples

SECONDS = 10
RATE = 44100
FRAMES = SECONDS * RATE

PLAIN = ("s.wav", "s.aif", "s.w64", "s.rf64", "s.caf", "s.au", "s.flac")
"""What libsndfile writes."""

ENCODED = {
    "s.mp3": ("-c:a", "libmp3lame", "-q:a", "2"),
    "bare.mp3": ("-c:a", "libmp3lame", "-q:a", "2", "-write_xing", "0", "-id3v2_version", "0"),
    "mp3.wav": ("-c:a", "libmp3lame", "-b:a", "128k", "-f", "wav"),
    "s.mp2": ("-c:a", "mp2"),
    "s.ogg": ("-c:a", "libvorbis"),
    "s.opus": ("-c:a", "libopus"),
    "flac.oga": ("-c:a", "flac"),
    "s.m4a": ("-c:a", "aac"),
    "alac.m4a": ("-c:a", "alac", "-movflags", "+faststart"),
    "s.wma": ("-c:a", "wmav2"),
    "s.mka": ("-c:a", "libvorbis"),
    "flac.mka": ("-c:a", "flac"),
    "s.wv": ("-c:a", "wavpack"),
    "s.tta": (),
    "s.aac": ("-c:a", "aac"),
    "s.ac3": (),
    "s.ts": ("-c:a", "aac"),
    "mp2.ts": ("-c:a", "mp2"),
    "s.mpg": ("-c:a", "mp2"),
    "s.vob": ("-c:a", "mp2"),
    "s.dts": ("-strict", "-2", "-b:a", "1234800"),
}
"""What ffmpeg writes, and its options."""

ALL = (*PLAIN, *ENCODED)
HEADERLESS = ("bare.mp3", "s.mp2", "s.aac", "s.ac3", "s.ts", "mp2.ts", "s.mpg", "s.vob", "s.dts")
"""Nothing in them says where they end: what is there is read."""
EXACT = (*PLAIN, "flac.oga", "alac.m4a", "flac.mka", "s.wv", "s.tta")

has_ffmpeg = shutil.which("ffmpeg") is not None


class Library:
    """Gives the files by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._samples: dict[str, Samples] = {}

    def file(self, name: str) -> Path:
        path = self.folder / name
        if name == "s.wav":
            return make_once(path, lambda new: write_samples(new, make_song(SECONDS, RATE)))
        if name in PLAIN:
            return make_once(path, lambda new: write_samples(new, self.read("s.wav")))
        if not has_ffmpeg:
            pytest.skip("ffmpeg is not installed")
        return make_once(path, lambda new: encode(self.file("s.wav"), new, *ENCODED[name]))

    def read(self, name: str) -> Samples:
        if name not in self._samples:
            self._samples[name] = read_whole(self.file(name))[0]
        return self._samples[name]

    def copy(self, name: str, folder: Path, data: bytes | bytearray | None = None) -> Path:
        path = folder / name
        path.write_bytes(self.file(name).read_bytes() if data is None else data)
        return path


def read_whole(path: Path) -> tuple[Samples, str]:
    """Return every sample, and what is said of the reading."""
    blocks = []
    with open_reader(path) as reader:
        while len(block := reader.read(1 << 16)):
            blocks.append(block)
        return np.concatenate(blocks), reader.note


def refuse(path: Path) -> str:
    """Return the line with which a file is refused; it names the file."""
    with pytest.raises(SourceError) as caught:
        read_whole(path)
    said = str(caught.value)
    assert "\n" not in said
    assert path.name in said
    assert caught.value.remedy
    return said


def decode_with_ffmpeg(path: Path, channels: int = 2) -> Samples:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", os.fspath(path), "-map", "0:a:0", "-f", "f32le", "-"]
    done = subprocess.run(command, check=True, capture_output=True)
    return np.frombuffer(done.stdout, "<f4").reshape(-1, channels)


def tell_flac(data: bytearray, frames: int) -> None:
    """Let a FLAC's header count other than it holds."""
    data[21] = data[21] & 0xF0 | frames >> 32
    data[22:26] = (frames & 0xFFFFFFFF).to_bytes(4, "big")


def tell_wav(data: bytearray, frames: int) -> None:
    at = data.index(b"data") + 4
    data[at : at + 4] = (frames * 4).to_bytes(4, "little")
    data[4:8] = (frames * 4 + at - 4 if frames else 0).to_bytes(4, "little")


def tell_aiff(data: bytearray, frames: int) -> None:
    at = data.index(b"SSND") + 4
    data[at : at + 4] = (frames * 4 + 8 if frames else 0).to_bytes(4, "big")
    data[4:8] = (frames * 4 + at + 4).to_bytes(4, "big")


def tell_au(data: bytearray, frames: int) -> None:
    data[8:12] = (frames * 4).to_bytes(4, "big")


def tell_caf(data: bytearray, frames: int) -> None:
    at = data.index(b"data\0\0\0\0") + 4
    data[at : at + 8] = (frames * 4 + 4 if frames else 0).to_bytes(8, "big")


def tell_w64(data: bytearray, frames: int) -> None:
    at = data.index(b"data\xf3") + 16
    data[at : at + 8] = (frames * 4 + 24 if frames else 0).to_bytes(8, "little")
    data[16:24] = (frames * 4 + at + 8).to_bytes(8, "little")


def tell_rf64(data: bytearray, frames: int) -> None:
    at = data.index(b"ds64") + 8
    start = data.index(b"data") + 8
    for place, number in enumerate((frames * 4 + start - 8, frames * 4, frames)):
        data[at + 8 * place : at + 8 * place + 8] = number.to_bytes(8, "little")


def tell_mp3(data: bytearray, frames: int) -> None:
    at = next(place for place in (data.find(mark) for mark in (b"Xing", b"Info")) if place >= 0) + 8
    data[at : at + 4] = (frames // 1152).to_bytes(4, "big")


TELL: dict[str, Callable[[bytearray, int], None]] = {
    "s.wav": tell_wav,
    "s.aif": tell_aiff,
    "s.w64": tell_w64,
    "s.rf64": tell_rf64,
    "s.caf": tell_caf,
    "s.au": tell_au,
    "s.flac": tell_flac,
    "s.mp3": tell_mp3,
}
"""How a header is made to count other than the file holds."""
