"""A library's whole life, step by step with real ``beet`` processes; nothing in it is bought twice or lost.

For several versions of beets: ``python -m tests.hosts.beets.matrix -- -k whole_life``.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.audio_files import encode, write_song
from tests.hosts.beets.conftest import make_later, tag
from tests.hosts.beets.files import read_labels
from tests.hosts.beets.library import Beets
from tests.hosts.beets.services import account_at
from tests.simulators.mediax import MediaxSimulator

PLUGINS = ["stembridge", "scrub", "convert", "edit", "export", "smartplaylist", "replace", "duplicates"]
LISTS = [
    {"name": "stems.m3u", "query": "has_stems:yes"},
    {"name": "calm.m3u", "query": "mood:=Calm"},
]
CALM = {"mood": ["Calm"], "genre": ["Rock"]}


class Life:
    """A beets with an account at a service and a separator, and what its owner expects of it."""

    def __init__(self, beets: Beets, service: MediaxSimulator) -> None:
        self.beets, self.service = beets, service
        beets.environ |= account_at(service)
        self.songs: set[str] = set()
        self.configure()

    def configure(self, paths: str = "$artist/$title", importing: Mapping[str, Any] | None = None, **more: Any) -> None:
        more["import"] = {"copy": True, "autotag": False, **(importing or {})}
        kinds = dict.fromkeys(("default", "singleton", "comp"), paths)
        lists = {"playlist_dir": str(self.beets.root / "lists"), "playlists": LISTS}
        self.beets.configure({"auto": "yes"}, plugins=PLUGINS, paths=kinds, smartplaylist=lists, **more)

    def bring(self, title: str, *words: str, suffix: str = "flac", **how: Any) -> Path:
        """Import a song of its own sound, in one of beets' ways; labels and stems are made of it once it is in."""
        song = self.beets.inbox / title / f"{title}.{suffix}"
        song.parent.mkdir()
        flac = write_song(song.with_suffix(".flac"), 0.4, seed=len(self.songs))
        tag(flac, title=title, artist="Artist", album=f"{title} Album")
        if suffix != "flac":
            encode(flac, song)
            flac.unlink()
        if how:
            self.configure(importing={"copy": False, **how})
        self.beets.do("import", "-q", "-A", *words, str(song.parent))
        self.configure()
        self.songs.add(title)
        return song

    def look(self) -> dict[str, tuple[Path, str]]:
        """See that library and files agree; return files and stems by title."""
        told = self.beets.values("title\t$path\t$stems_path\t$mood\t$stems")
        found = {title: (Path(path), stems) for title, path, stems, *_ in (line.split("\t") for line in told)}
        assert [line.split("\t")[3] for line in told] == ["Calm"] * len(told)
        assert {line.split("\t")[4] for line in told} == {"vocals; instrumental"}
        for title, (path, stems) in found.items():
            assert read_labels(path).items() >= CALM.items(), title
            assert Path(stems) == path.with_suffix(".stems"), title
            names = {f"{path.stem} - {stem}.flac" for stem in ("Vocals", "Instrumental")}
            assert {file.name for file in Path(stems).iterdir()} >= names, title
        assert set(found) == self.songs
        return found

    def end_step(self, count: int) -> None:
        """See that library and disk agree, that nothing is left to be done, and what was bought by now."""
        self.look()
        assert self.beets.do("stems", "--check").out == "all stems are where they belong\n"
        with closing(sqlite3.connect(self.beets.root / "library.db")) as library:
            assert library.execute("SELECT value FROM item_attributes WHERE key LIKE '%_todo'").fetchall() == []
            assert library.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert (len(self.beets.bought()), self.service.created) == (count, count)


def set_to(title: str) -> tuple[str, ...]:
    """Return the words that name a song whose file has no tags."""
    return "--set", f"title={title}", "--set", "artist=Artist"


def test_a_whole_life(beets: Beets) -> None:
    with MediaxSimulator(walk=(3,), fetches=False) as service:
        life = Life(beets, service)
        for step in (import_all_ways, retag, move, hand_out, replace_and_remove):
            step(life)
            life.end_step(5)


def import_all_ways(life: Life) -> None:
    """Copied, moved, linked, in place; as albums and singles; converted on the way; once more; with stems beside."""
    beets = life.beets
    life.bring("Copied")
    life.bring("Single", "-s", suffix="mp3")
    moved = life.bring("Moved", move=True)
    life.bring("Linked", hardlink=True)
    life.bring("Plain", "-s", *set_to("Plain"), suffix="wav", copy=True)
    assert not moved.exists()
    # Lossless to lossless while it is imported: the same recording, whose stems are there.
    again = shutil.copy(life.look()["Plain"][0], beets.inbox / "Again.wav")
    convert = {"auto": True, "format": "flac", "copy_album_art": False}
    life.configure(importing={"duplicate_action": "keep"}, convert=convert)
    beets.do("import", "-q", "-A", "-s", *set_to("Again"), str(again))
    life.configure()
    life.songs.add("Again")
    assert life.look()["Again"][0].suffix == ".flac"
    # Imported again from where it lies, and from the library.
    beets.do("import", "-q", "-A", "-C", str(beets.music))
    beets.do("import", "-q", "-A", "-L")


def retag(life: Life) -> None:
    """Write, update, modify, edit: what labels and stems say is kept, and the person's own word wins."""
    beets = life.beets
    beets.do("write", "-f")
    song = life.look()["Copied"][0]
    tag(song, comment="mine")
    make_later(song)
    beets.do("update")
    assert beets.values("comments", "title:Copied") == ["mine"]
    beets.do("modify", "-y", "title:Copied", "title=Renamed")
    life.songs = life.songs - {"Copied"} | {"Renamed"}
    editor = beets.root / "editor.py"
    editor.write_text(
        "import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n"
        "path.write_text(path.read_text().replace('title: Moved', 'title: Edited'))\n"
    )
    edited = beets.run("edit", "title:Moved", environ={"EDITOR": f"{sys.executable} {editor}"}, answer="a\n")
    assert edited.code == 0, edited
    life.songs = life.songs - {"Moved"} | {"Edited"}
    beets.do("modify", "-y", "title:Edited", "mood=Dark", "mood_probability=0.1")
    beets.do("write", "-f", "title:Edited")
    assert read_labels(beets.music / "Artist" / "Edited.flac")["mood"] == ["Dark"]
    beets.do("moods", "--undo", "title:Edited", "-q")
    beets.do("modify", "-y", "title:Edited", "mood=")
    beets.do("moods", "-y", "title:Edited")


def move(life: Life) -> None:
    life.configure(paths="$album/$artist - $title")
    life.beets.do("move")
    assert not (life.beets.music / "Artist").exists()


def hand_out(life: Life) -> None:
    """Scrub, convert, export, playlists, duplicates."""
    beets = life.beets
    beets.do("scrub")
    beets.do("convert", "-y", "-f", "ogg", "title:Renamed")
    (converted,) = (beets.root / "converted").rglob("*.ogg")
    assert read_labels(converted).items() >= CALM.items()
    told = beets.do("export", "-l", "-i", "title,mood,stems,stems_path", "title:Renamed").out
    (exported,) = json.loads(told)
    assert (exported["title"], exported["mood"]) == ("Renamed", "Calm")
    assert exported["stems_path"] == str(life.look()["Renamed"][1])
    beets.do("splupdate")
    for each in LISTS:
        lines = (beets.root / "lists" / each["name"]).read_text().splitlines()
        assert len([line for line in lines if not line.startswith("#")]) == len(life.songs), each
    beets.do("duplicates")


def replace_and_remove(life: Life) -> None:
    beets = life.beets
    other = encode(life.look()["Renamed"][0], beets.root / "other.wav")
    done = beets.run("replace", "title:Renamed", str(other), answer="1\ny\n")
    # Some versions of beets, 2.7 and 2.10 among them, have that command and cannot call it.
    is_broken = "TypeError: ReplacePlugin.run()" in done.err
    assert is_broken or (done.code == 0 and "successful" in done.out), done
    beets.do("write", "-f", "title:Renamed")
    found = life.look()
    assert found["Renamed"][0].suffix == (".flac" if is_broken else ".wav")
    beets.do("rm", "-f", "-d", "title:Single")
    path, stems = found["Single"]
    assert not path.exists() and len(list(Path(stems).iterdir())) == 2
    assert "orphan: " in beets.run("stems", "--check").out
    shutil.rmtree(stems)
    life.songs.discard("Single")
