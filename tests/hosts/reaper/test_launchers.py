"""Both launchers: the same plans give the same calls, and the same actions the same projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stembridge_reaper.install.actions import Launcher
from stembridge_reaper.plan import (
    AddItem,
    AddMarker,
    AddTake,
    AddTrack,
    Commit,
    Delete,
    Find,
    Head,
    SetColour,
    SetNumbers,
    SetSection,
    SetText,
    SplitItem,
    Step,
    write_plan,
)

from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track
from tests.hosts.reaper.conftest import Desk
from tests.hosts.reaper.test_bad_input import (  # noqa: F401 - the same again, in Lua
    test_home_that_is_not_there_is_not_made_anew,
    test_no_selection,
    test_only_what_cannot_be_separated,
    test_source_that_reaper_refuses,
)
from tests.hosts.reaper.test_separate import (  # noqa: F401
    test_a_file_is_separated_once_and_found_again,
    test_every_way_to_play_a_file_sounds_the_same_as_its_stems,
    test_notes_show_the_state_and_are_the_users_again,
    test_tracks_stand_in_a_coloured_folder_below_their_source,
)
from tests.hosts.reaper.test_survival import (  # noqa: F401
    project,
    test_cancelled,
    test_item_that_was_deleted,
    test_other_project_is_left_alone_until_the_right_one_is_active,
    test_reaper_killed,
    test_worker_and_reaper_killed,
)
from tests.simulators.reaper.objects import Project

CHANGES = ("Set", "Split", "Insert", "Delete", "Add", "Undo_", "PCM_Source_Create", "GetSet")
SCRIPTS = {
    "python": """
import sys
from stembridge_scripts.execution import Execution, Stale
from stembridge_scripts.documents import Refusal
plan = Execution({path!r}, {known!r})
try:
    while plan.step({seconds}):
        pass
except Stale:
    told = "stale"
except Refusal as refusal:
    told = str(refusal)
else:
    told = "done"
import reaper_python
reaper_python.RPR_ShowConsoleMsg(told)
""",
    "lua": """
local folder = select(2, reaper.get_action_context()):match("^(.*[/\\\\])") .. "stembridge_scripts/"
local documents = loadfile(folder .. "documents.lua")()
local facts = loadfile(folder .. "facts.lua")(documents)
local execution = loadfile(folder .. "execution.lua")(documents, facts)
local known = {{}}
facts.read_all(known, function() end)
local plan = execution.begin({path!r}, known)
local is_done, more
repeat is_done, more = pcall(plan.step, plan, {seconds}) until not is_done or not more
local told = is_done and "done" or more == execution.STALE and "stale" or type(more) == "table" and more.refusal or more
reaper.ShowConsoleMsg(told)
""",
}

HEAD = Head(1, "stems")
SOURCE, ITEM = "{TRACK}", "{ITEM}"
Call = tuple[Any, ...]


def stem(path: Path) -> list[Step]:
    """Return steps that fill slots 2 to 4 with a track, an item and its take."""
    return [HEAD, Find(1, "MediaTrack", SOURCE), AddTrack(2, 1), AddItem(3, 2), AddTake(4, 3, path)]


MADE: list[Call] = [
    ("InsertTrackAtIndex", 1, 0),
    ("AddMediaItemToTrack", "A"),
    ("AddTakeToMediaItem", "B"),
    ("PCM_Source_CreateFromFile", "STEM"),
    ("SetMediaItemTake_Source", "C", "D"),
]
BLOCK: tuple[Call, Call] = (("Undo_BeginBlock2", 0), ("Undo_EndBlock2", 0, "stems", -1))
TAKEN_BACK: list[Call] = [("DeleteTrackMediaItem", "A", "B"), ("DeleteTrack", "A")]

PLANS: dict[str, tuple[Callable[[Path], list[Step]], str, list[Call]]] = {
    "a stem": (lambda path: [*stem(path), Commit()], "done", [*MADE, *BLOCK]),
    "values in their order": (
        lambda path: [
            *stem(path),
            SetNumbers(3, (("D_LENGTH", 1.5), ("B_LOOPSRC", 1))),
            SetNumbers(4, (("D_STARTOFFS", 0.1),)),
            SetText(4, "P_NAME", 'S\u00f6ng "\U0001f3b5"\\'),
            AddMarker(4, 0.0, 0.25, 0.5),
            SetColour(2, 1, 2, 3),
            Commit(),
        ],
        "done",
        [
            *MADE,
            ("SetMediaItemInfo_Value", "B", "D_LENGTH", 1.5),
            ("SetMediaItemInfo_Value", "B", "B_LOOPSRC", 1.0),
            ("SetMediaItemTakeInfo_Value", "C", "D_STARTOFFS", 0.1),
            ("GetSetMediaItemTakeInfo_String", "C", "P_NAME", 'S\u00f6ng "\U0001f3b5"\\', 1),
            ("SetTakeStretchMarker", "C", -1, 0.0, 0.25),
            ("SetTakeStretchMarkerSlope", "C", 0, 0.5),
            ("SetMediaTrackInfo_Value", "A", "I_CUSTOMCOLOR", float(0x1030201)),
            *BLOCK,
        ],
    ),
    "what was there before changes in the undo step": (
        lambda path: [
            HEAD,
            Find(1, "MediaItem", ITEM),
            Find(2, "MediaTrack", SOURCE),
            Commit(),
            SetNumbers(1, (("B_MUTE", 1),)),
            Delete(1),
            Delete(2),
        ],
        "done",
        [
            BLOCK[0],
            ("SetMediaItemInfo_Value", "A", "B_MUTE", 1.0),
            ("DeleteTrackMediaItem", "B", "A"),
            ("DeleteTrack", "B"),
            BLOCK[1],
        ],
    ),
    "a section is text": (
        lambda path: [*stem(path), SetSection(4, 3, ("LENGTH 2.0", "MODE 2")), Commit()],
        "done",
        [*MADE, ("SetItemStateChunk", "B", "SECTION", 0), *BLOCK],
    ),
    "a file that cannot be read": (
        lambda path: [*stem(path), AddTake(5, 3, Path("/gone.wav")), Commit()],
        "REAPER cannot read /gone.wav; nothing was inserted.",
        [*MADE, ("AddTakeToMediaItem", "B"), ("PCM_Source_CreateFromFile", "/gone.wav"), *TAKEN_BACK],
    ),
    "a split and takes that fail are taken back": (
        lambda path: [
            HEAD,
            Find(1, "MediaItem", ITEM),
            Commit(),
            SplitItem(2, 1, 0.5),
            SetNumbers(2, (("D_FADEINLEN", 0.0),)),
            SetText(2, "GUID", "{PART}"),
            AddTake(3, 2, path),
            AddTake(4, 1, Path("/gone.wav")),
        ],
        "REAPER cannot read /gone.wav; nothing was inserted.",
        [
            BLOCK[0],
            ("SplitMediaItem", "A", 0.5),
            ("SetMediaItemInfo_Value", "B", "D_FADEINLEN", 0.0),
            ("GetSetMediaItemInfo_String", "B", "GUID", "{PART}", 1),
            ("AddTakeToMediaItem", "B"),
            *MADE[3:4],
            ("SetMediaItemTake_Source", "C", "D"),
            ("AddTakeToMediaItem", "A"),
            ("PCM_Source_CreateFromFile", "/gone.wav"),
            ("Undo_EndBlock2", 0, "stems", 0),
            ("DeleteTrackMediaItem", "E", "B"),
            ("SetItemStateChunk", "A", "STATE", 0),
        ],
    ),
    "takes that came before a step that fails go again": (
        lambda path: [
            HEAD,
            Find(1, "MediaItem", ITEM),
            AddTake(2, 1, path),
            AddTake(3, 1, Path("/gone.wav")),
            Commit(),
        ],
        "REAPER cannot read /gone.wav; nothing was inserted.",
        [
            ("AddTakeToMediaItem", "A"),
            *MADE[3:4],
            ("SetMediaItemTake_Source", "B", "C"),
            ("AddTakeToMediaItem", "A"),
            ("PCM_Source_CreateFromFile", "/gone.wav"),
            ("SetItemStateChunk", "A", "STATE", 0),
        ],
    ),
    "an object that is gone": (lambda path: [HEAD, Find(1, "MediaItem", "{X}"), Commit()], "stale", []),
    "an undo step that fails is given back": (
        lambda path: [
            *stem(path)[:-2],
            Find(5, "MediaItem", ITEM),
            Commit(),
            SetNumbers(5, (("B_MUTE", 1),)),
            AddItem(3, 2),
            AddTake(6, 3, Path("/gone.wav")),
        ],
        "REAPER cannot read /gone.wav; nothing was inserted.",
        [
            MADE[0],
            BLOCK[0],
            ("SetMediaItemInfo_Value", "A", "B_MUTE", 1.0),
            ("AddMediaItemToTrack", "B"),
            ("AddTakeToMediaItem", "C"),
            ("PCM_Source_CreateFromFile", "/gone.wav"),
            ("Undo_EndBlock2", 0, "stems", 0),
            ("DeleteTrackMediaItem", "B", "C"),
            ("DeleteTrack", "B"),
            ("SetMediaItemInfo_Value", "A", "B_MUTE", 0.0),
        ],
    ),
    "another version": (lambda path: [Head(2, "x"), Commit()], "These scripts are of another version", []),
}


@pytest.fixture
def launcher(request: pytest.FixtureRequest) -> Launcher:
    """Lua for the tests that are the same again."""
    chosen: Launcher = getattr(request, "param", "lua")
    return chosen


def record(desk: Desk, stem_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Note every call that changes something; addresses become letters, in their order."""
    calls: list[Call] = []
    letters: dict[int, str] = {}

    def show(value: Any) -> Any:
        if isinstance(value, int) and value > 0x7F00_0000_0000:
            return letters.setdefault(value, "ABCDEFG"[len(letters)])
        if value == str(stem_path):
            return "STEM"
        if isinstance(value, str) and value.startswith("<ITEM"):
            return "SECTION" if "<SOURCE SECTION\nLENGTH 2.0\nMODE 2\n" in value else "STATE"
        return value

    def watch(name: str) -> Callable[..., Any]:
        true = getattr(desk.reaper, name)

        def call(*given: Any) -> Any:
            if not name.startswith("GetSet") or given[3]:
                calls.append((name, *map(show, given)))
            return true(*given)

        return call

    for name in dir(desk.reaper):
        if name.startswith(CHANGES) and callable(getattr(desk.reaper, name)):
            monkeypatch.setattr(desk.reaper, name, watch(name), raising=False)
    return calls


@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["a step a tick", "all at once"])
@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("launcher", ["lua", "python"], indirect=True)
def test_plans_become_calls(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, seconds: float
) -> None:
    make, told, expected = PLANS[name]
    path = write_song(tmp_path / "Stem.wav", 1.0)
    track = add_track(desk.reaper.active)
    item = add_item(track, path, B_MUTE=0.0, D_SNAPOFFSET=0.0, D_FADEINLEN=0.0, D_FADEOUTLEN=0.0)
    track.texts["GUID"], item.texts["GUID"] = SOURCE, ITEM
    before: Project = desk.reaper.active
    state = before.state()
    write_plan(tmp_path / "plan.jsonl", make(path))
    script = desk.scripts / f"stembridge_try{desk.suffix}"
    known = {ITEM: f"(MediaItem*)0x{desk.reaper.address_of(item):016X}"}
    values = {"path": str(tmp_path / "plan.jsonl"), "known": known, "seconds": seconds}
    script.write_text(SCRIPTS[desk.launcher].format(**values), encoding="ascii")
    calls = record(desk, path, monkeypatch)
    desk.host.start(str(script))
    assert desk.host.errors == []
    (said,) = desk.reaper.console
    assert said.startswith(told)
    assert calls == expected
    if told != "done":
        assert before.state() == state
