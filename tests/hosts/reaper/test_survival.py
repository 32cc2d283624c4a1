"""Crashes and closed projects: nothing is lost, and nothing is inserted twice."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track, names_of, stems_of
from tests.hosts.reaper.conftest import Desk
from tests.simulators.reaper.objects import Project

ROOT = Path(__file__).parents[3]
both = pytest.mark.parametrize("launcher", ["lua", "python"], indirect=True)


@pytest.fixture
def project(desk: Desk, tmp_path: Path) -> Project:
    """A project with one item of a song that takes the worker a moment."""
    project = desk.reaper.active
    add_item(add_track(project), write_song(tmp_path / "Song.wav", 8.0), 0.5, 2.0, offset=1.0)
    project.remember("arranged")
    return project


@both
def test_reaper_killed(desk: Desk, project: Project) -> None:
    desk.press("separate_last")
    desk.wait_for("working")
    desk.reopen()
    desk.wait_without_reaper("done")
    assert stems_of(desk.reaper.active) == []
    desk.do("insert")
    assert len(stems_of(desk.reaper.active)) == 4
    desk.do("insert")
    assert len(stems_of(desk.reaper.active)) == 4
    assert desk.messages[-1] == "There are no finished stems to insert."


@both
def test_reaper_killed_and_back_before_the_worker_is_done(desk: Desk, project: Project) -> None:
    desk.press("separate_last")
    desk.wait_for("working")
    desk.reopen()
    desk.do("insert")
    assert desk.messages == []
    assert len(stems_of(desk.reaper.active)) == 4


def test_second_action_does_not_follow_what_is_followed(desk: Desk, project: Project) -> None:
    desk.press("separate_last")
    desk.wait_for("working")
    desk.press("insert")
    desk.host.run()
    assert desk.messages == ["1 run still at work: the stems come in by themselves when they are ready."]
    assert len(stems_of(project)) == 4


def test_two_scripts_that_follow_one_run_insert_it_once(desk: Desk, project: Project) -> None:
    watcher = desk.press("separate_last").main.__dict__["stembridge_watcher"]
    (run,) = watcher.runs
    other = type(watcher)(watcher.configuration)
    other.known.update(watcher.known)
    other.follow(type(run)(run.folder))
    while desk.host.tick() | other.tick():
        time.sleep(0.01)
    assert len(stems_of(project)) == 4
    assert [track.name for track in project.tracks].count("Song - Stems") == 1
    for folder in desk.run_folder.glob("place-*"):
        assert json.loads((folder / "status.json").read_bytes())["state"] == "done"


def test_stems_that_were_moved_away(desk: Desk, project: Project, tmp_path: Path) -> None:
    desk.press("separate_last")
    desk.wait_without_reaper("done")
    (tmp_path / "Song.stems").rename(tmp_path / "Elsewhere")
    desk.host.run()
    (message,) = desk.messages
    assert "not where they were put" in message
    assert stems_of(project) == []


def test_worker_killed(desk: Desk, project: Project) -> None:
    desk.press("separate_last")
    desk.wait_for("working")
    desk.kill_worker()
    desk.host.run()
    assert len(desk.messages) == 1
    assert desk.messages[0].startswith("The worker of stembridge ended unexpectedly")
    assert stems_of(project) == []
    assert "P_NOTES" not in next(project.items).state()["texts"]
    desk.silence()
    desk.do("insert")
    assert len(stems_of(project)) == 4
    assert len(desk.run_folders) == 1


def test_what_a_dead_worker_finished_comes_with_the_rest(desk: Desk, project: Project, song: Path) -> None:
    add_item(project.tracks[0], song)
    desk.configure(python="/bin/sh", arguments=["-c", "exit 3"])
    desk.press("separate_last")
    stem = {"name": "vocals", "title": "Vocals", "path": str(song), "job": "1"}
    part = {"start": 0.0, "end": None, "stems": [stem], "labels": []}
    file = {"path": "a", "items": [], "state": "done", "message": "", "note": "", "progress": 1.0, "parts": [part]}
    desk.say(state="working", ready=1, files=[file, file | {"state": "running", "parts": []}])
    desk.host.run()
    assert "takes the work up again" in desk.messages[0]
    assert stems_of(project) == []


def test_worker_that_leaves_the_run_to_another_is_no_dead_one(desk: Desk, project: Project, song: Path) -> None:
    desk.configure(python="/bin/sh", arguments=["-c", ":"])
    script = desk.press("separate_last")
    (run,) = script.main.__dict__["stembridge_watcher"].runs
    run.process.wait()
    desk.say(state="working")
    for _ in range(50):
        desk.host.tick()
    assert desk.messages == []
    desk.say(state="done")
    desk.host.run()


def test_a_tick_looks_at_one_run(desk: Desk, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_item(add_track(desk.reaper.active), song)
    desk.configure(python="/bin/sh", arguments=["-c", "sleep 30"])
    watchers = []
    for _ in range(5):
        script = desk.press("separate_last")
        watchers.append(script.main.__dict__["stembridge_watcher"])
    runs = [run for watcher in watchers for run in watcher.runs]
    seconds = itertools.count(0.0, 0.25)
    watcher = type(watchers[0])({}, clock=lambda: next(seconds))
    watcher.runs += runs
    seen: list[Any] = []
    for run in runs:
        monkeypatch.setattr(run, "refresh", lambda is_forced=False, run=run: seen.append(run))
    for number in range(20):
        watcher.tick()
        assert len(seen) == number + 1
    assert all(seen.count(run) == 4 for run in runs)
    for run in runs:
        run.process.kill()


@both
def test_worker_and_reaper_killed(desk: Desk, project: Project) -> None:
    desk.press("separate_last")
    desk.wait_for("working")
    desk.kill_worker()
    desk.reopen()
    desk.silence()
    desk.do("insert")
    assert len(stems_of(desk.reaper.active)) == 4
    assert desk.messages == ["1 run was interrupted. Take up the work again?\n\nNo: do not ask again."]


@both
def test_insertion_that_was_not_saved_is_offered_again(desk: Desk, project: Project) -> None:
    state = project.state()
    desk.do("separate_last")
    assert len(stems_of(project)) == 4
    project.history.pop()
    project.restore(state)
    desk.reopen()
    desk.do("insert")
    assert len(stems_of(desk.reaper.active)) == 4


def test_no_means_never_again(desk: Desk, project: Project) -> None:
    desk.do("separate_last")
    project.undo()
    desk.reaper.answers = [7]
    desk.do("insert")
    desk.do("insert")
    assert stems_of(project) == []
    assert desk.messages[-1] == "There are no finished stems to insert."


@both
def test_other_project_is_left_alone_until_the_right_one_is_active(desk: Desk, project: Project) -> None:
    desk.press("separate_last")
    other = desk.reaper.open_project("/music/other.rpp")
    add_track(other, "Other")
    desk.wait_for("done")
    for _ in range(50):
        desk.host.tick()
    assert names_of(other) == ["Other"]
    desk.press("insert")
    desk.host.run(lambda: bool(desk.messages))
    assert desk.messages == ["There are no finished stems for this project; there are some for an unsaved project."]
    desk.reaper.active = project
    desk.host.run()
    assert len(stems_of(project)) == 4
    assert names_of(other) == ["Other"]


def test_item_that_was_deleted(desk: Desk, project: Project) -> None:
    desk.press("separate_last")
    project.tracks[0].items.clear()
    desk.host.run()
    assert [item.values["D_POSITION"] for item in stems_of(project)] == [0.5] * 4


def test_track_that_was_deleted(desk: Desk, project: Project) -> None:
    project.path = "/music/mine.rpp"
    add_track(project, "Kept")
    desk.press("separate_last")
    del project.tracks[0]
    desk.host.run()
    assert names_of(project)[:2] == ["Kept", "Song - Stems"]
    assert len(stems_of(project)) == 4


def test_item_that_was_moved_and_trimmed(desk: Desk, project: Project) -> None:
    desk.press("separate_last")
    item = next(project.items)
    item.values.update(D_POSITION=7.0, D_LENGTH=1.0)
    desk.host.run()
    assert {(one.values["D_POSITION"], one.values["D_LENGTH"]) for one in stems_of(project)} == {(7.0, 1.0)}


@both
def test_cancelled(desk: Desk, project: Project) -> None:
    state = project.state()
    desk.press("separate_last")
    desk.wait_for("working")
    desk.press("cancel")
    desk.host.run()
    assert desk.status()["state"] == "cancelled"
    assert desk.status()["files"][0]["state"] == "cancelled"
    assert project.state() == state
    desk.do("insert")
    assert desk.messages[-1] == "There are no finished stems to insert."


def test_jobs_are_listed(desk: Desk, project: Project) -> None:
    desk.do("jobs")
    assert desk.messages == ["There are no jobs of stembridge."]
    desk.do("separate_last")
    desk.do("jobs")
    assert desk.reaper.console[-1].rstrip().endswith("four-stems  done")


def _old_python() -> str:
    """Return an interpreter of the oldest version the scripts support, or this one."""
    found = sorted(Path.home().glob(".pyenv/versions/3.8*/bin/python3.8"))
    return str(found[0]) if found else shutil.which("python3.8") or sys.executable


def test_processes_killed_and_started_again(desk: Desk, project: Project, tmp_path: Path) -> None:
    rpp = pytest.importorskip("rpp")
    saved = tmp_path / "Project.json"
    saved.write_text(json.dumps(project.state()), encoding="utf-8")

    def start(action: str) -> subprocess.Popen[str]:
        script = str(desk.scripts / f"stembridge_{action}.py")
        command = [_old_python(), "-m", "tests.simulators.reaper", str(desk.resource_path), str(saved), script]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    first = start("separate_last")
    end = time.monotonic() + 300
    while not list(desk.runs.glob("*/status.json")) or desk.status()["state"] != "working":
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    desk.kill_worker()
    desk.silence()
    for _ in range(2):
        out, _ = start("insert").communicate(timeout=600)
        assert json.loads(out)["errors"] == []
    reopened = rpp.loads((tmp_path / "Project.rpp").read_text(encoding="utf-8"))
    tracks = reopened.findall("TRACK")
    assert [track.find("NAME")[1] for track in tracks][1:3] == ["Song - Stems", "Song - Vocals"]
    items = [item for track in tracks[2:] for item in track.findall("ITEM")]
    assert [float(item.find("SOFFS")[1]) for item in items] == [1.0] * 4
    assert [item.find("SOURCE").find("FILE")[1].endswith(".flac") for item in items] == [True] * 4
