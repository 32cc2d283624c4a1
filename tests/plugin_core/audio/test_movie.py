"""MP4 and QuickTime files whose index contradicts itself are refused, or said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plugin_core.audio.probe import probe
from tests.audio_files import encode
from tests.plugin_core.audio.library import RATE, Library, decode_with_ffmpeg, read_whole, refuse
from tests.plugin_core.audio.test_probe import needs_ffmpeg

pytestmark = needs_ffmpeg

EDITED = "has an edit list that contradicts its other lengths"


def change(data: bytes, name: bytes, offset: int, value: int, width: int = 4) -> bytes:
    """Put a number into a box, behind its name."""
    at = data.index(name) + 4 + offset
    return data[:at] + value.to_bytes(width, "big") + data[at + width :]


def make_late(song: Path, path: Path, codec: str, *options: str) -> Path:
    """Write a movie of which the sound begins after 0.7 s."""
    picture = ("-f", "lavfi", "-i", "testsrc=d=2:s=64x64:r=25", "-itsoffset", "0.7", "-i", f"file:{song}")
    return encode(
        song, path, *picture, "-map", "1:v", "-map", "2:a", "-c:v", "mpeg4", "-c:a", codec, "-t", "1.5", *options
    )


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_edit_that_lasts_longer_or_shorter_than_its_track_is_said(library: Library, tmp_path: Path, codec: str) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.mov", "-c:a", codec, "-t", "1")
    data = path.read_bytes()
    whole, note = read_whole(path)
    assert note == ""

    for value in (300, 990, 1010, 3000):
        path.write_bytes(change(data, b"elst", 8, value))
        assert (EDITED in (note := read_whole(path)[1])) or "plays 0:00.3 of the 0:01.0 that it holds" in note
    # Of several lengths the others agree.
    for name, offset, value in ((b"tkhd", 20, 300), (b"mvhd", 16, 3000)):
        path.write_bytes(change(data, name, offset, value))
        read, note = read_whole(path)
        assert (np.array_equal(read, whole), note) == (True, "")


def test_edit_as_long_as_the_sound_with_what_primes_its_decoder_is_right(library: Library, tmp_path: Path) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.m4a", "-c:a", "aac", "-t", "1")
    data, whole = path.read_bytes(), read_whole(path)[0]
    for name, offset in ((b"elst", 8), (b"tkhd", 20), (b"mvhd", 16)):
        data = change(data, name, offset, 1000 * (RATE + 1024) // RATE)
    path.write_bytes(data)

    read, note = read_whole(path)

    assert (np.array_equal(read[: len(whole)], whole), note) == (True, "")


@pytest.mark.parametrize(("codec", "start"), [("aac", 4096), ("alac", 100), ("pcm_s16le", 100)])
def test_edit_that_ends_behind_the_sound_is_said(library: Library, tmp_path: Path, codec: str, start: int) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.mov", "-c:a", codec, "-t", "1")
    data = path.read_bytes()
    path.write_bytes(change(data, b"elst", 12, start))
    assert EDITED in read_whole(path)[1]
    # A box of which the name is damaged is passed over; one that was freed is none.
    for name, is_said in ((b"fdts", True), (b"free", False)):
        path.write_bytes(data.replace(b"edts", name))
        assert (EDITED in read_whole(path)[1]) == is_said


def test_silence_in_front_that_contradicts_the_track_is_said(library: Library, tmp_path: Path) -> None:
    path = make_late(library.file("s.wav"), tmp_path / "s.mov", "pcm_s16le")
    data = path.read_bytes()
    assert read_whole(path)[1] == ""
    sound = data.rindex(b"elst")

    path.write_bytes(data[:sound] + change(data[sound:], b"elst", 8, 350))
    assert EDITED in read_whole(path)[1]


def test_opus_that_begins_late_begins_with_silence(library: Library, tmp_path: Path) -> None:
    path = make_late(library.file("s.wav"), tmp_path / "s.mp4", "libopus")
    # ffmpeg leaves it out, and nothing of the sound.
    decoded = decode_with_ffmpeg(path)

    read, note = read_whole(path)

    assert (probe(path).sample_rate, note) == (48_000, "")
    begin = round(0.7 * 48_000)
    heard = np.flatnonzero(np.abs(read).max(axis=1))[0]
    assert heard in range(begin - 48, begin + 960)
    count = min(len(decoded), len(read) - heard)
    first = np.flatnonzero(np.abs(decoded).max(axis=1))[0]
    assert np.abs(read[heard : heard + count - first - 960] - decoded[first : count - 960]).max() < 2e-2


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (48, 1, "1 samples of 24 bits take 6 bytes"),
        (56, 16, "2 samples of 16 bits take 6 bytes"),
        (64, 4, "2 samples of 24 bits take 4 bytes"),
        (68, 9, "18 samples of 24 bits take 6 bytes"),
    ],
)
def test_wide_description_that_contradicts_itself_is_refused(
    library: Library, tmp_path: Path, offset: int, value: int, words: str
) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.mov", "-c:a", "pcm_s24le", "-ar", "96000", "-t", "1")
    data = path.read_bytes()
    assert b"lpcm" in data

    path.write_bytes(change(data, b"lpcm", offset - 8, value))
    assert words in refuse(path)


def test_sound_that_is_described_in_several_ways_is_refused(library: Library, tmp_path: Path) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.mov", "-c:a", "pcm_s16le", "-t", "1")
    data = path.read_bytes()
    at = data.index(b"stsd")
    size = int.from_bytes(data[at - 4 : at], "big")
    entry = data[at + 12 : at - 4 + size]
    grown = data[: at + 12] + entry + change(entry, b"sowt", 18, 24, 2) + data[at - 4 + size :]
    for name in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        place = grown.index(name, data.index(b"moov")) - 4
        length = int.from_bytes(grown[place : place + 4], "big") + len(entry)
        grown = grown[:place] + length.to_bytes(4, "big") + grown[place + 4 :]
    grown = change(grown, b"stsd", 4, 2)
    path.write_bytes(grown)
    assert "describes its sound in several ways" in refuse(path)

    path.write_bytes(change(grown, b"sowt", size - 16 + 18, 16, 2))
    assert len(read_whole(path)[0]) == RATE


def test_joined_quicktime_files_without_a_first_box_are_refused(library: Library, tmp_path: Path) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.mov", "-c:a", "pcm_s16le", "-t", "1")
    data = path.read_bytes()
    size = int.from_bytes(data[:4], "big")
    old = size.to_bytes(4, "big") + b"wide" + data[8:]
    path.write_bytes(old)
    read_whole(path)

    path.write_bytes(old + old)
    assert "is several recordings joined" in refuse(path)


def test_edit_that_ends_elsewhere_than_sound_whose_last_packet_says_its_end_is_said(
    library: Library, tmp_path: Path
) -> None:
    data = (path := encode(library.file("s.wav"), tmp_path / "s.m4a", "-c:a", "aac", "-t", "1")).read_bytes()
    for start in (600, 1300, 3000):
        path.write_bytes(change(data, b"elst", 12, start))
        assert EDITED in read_whole(path)[1]


def test_vorbis_that_begins_late_in_fragments_does(library: Library, tmp_path: Path) -> None:
    flags = "frag_keyframe+empty_moov+default_base_moof"
    path = make_late(library.file("s.wav"), tmp_path / "s.mp4", "libvorbis", "-movflags", flags)
    sound = decode_with_ffmpeg(path)

    read, note = read_whole(path)

    assert (len(read), note) == (len(sound) + 7 * RATE // 10, "")
    assert np.array_equal(read[7 * RATE // 10 :], sound)
