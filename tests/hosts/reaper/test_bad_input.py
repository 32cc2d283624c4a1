"""Whatever is wrong is said in one sentence, and the project stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from stembridge_reaper.protocol import FileStatus, Status
from stembridge_reaper.status import describe_failures

from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track, stems_of
from tests.hosts.reaper.conftest import Desk
from tests.simulators.reaper.objects import Item, Source


def refuse(desk: Desk, action: str = "separate_last") -> str:
    """Do an action that must say one thing and change nothing."""
    state = desk.reaper.active.state()
    desk.do(action)
    assert desk.reaper.active.state() == state
    assert len(desk.reaper.active.history) == 1
    (message,) = desk.messages
    assert "\n" not in message
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize("action", ["separate_last", "separate_choose", "label", "preset_karaoke"])
def test_no_selection(desk: Desk, action: str) -> None:
    assert refuse(desk, action) == "Select one or more audio items first."


def test_only_what_cannot_be_separated(desk: Desk, song: Path, tmp_path: Path) -> None:
    track = add_track(desk.reaper.active)
    add_item(track, song).takes[0].source = Source("MIDI")
    add_item(track, song).takes[0].source = Source("RPP_PROJECT", str(tmp_path / "inner.rpp"))
    add_item(track, tmp_path / "gone.wav")
    track.items.append(Item())
    track.items[-1].is_selected = True
    desk.reaper.active.history[:] = [("arranged", desk.reaper.active.state())]
    message = refuse(desk)
    assert message.startswith("No selected item can be used; 4 items passed over: ")
    for reason in ("1 MIDI", "1 empty", "1 project in project"):
        assert reason in message


def test_what_can_be_used_is_and_the_rest_is_counted(desk: Desk, song: Path) -> None:
    track = add_track(desk.reaper.active)
    add_item(track, song)
    add_item(track, song).takes[0].source = Source("MIDI")
    desk.do("separate_last")
    assert len(stems_of(desk.reaper.active)) == 4
    assert desk.reaper.console == ["stembridge: 1 item passed over: 1 MIDI\n"]


def test_reversed_inside_a_section(desk: Desk, song: Path) -> None:
    item = add_item(add_track(desk.reaper.active), song, section=(0.0, 1.0), mode=2)
    outer = Source("SECTION", parent=item.takes[0].source)
    outer.span = 0.5
    item.takes[0].source = outer
    desk.reaper.active.history[:] = [("arranged", desk.reaper.active.state())]
    assert "reversed inside another section (glue it first)" in refuse(desk)


def test_file_name_that_is_not_utf8(desk: Desk, tmp_path: Path) -> None:
    path = write_song(tmp_path / "caf\udce9.wav", 1.0)
    add_item(add_track(desk.reaper.active), path)
    desk.reaper.active.history[:] = [("arranged", desk.reaper.active.state())]
    assert "file name that is not UTF-8" in refuse(desk)


def test_no_settings(desk: Desk) -> None:
    (desk.scripts / "stembridge.json").unlink()
    assert "run 'stembridge reaper install' once" in refuse(desk)


def test_home_that_is_not_there_is_not_made_anew(desk: Desk, home: Path) -> None:
    home.rename(home.with_name("Moved"))
    for action in ("separate_last", "insert"):
        desk.reaper.boxes.clear()
        assert refuse(desk, action).startswith(f"The home folder of stembridge is not at {home}: ")
    assert not home.exists()
    home.with_name("Moved").rename(home)


def test_settings_of_another_version(desk: Desk) -> None:
    desk.configure(version=99)
    assert "another version" in refuse(desk)


@pytest.mark.parametrize("name", ["karaok", "\u00b2", "99"])
def test_unknown_preset(desk: Desk, song: Path, name: str) -> None:
    add_item(add_track(desk.reaper.active), song)
    desk.reaper.active.history[:] = [("arranged", desk.reaper.active.state())]
    desk.reaper.inputs = [name]
    assert refuse(desk, "separate_choose").startswith(f"There is no preset '{name}'; there are ")


@pytest.mark.parametrize(
    ("python", "said"),
    [("/gone/python3", "is not at /gone/python3 any more"), (__file__, "cannot be started")],
    ids=["missing", "not executable"],
)
def test_wrong_interpreter(desk: Desk, song: Path, python: str, said: str) -> None:
    add_item(add_track(desk.reaper.active), song)
    desk.reaper.active.history[:] = [("arranged", desk.reaper.active.state())]
    desk.configure(python=python)
    assert said in refuse(desk)
    desk.reaper.boxes.clear()
    assert said in refuse(desk, "insert")


def test_interpreter_without_stembridge(desk: Desk, song: Path) -> None:
    add_item(add_track(desk.reaper.active), song)
    desk.reaper.active.history[:] = [("arranged", desk.reaper.active.state())]
    desk.configure(arguments=["-S", "-m", "plugin_core"])
    assert "No module named" in refuse(desk)


def test_file_that_is_no_audio(desk: Desk, song: Path) -> None:
    project = desk.reaper.active
    add_item(add_track(project), song)
    project.remember("arranged")
    state = project.state()
    song.write_bytes(song.read_bytes()[:60])
    (message,) = _messages_after(desk)
    assert song.name in message
    assert project.state() == state


def test_settings_file_that_is_wrong(desk: Desk, song: Path, home: Path) -> None:
    (home / "config.toml").write_text("[reaper]\nmute_sources = true\n", encoding="utf-8")
    add_item(add_track(desk.reaper.active), song)
    (message,) = _messages_after(desk)
    assert "line 2" in message
    assert "mute_source" in message


def test_function_that_this_reaper_lacks(desk: Desk, song: Path) -> None:
    desk.reaper.missing = {"PCM_Source_BuildPeaks"}
    add_item(add_track(desk.reaper.active), song)
    assert _messages_after(desk) == []
    assert len(stems_of(desk.reaper.active)) == 4


def test_source_that_reaper_refuses(desk: Desk, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = desk.reaper.active
    add_item(add_track(project, "Song", -0), song)
    project.remember("arranged")
    state = project.state()
    steps = len(project.history)
    monkeypatch.setattr(desk.reaper, "SetMediaItemTake_Source", lambda take, source: 0)
    (message,) = _messages_after(desk)
    assert message.startswith("REAPER cannot read ")
    assert project.state() == state
    assert len(project.history) == steps
    monkeypatch.undo()
    desk.do("insert")
    assert len(stems_of(project)) == 4


def test_many_failures_fit_a_box() -> None:
    files = [FileStatus(path=Path("x"), state="failed", message=f"song {number} failed") for number in range(30)]
    lines = describe_failures(Status(id="run", pid=1, heartbeat=0.0, files=files)).splitlines()
    assert lines[9:] == ["song 9 failed", "... and 20 more: see 'stembridge jobs list'."]


def test_runs_can_be_followed_again_after_an_error(desk: Desk, song: Path) -> None:
    project = desk.reaper.active
    add_item(add_track(project), song)
    script = desk.press("separate_last")
    (run,) = script.main.__dict__["stembridge_watcher"].runs
    desk.reaper.missing = {"Help_Set"}
    desk.host.run()
    assert "KeyError: 'Help_Set'" in desk.messages[0]
    desk.reaper.missing = set()
    desk.do("insert")
    run.process.wait()
    assert len(stems_of(project)) == 4


def test_error_of_our_own_never_reaches_reaper(desk: Desk, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.reaper.missing = {"CountSelectedMediaItems"}
    assert "stopped with an error of its own (KeyError: 'CountSelectedMediaItems')" in refuse(desk)


def _messages_after(desk: Desk) -> list[str]:
    desk.do("separate_last")
    return desk.messages
