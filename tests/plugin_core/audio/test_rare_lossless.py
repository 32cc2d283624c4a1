"""Lossless kinds that nothing here writes, made byte by byte: held against what they say, joined, cut, or named."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.audio.extent import Extent, check_extent
from plugin_core.audio.flac import read_frame
from plugin_core.audio.info import AudioInfo, ByteSpan
from plugin_core.audio.reader import open_reader
from plugin_core.errors import SourceError
from tests.audio_files import encode
from tests.plugin_core.audio.library import FRAMES, RATE, Library, decode_with_ffmpeg, read_whole, refuse, tell_flac
from tests.plugin_core.audio.test_probe import needs_ffmpeg

SOUND = bytes(range(256)) * 40
TAG = b"ID3\x04\0\0\0\0\x0f\x50" + bytes(2000)


def make_monkey() -> bytes:
    """A Monkey's Audio by its descriptor: nothing in it can be decoded."""
    header, seek, wave, tail = b"h" * 24, b"s" * 8, b"w" * 44, b"t" * 6
    sizes = struct.pack("<7I", 52, len(header), len(seek), len(wave), len(SOUND), 0, len(tail))
    checksum = hashlib.md5(wave + SOUND + tail + header + seek).digest()
    return struct.pack("<4sHH", b"MAC ", 3990, 0) + sizes + checksum + header + seek + wave + SOUND + tail


def make_tak() -> bytes:
    """A TAK by its metadata."""
    last = (len(SOUND) - 1000).to_bytes(5, "little") + (1000).to_bytes(3, "little") + bytes(3)
    about = b"\x01\x0d\0\0" + bytes(13) + b"\x07" + len(last).to_bytes(3, "little") + last + bytes(4)
    return b"tBaK" + about + SOUND


def check(path: Path, data: bytes) -> Extent:
    path.write_bytes(data)
    with path.open("rb") as opened:
        return check_extent(path, opened.fileno())


@pytest.mark.parametrize("plain", [make_monkey(), make_tak()], ids=["ape", "tak"])
def test_counted_kind_is_whole_cut_or_joined(tmp_path: Path, plain: bytes) -> None:
    path, size = tmp_path / "song", len(plain)
    assert check(path, plain).parts == ()
    for behind in (b"TAG" + bytes(125), bytes(5000), b"hello" * 1000):
        assert check(path, plain + behind).parts in ((), (ByteSpan(0, size),))
        assert not check(path, plain + behind).goes_on
    for before in (b"", TAG):
        start = len(before)
        assert check(path, before + 2 * plain).parts == (
            ByteSpan(start, start + size),
            ByteSpan(start + size, start + 2 * size),
        )
        ape = b"APETAGEX" + struct.pack("<4I", 2000, 32, 0, 0) + bytes(40)
        for between in (ape, b"TAG" + bytes(125), bytes(100), bytes(5000) + ape + b"TAG" + bytes(225)):
            parts = check(path, before + plain + between + plain).parts
            assert parts == (ByteSpan(start, start + size), ByteSpan(parts[1].start, parts[1].start + size))
        for lost in (1, 10, 1000, 5000):
            with pytest.raises(SourceError, match="is cut short"):
                check(path, before + plain[:-lost])


CUT_TAG = b"APETAGEX" + struct.pack("<4I", 2000, 5000, 1, 1 << 31) + bytes(100)


@pytest.mark.parametrize("plain", [make_monkey(), make_tak()], ids=["ape", "tak"])
def test_kind_behind_whose_cut_tag_another_follows_is_said_to_be_joined(tmp_path: Path, plain: bytes) -> None:
    with pytest.raises(SourceError, match="several recordings joined"):
        check(tmp_path / "song", plain + CUT_TAG + plain)


@needs_ffmpeg
def test_tta_behind_whose_cut_tag_another_follows_is_said_to_be_joined(library: Library, tmp_path: Path) -> None:
    data = library.file("s.tta").read_bytes()
    path = library.copy("s.tta", tmp_path, data.partition(b"APETAGEX")[0] + CUT_TAG + data)
    assert "several recordings joined" in refuse(path)


@pytest.mark.parametrize("at", [60, 90, 140, 5000, -3], ids=["header", "table", "wave", "sound", "tail"])
def test_monkeys_audio_that_differs_from_its_checksum_is_damaged(tmp_path: Path, at: int) -> None:
    data = bytearray(make_monkey())
    data[at] ^= 4
    with pytest.raises(SourceError, match="its checksum does not fit"):
        check(tmp_path / "song.ape", bytes(data))


class Bits:
    """What Shorten writes numbers with."""

    def __init__(self) -> None:
        self._text = ""

    def put(self, number: int, bits: int) -> None:
        self._text += "0" * (number >> bits) + "1" + f"{number & (1 << bits) - 1:0{bits}b}" * (bits > 0)

    def put_wide(self, number: int) -> None:
        bits = number.bit_length()
        self.put(bits, 2)
        self.put(number, bits)

    def finish(self) -> bytes:
        text = self._text + "0" * (-len(self._text) % 32)
        return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def make_shorten(blocks: int, claimed: int) -> bytes:
    """Silence in stereo, in blocks of 256 samples, behind the header of a WAV that claims some."""
    wave = b"RIFF" + struct.pack("<I", 36 + 4 * claimed) + b"WAVEfmt "
    wave += struct.pack("<IHHIIHH", 16, 1, 2, 44100, 176400, 4, 16) + b"data" + struct.pack("<I", 4 * claimed)
    bits = Bits()
    for number in (5, 2, 256, 0, 4, 0):
        bits.put_wide(number)
    bits.put(9, 2)
    bits.put(len(wave), 5)
    for byte in wave:
        bits.put(byte, 8)
    for _ in range(2 * blocks):
        bits.put(8, 2)
    bits.put(4, 2)
    return b"ajkg\2" + bits.finish()


@needs_ffmpeg
def test_shorten_is_as_long_as_the_wav_that_it_was_made_of(tmp_path: Path) -> None:
    path = tmp_path / "song.shn"
    path.write_bytes(make_shorten(40, 40 * 256))
    read, note = read_whole(path)
    assert (read.shape, note) == ((40 * 256, 2), "")
    assert np.array_equal(read, decode_with_ffmpeg(path))
    path.write_bytes(2 * make_shorten(40, 40 * 256))
    assert "is several recordings joined" in refuse(path)
    path.write_bytes(make_shorten(30, 40 * 256))
    assert "it ends before its header says" in refuse(path)


@needs_ffmpeg
def test_shorten_that_lacks_its_last_command_is_refused(tmp_path: Path) -> None:
    """Behind its end ffmpeg reads zeros, as many as fill the block."""
    path, whole = tmp_path / "song.shn", make_shorten(40, 40 * 256)
    table = b"SEEK" + bytes(96)
    table += (len(table) + 12).to_bytes(4, "little") + b"SHNAMPSK"
    for behind in (b"", bytes(1), bytes(5000), table, table + b"TAG" + bytes(125)):
        path.write_bytes(whole + behind)
        assert len(read_whole(path)[0]) == 40 * 256
    for lost in (1, 2, 3, 4, 8, 9):
        path.write_bytes(whole[:-lost])
        assert "is damaged" in refuse(path)
        assert lost % 4 == 0 or "it is cut short, or something else follows it" in refuse(path)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"OFR \x11\0\0\0", "is OptimFROG, which ffmpeg does not read"),
        (b" paf" + struct.pack(">6I", 0, 0, 44100, 1, 2, 0), "is a PAF of 24 bits"),
        (b"fap " + struct.pack("<6I", 0, 1, 44100, 1, 2, 0), "is a PAF of 24 bits"),
    ],
    ids=["ofr", "paf", "fap"],
)
def test_what_nothing_reads_is_refused_by_its_name(tmp_path: Path, head: bytes, words: str) -> None:
    path = tmp_path / "song"
    path.write_bytes(TAG + head.ljust(6000, b"\1"))
    assert words in refuse(path)


@pytest.mark.parametrize(("form", "coding"), [("SVX", "PCM_16"), ("AU", "G721_32"), ("AU", "PCM_16")])
def test_what_follows_sound_that_is_counted_is_no_sound(tmp_path: Path, form: str, coding: str) -> None:
    path = tmp_path / "song"
    soundfile.write(path, np.arange(7000, dtype=np.int16), 44100, format=form, subtype=coding)
    plain, whole = path.read_bytes(), read_whole(path)[0]
    for behind in (b"TAG" + bytes(125), bytes(1000), b"\1" * 50):
        path.write_bytes(plain + behind)
        assert np.array_equal(read_whole(path)[0], whole)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["song.voc", "song.tta"])
@pytest.mark.parametrize("between", [b"", bytes(100), b"TAG" + bytes(225)], ids=["", "zeros", "tag"])
def test_joined_kind_of_which_ffmpeg_reads_the_first_is_refused(
    library: Library, tmp_path: Path, name: str, between: bytes
) -> None:
    path = encode(library.file("s.wav"), tmp_path / name, "-t", "1")
    path.write_bytes(path.read_bytes() + between + path.read_bytes())
    assert "is several recordings joined" in refuse(path)


@needs_ffmpeg
def test_zeros_behind_alac_in_caf_are_no_damage(library: Library, tmp_path: Path) -> None:
    path = encode(library.file("s.wav"), tmp_path / "song.caf", "-c:a", "alac")
    plain, whole = path.read_bytes(), read_whole(path)[0]
    for zeros in (1, 100):
        path.write_bytes(plain + bytes(zeros))
        assert np.array_equal(read_whole(path)[0], whole)


def test_size_beyond_all_places_says_nothing_on_the_screen(
    library: Library, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(library.file("s.rf64").read_bytes())
    at = data.index(b"ds64") + 16
    data[:4], data[at : at + 8] = b"BW64", b"\xff" * 7 + b"\x7f"
    assert np.array_equal(read_whole(library.copy("s.bw64", tmp_path, data))[0], library.read("s.rf64"))
    assert capfd.readouterr().err == ""


APE = b"APETAGEX" + struct.pack("<4I", 2000, 32, 0, 0x80000000) + bytes(8)


@needs_ffmpeg
@pytest.mark.parametrize(
    "behind", [APE + APE, TAG, TAG + b"TAG" + bytes(125), bytes(100)], ids=["ape", "id3", "v1", "0"]
)
def test_wavpack_behind_which_is_something_else_is_read(library: Library, tmp_path: Path, behind: bytes) -> None:
    plain, _, _ = library.file("s.wv").read_bytes().partition(b"APETAGEX")
    path = library.copy("s.wv", tmp_path, plain + behind)
    assert np.array_equal(read_whole(path)[0], library.read("s.wv"))
    assert read_whole(path)[1] == ""


def make_wavpack(*lengths: int, told: int = 0) -> list[bytes]:
    """The blocks of a WavPack by their headers: nothing in it can be decoded."""
    blocks, index = [], 0
    for samples in lengths:
        fields = struct.pack("<HHIIIII", 0x410, 0, told or sum(lengths), index, samples, 0x1821, 0)
        blocks.append(b"wvpk" + struct.pack("<I", 24 + len(SOUND)) + fields + SOUND)
        index += samples
    return blocks


@pytest.mark.parametrize(
    ("lengths", "told", "is_whole"),
    [
        ((100, 100, 60, 61), 0, True),
        ((100, 100, 60), 321, False),
        ((100, 100, 60), 320, False),
        ((100, 100, 60), 400, True),
        ((100, 100), 300, False),
    ],
)
def test_wavpack_is_whole_by_its_last_block_unless_that_is_one_of_two_halves(
    tmp_path: Path, lengths: tuple[int, ...], told: int, is_whole: bool
) -> None:
    extent = check(tmp_path / "song.wv", b"".join(make_wavpack(*lengths, told=told)))
    assert (extent.is_whole, extent.samples) == (is_whole, sum(lengths))


def test_wavpack_whose_blocks_do_not_follow_each_other_is_refused(tmp_path: Path) -> None:
    one, two, three, four = make_wavpack(100, 100, 60, 60)
    shifted = two[:25] + bytes([two[25] ^ 0x20]) + two[26:]
    sizes = [two[:4] + struct.pack("<I", size) + two[8:] for size in (0, 23, len(SOUND), 2 * len(SOUND))]
    odd = [[one, three, four], [one, two, two, three], [one, three, two, four], [one, shifted, three, four]]
    for blocks in (*odd, *([one, block, three, four] for block in sizes)):
        with pytest.raises(SourceError, match="its blocks do not follow each other"):
            check(tmp_path / "song.wv", b"".join(blocks))


@pytest.mark.parametrize("between", [-1000, 100])
def test_wavpack_joined_to_one_that_is_cut_or_padded_is_said_to_be_joined(tmp_path: Path, between: int) -> None:
    whole = b"".join(make_wavpack(100, 100, 60, 60))
    first = whole[:between] if between < 0 else whole + bytes(between)
    with pytest.raises(SourceError, match="several recordings joined"):
        check(tmp_path / "song.wv", first + whole)


@needs_ffmpeg
@pytest.mark.parametrize(("name", "at"), [("s.wv", 28), ("s.tta", 2000)])
def test_first_frame_that_differs_from_its_checksum_is_said_to_be_damaged(
    library: Library, tmp_path: Path, name: str, at: int
) -> None:
    data = bytearray(library.file(name).read_bytes())
    data[at] ^= 4
    assert "is damaged at 0:00.0" in refuse(library.copy(name, tmp_path, data))


def test_flac_of_32_bits_that_ffmpeg_passes_over_is_named(tmp_path: Path) -> None:
    path, silent = tmp_path / "song.flac", tmp_path / "ffmpeg"
    path.write_bytes(b"fLaC")
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    info = AudioInfo(
        frames=9,
        sample_rate=RATE,
        channels=2,
        encoding="pcm_32",
        container="FLAC",
        duration=9 / RATE,
        decoder="ffmpeg",
        codec="flac",
    )
    with (
        open_reader(path, info=info, which=lambda _: str(silent)) as reader,
        pytest.raises(SourceError, match="a FLAC of 32 bits, which this ffmpeg does not decode"),
    ):
        reader.read(1)


@pytest.mark.parametrize("block", [0, 1152, 4000, 4608], ids=str)
@pytest.mark.parametrize("frames", [FRAMES, 0], ids=["told", "untold"])
def test_flac_whose_header_says_another_block_than_its_frames_is_read_whole(
    library: Library, tmp_path: Path, block: int, frames: int
) -> None:
    """A frame says where it stands by its number alone."""
    data = bytearray(library.file("s.flac").read_bytes())
    assert data[8:12] == b"\x10\0\x10\0"
    data[8:12] = 2 * block.to_bytes(2, "big")
    tell_flac(data, frames)
    path = library.copy("s.flac", tmp_path, data)
    assert np.array_equal(read_whole(path)[0], library.read("s.flac"))
    assert read_whole(path)[1] == ""
    assert "is damaged" in refuse(library.copy("cut.flac", tmp_path, data[:-1000]))


def list_frames(data: bytes | bytearray) -> list[int]:
    """Return where the frames of a FLAC are that are as long as the first."""
    places, at = [], data.index(b"\xff\xf8", 42)
    mark = data[at : at + 3]
    while at >= 0:
        if read_frame(bytes(data[at : at + 32]), 4096):
            places.append(at)
        at = data.find(mark, at + 1)
    return places


@pytest.mark.parametrize("lost", [1, 40, -2, -1], ids=str)
@pytest.mark.parametrize("frames", [FRAMES, 0], ids=["told", "untold"])
def test_flac_that_lacks_a_frame_is_refused(library: Library, tmp_path: Path, lost: int, frames: int) -> None:
    """libFLAC puts silence there."""
    data = bytearray(library.file("s.flac").read_bytes())
    tell_flac(data, frames)
    places = [*list_frames(data), len(data)]
    assert len(places) == FRAMES // 4096 + 1
    at = places[:-1].index(places[:-1][lost])
    end = places[at + 1] if lost != -1 else data.rindex(b"\xff\xf8")
    path = library.copy("s.flac", tmp_path, data[: places[at]] + data[end:])
    seconds = at * 4096 / RATE
    assert f"is damaged at 0:{int(seconds * 10) / 10:04.1f} (frames are missing)" in refuse(path)


PICTURES = ("-f", "lavfi", "-i", "testsrc=d=1:s=64x64:r=25", "-map", "0:a", "-map", "1:v", "-c:v", "mpeg4", "-t", "1")


@pytest.fixture(scope="module", params=[("-t", "1"), PICTURES], ids=["alone", "pictures"])
def movie(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, library: Library) -> bytes:
    """Return a MOV with plain samples."""
    path = tmp_path_factory.mktemp("movie") / "song.mov"
    return encode(library.file("s.wav"), path, *request.param, "-c:a", "pcm_s16le").read_bytes()


@needs_ffmpeg
@pytest.mark.parametrize(
    ("front", "behind"),
    [(b"", b""), (TAG, b""), (b"", b"TAG" + b"x" * 125), (b"", b"hello world " * 100), (b"", bytes(5000))],
    ids=["alone", "id3v2", "id3v1", "text", "zeros"],
)
def test_movie_with_a_tag_is_read_whole(
    library: Library, tmp_path: Path, movie: bytes, front: bytes, behind: bytes
) -> None:
    path = tmp_path / "song.mov"
    path.write_bytes(front + movie + behind)

    read, note = read_whole(path)

    assert (note, np.array_equal(read, library.read("s.wav")[:RATE])) == ("", True)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("box", "at", "value", "words"),
    [
        (b"stco", 8, 2, "its index leads to other places than its sound"),
        (b"stco", 8, -2, "its index leads to other places than its sound"),
        (b"stco", 8, 1 << 28, "its index leads to other places than its sound"),
        (b"stco", 4, 1, "samples, and 0 by its chunks"),
        (b"stsc", 12, -1, "by its chunks, which programs read differently"),
        (b"stsz", 4, 2, "2 samples of 16 bits take 6 bytes, which programs read differently"),
        (b"stsd", 32, 1 << 16, "3 samples of 16 bits take 4 bytes"),
        (b"stsd", 32, -(1 << 16), "1 samples of 16 bits take 4 bytes"),
        (b"stsd", 32, -8, "2 samples of 8 bits take 4 bytes"),
    ],
)
def test_movie_whose_tables_contradict_each_other_is_refused(
    tmp_path: Path, movie: bytes, box: bytes, at: int, value: int, words: str
) -> None:
    path = tmp_path / "song.mov"
    for whole in (movie, TAG + movie):
        data = bytearray(whole)
        # The tables of the first track: that with the sound.
        place = data.index(box, data.index(b"soun")) + 4 + at
        data[place : place + 4] = (int.from_bytes(data[place : place + 4], "big") + value).to_bytes(4, "big")
        path.write_bytes(data)
        assert words in refuse(path)
