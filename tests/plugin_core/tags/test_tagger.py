"""Labels in every container: written where others read them, everything else left alone, and taken out again."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen import flac, id3, mp4

from plugin_core.errors import PlacementError, SourceError, TransientError
from plugin_core.model import Label, Tagging, Written
from plugin_core.operations.song import inspect
from plugin_core.tags import pieces, tagger
from plugin_core.tags.exchange import ReplaceOptions
from plugin_core.tags.labels import decide
from plugin_core.tags.reader import read_fields
from plugin_core.tags.tagger import Writing, restore_exactly, restore_fields, write_labels
from plugin_core.tags.vocabulary import entries
from tests.plugin_core.tagger_fakes import LABELS
from tests.plugin_core.tags.anatomy import anatomy
from tests.plugin_core.tags.tagged_files import SOURCES, audio_digest, make_audio, make_source, names, need, probe


def label(path: Path, options: ReplaceOptions | None = None, **words: Any) -> Written:
    """Write the labels of the fake tagger, in place of what is there."""
    wish = Tagging(provider="ears", **{"policy": "replace", **words})
    writing = Writing(path, "mark", options or ReplaceOptions())
    return write_labels(writing, lambda existing: decide(LABELS, wish, existing), lambda _written: None)


@pytest.mark.parametrize("kind", SOURCES)
def test_only_the_labels_change_and_undo_gives_the_very_file_back(tmp_path: Path, kind: str) -> None:
    path = make_source(tmp_path, kind)
    before, parts, digest = path.read_bytes(), anatomy(path), audio_digest(path)
    written = label(path)
    assert written.fields == {"mood": ("Calm",), "genre": ("Rock",)}
    assert written.previous == {"mood": ("Happy",), "genre": ("Rock", "Pop")}
    assert {name: read_fields(path).get(name) for name in written.fields} == written.fields
    assert anatomy(path) == parts
    assert audio_digest(path) == digest
    assert names(tmp_path) == [path.name]
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", ["mp3", "wav", "aiff", "dsf", "flac", "ogg", "opus", "m4a", "wma", "wv"])
def test_a_song_without_tags_gets_some_and_loses_them_again(tmp_path: Path, suffix: str) -> None:
    path = make_audio(tmp_path / f"song.{suffix}")
    before, digest = path.read_bytes(), audio_digest(path)
    written = label(path, policy="fill", labels="zh")
    assert {name: read_fields(path)[name] for name in ("mood", "genre")} == {"mood": ("安静",), "genre": ("摇滚",)}
    assert audio_digest(path) == digest
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", SOURCES)
def test_fields_go_back_and_what_others_changed_since_stays(tmp_path: Path, kind: str) -> None:
    path = make_source(tmp_path, kind)
    parts = anatomy(path)
    written = label(path)
    restore_fields(Writing(path, "mark"), written.previous, written)
    found = read_fields(path)
    assert (found["mood"], found["genre"]) == (("Happy",), ("Rock", "Pop"))
    assert anatomy(path) == parts


@pytest.mark.parametrize("kind", SOURCES)
def test_ffprobe_reads_the_labels(tmp_path: Path, kind: str) -> None:
    path = make_source(tmp_path, kind)
    label(path)
    found = probe(path)
    assert (found["genre"], found.get("mood", found.get("tmoo", found.get("wm/mood")))) == ("Rock", "Calm")


@pytest.mark.parametrize("kind", SOURCES)
def test_exiftool_reads_the_labels(tmp_path: Path, kind: str) -> None:
    need("exiftool")
    if kind in ("wv", "dsf"):
        pytest.skip("exiftool reads no tags there")
    path = make_source(tmp_path, kind)
    label(path)
    out = subprocess.run(
        ["exiftool", "-a", "-s", path], check=True, capture_output=True, text=True, errors="replace"
    ).stdout
    found = {tuple(part.strip() for part in line.split(":", 1)) for line in out.splitlines()}
    assert ("Genre", "Rock") in found
    assert found & {("Mood", "Calm"), ("UserDefinedText", "(MOOD) Calm")}


@pytest.mark.parametrize("kind", SOURCES)
def test_mediafile_reads_the_labels(tmp_path: Path, kind: str) -> None:
    mediafile = pytest.importorskip("mediafile")
    path = make_source(tmp_path, kind)
    label(path)
    assert mediafile.MediaFile(path).genres == ["Rock"]


def test_what_is_there_is_not_overwritten_by_default(tmp_path: Path) -> None:
    path = make_source(tmp_path, "flac")
    before = path.read_bytes()
    written = label(path, policy="fill")
    assert (written.fields, written.before) == ({}, written.after)
    assert written.left["genre"] == "has Rock, Pop"
    assert path.read_bytes() == before


@pytest.mark.parametrize("separator", ["/", None], ids=["slash", "nul"])
def test_v23_keeps_its_version_and_its_separator(tmp_path: Path, separator: str | None) -> None:
    path = make_audio(tmp_path / "song.mp3")
    tags = id3.ID3()
    tags.add(id3.TCON(encoding=0, text=["Jazz", "Soul"]))
    tags.save(path, v2_version=3, v23_sep=separator)
    label(path, policy="append")
    found = id3.ID3(path, translate=False)
    assert found.version == (2, 3, 0)
    assert found["TCON"].text == (["Jazz/Soul/Rock"] if separator else ["Jazz", "Soul", "Rock"])
    assert "TMOO" not in found and found["TXXX:mood"].text == ["Calm"]


def test_v22_keeps_its_version(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "song.mp3")
    frame = b"TT2\0\0\x05\0Song" + b"PIC\0\0\x03\0JP"
    path.write_bytes(b"ID3\x02\0\0\0\0\0" + bytes((len(frame),)) + frame + path.read_bytes())
    label(path)
    data = path.read_bytes()
    assert data[3] == 2 and frame in data[:64]
    assert read_fields(path)["mood"] == ("Calm",)


@pytest.mark.parametrize("has_v2", [True, False], ids=["beside", "alone"])
def test_id3v1_and_ape_tags_of_an_mp3_stay(tmp_path: Path, has_v2: bool) -> None:
    path = make_source(tmp_path, "mp3") if has_v2 else make_audio(tmp_path / "song.mp3")
    old = b"TAG" + b"Old title".ljust(30, b"\0") + b"Old artist".ljust(30, b"\0") + bytes(64) + b"\x11"
    ape = tmp_path / "ape.mp3"
    shutil.copy(path, ape)
    mutagen.apev2.APEv2().save(ape)
    path.write_bytes(path.read_bytes() + old)
    label(path)
    assert path.read_bytes().endswith(old)
    assert read_fields(path)["title"] == (("Sông",) if has_v2 else ("Old title",))


def test_numbered_genre_and_odd_atoms_of_mp4_stay(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "song.m4a")
    gnre = b"\0\0\0\x1agnre\0\0\0\x12data\0\0\0\0\0\0\0\0\0\x12"
    # A title of the same size is put there, and then the numbered genre in its place: nothing around it moves.
    audio = mp4.MP4(path)
    audio["©nam"] = ["x" * (len(gnre) - 24)]
    audio.save()
    data = path.read_bytes()
    place = data.index(b"\xa9nam") - 4
    path.write_bytes(data[:place] + gnre + data[place + len(gnre) :])
    assert mp4.MP4(path)["©gen"]
    label(path, policy="fill")
    assert gnre in path.read_bytes()
    assert b"\xa9gen" not in path.read_bytes()


def test_unknown_blocks_and_big_pictures_stay(tmp_path: Path) -> None:
    path = make_source(tmp_path, "flac")
    audio = flac.FLAC(path)
    picture = flac.Picture()
    picture.data, picture.mime, picture.type = os.urandom(400_000), "image/jpeg", 4
    audio.add_picture(picture)
    audio.save()
    data = path.read_bytes()
    path.write_bytes(data[:42] + b"\x02\0\0\x08testDATA" + data[42:])
    before, parts = path.read_bytes(), anatomy(path)
    written = label(path)
    assert anatomy(path) == parts
    assert 0 < len(written.recipe) < 2000
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["before", "after"])
def test_chunks_of_a_wav_stay(tmp_path: Path, where: str) -> None:
    path = make_audio(tmp_path / "song.wav")
    data = path.read_bytes()
    bext = b"bext\0\0\0\x00"[:4] + (602).to_bytes(4, "little") + os.urandom(602)
    more = bext + b"cue \x04\0\0\0\0\0\0\0" + b"iXML\x05\0\0\0<a/>\n\0" + b"LIST\x10\0\0\0INFOINAM\x04\0\0\0Song"
    at = 36 if where == "before" else len(data)
    whole = data[:at] + more + data[at:]
    path.write_bytes(whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:])
    before, parts = path.read_bytes(), anatomy(path)
    written = label(path)
    found = [part for part in anatomy(path) if part[0] not in ("version", "TIT2")]
    assert [part for part in found if part[0] != "LIST"] == [part for part in parts if part[0] != "LIST"]
    assert b"INAM\x04\0\0\0Song" in path.read_bytes()
    restore_exactly(Writing(path, "mark"), written)
    assert path.read_bytes() == before


def test_damaged_tag_is_refused_and_the_file_left_alone(tmp_path: Path) -> None:
    path = make_source(tmp_path, "mp3")
    data = bytearray(path.read_bytes())
    data[10:14] = b"\x01\x02\x03\x04"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="ID3 tag"):
        label(path)
    assert path.read_bytes() == data
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.ENOSPC, TransientError), (errno.EROFS, PlacementError)], ids=["full", "read-only"]
)
def test_disk_that_takes_no_copy_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[Exception]
) -> None:
    def fail(*_args: object, **_words: object) -> None:
        raise OSError(code, os.strerror(code))

    path = make_source(tmp_path, "flac")
    before = path.read_bytes()
    monkeypatch.setattr(pieces, "copy_file", fail)
    with pytest.raises(expected, match=r"source\.flac"):
        label(path)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["source.flac"]


@pytest.mark.parametrize("back", ["exactly", "fields"])
def test_song_that_became_read_only_keeps_its_labels(tmp_path: Path, back: str) -> None:
    path = make_source(tmp_path, "wav")
    written = label(path)
    path.chmod(0o444)
    with pytest.raises(PlacementError, match=r"source\.wav is read-only"):
        if back == "exactly":
            restore_exactly(Writing(path, "mark"), written)
        else:
            restore_fields(Writing(path, "mark"), written.previous, written)
    assert read_fields(path)["mood"] == ("Calm",)


def test_copy_is_on_the_disk_before_it_takes_the_song_s_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, done = make_source(tmp_path, "wav"), []

    def noted(name: str) -> Callable[..., None]:
        real = getattr(tagger, name)

        def call(*given: Any) -> None:
            done.append(name)
            real(*given)

        return call

    for name in ("flush", "replace_with"):
        monkeypatch.setattr(tagger, name, noted(name))
    written = label(path)
    restore_exactly(Writing(path, "mark"), written)
    restore_fields(Writing(path, "mark"), {"mood": ("Mine",)}, written)
    assert done == ["flush", "replace_with"] * 3


@pytest.mark.parametrize("size", [1000, 200_000], ids=["shorter", "longer"])
def test_song_that_another_program_writes_meanwhile_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = make_source(tmp_path, "wav")
    lay = pieces.lay

    def write_and_lay(parts: list[pieces.Piece], other: Path, target: Path) -> None:
        os.truncate(path, size)
        lay(parts, other, target)

    monkeypatch.setattr(tagger, "lay", write_and_lay)
    with pytest.raises(TransientError, match="being written by another program"):
        label(path)
    assert path.stat().st_size == size
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("known", [True, False], ids=["looked-at", "unknown"])
@pytest.mark.parametrize("policy", ["replace", "fill"])
def test_hashes_are_those_of_the_files(tmp_path: Path, policy: str, known: bool) -> None:
    path = make_source(tmp_path, "wav")
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    writing = Writing(path, "mark", known=inspect(path) if known else None)
    wish = Tagging(provider="ears", policy=policy)
    written = write_labels(writing, lambda existing: decide(LABELS, wish, existing), lambda _written: None)
    assert written.before == before
    assert written.after == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("labels", ["en", "zh"])
@pytest.mark.parametrize("kind", ["mp3", "mp3-v23", "flac", "opus", "m4a", "wma", "wv"])
def test_all_labels_come_back_from_every_kind_of_tag(tmp_path: Path, kind: str, labels: str) -> None:
    path = make_source(tmp_path, kind)
    found = [Label(dimension=one.dimension, value=one.zh, english=one.en, probability=0.9) for one in entries()]
    wish = Tagging(provider="ears", policy="replace", labels=labels)
    written = write_labels(Writing(path, "mark"), lambda existing: decide(found, wish, existing), lambda _: None)
    assert sum(map(len, written.fields.values())) > 90
    assert {name: read_fields(path)[name] for name in written.fields} == written.fields


def test_label_that_nobody_knows_is_written_as_it_came(tmp_path: Path) -> None:
    path = make_source(tmp_path, "mp3")
    found = (Label(dimension="scene", value="太空漫步", probability=0.9),)
    wish = Tagging(provider="ears")
    write_labels(Writing(path, "mark"), lambda existing: decide(found, wish, existing), lambda _: None)
    assert read_fields(path)["scene"] == ("太空漫步",)
