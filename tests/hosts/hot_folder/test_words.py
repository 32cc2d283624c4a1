"""What people read: each line once, true, and with what to do."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from stembridge_hot_folder import queue, status
from stembridge_hot_folder.commands import watch
from stembridge_hot_folder.ledger import LEDGER_NAME, SongState
from stembridge_hot_folder.lock import is_watched
from stembridge_hot_folder.record import write_error
from stembridge_hot_folder.run import preview_folders
from stembridge_hot_folder.status import show_status

from plugin_core.errors import ExitCode, RefusedError
from plugin_core.model import Plan, Separation, Source
from tests.hosts.hot_folder.conftest import PATIENCE, Desk, wait_for
from tests.hosts.hot_folder.processes import start, wait_until_said
from tests.hosts.hot_folder.separator import CheapSeparator
from tests.hosts.hot_folder.test_survival import SCHEMA
from tests.hosts.reaper.schemas import list_event_faults


def lines_of(desk: Desk, *options: str) -> list[str]:
    """Run a watch and return the lines of both streams."""
    process = start(desk, *options)
    out, err = process.communicate(timeout=PATIENCE)
    return [*out.decode().splitlines(), *err.decode().splitlines()]


def test_help_shows_both_ways_to_call_and_every_sentence_whole() -> None:
    lines = CliRunner().invoke(watch, ["--help"]).output.splitlines()
    usage = [line.removeprefix("Usage:").split() for line in lines[:2]]
    assert [words[1:] for words in usage] == [["[OPTIONS]", "DIR..."], ["COMMAND", "[ARGS]..."]]
    assert usage[0][0] == usage[1][0]
    assert not [line for line in lines if line.endswith("...") and line not in lines[:2]]
    assert not [line for line in lines if line.strip() == "DIR..."]


def test_folder_called_folders_is_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(watch.commands["folders"], "callback", lambda **values: seen.append(values["folders"]))
    result = CliRunner().invoke(watch, ["folders"])
    assert result.exception is None, result.output
    assert seen == [(Path("folders"),)]


@pytest.mark.parametrize(("word", "told"), [("statsu", "did you mean 'status'?"), ("Drop", "")])
def test_a_misspelt_word_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, told: str) -> None:
    seen: list[object] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watch.commands["folders"], "callback", lambda **values: seen.append(values["folders"]))
    assert told in CliRunner().invoke(watch, [word]).output
    assert bool(seen) is not bool(told)
    # One that is there is a folder, whatever it is called.
    (tmp_path / word).mkdir()
    seen.clear()
    CliRunner().invoke(watch, [word])
    assert seen == [(Path(word),)]


def test_status_names_a_failed_song_once(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    (desk.root / "Bad.wav").write_text("just words, no audio")
    desk.once()
    capsys.readouterr()
    assert show_status(desk.context(), [desk.root], as_json=False) == 1
    [line] = [line for line in capsys.readouterr().out.splitlines() if "Bad.wav" in line]
    assert line.count("Bad.wav") == 1
    assert "not audio" in line


def folder_of(desk: Desk, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what ``watch status --json`` says of the folder; empty where it says nothing."""
    capsys.readouterr()
    show_status(desk.context(), [], as_json=True)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return next((event for event in events if event["event"] == "folder"), {})


def test_status_knows_the_folder_and_every_song_that_waits_while_the_watch_runs(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said "no folder was watched yet" of one whose songs were all refused before any job was made."""

    async def refuse(self: CheapSeparator, source: Source, wish: Separation) -> Plan:
        raise RefusedError("no credits are left", remedy="buy some")

    monkeypatch.setattr(CheapSeparator, "plan", refuse)
    monkeypatch.setattr(queue, "FIRST_WAIT", 3600.0)
    monkeypatch.setattr(queue, "LONGEST_WAIT", 3600.0)
    with desk.running() as watch:
        wait_for(lambda: folder_of(desk, capsys))
        assert folder_of(desk, capsys)["watched"]
        desk.song("00.wav")
        watch.wait("waits", "00.wav")
        for number in range(1, 12):
            desk.song(f"{number:02}.wav", seed=number)
        wait_for(lambda: folder_of(desk, capsys)["songs"]["waiting"] == 12, lambda: folder_of(desk, capsys))
        show_status(desk.context(), [], as_json=False)
        first, *others = capsys.readouterr().out.splitlines()
        assert first == f"{desk.root} (watched): 12 waiting"
        told = sorted(line.split(maxsplit=2) for line in others)
        names = [f"{desk.root / f'{number:02}.wav'}:" for number in range(12)]
        assert told == [["waiting", name, "no credits are left; buy some"] for name in names]
    assert folder_of(desk, capsys)["songs"]["waiting"] == 1, "only what was tried is known once nobody watches"
    assert folder_of(desk, capsys)["songs"]["queued"] == 0
    (desk.root / "00.wav").unlink()
    with desk.running():
        wait_for(lambda: folder_of(desk, capsys)["songs"]["waiting"] == 11, lambda: folder_of(desk, capsys))


def test_status_counts_songs_that_settle_or_are_queued(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.set(at_once=1)
    desk.separator.hold = True
    (desk.root / "Empty.wav").touch()
    with desk.running():
        for number in range(3):
            desk.song(f"{number}.wav", seed=number)
        wanted = {"settling": 1, "queued": 2, "working": 1}
        wait_for(lambda: wanted.items() <= folder_of(desk, capsys).get("songs", {}).items())


def test_status_tells_of_every_song_why_it_is_where_it_is_and_of_every_day_what_it_cost(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.set(at_once=1, unknown="hold")
    desk.separator.price = 2.5
    desk.song("Done.wav", seed=1)
    (desk.root / "Bad.wav").write_text("just words, no audio")
    desk.once()
    desk.separator.hold = True
    (desk.root / "Empty.wav").touch()
    desk.song("nameless/Held.wav", seed=2)
    desk.song("Copy.wav", seed=1)
    os.utime(desk.root / "Copy.wav", (1e9, 1e9))
    for number in range(3):
        desk.song(f"{number}.wav", seed=10 + number)
        os.utime(desk.root / f"{number}.wav", (2e9 + number, 2e9 + number))
    wanted = {"settling": 1, "queued": 2, "working": 1, "held": 1, "skipped": 1, "failed": 1, "done": 1}
    with desk.running():
        wait_for(lambda: wanted.items() <= folder_of(desk, capsys)["songs"].items(), lambda: folder_of(desk, capsys))
        wait_for(lambda: "running" in status_of(desk, capsys)[1]["0.wav"], lambda: status_of(desk, capsys))
        head, songs, days = status_of(desk, capsys)
        assert show_status(desk.context(), [], as_json=True) == 1
        told_as_json = capsys.readouterr().out
        desk.separator.hold = False
        over = {"working": 0, "queued": 0, "done": 4}
        wait_for(lambda: over.items() <= folder_of(desk, capsys)["songs"].items(), lambda: folder_of(desk, capsys))
    counts = {word.split()[1]: int(word.split()[0]) for word in head.split(": ")[1].split(", ")}
    assert counts == wanted
    assert songs.pop("Bad.wav").startswith("failed: ")
    assert songs == {
        "0.wav": "working: running, 50 %",
        "Empty.wav": "settling: it has no content yet",
        "1.wav": "queued: next",
        "2.wav": "queued: behind 1",
        "Held.wav": "held: its folder names no preset",
        "Copy.wav": f"skipped: the same song as {desk.root / 'Done.wav'}, which is done; to do it all the same: "
        "stembridge watch retry FILE",
    }
    [today] = days
    assert today.split(maxsplit=1)[1] == "1 done, 1 failed, 1 skipped; 2 tracks bought at fake, 5 credits"
    events = [json.loads(line) for line in told_as_json.splitlines()]
    kinds = {"song": "standing", "summary": "count"}
    faults = [list_event_faults(SCHEMA, kinds.get(one["event"], one["event"]), one) for one in events]
    assert not any(faults), faults
    assert sorted(Path(one["source"]).name for one in events if one["event"] == "song") == sorted(
        [*songs, "Bad.wav", "Done.wav"]
    )
    [day] = [one for one in events if one["event"] == "day"]
    assert day["songs"] == {"done": 1, "failed": 1, "skipped": 1}
    assert day["costs"] == [{"provider": "fake", "tracks": 2, "credits": 5.0}]


def status_of(desk: Desk, capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, str], list[str]]:
    """Return what people read: the folder's line, state and reason of each song, and a line for each day."""
    capsys.readouterr()
    show_status(desk.context(), [], as_json=False)
    head, *lines = capsys.readouterr().out.splitlines()
    days = [line for line in lines if line.strip()[0].isdigit()]
    songs = [line.split(maxsplit=1) for line in lines if line not in days]
    told = [(state, *rest.partition(": ")[::2]) for state, rest in songs]
    return (
        head,
        {Path(path).name: f"{state}: {why}" for state, path, why in told},
        [one for one in lines if one.strip()[0].isdigit()],
    )


def test_song_that_the_user_wants_again_is_still_wanted_after_it_had_to_wait(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = desk.song()
    desk.once()
    status.retry_songs(desk.context(), [song], failed=False, as_json=True)
    plan = CheapSeparator.plan

    async def refuse(self: CheapSeparator, source: Source, wish: Separation) -> Plan:
        raise RefusedError("no credits are left")

    monkeypatch.setattr(CheapSeparator, "plan", refuse)
    assert desk.once().of("waits") == ["Song.wav"]
    assert desk.state(song) is SongState.RETRY
    monkeypatch.setattr(CheapSeparator, "plan", plan)
    assert desk.once().of("done") == ["Song.wav"]
    assert desk.separator.paid == ["Song.wav"] * 2


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["watch", "dry run"])
def test_json_says_which_folder_names_no_preset(desk: Desk, options: tuple[str, ...]) -> None:
    desk.song("holiday/Song.wav")
    process = start(desk, "--json", *(options or ("--once",)))
    out, _ = process.communicate(timeout=PATIENCE)
    events = [json.loads(line) for line in out.splitlines()]
    [reason] = [one["reason"] for one in events if one["event"] == "note" and "names no preset" in one["reason"]]
    assert reason.startswith(f"{desk.root}: folder 'holiday' names no preset")


def test_json_says_what_is_wrong_with_an_edited_folder_config(desk: Desk, tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"

    def notes() -> list[str]:
        events = [json.loads(line) for line in told.read_text("utf-8").splitlines() if line.endswith("}")]
        return [event["reason"] for event in events if event["event"] == "note"]

    with told.open("wb") as output:
        process = start(desk, "--json", output=output)
    try:
        wait_for(lambda: desk.home.joinpath(LEDGER_NAME).exists() and is_watched(bytes(desk.root)))
        (desk.root / "stembridge.toml").write_text('preset = "nonsense"\n')
        wait_for(lambda: any("stembridge.toml: no preset 'nonsense'" in note for note in notes()), told.read_text)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_status_says_when_it_does_not_tell_all(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_MOST", 2)
    for number in range(5):
        (desk.root / f"{number}.wav").write_text("just words, no audio")
    desk.once()
    capsys.readouterr()
    show_status(desk.context(), [], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[-2] == "  and 3 more; all of them: stembridge watch status --json"
    assert lines[-1].split(maxsplit=1)[1] == "5 failed"
    show_status(desk.context(), [], as_json=True)
    assert capsys.readouterr().out.count('"state":"failed"') == 5


def test_retry_of_nothing_says_so(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.once()
    capsys.readouterr()
    assert status.retry_songs(desk.context(), [], failed=True, as_json=False) == 0
    assert capsys.readouterr().out == "no song failed\n"


def test_dry_run_says_of_every_song_what_would_become_of_it_to_people_and_to_programs(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.set(unknown="hold")
    desk.separator.price = 2.5
    desk.song("Done.wav", seed=2)
    desk.once()
    (desk.root / "Empty.wav").touch()
    (desk.root / "Bad.wav").write_text("just words, no audio")
    (desk.root / "Link.wav").symlink_to("Done.wav")
    desk.song("nameless/Held.wav", seed=3)
    song = desk.song()
    capsys.readouterr()
    assert preview_folders(desk.context(), [desk.root], again=False, as_json=False) == 1
    out, err = capsys.readouterr()
    stems = [song.with_suffix(".stems") / f"Song - {name}.wav" for name in ("Instrumental", "Vocals")]
    lines = out.splitlines()
    assert sorted(lines[:4]) == [
        f"{desk.root / 'Done.wav'}: done",
        f"{desk.root / 'Empty.wav'}: settling, it has no content yet, and is waited for until it has",
        f"{desk.root / 'Link.wav'}: passed, a link; links are not followed",
        f"{desk.root / 'nameless/Held.wav'}: held, its folder names no preset",
    ]
    assert all(any(str(stem) in line for line in lines) for stem in stems), lines
    assert lines[-2:] == ["dry run: nothing was made", "1 settling, 1 queued, 1 held, 1 failed"]
    (complaint,) = err.splitlines()
    assert "Bad.wav" in complaint and "not audio" in complaint
    assert preview_folders(desk.context(), [desk.root], again=False, as_json=True) == 1
    out, err = capsys.readouterr()
    assert err == ""
    events = [json.loads(line) for line in out.splitlines()]
    assert [fault for one in events for fault in list_event_faults(SCHEMA, one["event"], one)] == []
    assert all("time" in one for one in events)
    told = {(one["state"], Path(one["source"]).name) for one in events if one["event"] == "song"}
    assert told == {("done", "Done.wav"), ("settling", "Empty.wav"), ("passed", "Link.wav"), ("held", "Held.wav")}
    (plan,) = [one for one in events if one["event"] == "plan"]
    assert sorted(one["path"] for one in plan["stems"]) == sorted(map(str, stems))
    assert [Path(one["source"]).name for one in events if one["event"] == "error"] == ["Bad.wav"]
    assert [one["credits"] for one in events if one["event"] == "price"] == [2.5]
    counts = {"settling": 1, "queued": 1, "held": 1, "failed": 1, "done": 0, "exit_code": 1}
    assert counts.items() <= events[-1].items()


@pytest.mark.parametrize("words", [["--onse"], ["./in", "--onse"]])
def test_mistakes_name_the_command_that_people_know(words: list[str]) -> None:
    result = CliRunner().invoke(watch, words)
    assert "folders" not in result.output
    assert CliRunner().invoke(watch, ["./in", "--help"]).output.split()[:4] == [
        "Usage:",
        "watch",
        "[OPTIONS]",
        "DIR...",
    ]


def test_reader_that_goes_away_ends_the_watch_and_fails_no_song(desk: Desk) -> None:
    process = start(desk)
    assert process.stdout is not None
    wait_until_said(process.stdout, b"watching")
    process.stdout.close()
    song = desk.song()
    assert process.wait(PATIENCE) == ExitCode.INTERRUPTED
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert desk.state(song) is not SongState.FAILED
    lines_of(desk, "--once")
    assert desk.state(song) is SongState.DONE


def test_full_disk_under_the_output_fails_no_song(desk: Desk) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is full")
    song = desk.song()
    with Path("/dev/full").open("wb") as full:
        process = start(desk, output=full)
        wait_for(lambda: desk.state(song) is SongState.DONE)
        process.kill()
        process.wait()


def test_once_names_what_it_leaves_and_why(desk: Desk) -> None:
    (desk.root / "Empty.wav").touch()
    desk.song()
    lines = lines_of(desk, "--once")
    left = f"{desk.root / 'Empty.wav'}: left, it has no content yet"
    assert [line for line in lines if "Empty.wav" in line] == [left]
    assert lines[-1] == "1 left, 1 done"


def test_done_line_says_that_the_stems_moved_too(desk: Desk) -> None:
    desk.set(done="done")
    desk.song()
    [line] = [line for line in lines_of(desk, "--once") if ": done, " in line]
    assert line.endswith(f"; moved, with its stems, to {desk.root / 'done' / 'Song.wav'}")


def test_note_always_says_what_to_do(tmp_path: Path) -> None:
    song = tmp_path / "Song.wav"
    write_error(bytes(song), "it is broken", "")
    lines = (tmp_path / "Song.wav.error.txt").read_text("utf-8").splitlines()
    assert "What to do:    take the song away, or put one that works in its place" in lines
    assert not any(not one and not other for one, other in itertools.pairwise(lines))


def test_log_of_the_listener_does_not_reach_the_terminal() -> None:
    code = (
        "import logging, stembridge_hot_folder.root\n"
        "logging.getLogger('watchdog.observers.inotify').warning('called when the thread is inactive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b""
