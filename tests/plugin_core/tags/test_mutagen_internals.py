"""What we use of mutagen's inside does what we take it to do.

Against the lowest version that pyproject.toml allows, in a moment:

    pip install --target /tmp/lowest mutagen==1.47.0
    PYTHONPATH=/tmp/lowest pytest -n 0 tests/plugin_core/tags/test_mutagen_internals.py
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen._vorbis import VComment
from mutagen.apev2 import APEv2
from mutagen.asf import ASFTags
from mutagen.id3 import ID3, TXXX
from mutagen.mp4 import MP4, MP4Tags

from plugin_core.tags.fields import KINDS
from plugin_core.tags.files import open_tagged
from plugin_core.tags.mutagen_internals import (
    ApeData,
    Atoms,
    find_tag,
    keep_atoms,
    render_frames,
    save_chunk,
    unsynch,
)
from tests.plugin_core.tags.tagged_files import make_audio, make_source

FRAMES = b"TXXX\0\0\0\x05\0\0\x03a\0b\0"
TAG = b"ID3\x04\0\0\0\0\0" + bytes((len(FRAMES),)) + FRAMES


@pytest.mark.parametrize(("kind", "place"), [("wav", b"id3 "), ("aiff", b"ID3 "), ("dsf", b"")])
def test_a_tag_in_a_chunk_is_replaced_and_found(kind: str, place: bytes, tmp_path: Path) -> None:
    path = make_audio(tmp_path / f"song.{kind}")
    with path.open("rb+") as file:
        audio = mutagen.File(file)
        audio.add_tags()
        assert not find_tag(audio.tags, file) or file.read(3) != b"ID3"
        assert save_chunk(audio.tags, file, TAG)
        assert find_tag(audio.tags, file)
        assert file.read(len(TAG)) == TAG
    assert place in path.read_bytes()


def test_a_tag_in_front_of_a_file_has_no_chunk() -> None:
    assert not save_chunk(ID3(), io.BytesIO(), TAG)
    assert find_tag(ID3(), io.BytesIO(TAG))


def test_frames_are_rendered_as_v24() -> None:
    tags = ID3()
    tags.add(TXXX(encoding=3, desc="a", text=["b"]))
    assert render_frames(tags) == FRAMES


def test_atoms_are_written_as_their_bytes(tmp_path: Path) -> None:
    path = make_source(tmp_path, "m4a")
    audio: Any = MP4(path)
    audio.tags.clear()
    keep_atoms(audio.tags, [("abcd", b"anything"), ("abcd", b"twice")])
    audio.save()
    with path.open("rb") as file:
        atoms = Atoms(file).path(b"moov", b"udta", b"meta", b"ilst")[-1].children
        assert [(atom.name, atom.read(file)) for atom in atoms] == [
            (b"abcd", (True, b"anything")),
            (b"abcd", (True, b"twice")),
        ]


def test_an_ape_tag_is_found(tmp_path: Path) -> None:
    path = make_source(tmp_path, "wv")
    with path.open("rb") as file:
        found = ApeData(file)
    assert found.tag and b"Title\0" in found.tag and found.items and found.end == path.stat().st_size
    assert path.read_bytes()[found.start :].startswith(b"APETAGEX")


def test_unsynchronisation_goes_both_ways() -> None:
    assert unsynch.encode(b"\xff\xe0\xff\x00") == b"\xff\x00\xe0\xff\x00\x00"
    assert unsynch.decode(b"\xff\x00\xe0\xff\x00\x00") == b"\xff\xe0\xff\x00"


@pytest.mark.parametrize(
    ("kind", "family"),
    [("flac", "vorbis"), ("ogg", "vorbis"), ("opus", "vorbis"), ("wav", "id3"), ("mp3", "id3"), ("m4a", "mp4")],
)
def test_the_kind_of_a_tag_is_known_by_the_name_of_its_class(kind: str, family: str, tmp_path: Path) -> None:
    with open_tagged(make_source(tmp_path, kind)) as opened:
        assert opened is not None
        assert opened.family == family
    known = {cls.__name__ for cls in (VComment, ID3, MP4Tags, ASFTags, APEv2)}
    assert KINDS.keys() == known
