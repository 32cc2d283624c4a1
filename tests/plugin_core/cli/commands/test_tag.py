"""``stembridge tag`` as people and programs meet it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_core import hookimpl
from plugin_core.cli.app import run
from plugin_core.console.context import Context
from plugin_core.errors import RefusedError, SettingsError
from plugin_core.model import Label
from plugin_core.tags.fields import FIELDS, TagSet
from plugin_core.tags.reader import read_fields
from plugin_core.tags.writer import write_tags
from tests.plugin_core.cli.conftest import Result
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, write_song
from tests.plugin_core.tagger_fakes import FakeTagger, TaggerPlugin, load_taggers
from tests.plugin_core.tags.tagged_files import make_audio, need

Run = Callable[..., Result]
LEFT = "left alone: language (Other says nothing); scene (Aerial Footage is only 0.20 probable, below 0.5); "


@pytest.fixture
def ears() -> FakeTagger:
    return FakeTagger()


@pytest.fixture
def stembridge(
    ears: FakeTagger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """Run a command line in this process, with a fake tagger and a fake separator."""
    monkeypatch.setenv("STEMBRIDGE_SEPARATE_PROVIDER", "fake")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, taggers: tuple[FakeTagger, ...] | None = None) -> Result:
        capsys.readouterr()
        chosen = (ears,) if taggers is None else taggers
        context = Context(plugins=load_taggers(*chosen, more=(FakePoint("fake", FakePlugin(FakeSeparator())),)))
        code = run([str(argument) for argument in arguments], context)
        return Result(code, *capsys.readouterr())

    return call


def test_people_are_told_what_was_written_and_why_the_rest_was_not(stembridge: Run, song: Path) -> None:
    result = stembridge("tag", "Song.flac")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "1 track with ears, about 2 credits"
    assert "Song.flac: mood: Calm; genre: Rock" in lines
    assert f"  note: {LEFT}vocal, bgm, intensity (nothing found)" in lines
    assert read_fields(song) == {"mood": ("Calm",), "genre": ("Rock",)}


def test_nobody_is_asked_where_all_is_filled(stembridge: Run, song: Path, ears: FakeTagger) -> None:
    write_tags(song, TagSet({"genre": ("Jazz",)}))
    told = "Song.flac: nothing to write: every field that is wanted is filled already, so nothing was asked; "
    for options in (("--dry-run",), ()):
        result = stembridge("tag", song, "--dimensions", "genre", *options)
        assert (result.code, result.err) == (0, "")
        assert told.removeprefix("Song.flac") in result.out.replace(" (0:01)", "") and "credits" not in result.out
    assert ears.submitted == []
    assert stembridge("tag", song, "--dimensions", "genre", "--force").code == 0
    assert len(ears.submitted) == 1


def test_a_song_that_only_labels_suit_is_labelled(stembridge: Run, tmp_path: Path) -> None:
    need("ffprobe")
    song = make_audio(tmp_path / "Song.dsf")
    result = stembridge("tag", song)
    assert (result.code, result.err) == (0, "")
    assert read_fields(song) == {"mood": ("Calm",), "genre": ("Rock",)}


def test_programs_are_told_the_same(stembridge: Run, song: Path) -> None:
    result = stembridge("tag", song, "--json", "--dimensions", "mood,language")
    last = result.of("job")[-1]
    assert (last["state"], last["written"], last["left"]) == (
        "done",
        {"mood": ["Calm"]},
        {"language": "Other says nothing"},
    )
    assert [label["dimension"] for label in last["labels"]] == ["mood", "genre", "language", "scene"]
    assert result.of("summary")[0]["done"] == 1


def test_again_there_is_nothing_to_do(stembridge: Run, song: Path, ears: FakeTagger) -> None:
    stembridge("tag", song)
    result = stembridge("tag", song)
    assert "1 reused" in result.out
    assert len(ears.submitted) == 1
    assert stembridge("tag", song, "--force").code == 0
    assert len(ears.submitted) == 2


def test_dry_run_asks_nobody_and_writes_nothing(stembridge: Run, song: Path, home: Path, ears: FakeTagger) -> None:
    before = song.read_bytes()
    result = stembridge("tag", song, "--dry-run", "--json")
    (plan,) = result.of("plan")
    assert (plan["provider"], plan["credits"], plan["dimensions"]) == ("ears", 2.0, [])
    assert song.read_bytes() == before
    assert ears.submitted == []
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(("price", "told"), [(2.0, "about 6 credits"), (None, "price not known")])
def test_dry_run_names_count_and_price_and_what_is_bought_already(
    stembridge: Run, tmp_path: Path, ears: FakeTagger, price: float | None, told: str
) -> None:
    ears.price = price
    songs = [write_song(tmp_path / f"{number}.flac", 0.1, seed=number) for number in range(5)]
    stembridge("tag", songs[0], songs[1])
    dry = stembridge("tag", *songs, "--policy", "replace", "--dry-run")
    assert dry.out.splitlines()[-2] == f"3 tracks with ears, {told}, and 2 bought already, at no cost"
    plans = stembridge("tag", *songs, "--policy", "replace", "-n", "--json").of("plan")
    assert [plan["credits"] for plan in plans] == [0.0, 0.0, price, price, price]
    assert len(ears.submitted) == 2


@pytest.mark.parametrize(
    ("options", "settings", "expected"),
    [
        (["--labels", "zh"], "", {"mood": ("Happy",), "genre": ("摇滚",)}),
        (["--policy", "fill,mood=append"], "", {"mood": ("Happy", "Calm"), "genre": ("Rock",)}),
        (["--policy", "replace"], 'policies = { mood = "append" }', {"mood": ("Calm",), "genre": ("Rock",)}),
        ([], 'policies = { mood = "append" }', {"mood": ("Happy", "Calm"), "genre": ("Rock",)}),
        (["--policy", "mood=fill"], 'policy = "append"', {"mood": ("Happy",), "genre": ("Rock",)}),
        (["--min-probability", "0.85,scene=0.1"], "", {"mood": ("Happy",), "scene": ("Aerial Footage",)}),
        (["--dimensions", "all"], 'dimensions = ["scene"]', {"mood": ("Happy",), "genre": ("Rock",)}),
        ([], "min_probability = 0.99", {"mood": ("Happy",)}),
        (
            [],
            'dimensions = ["energy"]\nthresholds = { energy = 0.9, genre = 1 }\npolicies = { energy = "append" }',
            {"mood": ("Happy",), "energy": ("low", "high")},
        ),
    ],
    ids=["zh", "append-one", "replace-all", "settings", "fill-one", "thresholds", "all", "settings-threshold", "own"],
)
def test_options_win_over_settings(
    stembridge: Run,
    ears: FakeTagger,
    song: Path,
    home: Path,
    options: list[str],
    settings: str,
    expected: dict[str, Any],
) -> None:
    if "energy" in settings:
        ears.labels = (*ears.labels, Label(dimension="energy", value="high", probability=0.95))
        write_tags(song, TagSet({"energy": ("low",)}))
    write_tags(song, TagSet({"mood": ("Happy",)}))
    (home / "config.toml").write_text(f"[tags]\n{settings}\n")
    assert stembridge("tag", song, *options).code == 0
    assert read_fields(song, (*FIELDS, "energy")) == expected


def test_tables_can_come_from_the_environment(stembridge: Run, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_TAGS_THRESHOLDS", "scene=0.1, genre=0.9")
    assert stembridge("tag", song).code == 0
    assert read_fields(song) == {"mood": ("Calm",), "scene": ("Aerial Footage",)}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--policy", "fil"], "no policy 'fil'; did you mean 'fill'?"),
        (["--policy", "fill,append"], "'append' names no dimension"),
        (["--dimensions", "mod"], "no dimension 'mod'; did you mean 'mood'?"),
        (["--dimensions", ","], "name at least one"),
        (["--min-probability", "high"], "'high' is not a number"),
        (["--min-probability", "5"], "5 is no probability"),
        (["--policy", ","], "'--policy': ',' says nothing"),
        (["--policy", ""], "'--policy': '' says nothing"),
        (["--policy", " "], "'--policy': ' ' says nothing"),
        (["--policy", "mood="], "no policy ''"),
        (["--policy", "=fill"], "no dimension ''"),
        (["--policy", "mood=fill,mood=append"], "mood is named twice"),
        (["--min-probability", ""], "'--min-probability': '' says nothing"),
        (["--min-probability", ",,"], "'--min-probability': ',,' says nothing"),
        (["--min-probability", "nan"], "nan is no probability"),
        (["--min-probability", "-inf"], "-inf is no probability"),
        (["--min-probability", "mood=-0.1"], "-0.1 is no probability"),
        (["--min-probability", "mood=0.1,mood=0.2"], "mood is named twice"),
        (["--min-probability", "1_0e-1"], "'1_0e-1' is not a number"),
        (["--min-probability", "0,5"], "'5' names no dimension"),
        (["--dimensions", ""], "name at least one"),
        (["--dimensions", "all,mood"], "'all' stands alone"),
        (["--labels", ""], "'' is not one of"),
        (["--language-codes", "639"], "'639' is not one of"),
        (["--provider", " "], "name one, or leave the option out"),
        (["--undo", "--dimensions", "mood"], "--dimensions has no meaning with --undo"),
        (["--undo", "--min-probability", "0.5"], "--min-probability has no meaning with --undo"),
        (["--undo", "--no-provenance"], "--provenance has no meaning with --undo"),
        (["--provider", "eers"], "no tagger 'eers'; did you mean 'ears'?"),
    ],
    ids=lambda value: "=".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_told_in_a_line(stembridge: Run, song: Path, arguments: list[str], expected: str) -> None:
    result = stembridge("tag", song, *arguments)
    assert result.code == 2
    assert expected in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ('policy = "overwrite"', "policy: unknown word 'overwrite' (known: append, fill, replace)"),
        ('dimensions = ["Mood"]', "dimensions: unknown word 'Mood', did you mean 'mood'?"),
        ("min_probability = 7", "min_probability: expected a number <= 1.0"),
        ("min_probability = nan", "min_probability: expected a number >= 0.0"),
        ('min_probability = "high"', "min_probability: expected a number, got text"),
        ("thresholds = { mood = 3 }", "thresholds: expected a number <= 1.0"),
        ("thresholds = { mod = 0.3 }", "thresholds: unknown word 'mod', did you mean 'mood'?"),
        ('policies = { append = "apend" }', "policies: unknown word 'apend', did you mean 'append'?"),
    ],
)
@pytest.mark.parametrize("command", ["tag", "run labels"])
def test_wrong_setting_is_named_with_its_line_once(
    stembridge: Run, song: Path, home: Path, setting: str, expected: str, command: str
) -> None:
    (home / "config.toml").write_text(f"[tags]\n{setting}\n")
    result = stembridge(*command.split(), song)
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert f"line 2: [tags] {expected}" in line


def test_a_dimension_may_be_called_nearly_as_a_policy(stembridge: Run, song: Path, home: Path) -> None:
    (home / "config.toml").write_text('[tags]\npolicies = { appended = "append", fills = "fill" }\n')
    assert stembridge("tag", song, "--dry-run").code == 0


def test_wrong_variable_is_named_once(stembridge: Run, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_TAGS_MIN_PROBABILITY", "7")
    result = stembridge("tag", song)
    (line,) = result.err.splitlines()
    assert (result.code, "STEMBRIDGE_TAGS_MIN_PROBABILITY: expected" in line) == (2, True)


def test_setting_of_a_provider_that_is_wrong_is_told_once(
    stembridge: Run, song: Path, home: Path, ears: FakeTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaggerPlugin, "register_taggers", hookimpl(_fail_to_register))
    result = stembridge("tag", song, "--provider", "ears")
    assert result.code == 2
    assert result.err.splitlines() == [f"stembridge: {WRONG_SETTING}; correct it"]


WRONG_SETTING = "config.toml, line 2: [ears] slots: expected `int`, got `str`"


def _fail_to_register(_self: TaggerPlugin, register: object, settings: object) -> None:
    raise SettingsError(WRONG_SETTING, remedy="correct it")


@pytest.mark.parametrize("policy", ["MOOD=Append", "mood = append,"])
def test_case_blanks_and_a_last_comma_do_not_matter(stembridge: Run, song: Path, policy: str) -> None:
    write_tags(song, TagSet({"mood": ("Happy",)}))
    assert stembridge("tag", song, "--policy", policy, "--labels", "EN", "--dimensions", "Mood, mood").code == 0
    assert read_fields(song) == {"mood": ("Happy", "Calm")}


def test_song_that_cannot_be_written_costs_nothing(stembridge: Run, tmp_path: Path, ears: FakeTagger) -> None:
    whole = write_song(tmp_path / "Cut.wav").read_bytes()
    (tmp_path / "Cut.wav").write_bytes(whole[:-1000])
    result = stembridge("tag", "Cut.wav", "--yes")
    assert (result.code, ears.submitted) == (1, [])
    assert "is cut short" in result.err


def test_refused_account_ends_with_its_own_code(stembridge: Run, song: Path, ears: FakeTagger) -> None:
    ears.submit_error = RefusedError("no credits left")
    assert stembridge("tag", song).code == 3


def test_one_bad_song_hinders_no_other(stembridge: Run, song: Path, tmp_path: Path) -> None:
    locked = write_song(tmp_path / "Locked.flac", seed=1)
    locked.chmod(0o444)
    result = stembridge("tag", locked, song)
    assert result.code == 1
    assert "Locked.flac is read-only" in result.err
    assert read_fields(song)["mood"] == ("Calm",)


def test_undo_tells_what_stands_now(stembridge: Run, song: Path) -> None:
    before = song.read_bytes()
    stembridge("tag", song)
    result = stembridge("tag", "--undo", song)
    assert result.out.splitlines() == ["Song.flac: mood: empty; genre: empty; the file is what it was", "1 song undone"]
    assert song.read_bytes() == before


def test_undo_for_programs(stembridge: Run, song: Path, tmp_path: Path) -> None:
    other = write_song(tmp_path / "Other.flac", seed=2)
    stembridge("tag", song)
    result = stembridge("tag", "--undo", "--json", song, other)
    assert result.code == 1
    assert [event["event"] for event in result.events] == ["undone", "error", "summary"]
    assert result.events[0]["fields"] == {"mood": [], "genre": []}
    assert result.events[-1]["count"] == 1


def test_undo_leaves_what_somebody_changed_and_says_so(stembridge: Run, song: Path) -> None:
    stembridge("tag", song)
    write_tags(song, TagSet({"mood": ("Mine",)}))
    result = stembridge("tag", "--undo", song)
    assert result.out.splitlines()[:2] == [
        "Song.flac: genre: empty; other changes of the file stay",
        "  note: mood changed since and stays; --force puts back what stood there before",
    ]
    assert read_fields(song) == {"mood": ("Mine",)}
    result = stembridge("tag", "--undo", song)
    assert result.code == 2
    assert "--force" in result.err
    assert stembridge("tag", "--undo", "--force", song).code == 0
    assert read_fields(song) == {}


def test_preset_labels_and_stems(stembridge: Run, song: Path, tmp_path: Path) -> None:
    assert stembridge("run", "stems-and-labels", song).code == 0
    assert read_fields(song)["mood"] == ("Calm",)
    assert sorted(path.name for path in (tmp_path / "Song.stems").iterdir()) == [
        "Song - Instrumental.flac",
        "Song - Vocals.flac",
    ]


def test_without_a_tagger_presets_and_command_say_so(stembridge: Run, song: Path) -> None:
    for command in (("tag", song), ("run", "labels", song)):
        result = stembridge(*command, taggers=())
        assert (result.code, "no tagger is installed" in result.err) == (2, True)


def test_jobs_show_tells_what_was_written(stembridge: Run, song: Path) -> None:
    stembridge("tag", song)
    (job,) = [json.loads(line) for line in stembridge("jobs", "list", "--json").out.splitlines()][:1]
    shown = stembridge("jobs", "show", job["id"]).out
    assert "written   mood: Calm; genre: Rock" in shown
