"""Headers that contradict themselves, and blocks that begin as none can: any decoder would make noise of them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile

from plugin_core.audio.envelope import list_numbers
from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import Samples
from plugin_core.errors import SourceError
from tests.audio_files import encode, make_song, write_samples
from tests.plugin_core.audio.library import read_whole, refuse
from tests.plugin_core.audio.test_probe import needs_ffmpeg

SONG = make_song(0.5)[:20011]


def write(folder: Path, form: str, coding: str, samples: Samples = SONG) -> tuple[Path, bytearray, Samples]:
    """Write a file; return it, its bytes, and what is read of it."""
    path = folder / f"song.{form.lower()}"
    soundfile.write(path, samples, 44100, format=form, subtype=coding)
    read, note = read_whole(path)
    assert note == ""
    return path, bytearray(path.read_bytes()), read


def change(data: bytes | bytearray, name: bytes, at: int, width: int, value: int, order: str = "little") -> bytes:
    """Put a number into a chunk, ``at`` bytes behind its name."""
    place = data.index(name) + at
    number = value.to_bytes(width, "big" if order == "big" else "little")
    return bytes(data[:place]) + number + bytes(data[place + width :])


@pytest.mark.parametrize("coding", ["IMA_ADPCM", "MS_ADPCM"])
@pytest.mark.parametrize("form", ["WAV", "W64"])
def test_adpcm_whose_blocks_hold_other_than_is_said_is_refused(tmp_path: Path, form: str, coding: str) -> None:
    path, data, _ = write(tmp_path, form, coding)
    first = 24 if form == "W64" else 8
    width, samples = struct.unpack_from("<H4xH", data, data.index(b"fmt ") + first + 12)
    for at, value in ((2, 1), (2, 4), (12, 0), (12, 2 * width), (12, width - 8), (18, samples - 1), (18, 2 * samples)):
        path.write_bytes(change(data, b"fmt ", first + at, 2, value))
        assert "bits in" in refuse(path)
    if coding == "IMA_ADPCM":
        path.write_bytes(change(data, b"fmt ", first + 14, 2, 3))
        assert f"hold {samples} samples of 3 bits in 2 channels, which programs read differently" in refuse(path)


@pytest.mark.parametrize(("coding", "at", "value"), [("IMA_ADPCM", 2, 89), ("IMA_ADPCM", 7, 1), ("MS_ADPCM", 1, 7)])
def test_block_of_adpcm_that_begins_as_none_can_is_damage(tmp_path: Path, coding: str, at: int, value: int) -> None:
    path, data, _ = write(tmp_path, "WAV", coding)
    (width,) = struct.unpack_from("<H", data, data.index(b"fmt ") + 20)
    place = data.index(b"data") + 8 + 3 * width
    assert data[place + at] < value
    data[place + at] = value
    path.write_bytes(data)
    assert f"what is at byte {place} is no block of its codec" in refuse(path)


def test_writer_that_leaves_other_than_zero_behind_the_index_is_believed(tmp_path: Path) -> None:
    path, data, read = write(tmp_path, "WAV", "IMA_ADPCM")
    (width,), first = struct.unpack_from("<H", data, data.index(b"fmt ") + 20), data.index(b"data") + 8
    data[first + 3 :: width] = b"\7" * len(data[first + 3 :: width])
    path.write_bytes(data)
    assert np.array_equal(read_whole(path)[0], read)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["aifc", "caf"])
def test_block_of_quicktimes_ima_that_begins_as_none_can_is_damage(tmp_path: Path, suffix: str) -> None:
    source, *_ = write(tmp_path, "WAV", "PCM_16")
    form = "aiff" if suffix == "aifc" else suffix
    path = encode(source, tmp_path / f"song.{suffix}", "-c:a", "adpcm_ima_qt", "-f", form)
    data = bytearray(path.read_bytes())
    place = (data.index(b"SSND") + 16 if suffix == "aifc" else data.index(b"data") + 16) + 34 * 5
    assert data[place + 1] & 0x7F <= 88
    data[place + 1] |= 0x7F
    path.write_bytes(data)
    assert f"what is at byte {place} is no block of its codec" in refuse(path)


@pytest.mark.parametrize(
    ("form", "coding", "channels"),
    [
        ("WAV", "IMA_ADPCM", 2),
        ("WAV", "MS_ADPCM", 2),
        ("WAV", "GSM610", 1),
        ("AIFF", "GSM610", 1),
        ("WAV", "PCM_16", 2),
    ],
)
def test_recording_behind_one_that_is_cut_is_no_sound_of_it(
    tmp_path: Path, form: str, coding: str, channels: int
) -> None:
    """By the first one's size the second one's header would be heard."""
    path, data, _ = write(tmp_path, form, coding, SONG[:7001, :channels])
    for lost in (len(data) // 3, 100):
        path.write_bytes(data[:-lost] + data)
        assert "is several recordings joined" in refuse(path)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_gsm_of_unknown_size_is_as_long_as_it_is(tmp_path: Path, size: int) -> None:
    path, data, read = write(tmp_path, "WAV", "GSM610", SONG[:7001, :1])
    path.write_bytes(change(data, b"data", 4, 4, size))
    assert np.array_equal(read_whole(path)[0], read)
    path.write_bytes(change(data + data, b"data", 4, 4, size))
    assert "is several recordings joined" in refuse(path)


def test_gsm_in_aiff_that_counts_other_than_its_blocks_is_refused(tmp_path: Path) -> None:
    path, data, _ = write(tmp_path, "AIFF", "GSM610", SONG[:7001, :1])
    for frames in (3500, 6880, 7041, 1 << 30):
        path.write_bytes(change(data, b"COMM", 10, 4, frames, "big"))
        assert f"has {frames} samples, and 7040 by its blocks" in refuse(path)
    data[data.index(b"SSND") + 16 + 33] = 0
    path.write_bytes(data)
    assert "is no block of its codec" in refuse(path)


@pytest.mark.parametrize("coding", ["PCM_S8", "PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_aiff_whose_sizes_contradict_each_other_is_refused(tmp_path: Path, coding: str) -> None:
    path, data, _ = write(tmp_path, "AIFF", coding)
    for channels in (1, 3, 4):
        path.write_bytes(change(data, b"COMM", 8, 2, channels, "big"))
        assert f"{channels} samples of " in refuse(path)
    for bits in (0, 9, 17, 32) if coding in ("PCM_16", "PCM_S8") else ():
        if -(-bits // 8) != (1 if coding == "PCM_S8" else 2):
            path.write_bytes(change(data, b"COMM", 14, 2, bits, "big"))
            assert f"2 samples of {bits} bits take" in refuse(path)
    path.write_bytes(change(data, b"SSND", 8, 4, 8, "big"))
    assert "its sound begins 8 bytes later than there is room for" in refuse(path)


@pytest.mark.parametrize(
    ("name", "at", "value", "words"),
    [
        (b"desc", 35, 8, "says that it has 2 channels, 44100 Hz and 4104 samples in a packet"),
        (b"desc", 39, 1, "says that it has 1 channels"),
        (
            b"desc",
            15,
            0x81,
            "44100 Hz and 4096 samples by its codec",
        ),
        (b"kuki", 18, 41, "its magic cookie is none that an encoder writes"),
        (b"kuki", 21, 6, "and 6 channels"),
        (b"pakt", 36, 0x84, "its 5 packets have"),
    ],
)
def test_alac_in_caf_whose_descriptions_differ_is_refused(
    tmp_path: Path, name: bytes, at: int, value: int, words: str
) -> None:
    path, data, _ = write(tmp_path, "CAF", "ALAC_16")
    assert data[data.index(name) + at] != value
    path.write_bytes(change(data, name, at, 1, value))
    assert words in refuse(path)


@pytest.mark.parametrize(
    ("form", "coding", "at", "width"),
    [
        ("WAV", "PCM_16", 4, 4),
        ("WAV", "PCM_U8", 4, 4),
        ("WAV", "PCM_24", 4, 4),
        ("WAV", "MS_ADPCM", 4, 4),
        ("RF64", "PCM_16", 16, 8),
        ("W64", "PCM_16", 16, 8),
        ("AIFF", "PCM_16", 4, 4),
        ("AIFF", "PCM_24", 4, 4),
        ("CAF", "PCM_16", 4, 8),
        ("AU", "PCM_16", 8, 4),
    ],
)
def test_sound_of_which_a_few_bytes_are_not_counted_is_read_whole(
    tmp_path: Path, form: str, coding: str, at: int, width: int
) -> None:
    samples = SONG.copy()
    samples[-5:] = 0.4321
    path, data, read = write(tmp_path, form, coding, samples)
    name = {"RF64": b"ds64", "AIFF": b"SSND", "AU": b".snd", "W64": b"data\xf3"}.get(form, b"data")
    order = "big" if form in ("AIFF", "CAF", "AU") else "little"
    told = int.from_bytes(data[data.index(name) + at :][:width], "big" if order == "big" else "little")
    for lost in (1, 2, 3, 4):
        path.write_bytes(change(data, name, at, width, told - lost, order))
        found, note = read_whole(path)
        assert np.array_equal(found, read)
        assert "longer than its header says: all that it holds was read" in note


@pytest.mark.parametrize("behind", [b"\7", b"LIST\4\0\0\0INFO", b"\0LIST\4\0\0\0INFO", b"\0\0\0\0\0\0"])
def test_what_programs_leave_behind_the_sound_is_none(tmp_path: Path, behind: bytes) -> None:
    path, data, read = write(tmp_path, "WAV", "PCM_U8", SONG[:7001, :1])
    plain = data[: data.index(b"data") + 8 + 7001] + behind
    path.write_bytes(plain[:4] + struct.pack("<I", len(plain) - 8) + plain[8:])
    found, note = read_whole(path)
    assert (note, np.array_equal(found, read)) == ("", True)


@pytest.mark.parametrize(
    ("form", "channels", "behind"),
    [
        ("WAV", 2, b"id3\0\7\0\0\0abcdefg"),
        ("WAV", 1, b"\0\xa9cmt\4\0\0\0abcd"),
        ("WAV", 1, b"\0\r\n"),
        ("WAV", 1, b"\0\x1a"),
        ("WAV", 2, b"\r\n" * 20),
        ("CAF", 1, b"\r\n"),
        ("AU", 1, b"\n"),
    ],
)
def test_odd_chunks_and_ends_of_lines_behind_the_sound_are_none(
    tmp_path: Path, form: str, channels: int, behind: bytes
) -> None:
    coding = "ULAW" if form == "AU" else "PCM_U8" if channels == 1 and form == "WAV" else "PCM_16"
    path, data, read = write(tmp_path, form, coding, SONG[:7001, :channels])
    plain = (data[: data.index(b"data") + 8 + 7001 * (1 if channels == 1 else 4)] if form == "WAV" else data) + behind
    path.write_bytes(plain[:4] + struct.pack("<I", len(plain) - 8) + plain[8:] if form == "WAV" else plain)
    found, note = read_whole(path)
    assert (note, np.array_equal(found, read)) == ("", True)


@pytest.mark.parametrize("coding", ["PCM_16", "IMA_ADPCM", "MS_ADPCM"])
@pytest.mark.parametrize("name", [b"COMM", b"desc", b"SSND", b"kuki"])
def test_chunk_that_would_say_something_in_another_kind_says_nothing(tmp_path: Path, coding: str, name: bytes) -> None:
    path, data, read = write(tmp_path, "WAV", coding)
    path.write_bytes(data[:12] + name + struct.pack("<I", 32) + bytes(range(1, 33)) + data[12:])
    found, note = read_whole(path)
    assert (note, np.array_equal(found, read)) == ("", True)


@pytest.mark.parametrize("coding", ["IMA_ADPCM", "MS_ADPCM"])
def test_what_is_behind_adpcm_and_no_block_is_no_sound(tmp_path: Path, coding: str) -> None:
    path, data, read = write(tmp_path, "WAV", coding)
    path.write_bytes(data + b"\xff" * 5000)
    found, note = read_whole(path)
    assert (note, np.array_equal(found, read)) == ("", True)


def test_table_of_packets_without_end_is_not_counted() -> None:
    assert list(list_numbers(b"\x81\1\2" + b"\xff" * 10**6)) == [129, 2]


@pytest.mark.parametrize("form", ["WAV", "AIFF", "W64", "RF64", "CAF", "AU"])
@pytest.mark.parametrize("between", [bytes(100), b"TAG" + bytes(125)], ids=["zeros", "tag"])
def test_recording_behind_padding_or_a_tag_is_read_as_well(tmp_path: Path, form: str, between: bytes) -> None:
    path, data, read = write(tmp_path, form, "PCM_16", SONG[:7001])
    path.write_bytes(data + between + data)
    found, note = read_whole(path)
    assert np.array_equal(found, np.concatenate([read, read]))
    assert "is 2 recordings joined in one file" in note


def test_amiga_voice_whose_chunks_are_damaged_is_refused(tmp_path: Path) -> None:
    sound = bytes(range(256)) * 20 + b"\1"
    about = struct.pack(">IIIHBBI", len(sound), 0, 0, 44100, 1, 0, 65536)
    body = b"8SVXVHDR" + struct.pack(">I", 20) + about + b"BODY" + struct.pack(">I", len(sound)) + sound + b"\0"
    path = tmp_path / "song.8svx"
    path.write_bytes(b"FORM" + struct.pack(">I", len(body)) + body)
    assert len(read_whole(path)[0]) == len(sound)
    for size in (0, 21, 40, 0x7FFFFFFF):
        path.write_bytes(change(b"FORM" + struct.pack(">I", len(body)) + body, b"VHDR", 4, 4, size, "big"))
        assert refuse(path)
    path.write_bytes(change(b"FORM" + struct.pack(">I", len(body)) + body, b"BODY", 4, 4, 0x7FFFFFFF, "big"))
    assert "though its header says" in read_whole(path)[1]


@pytest.mark.parametrize("coding", ["DWVW_16", "DWVW_24"])
def test_dwvw_that_counts_other_than_it_holds_is_refused(tmp_path: Path, coding: str) -> None:
    path, data, _ = write(tmp_path, "AIFF", coding, SONG[:7001, :1])
    for frames in (3500, 6980, 7030, 1 << 30):
        path.write_bytes(change(data, b"COMM", 10, 4, frames, "big"))
        assert f"it has {min(frames, 1 << 30)} samples, and 70" in refuse(path)
    for behind in (b"NAME\0\0\0\4Song" * 40, bytes(1000), b"TAG" + bytes(125)):
        path.write_bytes(data + behind)
        assert len(read_whole(path)[0]) == 7001
    path.write_bytes(change(data, b"COMM", 8, 2, 2, "big"))
    assert "by its bits, which programs read differently" in refuse(path)


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "W64"])
def test_rate_that_is_another_by_the_bytes_of_a_second_is_said(tmp_path: Path, form: str) -> None:
    path, data, samples = write(tmp_path, form, "PCM_16")
    first = 24 if form == "W64" else 8
    path.write_bytes(change(data, b"fmt ", first + 4, 4, 44228))
    read, note = read_whole(path)
    assert np.array_equal(read, samples)
    assert note == f"{path.name} says 44228 Hz, and 44100 Hz by its bytes a second: the first may be wrong"
    path.write_bytes(change(data, b"fmt ", first + 8, 4, 0))
    assert read_whole(path)[1] == "", "it is not told"
    width = 2 * samples.shape[1]
    path.write_bytes(change(data, b"fmt ", first + 8, 4, 44100 * width + 1))
    assert read_whole(path)[1] == "", "less than a sample"
    path.write_bytes(change(data, b"fmt ", first + 8, 4, 44101 * width))
    assert "says 44100 Hz, and 44101 Hz by its bytes a second" in read_whole(path)[1]


@pytest.mark.parametrize("coding", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
def test_last_sample_of_an_aiff_that_counts_it_is_read_though_its_size_lacks_a_zero(
    tmp_path: Path, coding: str
) -> None:
    samples = SONG.copy()
    samples[-1] = 0.25
    path, data, whole = write(tmp_path, "AIFF", coding, samples)
    size = int.from_bytes(data[data.index(b"SSND") + 4 :][:4], "big")
    path.write_bytes(change(data, b"SSND", 4, 4, size - 1, "big"))
    read, note = read_whole(path)
    assert np.array_equal(read, whole)
    assert note.endswith("1 sample longer than its header says: all that it holds was read")


@needs_ffmpeg
def test_g721_that_libsndfile_does_not_open_is_no_g726(tmp_path: Path) -> None:
    path, data, _ = write(tmp_path, "WAV", "G721_32", SONG[:, :1])
    place = data.index(b"fact")
    path.write_bytes(data[:place] + b"\0act" + data[place + 4 :])
    assert "is damaged" in refuse(path)


@needs_ffmpeg
@pytest.mark.parametrize("form", ["wav", "w64"])
def test_adpcm_behind_an_extensible_header_is_read(tmp_path: Path, form: str) -> None:
    song = write_samples(tmp_path / "song.wav", SONG, 96000, subtype="PCM_16")
    path = encode(song, tmp_path / f"coded.{form}", "-c:a", "adpcm_ms", "-f", form)
    assert b"\xfe\xff\2\0\0\x77\1\0" in path.read_bytes()
    read, note = read_whole(path)
    assert np.abs(read[: len(SONG)] - SONG).mean() < 0.005
    assert note == ""


@pytest.mark.parametrize("frames", [5 * 320, 6 * 320])
def test_gsm_of_which_the_byte_that_makes_its_size_even_is_counted_is_read_without_it(
    tmp_path: Path, frames: int
) -> None:
    path, data, _ = write(tmp_path, "WAV", "GSM610", SONG[:frames, :1])
    whole, _ = read_whole(path)
    begin, size = data.index(b"data") + 8, frames // 320 * 65
    counted = size + size % 2
    path.write_bytes(change(data[: begin + size] + bytes(size % 2), b"data", 4, 4, counted))
    samples, note = read_whole(path)
    assert np.array_equal(samples, whole)
    assert (len(samples), note) == (frames, ""), "sox counts it"


def test_gsm_in_aiff_of_an_odd_size_is_read(tmp_path: Path) -> None:
    path, data, samples = write(tmp_path, "AIFF", "GSM610", SONG[: 5 * 160, :1])
    size = int.from_bytes(data[data.index(b"SSND") + 4 :][:4], "big")
    assert size - 8 == 5 * 33 + 1, "libsndfile counts the byte that makes it even"
    assert np.array_equal(read_whole(path)[0], samples)


@pytest.mark.parametrize("coding", ["PCM_16", "PCM_24"])
def test_aiff_that_sox_wrote_into_a_pipe_is_read_whole(tmp_path: Path, coding: str) -> None:
    path, data, samples = write(tmp_path, "AIFF", coding)
    frame = 2 * int(coding[4:]) // 8
    told = 0x7F000000 // frame
    piped = change(change(data, b"COMM", 10, 4, told, "big"), b"SSND", 4, 4, told * frame + 8, "big")
    path.write_bytes(change(piped, b"FORM", 4, 4, told * frame + 0x50, "big"))
    read, note = read_whole(path)
    assert np.array_equal(read, samples)
    assert note == ""


def test_w64_of_floats_that_ffmpeg_wrote_into_a_pipe_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "song.w64"
    sound = SONG.astype("<f4").tobytes()
    head = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0" + b"\xff" * 8
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    about = struct.pack("<HHIIHHHHIH", 0xFFFE, 2, 44100, 44100 * 8, 8, 32, 22, 32, 3, 3)
    about += bytes.fromhex("000000001000800000aa00389b71")
    head += b"wave" + tail + b"fmt " + tail + (64).to_bytes(8, "little") + about
    path.write_bytes(head + b"data" + tail + b"\xff" * 7 + b"\x7f" + sound)
    read, note = read_whole(path)
    assert np.array_equal(read, SONG.astype(np.float32))
    assert note == ""


@pytest.mark.parametrize("endian", ["BIG", "LITTLE"])
def test_au_of_which_the_sizes_contradict_each_other_is_refused(tmp_path: Path, endian: str) -> None:
    path = tmp_path / "song.au"
    soundfile.write(path, SONG, 44100, format="AU", subtype="PCM_16", endian=endian)
    data = path.read_bytes()
    order: Literal["big", "little"] = "big" if endian == "BIG" else "little"
    for at, value in ((20, 3), (20, 5), (12, 4)):
        path.write_bytes(data[:at] + value.to_bytes(4, order) + data[at + 4 :])
        with pytest.raises(SourceError, match=r"which programs read differently"):
            read_whole(path)
    # Who could not go back to write the size was ended anywhere.
    path.write_bytes(data[:8] + b"\xff" * 4 + data[12:-1])
    samples, note = read_whole(path)
    assert np.abs(samples - SONG[:-1]).max() < 2**-14
    assert note == ""


ORDER = "with the bytes of its samples in the other order"


@pytest.mark.parametrize(
    ("form", "coding", "name", "at", "width", "value", "words"),
    [
        ("CAF", "PCM_16", b"lpcm", 4, 4, 2, ORDER),
        ("CAF", "PCM_24", b"lpcm", 4, 4, 2, ORDER),
        ("CAF", "FLOAT", b"lpcm", 4, 4, 0, "as floating point"),
        ("WAV", "FLOAT", b"fmt ", 8, 2, 1, "as floating point"),
        ("W64", "FLOAT", b"fmt ", 24, 2, 1, "as floating point"),
        ("WAV", "ULAW", b"fmt ", 8, 2, 6, "as mu-law"),
        ("AU", "ALAW", b".snd", 12, 4, 1, "as A-law"),
        ("AU", "ULAW", b".snd", 12, 4, 2, "as mu-law"),
        ("AU", "FLOAT", b".snd", 12, 4, 5, "as floating point"),
        ("AU", "PCM_16", b".snd", 20, 4, 1, "in 2 channels"),
        ("VOC", "PCM_16", b"Creative", 35, 1, 1, "in 2 channels"),
        pytest.param("PAF", "PCM_16", b" paf", 20, 4, 1, "in 2 channels", marks=needs_ffmpeg),
        pytest.param("IRCAM", "PCM_16", b"d\xa3\x03\0", 8, 4, 1 << 24, "in 2 channels", marks=needs_ffmpeg),
        pytest.param("PVF", "PCM_16", b"PVF1\n", 5, 1, ord("1"), "in 2 channels", marks=needs_ffmpeg),
    ],
)
def test_samples_that_a_header_calls_another_kind_are_said(
    tmp_path: Path, form: str, coding: str, name: bytes, at: int, width: int, value: int, words: str
) -> None:
    time = np.arange(20011)[:, None] / 44100
    smooth = np.sin(2 * np.pi * time * [[110, 165]]) * 0.4 + np.sin(2 * np.pi * time * 523) * 0.2
    path, data, _ = write(tmp_path, form, coding, smooth)
    order = "little" if form in ("WAV", "W64") else "big"
    if form == "CAF" and coding != "FLOAT":  # One bit of its flags.
        value ^= int.from_bytes(data[data.index(name) + 4 : data.index(name) + 8], "big")
    path.write_bytes(change(data, name, at, width, value, order))
    for dtype in ("float32", "float64"):
        with open_reader(path) as reader:
            while len(reader.read(1 << 13, dtype)):
                pass
            assert reader.note == f"{path.name} would sound much smoother {words}: its header may be damaged"


@pytest.mark.parametrize(("form", "is_said"), [("WAV", True), ("FLAC", False)])
def test_a_codec_says_itself_what_its_samples_are(form: str, is_said: bool, tmp_path: Path) -> None:
    """Whatever was packed is what was meant."""
    whole = np.rint(SONG * 32767).astype(np.int16).byteswap()
    path = tmp_path / f"song.{form.lower()}"
    soundfile.write(path, whole, 44100, subtype="PCM_16", format=form)
    assert bool(read_whole(path)[1]) == is_said
