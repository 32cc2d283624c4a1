"""Stems go where beets takes their song, and stay where it leaves it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from plugin_core import Asker, Run, Separation, Session, Settings, Want
from tests.audio_files import encode, write_song
from tests.hosts.beets.conftest import tag
from tests.hosts.beets.library import Beets
from tests.hosts.hot_folder.conftest import SESSIONS
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes
from tests.plugin_core.sessions.readers import read_rpp


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_new_title_renames_folder_and_stems(three: Beets) -> None:
    three.do("stems", "-y", "title:One")
    three.do("modify", "-y", "title:One", "title=Eins")
    folder = three.music / "Artist" / "Eins.stems"
    assert names(folder) == ["Eins - Instrumental.flac", "Eins - Vocals.flac"]
    assert three.values("stems_path", "title:Eins") == [str(folder)]
    assert three.do("stems", "--check").code == 0


def test_a_new_artist_takes_all_along_and_leaves_no_folder(three: Beets) -> None:
    three.do("stems", "-y")
    three.do("modify", "-y", "artist=Other")
    assert names(three.music) == ["Other"]
    assert names(three.music / "Other") == [
        "One.flac",
        "One.stems",
        "Three.flac",
        "Three.stems",
        "Two.flac",
        "Two.stems",
    ]
    assert three.do("stems", "--check").code == 0


def test_a_folder_in_the_way_stays(three: Beets) -> None:
    three.do("stems", "-y", "title:One")
    mine = three.music / "Artist" / "Eins.stems" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    three.do("modify", "-y", "title:One", "title=Eins")
    assert names(mine.parent) == ["mine.txt"]
    assert three.values("stems_path", "title:Eins") == [str(three.music / "Artist" / "Eins (2).stems")]


def test_what_the_user_put_among_the_stems_comes_along_under_its_name(three: Beets) -> None:
    three.do("stems", "-y", "title:One")
    (three.music / "Artist" / "One.stems" / "One more.txt").write_text("mine", encoding="utf-8")
    three.do("modify", "-y", "title:One", "title=Eins")
    assert "One more.txt" in names(three.music / "Artist" / "Eins.stems")


@pytest.mark.parametrize("delete", [(), ("-d",)], ids=["from-library", "file-too"])
def test_removing_a_song_never_removes_stems(three: Beets, delete: tuple[str, ...]) -> None:
    three.do("stems", "-y", "title:One")
    three.do("rm", "-f", *delete, "title:One")
    assert len(names(three.music / "Artist" / "One.stems")) == 2
    assert "orphan" in three.run("stems", "--check").out


def test_copies_have_stems_of_their_own(three: Beets) -> None:
    three.do("stems", "-y", "title:One")
    there = three.root / "there"
    there.mkdir()
    three.do("move", "-c", "-d", str(there), "title:One")
    assert len(names(there / "Artist" / "One.stems")) == 2
    assert len(names(three.music / "Artist" / "One.stems")) == 2
    assert three.values("stems_path", "title:One") == [str(there / "Artist" / "One.stems")]


@pytest.mark.parametrize("how", ["move", "copy", "link", "hardlink"])
def test_imported_songs_bring_their_stems(beets: Beets, how: str) -> None:
    song = write_song(beets.inbox / "raw.flac", 0.5)
    tag(song, title="One", artist="Artist")
    stems = beets.inbox / "raw.stems"
    stems.mkdir()
    write_song(stems / "raw - Vocals.flac", 0.5)
    beets.configure(**{"import": {"copy": how == "copy", how: True, "autotag": False}})
    beets.do("import", "-q", "-s", str(beets.inbox))

    there = beets.music / "Artist" / "One.stems" / "One - Vocals.flac"
    assert there.exists()
    assert there.is_symlink() == (how == "link")
    assert (stems / "raw - Vocals.flac").exists() == (how != "move")
    assert beets.values("stems_path", "title:One") == [str(there.parent)]
    assert beets.values("title") == ["One"]


def test_following_can_be_switched_off(three: Beets) -> None:
    three.do("stems", "-y", "title:One")
    three.configure({"follow": False})
    three.do("modify", "-y", "title:One", "title=Eins")
    assert (three.music / "Artist" / "One.stems").is_dir()


def test_stems_placed_elsewhere_stay_there(three: Beets) -> None:
    preset = f'[presets.away]\noperations = [{{ kind = "separation", to = "{three.root}" }}]\n'
    (three.home / "config.toml").write_text(preset, encoding="utf-8")
    three.do("stems", "-y", "--preset", "away", "title:One")
    folder = three.root / "One.stems"
    three.do("modify", "-y", "title:One", "title=Eins")
    assert len(names(folder)) == 2
    assert three.values("stems_path", "title:Eins") == [str(folder)]


def test_stems_beside_the_song_without_a_folder_follow_one_by_one(three: Beets) -> None:
    (three.home / "config.toml").write_text('[stems]\ntemplate = "{name} - {stem}.{ext}"\n', encoding="utf-8")
    three.do("stems", "-y", "title:One")
    three.do("modify", "-y", "title:One", "title=Eins", "artist=Other")
    assert names(three.music / "Other") == ["Eins - Instrumental.flac", "Eins - Vocals.flac", "Eins.flac"]
    assert three.do("stems", "--check", "title:Eins").code == 0


def test_a_library_moved_as_a_whole_still_has_its_stems(three: Beets) -> None:
    three.do("stems", "-y")
    bought = len(three.bought())
    folder = three.music / "Artist"
    stems = folder / "One.stems"
    three.do("modify", "-y", "-M", "-W", "title:One", f"stems_path={three.root}/gone/One.stems")
    assert stems.is_dir()
    assert three.do("stems", "--check").code == 0
    three.do("stems", "-y")
    assert len(three.bought()) == bought


def test_names_that_are_not_utf8(beets: Beets) -> None:
    if os.name == "nt":
        pytest.skip("file names are text there")
    song = beets.inbox / os.fsdecode(b"\xff\xfe song.flac")
    write_song(song, 0.5)
    beets.configure(**{"import": {"copy": False, "autotag": False}})
    beets.do("import", "-q", "-A", str(beets.inbox))
    beets.do("stems", "-y")
    assert beets.do("stems", "--check").code == 0
    assert len(list(beets.inbox.iterdir())) == 2
    assert beets.values("title", f"stems_path:{beets.inbox}") == beets.values("title")
    assert beets.values("title", f"stems_path:{beets.music}") == []


@pytest.mark.parametrize("breaks", ["setting", "field", "unreadable"])
def test_what_hinders_stems_never_hinders_their_song(three: Beets, breaks: str) -> None:
    """Beets has moved the file when it tells of it: an error would leave the library with a path that is gone."""
    three.do("stems", "-y", "title:One")
    if breaks == "setting":
        three.configure({"follow": "perhaps"})
    elif breaks == "field":
        three.do("modify", "-y", "-M", "-W", "title:One", "stems_path=bytes:zz")
    else:
        with sqlite3.connect(three.root / "library.db") as library:
            library.execute("UPDATE item_attributes SET value='../../x' WHERE key='stems_files'")
    outcome = three.run("modify", "-y", "title:One", "title=Eins")
    assert "Traceback" not in outcome.err
    assert three.values("path", "title:Eins") == [str(three.music / "Artist" / "Eins.flac")]
    assert (three.music / "Artist" / "Eins.flac").exists()


def test_stems_that_were_left_behind_are_brought_along(three: Beets) -> None:
    """Moved and renamed while the plugin was off, and one placed elsewhere on purpose."""
    away = f'[presets.away]\noperations = [{{ kind = "separation", to = "{three.root}" }}]\n'
    (three.home / "config.toml").write_text(away, encoding="utf-8")
    three.do("stems", "-y", "--preset", "away", "title:Two")
    three.do("stems", "-y")
    three.configure(plugins=[], paths={"default": "$album/$title"})
    three.do("modify", "-y", "title:One", "title=Eins")
    three.do("move")
    three.configure()
    checked = three.run("stems", "--check")
    assert checked.out.count("left behind: ") == 2
    assert "2 left behind, bring them along with: beet stembridge adopt" in checked.err
    assert "2 with stems left behind" in three.do("stembridge", "adopt", "-p").out
    assert len(names(three.music / "Artist")) == 2
    told = three.do("stembridge", "adopt").out
    assert f"now {three.music}/Album/Eins.stems" in told
    assert names(three.music) == ["Album"]
    assert names(three.music / "Album" / "Eins.stems") == ["Eins - Instrumental.flac", "Eins - Vocals.flac"]
    assert three.do("stems", "--check").code == 0
    assert three.do("stembridge", "adopt").out == "0 songs with stems the library did not know of\n"
    assert three.values("stems_path", "title:Two") == [str(three.root / "Two.stems")]
    # Its job has followed the song as well.
    three.do("modify", "-y", "title:Eins", "title=Uno")
    assert three.do("stems", "--check").code == 0


def test_stems_of_a_namesake_stay_with_it(three: Beets) -> None:
    three.do("stems", "-y", "title:One")
    twin = three.inbox / "more" / "One.mp3"
    twin.parent.mkdir()
    encode(three.music / "Artist" / "One.flac", twin)
    three.do("import", "-q", "-A", "-s", str(twin.parent))
    assert (three.music / "Artist" / "One.mp3").exists()
    three.do("modify", "-y", "path::mp3$", "artist=Other")
    assert three.values("path", "stems_path::.") == [str(three.music / "Artist" / "One.flac")]
    assert len(names(three.music / "Artist" / "One.stems")) == 2
    assert three.do("stems", "--check").code == 0


@pytest.mark.parametrize("taken", [False, True], ids=["free", "taken"])
def test_an_album_that_moves_takes_its_stems(three: Beets, taken: bool) -> None:
    three.do("stems", "-y")
    three.configure(paths={"default": "$album/$title"})
    if taken:
        (three.music / "Album").mkdir()
        write_song(three.music / "Album" / "One.flac", 0.5)
    three.do("move", "-a")
    expected = "One.1" if taken else "One"
    assert three.values("stems_path", "title:One") == [str(three.music / "Album" / f"{expected}.stems")]
    assert len(list(three.music.rglob("*.stems/*.flac"))) == 6
    assert three.do("stems", "--check").code == 0


def test_a_session_comes_along_and_finds_its_stems_under_their_new_names(three: Beets) -> None:
    three.do("stems", "-y", "title:One")
    assert "has stems" in three.do("stems", "-y", "title:One").out
    (three.home / "config.toml").write_text('[stems]\nproject = "rpp"\n')
    three.do("stems", "-y", "title:One")
    folder = three.music / "Artist" / "One.stems"
    assert names(folder) == ["One - Instrumental.flac", "One - Vocals.flac", "One.rpp"]
    assert "has stems" in three.do("stems", "-y", "title:One").out
    three.do("modify", "-y", "title:One", "title=Eins", "artist=Jemand")
    folder = three.music / "Jemand" / "Eins.stems"
    assert names(folder) == ["Eins - Instrumental.flac", "Eins - Vocals.flac", "Eins.rpp"]
    score = read_rpp(folder / "Eins.rpp")
    assert [one.file for one in score.played] == ["../Eins.flac", "Eins - Vocals.flac", "Eins - Instrumental.flac"]
    assert three.do("stems", "--check").code == 0
    assert three.ledger.read_bytes().count(b"\n") == 1


def test_a_session_that_an_import_copies_finds_the_copies(beets: Beets) -> None:
    song = write_song(beets.inbox / "ripped.flac", 0.6)
    tag(song, title="One", artist="Artist", album="Album")
    with Session(
        Settings(beets.home, environ={}), load_fakes(FakePoint("fake", FakePlugin(FakeSeparator())), SESSIONS)
    ) as session:
        want = Want(path=song, operation=Separation(provider="fake", project="rpp"))
        asyncio.run(Run[Want](session, Asker()).do([want]))
    beets.do("import", "-q", str(beets.inbox))
    folder = beets.music / "Artist" / "One.stems"
    stems = ["One - Vocals.flac", "One - Instrumental.flac"]
    assert [one.file for one in read_rpp(folder / "One.rpp").played] == ["../One.flac", *stems]
    assert read_rpp(song.with_suffix(".stems") / "ripped.rpp").played[0].file == "../ripped.flac"
