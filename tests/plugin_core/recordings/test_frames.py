"""Walking over frames: tags, length headers and junk are no sound, whatever pieces the stream comes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.recordings.bounds import find_audio
from plugin_core.recordings.frames import AdtsWalker, FrameWalker, MpegWalker, is_adts, payloads


def mpeg(number: int, header: bytes = b"\xff\xfb\x90\x00", size: int = 417) -> bytes:
    return header + bytes([number % 255]) * (size - 4)


def adts(number: int, size: int = 100, *, has_checksum: bool = False) -> bytes:
    head = bytes(
        [0xFF, 0xF0 if has_checksum else 0xF1, 0x50, 0x80 | size >> 11, size >> 3 & 255, (size & 7) << 5 | 0x1F]
    )
    return head + b"\xfc" + (b"\1\2" if has_checksum else b"") + raw(number, size - (9 if has_checksum else 7))


def raw(number: int, size: int = 93) -> bytes:
    return bytes([number % 255]) * size


def walk(walker: FrameWalker, stream: bytes, piece: int) -> bytes:
    pieces = (stream[at : at + piece] for at in range(0, len(stream), piece))
    return b"".join(payloads(walker, pieces))


PIECES = pytest.mark.parametrize("piece", [1000, 16_000, 1 << 20])
FRAMES = b"".join(mpeg(number) for number in range(1, 201))
INFO = b"\xff\xfb\x90\x00" + bytes(32) + b"Info" + bytes(377)


@PIECES
@pytest.mark.parametrize(
    "stream",
    [
        FRAMES,
        INFO + FRAMES,
        INFO.replace(b"Info", b"Xing") + FRAMES,
        bytes(5000) + FRAMES,
        b"\xff\xfb\x90\x00 believed by nobody" + FRAMES,
        FRAMES[: 417 * 50] + b"\xff\xe0 junk" * 20 + FRAMES[417 * 50 :],
        FRAMES + mpeg(7)[:-1],
        FRAMES + b"TAG" + bytes(125),
    ],
    ids=["plain", "Info", "Xing", "zeros", "false header", "junk", "half a frame", "tag"],
)
def test_only_whole_frames_of_sound_are_given(stream: bytes, piece: int) -> None:
    assert walk(MpegWalker(), stream, piece) == FRAMES


def test_a_second_length_header_is_sound_for_it_belongs_to_a_joined_file() -> None:
    assert walk(MpegWalker(), FRAMES + INFO + FRAMES, 1 << 20) == FRAMES + INFO + FRAMES


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"\xff\xfb\x92\x00", 418),
        (b"\xff\xfa\xe4\x00", 960),
        (b"\xff\xf3\x80\x00", 208),
        (b"\xff\xe3\x18\x00", 72),
        (b"\xff\xfd\xa4\x00", 576),
        (b"\xff\xff\xe0\x00", 484),
    ],
    ids=["padded", "with a checksum", "MPEG-2", "MPEG-2.5", "layer 2", "layer 1"],
)
def test_frames_of_every_kind(header: bytes, size: int) -> None:
    frames = b"".join(mpeg(number, header, size) for number in range(20))
    assert walk(MpegWalker(), b"junk" + frames, 1 << 20) == frames


def test_free_format_says_no_size_and_gives_nothing() -> None:
    assert walk(MpegWalker(), b"".join(mpeg(number, b"\xff\xfb\x00\x00") for number in range(20)), 1 << 20) == b""


@PIECES
@pytest.mark.parametrize("has_checksum", [False, True])
def test_adts_gives_the_raw_blocks(has_checksum: bool, piece: int) -> None:
    stream = b"".join(adts(number, has_checksum=has_checksum) for number in range(500))
    size = 91 if has_checksum else 93
    expected = b"".join(raw(number, size) for number in range(500))
    assert walk(AdtsWalker(), stream, piece) == expected
    assert walk(AdtsWalker(), bytes(99) + stream + adts(1)[:50], piece) == expected


def test_raw_blocks_are_not_taken_for_adts() -> None:
    assert is_adts(adts(1) + adts(2))
    assert is_adts(adts(1))
    assert not is_adts(adts(1) + raw(2))
    assert not is_adts(b"\x21\x10\x05\x00\xa0\x1b\xff\xc0")
    assert not is_adts(b"")


def id3v2(size: int, *, has_footer: bool = False) -> bytes:
    sizes = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    head = b"\4\0\x10" if has_footer else b"\4\0\0"
    return b"ID3" + head + sizes + b"\xff\xfb" * (size // 2) + (b"3DI" + head + sizes if has_footer else b"")


def ape(size: int, *, has_header: bool = True) -> bytes:
    def frame(flags: int) -> bytes:
        numbers = (2000, size + 32, 1, flags)
        return b"APETAGEX" + b"".join(number.to_bytes(4, "little") for number in numbers) + bytes(8)

    return (frame(0xA0000000) if has_header else b"") + b"\xff" * size + frame(0x80000000 if has_header else 0)


ID3V1 = b"TAG" + bytes(125)
PLUS = b"TAG+" + bytes(223)
LYRICS = b"LYRICSBEGIN" + b"\xff" * 300 + b"000311LYRICS200"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (id3v2(1000), ID3V1),
        (id3v2(1000) + id3v2(20_000, has_footer=True), b""),
        (b"", ape(500) + ID3V1),
        (b"", ape(500, has_header=False)),
        (b"", LYRICS + ID3V1),
        (b"", ape(70) + LYRICS + PLUS + ID3V1),
        (b"", id3v2(1000, has_footer=True)),
        (ape(300), b""),
    ],
    ids=[
        "none",
        "ID3",
        "two ID3v2",
        "APE and ID3v1",
        "APE",
        "Lyrics3",
        "all at the end",
        "ID3v2 at the end",
        "APE first",
    ],
)
def test_tags_lie_outside_the_audio(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(before + FRAMES + after)
    with path.open("rb") as opened:
        assert find_audio(path, opened.fileno()) == (len(before), len(before) + len(FRAMES))


@pytest.mark.parametrize("data", [id3v2(1000)[:9], id3v2(1000)[:500], ape(10)[10:], LYRICS])
def test_a_file_of_nothing_but_tags_has_no_audio(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(data)
    with path.open("rb") as opened:
        start, end = find_audio(path, opened.fileno())
        assert 0 <= start <= end <= len(data)
