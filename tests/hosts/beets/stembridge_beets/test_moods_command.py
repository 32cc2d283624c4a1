"""Genres of a list and of a tree, and those that albums get of their songs."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("beets")

import confuse
from beets.library import Album, Item, Library
from stembridge_beets.host import UserError
from stembridge_beets.labels import put_album_genres
from stembridge_beets.moods_command import Genres, read_genres, sync

from plugin_core.model import Label
from tests.hosts.beets.rows import make_library

MOOD = Label(dimension="mood", value="Calm", english="Calm")
TREE = "- rock:\n    - metal:\n        - doom metal\n    - grunge\n- electronic: [techno]\n"


def genre(name: str) -> Label:
    return Label(dimension="genre", value=f"{name} by the service", english=name, probability=0.9)


def names(labels: list[Label]) -> list[str]:
    return [label.english for label in labels]


def config(tmp_path: Path, **said: object) -> confuse.Subview:
    found = confuse.Configuration("stembridge-test", read=False)
    found.set({"stembridge": {"whitelist": "", "canonical": "", **said}})
    return found["stembridge"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "list.txt").write_text("# mine\n\nRock\nMetal\n", encoding="utf-8")
    (tmp_path / "tree.yaml").write_text(TREE, encoding="utf-8")
    return {"whitelist": str(tmp_path / "list.txt"), "canonical": str(tmp_path / "tree.yaml")}


FOUND = [MOOD, genre("Doom Metal"), genre("metal"), genre("Grunge"), genre("Techno"), genre("Polka")]


def test_without_files_everything_stays() -> None:
    assert Genres().choose(FOUND) == FOUND


def test_a_list_keeps_what_it_holds_in_its_own_case(tmp_path: Path, files: dict[str, str]) -> None:
    genres = read_genres(config(tmp_path, whitelist=files["whitelist"]))
    assert names(genres.choose(FOUND)) == ["Calm", "metal"]


def test_a_tree_leads_to_the_nearest_of_the_list(tmp_path: Path, files: dict[str, str]) -> None:
    chosen = read_genres(config(tmp_path, **files)).choose(FOUND)
    assert names(chosen) == ["Calm", "Metal", "Rock"]
    assert chosen[1].value == "Metal", "whatever language labels are written in"
    assert chosen[1].probability == 0.9


def test_a_tree_alone_leads_to_its_top(tmp_path: Path, files: dict[str, str]) -> None:
    genres = read_genres(config(tmp_path, canonical=files["canonical"]))
    assert names(genres.choose(FOUND)) == ["Calm", "Rock", "Electronic", "Polka"]


def test_the_files_of_lastgenre_are_found_without_its_library(tmp_path: Path) -> None:
    genres = read_genres(config(tmp_path, whitelist="lastgenre", canonical=True))
    assert names(genres.choose([genre("Cape Jazz"), genre("No such thing")])) == ["Cape Jazz"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"whitelist": "/nowhere.txt"}, "cannot be read"),
        ({"canonical": "{folder}/bad.yaml"}, "is no YAML"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, said: dict[str, str], told: str) -> None:
    (tmp_path / "bad.yaml").write_text("- [", encoding="utf-8")
    with pytest.raises(UserError, match=told):
        read_genres(config(tmp_path, **{key: value.format(folder=tmp_path) for key, value in said.items()}))


def album_of(lib: Library, *genres: list[str]) -> tuple[Album, list[Item]]:
    items = [Item(title=str(number), genres=one, path=f"/{number}".encode()) for number, one in enumerate(genres)]
    return lib.add_album(items), items


def test_an_album_gets_the_genres_of_its_songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lib = make_library(tmp_path, monkeypatch)
    album, items = album_of(lib, [], [])
    items[0].genres = ["Rock"]
    items[0].store()
    put_album_genres(items[0])
    items[1].genres = ["Pop", "Rock"]
    items[1].store()
    put_album_genres(items[1])
    album.load()
    assert album.genres == ["Rock", "Pop"]
    items[0].load()
    assert items[0].genres == ["Rock"], "songs keep their own"
    assert [one.id for one in lib.albums("genres:rock")] == [album.id]


def test_an_album_keeps_genres_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lib = make_library(tmp_path, monkeypatch)
    album, items = album_of(lib, ["Folk"])
    album["genres"] = ["Folk"]
    album.store(inherit=False)
    items[0].genres = ["Rock"]
    items[0].store()
    put_album_genres(items[0])
    album.load()
    assert album.genres == ["Folk"]


@pytest.mark.parametrize("free", [0, 1 << 21])
def test_a_full_disk_gets_no_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, free: int
) -> None:
    """What beets itself writes there leaves the song longer by zeros."""
    lib = make_library(tmp_path, monkeypatch)
    item = Item(path=os.fsencode(tmp_path / "song.mp3"), title="One")
    lib.add(item)
    written: list[Item] = []

    def write(item: Item) -> bool:
        written.append(item)
        return True

    monkeypatch.setattr(Item, "try_write", write)
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=free))
    item["mood"] = ["Calm"]
    assert sync(item, True) is bool(free) is bool(written)
    assert ("song.mp3: the disk is full" in caplog.text) is not bool(free)
    assert [song["mood"] for song in lib.items()] == [["Calm"]]
