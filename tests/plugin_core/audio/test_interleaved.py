"""AVI and ASF are held against what they say of their packets: sound that they lack is never lost without a word."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio.probe import probe
from plugin_core.errors import SourceError
from tests.audio_files import encode
from tests.plugin_core.audio.library import RATE, Library, decode_with_ffmpeg, read_whole
from tests.plugin_core.audio.test_probe import needs_ffmpeg

pytestmark = needs_ffmpeg


def list_packets(data: bytes, name: bytes = b"00wb") -> list[int]:
    """Return where packets of sound begin."""
    at = data.index(b"movi") + 4
    places = []
    while (name_here := data[at : at + 4]) in (name, b"00dc", b"JUNK"):
        places += [at] if name_here == name else []
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + (size & 1)
    return places


@pytest.mark.parametrize(
    ("codec", "samples"),
    [("libmp3lame", 1152), ("mp2", 1152), ("ac3", 1536), ("aac", 1024), ("pcm_alaw", 1024), ("pcm_s16le", 1024)],
)
def test_packet_that_an_avi_without_index_lacks_is_told_by_its_header(
    library: Library, tmp_path: Path, codec: str, samples: int
) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.avi", "-c:a", codec, "-t", "1")
    data, (whole, note) = bytearray(path.read_bytes()), read_whole(path)
    assert note == ""
    index, packets = data.index(b"idx1"), list_packets(bytes(data))
    data[index : index + 4] = b"JUNK"
    path.write_bytes(data)
    assert np.array_equal(read_whole(path)[0], whole)

    place = packets[len(packets) // 2]
    data[place : place + 4] = b"JUNK"
    path.write_bytes(data)
    read, note = read_whole(path)

    assert len(whole) - len(read) == samples
    assert note == f"s.avi is {samples} samples shorter than its header says: all that it holds was read"


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("avi", "libmp3lame"), ("avi", "pcm_s16le"), ("avi", "dca"), ("asf", "wmav2"), ("matroska", "libmp3lame")],
)
def test_what_was_written_into_a_pipe_is_read_whole(library: Library, tmp_path: Path, kind: str, codec: str) -> None:
    path = tmp_path / f"s.{kind}"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(library.file("s.wav")),
        "-c:a",
        codec,
        "-t",
        "1",
        "-q:a",
        "2",
        "-strict",
        "-2",
        "-f",
        kind,
        "pipe:1",
    ]
    path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)

    read, note = read_whole(path)

    assert (note, np.array_equal(read, decode_with_ffmpeg(path))) == ("", True)
    assert probe(path).duration == pytest.approx(len(read) / RATE, abs=0.3)
    if kind == "asf":
        path.write_bytes(path.read_bytes()[:-20])
        assert "ends in the middle of a frame" in read_whole(path)[1]


@pytest.mark.parametrize(("name", "size"), [(b"strf", 32), (b"JUNK", 0)])
def test_room_for_an_index_in_front_of_the_sound_is_no_silence(
    library: Library, tmp_path: Path, name: bytes, size: int
) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.avi", "-c:a", "pcm_s16le", "-t", "1")
    data, whole = bytearray(path.read_bytes()), read_whole(path)[0]
    at = data.index(name) + 4
    data[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(data)

    assert np.array_equal(read_whole(path)[0], whole)


def test_first_packet_of_wma_that_gives_no_sound_is_not_missing(library: Library, tmp_path: Path) -> None:
    assert read_whole(encode(library.file("s.wav"), tmp_path / "s.avi", "-c:a", "wmav2", "-t", "1"))[1] == ""


def test_aac_that_begins_late_in_an_avi_is_silent_for_packets_without_a_byte(library: Library, tmp_path: Path) -> None:
    late = ("-itsoffset", "0.5", "-i", str(library.file("s.wav")), "-map", "1:v", "-map", "2:a")
    picture = ("-f", "lavfi", "-i", "color=s=16x16:d=1", *late, "-c:v", "mpeg4")
    path = encode(library.file("s.wav"), tmp_path / "s.avi", *picture, "-c:a", "aac", "-t", "1")
    sound = decode_with_ffmpeg(path)

    read, note = read_whole(path)

    silence = len(read) - len(sound)
    assert (note, silence) == ("", 21 * 1024)
    assert not read[:silence].any()
    assert np.array_equal(read[silence:], sound)

    data = bytearray(path.read_bytes())
    place = list_packets(bytes(data), b"01wb")[-3] + 8
    data[place : place + 100] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"s\.avi is damaged"):
        read_whole(path)


def test_frame_that_ffmpeg_leaves_out_of_what_libfaac_wrote_is_not_missing(library: Library, tmp_path: Path) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.avi", "-c:a", "aac", "-t", "1")
    samples = len(read_whole(path)[0])
    # Behind 13 bits more than ffmpeg's own name, which is as long.
    path.write_bytes(re.sub(rb"Lavc[\d.]{9}", b" libfaac 1.28", path.read_bytes(), count=1))

    read, note = read_whole(path)

    assert (len(read), note) == (samples - 1024, "")


@pytest.mark.parametrize(
    ("codec", "options", "lost"),
    [
        ("wmav2", ("-packet_size", "1000"), 2048),
        ("wmav2", (), 4 * 2048),
        ("libmp3lame", (), 8 * 1152),
        ("pcm_s16le", ("-packet_size", "500"), 1024),
    ],
)
def test_packet_that_an_asf_lacks_is_told_by_the_numbers_of_the_others(
    library: Library, tmp_path: Path, codec: str, options: tuple[str, ...], lost: int
) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.asf", "-c:a", codec, "-t", "2", *options)
    data, whole = path.read_bytes(), read_whole(path)
    assert whole[1] == ""
    size = int.from_bytes(data[(about := data.index(bytes.fromhex("a1dcab8c47a9cf11")) + 92) : about + 4], "little")
    packets = data.index(bytes.fromhex("3626b2758e66cf11")) + 50

    for number in (2, (len(data) - packets) // size // 2):
        first = packets + number * size
        path.write_bytes(data[:first] + bytes(size) + data[first + size :])
        read, note = read_whole(path)
        assert len(whole[0]) - len(read) in range(100, 2 * lost + 1)
        assert "s.asf is broken at 0:0" in note


def test_video_of_which_a_packet_of_sound_has_another_number_says_where(library: Library, tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc=d=2:s=64x64:r=25", "-map", "1:v", "-map", "0:a", "-c:v", "wmv2")
    path = encode(library.file("s.wav"), tmp_path / "s.wmv", *picture, "-c:a", "wmav2", "-t", "2")
    assert read_whole(path)[1] == ""
    data = bytearray(path.read_bytes())
    # The ninth packet of the second stream.
    place = data.index(b"\x02\x09\0\0\0\0\x08")
    data[place + 1] += 1
    path.write_bytes(data)

    assert "s.wmv is broken at 0:00.3" in read_whole(path)[1]
