from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from plugin_core.errors import OutcomeUnknownError, RefusedError, ServiceError, TransientError
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakeSeparator, write_song


def made(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.stems/*"))


def test_stems_stand_beside_the_song(stembridge: Run, song: Path, tmp_path: Path) -> None:
    result = stembridge("separate", song)
    assert (result.code, result.err) == (0, "")
    assert made(tmp_path) == ["Song.stems/Song - Instrumental.flac", "Song.stems/Song - Vocals.flac"]
    lines = result.out.splitlines()
    assert lines[0] == "Song.flac: running"
    assert "Song.flac: vocals, instrumental in Song.stems" in lines
    assert lines[-1].startswith("1 done in ")


def test_options_reach_the_provider(stembridge: Run, song: Path, fake: FakeSeparator, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    result = stembridge(
        *("separate", song, "--provider", "fake", "--model", "halves", "--option", "a=1", "--option", "b = x=y"),
        *("--stems", "Vocals", "--format", "wav16", "--to", "out"),
        *("--on-overload", "scale"),
    )
    assert result.code == 0, result.err
    operation = fake.submitted[0].operation
    assert operation.options == {"a": "1", "b": "x=y"}  # type: ignore[union-attr]
    assert operation.stems == ("vocals",)  # type: ignore[union-attr]
    assert operation.on_overload == "scale"  # type: ignore[union-attr]
    assert made(tmp_path) == ["out/Song.stems/Song - Vocals.wav"]


def test_results_go_to_a_folder_that_is_made_when_there_are_some(stembridge: Run, song: Path, tmp_path: Path) -> None:
    assert stembridge("separate", song, "-o", "new/out", "--dry-run").code == 0
    assert stembridge("separate", tmp_path / "missing.flac", "-o", "new/out").code == 2
    assert not (tmp_path / "new").exists()
    assert stembridge("separate", song, "-o", "new/out", "--stems", "vocals").code == 0
    assert made(tmp_path) == ["new/out/Song.stems/Song - Vocals.flac"]
    for words, told in (
        (("-o", "new", "--to", "new"), "leave one of them out"),
        (("-o", song), "is no folder"),
        (("-o", ""), "it is empty"),
    ):
        result = stembridge("separate", song, "--force", *words)
        assert (result.code, told in result.err) == (2, True), result.err
    (tmp_path / "file").touch()
    result = stembridge("separate", song, "--force", "-o", "file/below")
    assert (result.code, "file/below cannot be written" in result.err, result.out) == (1, True, "")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
def test_songs_are_named_in_a_list(
    stembridge: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, fake: FakeSeparator
) -> None:
    songs = [
        write_song(tmp_path / name, seed=number) for number, name in enumerate(("One.flac", "a \nb.flac", "c.flac"))
    ]
    names = [song.name for song in songs if end == "\0" or "\n" not in song.name]
    data = "".join(f"{name}{end}" for name in (*names[:1], *names))
    zero = ("-0",) if end == "\0" else ()
    # As Windows writes a list.
    (tmp_path / "list.txt").write_bytes(data.encode("utf-8-sig" if end == "\r\n" else "utf-8"))
    result = stembridge("separate", "--files-from", "list.txt", *zero, "--json")
    assert (result.code, result.events[-1]["done"]) == (0, len(names))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
    result = stembridge("separate", "c.flac", "--files-from", "-", *zero, "--json")
    assert (result.code, result.events[-1]["reused"]) == (0, len(names))


def test_a_list_that_names_nothing_is_told(stembridge: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n\n")
    assert "empty names no file" in stembridge("separate", "--files-from", "empty").err
    (tmp_path / "zero").write_bytes(b"a.flac\0b.flac\0")
    assert "add -0" in stembridge("separate", "--files-from", "zero").err
    assert "missing cannot be read" in stembridge("run", "karaoke", "--files-from", "missing").err
    result = stembridge("tag")
    assert (result.code, "missing argument 'FILE...'" in result.err) == (2, True)


def test_json_tells_every_state_and_ends_with_the_summary(stembridge: Run, song: Path) -> None:
    result = stembridge("separate", song, "--json")
    assert result.code == 0
    jobs = result.of("job")
    states = list(dict.fromkeys(job["state"] for job in jobs))
    assert states == ["queued", "submitting", "running", "fetching", "publishing", "done"]
    assert len({job["id"] for job in jobs}) == 1
    stems = jobs[-1]["stems"]
    assert [stem["name"] for stem in stems] == ["vocals", "instrumental"]
    assert all(Path(stem["path"]).is_file() for stem in stems)
    assert result.events[-1]["event"] == "summary"
    assert (result.events[-1]["done"], result.events[-1]["exit_code"]) == (1, 0)


def test_finished_work_is_reused_and_force_does_it_anew(stembridge: Run, song: Path, fake: FakeSeparator) -> None:
    stembridge("separate", song)
    again = stembridge("separate", song, "--json")
    assert (again.code, again.events[-1]["reused"], again.events[-1]["done"]) == (0, 1, 0)
    assert again.of("job")[0]["state"] == "done"
    assert len(fake.submitted) == 1
    assert "Song.flac: made before, vocals, instrumental in Song.stems" in stembridge("separate", song).out
    forced = stembridge("separate", song, "--force", "--json")
    assert (forced.code, forced.events[-1]["done"]) == (0, 1)
    assert len(fake.submitted) == 2


def test_dry_run_writes_nothing(stembridge: Run, song: Path, home: Path, tmp_path: Path, fake: FakeSeparator) -> None:
    fake.price = 2.5
    before = sorted(tmp_path.rglob("*"))
    result = stembridge("separate", song, "--dry-run", "--minus", "vocals", "--residual")
    assert result.code == 0
    assert result.out.splitlines() == [
        "Song.flac (1 s): fake halves: without vocals",
        *(f"  {Path('Song.stems', f'Song - {name}.flac')}" for name in ("No Vocals", "Residual")),
        "1 track with fake, about 2.5 credits",
        "dry run: nothing was made",
    ]
    (plan,) = stembridge("separate", song, "-n", "--json").of("plan")
    assert (plan["provider"], plan["model"], plan["credits"]) == ("fake", "halves", 2.5)
    assert [stem["name"] for stem in plan["stems"]] == ["vocals", "instrumental"]
    assert sorted(tmp_path.rglob("*")) == before
    assert list(home.iterdir()) == []
    assert fake.submitted == []


def test_dry_run_foresees_the_numbered_neighbour(stembridge: Run, song: Path, tmp_path: Path) -> None:
    (tmp_path / "Song.stems").mkdir()
    (tmp_path / "Song.stems" / "mine.txt").touch()
    foreseen = stembridge("separate", song, "--dry-run", "--json").of("plan")[0]["stems"]
    placed = stembridge("separate", song, "--json").of("job")[-1]["stems"]
    assert placed == foreseen
    assert "Song (2).stems" in placed[0]["path"]


def test_price_is_told_and_without_a_terminal_not_asked(stembridge: Run, tmp_path: Path, fake: FakeSeparator) -> None:
    fake.price = 1.25
    songs = [write_song(tmp_path / f"{number}.flac", seed=number) for number in range(3)]
    result = stembridge("separate", *songs)
    assert result.code == 0
    assert result.out.splitlines()[0] == "3 tracks with fake, about 3.75 credits"


def test_price_is_told_to_programs_and_when_quiet(stembridge: Run, song: Path, fake: FakeSeparator) -> None:
    fake.price = 1.25
    told = stembridge("separate", song, "--force", "--json").events
    assert told[0] == {"event": "price", "provider": "fake", "tracks": 1, "credits": 1.25, "bought": 0}
    quiet = stembridge("-q", "separate", song, "--force")
    assert quiet == (0, "", "1 track with fake, about 1.25 credits\n")
    fake.price = 0.0
    assert stembridge("-q", "separate", song, "--force") == (0, "", "")


def test_a_service_without_a_price_is_told_all_the_same(stembridge: Run, tmp_path: Path, fake: FakeSeparator) -> None:
    """Count, that the price is not known, and what is bought already: in a run, a dry run and for programs."""
    fake.price = None
    songs = [write_song(tmp_path / f"{number}.flac", 0.1, seed=number) for number in range(5)]
    assert stembridge("separate", *songs[:2]).out.splitlines()[0] == "2 tracks with fake, price not known"
    dry = stembridge("separate", *songs, "-n").out.splitlines()
    assert dry[-2] == "3 tracks with fake, price not known, and 2 bought already, at no cost"
    told = stembridge("separate", *songs, "-n", "--json").of("price")
    assert told == [{"event": "price", "provider": "fake", "tracks": 3, "credits": None, "bought": 2}]
    (tmp_path / "out").mkdir()
    (plan,) = stembridge("separate", songs[0], "--to", "out", "-n", "--json").of("plan")
    assert (plan["credits"], plan["standing"]) == (0.0, None)
    quiet = stembridge("-q", "separate", *songs)
    assert quiet == (0, "", "3 tracks with fake, price not known, and 2 bought already, at no cost\n")
    again = stembridge("separate", *songs).out.splitlines()[0]
    assert again == "5 tracks with fake bought already, at no cost"
    assert len(fake.submitted) == 5


def test_what_stands_costs_nothing(stembridge: Run, song: Path, tmp_path: Path, fake: FakeSeparator) -> None:
    fake.price = 1.25
    stembridge("separate", song)
    other = write_song(tmp_path / "Other.flac", seed=9)
    dry = stembridge("separate", song, other, "-n").out.splitlines()
    assert dry[0] == "Song.flac (1 s): made before, vocals, instrumental in Song.stems"
    told = "1 track with fake, about 1.25 credits, and 1 bought already, at no cost"
    assert dry[-2] == told
    plan = stembridge("separate", song, "-n", "--json").of("plan")[0]
    assert (plan["credits"], bool(plan["standing"])) == (0.0, True)
    assert all(Path(stem["path"]).is_file() for stem in plan["stems"])
    forced = stembridge("separate", song, "-n", "--force", "--json").of("plan")[0]
    assert (forced["credits"], forced["standing"]) == (1.25, None)
    assert stembridge("separate", song, other).out.splitlines()[0] == told
    assert "credits" not in stembridge("separate", song, other).out


def test_dry_run_foresees_another_destination(stembridge: Run, song: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    foreseen = stembridge("separate", song, "--to", "out", "--dry-run", "--json").of("plan")[0]["stems"]
    placed = stembridge("separate", song, "--to", "out", "--json").of("job")[-1]["stems"]
    assert placed == foreseen
    assert Path(placed[0]["path"]).parent == tmp_path / "out" / "Song.stems"


def test_a_song_below_the_destination_is_taken(stembridge: Run, song: Path, tmp_path: Path) -> None:
    assert stembridge("separate", song, "--to", tmp_path).code == 0
    assert len(made(tmp_path)) == 2


def test_a_walk_takes_no_own_stems_whatever_the_template(stembridge: Run, tmp_path: Path, home: Path) -> None:
    (home / "config.toml").write_text('[stems]\ntemplate = "{name} {stem}.{ext}"\n')
    write_song(tmp_path / "music" / "x.flac")
    for _ in range(3):
        assert stembridge("separate", "-r", "music").code == 0
    assert len(list((tmp_path / "music").iterdir())) == 3


def test_a_long_look_is_told(stembridge: Run, tmp_path: Path) -> None:
    for number in range(21):
        write_song(tmp_path / "many" / f"{number:02}.flac", seconds=0.1, seed=number)
    assert stembridge("separate", "-r", "many", "-n").out.splitlines()[0] == "looking at 21 files"


def test_a_named_provider_wins_over_the_preset_of_the_settings(
    stembridge: Run, song: Path, home: Path, fake: FakeSeparator
) -> None:
    (home / "config.toml").write_text(
        '[separate]\npreset = "mine"\n[presets.mine]\n'
        'operations = [{ kind = "separation", provider = "gone", stems = ["vocals"] }]\n'
    )
    assert stembridge("separate", song).code == 2
    assert stembridge("separate", song, "--provider", "fake").code == 0
    assert fake.submitted[0].operation.stems == ()  # type: ignore[union-attr]


def test_bad_sources_are_told_and_the_rest_goes_on(stembridge: Run, song: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not audio")
    (tmp_path / "empty.wav").touch()
    result = stembridge("separate", "notes.txt", song, "empty.wav")
    assert result.code == 1
    assert len(result.err.splitlines()) == 2
    assert all("notes.txt" in line or "empty.wav" in line for line in result.err.splitlines())
    assert result.out.splitlines()[-1].startswith("1 done, 2 failed in ")
    again = stembridge("separate", "notes.txt", song, "--json")
    (error,) = again.of("error")
    assert error["source"] == str(tmp_path / "notes.txt")
    assert error["exit_code"] == 1
    assert (again.events[-1]["failed"], again.events[-1]["exit_code"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.flac"], "no such file: gone.flac"),
        ([""], "no such file: an empty name"),
        (
            ["Song.flac", "-q"],
            "-q goes before the command: stembridge -q separate; try 'stembridge separate --help'",
        ),
        (["folder"], "folder is a folder; add --recursive to take every song in it"),
        (["*.ogg"], "no audio file matches *.ogg"),
        (["Song.flac", "--provider", "fkae"], "no separator 'fkae'; did you mean 'fake'?"),
        (["Song.flac", "--model", "halvs"], "no model 'halvs'; did you mean 'halves'?"),
        (["Song.flac", "--preset", "karaoki"], "no preset 'karaoki'; did you mean 'karaoke'?"),
        (
            ["Song.flac", "--option", "a"],
            "invalid value for '--option': 'a' is not KEY=VALUE; try 'stembridge separate --help'",
        ),
        (
            ["Song.flac", "--stems", ","],
            "invalid value for '--stems': name at least one stem; try 'stembridge separate --help'",
        ),
        (
            ["Song.flac", "--to", "Song.flac"],
            "invalid value for '--to': Song.flac is no folder; try 'stembridge separate --help'",
        ),
        (
            ["Song.flac", "--to", "Stems"],
            "invalid value for '--to': Stems does not exist; make the folder first, or mount its disk;"
            " try 'stembridge separate --help'",
        ),
    ],
    ids=[
        "file",
        "empty",
        "quiet",
        "folder",
        "pattern",
        "provider",
        "model",
        "preset",
        "option",
        "stems",
        "to",
        "no-to",
    ],
)
def test_usage_errors_start_nothing(
    stembridge: Run, song: Path, tmp_path: Path, arguments: list[str], message: str, fake: FakeSeparator
) -> None:
    (tmp_path / "folder").mkdir()
    result = stembridge("separate", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"stembridge: {message}\n"
    assert fake.submitted == []


def test_broken_settings_name_file_line_and_key(stembridge: Run, song: Path, home: Path) -> None:
    (home / "config.toml").write_text('[separate]\nformat = "flac"\nmodle = "x"\n')
    result = stembridge("separate", song)
    assert result.code == 2
    assert f"{home / 'config.toml'}, line 3: unknown key 'modle' in [separate], did you mean 'model'?" in result.err
    (home / "config.toml").write_text('[separate]\nformat = "flac\n')
    result = stembridge("separate", song, "--json")
    assert result.code == 2
    assert f"{home / 'config.toml'}, line 2" in result.err
    assert [event["event"] for event in result.events] == ["error", "summary"]


def test_settings_choose_format_and_preset(stembridge: Run, song: Path, home: Path, tmp_path: Path) -> None:
    (home / "config.toml").write_text(
        '[separate]\npreset = "mine"\n[presets.mine]\n'
        'operations = [{ kind = "separation", provider = "fake", stems = ["vocals"], format = "wav16" }]\n'
    )
    assert stembridge("separate", song).code == 0
    assert made(tmp_path) == ["Song.stems/Song - Vocals.wav"]


def test_run_does_every_operation_of_a_preset(stembridge: Run, song: Path, home: Path, tmp_path: Path) -> None:
    (home / "config.toml").write_text(
        '[presets.both]\noperations = [{ kind = "separation", provider = "fake", stems = ["vocals"] },'
        ' { kind = "separation", provider = "fake", stems = ["instrumental"] }]\n'
    )
    result = stembridge("run", "both", song, "--json")
    assert result.code == 0, result.err
    assert result.events[-1]["done"] == 2
    assert {name.rsplit(" - ")[1] for name in made(tmp_path)} == {"Vocals.flac", "Instrumental.flac"}
    assert stembridge("run", "boht", song).err == "stembridge: no preset 'boht'; did you mean 'both'?\n"


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (ServiceError("too long for this model"), 1, "failed"),
        (RefusedError("no credits left", remedy="buy some"), 3, "failed"),
        (OutcomeUnknownError("the answer was lost"), 4, "unconfirmed"),
    ],
    ids=["failed", "refused", "unconfirmed"],
)
def test_exit_codes_of_jobs(
    stembridge: Run,
    song: Path,
    fake: FakeSeparator,
    error: Exception,
    code: int,
    state: str,
    impatient: None,
) -> None:
    fake.submit_errors["Song.flac"] = error
    result = stembridge("separate", song, "--json")
    assert result.code == code
    last = result.of("job")[-1]
    assert (last["state"], last["error"]["exit_code"]) == (state, code)
    assert result.events[-1]["exit_code"] == code


def test_a_service_that_is_too_busy_to_plan_says_what_to_do(stembridge: Run, song: Path, fake: FakeSeparator) -> None:
    fake.plan_error = TransientError("the service: too many requests (HTTP 429)")
    result = stembridge("separate", str(song))
    assert result.code == 1
    assert "too many requests (HTTP 429); nothing was begun with it: run it again later" in result.err


def test_a_refused_account_ends_the_run_before_it_starts(stembridge: Run, song: Path, fake: FakeSeparator) -> None:
    fake.plan_error = RefusedError("the token is not valid", remedy="stembridge login fake")
    result = stembridge("separate", song)
    assert (result.code, result.err) == (3, "stembridge: the token is not valid; stembridge login fake\n")


def test_unconfirmed_work_is_not_paid_again_without_a_word(
    stembridge: Run, song: Path, fake: FakeSeparator, impatient: None
) -> None:
    fake.submit_errors["Song.flac"] = OutcomeUnknownError("the answer was lost")
    assert stembridge("separate", song).code == 4
    fake.submit_errors.clear()
    again = stembridge("separate", song)
    assert again.code == 4
    assert "stembridge jobs retry" in again.err
    assert fake.submitted == []


def test_quiet_says_nothing_when_all_is_well(stembridge: Run, song: Path) -> None:
    assert stembridge("--quiet", "separate", song) == (0, "", "")


def test_recursive_takes_a_tree(stembridge: Run, tmp_path: Path) -> None:
    write_song(tmp_path / "music" / "a" / "1.flac", seed=1)
    write_song(tmp_path / "music" / "b" / "1.flac", seed=2)
    result = stembridge("separate", "-r", "music")
    assert result.code == 0
    assert len(made(tmp_path)) == 4
    assert stembridge("separate", "-r", "music", "--json").events[-1]["reused"] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8(stembridge: Run, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 [x] :smile:.flac")
    write_song(tmp_path / "plain.flac").rename(tmp_path / name)
    result = stembridge("separate", name)
    assert result.code == 0, result.err
    assert result.out.splitlines()[0] == r"caf\udce9 [x] :smile:.flac: running"
    (job, *_) = stembridge("separate", name, "--json").of("job")
    assert bytes.fromhex(job["source"].removeprefix("bytes:")).endswith(b"caf\xe9 [x] :smile:.flac")


@pytest.mark.parametrize(
    ("section", "key", "told"),
    [
        ("separate", "provider", "no separator 'nobody'"),
        ("separate", "preset", "no preset 'nobody'"),
        ("separate", "format", "no format is called 'nobody'"),
        ("stems", "template", "template 'nobody' would give stems one name"),
    ],
    ids=["provider", "preset", "format", "template"],
)
def test_a_mistake_in_the_settings_is_told_with_its_place(
    stembridge: Run, song: Path, home: Path, monkeypatch: pytest.MonkeyPatch, section: str, key: str, told: str
) -> None:
    if key == "provider":
        monkeypatch.delenv("STEMBRIDGE_SEPARATE_PROVIDER")
    (home / "config.toml").write_text(f"[{section}]\n{key} = 'nobody'\n")
    result = stembridge("separate", song)
    assert result.code == 2
    assert result.err.startswith(f"stembridge: {home / 'config.toml'}, line 2: [{section}] {key}: {told}")


@pytest.mark.parametrize("option", ["--provider", "--model", "--format", "--to", "--preset"])
def test_an_empty_variable_of_a_script_chooses_nothing(stembridge: Run, song: Path, option: str) -> None:
    result = stembridge("separate", song, option, "")
    assert result.code == 2
    assert f"'{option}': it is empty; name one, or leave the option out" in result.err


def test_a_folder_of_a_user_that_is_none_is_a_usage_error(stembridge: Run, song: Path) -> None:
    result = stembridge("separate", song, "--to", "~nobody-of-that-name/x")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "no such user" in result.err


def test_a_broken_job_store_is_told_once_not_for_each_song(stembridge: Run, tmp_path: Path, home: Path) -> None:
    songs = [write_song(tmp_path / f"{number}.flac", seed=number) for number in range(3)]
    (home / "jobs.sqlite3").write_text("no database at all, whatever its name says " * 50)
    result = stembridge("separate", *songs)
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert "jobs.sqlite3" in result.err


def test_an_error_names_its_file_as_all_other_lines_do(stembridge: Run, tmp_path: Path) -> None:
    (tmp_path / "text.flac").write_text("no sound")
    result = stembridge("separate", "text.flac")
    assert result.code == 1
    assert result.err.startswith("stembridge: text.flac ")
    assert str(tmp_path) not in result.err


def test_a_format_that_needs_ffmpeg_is_refused_before_anything_is_sent(
    stembridge: Run, song: Path, fake: FakeSeparator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    result = stembridge("separate", song, "--format", "mp3")
    assert result.code == 2
    assert "mp3 needs ffmpeg to be written; install ffmpeg" in result.err
    assert fake.submitted == []


def test_what_was_bought_for_another_place_costs_nothing(
    stembridge: Run, song: Path, tmp_path: Path, fake: FakeSeparator
) -> None:
    fake.price = 1.25
    stembridge("separate", song)
    (tmp_path / "out").mkdir()
    (plan,) = stembridge("separate", song, "--to", "out", "-n", "--json").of("plan")
    assert (plan["credits"], plan["standing"]) == (0.0, None)
    told = stembridge("separate", song, "--to", "out").out.splitlines()[0]
    assert told == "1 track with fake bought already, at no cost"
    assert len(fake.submitted) == 1
