"""Containers that are rarer, and pictures that are larger, than what people usually have."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen import apev2
from mutagen.ogg import OggPage

from plugin_core.tags.exchange import ReplaceOptions
from plugin_core.tags.fields import Picture, TagSet
from plugin_core.tags.labels import Decision
from plugin_core.tags.reader import read_fields, read_tags
from plugin_core.tags.tagger import Writing, check_taggable, restore_exactly, restore_fields, write_labels
from plugin_core.tags.writer import write_tags
from tests.plugin_core.tags.anatomy import anatomy
from tests.plugin_core.tags.crafted import CONTAINERS
from tests.plugin_core.tags.tagged_files import audio_digest, make_audio, need, stream_digest
from tests.plugin_core.tags.test_tagger import label

BIG = b"\xff\xd8\xff\xe0" + random.Random(5).randbytes(3_000_000)


def items(data: bytes) -> dict[str, bytes]:
    """Walk the APEv2 items of a file: flags and value by key."""
    end = data.rindex(b"APETAGEX")
    size, count = (int.from_bytes(data[at : at + 4], "little") for at in (end + 12, end + 16))
    place, found = end + 32 - size, {}
    for _ in range(count):
        length, key_end = int.from_bytes(data[place : place + 4], "little"), data.index(b"\0", place + 8)
        value = data[key_end + 1 : key_end + 1 + length]
        found[data[place + 8 : key_end].decode()] = data[place + 4 : place + 8] + value
        place = key_end + 1 + length
    return found


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("is_tagged", [True, False], ids=["tagged", "bare"])
def test_monkeys_audio_and_musepack(tmp_path: Path, name: str, is_tagged: bool) -> None:
    path, audio = tmp_path / name, CONTAINERS[name]()
    path.write_bytes(audio)
    if is_tagged:
        tags = apev2.APEv2()
        tags["Title"], tags["Artist"], tags["Genre"] = "Sông", ["Ann", "Bob"], ["Rock", "Pop"]
        tags["Cover Art (Front)"] = apev2.APEValue(b"cover.jpg\0" + BIG[:50_000], apev2.BINARY)
        tags["Related"] = apev2.APEValue("http://example.org", apev2.EXTERNAL)
        tags.save(path)
    before = path.read_bytes()
    foreign = {key: value for key, value in items(before).items() if key != "Genre"} if is_tagged else {}
    check_taggable(path, ReplaceOptions())
    written = label(path)
    assert path.read_bytes().startswith(audio)
    found = items(path.read_bytes())
    assert {found.pop("Genre")[4:], found.pop("Mood")[4:]} == {b"Rock", b"Calm"}
    assert found == foreign
    opened: Any = mutagen.File(path)
    assert opened.tags["Mood"] == "Calm"
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before
    label(path)
    restore_fields(Writing(path, "mark"), written.previous, written)
    assert read_fields(path).get("genre", ()) == written.previous["genre"]


@pytest.mark.parametrize(
    ("suffix", "codec"), [("oga", "flac"), ("spx", "libspeex"), ("tta", "tta"), ("mp2", "mp2"), ("m4a", "alac")]
)
def test_rarer_codecs(tmp_path: Path, suffix: str, codec: str) -> None:
    need("ffmpeg")
    path, plain = tmp_path / f"song.{suffix}", make_audio(tmp_path / "plain.wav")
    if subprocess.run(["ffmpeg", "-v", "quiet", "-i", plain, "-c:a", codec, path], check=False).returncode:
        pytest.skip(f"no encoder {codec}")
    before, decoded, coded = path.read_bytes(), audio_digest(path), stream_digest(path)
    check_taggable(path, ReplaceOptions())
    written = label(path)
    assert read_fields(path)["mood"] == ("Calm",)
    assert (audio_digest(path), stream_digest(path)) == (decoded, coded)
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["mp3", "wav", "aiff", "dsf", "flac", "ogg", "opus", "m4a", "wma", "wv"])
def test_huge_picture_stays_where_it_is(tmp_path: Path, kind: str) -> None:
    path = make_audio(tmp_path / f"song.{kind}")
    write_tags(path, TagSet({"title": ("Song",), "genre": ("Rock", "Pop")}, (Picture(BIG, "image/jpeg", 3),)))
    before, digest, parts = path.read_bytes(), audio_digest(path), anatomy(path)
    written = label(path)
    assert read_tags(path).pictures[0].data == BIG
    assert (audio_digest(path), anatomy(path)) == (digest, parts)
    assert 0 < len(written.recipe) < 60_000
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["ogg", "opus"])
def test_pages_are_numbered_anew_where_tags_need_more_of_them(tmp_path: Path, kind: str) -> None:
    path = make_audio(tmp_path / f"song.{kind}", frames=44100 * 4)
    write_tags(path, TagSet({"title": ("Song",)}, (Picture(BIG[:60_000], "image/jpeg", 3),)))
    before, decoded, coded = path.read_bytes(), audio_digest(path), stream_digest(path)
    theirs = tmp_path / f"theirs.{kind}"
    theirs.write_bytes(before)
    decision = Decision({"mood": ("x" * 9000,)})
    written = write_labels(Writing(path, "mark"), lambda _existing: decision, lambda _written: None)
    other: Any = mutagen.File(theirs)
    other.tags["MOOD"] = ["x" * 9000]
    ours: Any = mutagen.File(path)
    other.save(padding=lambda _info: ours.tags._padding)
    assert path.read_bytes() == theirs.read_bytes()
    assert numbers_of(path.read_bytes()) == list(range(len(numbers_of(path.read_bytes()))))
    assert len(numbers_of(path.read_bytes())) > len(numbers_of(before))
    assert (audio_digest(path), stream_digest(path)) == (decoded, coded)
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


def test_page_that_was_damaged_does_not_pass_for_a_sound_one(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "song.ogg", frames=44100 * 4)
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)
    decision = Decision({"mood": ("x" * 9000,)})
    write_labels(Writing(path, "mark"), lambda _existing: decision, lambda _written: None)
    sound, theirs = path.read_bytes(), tmp_path / "theirs.ogg"
    assert numbers_of(sound) == list(range(len(numbers_of(sound))))
    theirs.write_bytes(sound)
    with theirs.open("rb+") as opened:
        # Numbering every page as it is leaves all but the wrong checksum as they are.
        OggPage.renumber(opened, int.from_bytes(sound[14:18], "little"), 0)
    differing = [
        place for place, (one, other) in enumerate(zip(sound, theirs.read_bytes(), strict=True)) if one != other
    ]
    last = sound.rindex(b"OggS")
    assert differing and all(last + 22 <= place < last + 26 for place in differing)


def numbers_of(data: bytes) -> list[int]:
    """Return the numbers of all pages of an Ogg."""
    place, found = 0, []
    while place < len(data):
        assert data[place : place + 4] == b"OggS"
        found.append(int.from_bytes(data[place + 18 : place + 22], "little"))
        count = data[place + 26]
        place += 27 + count + sum(data[place + 27 : place + 27 + count])
    return found
