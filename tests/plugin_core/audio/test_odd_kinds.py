"""Kinds of files that are rarely met: read to their last sample, or refused with one right line."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.audio.extent import check_extent
from plugin_core.audio.frames import measure_free_frame, read_frame
from plugin_core.audio.probe import identify
from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import Samples
from plugin_core.errors import SourceError
from plugin_core.recordings.digest import digest_of
from tests.audio_files import encode, make_noise, make_song, write_samples
from tests.plugin_core.audio.library import decode_with_ffmpeg, read_whole, refuse
from tests.plugin_core.audio.test_probe import needs_ffmpeg, no_program

pytestmark = needs_ffmpeg

FRAMES = 30_011


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = make_song(1.0)[:FRAMES]
    return write_samples(tmp_path_factory.mktemp("odd") / "song.wav", samples, subtype="PCM_16")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def split(mp3: bytes) -> list[bytes]:
    """Return the frames of an MP3."""
    frames, at = [], mp3.index(b"\xff\xfb")
    while at < len(mp3) and (frame := read_frame(mp3[at : at + 4])) is not None:
        frames.append(mp3[at : at + frame.size])
        at += frame.size
    return frames


def test_mp3_of_free_format_is_read_whole(song: Path, tmp_path: Path) -> None:
    named = encode(song, tmp_path / "named.mp3", "-ar", "48000", "-b:a", "128k", "-write_xing", "0")
    frames = split(named.read_bytes())
    free = [frame[:2] + bytes([frame[2] & 0x0F]) + frame[3:] for frame in frames]
    path = write(tmp_path / "free.mp3", b"".join(free))
    read, note = read_whole(path)
    assert note == ""
    assert np.abs(read - read_whole(named)[0]).max() < 1e-6
    read, note = read_whole(write(path, replace(b"".join(free), 3, b"\0")))
    assert "free.mp3 begins with bytes that are no sound" in note
    # Frames that say no size are no packets of ours, whatever in them looks like some.
    header = b"\xff\xff\x18\x00"
    chance = read_frame(header)
    assert chance is not None
    size = chance.size
    free[5] = free[5][:100] + (header.ljust(size, b"\0") * 3) + free[5][100 + 3 * size :]
    assert digest_of(write(tmp_path / "chance.mp3", b"".join(free))).startswith("raw1:")
    assert measure_free_frame(free[0] + free[1]) == 0, "two headers may be chance"


needs_lame = pytest.mark.skipif(shutil.which("lame") is None, reason="needs lame")


@needs_lame
def test_damaged_lame_tag_is_mended_by_what_is_known_or_said(song: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    subprocess.run(["lame", "--quiet", "-V2", song, path], check=True)
    samples, note = read_whole(path)
    assert (len(samples), note) == (FRAMES, "")
    whole = path.read_bytes()
    mark, name = whole.index(b"Xing"), whole.index(b"LAME")

    def reread(place: int, new: bytes) -> tuple[Samples, str]:
        return read_whole(write(path, replace(whole, place, new)))

    for place, new in (
        (mark, b"?"),
        (mark, bytes(8)),
        (mark + 4, b"\xff\xff\xff\xf0"),
        (mark - 3, b"\1"),
        (name + 1, b"?"),
    ):
        read, note = reread(place, new)
        assert (read.tobytes(), note) == (samples.tobytes(), "")
    read, note = reread(mark + 10, b"\1")
    assert read.tobytes() == samples.tobytes()
    assert "0:00.6 long, though its header says 0:06.9" in note
    for place in (mark + 50, name, name + 35):
        read, note = reread(place, b"\0" if place == name else bytes([whole[place] ^ 1]))
        assert read.tobytes() == samples.tobytes()
        assert "has a damaged LAME tag" in note
    for place, new in ((name + 21, b"\xff"), (name + 22, b"\x0f\xff")):
        read, note = reread(place, new)
        assert "has a damaged LAME tag" in note
        assert read[: len(samples)].tobytes() == samples.tobytes()
    for place in (1, 2, 3):
        read, note = reread(mark - 36 + place, bytes([whole[mark - 36 + place] ^ 0xD0]))
        assert "has a damaged LAME tag" in note


@pytest.mark.parametrize("channels", ["1", "2"])
def test_lame_tag_of_ffmpeg_is_not_damaged(song: Path, tmp_path: Path, channels: str) -> None:
    for rate in ("44100", "22050", "8000"):
        path = encode(song, tmp_path / f"{rate}.mp3", "-ac", channels, "-ar", rate, "-b:a", "64k")
        assert read_whole(path)[1] == ""


@needs_lame
def test_mp3_cut_out_of_a_stream_of_varying_rate_begins_with_no_damage(song: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    subprocess.run(["lame", "--quiet", "-V2", "-t", song, path], check=True)
    whole = path.read_bytes()
    # A tag that talks of such headers is none.
    item = struct.pack("<II", 9, 0) + b"Comment\0Info Xing"
    ends = [b"APETAGEX" + struct.pack("<IIII8x", 2000, len(item) + 32, 1, flags << 29) for flags in (5, 4)]
    assert read_whole(write(path, ends[0] + item + ends[1] + whole))[1] == ""
    sizes = [len(frame) for frame in split(whole)]
    place = next(at for at in range(2, len(sizes)) if sizes[at - 1] - sizes[at] > 40)
    start = sum(sizes[:place])
    assert "begins in the middle of a frame" in read_whole(write(path, whole[start - sizes[place - 1] + 10 :]))[1]
    for place, new in ((0, b"?"), (3, bytes([whole[3] | 0xC0]))):
        assert "begins with bytes that are no sound" in read_whole(write(path, replace(whole, place, new)))[1]


@pytest.mark.parametrize("name", ["song.dts", "song.ac3"])
def test_stream_whose_first_header_is_damaged_says_so(song: Path, tmp_path: Path, name: str) -> None:
    whole = encode(song, tmp_path / name, "-strict", "-2").read_bytes()
    samples, _ = read_whole(tmp_path / name)

    for place in (0, 4) if name == "song.dts" else (0,):
        broken = replace(whole, place, bytes([whole[place] ^ 1]))
        read, note = read_whole(write(tmp_path / name, broken))
        assert len(samples) - len(read) in (512, 1536)
        assert f"{name} begins with bytes that are no sound: if its first frame is damaged" in note


def test_mp3_of_free_format_with_a_header_is_read_to_the_sample_or_refused(song: Path, tmp_path: Path) -> None:
    path = tmp_path / "free.mp3"
    subprocess.run(["lame", "--quiet", "-b", "400", "--freeformat", song, path], check=True)
    read, note = read_whole(path)
    assert (len(read), note) == (FRAMES, "")
    for lost in (500, path.stat().st_size // 2):
        assert "is damaged" in refuse(write(tmp_path / "cut.mp3", path.read_bytes()[:-lost]))


@pytest.mark.parametrize("counted", [0, 1, -5], ids=["right", "itself as well", "too few"])
def test_mp3_with_the_header_of_another_encoder(song: Path, tmp_path: Path, counted: int) -> None:
    bare = encode(song, tmp_path / "bare.mp3", "-q:a", "2", "-write_xing", "0")
    frames = split(bare.read_bytes())
    size = 417 + sum(map(len, frames))
    # Delay, quality, bytes, frames, and a table of contents without entries.
    about = struct.pack(">4sHHHIIHHHH", b"VBRI", 1, 0, 50, size, len(frames) + counted, 0, 1, 2, 1)
    header = (b"\xff\xfb\x90\x64" + bytes(32) + about).ljust(417, b"\0")
    path = write(tmp_path / "vbri.mp3", header + b"".join(frames))
    read, note = read_whole(path)
    assert len(read) == 1152 * len(frames)
    assert np.abs(read - decode_with_ffmpeg(path)).max() < 2e-4
    assert note == ("vbri.mp3 is 5760 samples longer than its header says: all that it holds was read" * (counted < 0))
    assert digest_of(path) == digest_of(bare)
    assert "is damaged" in refuse(write(tmp_path / "cut.mp3", path.read_bytes()[: size // 2]))


def test_caf_whose_last_packet_is_shorter_than_its_header_counts(song: Path, tmp_path: Path) -> None:
    """The packet says so itself; nothing is missing."""
    path = encode(song, tmp_path / "alac.caf", "-c:a", "alac")
    read, note = read_whole(path)
    assert np.array_equal(read, read_whole(song)[0])
    assert note == ""
    assert identify(path).frames == len(read)
    assert "is cut short" in refuse(write(tmp_path / "cut.caf", path.read_bytes()[:-20_000]))
    assert "joined" in refuse(write(tmp_path / "joined.caf", path.read_bytes() + bytes(100) + path.read_bytes()))


def test_voc_is_as_long_as_its_blocks(song: Path, tmp_path: Path) -> None:
    path = encode(song, tmp_path / "song.voc", "-c:a", "pcm_s16le")
    read, note = read_whole(path)
    assert (len(read), note) == (len(decode_with_ffmpeg(path)), "")
    assert identify(path).duration == pytest.approx(FRAMES / 44100, abs=0.001)
    assert "is cut short" in refuse(write(tmp_path / "cut.voc", path.read_bytes()[:-2000]))


def test_amiga_voice_is_read_whole_or_refused(tmp_path: Path) -> None:
    samples = np.arange(FRAMES + 1, dtype=np.int64).astype(np.int8)
    header = b"VHDR" + struct.pack(">IIIIHBBI", 20, len(samples), 0, 0, 22050, 1, 0, 1 << 16)
    body = b"8SVX" + header + b"BODY" + struct.pack(">I", len(samples)) + samples.tobytes()
    path = write(tmp_path / "voice.8svx", b"FORM" + struct.pack(">I", len(body)) + body)
    read, note = read_whole(path)
    assert note == ""
    assert np.array_equal(np.rint(read[:, 0] * 128), samples)
    assert "is cut short" in refuse(write(tmp_path / "cut.8svx", path.read_bytes()[:-2000]))


@pytest.mark.parametrize("version", [0, 1])
def test_fragments_whose_index_names_more_of_them_are_refused(song: Path, tmp_path: Path, version: int) -> None:
    flags = "frag_every_frame+empty_moov+default_base_moof+dash+global_sidx+skip_trailer"
    data = encode(song, tmp_path / "whole.mp4", "-c:a", "aac", "-movflags", flags).read_bytes()
    at = data.index(b"sidx") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    if version != data[at + 8]:
        assert version == 0, "ffmpeg writes wide times"
        narrow = data[at + 24 : at + 28] + data[at + 32 : at + 36]
        about = data[at + 4 : at + 8] + bytes(1) + data[at + 9 : at + 20] + narrow + data[at + 36 : at + size]
        data = data[:at] + (len(about) + 4).to_bytes(4, "big") + about + data[at + size :]
    path = write(tmp_path / "song.mp4", data)
    assert read_whole(path)[1] == ""
    for place in [data.rindex(b"moof") - 4, data.rindex(b"moof", 0, data.rindex(b"moof")) - 4]:
        assert "is cut short" in refuse(write(tmp_path / "cut.mp4", data[:place]))


def test_an_index_that_says_it_is_larger_than_any_takes_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "song.mp4", struct.pack(">I4s8sI4s", 16, b"ftyp", b"isom", 1 << 30, b"sidx"))
    os.truncate(path, 16 + (1 << 30))
    tracemalloc.start()
    try:
        with path.open("rb") as opened:
            check_extent(path, opened.fileno())
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
    finally:
        tracemalloc.stop()


def replace(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


@pytest.mark.parametrize(
    "before", [bytes(9000), b"\r\n", b"ID3\x04\0\0\0\0\0\x0a" + bytes(5000)], ids=["zeros", "line", "tag"]
)
def test_mp3_behind_what_is_none_is_read_as_the_mp3(song: Path, tmp_path: Path, before: bytes) -> None:
    plain = encode(song, tmp_path / "plain.mp3", "-q:a", "2", "-id3v2_version", "0")
    path = write(tmp_path / "song.mp3", before + plain.read_bytes())
    read, note = read_whole(path)
    assert np.array_equal(read, read_whole(plain)[0])
    assert (len(read), note) == (FRAMES, "")
    assert digest_of(path) == digest_of(plain)


def test_mp3_without_a_tag_needs_no_ffmpeg_in_a_folder_of_a_share_of_apples(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".AppleDouble").mkdir()
    monkeypatch.chdir(tmp_path)
    for header in ("1", "0"):
        path = encode(song, tmp_path / f"{header}.mp3", "-q:a", "2", "-id3v2_version", "0", "-write_xing", header)
        assert identify(path, which=no_program).decoder == "libsndfile"
        assert np.abs(read_whole(path)[0] - decode_with_ffmpeg(path)).max() < 2e-4


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("song.sox", ()),
        ("song.adx", ()),
        ("song.rm", ("-c:a", "ac3")),
        ("ima.wav", ("-c:a", "adpcm_ima_wav")),
        ("gsm.wav", ("-c:a", "libgsm_ms", "-ar", "8000", "-ac", "1")),
        ("ima.aif", ("-c:a", "adpcm_ima_qt")),
        ("song.wve", ()),
    ],
)
def test_kind_that_says_its_length_is_read_whole_or_refused(
    song: Path, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    path = tmp_path / name
    path = encode_psion(song, path) if name == "song.wve" else encode(song, path, *options)
    read, note = read_whole(path)
    other = decode_with_ffmpeg(path, read.shape[1])
    assert (len(read), note) == (len(other), "")
    assert np.abs(read - other).max() < 1e-2, "decoders round differences as they like"
    whole = path.read_bytes()
    for lost in (len(whole) // 2, len(whole) // 3, 37, 2):
        path.write_bytes(whole[:-lost])
        if lost > 2 or name not in ("song.adx", "gsm.wav"):
            assert "is cut short" in refuse(path)
    path.write_bytes(whole)


def encode_psion(song: Path, path: Path) -> Path:
    sound = encode(song, path, "-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1", "-f", "alaw").read_bytes()
    return write(path, struct.pack(">16sHIHH6x", b"ALawSoundFile**", 3856, len(sound), 0, 1) + sound)


@pytest.mark.parametrize(
    ("name", "options"), [("song.wve", ()), ("song.sox", ()), ("song.apm", ("-t", "0.5", "-c:a", "adpcm_ima_apm"))]
)
def test_what_is_behind_the_sound_is_left_out_or_said(
    song: Path, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    path = tmp_path / name
    plain = (encode(song, path, *options) if options or name == "song.sox" else encode_psion(song, path)).read_bytes()
    sound, note = read_whole(path)
    assert note == ""
    for behind in (b"\x12" * 60, bytes(5000)):
        read, note = read_whole(write(path, plain + behind))
        assert (np.array_equal(read, sound), note) == (True, "")
    read, note = read_whole(write(path, plain + b"\x12" * 800))
    assert np.array_equal(read, decode_with_ffmpeg(path, read.shape[1]))
    assert len(read) > len(sound)
    assert note == f"{name} goes on after its header says that it ends: all that it holds was read"


def test_adx_whose_sound_ends_early_is_refused(song: Path, tmp_path: Path) -> None:
    path = encode(song, tmp_path / "song.adx")
    data = path.read_bytes()
    middle = len(data) // 2 // 18 * 18
    # The scale of a block that says that there are no more.
    early = replace(data, int.from_bytes(data[2:4], "big") + 4 + middle, b"\x80\x01")
    assert "it ends before its header says" in refuse(write(path, early))
    assert "is not audio, or damaged" in refuse(write(path, replace(data, 3, b"\0"))), "it names a place before it"


def test_byte_that_makes_a_size_even_is_no_sound(tmp_path: Path) -> None:
    samples = np.arange(FRAMES, dtype=np.int64).astype(np.int8)
    header = b"VHDR" + struct.pack(">IIIIHBBI", 20, len(samples), 0, 0, 22050, 1, 0, 1 << 16)
    body = b"8SVX" + header + b"BODY" + struct.pack(">I", len(samples)) + samples.tobytes() + b"\0"
    path = write(tmp_path / "voice.8svx", b"FORM" + struct.pack(">I", len(body)) + body)
    assert (len(read_whole(path)[0]), FRAMES % 2) == (FRAMES, 1)


def test_voc_of_sox_that_goes_on_behind_its_end_is_read_whole(song: Path, tmp_path: Path) -> None:
    samples = soundfile.read(song, dtype="int16")[0]
    begin = b"Creative Voice File\x1a\x1a\0\x0a\x01\x29\x11"
    about = struct.pack("<IBBHI", 44100, 16, samples.shape[1], 4, 0)
    for size in (samples.nbytes + 4, samples.nbytes + 4 & 0xFFF):
        block = b"\x09" + size.to_bytes(3, "little") + about
        path = write(tmp_path / "song.voc", begin + block + samples.tobytes() + b"\0")
        if size < samples.nbytes:
            assert "goes on after it says that it ends" in refuse(path), "no size that sox writes"
            continue
        read, note = read_whole(path)
        assert np.array_equal(read * 32768, samples)
        assert note == "", "what sox never counts"
        for at, wrong in ((35, 5), (34, 8)):
            odd = replace(path.read_bytes(), at, bytes([wrong]))
            assert "goes on after it says" in refuse(write(tmp_path / "odd.voc", odd)), "no channels or bits of its own"
    text = b"\x05\x04\0\0Hey\0\0"
    whole = b"\x09" + (samples.nbytes + 12).to_bytes(3, "little") + about + samples.tobytes()
    read, note = read_whole(write(tmp_path / "text.voc", begin + whole + text))
    assert (len(read), note) == (FRAMES, ""), "as many bytes as sox does not count"


def test_8svx_of_two_channels_that_follow_each_other_is_read_so(song: Path, tmp_path: Path) -> None:
    samples = (soundfile.read(song, dtype="int16")[0] >> 8).astype(np.int8)
    header = b"VHDR" + struct.pack(">IIIIHBBI", 20, len(samples), 0, 0, 22050, 1, 0, 1 << 16)
    body = b"8SVX" + header + b"CHAN\0\0\0\4\0\0\0\6BODY" + struct.pack(">I", samples.size) + samples.T.tobytes()
    data = b"FORM" + struct.pack(">I", len(body)) + body
    for behind in (b"", b"ANNO\0\0\0\4Song", b"TAG" + bytes(125)):
        read, note = read_whole(write(tmp_path / "voice.8svx", data + behind))
        assert np.array_equal(read * 128, samples), behind
        assert note == ""
    assert "is cut short" in refuse(write(tmp_path / "cut.8svx", data[:-1000]))
    assert "recordings joined" in refuse(write(tmp_path / "joined.8svx", data + data))


@pytest.mark.parametrize("channels", [1, 2])
def test_voc_of_sox_whose_size_wraps_is_read_whole(tmp_path: Path, channels: int) -> None:
    size = (1 << 24) + 30_000
    line = b"\x08\x04\0\0" + (0x10000 - 256_000_000 // 88_200).to_bytes(2, "little") + b"\0\1"
    block = b"\x01" + (size + 2 & 0xFFFFFF).to_bytes(3, "little") + b"\xe9\0"
    sound = bytes(range(1, 251)) * (size // 250 + 1)
    head = b"Creative Voice File\x1a\x1a\0\x0a\x01\x29\x11" + (line if channels > 1 else b"")
    path = write(tmp_path / "song.voc", head + block + sound[:size] + b"\0")
    with open_reader(path) as reader:
        assert (reader.info.channels, reader.info.sample_rate) == ((1, 43478) if channels == 1 else (2, 44107))
        assert reader.info.frames == size // channels
        reader.skip(reader.info.frames - 100)
        last = np.frombuffer(sound[size - 100 * channels : size], np.uint8).reshape(-1, channels)
        assert np.array_equal(reader.read(200) * 128 + 128, last)
        assert "long, though its header says 0:00." in reader.note


@pytest.mark.parametrize(
    ("name", "codec", "words"),
    [
        ("song.swf", "libmp3lame", "does not show whether it is whole"),
        ("song.nut", "libmp3lame", "does not show whether it is whole"),
        ("song.mka", "tta", "of which ffmpeg does not read the last second"),
    ],
)
def test_kind_of_which_nobody_can_tell_the_end_is_refused(
    song: Path, tmp_path: Path, name: str, codec: str, words: str
) -> None:
    assert words in refuse(encode(song, tmp_path / name, "-c:a", codec))


@pytest.mark.parametrize("options", [("-c:a", "pcm_s16le"), ("-c:a", "wmav2")])
def test_avi_is_as_long_as_its_header_says(song: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    path = encode(song, tmp_path / "song.avi", *options)
    read, note = read_whole(path)
    assert (len(read), note) == (len(decode_with_ffmpeg(path)), "")
    twice, note = read_whole(write(tmp_path / "twice.avi", 2 * path.read_bytes()))
    assert len(twice) >= 2 * len(read)
    assert "longer than its header says" in note
    if "pcm_s16le" in options:
        data = path.read_bytes()
        never = replace(data, data.index(b"auds") + 28, struct.pack("<I", 2 * FRAMES))
        assert np.array_equal(read_whole(write(tmp_path / "never.avi", never))[0], read)
        late = write(path, replace(data, data.index(b"auds") + 28, struct.pack("<I", 4410)))
        begun, note = read_whole(late)
        assert note == ""
        assert np.array_equal(begun, np.concatenate((np.zeros((4410, 2)), read)))


def test_avi_that_lacks_a_packet_of_its_index_says_so(song: Path, tmp_path: Path) -> None:
    path = encode(song, tmp_path / "song.avi", "-c:a", "libmp3lame")
    data, whole = path.read_bytes(), read_whole(path)
    places = [at for at in range(data.index(b"movi"), data.index(b"idx1")) if data[at : at + 4] == b"00wb"]

    read, note = read_whole(write(path, replace(data, places[len(places) // 2], bytes(8))))

    assert whole[1] == ""
    assert len(read) < len(whole[0])
    assert "song.avi is broken at 0:00.3, where a frame is cut or missing" in note


@pytest.mark.skipif(shutil.which("fdkaac") is None, reason="needs fdkaac")
@pytest.mark.parametrize("profile", ["5", "29"], ids=["HE-AAC", "HE-AAC v2"])
@pytest.mark.parametrize("gapless", ["0", "1"], ids=["iTunSMPB", "edit list"])
def test_he_aac_loses_nothing_of_its_end(song: Path, tmp_path: Path, profile: str, gapless: str) -> None:
    path = tmp_path / "song.m4a"
    subprocess.run(["fdkaac", "-S", "-p", profile, "-b", "48k", "-G", gapless, "-o", path, song], check=True)
    read, note = read_whole(path)
    whole = decode_with_ffmpeg(path)
    assert note == ""
    # Its decoder comes 962 samples late, and the core counts two samples as one.
    assert 0 <= len(read) - FRAMES - 962 <= 1
    assert np.array_equal(read[:-2048], whole[: len(read) - 2048]), "of what the list leaves out ffmpeg gives less"


def write_nist(path: Path, samples: Samples, count: int | None = None) -> Path:
    about = (
        f"NIST_1A\n   1024\nsample_count -i {len(samples) if count is None else count}\nsample_n_bytes -i 2\n"
        "channel_count -i 2\nsample_byte_format -s2 01\nsample_rate -i 44100\nsample_coding -s3 pcm\nend_head\n"
    )
    return write(path, about.encode().ljust(1024) + np.rint(samples * 32768).astype("<i2").tobytes())


def write_maud(path: Path, samples: Samples) -> Path:
    sound = np.rint(samples * 32768).astype(">i2").tobytes()
    about = struct.pack(">IHHIHHHHII", 2 * len(samples), 16, 16, 44100, 1, 1, 2, 0, 0, 0).ljust(32, b"\0")
    body = b"MAUDMHDR" + struct.pack(">I", 32) + about + b"MDAT" + struct.pack(">I", len(sound)) + sound
    return write(path, b"FORM" + struct.pack(">I", len(body)) + body)


def write_paf(path: Path, samples: Samples) -> Path:
    head = b" paf" + struct.pack(">IIIIII", 0, 0, 44100, 0, 2, 0)
    return write(path, head.ljust(2048, b"\0") + np.rint(samples * 32768).astype(">i2").tobytes())


def write_ircam(path: Path, samples: Samples) -> Path:
    head = b"\x64\xa3\x01\0" + struct.pack("<fII", 44100, 2, 2)
    return write(path, head.ljust(1024, b"\0") + np.rint(samples * 32768).astype("<i2").tobytes())


def write_pvf(path: Path, samples: Samples) -> Path:
    return write(path, b"PVF1\n2 44100 16\n" + np.rint(samples * 32768).astype(">i2").tobytes())


@pytest.mark.parametrize("form", [write_nist, write_maud, write_paf, write_ircam, write_pvf])
def test_rare_kind_is_read_whole_joined_and_without_tags(
    song: Path, tmp_path: Path, form: Callable[[Path, Samples], Path]
) -> None:
    samples = read_whole(song)[0]
    path = form(tmp_path / "song.snd", samples)
    plain = path.read_bytes()
    read, note = read_whole(path)
    assert np.array_equal(read, samples)
    assert note == ""
    for tag in (b"TAG" + bytes(125), b"TAG" + b"\xff" * 125):
        tagged, note = read_whole(write(path, plain + tag))
        assert np.array_equal(tagged, samples)
        assert note == ""
    both, note = read_whole(write(path, plain + plain))
    assert np.array_equal(both, np.concatenate((samples, samples)))
    assert "is 2 recordings joined in one file" in note
    for lost in (1, 10, 1001, len(plain) // 3 | 1):
        said = refuse(write(path, plain[:-lost]))
        assert "is cut short" in said if form in (write_nist, write_maud) else "is damaged" in said
    cut = write(path, plain[:-40])
    if form in (write_nist, write_maud):
        assert "is cut short" in refuse(cut)
        return
    # Nothing in them says how long they are.
    read, note = read_whole(cut)
    assert (np.array_equal(read, samples[:-10]), note) == (True, "")


@pytest.mark.parametrize("counted", [0, FRAMES - 4000, FRAMES + 1])
def test_nist_that_counts_wrong_is_read_whole_or_refused(song: Path, tmp_path: Path, counted: int) -> None:
    samples = read_whole(song)[0]
    path = write_nist(tmp_path / "song.sph", samples, counted)
    if counted > FRAMES:
        assert "is cut short" in refuse(path)
        return
    read, note = read_whole(path)
    assert np.array_equal(read, samples)
    assert ("4000 samples longer than its header says" in note) == bool(counted)


@pytest.mark.parametrize(
    "words", [(b"   1024", b"  many!"), (b"-i 30011", b"-i some!"), (b"channel_count -i 2", b"channel_count -i X")]
)
def test_nist_whose_header_holds_no_numbers_ends_in_one_line(
    song: Path, tmp_path: Path, words: tuple[bytes, bytes]
) -> None:
    path = write_nist(tmp_path / "song.sph", read_whole(song)[0])
    write(path, path.read_bytes().replace(*words, 1))
    try:
        read, _ = read_whole(path)
    except SourceError as error:
        assert "\n" not in str(error)
    else:
        assert np.array_equal(read, read_whole(song)[0])


def test_two_recordings_of_television_are_both_read(song: Path, tmp_path: Path) -> None:
    path = encode(song, tmp_path / "song.wtv", "-c:a", "mp2")
    once, _ = read_whole(path)
    twice, note = read_whole(write(path, 2 * path.read_bytes()))
    assert np.array_equal(twice, np.concatenate((once, once)))
    assert "is 2 recordings joined in one file" in note


@pytest.mark.parametrize("name", ["song.mlp", "song.thd"])
def test_stream_of_meridian_that_ends_inside_a_frame_is_noted(tmp_path: Path, name: str) -> None:
    song = write_samples(tmp_path / "song.wav", make_song(2.0), subtype="PCM_16")
    path = encode(song, tmp_path / name, "-strict", "-2")
    whole, note = read_whole(path)
    assert np.array_equal(whole, read_whole(song)[0])
    assert note == ""
    read, note = read_whole(write(path, path.read_bytes()[:-11]))
    assert len(read) < len(whole)
    assert "ends in the middle of a frame" in note
    if name == "song.mlp":
        read, note = read_whole(write(path, replace(encode(song, path, "-strict", "-2").read_bytes(), 7, b"?")))
        assert np.array_equal(read, whole[-len(read) :])
        assert "begins with bytes that are no sound" in note
    short, note = read_whole(encode(song, tmp_path / f"short-{name}", "-strict", "-2", "-t", "0.05"))
    # The last frame of MLP is filled up.
    assert np.array_equal(short[:2205], whole[:2205])
    assert (len(short) in (2205, 2240), note) == (True, "")


def make_first_layer(frames: int) -> bytes:
    """Return MPEG audio of layer I, of 224 kbit/s and stereo: noise in the six lowest bands (ISO 11172-3, 2.4.1.5)."""
    random, found = np.random.default_rng(1), b""
    for frame in range(frames):
        numbers = [(4, 3 * (band < 12)) for band in range(64)]
        numbers += [(6, int(one)) for one in random.integers(18, 30, 12)]
        numbers += [(4, int(one)) for one in random.integers(0, 15, 12 * 12)]
        bits = "".join(f"{number:0{width}b}" for width, number in numbers)
        # 60.95 slots of four bytes each.
        size = 4 * (60 + (frame % 20 > 0))
        found += (
            b"\xff\xff" + bytes([0x70 | (size > 240) << 1, 0]) + int(bits, 2).to_bytes(len(bits) // 8, "big")
        ).ljust(size, b"\0")
    return found


def test_mpeg_audio_of_the_first_layer_is_read_whole_or_said(tmp_path: Path) -> None:
    whole = make_first_layer(60)
    path = write(tmp_path / "song.mp1", whole)
    samples, note = read_whole(path)
    assert (len(samples), note) == (60 * 384, "")
    assert np.abs(samples - decode_with_ffmpeg(path)).max() < 1e-4
    for place, new in ((0, b"?"), (2, b"\0"), (0, bytes(4))):
        assert "begins with bytes that are no sound" in read_whole(write(path, replace(whole, place, new)))[1]
    assert "ends in the middle of a frame" in read_whole(write(path, whole[:-100]))[1]
    place = whole.index(b"\xff\xff", 5000)
    doubled = replace(whole, place + 2, bytes([0xE0 | whole[place + 2] & 0x0F]))
    assert "is broken at 0:00.1" in read_whole(write(path, doubled))[1]
    assert "is broken at 0:00.1" in read_whole(write(path, whole[:5000] + whole[5010:]))[1]
    read, note = read_whole(write(path, whole + whole))
    assert (len(read), note) == (120 * 384, "")


@needs_ffmpeg
def test_frame_of_an_mp3_that_says_twice_its_rate_is_damage(song: Path, tmp_path: Path) -> None:
    """The frame behind it would be lost without a word, for the one behind that begins where it says."""
    path = encode(song, tmp_path / "song.mp3", "-b:a", "128k", "-ar", "32000")
    whole = path.read_bytes()
    place = whole.index(b"\xff\xfb", len(whole) // 2)
    path.write_bytes(replace(whole, place + 2, bytes([0xD0 | whole[place + 2] & 0x0F])))
    assert "is damaged" in refuse(path)


def make_dst(frames: int) -> bytes:
    """Return a DSDIFF of frames of DST, none of which is packed."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack(">Q", len(data)) + data + bytes(len(data) & 1)

    shape = chunk(b"FS  ", struct.pack(">I", 2822400)) + chunk(b"CHNL", b"\0\2SLFTSRGT")
    about = chunk(b"PROP", b"SND " + shape + chunk(b"CMPR", b"DST \x0bDST Encoded"))
    sound = chunk(b"FRTE", struct.pack(">IH", frames, 75)) + chunk(b"DSTF", bytes(1 + 4704 * 2)) * frames
    return chunk(b"FRM8", b"DSD " + chunk(b"FVER", b"\1\5\0\0") + about + chunk(b"DST ", sound))


def test_dsdiff_of_dst_is_refused_for_its_rate_or_since_it_holds_none(tmp_path: Path) -> None:
    assert "has a sample rate of 352800 Hz" in refuse(write(tmp_path / "song.dff", make_dst(10)))
    assert identify(tmp_path / "song.dff").codec == "dst"
    assert "ends before any sound begins" in refuse(write(tmp_path / "song.dff", make_dst(0)))


def test_adif_is_refused_by_its_name(tmp_path: Path) -> None:
    assert "AAC behind an ADIF header" in refuse(write(tmp_path / "song.aac", b"ADIF" + bytes(5000)))


@pytest.mark.skipif(shutil.which("mpcenc") is None, reason="needs mpcenc")
def test_musepack_is_what_its_own_decoder_gives_or_refused(tmp_path: Path) -> None:
    song, path = tmp_path / "song.wav", tmp_path / "song.mpc"
    write_samples(song, make_song(2.0), subtype="PCM_16")
    subprocess.run(["mpcenc", "--silent", song, path], check=True, capture_output=True)
    subprocess.run(["mpcdec", path, tmp_path / "decoded.wav"], check=True, capture_output=True)
    other, plain = read_whole(tmp_path / "decoded.wav")[0], path.read_bytes()
    tag = b"ID3\x04\0\0\0\0\x0f\x50" + bytes(2000)
    for data in (plain, tag + tag + plain, plain + b"TAG" + bytes(125), plain + b"APETAGEX" + bytes(400)):
        read, note = read_whole(write(path, data))
        assert (len(read), note) == (88_200, "")
        assert np.abs(read - other).max() < 1e-4
    for lost in (1, 2, 3, 10, 100, len(plain) // 2):
        assert "is cut short" in refuse(write(path, plain[:-lost]))
        assert "is cut short" in refuse(write(path, tag + plain[:-lost]))
    for between in (b"", bytes(100), b"TAG" + bytes(125), b"some text"):
        assert "is several recordings joined" in refuse(write(path, plain + between + plain))
    middle = len(plain) // 2
    assert "is damaged at 0:0" in refuse(write(path, replace(plain, middle, bytes(200))))
    start = plain.index(b"SH") + 3
    end = start + plain[start - 1] - 3
    for at, new in ((8, b"\x80"), (start + 5, b"\x80"), (end - 2, b"\x3b"), (end - 1, b"\x00"), (start, b"\x00")):
        assert "is damaged" in refuse(write(path, replace(plain, at, new)))
    for count in (b"\x80\x80\x00", b"\x80\x81\x00", b"\x8a\xb1\x08"):
        head = replace(plain[start + 4 : end], 1, count)
        summed = replace(plain, start, zlib.crc32(head).to_bytes(4, "big") + head)
        assert "counts other samples than it holds" in refuse(write(path, summed))


def make_old_musepack(frames: int, told: int, last: int = 0, again: int | None = None, dying: int = 0) -> bytes:
    """Return a Musepack 7 of frames without sound: a length in 20 bits, and what it counts, in words of 32."""
    bits = "0" * 8 + f"{8:020b}{0:08b}" * frames + f"{last:011b}" + f"{8:020b}{0:08b}" * dying
    words = [int(bits[at : at + 32].ljust(32, "0"), 2) for at in range(0, len(bits), 32)]
    gapless = 1 << 31 | again << 20 if again else 0
    return b"MP+\7" + struct.pack("<5I", told, 1 << 30, 0, 0, gapless) + struct.pack(f"<{len(words)}I", *words)


def test_musepack_of_the_old_version_is_as_long_as_its_last_frame_says(tmp_path: Path) -> None:
    path = tmp_path / "song.mpc"
    for last, samples in ((0, 40 * 1152 - 481), (300, 39 * 1152 + 300), (1000, 40 * 1152 - 481)):
        for again in (None, last):
            assert len(read_whole(write(path, make_old_musepack(40, 40, last, again)))[0]) == samples
        for told in (0, 1, 20, 39, 41, 80, 1 << 30):
            assert "counts other samples than it holds" in refuse(write(path, make_old_musepack(40, told, last)))
    assert "counts other samples than it holds" in refuse(write(path, make_old_musepack(40, 40, 300, 299)))
    assert "is damaged at 0:00.2" in refuse(write(path, replace(make_old_musepack(40, 40), 56, bytes(8))))
    read, note = read_whole(write(path, make_old_musepack(40, 40, 1000, dying=1)))
    assert len(read) == 40 * 1152 - 481
    assert note == "song.mpc is read without its last 329 samples, which ffmpeg does not decode"
    whole = make_old_musepack(40, 40, 300)
    assert "is cut short" in refuse(write(path, whole[:-2]))
    for lost in range(4, 100, 4):
        refuse(write(path, whole[:-lost]))


@pytest.mark.parametrize("between", [b"", b"APETAGEX\xd0\x07\0\0\x64" + bytes(119)], ids=["bare", "tagged"])
def test_joined_musepack_of_the_old_version_is_refused(tmp_path: Path, between: bytes) -> None:
    plain = make_old_musepack(40, 40) + bytes(8)
    read, note = read_whole(write(tmp_path / "song.mpc", plain + between))
    assert (len(read), note) == (40 * 1152 - 481, "")

    for second in (plain, plain[:-30]):
        assert "is several recordings joined" in refuse(write(tmp_path / "song.mpc", plain + between + second))


def test_gsm_ends_in_front_of_its_tags(tmp_path: Path) -> None:
    song = write_samples(tmp_path / "song.wav", make_song(1.0, 8000)[:, :1], 8000, subtype="PCM_16")
    plain = encode(song, tmp_path / "song.gsm", "-c:a", "libgsm").read_bytes()
    whole, _ = read_whole(tmp_path / "song.gsm")
    assert len(whole) == 8000

    for behind in (b"TAG" + bytes(125), b"APETAGEX\xd0\x07\0\0\x64" + bytes(119), bytes(1000)):
        read, note = read_whole(write(tmp_path / "song.gsm", plain + behind))
        assert note == ""
        assert np.array_equal(read, whole)
    assert "is damaged at 0:0" in refuse(write(tmp_path / "song.gsm", replace(plain, 20 * 33, bytes(5))))


def test_joined_flv_is_refused(song: Path, tmp_path: Path) -> None:
    path = encode(song, tmp_path / "song.flv", "-c:a", "aac")
    assert "is several recordings joined" in refuse(write(path, 2 * path.read_bytes()))


def test_argo_that_counts_too_few_blocks_is_refused(song: Path, tmp_path: Path) -> None:
    path = encode(song, tmp_path / "song.argo", "-f", "argo_asf")
    data = path.read_bytes()
    assert read_whole(path)[1] == ""
    for blocks, words in ((0, "goes on after"), (500, "goes on after"), (5000, "is cut short")):
        assert words in refuse(write(path, replace(data, 24, struct.pack("<I", blocks))))
    twice, note = read_whole(write(path, data + data))
    assert len(twice) % 2 == 0
    assert "is 2 recordings joined in one file" in note


@pytest.mark.parametrize("form", ["w64", "caf"])
def test_what_sox_writes_into_a_pipe_is_read_whole(tmp_path: Path, form: str) -> None:
    samples = np.arange(FRAMES, dtype=np.int16)
    path = tmp_path / f"song.{form}"
    soundfile.write(path, samples[:0], 8000, subtype="PCM_16")
    # Its header says that it is empty, for sox cannot go back, and stands twice in front of the sound and once behind.
    head = path.read_bytes()
    assert len(head) < 5000
    path.write_bytes(head * 2 + samples.tobytes() + head)
    endian = ">" if form == "caf" else "<"
    written = samples.astype(f"{endian}i2").tobytes()
    for behind in (b"", bytes(3000), b"TAG" + bytes(125)):
        path.write_bytes(head * 2 + written + head + behind)
        read, note = read_whole(path)
        assert np.array_equal(read[:, 0] * 32768, samples), behind
        assert note == ""
    assert "is cut short" in refuse(write(path, head * 2 + written))
    assert "recordings joined" in refuse(write(path, 2 * (head * 2 + written + head)))
    assert "recordings joined" in refuse(write(path, head + 2 * (head + written)))


def test_voc_of_many_channels_is_not_left_to_packets_that_end_inside_a_sample(tmp_path: Path) -> None:
    samples = np.arange(3 * FRAMES, dtype=np.int16).reshape(-1, 3)
    sound, begin = samples.astype("<i2").tobytes(), b"Creative Voice File\x1a\x1a\0\x14\x01\x1f\x11"
    about = struct.pack("<IBBHI", 44100, 16, 3, 4, 0)
    data = begin + b"\x09" + (12 + 6000).to_bytes(3, "little") + about + sound[:6000]
    data += b"\2" + (len(sound) - 6000).to_bytes(3, "little") + sound[6000:]
    for behind in (b"\0", b"", bytes(100)):
        read, note = read_whole(write(tmp_path / "song.voc", data + behind))
        assert np.array_equal(read * 32768, samples)
        assert note == ""
    assert "is cut short" in refuse(write(tmp_path / "cut.voc", data[:-1000]))


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["g726", "flac"])
def test_wav_that_was_written_into_a_pipe_is_read_by_ffmpeg_as_well(song: Path, tmp_path: Path, codec: str) -> None:
    whole = encode(song, tmp_path / "song.wav", "-ac", "1", "-ar", "8000", "-c:a", codec)
    data, told = whole.read_bytes(), read_whole(whole)[0]
    at = data.index(b"data") + 4
    size = int.from_bytes(data[at : at + 4], "little")
    open_end = data[:4] + b"\xff" * 4 + data[8:at] + b"\xff" * 4 + data[at + 4 : at + 4 + size]
    read, note = read_whole(write(tmp_path / "piped.wav", open_end))
    assert np.array_equal(read, told)
    assert note == ""


def sum_page(page: bytes) -> bytes:
    """Return an Ogg page with its checksum (RFC 3533)."""
    found = 0
    for byte in (plain := page[:22] + bytes(4) + page[26:]):
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if found >> 31 else found << 1
    return plain[:22] + found.to_bytes(4, "little") + page[26:]


@needs_ffmpeg
def test_speex_that_ends_with_an_empty_packet_is_read_whole(song: Path, tmp_path: Path) -> None:
    encoders = subprocess.run(["ffmpeg", "-v", "quiet", "-encoders"], capture_output=True, check=True).stdout
    if b"libspeex" not in encoders:
        pytest.skip("this ffmpeg writes no Speex")
    data = encode(song, tmp_path / "song.ogg", "-ac", "1", "-ar", "16000", "-c:a", "libspeex").read_bytes()
    path, at = tmp_path / "empty.ogg", data.rindex(b"OggS")
    table = at + 27
    emptied = data[at : table - 1] + bytes([data[table - 1] + 1]) + data[table : table + data[table - 1]] + b"\0"
    path.write_bytes(data[:at] + sum_page(emptied + data[table + data[table - 1] :]))

    read, note = read_whole(path)

    assert (note, np.array_equal(read, read_whole(tmp_path / "song.ogg")[0])) == ("", True)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ((22050, 2, 16), "22050 Hz, its frames 44100 Hz"),
        ((44084, 2, 16), "44084 Hz, its frames 44100 Hz"),
        ((44100, 6, 16), "6 channels, its frames 2 channels"),
        ((48000, 2, 24), "48000 Hz and 24 bits, its frames 44100 Hz and 16 bits"),
    ],
)
def test_flac_whose_header_has_another_form_than_its_frames_is_read_as_these_say(
    form: tuple[int, int, int], said: str, tmp_path: Path
) -> None:
    song = write_samples(tmp_path / "song.flac", make_song(1), subtype="PCM_16")
    whole, _ = read_whole(song)
    data = bytearray(song.read_bytes())
    rate, channels, bits = form
    frames = int.from_bytes(data[18:26], "big") & 0xFFFFFFFFF
    data[18:26] = (rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | frames).to_bytes(8, "big")
    song.write_bytes(data)
    samples, note = read_whole(song)
    assert note == f"its header says {said}: read as these say"
    np.testing.assert_array_equal(samples, whole)
    info = identify(song)
    assert (info.sample_rate, info.channels, info.encoding) == (44100, 2, "pcm_16")


@pytest.mark.parametrize("rate", [44100, 8000, 11025, 37000, 50010, 88200])
@pytest.mark.parametrize(("channels", "subtype"), [(1, "PCM_S8"), (2, "PCM_24"), (6, "PCM_16")])
def test_flac_of_any_rate_depth_and_channels_has_no_note(
    rate: int, channels: int, subtype: str, tmp_path: Path
) -> None:
    song = write_samples(tmp_path / "song.flac", make_noise(5000, channels), rate, subtype)
    assert read_whole(song)[1] == ""
    assert identify(song).sample_rate == rate
