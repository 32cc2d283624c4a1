"""The window of the Lua scripts: what it shows follows from a state, and keys and mouse do all there is to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track, stems_of
from tests.hosts.reaper.conftest import Desk
from tests.simulators.reaper.gfx import Gfx
from tests.simulators.reaper.lua_bindings import make_runtime

SCRIPTS = Path(__file__).parents[3] / "hosts/reaper/stembridge_reaper/reascripts/stembridge_scripts"
STATE = """{
  heading = "What shall be done to the selected items, which are many and have long names?",
  lines = {"one", "two"},
  rows = {%s},
  row = 1,
  checks = {{label = "Vocals", is_on = true}, {label = "Drums", is_on = true}, {label = "Bass", is_on = false}},
  share = 0.25,
  buttons = {{name = "go", label = "Start"}, {name = "cancel", label = "Cancel"}},
  escape = "cancel",
}"""


class Pane:
    """A window with a state, over the model of ``gfx``."""

    def __init__(self, rows: int) -> None:
        pytest.importorskip("lupa")
        lua = make_runtime()
        self.gfx = Gfx(lua)
        lua.globals().gfx = self.gfx.table
        self.window = lua.execute((SCRIPTS / "window.lua").read_text())
        self.state = lua.eval(
            STATE % ", ".join(f'{{label = "row {number}", note = "n"}}' for number in range(1, rows + 1))
        )
        self.window.open("title", self.state, None)
        self.tick()

    def tick(self) -> None:
        self.window.tick()

    def press(self, *names: str) -> Any:
        """Press keys and return the state by then."""
        self.gfx.press(*names)
        self.tick()
        return self.state


@pytest.fixture
def launcher(request: pytest.FixtureRequest) -> str:
    """Lua, unless the test says another."""
    return str((getattr(request.node, "callspec", None) and request.node.callspec.params.get("language")) or "lua")


@pytest.mark.parametrize("size", [(460, 480), (200, 260), (1200, 300)])
def test_everything_lies_inside_whatever_the_size(size: tuple[int, int]) -> None:
    pane = Pane(100)
    pane.gfx._held["w"], pane.gfx._held["h"] = size
    pane.press("end")
    pane.tick()
    assert {"row 100", "[x] Vocals", "[  ] Bass", "Start", "Cancel"} <= set(pane.gfx.texts)
    assert max(bottom for *_, bottom in pane.gfx.shown) <= size[1]
    places = [(x, y) for _, x, y, *_ in pane.gfx.shown]
    assert len(set(places)) == len(places), "one text lies on another"


def test_keys_do_all_there_is() -> None:
    pane = Pane(3)
    state = pane.press("down", "down", "down", "up", "tab", "right", "space")
    assert (state.row, state.checks[2].is_on, state.pressed) == (2, False, None)
    assert pane.press("tab", "right", "enter").pressed == "cancel"
    assert Pane(3).press("enter").pressed == "go"
    assert Pane(3).press("escape").pressed == "cancel"
    other = Pane(3)
    other.gfx.close()
    other.tick()
    assert (other.state.pressed, other.window.state) == ("cancel", None)


def test_it_opens_where_it_was_last_and_tells_where_it_is() -> None:
    pane = Pane(3)
    assert pane.window.close() == "0 200 200 460 480"
    pane.window.open("title", pane.state, "257 -20 30 300 200")
    assert (pane.gfx._held["w"], pane.gfx._held["h"]) == (300, 200)
    assert pane.window.close() == "257 -20 30 300 200"
    assert pane.window.close() is None


def test_mouse_does_all_there_is() -> None:
    pane = Pane(3)
    for words in ("row 3", "Drums", "Start"):
        pane.gfx.click(words)
        # Shown, pressed, and let go.
        for _ in range(3):
            pane.tick()
    assert (pane.state.row, pane.state.checks[2].is_on, pane.state.pressed) == (3, False, "go")


def test_preset_and_stems_are_chosen_and_the_run_is_shown(desk: Desk, song: Path) -> None:
    add_item(add_track(desk.reaper.active), song)
    window = desk.press("separate_choose").window
    assert window is not None
    desk.host.run(lambda: "Looking for models ..." not in window.texts and "[x] Vocals" in window.texts)
    assert {"Vocals, drums, bass and other", "four-stems", "[x] Bass", "local, free", "Start"} <= set(window.texts)
    window.click("[x] Drums")
    desk.host.run(lambda: "[  ] Drums" in window.texts)
    window.press("enter")
    desk.host.run()
    assert "Cancel this run" in window.seen
    assert not window.is_open
    request = json.loads((desk.run_folder / "request.json").read_bytes())
    assert (request["preset"], request["stems"]) == ("four-stems", ["vocals", "bass", "other"])
    assert [track.name.rpartition(" - ")[2] for track in desk.reaper.active.tracks[2:]] == ["Vocals", "Bass", "Other"]
    assert desk.reaper.ext["stembridge/window"] == "0 200 200 460 480"


def test_a_model_is_chosen_and_its_run_cancelled_in_the_window(desk: Desk, tmp_path: Path) -> None:
    project = desk.reaper.active
    # Long enough not to be done at once.
    add_item(add_track(project), write_song(tmp_path / "Long.wav", 30.0))
    state = project.state()
    window = desk.press("separate_choose").window
    assert window is not None
    desk.host.run(lambda: "local, free" in window.texts)
    window.click("local, free")
    window.press("enter")
    desk.host.run(lambda: "Cancel this run" in window.texts)
    window.click("Cancel this run")
    desk.host.run()
    request = json.loads((desk.run_folder / "request.json").read_bytes())
    assert (request["provider"], request["preset"]) == ("local", "")
    assert request["model"]
    assert desk.status()["state"] == "cancelled"
    assert project.state() == state


def test_the_row_that_was_chosen_stays_so_where_presets_are_others_by_now(desk: Desk, song: Path) -> None:
    desk.configure(presets=[{"name": name, "title": name, "kind": "separate"} for name in ("gone", "two-stems")])
    add_item(add_track(desk.reaper.active), song)
    window = desk.press("separate_choose").window
    assert window is not None
    window.press("down")
    desk.host.run(lambda: "local, free" in window.texts)
    window.press("enter")
    desk.host.run()
    assert json.loads((desk.run_folder / "request.json").read_bytes())["preset"] == "two-stems"


def test_why_no_models_are_listed_is_said_in_the_window(desk: Desk, song: Path) -> None:
    (desk.runs.parents[1] / "config.toml").write_text("[reaper]\nstem_tracks = 3\n[separate]\nprovider = 1\n")
    add_item(add_track(desk.reaper.active), song)
    window = desk.press("separate_choose").window
    assert window is not None
    desk.host.run(lambda: "Start" in window.texts and "Looking for models ..." not in window.texts)
    assert "config.toml" in " ".join(window.texts)
    window.press("escape")
    desk.host.run()


@pytest.mark.parametrize("how", ["close", "escape"])
def test_nothing_is_begun_where_the_window_is_closed(desk: Desk, song: Path, how: str) -> None:
    add_item(add_track(desk.reaper.active), song)
    window = desk.press("separate_choose").window
    assert window is not None
    window.close() if how == "close" else window.press(how)
    desk.host.run()
    assert desk.run_folders == []


def test_closing_the_window_of_a_run_lets_it_go_on(desk: Desk, tmp_path: Path) -> None:
    add_item(add_track(desk.reaper.active), write_song(tmp_path / "Long.wav", 20.0))
    window = desk.press("separate_choose").window
    assert window is not None
    window.press("enter")
    desk.host.run(lambda: "Cancel this run" in window.texts)
    window.close()
    desk.host.run()
    assert len(stems_of(desk.reaper.active)) == 4


@pytest.mark.parametrize("language", ["lua", "python"])
def test_finished_stems_are_listed_and_chosen(tmp_path: Path, language: str, request: pytest.FixtureRequest) -> None:
    desk: Desk = request.getfixturevalue("desk")
    project = desk.reaper.active
    for number in range(3):
        desk.leave_run(add_item(add_track(project), write_song(tmp_path / f"{number}.wav", 0.5, seed=number)))
    if language == "lua":
        window = desk.press("insert").window
        assert window is not None
        desk.host.run(lambda: "[x] vocals: 1" in window.texts)
        assert "The stems of 3 items are finished and not in this project." in " ".join(window.texts)
        window.click("[x] vocals: 1")
        window.press("tab", "enter")
        desk.host.run()
    else:
        desk.reaper.inputs = ["1, 3"]
        desk.do("insert")
        assert "2  vocals: 1\n" in desk.reaper.console
    assert {item.take.name for item in stems_of(project) if item.take} == {"0 - Vocals", "2 - Vocals"}


def test_price_progress_and_time_left_are_shown(desk: Desk, song: Path) -> None:
    desk.configure(python="/bin/sh", launch=["-c", "exec sleep 600"])
    add_item(add_track(desk.reaper.active), song)
    window = desk.press("separate_choose").window
    assert window is not None
    window.press("enter")
    desk.host.run(lambda: "Cancel this run" in window.texts)
    desk.say(state="asking", message="1 track with studio, about 3 credits. Go on?", buttons=1)
    desk.host.run(lambda: "1 track with studio, about 3 credits. Go on?" in window.texts)
    assert not (desk.run_folder / "go").exists()
    window.press("enter")
    desk.host.run((desk.run_folder / "go").exists)
    file = {"path": str(song), "items": [0], "words": "separating 45 %", "note": ""}
    desk.say(state="working", hint="0 of 1 file done, 45 %, about 2 min left", share=0.45, files=[file])
    desk.host.run(lambda: f"{song.name}: separating 45 %" in window.texts)
    assert "0 of 1 file done, 45 %, about 2 min left" in window.texts
    bar, done = (one for one in window.rectangles if one[3] == 22 and one[1] == window.rectangles[-1][1])
    assert done[2] == int(bar[2] * 0.45)
    desk.say(state="done", files=[file])
    desk.host.run()
    assert desk.messages == []
    for process in desk.reaper.processes:
        process.kill()
