from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen import apev2, flac, id3

from plugin_core.errors import SourceError
from plugin_core.tags.fields import TagSet
from plugin_core.tags.reader import read_tags
from tests.plugin_core.tags.tagged_files import JPEG, PNG, make_audio, make_source, need


def test_list_info_fills_what_the_id3_chunk_lacks(tmp_path: Path) -> None:
    need("ffmpeg")
    path = tmp_path / "info.wav"
    plain = make_audio(tmp_path / "plain.wav")
    texts = ["-metadata", "title=Info title", "-metadata", "artist=Info artist"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", plain, *texts, path], check=True)
    assert read_tags(path).fields == {"title": ("Info title",), "artist": ("Info artist",)}
    audio: Any = mutagen.File(path)
    audio.add_tags()
    audio.tags.add(id3.TIT2(encoding=3, text="ID3 title"))
    audio.save()
    assert read_tags(path).fields == {"title": ("ID3 title",), "artist": ("Info artist",)}


def test_an_mp3_with_ape_tags_only(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "ape.mp3")
    tags = apev2.APEv2()
    tags.update({"Title": "Song", "Track": "3"})
    tags.save(path)
    assert read_tags(path).fields == {"title": ("Song",), "tracknumber": ("3",)}


def test_an_mp3_with_id3v1_only(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "v1.mp3")
    fields = b"Song".ljust(30, b"\0") + b"Ann".ljust(30, b"\0") + bytes(30) + b"2001" + b"Hi".ljust(28, b"\0")
    path.write_bytes(path.read_bytes() + b"TAG" + fields + b"\0\x07\x11")
    expected = {"title": "Song", "artist": "Ann", "date": "2001", "comment": "Hi", "tracknumber": "7", "genre": "Rock"}
    assert read_tags(path).fields == {name: (value,) for name, value in expected.items()}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(["03/12"], {"tracknumber": ("03",), "totaltracks": ("12",)}, id="both"),
        pytest.param(["0/12"], {"totaltracks": ("12",)}, id="total-only"),
        pytest.param(["3/"], {"tracknumber": ("3",)}, id="number-only"),
        pytest.param(["A1"], {"tracknumber": ("A1",)}, id="vinyl"),
        pytest.param(["0"], {}, id="zero"),
    ],
)
def test_numbers_come_apart(texts: list[str], expected: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    path = make_audio(tmp_path / "a.flac")
    audio = flac.FLAC(path)
    audio["tracknumber"] = texts
    audio.save()
    assert read_tags(path).fields == expected


def test_one_broken_picture_does_not_hide_the_others(tmp_path: Path) -> None:
    path = make_source(tmp_path, "ogg")
    audio: Any = mutagen.File(path)
    audio.tags["metadata_block_picture"] = ["!!!", "AAAA", *audio.tags["metadata_block_picture"]]
    audio.save()
    found = read_tags(path)
    assert [picture.data for picture in found.pictures] == [JPEG]
    assert found.fields["title"] == ("Sông",)


def test_a_huge_cover_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = make_source(tmp_path, "mp3")
    audio: Any = mutagen.File(path)
    audio.tags.add(id3.APIC(encoding=0, mime="image/png", type=4, desc="big", data=PNG.ljust(20_000_000, b"\0")))
    audio.save()
    assert [picture.data for picture in read_tags(path).pictures] == [JPEG]
    assert "20000000 bytes" in caplog.text


def test_what_mutagen_does_not_know_has_no_tags(tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    path.write_bytes(b"\x1aE\xdf\xa3" + bytes(100))
    assert read_tags(path) == TagSet()


def test_broken_tags_are_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.flac"
    path.write_bytes(b"fLaC" + b"\xff" * 64)
    with pytest.raises(SourceError, match=r"the tags of .*broken\.flac cannot be read"):
        read_tags(path)


@pytest.mark.parametrize("kind", ["mp3", "flac", "m4a", "wma", "wv", "opus", "wav"])
def test_damage_anywhere_is_tags_or_an_error_for_people(kind: str, tmp_path: Path) -> None:
    whole = make_source(tmp_path, kind).read_bytes()
    path = tmp_path / f"damaged.{kind}"
    for seed in range(60):
        place = seed * 41 % min(len(whole), 6000)
        damaged = bytearray(whole)
        damaged[place : place + 4] = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\x00\xff\x01")[seed % 3]
        path.write_bytes(damaged if seed % 4 else whole[:place])
        try:
            found = read_tags(path)
        except SourceError as error:
            assert "damaged" in error.message
        else:
            assert "\0" not in "".join(value for values in found.fields.values() for value in values)
