from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import mutagen
import pytest
import soundfile
from mutagen import id3

from plugin_core.errors import PlacementError, StembridgeError, TransientError
from plugin_core.operations.stem_tags import is_own_work, make_tagger, read_provenance, tag_stem
from plugin_core.tags.reader import read_tags
from tests.audio_files import make_noise, write_song
from tests.plugin_core.tags.tagged_files import (
    JPEG,
    SOURCES,
    STEMS,
    audio_digest,
    make_audio,
    make_source,
    probe,
)

PROVENANCE = {"provider": "mvsep", "model": "Ensemble", "source": "Sông.flac"}
JSON = '{"provider":"mvsep","model":"Ensemble","source":"Sông.flac"}'

EXPECTED = {
    "title": ("Sông - Vocals",), "artist": ("Ann", "Bob"), "albumartist": ("Ann",), "album": ("Album",),
    "date": ("2001",), "genre": ("Rock", "Pop"), "tracknumber": ("3",), "totaltracks": ("12",), "discnumber": ("1",),
    "totaldiscs": ("2",), "composer": ("Cy",), "bpm": ("128",), "key": ("Am",), "isrc": ("USS1Z9900001",),
    "label": ("Label",), "language": ("eng",), "mood": ("Happy",), "comment": ("A comment",),
    "musicbrainz_albumid": ("album-id",), "musicbrainz_recordingid": ("recording-id",), "provenance": (JSON,),
}  # fmt: skip


def copy_tags(source: Path, stem: Path) -> None:
    tag_stem(source, stem, stem_title="Vocals", provenance=PROVENANCE)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.fixture
def source(request: pytest.FixtureRequest, sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind: str = request.param
    if kind not in sources:
        sources[kind] = make_source(tmp_path_factory.mktemp("sources"), kind)
    return sources[kind]


def raw_texts(path: Path) -> dict[str, Any]:
    """Read the keys that players look for, with mutagen alone."""
    audio: Any = mutagen.File(path)
    tags = audio.tags
    if isinstance(tags, id3.ID3):
        frames = ("TIT2", "TPE1", "TCON", "TRCK", "TMOO", "TXXX:MOOD", "TXXX:STEMBRIDGE")
        found = {name: [str(text) for text in tags[name].text] for name in frames}
        return found | {"UFID": tags["UFID:http://musicbrainz.org"].data, "COMM": tags["COMM::eng"].text}
    if path.suffix == ".m4a":
        prefix = "----:com.apple.iTunes:"
        free = {name: [bytes(one).decode() for one in tags[prefix + name]] for name in ("MOOD", "STEMBRIDGE")}
        return free | {name: tags[name] for name in ("©nam", "©ART", "©gen", "trkn", "tmpo")}
    names = ("TITLE", "ARTIST", "GENRE", "TRACKNUMBER", "TRACKTOTAL", "TOTALTRACKS", "MOOD", "KEY", "STEMBRIDGE")
    return {name: tags[name] for name in names}


_ID3 = {
    "TIT2": ["Sông - Vocals"], "TPE1": ["Ann", "Bob"], "TCON": ["Rock", "Pop"], "TRCK": ["3/12"], "TMOO": ["Happy"],
    "TXXX:MOOD": ["Happy"], "TXXX:STEMBRIDGE": [JSON], "UFID": b"recording-id", "COMM": ["A comment"],
}  # fmt: skip
RAW: dict[str, dict[str, Any]] = {
    "wav": _ID3,
    "mp3": _ID3,
    "flac": {
        "TITLE": ["Sông - Vocals"], "ARTIST": ["Ann", "Bob"], "GENRE": ["Rock", "Pop"], "TRACKNUMBER": ["3"],
        "TRACKTOTAL": ["12"], "TOTALTRACKS": ["12"], "MOOD": ["Happy"], "KEY": ["Am"], "STEMBRIDGE": [JSON],
    },
    "m4a": {
        "©nam": ["Sông - Vocals"], "©ART": ["Ann", "Bob"], "©gen": ["Rock", "Pop"], "trkn": [(3, 12)], "tmpo": [128],
        "MOOD": ["Happy"], "STEMBRIDGE": [JSON],
    },
}  # fmt: skip


def raw_cover(path: Path) -> bytes:
    audio: Any = mutagen.File(path)
    if path.suffix == ".flac":
        return bytes(audio.pictures[0].data)
    if path.suffix == ".m4a":
        return bytes(audio.tags["covr"][0])
    return bytes(audio.tags.getall("APIC")[0].data)


@pytest.mark.parametrize("kind", STEMS)
@pytest.mark.parametrize("source", SOURCES, indirect=True)
def test_every_container_onto_every_other(source: Path, kind: str, tmp_path: Path) -> None:
    stem = make_audio(tmp_path / f"stem.{kind}")
    before = audio_digest(stem)
    copy_tags(source, stem)
    assert raw_texts(stem) == RAW[kind]
    assert raw_cover(stem) == JPEG
    assert audio_digest(stem) == before
    found = read_tags(stem)
    assert {name: values for name, values in found.fields.items() if name in EXPECTED} == EXPECTED
    assert set(found.fields) == set(EXPECTED)
    assert [(one.data, one.mime, one.kind) for one in found.pictures] == [(JPEG, "image/jpeg", 3)]


@pytest.mark.parametrize("kind", STEMS)
@pytest.mark.parametrize("source", ["flac", "mp3-v23"], indirect=True)
def test_ffprobe_sees_the_tags(source: Path, kind: str, tmp_path: Path) -> None:
    stem = make_audio(tmp_path / f"stem.{kind}")
    copy_tags(source, stem)
    seen = probe(stem)
    assert (seen["title"], seen["album"], seen["stembridge"]) == ("Sông - Vocals", "Album", JSON)
    assert seen["track"].split("/")[0] == "3"
    assert not {"lyrics", "lyrics-eng", "replaygain_track_gain", "itunnorm", "acoustid_fingerprint"} & set(seen)


@pytest.mark.parametrize("kind", STEMS)
def test_no_tags_leave_the_file_name_as_title(kind: str, tmp_path: Path) -> None:
    source = make_audio(tmp_path / "My Song.wav")
    stem = make_audio(tmp_path / f"stem.{kind}")
    copy_tags(source, stem)
    assert read_tags(stem).fields == {"title": ("My Song - Vocals",), "provenance": (JSON,)}


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    plain = make_source(tmp_path, "flac")
    source = plain.rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/S\xf4ng.flac")))
    untitled = make_audio(tmp_path / "x.wav").rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/S\xf4ng.wav")))
    stem = make_audio(tmp_path / "stem.mp3").rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/st\xe9m.mp3")))
    copy_tags(source, stem)
    assert read_tags(stem).fields["title"] == ("Sông - Vocals",)
    tag_stem(untitled, stem, stem_title="Drums", provenance={"source": untitled.name})
    found = read_tags(stem).fields
    assert found["title"] == ("S\ufffdng - Drums",)
    assert json.loads(found["provenance"][0]) == {"source": "S\ufffdng.wav"}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not audio at all" * 100, id="text"),
        pytest.param(b"fLaC" + b"\xff" * 64, id="flac"),
        pytest.param(b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + b"\0" * 100, id="id3-too-long"),
        pytest.param(b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff", id="wav"),
        pytest.param(b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42\0\0\0\x08moov\0\0\0\x07udta", id="mp4"),
        pytest.param(b"OggS" + b"\xff" * 200, id="ogg"),
        pytest.param(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c" + b"\xff" * 50, id="asf"),
    ],
)
@pytest.mark.parametrize("ending", ["mp3", "flac", "wav"])
def test_broken_sources_cost_only_their_tags(content: bytes, ending: str, tmp_path: Path) -> None:
    source = tmp_path / f"broken.{ending}"
    source.write_bytes(content)
    stem = make_audio(tmp_path / "stem.flac")
    copy_tags(source, stem)
    assert read_tags(stem).fields == {"title": ("broken - Vocals",), "provenance": (JSON,)}


def test_a_missing_source_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stem = make_audio(tmp_path / "stem.flac")
    with caplog.at_level(logging.WARNING):
        copy_tags(tmp_path / "gone.flac", stem)
    assert "gone.flac cannot be read" in caplog.text
    assert read_tags(stem).fields["title"] == ("gone - Vocals",)


@pytest.mark.parametrize("container", ["W64", "RF64"])
def test_containers_without_tags_stay_as_they_are(container: str, tmp_path: Path) -> None:
    stem = tmp_path / "stem.wav"
    soundfile.write(stem, make_noise(1000), 44100, format=container)
    before = stem.read_bytes()
    copy_tags(make_source(tmp_path, "flac"), stem)
    assert stem.read_bytes() == before


def test_a_broken_stem_is_said_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stem = tmp_path / "stem.flac"
    stem.write_bytes(b"fLaC\xff")
    copy_tags(make_source(tmp_path, "flac"), stem)
    assert "a stem goes without tags" in caplog.text
    assert stem.read_bytes() == b"fLaC\xff"


@pytest.mark.parametrize(
    ("number", "kind"),
    [pytest.param(28, TransientError, id="disk-full"), pytest.param(13, PlacementError, id="forbidden")],
)
def test_an_error_of_the_system_is_raised(
    number: int, kind: type[StembridgeError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    stem = make_audio(tmp_path / "stem.mp3")
    monkeypatch.setattr("plugin_core.tags.pieces._put", fail)
    with pytest.raises(kind, match=os.strerror(number)):
        copy_tags(make_source(tmp_path, "flac"), stem)


def test_a_missing_stem_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlacementError, match=r"gone\.flac cannot be written"):
        copy_tags(make_source(tmp_path, "flac"), tmp_path / "gone.flac")


def test_titlesort_tells_the_stems_apart(tmp_path: Path) -> None:
    source = make_source(tmp_path, "flac")
    audio: Any = mutagen.File(source)
    audio.tags["titlesort"] = "Song, The"
    audio.save()
    stem = make_audio(tmp_path / "stem.wav")
    copy_tags(source, stem)
    assert read_tags(stem).fields["titlesort"] == ("Song, The - Vocals",)


def test_tagging_twice_is_tagging_once(tmp_path: Path) -> None:
    source, stem = make_source(tmp_path, "mp3"), make_audio(tmp_path / "stem.wav")
    copy_tags(source, stem)
    once = stem.read_bytes()
    copy_tags(source, stem)
    assert stem.read_bytes() == once


def test_a_stem_says_who_made_it(tmp_path: Path) -> None:
    song, stem = tmp_path / "song.wav", tmp_path / "vocals.flac"
    for path in (song, stem):
        write_song(path, 0.1)
    tag_stem(song, stem, stem_title="Vocals", provenance={"stem": "vocals"})
    assert is_own_work(stem) and not is_own_work(song)
    assert json.loads(read_provenance(stem)) == {"stem": "vocals"}


def test_a_part_whose_tags_are_broken_becomes_a_stem_as_it_came(tmp_path: Path) -> None:
    song, part, stem = write_song(tmp_path / "song.wav", 0.1), tmp_path / "part.flac", tmp_path / "vocals.flac"
    part.write_bytes(b"fLaC" + bytes(range(256)))
    make_tagger()(song, part, stem, "Vocals", {"stem": "vocals"})
    assert stem.read_bytes() == part.read_bytes()


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "pipe"])
def test_what_cannot_be_read_says_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "song.flac"
    match kind:
        case "folder":
            path.mkdir()
        case "text":
            path.write_text("no audio", encoding="utf-8")
        case "pipe" if hasattr(os, "mkfifo"):
            os.mkfifo(path)
    assert read_provenance(path) == "" and not is_own_work(path)
