"""Whose stems stand in a folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from beets.library import Library
from stembridge_beets.places import Claims, read_place

from tests.hosts.beets.rows import add_rows, make_library, visits

pytest.importorskip("beets")

SONGS = 3000


@pytest.fixture
def lib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    return make_library(tmp_path, monkeypatch)


@pytest.fixture
def stems(tmp_path: Path) -> Path:
    folder = tmp_path / "music" / "One.stems"
    folder.mkdir(parents=True)
    return folder


def note(lib: Library, song: Path, folder: Path | str) -> int:
    (item_id,) = add_rows(lib, {song: {"stems_path": str(folder)}})
    return item_id


def test_stems_belong_to_who_noted_them_and_to_no_other(lib: Library, stems: Path) -> None:
    claims = Claims(lib)
    assert not claims.is_claimed(stems, but=None)
    owner = note(lib, stems.with_name("One.flac"), stems)
    assert claims.is_claimed(stems, but=None)
    assert not claims.is_claimed(stems, but=owner)
    assert not claims.is_claimed(stems.with_name("Two.stems"), but=None)


def test_stems_of_a_library_that_was_moved_as_a_whole(lib: Library, stems: Path) -> None:
    note(lib, stems.with_name("One.flac"), "/gone/One.stems")
    note(lib, Path("/elsewhere/One.flac"), "/gone/One.stems")
    claims = Claims(lib)
    assert claims.is_claimed(stems, but=None)
    shutil.rmtree(stems)
    assert not claims.is_claimed(stems, but=None)


def test_stems_that_were_taken_elsewhere_since(lib: Library, stems: Path) -> None:
    item = lib.get_item(note(lib, stems.with_name("One.flac"), stems))
    claims = Claims(lib)
    assert claims.is_claimed(stems, but=None)
    assert item is not None
    item["stems_path"] = str(stems.with_name("Eins.stems"))
    item.store()
    assert not claims.is_claimed(stems, but=None)
    assert claims.is_claimed(stems.with_name("Eins.stems"), but=None)


@pytest.mark.parametrize("noted", ["bytes:zz", "\0", ""])
def test_a_note_that_means_nothing_claims_nothing(lib: Library, stems: Path, noted: str) -> None:
    item = lib.get_item(note(lib, stems.with_name("Two.flac"), noted))
    assert not Claims(lib).is_claimed(stems, but=None)
    assert item is not None
    item["stems_files"] = [noted]
    place = read_place(item)
    assert (place is None) == (noted == "")
    assert place is None or not place.is_whole


def test_names_that_lead_out_of_the_folder_are_nobodys_stems(lib: Library, stems: Path) -> None:
    item = lib.get_item(note(lib, stems.with_name("One.flac"), stems))
    assert item is not None
    item["stems_files"] = ["/etc/passwd", "../../x", "One - Vocals.flac"]
    place = read_place(item)
    assert place is not None and place.files == (stems / "One - Vocals.flac",)


def test_numbers_of_rows_that_are_given_again(lib: Library, stems: Path) -> None:
    claims = Claims(lib)
    add_rows(lib, {stems.with_name("Gone.flac"): {"mood": "Calm", "scene": "Car"}})
    assert not claims.is_claimed(stems, but=None)
    with sqlite3.connect(os.fsdecode(lib.path)) as connection:
        connection.execute("DELETE FROM item_attributes")
    connection.close()
    assert not claims.is_claimed(stems, but=None)
    note(lib, stems.with_name("One.flac"), stems)
    assert claims.is_claimed(stems, but=None)


def test_a_large_library_is_read_once(lib: Library, stems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many songs ask, and with rows coming in all the time."""
    paths = [stems.with_name(f"{number}.flac") for number in range(SONGS)]
    add_rows(lib, {path: {"mood": "Calm", "stems_path": str(path.with_suffix(".stems"))} for path in paths})
    claims, noted = Claims(lib), []
    monkeypatch.setattr(claims, "_note", lambda item_id, *_: noted.append(item_id))
    with visits(monkeypatch) as seen:
        for number in range(50):
            assert not claims.is_claimed(stems, but=None)
            song = stems.with_name(f"new {number}.flac")
            note(lib, song, song.with_suffix(".stems"))
    assert seen == []
    assert len(noted) == len(set(noted)) == SONGS + 49
