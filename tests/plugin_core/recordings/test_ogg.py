"""Packets of Ogg, whatever pages they lie in."""

from __future__ import annotations

import struct

import pytest

from plugin_core.recordings.ogg import packets

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
    return b"".join(packets(data[at : at + piece] for at in range(0, len(data), piece)))


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
