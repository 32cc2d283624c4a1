"""Sound is never lost without a word: every file is read to its last sample, or refused with one right line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mutagen.apev2 import BINARY, APEv2, APEValue
from mutagen.asf import ASF
from mutagen.asf._attrs import ASFByteArrayAttribute
from mutagen.mp4 import MP4, MP4Cover

from plugin_core.audio import sndfile
from plugin_core.audio.decoder import open_decoder
from plugin_core.audio.extent import check_extent
from plugin_core.audio.probe import probe
from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import Samples
from plugin_core.errors import SourceError
from plugin_core.recordings.digest import digest_of
from tests.audio_files import encode, make_noise, write_samples
from tests.plugin_core.audio.library import (
    ALL,
    ENCODED,
    EXACT,
    FRAMES,
    HEADERLESS,
    PLAIN,
    RATE,
    SECONDS,
    TELL,
    Library,
    decode_with_ffmpeg,
    read_whole,
    refuse,
)
from tests.plugin_core.audio.test_probe import needs_ffmpeg, no_program

REFUSALS = ("is cut short", "is damaged")


@needs_ffmpeg
@pytest.mark.parametrize("name", ALL)
def test_whole_file_is_what_ffmpeg_decodes(library: Library, name: str) -> None:
    read, note = read_whole(library.file(name))
    other = decode_with_ffmpeg(library.file(name))

    if name == "s.m4a":
        # Before its version 7, ffmpeg plays what the encoder added at the end.
        assert len(read) == FRAMES
        other = other[:FRAMES]
    assert note == ""
    assert len(read) == len(other)
    assert np.abs(read - other).max() <= (0 if name in EXACT else 2e-4 if name != "s.opus" else 2e-2)
    if name in EXACT:
        assert np.array_equal(read, library.read("s.wav"))


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("s.flac", "flac -d -c -s --force-raw-format --endian=little --sign=signed {}"),
        ("s.mp3", "mpg123 -q -s {}"),
        ("bare.mp3", "mpg123 -q -s {}"),
        ("mp3.wav", "mpg123 -q -s {}"),
        ("s.ogg", "oggdec -Q -R -o - {}"),
        ("s.opus", "opusdec --quiet --rate 48000 --no-dither {} -"),
    ],
)
def test_whole_file_is_what_its_own_decoder_gives(library: Library, name: str, command: str) -> None:
    words = command.format(library.file(name)).split()
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is not installed")
    raw = subprocess.run(words, check=True, capture_output=True).stdout
    other = np.frombuffer(raw, "<i2").reshape(-1, 2) / 32768

    read = library.read(name)

    assert len(other) == len(read)
    assert np.abs(other - np.clip(read, -1, 1)).max() < 2 / 32768


@pytest.mark.parametrize("name", [name for name in ALL if name not in HEADERLESS])
def test_file_cut_anywhere_is_refused(library: Library, tmp_path: Path, name: str) -> None:
    whole = library.file(name).read_bytes()
    rng = np.random.default_rng(len(name))
    lost = [1, 2, 10, 100, 130, 1000, 1025, 5000, *rng.integers(6000, int(len(whole) * 0.98), 12)]
    for count in lost:
        path = library.copy(name, tmp_path, whole[:-count])
        if count <= 64 and (found := _read_if_whole(library, name, path)):
            assert found in ("all", "said")
            continue
        assert any(words in refuse(path) for words in REFUSALS), count


def _read_if_whole(library: Library, name: str, path: Path) -> str:
    """Return "all" if what was cut was no sound, "said" if it was a few samples and that is told; else nothing."""
    try:
        read, note = read_whole(path)
    except SourceError:
        return ""
    missing = len(library.read(name)) - len(read)
    assert np.array_equal(read, library.read(name)[: len(read)])
    return "all" if not missing else "said" if f"{missing} sample" in note else "nothing"


@needs_ffmpeg
@pytest.mark.parametrize("name", HEADERLESS)
def test_stream_without_a_header_is_read_as_far_as_it_goes(library: Library, tmp_path: Path, name: str) -> None:
    whole = library.file(name).read_bytes()
    for share in (0.3, 0.7):
        path = library.copy(name, tmp_path, whole[: int(len(whole) * share)])
        try:
            read, note = read_whole(path)
        except SourceError as error:
            assert "is damaged" in str(error)
            continue
        assert len(read) == pytest.approx(len(library.read(name)) * share, rel=0.2)
        assert "ends in the middle of a frame" in note


def make_words_of_14_bits(data: bytes) -> bytes:
    """Write DTS as it lies on a CD."""
    words = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(-1, 14)
    # The sign goes on upwards.
    return np.packbits(np.pad(words, ((0, 0), (2, 0)), mode="edge")).tobytes()


def swap_bytes(data: bytes) -> bytes:
    return np.frombuffer(data, ">u2").astype("<u2").tobytes()


def add_to_packets(data: bytes, before: int, behind: int) -> bytes:
    packets = np.frombuffer(data, np.uint8).reshape(-1, 188)
    return np.pad(packets, ((0, 0), (before, behind))).tobytes()


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "unit", "change"),
    [
        ("s.dts", 1792, bytes),
        ("s.dts", 1792, swap_bytes),
        ("s.dts", 2048, make_words_of_14_bits),
        ("s.dts", 2048, lambda data: swap_bytes(make_words_of_14_bits(data))),
        ("s.ts", 188, bytes),
        ("s.ts", 192, lambda data: add_to_packets(data, 4, 0)),
        ("s.ts", 204, lambda data: add_to_packets(data, 0, 16)),
        ("s.mpg", 2048, bytes),
        ("s.vob", 2048, bytes),
    ],
)
def test_stream_that_ends_inside_a_frame_or_packet_is_known(
    library: Library, tmp_path: Path, name: str, unit: int, change: Callable[[bytes], bytes]
) -> None:
    whole = change(library.file(name).read_bytes())
    assert len(whole) % unit == 0

    def is_torn(count: int) -> bool:
        path = library.copy(name, tmp_path, whole[:count])
        with path.open("rb") as opened:
            return "ends in the middle of a frame" in check_extent(path, opened.fileno()).note

    borders = [len(whole) * tenths // 10 // unit * unit for tenths in (3, 5, 7, 9)]
    for border in borders:
        assert [inside for inside in (1, 5, 12, unit // 2, unit - 1) if not is_torn(border + inside)] == []
    assert not any(map(is_torn, (*borders, len(whole))))


@needs_ffmpeg
@pytest.mark.parametrize(("name", "unit"), [("mp2.ts", 188), ("s.mpg", 2048)])
def test_stream_that_ends_between_packets_inside_a_frame_is_said(
    library: Library, tmp_path: Path, name: str, unit: int
) -> None:
    """Of a part of a frame, this decoder gives what it can."""
    whole = library.file(name).read_bytes()

    said = [probe(library.copy(name, tmp_path, whole[: -unit * count])).note for count in (1, 2, 3, 11)]

    assert sum("ends in the middle of a frame" in note for note in said) >= 3


@pytest.mark.parametrize("told", [0, 1, FRAMES // 2, FRAMES - 5000], ids=["zero", "one", "half", "little less"])
@pytest.mark.parametrize("name", TELL)
def test_header_that_counts_too_few_samples_loses_nothing(
    library: Library, tmp_path: Path, name: str, told: int
) -> None:
    data = bytearray(library.file(name).read_bytes())
    TELL[name](data, told)

    read, note = read_whole(library.copy(name, tmp_path, data))

    whole = library.read(name)
    assert np.array_equal(read[: len(whole)], whole)
    assert len(read) == len(whole)
    if name == "s.flac" and told == 0:
        assert note == "", "it says that it does not know"
    else:
        assert note.startswith(f"{name} is ")
        assert "than its header says" in note or "though its header says" in note


@pytest.mark.parametrize("name", TELL)
def test_header_that_counts_too_many_samples_is_refused_or_said(library: Library, tmp_path: Path, name: str) -> None:
    data = bytearray(library.file(name).read_bytes())
    TELL[name](data, FRAMES * 2)
    path = library.copy(name, tmp_path, data)

    if name not in ("s.flac", "s.mp3"):
        assert "is cut short: 50% of its audio is missing" in refuse(path)
        return
    # A last frame that is shorter than the others, or the size in bytes, shows that nothing is missing.
    read, note = read_whole(path)
    assert np.array_equal(read, library.read(name))
    assert re.match(rf"{name} is 0:10.0 long, though its header says (0:19.9|0:20.0): all that it holds was read", note)


def test_flac_with_half_a_count_and_cut_too_is_refused(library: Library, tmp_path: Path) -> None:
    data = bytearray(library.file("s.flac").read_bytes())
    TELL["s.flac"](data, FRAMES // 4)

    said = refuse(library.copy("s.flac", tmp_path, data[: int(len(data) * 0.7)]))
    assert re.search(r"is damaged at 0:0[67]", said), said


def test_flac_cut_between_two_frames_is_refused(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "a.flac", make_noise(40 * 4096))
    with soundfile.SoundFile(path) as opened:
        assert opened.frames == 40 * 4096
    data = path.read_bytes()
    cut = data.rindex(b"\xff\xf8", 0, len(data) - 100)
    path.write_bytes(data[:cut])

    assert "is damaged at 0:03.6" in refuse(path)


def join(library: Library, tmp_path: Path, *names: str) -> Path:
    path = tmp_path / f"joined{Path(names[0]).suffix}"
    path.write_bytes(b"".join(library.file(name).read_bytes() for name in names))
    return path


@pytest.mark.parametrize("name", [*PLAIN, "s.mp3", "s.ogg", "s.opus", "flac.oga", "s.mka", "flac.mka"])
def test_joined_files_are_read_one_after_the_other(library: Library, tmp_path: Path, name: str) -> None:
    path = join(library, tmp_path, name, name, name)

    read, note = read_whole(path)

    assert np.array_equal(read, np.tile(library.read(name), (3, 1)))
    assert note == f"{path.name} is 3 recordings joined in one file: all were read, one after the other"
    info = probe(path)
    # A Matroska gives times alone.
    assert info.frames == (len(read) if info.container != "MKV" else 0)
    assert info.duration == pytest.approx(len(read) / info.sample_rate, abs=0.1)


@needs_ffmpeg
def test_each_of_joined_recordings_counts_and_none_is_passed_over_when_it_is_damaged(
    library: Library, tmp_path: Path
) -> None:
    """In a folder whose name means something to ffmpeg."""
    folder = tmp_path / "subfile,,:"
    folder.mkdir()
    path = join(library, folder, "flac.oga", "flac.oga")
    assert digest_of(path) == digest_of(join(library, tmp_path, "s.wav", "s.wav"))
    assert digest_of(join(library, folder, "s.mka", "s.mka")) == digest_of(join(library, folder, "s.ogg", "s.ogg"))

    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4 : len(data) * 3 // 4 + 64] = bytes(64)
    path.write_bytes(data)

    assert "is damaged" in refuse(path)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "behind"),
    [("s.wv", bytes(3000)), ("s.ac3", b"TAG" + bytes(125)), ("s.ac3", bytes(3000)), ("s.dts", bytes(99))],
)
def test_tag_or_zeros_behind_a_stream_are_no_damage(library: Library, tmp_path: Path, name: str, behind: bytes) -> None:
    path = library.copy(name, tmp_path, library.file(name).read_bytes() + behind)

    read, note = read_whole(path)

    assert np.array_equal(read, library.read(name))
    assert note == ""
    assert digest_of(path) == digest_of(library.file(name))


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.ac3", "s.aac"])
def test_what_is_no_sound_behind_a_stream_is_left_out_and_said(library: Library, tmp_path: Path, name: str) -> None:
    path = library.copy(name, tmp_path, library.file(name).read_bytes() + b"hello world " * 200)

    read, note = read_whole(path)

    assert np.array_equal(read, library.read(name))
    assert note == f"{name} ends with 2400 bytes that are no sound: they were left out"


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.mp2", "bare.mp3"])
def test_stream_that_lacks_bytes_in_its_middle_is_read_to_its_end_and_said(
    library: Library, tmp_path: Path, name: str
) -> None:
    """libmpg123 by itself stops there, or loses what follows."""
    whole = library.file(name).read_bytes()
    half = len(whole) // 2

    for data, count in ((whole[:half] + whole[half + 100 :], 1), (whole[:-37] + whole, 2)):
        read, note = read_whole(library.copy(name, tmp_path, data))
        length = count * len(library.read(name))
        assert len(read) in (length - 1152, length - 2 * 1152)
        assert re.fullmatch(rf"{name} is broken at 0:\d\d\.\d, where a frame is cut or missing: all .* was read", note)


@needs_ffmpeg
def test_amr_is_read_whole_or_refused(tmp_path: Path) -> None:
    """Nothing marks where its frames begin: behind a damaged one nobody can tell sound from something else."""
    path = tmp_path / "s.amr"
    frames = b"".join(bytes([0x3C]) + bytes([number]) * 31 for number in range(50))
    path.write_bytes(b"#!AMR\n" + frames)
    samples, note = read_whole(path)
    assert (samples.shape, note) == ((8000, 1), "")

    for behind in (b"TAG" + bytes(125), bytes(500)):
        path.write_bytes(b"#!AMR\n" + frames + behind)
        assert np.array_equal(read_whole(path)[0], samples)
    path.write_bytes(b"#!AMR\n" + frames[:640] + frames[650:])
    assert "s.amr is damaged at 0:00.4" in refuse(path)
    path.write_bytes(b"#!AMR\n" + frames + b"#!AMR\n" + frames)
    assert "is several recordings joined in one file" in refuse(path)


@needs_ffmpeg
def test_mp3_whose_first_frame_is_damaged_says_that_it_does_not_begin_with_sound(
    library: Library, tmp_path: Path
) -> None:
    whole = library.file("bare.mp3").read_bytes()

    read, note = read_whole(library.copy("bare.mp3", tmp_path, b"\0" + whole[1:]))

    assert len(read) == len(library.read("bare.mp3")) - 1152
    assert "begins with bytes that are no sound" in note
    # What taggers, servers and old file systems leave, or the end of a line, is no part of a frame.
    binary = b"\0\x08song.mp3" + bytes(55) + b"MPG3mAmp\x81" + bytes(17) + bytes(range(0xA0, 0xAC)) + bytes(25)
    heading = b"ICY 200 OK\r\nicy-name: Caf\xc3\xa9\r\n\r\n"
    for front in (b"\r\n", b"TAG" + b"x" * 125, b"\xff" * 100, b" " * 100, heading, binary):
        assert read_whole(library.copy("front.mp3", tmp_path, front + whole))[1] == ""


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.ac3", "s.aac", "s.dts"])
def test_joined_streams_of_different_rates_are_refused(library: Library, tmp_path: Path, name: str) -> None:
    """ffmpeg would give the second at the rate and in the channels of the first, or both in those of the second."""
    other = encode(
        library.file("s.wav"), tmp_path / f"other{Path(name).suffix}", *ENCODED[name], "-ar", "32000", "-t", "1"
    )
    path = library.copy(name, tmp_path, library.file(name).read_bytes() + other.read_bytes())

    assert "several recordings joined in one file, which differ in sample rate" in refuse(path)


@needs_ffmpeg
def test_sound_that_ends_where_a_whole_container_is_damaged_is_refused(library: Library, tmp_path: Path) -> None:
    whole = library.file("s.mka").read_bytes()
    lost = len(whole) // 10
    matroska = whole[: 5 * lost] + bytes(lost) + whole[6 * lost :]
    assert "is damaged at 0:0" in refuse(library.copy("s.mka", tmp_path, matroska))
    # A few packets of 20 ms at the end.
    opus = encode(library.file("s.wav"), tmp_path / "opus.mka", "-c:a", "libopus", "-t", "1")
    whole = opus.read_bytes()
    end = whole.rindex(b"\x1c\x53\xbb\x6b") - 1000
    opus.write_bytes(whole[:end] + bytes(300) + whole[end + 300 :])
    assert "is damaged at 0:00.9" in refuse(opus)

    movie = bytearray(library.file("s.m4a").read_bytes())
    place = movie.index(b"stco") + 12
    movie[place] = 0x7F
    assert "is damaged at 0:0" in refuse(library.copy("s.m4a", tmp_path, movie))


@needs_ffmpeg
def test_packet_that_a_broadcast_lacks_is_said_by_the_times_of_the_others(library: Library, tmp_path: Path) -> None:
    whole = library.file("s.ts").read_bytes()
    # Where frames begin, of the only stream.
    places = [at for at in range(0, len(whole), 188) if whole[at + 1 : at + 3] == b"\x41\0"]
    first, last = places[len(places) // 2], places[len(places) // 2 + 1]

    read, note = read_whole(library.copy("s.ts", tmp_path, whole[:first] + whole[last:]))

    lost = len(library.read("s.ts")) - len(read)
    assert lost in range(1024, 8 * 1024 + 1)
    assert note.startswith(f"s.ts lasts {lost / RATE:.2f} s longer by its time stamps than it sounds: packets may be")


@needs_ffmpeg
def test_time_in_which_a_browser_heard_nothing_is_no_packet_that_is_missing(library: Library, tmp_path: Path) -> None:
    options = ("-c:a", "libopus", "-t", "2", "-cluster_time_limit", "1000")
    path = encode(library.file("s.wav"), tmp_path / "s.webm", *options)
    data, whole = path.read_bytes(), read_whole(path)
    cluster = data.rindex(b"\x1f\x43\xb6\x75")
    time = data.index(b"\xe7\x82", cluster) + 2
    late = (int.from_bytes(data[time : time + 2], "big") + 200).to_bytes(2, "big")
    late_data = data[:time] + late + data[time + 2 :]
    path.write_bytes(late_data)
    assert whole[1] == ""
    assert "lasts 0.21 s longer by its time stamps" in read_whole(path)[1]

    place = data.index(b"\x4d\x80")
    rest = 3 + (data[place + 2] & 0x7F) - 11
    chrome = b"\x4d\x80\x86Chrome\xec" + bytes([0x80 | rest]) + bytes(rest)
    path.write_bytes(late_data[:place] + chrome + late_data[place + len(chrome) :])
    read, note = read_whole(path)

    assert np.array_equal(read, whole[0])
    assert note == ""


@needs_ffmpeg
@pytest.mark.parametrize("name", ["mp2.ts", "s.mpg", "s.vob"])
def test_times_that_go_back_are_said_where_they_do(library: Library, tmp_path: Path, name: str) -> None:
    whole = library.file(name).read_bytes()

    read, note = read_whole(library.copy(name, tmp_path, whole + whole))

    assert len(read) > 1.9 * len(library.read(name))
    assert f"{name} is joined, or lacks something, at 0:10.0, where its time stamps go back" in note


def test_frame_that_ffmpeg_leaves_out_of_what_libfaac_wrote_is_not_missing(library: Library, tmp_path: Path) -> None:
    whole = encode(library.file("s.wav"), tmp_path / "s.m4a", *ENCODED["s.m4a"], "-use_editlist", "0")
    samples = read_whole(whole)[0]
    # Behind 13 bits more than ffmpeg's own name, which is as long.
    faac = re.sub(rb"Lavc[\d.]{9}", b" libfaac 1.28", whole.read_bytes(), count=1)

    read, note = read_whole(library.copy("faac.m4a", tmp_path, faac))

    assert len(read) == len(samples) - 1024
    assert note == ""


@needs_ffmpeg
@pytest.mark.parametrize("options", [("-c:a", "wmav2"), ("-c:a", "vorbis", "-strict", "-2")], ids=["WMA", "Vorbis"])
def test_packet_that_only_begins_a_sound_is_not_missing(
    library: Library, tmp_path: Path, options: tuple[str, ...]
) -> None:
    _, note = read_whole(encode(library.file("s.wav"), tmp_path / "s.mka", *options, "-t", "1"))
    assert note == ""


@needs_ffmpeg
def test_opus_that_ffmpeg_put_end_to_end_is_read_whole(library: Library, tmp_path: Path) -> None:
    """Where the first ends, a page counts fewer samples than it holds."""
    part = encode(library.file("s.wav"), tmp_path / "part.opus", "-t", "1.003")
    joined, parts = tmp_path / "s.opus", tmp_path / "parts"
    parts.write_text(f"file '{part}'\n" * 2)
    command = ["ffmpeg", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(parts), "-c", "copy", str(joined)]
    subprocess.run(command, check=True)

    read, note = read_whole(joined)

    assert (np.array_equal(read, decode_with_ffmpeg(joined)), note) == (True, "")
    assert len(read) > 2 * len(read_whole(part)[0])


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("s.caf", ("-c:a", "flac")),
        ("s.vob", ("-c:a", "pcm_dvd", "-ac", "1", "-ar", "48000")),
        ("s.mka", ("-c:a", "wavpack")),
        ("s.wmv", ("-map", "0", "-map", "0", "-c:a", "libmp3lame", "-t", "1")),
    ],
)
def test_what_ffmpeg_miscounts_of_its_own_is_no_damage(
    library: Library, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    """Packets of FLAC in CAF, the times of a DVD, the last packet of WavPack, where the second of two MP3s begins."""
    path = encode(library.file("s.wav"), tmp_path / f"whole-{name}", *options)
    if name == "s.mka":
        path = encode(path, tmp_path / name, "-c", "copy", "-t", "1.2")

    read, note = read_whole(path)

    assert (np.array_equal(read.ravel(), decode_with_ffmpeg(path).ravel()), note) == (True, "")


@needs_ffmpeg
def test_header_of_an_mp3_that_counts_its_own_frame_as_well_is_right(library: Library, tmp_path: Path) -> None:
    options = ("-c:a", "libmp3lame", "-t", "1", "-id3v2_version", "0", "-fflags", "+bitexact")
    data = bytearray(encode(library.file("s.wav"), tmp_path / "s.mp3", *options).read_bytes())
    at = next(place for mark in (b"Info", b"Xing") if (place := data.find(mark)) > 0)
    data[at + 8 : at + 12] = (int.from_bytes(data[at + 8 : at + 12], "big") + 1).to_bytes(4, "big")
    # GStreamer names no encoder behind that.
    data[at + 120 : at + 156] = bytes(36)

    assert read_whole(library.copy("xing.mp3", tmp_path, data))[1] == ""


@needs_ffmpeg
@pytest.mark.parametrize(("name", "unit"), [("s.vob", 2048), ("s.ac3", 1001)])
def test_sound_that_begins_in_the_middle_of_a_frame_is_read(
    library: Library, tmp_path: Path, name: str, unit: int
) -> None:
    """As all but the first file of a DVD do."""
    whole = library.file(name).read_bytes()[3 * unit :]
    path = library.copy(name, tmp_path, whole)
    read, note = read_whole(path)

    assert np.array_equal(read, decode_with_ffmpeg(path))
    assert note == f"{name} begins in the middle of a frame, which was left out"

    middle = len(whole) // 2 // unit * unit
    damaged = [whole[:middle] + (b"\xff" * 50 + bytes(50)) * (unit // 50) + whole[middle + 2 * unit :]]
    if name == "s.ac3":
        damaged += [whole[:-7], whole[: 4 * unit] + bytes(200) + whole[4 * unit + 200 :]]
    for data in damaged:
        with pytest.raises(SourceError, match="is damaged"):
            read_whole(library.copy(name, tmp_path, data))


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "first", "said"),
    [
        ("s.dts", 777, "begins in the middle of a frame"),
        ("s.mp2", 777, "begins in the middle of a frame"),
        ("s.aac", 300, "begins with bytes that are no sound"),
        ("s.ts", 12 * 188, "begins in the middle of a packet"),
        ("mp2.ts", 100, "begins in the middle of a packet"),
    ],
)
def test_sound_that_lacks_its_beginning_says_so(
    library: Library, tmp_path: Path, name: str, first: int, said: str
) -> None:
    read, note = read_whole(library.copy(name, tmp_path, library.file(name).read_bytes()[first:]))

    assert len(library.read(name)) - 8192 < len(read) <= len(library.read(name))
    # AAC puts noise of its own making where none would hear the difference.
    assert name in ("s.aac", "s.ts") or np.array_equal(read[-RATE:], library.read(name)[-RATE:])
    assert said in note


@needs_ffmpeg
def test_first_whole_frame_of_a_dvd_that_is_damaged_is_no_part_of_a_torn_one(library: Library, tmp_path: Path) -> None:
    data = bytearray(library.file("s.vob").read_bytes()[3 * 2048 :])
    head = library.file("s.mp2").read_bytes()[:4]
    data[min(data.index(head[:2] + bytes([head[2] | padding]) + head[3:]) for padding in (0, 2))] ^= 0x5A

    assert "is damaged" in refuse(library.copy("s.vob", tmp_path, data))


@needs_ffmpeg
@pytest.mark.parametrize("first", [0, 3003])
def test_frame_with_a_wrong_checksum_is_damage_wherever_the_sound_begins(
    library: Library, tmp_path: Path, first: int
) -> None:
    data = bytearray(library.file("s.ac3").read_bytes()[first:])
    data[7 if not first else len(data) // 2] ^= 0x40
    with pytest.raises(SourceError, match="is damaged"):
        read_whole(library.copy("s.ac3", tmp_path, data))


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.ts", "s.mpg"])
def test_sound_whose_rate_changes_in_its_middle_is_refused(library: Library, tmp_path: Path, name: str) -> None:
    """ffmpeg would give what follows at the rate, and in the channels, of what is first."""
    options = ("-ar", "32000", "-ac", "1", "-t", "1")
    other = encode(library.file("s.wav"), tmp_path / f"other{Path(name).suffix}", *ENCODED[name], *options)
    path = library.copy(name, tmp_path, library.file(name).read_bytes() + other.read_bytes())

    assert "changes its sample rate or channels at 0:" in refuse(path)


@needs_ffmpeg
def test_flv_ends_where_its_last_tag_does(library: Library, tmp_path: Path) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.flv", "-c:a", "adpcm_swf", "-t", "1")
    whole, samples = path.read_bytes(), read_whole(path)[0]

    for behind, words in (
        (bytes(5000), ""),
        (b"TAG" + bytes(125), ""),
        (b"text" * 600, "ends with 2400 bytes that are"),
    ):
        path.write_bytes(whole + behind)
        read, note = read_whole(path)
        assert np.array_equal(read, samples)
        assert words in note and bool(words) == bool(note)

    path.write_bytes(whole[:-37] + whole)
    assert "is several recordings joined" in refuse(path)
    path.write_bytes(whole[:20_000] + whole[20_100:])
    assert "is cut short" in refuse(path)
    # Between two tags, a fifth of a second in front of the end.
    for _ in range(4):
        whole = whole[: -4 - int.from_bytes(whole[-4:], "big")]
    path.write_bytes(whole)
    assert "is cut short" in refuse(path)


@needs_ffmpeg
def test_fragments_of_which_one_lacks_bytes_are_refused(library: Library, tmp_path: Path) -> None:
    """ffmpeg stops there without a word."""
    options = ("-c:a", "aac", "-t", "1", "-movflags", "frag_every_frame+empty_moov+delay_moov")
    path = encode(library.file("s.wav"), tmp_path / "s.m4a", *options)
    whole = path.read_bytes()
    place = whole.index(b"mdat", len(whole) // 2)

    path.write_bytes(whole[: place + 50] + whole[place + 100 :])

    assert "is damaged (its parts do not follow each other)" in refuse(path)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.wma", "s.m4a", "fragments.m4a"])
def test_joined_files_of_which_the_first_is_cut_are_refused(library: Library, tmp_path: Path, name: str) -> None:
    if name == "fragments.m4a":
        options = ("-c:a", "aac", "-t", "1", "-movflags", "frag_keyframe+empty_moov")
        whole = encode(library.file("s.wav"), tmp_path / "one.m4a", *options).read_bytes()
    else:
        whole = library.file(name).read_bytes()

    assert "is several recordings joined" in refuse(library.copy(name, tmp_path, whole[:-37] + whole))


@needs_ffmpeg
def test_few_bytes_behind_an_mp4_are_damage_only_where_they_begin_a_box(library: Library, tmp_path: Path) -> None:
    whole = library.file("s.m4a").read_bytes()

    read, note = read_whole(library.copy("s.m4a", tmp_path, whole + b"\r\n"))
    assert np.array_equal(read, library.read("s.m4a"))
    assert note == ""
    assert "is damaged" in refuse(library.copy("s.m4a", tmp_path, whole + b"\0\0\1\x60moo"))


@needs_ffmpeg
def test_m4a_whose_first_box_has_no_name_begins_and_ends_on_its_samples(library: Library, tmp_path: Path) -> None:
    whole = library.file("s.m4a").read_bytes()

    read, _ = read_whole(library.copy("s.m4a", tmp_path, whole[:4] + b"\0\0\0\0" + whole[8:]))

    assert np.array_equal(read, library.read("s.m4a"))


@needs_ffmpeg
def test_m4a_whose_edit_list_is_damaged_says_that_priming_may_be_heard(library: Library, tmp_path: Path) -> None:
    movie = bytearray(library.file("s.m4a").read_bytes())
    movie[movie.index(b"elst") + 11] = 0

    assert (
        "silence that its encoder added may be among what was read"
        in probe(library.copy("s.m4a", tmp_path, movie)).note
    )


@needs_ffmpeg
def test_quicktime_of_plain_samples_whose_edit_list_is_damaged_speaks_of_no_silence_of_an_encoder(
    library: Library, tmp_path: Path
) -> None:
    path = tmp_path / "plain.mov"
    encode(library.file("s.wav"), path, "-c:a", "pcm_s16be")
    movie = bytearray(path.read_bytes())
    assert probe(path).note == ""
    movie[movie.index(b"elst") + 11] = 0
    path.write_bytes(movie)
    assert read_whole(path)[1] == "plain.mov has a damaged index: all that it holds was read"


@needs_ffmpeg
def test_m4a_whose_edit_list_is_empty_is_as_one_that_has_none(library: Library, tmp_path: Path) -> None:
    whole = library.file("s.m4a").read_bytes()
    place = whole.index(b"elst")
    empty = (16).to_bytes(4, "big") + b"elst" + bytes(8) + (12).to_bytes(4, "big") + b"free" + bytes(4)

    _, note = read_whole(library.copy("s.m4a", tmp_path, whole[: place - 4] + empty + whole[place + 24 :]))

    assert note == ""


@needs_ffmpeg
@pytest.mark.parametrize("behind", [b"APETAGEX" + bytes(100), b"text" * 100], ids=["tag", "text"])
def test_what_is_behind_a_real_media_file_is_no_part_of_it(library: Library, tmp_path: Path, behind: bytes) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.rm", "-c:a", "ac3", "-t", "1")
    samples = read_whole(path)[0]

    path.write_bytes(path.read_bytes() + behind)

    assert np.array_equal(read_whole(path)[0], samples)


@needs_ffmpeg
def test_matroska_without_sizes_that_ends_inside_a_block_says_so(library: Library, tmp_path: Path) -> None:
    path = encode(library.file("s.wav"), tmp_path / "live.mka", "-c:a", "libvorbis", "-t", "1", "-live", "1")
    assert read_whole(path)[1] == ""
    whole = path.read_bytes()

    path.write_bytes(whole[:-10])
    assert "ends in the middle of a frame" in read_whole(path)[1]
    path.write_bytes(whole + whole)
    assert "is several recordings joined" in refuse(path)


@needs_ffmpeg
def test_joined_matroska_of_which_the_second_is_cut_is_refused(library: Library, tmp_path: Path) -> None:
    path = join(library, tmp_path, "s.mka", "s.mka")
    path.write_bytes(path.read_bytes()[:-1000])

    assert "is cut short" in refuse(path)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.m4a", "alac.m4a", "s.wma", "s.wv", "s.tta", "mp3.wav"])
def test_joined_files_that_cannot_be_read_so_are_refused(library: Library, tmp_path: Path, name: str) -> None:
    assert "is several recordings joined in one file" in refuse(join(library, tmp_path, name, name))


@needs_ffmpeg
def test_joined_wma_behind_an_index_is_refused(library: Library, tmp_path: Path) -> None:
    whole = library.file("s.wma").read_bytes()
    index = bytes.fromhex("90080033b1e5cf1189f400a0c90349cb") + (56).to_bytes(8, "little") + bytes(32)
    path = library.copy("s.wma", tmp_path, whole + index)
    assert np.array_equal(read_whole(path)[0], library.read("s.wma"))

    path.write_bytes(whole + index + whole + index)

    assert "is several recordings joined in one file" in refuse(path)


@needs_ffmpeg
def test_joined_files_of_which_one_gives_no_size_are_refused_where_ffmpeg_alone_knows_the_codec(
    library: Library, tmp_path: Path
) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.wav", "-c:a", "adpcm_yamaha")
    data = path.read_bytes()
    size_at = data.index(b"data") + 4
    path.write_bytes(data + data[:size_at] + bytes(4) + data[size_at + 4 :])

    assert "which cannot be read one by one" in refuse(path)
    for lost in (37, 1000):
        path.write_bytes(data[:-lost] + data)
        assert "is several recordings joined in one file" in refuse(path)


@needs_ffmpeg
@pytest.mark.parametrize("name", HEADERLESS)
def test_joined_streams_are_read_whole(library: Library, tmp_path: Path, name: str) -> None:
    read, _ = read_whole(join(library, tmp_path, name, name))

    assert len(read) == pytest.approx(2 * len(library.read(name)), abs=3000)


@pytest.fixture(scope="module")
def short_mp3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second: joined to a song, it adds less than any estimate is wrong by."""
    return write_samples(tmp_path_factory.mktemp("short") / "short.mp3", make_noise(22_050))


@needs_ffmpeg
@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\x0f\x50" + b"\xff\xfb\x90\x64" * 500], ids=["bare", "tagged"])
def test_joined_mp3_whose_second_part_is_short(library: Library, tmp_path: Path, short_mp3: Path, tag: bytes) -> None:
    path = tmp_path / "joined.mp3"
    path.write_bytes(library.file("s.mp3").read_bytes() + tag + short_mp3.read_bytes())

    read, note = read_whole(path)

    assert np.array_equal(read, np.concatenate((library.read("s.mp3"), read_whole(short_mp3)[0])))
    assert "2 recordings joined" in note


@needs_ffmpeg
@pytest.mark.parametrize("names", [("s.mp3", "bare.mp3"), ("bare.mp3", "s.mp3")])
def test_joined_mp3_of_which_one_part_has_no_header(library: Library, tmp_path: Path, names: tuple[str, str]) -> None:
    read, note = read_whole(join(library, tmp_path, *names))

    assert len(read) == pytest.approx(sum(len(library.read(name)) for name in names), abs=1200)
    assert note


@needs_ffmpeg
@pytest.mark.parametrize("place", [0, 1], ids=["first", "second"])
def test_joined_mp3_of_which_one_part_is_cut_is_refused(library: Library, tmp_path: Path, place: int) -> None:
    whole = library.file("s.mp3").read_bytes()
    parts = [whole, whole]
    parts[place] = whole[: len(whole) // 2]
    (tmp_path / "joined.mp3").write_bytes(b"".join(parts))

    where = r"0:(14\.[6-9]|15\.[0-4])" if place else r"0:(04\.[6-9]|05\.[0-4])"
    assert re.search(rf"is damaged at {where} \(it ends before", refuse(tmp_path / "joined.mp3"))


@needs_ffmpeg
def test_joined_mp3s_of_different_rates_are_refused(library: Library, tmp_path: Path) -> None:
    other = encode(library.file("s.wav"), tmp_path / "other.mp3", "-ar", "48000", "-t", "20")
    (tmp_path / "joined.mp3").write_bytes(library.file("s.mp3").read_bytes() + other.read_bytes())

    assert "several recordings joined in one file, which differ in sample rate" in refuse(tmp_path / "joined.mp3")


def list_ogg_pages(data: bytes) -> list[int]:
    places, at = [], 0
    while at < len(data):
        places.append(at)
        at += 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
    return places


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.ogg", "s.opus", "flac.oga"])
def test_ogg_cut_at_a_page_has_no_end_mark_and_is_refused(library: Library, tmp_path: Path, name: str) -> None:
    whole = library.file(name).read_bytes()
    pages = list_ogg_pages(whole)
    for cut in (pages[len(pages) // 2], pages[-2], pages[-1]):
        assert "is cut short: the mark of its end is missing" in refuse(library.copy(name, tmp_path, whole[:cut]))


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.ogg", "s.opus"])
def test_ogg_of_which_a_page_is_damaged_is_refused(library: Library, tmp_path: Path, name: str) -> None:
    """Decoders leave out such a page without a word, a second of sound or more."""
    data = bytearray(library.file(name).read_bytes())
    data[len(data) // 2] ^= 1

    assert "is damaged: the checksum of a page is wrong" in refuse(library.copy(name, tmp_path, data))


@needs_ffmpeg
def test_ogg_that_lacks_pages_in_its_middle_is_refused(library: Library, tmp_path: Path) -> None:
    whole = library.file("s.ogg").read_bytes()
    pages = list_ogg_pages(whole)
    cut = whole[: pages[len(pages) // 3]] + whole[pages[len(pages) // 2] :]

    assert "is damaged: pages in its middle are missing" in refuse(library.copy("s.ogg", tmp_path, cut))


@needs_ffmpeg
def test_chained_ogg_of_which_one_recording_is_cut_is_refused(library: Library, tmp_path: Path) -> None:
    whole = library.file("s.ogg").read_bytes()
    pages = list_ogg_pages(whole)
    cut = whole[: pages[len(pages) // 2]]

    assert "the mark of its end is missing in one of its 2 recordings" in refuse(
        library.copy("s.ogg", tmp_path, cut + whole)
    )


@needs_ffmpeg
def test_wma_with_a_large_cover_is_no_longer_for_it(library: Library, tmp_path: Path) -> None:
    path = library.copy("s.wma", tmp_path)
    tagged = ASF(path)
    picture = os.urandom(1_500_000)
    head = b"\x03" + len(picture).to_bytes(4, "little") + "image/png\0".encode("utf-16-le") + b"\0\0"
    tagged["WM/Picture"] = [ASFByteArrayAttribute(head + picture)]
    tagged.save()

    assert probe(path).duration == pytest.approx(SECONDS, abs=0.1)
    assert np.array_equal(read_whole(path)[0], library.read("s.wma"))


@needs_ffmpeg
def test_cover_that_is_no_picture_is_no_damage_of_the_sound(library: Library, tmp_path: Path) -> None:
    """Many a JPEG is called a PNG."""
    wavpack = library.copy("s.wv", tmp_path)
    cover = APEv2()
    cover["Cover Art (Front)"] = APEValue(b"cover.png\0\xff\xd8\xff\xe0" + bytes(5000), BINARY)
    cover.save(wavpack)
    movie = library.copy("alac.m4a", tmp_path)
    tagged = MP4(movie)
    tagged["covr"] = [MP4Cover(b"RIFF" + bytes(5000), MP4Cover.FORMAT_JPEG)]
    tagged.save()

    for path in (wavpack, movie):
        assert np.array_equal(read_whole(path)[0], library.read(path.name))


@needs_ffmpeg
def test_folder_that_is_called_pictures_hides_no_complaint(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "Moving Pictures"
    folder.mkdir()
    song = library.copy("alac.m4a", folder)
    info = probe(song)
    song.unlink()

    with open_decoder(song, info, shutil.which) as decoder, pytest.raises(SourceError, match="ffmpeg does not find it"):
        decoder.decode(1000, "float32")


@needs_ffmpeg
@pytest.mark.parametrize("name", ["flac.mka", "s.tta", "s.ac3"])
def test_a_single_wrong_bit_is_noticed_where_frames_have_checksums(library: Library, tmp_path: Path, name: str) -> None:
    data = bytearray(library.file(name).read_bytes())
    data[len(data) // 2 + 300] ^= 1

    assert "is damaged" in refuse(library.copy(name, tmp_path, data))


@needs_ffmpeg
@pytest.mark.parametrize("extra", [1152, 5000, -3000], ids=["a frame more", "more", "less"])
def test_mp3_in_wav_whose_fact_counts_wrong(library: Library, tmp_path: Path, extra: int) -> None:
    data = bytearray(library.file("mp3.wav").read_bytes())
    at = data.index(b"fact") + 8
    data[at : at + 4] = (FRAMES + extra).to_bytes(4, "little")

    info = probe(library.copy("mp3.wav", tmp_path, data))
    read, note = read_whole(tmp_path / "mp3.wav")

    assert (info.container, info.encoding) == ("WAV", "lossy")
    assert np.array_equal(read, library.read("mp3.wav"))
    assert note == ""


def test_wav_of_a_crashed_recorder_that_begins_silent(tmp_path: Path) -> None:
    samples = make_noise(60 * RATE)
    samples[: 10 * RATE] = 0
    path = write_samples(tmp_path / "take.wav", samples)
    data = bytearray(path.read_bytes())
    TELL["s.wav"](data, 0)
    path.write_bytes(data)

    read, note = read_whole(path)

    assert len(read) == 60 * RATE
    assert note == "take.wav is 1:00.0 long, though its header says 0:00.0: all that it holds was read"


@pytest.mark.parametrize("name", ["s.wav", "s.aif", "s.flac", "s.mp3"])
@pytest.mark.parametrize("behind", [bytes(100_000), b"TAG" + b"x" * 125], ids=["zeros", "id3v1"])
def test_what_follows_the_sound_is_no_sound(library: Library, tmp_path: Path, name: str, behind: bytes) -> None:
    if name == "s.flac" and behind[0] == 0:
        pytest.skip("no FLAC is padded")
    path = library.copy(name, tmp_path, library.file(name).read_bytes() + behind)

    read, note = read_whole(path)

    assert np.array_equal(read, library.read(name))
    assert note == ""


def test_chunks_behind_the_sound_are_no_sound(library: Library, tmp_path: Path) -> None:
    chunks = b"LIST" + (50_000).to_bytes(4, "little") + bytes(range(250)) * 200 + b"id3 \x05\0\0\0wxyz!\0"

    read, note = read_whole(library.copy("s.wav", tmp_path, library.file("s.wav").read_bytes() + chunks))

    assert np.array_equal(read, library.read("s.wav"))
    assert note == ""


@pytest.mark.parametrize("behind", [b"", b"levl" + bytes(range(90, 102)) + (424).to_bytes(8, "little") + b"\7" * 400])
def test_padding_and_chunks_behind_the_sound_of_a_w64_are_no_sound(tmp_path: Path, behind: bytes) -> None:
    """libsndfile takes them for some."""
    path = write_samples(tmp_path / "s.w64", make_noise(1001))
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(-len(whole) % 8) + behind)

    read, note = read_whole(path)

    assert len(whole) % 8
    assert (len(read), note) == (1001, "")


def test_wav_whose_samples_take_more_bytes_than_they_have_is_refused(library: Library, tmp_path: Path) -> None:
    data = bytearray(library.file("s.wav").read_bytes())
    data[32:36] = b"\x08\0\x18\0"

    assert "24 bits and take 32" in refuse(library.copy("s.wav", tmp_path, data))


@pytest.mark.parametrize(("at", "value"), [(22, 3), (22, 1), (34, 24), (34, 8)], ids=["3", "1", "24", "8"])
@pytest.mark.parametrize("name", ["s.wav", "s.w64", "s.rf64"])
def test_samples_whose_sizes_contradict_each_other_are_refused(
    library: Library, tmp_path: Path, name: str, at: int, value: int
) -> None:
    data = bytearray(library.file(name).read_bytes())
    first = data.index(b"fmt ") + (4 if name == "s.w64" else -12)
    data[first + at : first + at + 2] = value.to_bytes(2, "little")

    assert "take 4 bytes, which programs read differently" in refuse(library.copy(name, tmp_path, data))


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("float.w64", ("-c:a", "pcm_f32le")),
        ("law.w64", ("-ac", "6", "-c:a", "pcm_alaw")),
        ("ima4.aifc", ("-c:a", "adpcm_ima_qt", "-f", "aiff")),
        ("ms.wav", ("-c:a", "adpcm_ms")),
    ],
)
def test_what_libsndfile_takes_for_other_sound_is_what_ffmpeg_decodes(
    library: Library, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    path = encode(library.file("s.wav"), tmp_path / name, *options)
    channels = 6 if "6" in options else 2
    if name == "ms.wav":
        # Its last block ends early, and is counted so.
        data = bytearray(path.read_bytes()[:-200])
        at = data.index(b"data") + 4
        data[at : at + 4] = (len(data) - at - 4).to_bytes(4, "little")
        data[4:8] = (len(data) - 8).to_bytes(4, "little")
        path.write_bytes(data)

    other = decode_with_ffmpeg(path, channels)
    assert np.array_equal(read_whole(path)[0], other)
    if name == "ima4.aifc":
        path.write_bytes(b"ID3\x04\0\0\0\0\x0f\x50" + bytes(2000) + path.read_bytes())
        assert np.array_equal(read_whole(path)[0], other)


@needs_ffmpeg
def test_w64_whose_chunks_are_damaged_is_refused(library: Library, tmp_path: Path) -> None:
    path = encode(library.file("s.wav"), tmp_path / "float.w64", "-c:a", "pcm_f32le")
    data = bytearray(path.read_bytes())
    data[data.index(b"fact") + 16] ^= 1
    path.write_bytes(data)

    assert refuse(path)


def test_bw64_is_read_as_rf64_joined_or_cut(library: Library, tmp_path: Path) -> None:
    data = b"BW64" + library.file("s.rf64").read_bytes()[4:]

    assert np.array_equal(read_whole(library.copy("s.bw64", tmp_path, data))[0], library.read("s.rf64"))
    assert len(read_whole(library.copy("s.bw64", tmp_path, data + data))[0]) == 2 * FRAMES
    assert "is cut short" in refuse(library.copy("s.bw64", tmp_path, data[:-1000]))


@needs_ffmpeg
def test_sowt_whose_bits_do_not_fit_its_length_is_refused(library: Library, tmp_path: Path) -> None:
    path = encode(library.file("s.wav"), tmp_path / "s.aifc", "-c:a", "pcm_s16le", "-f", "aiff")
    data = bytearray(path.read_bytes())
    at = data.index(b"COMM") + 14
    assert data[at : at + 2] == b"\0\x10"
    data[at + 1] = 24
    path.write_bytes(data)

    assert "2 samples of 24 bits take 4 bytes" in refuse(path)


def test_caf_whose_bits_contradict_its_packets_is_refused(library: Library, tmp_path: Path) -> None:
    data = bytearray(library.file("s.caf").read_bytes())
    at = data.index(b"lpcm") + 23
    assert data[at] == 16
    data[at] = 8

    assert "2 samples of 8 bits take 4 bytes" in refuse(library.copy("s.caf", tmp_path, data))


def test_wav_of_which_only_the_size_of_blocks_is_wrong_is_read(library: Library, tmp_path: Path) -> None:
    data = bytearray(library.file("s.wav").read_bytes())
    for wrong in (0, 2, 6):
        data[32:34] = wrong.to_bytes(2, "little")

        assert np.array_equal(read_whole(library.copy("s.wav", tmp_path, data))[0], library.read("s.wav"))


@pytest.mark.parametrize("name", ["s.au", "s.wav", "s.aif", "s.w64"])
def test_sound_of_which_a_little_is_not_counted_is_read_whole(library: Library, tmp_path: Path, name: str) -> None:
    """As long as the size of the whole is right, or none is told."""
    whole = library.file(name).read_bytes()
    data = bytearray(whole)
    TELL[name](data, FRAMES - 50)
    if name != "s.au":
        data[:24] = whole[:24]

    read, note = read_whole(library.copy(name, tmp_path, data))

    assert np.array_equal(read, library.read(name))
    assert note == f"{name} is 50 samples longer than its header says: all that it holds was read"


@needs_ffmpeg
@pytest.mark.parametrize("name", ["s.wav", "s.caf", "s.w64", "s.wv", "s.tta", "s.ogg", "alac.m4a"])
def test_what_lies_behind_a_tag_is_read_as_if_there_were_none(library: Library, tmp_path: Path, name: str) -> None:
    plain = library.file(name).read_bytes()
    tagged = b"ID3\x04\0\0\0\0\x0f\x50" + bytes(2000) + plain

    path = library.copy(name, tmp_path, tagged + b"TAG" + bytes(125))
    read, note = read_whole(path)

    assert np.array_equal(read, library.read(name))
    assert note == ""
    if name == "alac.m4a":
        assert digest_of(path) == digest_of(library.file(name))
    assert "is cut short" in refuse(library.copy(name, tmp_path, tagged[:-1000]))
    joined = library.copy(name, tmp_path, tagged + plain)
    if name in ("s.wv", "s.tta", "alac.m4a"):
        assert "is several recordings joined" in refuse(joined)
    else:
        assert len(read_whole(joined)[0]) == 2 * FRAMES


def test_wav_beyond_four_gibibytes_whose_size_wrapped(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "long.wav", make_noise(1000))
    data = bytearray(path.read_bytes())
    size = (5 << 30) // 4 * 4
    at = data.index(b"data") + 4
    data[at : at + 4] = (size & 0xFFFFFFFF).to_bytes(4, "little")
    path.write_bytes(data)
    os.truncate(path, at + 4 + size)  # sparse
    with path.open("r+b") as opened:
        opened.seek((1 << 30) + 1000)
        opened.write(b"\x01\0\x01\0")

    info = probe(path)

    assert (info.frames, info.encoding, info.container) == (size // 4, "pcm_16", "WAV")
    assert "though its header says" in info.note


@pytest.mark.parametrize("name", ["s.flac", "s.mp3", "s.ogg", "s.wav"])
def test_no_sample_is_decoded_to_look_at_a_file(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = bytearray(library.file(name).read_bytes())
    if name in TELL:
        TELL[name](data, FRAMES // 2)
    wrong = library.copy(name, tmp_path, data)
    decoded: list[int] = []

    def read_block(opened: sndfile.SequentialFile, frames: int, dtype: str, position: int) -> Samples:
        decoded.append(frames)
        raise AssertionError

    monkeypatch.setattr(sndfile, "read_block", read_block)

    assert probe(library.file(name)).frames == probe(wrong).frames
    assert probe(library.file(name)).layouts == ()
    assert decoded == []


@pytest.mark.parametrize("name", ["s.flac", "s.mp3", "s.wav"])
def test_memory_stays_flat_where_a_header_is_put_right(library: Library, tmp_path: Path, name: str) -> None:
    data = bytearray(library.file(name).read_bytes())
    TELL[name](data, FRAMES // 2)
    # A WAV that begins where the size of the one before it leads into its sound is refused.
    path = library.copy(name, tmp_path, bytes(data) + 5 * bytes(data[44 if name == "s.wav" else 0 :]))
    tracemalloc.start()
    try:
        with open_reader(path) as reader:
            while len(reader.read(1 << 16)):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8_000_000


def test_mp3_of_varying_rate_without_a_length_needs_no_ffmpeg(library: Library) -> None:
    info = probe(library.file("bare.mp3"), which=no_program)

    assert info.decoder == "libsndfile"
    assert info.duration == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("name", ENCODED)
def test_nothing_reaches_the_screen(library: Library, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    library.file(name)
    capfd.readouterr()
    read_whole(library.file(name))

    assert capfd.readouterr() == ("", "")
