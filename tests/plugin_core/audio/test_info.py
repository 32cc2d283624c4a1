"""Sound begins on the right sample and ends on the right one, whatever its container says: exact, or refused."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from mutagen.asf import ASF
from mutagen.asf._attrs import ASFByteArrayAttribute
from mutagen.mp4 import MP4, MP4FreeForm

from plugin_core.audio import ogg
from plugin_core.audio.formats import M4A, MP3
from plugin_core.audio.probe import probe
from plugin_core.audio.samples import Samples
from plugin_core.audio.source_file import open_file, read_pieces
from plugin_core.audio.writer import open_writer
from plugin_core.errors import SourceError
from tests.audio_files import encode, make_noise, make_song, shared_folder, write_samples
from tests.plugin_core.audio.library import RATE, decode_with_ffmpeg, read_whole, refuse
from tests.plugin_core.audio.shorts import FRAGMENTED, FRAMES, INDEXED, OPTIONS, TELL, Shorts, lag_of, set_edits
from tests.plugin_core.audio.test_probe import needs_ffmpeg

pytestmark = needs_ffmpeg

EXACT = ("alac.m4a", "pcm.mov", "video.mov", "flac.mkv", "s.wv", "s.tta", "flac.oga")
ENDED = {"aac.m4a": FRAMES, "exact.m4a": FRAMES, "video.mp4": FRAMES, "mp3.mp4": FRAMES, "opus.mp4": 108_847}
"""Where ffmpeg, before its version 7, plays what the encoder added at the end, and we do not."""

_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360000000020001e221bc33"
    "0000000049454e44ae426082"
)
"""A PNG."""


@pytest.fixture(scope="session")
def shorts(tmp_path_factory: pytest.TempPathFactory) -> Shorts:
    return Shorts(shared_folder(tmp_path_factory, "shorts"))


@pytest.mark.parametrize("name", OPTIONS)
def test_whole_file_is_what_ffmpeg_decodes_without_the_padding(shorts: Shorts, name: str) -> None:
    read, note = read_whole(shorts.file(name))
    other = decode_with_ffmpeg(shorts.file(name))
    if name == "video.wmv":
        # A packet that gives no sound comes before the first picture, another with it.
        assert not read[:2029].any()
        read = read[2029:]

    assert note == ""
    assert len(read) == ENDED.get(name, len(other))
    assert np.abs(read - other[: len(read)]).max() <= (2e-2 if name == "s.opus" else 2e-4 if "." in name else 0)
    if name in EXACT:
        assert np.array_equal(read, read_whole(shorts.folder / "s.wav")[0])


@pytest.mark.parametrize("name", OPTIONS)
def test_file_cut_at_twenty_places_is_refused_or_whole(shorts: Shorts, tmp_path: Path, name: str) -> None:
    whole = shorts.file(name).read_bytes()
    lost = [1, 2, 10, 100, *np.random.default_rng(1).integers(500, int(len(whole) * 0.98), 16)]
    for count in lost:
        path = tmp_path / name
        path.write_bytes(whole[:-count])
        if name in ("fragments.m4a", "s.tta", "s.wv", "video.wmv") and count <= (100 if name == "video.wmv" else 10):
            # An index for those who seek, or a tag, comes after the sound.
            assert np.array_equal(read_whole(path)[0], shorts.read(name))
            continue
        said = refuse(path)
        assert "is cut short" in said or "is damaged" in said, count


@pytest.mark.parametrize(
    ("name", "field", "told"),
    # None, too few and too many in every field; a few or far too many by turns.
    [
        (*field, told)
        for number, field in enumerate(TELL)
        for told in ((0, FRAMES // 2, FRAMES + 5000), (1, FRAMES - 5000, 2 * FRAMES))[number % 2]
    ],
)
def test_header_that_tells_another_length_loses_nothing(
    shorts: Shorts, tmp_path: Path, name: str, field: str, told: int
) -> None:
    data = bytearray(shorts.file(name).read_bytes())
    TELL[name, field](data, told)
    path = tmp_path / name
    path.write_bytes(data)
    try:
        read, note = read_whole(path)
    except SourceError as error:
        assert field in ("samples", "granule"), "the others can be put right"
        assert "damaged" in str(error) or "is cut short" in str(error)
        return
    whole = shorts.read(name)
    common = min(len(read), len(whole))
    assert np.array_equal(read[:common], whole[:common])
    if field == "granule":
        # The last page may end early: that is how Ogg is cut to the sample.
        assert len(read) > len(whole) - 10_000
    elif field == "stts":
        assert -32 <= len(read) - len(whole) < 1024, "an edit list in milliseconds is all that is left"
    else:
        assert len(read) == len(whole)
    if abs(told - FRAMES) > RATE // 2 and field in ("play", "total") and (told > 1 or field == "total"):
        assert "though its header says" in note


@cache
def decode_all(path: Path) -> Samples:
    command = ["ffmpeg", "-v", "error", "-ignore_editlist", "1", "-i", str(path), "-f", "f32le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, "<f4").reshape(-1, 2)


@pytest.mark.parametrize("name", ["exact.m4a", "alac.m4a"])
@pytest.mark.parametrize(
    "edits",
    [
        [(50_000, 5_000)],
        [(50_000, 5_120)],
        [(50_000, 1_024)],
        [(20_000, 1_024), (30_000, 41_024)],
        [(20_000, 1_024), (30_000, 21_024)],
        [(20_000, 1_024), (10_000, -1), (30_000, 21_024)],
        [(98_979, 1_024)],
        [(500_000, 1_024)],
    ],
    ids=["middle", "on a frame", "beginning", "two", "two that meet", "a gap", "to the end", "too long"],
)
def test_edit_list_is_played_to_the_sample(
    shorts: Shorts, tmp_path: Path, name: str, edits: list[tuple[int, int]]
) -> None:
    path = tmp_path / name
    path.write_bytes(set_edits(shorts.file(name).read_bytes(), edits))
    track = decode_all(shorts.file(name))[: FRAMES + (1024 if name == "exact.m4a" else 0)]
    parts = [np.zeros((length, 2)) if start < 0 else track[start : start + length] for length, start in edits]
    wanted = np.concatenate(parts)

    read, note = read_whole(path)

    assert np.array_equal(read, wanted)
    assert probe(path).frames == len(wanted)
    assert ("by its edit list" in note) == (len(wanted) < len(track) - RATE // 2)


def test_edit_list_that_plays_backwards_is_refused(shorts: Shorts, tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(set_edits(shorts.file("exact.m4a").read_bytes(), [(20_000, 31_024), (30_000, 1_024)]))

    assert "plays parts of its sound in another order" in refuse(path)


def test_apples_note_of_padding_is_heeded(shorts: Shorts, tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    shutil.copy(shorts.file("plain.m4a"), path)
    assert len(read_whole(path)[0]) == 101_376
    tags = MP4(path)
    if tags.tags is None:
        tags.add_tags()
    numbers = [f"{number:08X}" for number in (0, 1024, 349)] + [f"{FRAMES:016X}"] + ["00000000"] * 8
    tags["----:com.apple.iTunes:iTunSMPB"] = MP4FreeForm(f" {' '.join(numbers)}".encode(), dataformat=1)
    tags.save()

    read, note = read_whole(path)

    assert len(read) == FRAMES
    assert np.array_equal(read, shorts.read("exact.m4a"))
    assert note == ""


@pytest.mark.parametrize(
    "name", ["video.mp4", "video.mov", "video.mkv", "flac.mkv", "video.webm", "video.flv", "video.avi"]
)
def test_sound_that_starts_late_begins_with_silence(shorts: Shorts, name: str) -> None:
    read, note = read_whole(shorts.late(name))
    rate = probe(shorts.late(name)).sample_rate
    early, _ = read_whole(shorts.file(name))

    # Containers tell time in milliseconds, and the encoder's own delay comes on top.
    assert lag_of(read, early) / rate == pytest.approx(1.25, abs=0.035)
    assert not read[: int(1.2 * rate)].any()
    assert note == ""


def test_cover_of_a_wma_puts_nothing_before_its_sound(shorts: Shorts, tmp_path: Path) -> None:
    path = tmp_path / "song.wma"
    path.write_bytes(shorts.file("s.wma").read_bytes())
    tags = ASF(path)
    kind, size = b"\x03", len(_PIXEL).to_bytes(4, "little")
    mime = "image/png".encode("utf-16-le") + bytes(4)
    tags["WM/Picture"] = ASFByteArrayAttribute(kind + size + mime + _PIXEL)
    tags.save()
    assert np.array_equal(read_whole(path)[0], shorts.read("s.wma"))


@pytest.mark.parametrize("name", ["video.webm", "video.wmv"])
def test_late_sound_of_a_primed_codec_begins_where_ffmpeg_puts_it(shorts: Shorts, name: str) -> None:
    path = shorts.late(name)
    read, _ = read_whole(path)
    assert abs(lag_of(read, place_with_ffmpeg(path))) <= 48, "a millisecond, of which Matroska's time is made"


def place_with_ffmpeg(path: Path) -> Samples:
    """Return what ffmpeg decodes, with silence where there is no sound."""
    command = [
        *("ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a:0"),
        *("-af", "aresample=async=1:first_pts=0:min_hard_comp=0.001", "-f", "f32le", "-"),
    ]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<f4").reshape(-1, 2)


@pytest.mark.parametrize("name", FRAGMENTED)
def test_late_sound_in_fragments_is_at_its_place(shorts: Shorts, name: str) -> None:
    path = shorts.late(name)
    read, note = read_whole(path)
    placed = place_with_ffmpeg(path)
    assert (len(read), note) == (len(placed), "")
    # ffmpeg plays the packet that lasts too long at 0, before the silence, not after it.
    begin = int(1.25 * probe(path).sample_rate) + (4608 if name == "flac.mp4" else 1024)
    assert np.array_equal(read[begin:], placed[begin:])
    assert not read[: begin - 5632].any()


@pytest.mark.parametrize("name", INDEXED)
def test_late_sound_of_which_only_the_index_at_the_end_tells_is_at_its_place(shorts: Shorts, name: str) -> None:
    read, note = read_whole(shorts.late(name))
    # The encoder's own 1024 samples precede the sound.
    silence = round(1.25 * RATE) - 1024
    assert np.array_equal(read[silence:], decode_with_ffmpeg(shorts.late(name)))
    assert not read[:silence].any()
    assert note == ""


def test_sound_that_begins_after_the_pictures_have_ended_does_not(shorts: Shorts, tmp_path: Path) -> None:
    """A damaged index, by which there would be hours of silence."""
    data = bytearray(shorts.late("cmaf.mp4").read_bytes())
    place = data.index(b"tfra", data.index(b"tfra") + 4) + 20
    data[place : place + 8] = (RATE * 36_000).to_bytes(8, "big")
    path = tmp_path / "song.mp4"
    path.write_bytes(data)
    assert np.array_equal(read_whole(path)[0], decode_with_ffmpeg(path))


def tell_fragments(data: bytes, track: int, begin: int) -> bytes:
    """Let the fragments of a track begin later."""
    changed = bytearray(data)
    at = -1
    while (at := data.find(b"tfhd", at + 1)) >= 0:
        if int.from_bytes(data[at + 8 : at + 12], "big") == track:
            place = data.index(b"tfdt", at) + 8
            changed[place : place + 8] = (int.from_bytes(data[place : place + 8], "big") + begin).to_bytes(8, "big")
    return bytes(changed)


def test_fragments_that_begin_late_are_at_their_place_or_all_there_is(shorts: Shorts, tmp_path: Path) -> None:
    early, _ = read_whole(shorts.late("flac.mp4"))
    both = tmp_path / "both.mp4"
    both.write_bytes(tell_fragments(shorts.late("flac.mp4").read_bytes(), 2, RATE))
    read, note = read_whole(both)
    assert (len(read), note) == (len(early) + RATE, "")
    assert np.array_equal(read[RATE:], early)
    alone = tmp_path / "alone.m4a"
    alone.write_bytes(tell_fragments(shorts.file("fragments.m4a").read_bytes(), 1, 5 * RATE))
    read, note = read_whole(alone)
    assert np.array_equal(read, shorts.read("fragments.m4a"))
    assert note == ""


def test_fragments_of_one_time_are_all_read(shorts: Shorts, tmp_path: Path) -> None:
    data = bytearray(shorts.late("aac.mp4").read_bytes())
    places = [one.start() + 8 for one in re.finditer(b"tfdt", data)]
    times = [place for place in places if data[data.rindex(b"tfhd", 0, place) + 11] == 2]
    data[times[2] : times[2] + 8] = data[times[1] : times[1] + 8]
    path = tmp_path / "song.mp4"
    path.write_bytes(data)
    assert len(decode_with_ffmpeg(path)) < len(decode_with_ffmpeg(shorts.late("aac.mp4"))), "it leaves some out"
    read, note = read_whole(path)
    assert np.array_equal(read, read_whole(shorts.late("aac.mp4"))[0])
    assert note == ""


def test_late_sound_of_realmedia_begins_when_its_packets_say(shorts: Shorts, tmp_path: Path) -> None:
    shorts.file("s.ogg")
    path = tmp_path / "late.rm"
    picture = ("-f", "lavfi", "-i", "testsrc=d=3:s=64x64:r=25", "-map", "1:v", "-map", "0:a", "-c:v", "rv10")
    encode(shorts.folder / "s.wav", path, *picture, "-c:a", "ac3")
    early, _ = read_whole(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"DATA") + 18
    while len(head := data[at : at + 10]) == 10 and not head[0]:
        _, size, stream, told = struct.unpack(">HHHI", head)
        struct.pack_into(">I", data, at + 6, told + 750 * stream)
        at += size
    path.write_bytes(data)
    read, note = read_whole(path)
    assert (len(read), note) == (len(early) + 33_075, "")
    assert np.array_equal(read[33_075:], early)
    assert not read[:33_075].any()


def test_late_sound_of_an_ogg_video_is_read_whole(shorts: Shorts, tmp_path: Path) -> None:
    sound = ("-itsoffset", "0.5", "-i", shorts.file("s.ogg"), "-map", "0:v", "-map", "1:a", "-c:v", "libtheora")
    picture = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=5:d=3")
    path, short = tmp_path / "late.ogv", tmp_path / "short.ogv"
    subprocess.run([*picture, *sound, "-c:a", "copy", path], check=True)
    read, note = read_whole(path)
    assert (len(read), note) == (len(shorts.read("s.ogg")) + RATE // 2, "")
    subprocess.run([*picture, *sound, "-c:a", "libopus", path, "-y"], check=True)
    assert read_whole(path)[1] == ""
    # Of a single page ffmpeg does not tell that it begins late.
    subprocess.run([*picture, *sound, "-c:a", "libvorbis", "-t", "1", short], check=True)
    read, note = read_whole(short)
    assert len(read) == pytest.approx(RATE // 2, abs=1024)
    assert "all that it holds was read" in note


def test_flac_that_begins_late_in_an_ogg_video_does_and_is_read_whole(shorts: Shorts, tmp_path: Path) -> None:
    """ffprobe takes it to begin with the file."""
    late = ("-itsoffset", "0.5", "-i", shorts.file("s.ogg"), "-map", "0:v", "-map", "1:a", "-c:v", "libtheora")
    picture = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=3")
    path, cut = tmp_path / "late.ogv", tmp_path / "cut.ogv"
    subprocess.run([*picture, *late, "-c:a", "flac", path], check=True)
    sound = decode_with_ffmpeg(path)
    read, note = read_whole(path)
    assert (len(read), note) == (len(sound) + RATE // 2, "")
    assert np.array_equal(read[RATE // 2 :], sound)
    # Its pages then count less than they hold.
    subprocess.run(["ffmpeg", "-v", "error", "-ss", "0.53", "-i", path, "-c", "copy", cut], check=True)
    read, note = read_whole(cut)
    assert np.array_equal(read[-len(sound) :], sound)
    assert "than its header says" in note


@pytest.mark.skipif(shutil.which("mkvmerge") is None, reason="mkvmerge is not installed")
def test_what_mkvmerge_counts_of_a_late_or_appended_stream_is_right(shorts: Shorts, tmp_path: Path) -> None:
    """It counts from where a stream begins, and rounds times so that the second part's do not follow the first's."""
    song, path = encode(shorts.file("alac.m4a"), tmp_path / "alac.mka", "-c", "copy"), tmp_path / "s.mka"
    whole = shorts.read("alac.m4a")
    for command, count in ((("--sync", "-1:700", song), 1), ((song, "+", song), 2)):
        subprocess.run(["mkvmerge", "-q", "-o", path, *command], check=True)
        read, note = read_whole(path)
        assert (np.array_equal(read, np.concatenate([whole] * count)), note) == (True, "")


@pytest.mark.usefixtures("shorts")
def test_drum_strokes_in_our_m4a_are_those_of_the_song(tmp_path: Path) -> None:
    fall = np.exp(-(np.arange(2 * RATE) % (RATE // 4)) / 800.0)[:, None]
    strokes = (make_noise(2 * RATE, peak=0.5)[:, :1] * fall * np.ones(2)).astype(np.float32)
    path = tmp_path / "drums.m4a"
    with open_writer(path, sample_rate=RATE, channels=2, format=M4A) as writer:
        writer.write(strokes)

    error = read_whole(path)[0] - strokes

    assert (error**2).mean() < (strokes**2).mean() / 30


@pytest.mark.parametrize("frames", [RATE, FRAMES, 44_032, 15 * RATE + 1], ids=["second", "odd", "frames", "long"])
@pytest.mark.parametrize("chosen", [M4A, MP3], ids=["m4a", "mp3"])
def test_our_own_files_are_exact_when_read_back(tmp_path: Path, frames: int, chosen: object) -> None:
    form = M4A if chosen is M4A else MP3
    song = make_song(frames / RATE)[:frames] if frames < 15 * RATE else make_noise(frames, peak=0.3)
    path = tmp_path / f"a{form.suffix}"
    with open_writer(path, sample_rate=RATE, channels=2, format=form) as writer:
        writer.write(song)

    read, note = read_whole(path)

    assert len(read) == frames
    assert lag_of(read[:RATE], song[:RATE]) == 0
    assert note == ""


def test_video_whose_sound_is_shorter_is_whole(shorts: Shorts) -> None:
    for name in ("video.mkv", "video.webm", "video.flv", "video.mp4", "video.avi"):
        assert probe(shorts.file(name)).duration == pytest.approx(FRAMES / RATE, abs=0.05)


def test_an_ogg_without_flac_is_not_read_for_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = write_samples(tmp_path / "song.ogg", make_noise(10 * 44100))
    given: list[int] = []

    def count(path: Path, descriptor: int) -> Iterator[bytes]:
        for piece in read_pieces(path, descriptor):
            given.append(len(piece))
            yield piece

    monkeypatch.setattr(ogg, "read_pieces", count)
    with open_file(song) as descriptor:
        assert ogg.measure_late_flac(song, descriptor) == 0
    assert len(given) == 1
