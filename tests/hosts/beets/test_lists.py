"""Lists are lists for beets' own commands, in whatever version: neither letters nor an error."""

from __future__ import annotations

import sys

import pytest

from tests.audio_files import write_song
from tests.hosts.beets.conftest import tag
from tests.hosts.beets.files import LISTS, read_labels
from tests.hosts.beets.library import Beets


def import_album(beets: Beets, *words: str) -> None:
    for number, title in enumerate(("One", "Two")):
        path = write_song(beets.inbox / f"{title}.flac", 0.5, seed=number)
        tag(path, title=title, artist="Artist", album="Album")
    beets.do("import", "-q", "-A", *words, str(beets.inbox))


def in_files(beets: Beets, name: str) -> list[list[str]]:
    """Return what stands in the songs' files under a name."""
    return [read_labels(beets.music / "Artist" / f"{title}.flac").get(name, []) for title in ("One", "Two")]


def edit_by(beets: Beets, old: str, new: str) -> dict[str, str]:
    """Return the environment of somebody whose editor replaces one word by another."""
    script = beets.root / "editor.py"
    script.write_text(
        "import pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        f"path.write_text(path.read_text('utf-8').replace({old!r}, {new!r}), 'utf-8')\n",
        encoding="utf-8",
    )
    return {"EDITOR": f"{sys.executable} {script}"}


@pytest.mark.parametrize("words", [(), ("-s",)], ids=["album", "singletons"])
def test_set_on_import_writes_words_and_no_letters(beets: Beets, words: tuple[str, ...]) -> None:
    import_album(beets, *words, "--set", "mood=Calm", "--set", "scene=Car; Home")
    beets.do("write", "-f")
    assert in_files(beets, "mood") == [["Calm"]] * 2
    assert in_files(beets, "scene") == [["Car", "Home"]] * 2
    assert beets.values("mood $scene") == ["Calm Car; Home"] * 2


def test_modify_an_album_writes_words_and_no_letters(beets: Beets) -> None:
    import_album(beets)
    beets.do("modify", "-y", "-a", "intensity=Soft", *(f"{name}=Dark; Slow" for name in LISTS[:-1]))
    beets.do("write", "-f")
    for name in LISTS[:-1]:
        assert in_files(beets, name) == [["Dark", "Slow"]] * 2, name
    assert in_files(beets, "intensity") == [["Soft"]] * 2
    beets.do("modify", "-y", "-a", "mood=Calm")
    beets.do("write", "-f")
    assert in_files(beets, "mood") == [["Calm"]] * 2
    assert beets.values("mood") == ["Calm"] * 2


def test_what_stands_on_the_album_alone_is_no_letters(beets: Beets) -> None:
    import_album(beets)
    beets.do("modify", "-y", "-a", "-I", "mood=Calm")
    beets.do("write", "-f")
    # Newer versions of beets write nothing of it into the songs.
    assert in_files(beets, "mood") in ([["Calm"]] * 2, [[]] * 2)
    assert beets.do("ls", "-a", "-f", "$mood").out == "Calm\n"


def test_edit_all_of_labelled_songs(beets: Beets) -> None:
    """With every list that a song can have."""
    import_album(beets)
    beets.do("modify", "-y", *(f"{name}=Dark; Slow" for name in ("mood", "labels_dimensions")))
    beets.do("stems", "-y")
    outcome = beets.run("edit", "--all", environ=edit_by(beets, "- Slow", "- Fast"), answer="a\n")
    assert outcome.code == 0, outcome
    assert "Traceback" not in outcome.err
    assert beets.values("mood $stems") == ["Dark; Fast vocals; instrumental"] * 2
    beets.do("write", "-f")
    assert in_files(beets, "mood") == [["Dark", "Fast"]] * 2
    assert beets.do("stems", "--check").code == 0


def test_edit_can_turn_a_list_into_words(beets: Beets) -> None:
    import_album(beets, "--set", "mood=Dark")
    environ = edit_by(beets, "mood:\n- Dark", "mood: Calm; Slow")
    outcome = beets.run("edit", "--all", environ=environ, answer="a\n")
    assert outcome.code == 0, outcome
    beets.do("write", "-f")
    assert in_files(beets, "mood") == [["Calm", "Slow"]] * 2


def test_one_of_several_moods_is_found_by_its_exact_name(beets: Beets) -> None:
    import_album(beets)
    beets.do("modify", "-y", "title:One", "mood=Calm; Dark")
    beets.do("modify", "-y", "title:Two", "mood=Calmer")
    beets.do("stems", "-y", "title:One")
    for query in ("mood:=Calm", "mood:=Dark", "stems:=vocals", "mood:dark"):
        assert beets.values("title", query) == ["One"], query
    for query in ("mood:=Cal", "mood:=calm", "mood:=Calm; Dark", "mood:="):
        assert beets.values("title", query) == [], query
    assert beets.values("title", "^mood:=Calm") == ["Two"]
