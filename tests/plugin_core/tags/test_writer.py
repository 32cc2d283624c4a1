from __future__ import annotations

from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen import flac, id3

from plugin_core.tags import writer
from plugin_core.tags.fields import FIELDS, MAX_PICTURE, Picture, TagSet
from plugin_core.tags.flac import PADDING as FLAC_PADDING
from plugin_core.tags.reader import read_tags
from plugin_core.tags.writer import write_tags
from tests.plugin_core.tags.tagged_files import JPEG, PNG, audio_digest, make_audio

SINGLE = {
    "tracknumber": "3", "totaltracks": "12", "discnumber": "1", "totaldiscs": "2", "bpm": "128", "compilation": "1",
    "date": "2001-05", "originaldate": "1999", "musicbrainz_recordingid": "one",
}  # fmt: skip
FULL = {name: (f"{name} ä", "second") for name in FIELDS} | {name: (value,) for name, value in SINGLE.items()}
MISSING = {"wma": {"movement"}}


@pytest.mark.parametrize("kind", ["mp3", "wav", "aiff", "dsf", "flac", "ogg", "opus", "m4a", "wma", "wv"])
def test_every_field_comes_back(kind: str, tmp_path: Path) -> None:
    path = make_audio(tmp_path / f"a.{kind}")
    covers = (Picture(JPEG, "image/jpeg", 3), Picture(PNG, "image/png", 0))
    write_tags(path, TagSet(dict(FULL), covers))
    found = read_tags(path)
    assert found.fields == {name: values for name, values in FULL.items() if name not in MISSING.get(kind, set())}
    assert found.pictures == covers


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac", "ogg", "m4a", "wma", "wv"])
def test_other_fields_stay_and_empty_ones_go(kind: str, tmp_path: Path) -> None:
    path = make_audio(tmp_path / f"a.{kind}")
    write_tags(path, TagSet(dict(FULL), (Picture(JPEG, "image/jpeg"),)))
    before = read_tags(path)
    write_tags(path, TagSet({"genre": ("Jazz",), "mood": (), "key": (), "producer": (), "compilation": ()}))
    after = read_tags(path)
    kept = {name: values for name, values in before.fields.items() if name in after.fields}
    assert set(before.fields) - set(after.fields) == {"mood", "key", "producer", "compilation"}
    assert after == TagSet(kept | {"genre": ("Jazz",)}, before.pictures)


def test_aliases_go_when_their_field_is_written(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "a.flac")
    audio = flac.FLAC(path)
    audio["initialkey"] = "Am"
    audio.save()
    write_tags(path, TagSet({"key": ("C",)}))
    audio = flac.FLAC(path)
    assert {name: audio[name] for name in audio} == {"key": ["C"]}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bpm", "128.6", ("129",)),
        ("bpm", "fast", None),
        ("bpm", "inf", None),
        ("bpm", "99999999", None),
        ("tracknumber", "A1", None),
        ("compilation", "0", None),
    ],
)
def test_mp4_numbers_are_kept_within_bounds(
    name: str, value: str, expected: tuple[str, ...] | None, tmp_path: Path
) -> None:
    path = make_audio(tmp_path / "a.m4a")
    write_tags(path, TagSet({name: (value,)}))
    assert read_tags(path).fields.get(name) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2001-05-04T07:00:00Z", ("2001-05-04",)), ("May 2001", ("2001",)), ("long ago", None)],
)
def test_id3_dates_are_timestamps(value: str, expected: tuple[str, ...] | None, tmp_path: Path) -> None:
    path = make_audio(tmp_path / "a.mp3")
    write_tags(path, TagSet({"date": (value,)}))
    assert read_tags(path).fields.get("date") == expected


def test_pictures_with_one_description_both_stay(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "a.mp3")
    pictures = (Picture(JPEG, "image/jpeg", 3, "cover"), Picture(PNG, "image/png", 4, "cover"))
    write_tags(path, TagSet({}, pictures))
    assert read_tags(path).pictures == pictures


@pytest.mark.parametrize("kind", ["flac", "wav", "mp3", "m4a"])
def test_the_largest_picture_fits(kind: str, tmp_path: Path) -> None:
    path = make_audio(tmp_path / f"a.{kind}")
    before = audio_digest(path)
    cover = Picture(PNG.ljust(MAX_PICTURE, b"\1"), "image/png", 3)
    write_tags(path, TagSet({"title": ("a" * 30_000,)}, (cover,)))
    assert read_tags(path).pictures == (cover,)
    assert audio_digest(path) == before


def test_the_largest_fields_fit_a_flac_block(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "a.flac")
    write_tags(path, TagSet(dict.fromkeys(FIELDS, ("🎵" * 1000000,))))
    assert set(read_tags(path).fields) == set(FIELDS)


def test_flac_keeps_room_for_the_next_change(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "a.flac")
    write_tags(path, TagSet({"title": ("Song",)}))
    paddings = [block.length for block in flac.FLAC(path).metadata_blocks if block.code == 1]
    assert paddings == [FLAC_PADDING]


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT"])
def test_wav_with_an_odd_number_of_bytes(subtype: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.linspace(-0.5, 0.5, 1001), 8000, subtype=subtype)
    before = audio_digest(path)
    write_tags(path, TagSet({"title": ("Song",)}, (Picture(JPEG, "image/jpeg"),)))
    assert audio_digest(path) == before
    assert read_tags(path).fields == {"title": ("Song",)}
    assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8


def test_a_wav_without_room_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_audio(tmp_path / "a.wav")
    before = path.read_bytes()
    monkeypatch.setattr(writer, "MAX_WAV", len(before) - 1)
    write_tags(path, TagSet({"title": ("Song",)}))
    assert path.read_bytes() == before


def test_unknown_frames_stay(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "a.mp3")
    audio: Any = mutagen.File(path)
    audio.add_tags()
    audio.tags.add(id3.TXXX(encoding=3, desc="mine", text=["x"]))
    audio.tags.add(id3.TIPL(encoding=3, people=[["producer", "Ann"], ["chef", "Bob"]]))
    audio.save()
    write_tags(path, TagSet({"producer": ("Cy",)}))
    tags = id3.ID3(path)
    assert tags["TXXX:mine"].text == ["x"]
    assert tags["TIPL"].people == [["chef", "Bob"], ["producer", "Cy"]]


@pytest.mark.parametrize("kind", ["flac", "wav", "mp3"])
def test_a_copy_gets_the_tags_and_the_file_stays(kind: str, tmp_path: Path) -> None:
    path, copy = make_audio(tmp_path / f"a.{kind}"), tmp_path / f"copy.{kind}"
    before, digest = path.read_bytes(), audio_digest(path)
    write_tags(path, TagSet({"mood": ("Calm",)}), copy)
    assert path.read_bytes() == before
    assert read_tags(copy).fields["mood"] == ("Calm",)
    assert audio_digest(copy) == digest
    # Who asked for the copy knows the name that people know it by.
    with pytest.raises(FileNotFoundError):
        write_tags(path, TagSet({"mood": ("Calm",)}), tmp_path / "no folder" / f"copy.{kind}")


@pytest.mark.parametrize(
    ("old", "values", "existing", "left"),
    [
        (("B",), ("A",), ("A",), ("B",)),
        ((), ("A",), ("A",), ("A",)),
        (("A", "B", "own"), ("A",), ("A", "B"), ("A", "own")),
        (("A", "B"), ("A", "new"), ("A", "B"), ("A", "new")),
        (("own",), ("A",), ("A", "B"), ("A",)),
    ],
)
def test_a_tag_beside_keeps_what_is_its_own(
    old: tuple[str, ...], values: tuple[str, ...], existing: tuple[str, ...], left: tuple[str, ...]
) -> None:
    assert writer._change_beside(old, values, existing) == left
