"""What the user did while the work went on, or since: nothing is lost without a word, and nothing comes twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track, stems_of
from tests.hosts.reaper.conftest import Desk
from tests.simulators.reaper.objects import Source, Take

pytestmark = pytest.mark.parametrize("launcher", ["lua", "python"], indirect=True)


def test_items_that_were_changed_are_left_and_told(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_REAPER_USED_PART_ONLY", "yes")
    monkeypatch.setenv("STEMBRIDGE_REAPER_HANDLES", "0")
    song = write_song(tmp_path / "Song.wav", 10.0)
    other = write_song(tmp_path / "Other.wav", 2.0, seed=4)
    project = desk.reaper.active
    track = add_track(project)
    longer, taken, kept = (add_item(track, song, place, 1.0, offset=place) for place in (0.0, 3.0, 6.0))
    desk.press("separate_last")
    longer.values["D_LENGTH"] = 2.0
    taken.takes.append(Take(Source("WAVE", str(other))))
    taken.active = 1
    desk.host.run()
    assert desk.messages == [
        "2 items left alone: another file or part was played there when the stems came."
        " Start the action again; what was separated is used again."
    ]
    assert {item.values["D_POSITION"] for item in stems_of(project)} == {6.0}
    assert [item.values.get("B_MUTE", 0.0) for item in (longer, taken, kept)] == [0.0, 0.0, 1.0]
    assert not any(item.texts.get("P_NOTES") for item in project.items)


def test_stems_that_were_deleted_or_undone_are_offered_and_come_once(desk: Desk, tmp_path: Path) -> None:
    project = desk.reaper.active
    add_item(add_track(project), write_song(tmp_path / "Song.wav", 1.0))
    project.remember("arranged")
    for action in ("separate_last", "separate_last"):
        desk.press(action)
    desk.host.run()
    assert len(stems_of(project)) == 4
    desk.reaper.boxes.clear()
    desk.do("insert")
    assert desk.messages == ["There are no finished stems to insert."]
    # An edit, and both undone.
    project.tracks[0].values["D_VOL"] = 0.5
    project.remember("edited")
    while project.history[-1][0] != "arranged":
        project.undo()
    assert stems_of(project) == []
    desk.do("insert")
    assert desk.messages[1].startswith("The stems of ")
    assert len(stems_of(project)) == 4
    # Deleted on purpose, they come by no action but by one's own word.
    for track in project.tracks[1:]:
        track.items.clear()
    desk.reaper.answers = [2]
    desk.do("insert")
    assert stems_of(project) == []
    desk.do("separate_last")
    assert len(stems_of(project)) == 4
