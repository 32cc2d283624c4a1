"""``beet stembridge``: what was left, what failed, what stands already; what the configuration says."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys

from tests.hosts.beets.library import Beets


def test_a_command_of_beets_itself_waits_for_nothing_of_the_core(beets: Beets) -> None:
    """What is imported costs every ``beet``: settings and what they are made of were a tenth of ``beet ls``."""
    code = (
        "import sys; from beets.ui import _raw_main; _raw_main(['ls']);"
        "print(*(name for name in sys.modules if name.startswith(('plugin_core', 'msgspec'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=beets.environ, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["plugin_core._version", "plugin_core", "plugin_core.manifests"]


def test_its_help_names_its_words(beets: Beets) -> None:
    told = beets.do("stembridge", "-h").out
    assert all(word in told for word in ("status", "resume", "retry", "adopt", "prune"))


def test_what_failed_is_tried_again_and_what_was_bought_is_not(three: Beets) -> None:
    # One finds no credits; the account of the other is closed once it is paid for.
    broke = three.run("stems", "-y", "title:=One", environ={"MOOD": "broke"})
    assert broke.code == 1
    assert "beet stembridge resume" in broke.err or "failed" in broke.err
    closed = three.run("stems", "-y", "title:=Two", environ={"MOOD": "closed"})
    assert closed.code == 1
    assert len(three.bought()) == 1
    shown = three.do("stembridge", "retry", "-p", "title::^(One|Two)$").out
    assert "separate 2 tracks" in shown
    assert three.values("stems", "has_stems:yes") == []
    told = three.do("stembridge", "retry", "-y").out
    assert "One: " in told and "Two: " in told and "Three" not in told
    assert len(three.bought()) == 2, "what was paid for is fetched, not bought"
    assert three.values("title", "has_stems:yes") == ["One", "Two"]
    assert three.do("stembridge", "retry").out == "nothing that failed is still wanted\n"


def test_stems_that_stand_are_adopted(three: Beets) -> None:
    three.do("stems", "-y", "title:=One")
    fields = three.values("stems\t$stems_path\t$stems_model", "title:=One")
    # Forgotten by the library, known to the core; and a folder beside another song that nobody knows of.
    with sqlite3.connect(three.root / "library.db") as library:
        library.execute("DELETE FROM item_attributes WHERE key LIKE 'stems%'")
    shutil.copytree(three.music / "Artist" / "One.stems", three.music / "Artist" / "Two.stems")
    for stem in (three.music / "Artist" / "Two.stems").iterdir():
        stem.rename(stem.with_name(stem.name.replace("One", "Two")))
    shown = three.do("stembridge", "adopt", "-p").out
    assert "2 songs with stems the library does not know of" in shown
    assert three.values("title", "has_stems:yes") == []
    told = three.do("stembridge", "adopt").out
    assert "One: vocals, instrumental" in told and "2 songs" in told
    assert three.values("stems\t$stems_path\t$stems_model", "title:=One") == fields
    assert sorted(three.values("stems", "title:=Two")[0].split("; ")) == ["instrumental", "vocals"]
    assert three.values("title", "has_stems:no") == ["Three"]
    assert three.run("ls", "has_stems:maybe").code == 1
    assert len(three.bought()) == 1
    assert three.do("stems", "-y", "title:=Two").out.strip().endswith("has stems")


def test_configuration_says_once_what_options_say_each_time(three: Beets) -> None:
    # Beets' own plugin for events, which newer versions of it let hear those alone that are listed.
    command = f'sh -c \'echo "$0" "$1" >> {three.root}/heard\' {{event}} {{item.title}}'
    hooks = {"hooks": [{"event": "stembridge_stems", "command": command}]}
    three.configure({"yes": True, "quiet": True}, plugins=["stembridge", "hook"], hook=hooks)
    assert three.do("stems").out == ""
    assert len(three.bought()) == 3
    heard = (three.root / "heard").read_text().splitlines()
    assert sorted(heard) == [f"stembridge_stems {title}" for title in ("One", "Three", "Two")]
    three.configure({"force": True})
    # As people write it: without quotes YAML takes this key for a truth value.
    text = (three.root / "config.yaml").read_text()
    (three.root / "config.yaml").write_text(text.replace('"stembridge": {', '"stembridge": {yes: yes, ', 1))
    assert "has stems" in three.do("stems", "-F", "title:=One").out
    assert "vocals" in three.do("stems", "title:=One").out
    assert len(three.bought()) == 4


def test_remedies_of_the_command_line_are_beets_own(three: Beets) -> None:
    asked = three.run("stembridge", "account", "mvsep")
    assert asked.code == 3
    assert "`beet stembridge login mvsep`" in asked.err
    told = three.run("stembridge", "doctor")
    assert "`beet stembridge login mvsep`" in told.out
    assert "`stembridge login" not in told.out
    assert three.run("stembridge", "jobs", "show", "none").err.endswith("`beet stembridge jobs list` shows the ids\n")


def test_prune_says_what_is_forgotten(three: Beets) -> None:
    three.do("stems", "-y", "title:=One")
    assert three.do("stembridge", "prune").out == "0 jobs forgotten; stems and labels stay\n"


def test_a_library_in_use_is_one_line_and_nothing_is_bought_or_lost(three: Beets) -> None:
    three.configure(timeout=0.2)
    with sqlite3.connect(three.root / "library.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        busy = three.run("stems", "-y")
        other.execute("ROLLBACK")
    assert busy.code == 1
    assert busy.err.splitlines()[-1].startswith("error: the library cannot be used now (database is locked)")
    assert "Traceback" not in busy.err
    assert three.bought() == []
    three.do("stems", "-y")
    assert len(three.bought()) == 3
