"""Walking over frames: tags, length headers and junk are no sound, whatever pieces the stream comes in."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path

import pytest

from plugin_core.audio.envelope import find_audio
from plugin_core.recordings.packets import (
    AdtsWalker,
    FrameWalker,
    MpegWalker,
    OggPackets,
    PacketHash,
    Split,
    as_it_is,
    is_adts,
)


def mpeg(number: int, header: bytes = b"\xff\xfb\x90\x00", size: int = 417) -> bytes:
    return header + bytes([number % 255]) * (size - 4)


def adts(number: int, size: int = 100, *, has_checksum: bool = False) -> bytes:
    head = bytes(
        [0xFF, 0xF0 if has_checksum else 0xF1, 0x50, 0x80 | size >> 11, size >> 3 & 255, (size & 7) << 5 | 0x1F]
    )
    return head + b"\xfc" + (b"\1\2" if has_checksum else b"") + raw(number, size - (9 if has_checksum else 7))


def raw(number: int, size: int = 93) -> bytes:
    return bytes([number % 255]) * size


def join(split: Split, pieces: Iterable[bytes]) -> bytes:
    given = [packet for piece in pieces for packet in split(piece, is_last=False)]
    return b"".join([*given, *split(b"", is_last=True)])


def walk(walker: FrameWalker, stream: bytes, piece: int) -> bytes:
    pieces = (stream[at : at + piece] for at in range(0, len(stream), piece))
    return join(walker.feed, pieces)


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


VORBIS = [b"\x01vorbis" + bytes(23), b"\x03vorbis" + b"t" * 3000, b"\x05vorbis" + b"s" * 4000]
OPUS = [b"OpusHead" + bytes(11), b"OpusTags" + b"t" * 700]
SOUND = [bytes([number]) * (number * 7 % 600) for number in range(1, 200)]


def pages(stream: list[bytes], serial: int, segments: int) -> list[bytes]:
    """Lay packets into pages of so many segments; the first packet has one of its own."""
    lacing: list[int] = []
    for packet in stream[1:]:
        lacing += [255] * (len(packet) // 255) + [len(packet) % 255]
    made, body = [page(serial, 2, bytes([len(stream[0])]), stream[0])], b"".join(stream[1:])
    while lacing:
        table, lacing = bytes(lacing[:segments]), lacing[segments:]
        made.append(page(serial, 0, table, body[: sum(table)]))
        body = body[sum(table) :]
    return made


def page(serial: int, flags: int, table: bytes, body: bytes) -> bytes:
    return b"OggS\0" + struct.pack("<BqIIIB", flags, 0, serial, 0, 0, len(table)) + table + body


def hear(data: bytes, piece: int = 1 << 20) -> bytes:
    return join(OggPackets().feed, (data[at : at + piece] for at in range(0, len(data), piece)))


@pytest.mark.parametrize("headers", [VORBIS, OPUS], ids=["Vorbis", "Opus"])
@pytest.mark.parametrize("segments", [1, 3, 17, 255])
@pytest.mark.parametrize("piece", [777, 70_000])
def test_pages_and_headers_make_no_difference(headers: list[bytes], segments: int, piece: int) -> None:
    assert hear(b"".join(pages([*headers, *SOUND], 5, segments)), piece) == b"".join(SOUND)


def test_of_several_streams_the_first_that_sounds_counts() -> None:
    video = pages([b"\x80theora" + bytes(30), *SOUND], 1, 9)
    first, second = pages([*VORBIS, *SOUND], 2, 9), pages([*VORBIS, b"other"], 3, 9)
    mixed = [video[0], first[0], second[0], second[1]]
    for number in range(1, len(first)):
        mixed += [first[number], *video[number : number + 1], *second[number + 1 : number + 2]]
    assert hear(b"".join(mixed)) == b"".join(SOUND)


def test_joined_files_count_with_all_their_sound() -> None:
    whole = b"".join(pages([*OPUS, *SOUND], 1, 9) + pages([*OPUS, *SOUND[:50]], 2, 9))
    assert hear(whole) == b"".join(SOUND + SOUND[:50])


def test_a_last_packet_without_its_end_is_left_out() -> None:
    whole = pages([*OPUS, *SOUND, b"x" * 600], 1, 1)
    assert hear(b"".join(whole[:-1])) == b"".join(SOUND)
    assert hear(b"".join(whole)[:-1]) == b"".join(SOUND)


def test_junk_between_pages_is_passed_over() -> None:
    assert hear(b"Ogg junk".join([b"", *pages([*OPUS, *SOUND], 1, 9)])) == b"".join(SOUND)


@pytest.mark.parametrize("data", [b"", b"OggS", b"OggS" + bytes(23), b"OggS\0" * 40, bytes(100_000)])
def test_nothing_is_heard_in_nothing(data: bytes) -> None:
    assert hear(data) == b""


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_only_what_lies_in_the_spans_is_hashed_however_the_file_is_cut(size: int) -> None:
    data = bytes(range(100))
    packed = PacketHash([(2, 3), (5, 1), (20, 40), (99, 50)], as_it_is)
    for at in range(0, len(data), size):
        packed.feed(data[at : at + size])

    assert packed.finish() == hashlib.sha256(data[2:6] + data[20:60] + data[99:]).hexdigest()
    assert PacketHash([(200, 1)], as_it_is).finish() == ""
