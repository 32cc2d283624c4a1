"""A first ID3v2 tag hides tags of other kinds from most players, so it says what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen import apev2
from mutagen.id3 import ID3

from plugin_core.tags.reader import read_fields, read_tags
from plugin_core.tags.tagger import Writing, restore_exactly
from tests.plugin_core.tags.tagged_files import JPEG, make_audio
from tests.plugin_core.tags.test_tagger import label

ID3V1 = b"TAG" + b"".join(word.ljust(30, b"\0") for word in (b"A title cut", b"Ann", b"Old")) + b"1999"
ID3V1 += b"Hello".ljust(28, b"\0") + b"\0\x05\xff"
INFO = b"INFO" + b"INAM\x06\0\0\0A song" + b"IART\x04\0\0\0Ann\0" + b"IGNR\x06\0\0\0Blues\0"


def write_ape(path: Path) -> bytes:
    """Give a file an APEv2 tag and return it."""
    size, tags = path.stat().st_size, apev2.APEv2()
    tags["Title"], tags["Artist"], tags["Track"], tags["Mood"] = "A title", ["Ann", "Bob"], "3/12", "Happy"
    tags["REPLAYGAIN_TRACK_GAIN"] = "-6 dB"
    tags["Cover Art (Front)"] = apev2.APEValue(b"cover.jpg\0" + JPEG, apev2.BINARY)
    tags.save(path)
    return path.read_bytes()[size:]


@pytest.mark.parametrize("behind", [b"", ID3V1], ids=["alone", "and-id3v1"])
@pytest.mark.parametrize("kind", ["mp3", "tta"])
def test_apev2(tmp_path: Path, kind: str, behind: bytes) -> None:
    path = tmp_path / f"song.{kind}"
    path.write_bytes(_tta() if kind == "tta" else make_audio(tmp_path / "plain.mp3").read_bytes())
    ape = write_ape(path)
    path.write_bytes(path.read_bytes() + behind)
    before = path.read_bytes()
    written = label(path, policy="fill")
    if kind == "tta":
        # Players built on ffmpeg read nothing but APEv2 there.
        assert apev2.APEv2(path)["Genre"] == "Rock" and path.read_bytes().endswith(behind)
    else:
        assert path.read_bytes().endswith(before[-len(ape + behind) :])
    tags: Any = mutagen.File(path).tags
    assert (tags["TIT2"].text, tags["TPE1"].text, tags["TRCK"].text) == (["A title"], ["Ann", "Bob"], ["3/12"])
    assert (tags["TMOO"].text, tags["TCON"].text) == (["Happy"], ["Rock"])
    assert tags["TXXX:REPLAYGAIN_TRACK_GAIN"].text == ["-6 dB"]
    assert tags["APIC:"].data == JPEG
    assert ("TALB" in tags) == bool(behind)
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


def test_id3v1_comment_becomes_a_plain_one(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "song.mp3")
    path.write_bytes(path.read_bytes() + ID3V1)
    label(path)
    tags = ID3(path, load_v1=False)
    assert [frame.desc for frame in tags.getall("COMM")] == [""]
    assert (tags.getall("COMM")[0].text, tags["TDRC"].text[0].text) == (["Hello"], "1999")


def test_list_info_of_a_wav(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "song.wav")
    data = path.read_bytes() + b"LIST" + len(INFO).to_bytes(4, "little") + INFO
    before = data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]
    path.write_bytes(before)
    written = label(path, policy="fill")
    tags: Any = mutagen.File(path).tags
    assert (tags["TIT2"].text, tags["TPE1"].text, tags["TCON"].text) == (["A song"], ["Ann"], ["Blues"])
    assert INFO in path.read_bytes()
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


def test_file_that_has_id3v2_inherits_nothing(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "song.mp3")
    label(path)
    write_ape(path)
    label(path, labels="zh")
    assert read_fields(path)["mood"] == ("安静",)
    assert "title" not in read_tags(path).fields


def _tta() -> bytes:
    """Return the head of a True Audio file and some of what would be its frames."""
    return b"TTA1\1\0\2\0\x10\0\x44\xac\0\0\x10\0\0\0" + bytes(4) + bytes(range(256)) * 8
