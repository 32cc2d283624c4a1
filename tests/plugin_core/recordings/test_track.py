"""Packets taken out of an MP4 by its own tables are byte for byte those of ffmpeg, or are left to ffmpeg."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_core.audio.probe import identify
from plugin_core.errors import SourceError
from plugin_core.recordings.content import pkt1, raw1
from plugin_core.recordings.digest import digest_of
from plugin_core.recordings.track import find_samples, read_samples
from tests.audio_files import make_once
from tests.plugin_core.recordings.songs import Songs, run
from tests.plugin_core.recordings.test_excerpts import trim

pytestmark = pytest.mark.usefixtures("ffmpeg")

FRAGMENTS = ("-c", "copy", "-frag_duration", "300000", "-movflags")
VIDEO = ("-f", "lavfi", "-i", "testsrc=s=64x64:d=3")
UNDERSTOOD: dict[str, tuple[str, tuple[str, ...]]] = {
    "plain": ("song.m4a", ("-c", "copy")),
    "fast start": ("song.m4a", ("-c", "copy", "-movflags", "+faststart")),
    "MP4": ("song.mp4", ("-c", "copy")),
    "MOV": ("song.mov", ("-c", "copy")),
    "3GP": ("song.3gp", ("-c", "copy")),
    "iPod": ("song.m4a", ("-c", "copy", "-f", "ipod")),
    "64 kbit/s mono": ("song.m4a", ("-ac", "1", "-c:a", "aac", "-b:a", "64k")),
    "other coder, 22 kHz": ("song.m4a", ("-ar", "22050", "-c:a", "aac", "-aac_coder", "fast", "-b:a", "96k")),
    "surround": ("song.m4a", ("-ac", "6", "-c:a", "aac")),
    "AC-3": ("song.mp4", ("-c:a", "ac3")),
    "E-AC-3": ("song.mp4", ("-c:a", "eac3")),
    "Opus": ("song.mp4", ("-c:a", "libopus")),
    "video first": ("song.mp4", (*VIDEO, "-map", "1:v", "-map", "0:a", "-c:v", "mpeg4", "-c:a", "copy")),
    "video after": ("song.mov", (*VIDEO, "-map", "0:a", "-map", "1:v", "-c:v", "mpeg4", "-c:a", "copy")),
    "fragments": ("song.m4a", (*FRAGMENTS, "+frag_keyframe+empty_moov")),
    "fragments, CMAF": ("song.m4a", (*FRAGMENTS, "+frag_keyframe+empty_moov+default_base_moof")),
    "fragments after a beginning": ("song.m4a", (*FRAGMENTS, "+frag_keyframe")),
    "fragments of a video": (
        "song.mp4",
        (*VIDEO, "-map", "1:v", "-map", "0:a", "-c:v", "mpeg4", "-c:a", "copy", *FRAGMENTS[2:], "+empty_moov"),
    ),
}
"""By name: the new file, and how ffmpeg makes it of the song in AAC."""


def ask_ffmpeg(path: Path) -> str:
    """Return the SHA-256 of all packets of the first audio track, as ffmpeg copies them."""
    command = ["ffmpeg", "-v", "error", "-ignore_editlist", "1", "-i", str(path), "-map", "0:a:0", "-c", "copy"]
    told = subprocess.run([*command, "-f", "data", "-"], capture_output=True, check=True).stdout
    return hashlib.sha256(told).hexdigest()


def read_own(path: Path) -> str | None:
    """Return the SHA-256 of what our tables give; None where they are left to ffmpeg."""
    with path.open("rb") as opened:
        samples = find_samples(path, opened.fileno())
    if samples is None:
        return None
    digest = hashlib.sha256()
    for piece in read_samples(path, samples, lambda: None):
        digest.update(piece)
    return digest.hexdigest()


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_packets_are_those_of_ffmpeg(songs: Songs, tmp_path: Path, name: str) -> None:
    new, options = UNDERSTOOD[name]
    run("ffmpeg", "-i", "{song}", *options, "{new}", song=songs.get("m4a"), new=tmp_path / new)
    assert read_own(tmp_path / new) == ask_ffmpeg(tmp_path / new)


def test_with_a_cover(songs: Songs, tmp_path: Path) -> None:
    new = tmp_path / "song.m4a"
    options = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic")
    run(
        "ffmpeg",
        "-i",
        "{song}",
        "-i",
        "{cover}",
        *options,
        "{new}",
        song=songs.get("m4a"),
        cover=songs.cover(),
        new=new,
    )
    assert read_own(new) == ask_ffmpeg(new) == ask_ffmpeg(songs.get("m4a"))


def test_compact_sizes(songs: Songs, tmp_path: Path) -> None:
    song = songs.copy("m4a", tmp_path)
    data = bytearray(song.read_bytes())
    start = at(data, b"stsz", 12)
    sizes = struct.unpack_from(f">{struct.unpack_from('>I', data, start - 4)[0]}I", data, start)
    put(data, b"stsz", 4, 16)
    struct.pack_into(f">{len(sizes)}H", data, start, *sizes)
    rename(data, b"stsz", b"stz2")
    song.write_bytes(data)
    assert read_own(song) == ask_ffmpeg(song) == ask_ffmpeg(songs.get("m4a"))


def test_the_edit_list_is_ignored(songs: Songs, tmp_path: Path) -> None:
    song = trim(songs.copy("m4a", tmp_path), [(1.0, 1.5)])
    assert read_own(song) == ask_ffmpeg(song) == ask_ffmpeg(songs.get("m4a"))


@pytest.mark.parametrize("options", [(), (*FRAGMENTS[2:], "+empty_moov")], ids=["tables", "fragments"])
def test_ten_minutes(songs: Songs, tmp_path: Path, options: tuple[str, ...]) -> None:
    new = tmp_path / "long.m4a"
    run(
        "ffmpeg", "-stream_loop", "239", "-i", "{song}", "-c", "copy", *options, "{new}", song=songs.get("m4a"), new=new
    )
    assert read_own(new) == ask_ffmpeg(new)


def test_neither_ffmpeg_nor_ffprobe_is_started(songs: Songs) -> None:
    def refuse(program: str) -> str:
        raise AssertionError(f"{program} was started")

    path = songs.get("m4a")
    assert digest_of(path, identify(path), which=refuse) == pkt1(ask_ffmpeg(path), None)


def test_exact_sound_in_an_mp4_is_told_by_its_samples(songs: Songs) -> None:
    assert read_own(songs.get("alac.m4a")) is None
    assert songs.hear("alac.m4a") == songs.hear("wav")


def at(data: bytearray, name: bytes, offset: int) -> int:
    """Return a place in the content of a box."""
    return data.index(name) + 4 + offset


def put(data: bytearray, name: bytes, offset: int, *numbers: int) -> None:
    struct.pack_into(f">{len(numbers)}I", data, at(data, name, offset), *numbers)


def rename(data: bytearray, old: bytes, new: bytes) -> None:
    data[at(data, old, -4) : at(data, old, 0)] = new


def cut(data: bytearray) -> None:
    """Cut the index off, which is last."""
    del data[at(data, b"stco", 4) :]


def refer(data: bytearray) -> None:
    """Make an edit list into a reference to its own track, as one of chapters."""
    rename(data, b"edts", b"tref")
    rename(data, b"elst", b"chap")


def free(data: bytearray) -> None:
    """Keep another index in a box that was freed; ffmpeg reads those as well."""
    index = data[at(data, b"moov", -8) :]
    rename(index, b"moov", b"free")
    data += index


ODD: dict[str, Callable[[bytearray], None]] = {
    "cut": cut,
    "sound is cut": lambda data: data.__delitem__(slice(at(data, b"mdat", 500), at(data, b"mdat", 9000))),
    "two indexes": lambda data: data.extend(data[at(data, b"moov", -8) :]),
    "a freed index": free,
    "a track of chapters": refer,
    "encrypted": lambda data: rename(data, b"mp4a", b"enca"),
    "in another file": lambda data: put(data, b"url ", 0, 0),
    "several descriptions": lambda data: put(data, b"stsd", 4, 2),
    "description of another": lambda data: put(data, b"stsc", 16, 2),
    "not AAC": lambda data: data.__setitem__(data.index(b"\x04\x80\x80\x80\x17\x40") + 5, 0x6B),
    "size of the first is 0": lambda data: put(data, b"stsz", 12, 0),
    "size of one is huge": lambda data: put(data, b"stsz", 12, 0xFFFFFFFF),
    "samples: too many": lambda data: put(data, b"stsz", 8, 0xFFFFFFFF),
    "samples: too few": lambda data: put(data, b"stsz", 8, 3),
    "samples: all alike, and huge": lambda data: put(data, b"stsz", 4, 0x7FFFFFFF),
    "samples: all alike, and many": lambda data: put(data, b"stsz", 4, 1, 0xFFFFFFFF),
    "chunks: too many": lambda data: put(data, b"stco", 4, 0xFFFFFFFF),
    "chunks: none": lambda data: put(data, b"stco", 4, 0),
    "chunks: beyond the end": lambda data: put(data, b"stco", 8, 0xFFFFFFF0),
    "alike: too many": lambda data: put(data, b"stsc", 4, 0xFFFFFFFF),
    "alike: none": lambda data: put(data, b"stsc", 4, 0),
    "alike: not from the first": lambda data: put(data, b"stsc", 8, 2),
    "alike: huge": lambda data: put(data, b"stsc", 12, 0xFFFFFFFF),
    "a box that ends before it begins": lambda data: put(data, b"stbl", -8, 4),
    "a box that is as large as what is in it": lambda data: put(data, b"stsd", -8, 0xFFFFFFFF),
    "a box without an end": lambda data: put(data, b"stts", -8, 0),
    "two tables": lambda data: rename(data, b"stts", b"stco"),
    "no table": lambda data: rename(data, b"stsc", b"free"),
    "a track of nothing": lambda data: rename(data, b"minf", b"free"),
    "no sound": lambda data: rename(data, b"soun", b"text"),
    "samples that hang on others": lambda data: rename(data, b"sgpd", b"stss"),
}
"""What is done to the song, by name."""


@pytest.mark.parametrize("name", ODD)
def test_odd_tables_are_left_to_ffmpeg(songs: Songs, tmp_path: Path, name: str) -> None:
    song = songs.copy("m4a", tmp_path)
    data = bytearray(song.read_bytes())
    ODD[name](data)
    song.write_bytes(data)
    assert_left_to_ffmpeg(song)


def assert_left_to_ffmpeg(song: Path) -> None:
    """Check that a song is known by the packets that ffmpeg finds, or by its bytes where that finds none."""
    assert read_own(song) is None
    told = digest_of(song)
    if told.startswith("pkt1:"):
        assert told == pkt1(ask_ffmpeg(song), None)
    else:
        assert told == raw1(hashlib.sha256(song.read_bytes()).hexdigest())


FRAGMENT_ODD: dict[str, Callable[[bytearray], None]] = {
    "samples: too many": lambda data: put(data, b"trun", 4, 0xFFFFFFFF),
    "a size of 0": lambda data: put(data, b"trun", 12, 0, 0),
    "offset before the file": lambda data: put(data, b"trun", 8, 0xFFFFFF00),
    "offset beyond the end": lambda data: put(data, b"trun", 8, 0x7FFFFFFF),
    "no offset": lambda data: put(data, b"trun", 0, 0x200),
    "offset of offsets is huge": lambda data: put(data, b"tfhd", 8, 0xFFFFFFFF, 0xFFFFFFFF),
    "description of another": lambda data: put(data, b"trex", 8, 2),
    "no defaults": lambda data: put(data, b"trex", 4, 9),
    "a fragment within itself": lambda data: rename(data, b"traf", b"moof"),
    "no index": lambda data: rename(data, b"moov", b"free"),
}


@pytest.mark.parametrize("name", FRAGMENT_ODD)
def test_odd_fragments_are_left_to_ffmpeg(songs: Songs, tmp_path: Path, name: str) -> None:
    options = ("ffmpeg", "-i", "{song}", *FRAGMENTS, "+frag_keyframe+empty_moov", "{new}")
    whole = make_once(songs.folder / "fragments.m4a", lambda new: run(*options, song=songs.get("m4a"), new=new))
    assert read_own(whole) is not None
    song = Path(shutil.copy(whole, tmp_path / "song.m4a"))
    data = bytearray(song.read_bytes())
    FRAGMENT_ODD[name](data)
    song.write_bytes(data)
    assert_left_to_ffmpeg(song)


def test_one_that_becomes_shorter_is_one_line(songs: Songs, tmp_path: Path) -> None:
    song = songs.copy("m4a", tmp_path)
    with song.open("rb") as opened:
        samples = find_samples(song, opened.fileno())
    assert samples is not None
    song.write_bytes(song.read_bytes()[:20_000])
    with pytest.raises(SourceError, match="is being written"):
        list(read_samples(song, samples, lambda: None))
