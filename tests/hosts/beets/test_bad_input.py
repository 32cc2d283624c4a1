"""What goes wrong is one line for each song; the rest goes on, and the exit status tells."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.audio_files import write_song
from tests.hosts.beets.library import Beets


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_a_vanished_file(three: Beets) -> None:
    (three.music / "Artist" / "Two.flac").unlink()
    outcome = three.run("stems", "-y")
    assert outcome.code == 1
    assert len(three.values("title", "stems:vocals")) == 2
    assert "Two.flac does not exist" in outcome.err
    assert lines(outcome.err)[-1] == "error: 1 track failed"
    assert len(lines(outcome.err)) == 2


def test_a_file_that_is_no_audio(three: Beets) -> None:
    (three.music / "Artist" / "Two.flac").write_bytes(b"nothing to hear")
    outcome = three.run("stems", "-y")
    assert outcome.code == 1
    assert len(lines(outcome.err)) == 2
    assert len(three.values("title", "stems:vocals")) == 2


def test_no_credits(three: Beets) -> None:
    outcome = three.run("stems", "-y", environ={"MOOD": "broke"})
    assert outcome.code == 1
    assert outcome.err.count("no credits are left; buy some") == 3
    assert lines(outcome.err)[-1] == "error: 3 tracks failed"
    assert three.values("title", "stems_todo::.") == []


@pytest.mark.parametrize("force", [(), ("-f",)], ids=["plain", "forced"])
def test_an_account_that_is_closed_once_it_has_paid(three: Beets, force: tuple[str, ...]) -> None:
    outcome = three.run("stems", "-y", *force, environ={"MOOD": "closed"})
    assert outcome.code == 1
    assert outcome.err.count("the account is closed; ask the ledger, then `beet stembridge resume`: ") == 3
    assert lines(outcome.err)[-1] == "error: 3 tracks unfinished, go on with: beet stembridge resume"
    assert three.do("stembridge", "status").out.count("stems: ") == 3

    three.do("stembridge", "resume")
    assert len(three.values("title", "stems:vocals")) == len(three.bought()) == 3


def test_a_service_that_is_down_leaves_the_rest_to_resume(three: Beets) -> None:
    outcome = three.run("stems", "-y", environ={"MOOD": "down"})
    assert outcome.code == 1
    assert outcome.err.count("the ledger does not answer") == 3
    assert lines(outcome.err)[-1] == "error: 3 tracks unfinished, go on with: beet stembridge resume"
    assert three.do("stembridge", "status").out.count("stems: ") == 3
    assert three.do("stembridge", "status", "title:One").out == "stems: Artist - Album - One\n"

    assert "separate 3 tracks: 3 tracks with ledger, about 6 credits" in three.do("stembridge", "resume", "-p").out
    assert three.run("stembridge", "prune", "-p").code == 1
    assert three.bought() == []
    assert three.do("stembridge", "resume", "title:One").out.count("vocals, instrumental") == 1
    assert three.do("stembridge", "resume").out.count("vocals, instrumental") == 2
    assert three.do("stembridge").out == "nothing is left to be done\n"
    assert len(three.bought()) == 3


def test_a_song_that_leaves_the_library_meanwhile(three: Beets) -> None:
    three.run("stems", "-y", environ={"MOOD": "down"})
    three.do("rm", "-f", "title:One")
    three.do("stembridge", "resume")
    assert len(three.values("title", "stems:vocals")) == 2


def test_a_note_that_cannot_be_read_is_done_as_the_settings_say(three: Beets) -> None:
    three.run("stems", "-y", environ={"MOOD": "down"})
    with sqlite3.connect(three.root / "library.db") as library:
        library.execute("UPDATE item_attributes SET value='{' WHERE key='stems_todo'")
    three.do("stembridge", "resume")
    assert len(three.values("title", "stems:vocals")) == 3
    # Of a song that has its stems nothing is left, which -p does not write down.
    three.do("modify", "-y", "title:One", "stems_todo={")
    three.do("stembridge", "resume", "-p")
    assert three.do("stembridge").out == "stems: Artist - Album - One\n"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"auto": "sometimes"}, "stembridge.auto is 'sometimes'"),
        ({"policy": "fil"}, "did you mean 'fill'?"),
        ({"dimensions": ["moods"]}, "did you mean 'mood'?"),
        ({"min_probability": 7}, "is no probability"),
        ({"threads": -1}, "stembridge.threads is -1 (allowed: from 0 to 256)"),
        ({"tries": 0}, "stembridge.tries is 0 (allowed: from 1 to 1000)"),
    ],
    ids=["auto", "policy", "dimension", "probability", "threads", "tries"],
)
def test_a_wrong_setting_is_told_by_the_command_that_needs_it(
    three: Beets, section: dict[str, object], told: str
) -> None:
    three.configure(section)
    three.do("ls")
    words = ("import", "-q", "-A", str(three.inbox)) if "auto" in section else ("moods", "-y")
    outcome = three.run(*words)
    assert told in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    "words",
    [("stems", "--check"), ("stembridge", "retry"), ("stembridge", "adopt"), ("stembridge", "prune")],
    ids=lambda words: words[1],
)
def test_a_job_store_that_cannot_be_read_is_one_line(three: Beets, words: tuple[str, ...]) -> None:
    three.do("stems", "-y", "title:One")
    with closing(sqlite3.connect(three.home / "jobs.sqlite3")) as store:
        store.execute("PRAGMA user_version = 9999")
    outcome = three.run(*words)
    assert outcome.code == 1
    assert len(lines(outcome.err)) == 1, outcome
    assert outcome.err.startswith("error: ") and "jobs.sqlite3" in outcome.err


@pytest.mark.parametrize(
    ("project", "told"),
    [('"rp"', "[stems] project: no session format 'rp'"), ("5", "config.toml")],
    ids=["misspelt", "of another kind"],
)
def test_a_wrong_session_format_is_told_as_the_setting_it_is(three: Beets, project: str, told: str) -> None:
    (three.home / "config.toml").write_text(f"[stems]\nproject = {project}\n", encoding="utf-8")
    outcome = three.run("stems", "-y")
    assert outcome.code == 1
    assert len(lines(outcome.err)) == 1, outcome
    assert outcome.err.startswith("error: ") and told in outcome.err
    assert three.bought() == []


def test_words_of_the_configuration_that_mean_nothing_are_told(three: Beets) -> None:
    three.configure({"auot": "stems", "mvsep": {"token": "x"}, "stembridge_home": ""})
    assert three.do("ls").err == ""
    for words in (("stems", "-p"), ("import", "-q", "-A", str(three.inbox))):
        told = three.do(*words).err
        assert "the configuration knows no auot, did you mean 'auto'?" in told
        assert "the configuration knows no mvsep.token, did you mean 'api_token'?" in told
        assert "the configuration knows no stembridge_home (known: auto, " in told


def test_a_missing_account_hinders_no_other_command(three: Beets) -> None:
    three.do("ls")
    outcome = three.run("moods", "-y")
    assert outcome.code == 1
    assert "MediaX needs an account" in outcome.err
    assert len(lines(outcome.err)) == 1


def test_a_broken_settings_file_of_the_core_is_named(three: Beets) -> None:
    (three.home / "config.toml").write_text("[stems\n", encoding="utf-8")
    three.do("ls")
    outcome = three.run("stems", "-y")
    assert outcome.code == 1
    assert "config.toml, line 1" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_service_that_is_away_when_asked_keeps_the_rest_for_resume(three: Beets) -> None:
    three.run("stems", "-y", environ={"MOOD": "down"})
    outcome = three.run("stembridge", "resume", environ={"MOOD": "away"})
    assert outcome.code == 1
    assert outcome.err.count("the ledger is away") == 3
    assert three.do("stembridge").out.count("stems: ") == 3
    three.do("stembridge", "resume")
    assert len(three.values("title", "stems:vocals")) == 3


def test_a_song_that_is_out_of_reach_keeps_what_was_begun_for_it(three: Beets) -> None:
    three.run("stems", "-y", environ={"MOOD": "down"})
    song = three.music / "Artist" / "Two.flac"
    song.rename(three.root / "away.flac")
    outcome = three.run("stembridge", "resume")
    assert outcome.code == 1
    assert "Two.flac does not exist" in outcome.err
    (three.root / "away.flac").rename(song)
    three.do("stembridge", "resume")
    assert len(three.values("title", "stems:vocals")) == len(three.bought()) == 3


def test_a_separator_that_is_gone_hinders_no_other(three: Beets) -> None:
    three.run("stems", "-y", environ={"MOOD": "down"})
    with sqlite3.connect(three.root / "library.db") as library:
        library.execute(
            "UPDATE item_attributes SET value=replace(value, 'ledger', 'ledgor') WHERE key='stems_todo' AND entity_id=1"
        )
    outcome = three.run("stembridge", "resume")
    assert outcome.code == 1
    assert "did you mean 'ledger'?" in outcome.err
    assert "Traceback" not in outcome.err
    assert len(three.values("title", "stems:vocals")) == 2
    assert three.do("stembridge").out.count("stems: ") == 1


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"threads": 1000}, "stembridge.threads is 1000"),
        ({"quiet": "perhaps"}, "stembridge.quiet"),
        ({"write": "perhaps"}, "stembridge.write"),
        ({"policies": [1]}, "stembridge.policies"),
    ],
    ids=["threads", "quiet", "write", "policies"],
)
def test_an_import_survives_every_wrong_setting(beets: Beets, section: dict[str, Any], told: str) -> None:
    beets.configure({"auto": "yes", **section})
    outcome = beets.do("import", "-q", "-A", "-s", str(write_song(beets.inbox / "One.flac", 0.4, seed=1)))
    assert told in outcome.err
    assert outcome.err.count("go on with: beet stembridge resume") >= 1, outcome
    # What is wrong about labels hinders no stems.
    assert len(beets.bought()) == ("write" in section or "policies" in section)


@pytest.mark.parametrize(
    "section",
    [{"mvsep": "x"}, {"mediax": {"secret_key": [1]}}, {"threads": "many"}, {"auto": ["moods"]}, {"policies": 3}, 7],
    ids=["section", "secret", "threads", "auto", "policies", "all"],
)
def test_a_setting_of_the_wrong_kind_is_one_line(three: Beets, section: Any) -> None:
    three.configure(stembridge=section)
    three.do("ls")
    for words in (("moods", "-y"), ("stems", "-p"), ("import", "-q", "-A", str(three.inbox)), ("config",)):
        outcome = three.run(*words)
        assert "Traceback" not in outcome.err, words


def test_a_home_of_a_user_that_is_none(three: Beets) -> None:
    outcome = three.run("stems", "-y", environ={"STEMBRIDGE_HOME": "~nobody-of-that-name/stembridge"})
    assert outcome.code == 1
    assert lines(outcome.err)[-1].startswith("error: STEMBRIDGE_HOME: ")
    assert "Traceback" not in outcome.err


def test_a_preset_that_only_labels_names_the_right_command(three: Beets) -> None:
    outcome = three.run("stems", "-y", "--preset", "mood")
    assert lines(outcome.err)[-1] == "error: preset 'mood' only labels; `beet moods` does that"
