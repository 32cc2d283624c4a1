"""Songs that no encoder here writes, byte by byte: enough of each for readers of tags, and damage done on purpose."""

from __future__ import annotations

import struct
from pathlib import Path

import soundfile

from tests.audio_files import make_noise
from tests.plugin_core.tags.tagged_files import make_audio

SAMPLES = bytes(range(256)) * 8
UNKNOWN = b"\xff\xff\xff\xff"
HEAD = 44
"""Bytes of a WAV before its samples, as libsndfile writes it."""


def make_ape() -> bytes:
    """Return Monkey's Audio 3.99 of one frame: descriptor, header, seek table, frames."""
    seek = struct.pack("<I", 52 + 24 + 4)
    header = struct.pack("<HHIIIHHI", 2000, 0, 73728, 22050, 1, 16, 2, 44100)
    sizes = struct.pack("<HHIIIIIII", 3990, 0, 52, len(header), len(seek), 0, len(SAMPLES), 0, 0)
    return b"MAC " + sizes + bytes(16) + header + seek + SAMPLES


def make_musepack_7() -> bytes:
    """Return Musepack of stream version 7, four frames."""
    return b"MP+\x07" + struct.pack("<IIHHHH", 4, 0, 0, 0, 0, 0) + bytes(8) + SAMPLES


def make_musepack_8() -> bytes:
    """Return Musepack of stream version 8: stream header, gains, audio, end."""
    header = bytes(4) + b"\x08" + _varint(44100) + _varint(0) + b"\x00\x10"
    packets = ((b"SH", header), (b"RG", b"\x01" + bytes(8)), (b"AP", SAMPLES[:100]), (b"SE", b""))
    return b"MPCK" + b"".join(_packet(key, body) for key, body in packets)


CONTAINERS = {"monkey.ape": make_ape, "sv7.mpc": make_musepack_7, "sv8.mpc": make_musepack_8}


def _packet(key: bytes, body: bytes) -> bytes:
    width = 1 if len(body) < 120 else 2
    return key + _varint(len(key) + width + len(body)) + body


def _varint(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.insert(0, number & 0x7F | 0x80)
    return bytes(digits)


def make_wav(folder: Path) -> bytes:
    """Return a sound WAV."""
    return make_audio(folder / "plain.wav").read_bytes()


def make_odd_wav(folder: Path) -> bytes:
    """Return a WAV of an odd number of bytes, without the one that would make it even."""
    path = folder / "odd.wav"
    soundfile.write(path, make_noise(1001, 1), 8000, subtype="PCM_U8")
    return with_riff(path.read_bytes()[: HEAD + 1001])


def with_riff(data: bytes, size: int | None = None) -> bytes:
    """Return a WAV with the size of the whole; default the true one."""
    return data[:4] + struct.pack("<I", len(data) - 8 if size is None else size) + data[8:]


def with_data(data: bytes, size: bytes) -> bytes:
    """Return a WAV with the size of its samples."""
    return data[: HEAD - 4] + size + data[HEAD:]


def with_junk_behind_padding(mp3: bytes) -> bytes:
    """Return an MP3 whose tag ends in bytes that are neither frame nor padding."""
    end = 10 + sum(byte << 7 * (3 - place) for place, byte in enumerate(mp3[6:10]))
    assert mp3[end - 64 : end] == bytes(64)
    return mp3[: end - 4] + b"JUNK" + mp3[end:]
