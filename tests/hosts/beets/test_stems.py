"""``beet stems``: what it makes, remembers, skips, asks and says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.audio_files import write_song
from tests.hosts.beets.conftest import make_later, tag
from tests.hosts.beets.library import Beets


def test_stems_stand_beside_the_song_and_in_the_library(three: Beets) -> None:
    outcome = three.do("stems", "-y", "title:One")

    folder = three.music / "Artist" / "One.stems"
    assert sorted(file.name for file in folder.iterdir()) == ["One - Instrumental.flac", "One - Vocals.flac"]
    assert three.values("stems_path", "stems_path::.") == [str(folder)]
    assert three.values("stems", "title:One") == ["vocals; instrumental"]
    assert three.values("stems_provider $stems_model", "title:One") == ["ledger half"]
    assert "vocals, instrumental" in outcome.out


def test_songs_with_stems_are_passed_over_unless_forced(three: Beets) -> None:
    three.do("stems", "-y")
    again = three.do("stems", "-y")
    quiet = three.do("stems", "-y", "-q")
    assert again.out.count("has stems") == 3
    assert quiet.out == ""
    assert len(three.bought()) == 3

    three.do("stems", "-y", "-f", "title:One")
    assert len(three.bought()) == 4
    assert three.values("stems_path", "title:One") == [str(three.music / "Artist" / "One.stems")]


def test_pretending_stores_and_spends_nothing(three: Beets) -> None:
    before = (three.root / "library.db").read_bytes()
    outcome = three.do("stems", "-p")
    assert "3 tracks with ledger, about 6 credits" in outcome.out
    assert (three.root / "library.db").read_bytes() == before
    assert three.bought() == []
    assert list(three.music.rglob("*.stems")) == []
    assert not (three.home / "jobs.sqlite3").exists()


def test_nobody_to_ask_needs_yes(three: Beets) -> None:
    outcome = three.run("stems")
    assert outcome.code == 1
    assert "add -y" in outcome.err
    assert "about 6 credits" in outcome.err
    assert three.bought() == []
    assert three.values("title", "stems_todo::.") == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("stems", "-y", "artist:Nobody"), "no track matches artist:Nobody"),
        (("stems", "-y", "-a", "artist:Nobody"), "no album matches artist:Nobody"),
        (("stems", "-y", "--preset", "fuor-stems"), "did you mean 'four-stems'?"),
        (("stems", "-y", "--provider", "legder"), "did you mean 'ledger'?"),
        (("stems", "-y", "-t", "-1"), "-1 threads"),
        (("stembridge", "resmue"), "there are status, resume, retry, adopt, prune"),
    ],
    ids=["no-track", "no-album", "preset", "provider", "threads", "word"],
)
def test_a_wrong_word_is_one_line(three: Beets, words: tuple[str, ...], told: str) -> None:
    outcome = three.run(*words)
    assert outcome.code == 1
    assert told in outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_albums_and_threads(three: Beets) -> None:
    three.do("stems", "-y", "-a", "-t", "1", "album:Album")
    assert len(three.values("title", "stems:vocals")) == 3


def test_a_preset_with_the_local_separator(three: Beets) -> None:
    three.do("stems", "-y", "--provider", "local", "--preset", "karaoke", "title:Two")
    assert three.values("stems $stems_provider", "title:Two") == ["no-vocals local"]


def test_twins_get_stems_each(three: Beets) -> None:
    song = three.music / "Artist" / "One.flac"
    twin = three.inbox / "more" / "Twin.flac"
    twin.parent.mkdir()
    twin.write_bytes(song.read_bytes())
    three.do("import", "-q", "-A", "-s", str(twin.parent))
    three.do("stems", "-y")
    assert len(three.values("stems_path", "stems_path::.")) == 4
    assert len(list(three.music.rglob("*.stems"))) == 4


def test_check_lists_missing_stems_and_orphans(three: Beets) -> None:
    three.do("stems", "-y")
    assert three.do("stems", "--check").out == "all stems are where they belong\n"

    (three.music / "Artist" / "One.stems" / "One - Vocals.flac").unlink()
    (three.music / "Artist" / "Gone.stems").mkdir()
    outcome = three.run("stems", "--check")
    assert outcome.code == 1
    assert f"missing: {three.music}/Artist/One.stems/One - Vocals.flac" in outcome.out
    assert f"orphan: {three.music}/Artist/Gone.stems" in outcome.out
    assert len(outcome.out.splitlines()) == 2


def test_missing_stems_are_made_anew(three: Beets) -> None:
    three.do("stems", "-y", "title:One")
    (three.music / "Artist" / "One.stems" / "One - Vocals.flac").unlink()
    three.do("stems", "-y", "title:One")
    assert three.do("stems", "--check", "title:One").code == 0


def test_a_song_replaced_by_another_recording_gets_stems_of_its_own(three: Beets) -> None:
    three.configure(plugins=["stembridge", "replace"])
    three.do("stems", "-y")
    folder = three.music / "Artist"
    # As long as the one before, and half as long.
    for title, seconds in (("One", 0.6), ("Two", 0.3)):
        other = write_song(three.root / f"{title}.flac", seconds, seed=len(title) + 40)
        make_later(other)
        replaced = three.run("replace", f"title:{title}", str(other), answer="1\ny\n")
        if "TypeError: ReplacePlugin.run()" in replaced.err:
            other.replace(folder / f"{title}.flac")
    # As another program changes tags: the same song.
    tag(folder / "Three.flac", comment="mine")
    make_later(folder / "Three.flac")
    checked = three.run("stems", "--check")
    assert checked.code == 1 and "2 of another recording than the song is now" in checked.err
    assert checked.out.count("of another recording: ") == 2 and "Three" not in checked.out
    before = {path: path.read_bytes() for path in folder.rglob("*.stems/*")}
    told = three.do("stems", "-y").out
    assert f"is another recording now; the stems of the one before stay in {folder}/One.stems" in told
    assert told.count("is another recording now") == 2 and told.count("has stems") == 1
    assert sorted(Path(song).stem for song in three.bought()[3:]) == ["One", "Two"]
    assert three.values("stems_path", "title:One") == [str(folder / "One (2).stems")]
    assert {path: path.read_bytes() for path in before} == before
    assert three.do("stems", "-y").out.count("has stems") == 3
    assert "orphan: " in three.run("stems", "--check").out


def test_a_replaced_song_is_told_apart_where_its_job_is_forgotten(three: Beets) -> None:
    three.do("stems", "-y")
    for store in (three.root / "home").glob("jobs.sqlite3*"):
        store.unlink()
    folder = three.music / "Artist"
    make_later(write_song(three.root / "other.flac", 1.5, seed=60))
    tag(three.root / "other.flac", title="One", artist="Artist")
    make_later(three.root / "other.flac")
    (three.root / "other.flac").replace(folder / "One.flac")
    # The same song, with other tags.
    tag(folder / "Three.flac", comment="mine")
    make_later(folder / "Three.flac")
    three.do("update")
    checked = three.run("stems", "--check")
    assert "1 of another recording than the song is now" in checked.err
    assert checked.out == f"of another recording: {folder}/One.stems (Artist -  - One)\n"


def test_stems_of_another_recording_are_not_adopted(three: Beets) -> None:
    three.do("stems", "-y", "title::^(One|Two)$")
    with closing(sqlite3.connect(three.root / "library.db")) as library, library:
        library.execute("DELETE FROM item_attributes WHERE key LIKE 'stems%'")
    other = write_song(three.root / "One.flac", 0.3, seed=40)
    make_later(other)
    other.replace(three.music / "Artist" / "One.flac")
    three.do("stembridge", "adopt")
    assert three.values("title", "has_stems:yes") == ["Two"]


def test_a_list_of_ignored_names_without_stems_is_warned_about(three: Beets) -> None:
    three.configure(ignore=[".*"])
    outcome = three.do("stems", "-p")
    assert '"*.stems"' in outcome.err
    three.configure()
    assert "*.stems" not in three.do("stems", "-p").err


def test_stems_are_not_imported_as_tracks(three: Beets) -> None:
    three.do("stems", "-y")
    three.do("import", "-q", "-A", str(three.music))
    assert sorted(three.values("title")) == ["One", "Three", "Two"]
