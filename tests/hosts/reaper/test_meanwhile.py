"""What the user did while the work went on, or since: nothing is lost without a word, and nothing comes twice."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track, names_of, stems_of
from tests.hosts.reaper.conftest import Desk
from tests.hosts.reaper.test_sound import QUIET
from tests.simulators.reaper.objects import Item, Project, Source, Take, Track, new_guid
from tests.simulators.reaper.rendering import render

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


def is_as_loud(project: Project, before: np.ndarray) -> bool:
    heard = render(project, 4.0)
    return bool(20 * np.log10(np.abs(heard - before).max() + 1e-30) < QUIET)


def copy(item: Item, position: float) -> Item:
    """Return what REAPER makes of a copy or of what is glued: the same but for the GUID."""
    made = Item.restore(item.state())
    made.texts["GUID"] = new_guid()
    made.values["D_POSITION"] = position
    return made


def split(item: Item, at: float) -> Item:
    """Split an item with neither a fade."""
    right = copy(item, item.values["D_POSITION"] + at)
    right.values["D_LENGTH"] -= at
    right.takes[0].values["D_STARTOFFS"] += at
    item.values["D_LENGTH"] = at
    return right


def test_what_people_do_between_two_presses_is_heard_as_it_was(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "Media").mkdir()
    song = write_song(tmp_path / "Media" / "Song.flac", 4.0)
    project = desk.reaper.active
    item = add_item(add_track(project), song, 0.0, 3.0)
    project.remember("arranged")
    before = render(project, 4.0)
    desk.do("separate_last")

    # The files of the stems are deleted, and made once more.
    shutil.rmtree(tmp_path / "Media" / "Song.stems")
    desk.do("separate_last")
    assert desk.messages == ["The stems of 1 item are in the project already."]
    assert len(stems_of(project)) == 4 and is_as_loud(project, before)

    # A stem is copied elsewhere, and everything split.
    copied = copy(project.tracks[2].items[0], 10.0)
    project.tracks[2].items.append(copied)
    for track in project.tracks:
        for one in [one for one in track.items if one is not copied]:
            track.items.append(split(one, 1.0))
            one.is_selected = track is project.tracks[0]
    desk.do("separate_last")
    assert is_as_loud(project, before)
    assert copied in project.tracks[2].items and not copied.values.get("B_MUTE")

    # The song is renamed, and found again by REAPER.
    assert item.take is not None and item.take.source is not None
    item.take.source.path = str(song.rename(song.with_name("Other.flac")))
    desk.do("separate_last")
    assert is_as_loud(project, before)


def sources_alone(project: Project) -> np.ndarray:
    """Return what the sources play, whatever stems of them there are."""
    bare = Project()
    bare.restore({"tracks": [track.state() for track in project.tracks if "P_EXT:stembridge" not in track.texts]})
    for track in bare.tracks:
        track.values["I_FOLDERDEPTH"] = 0.0
        track.items = [item for item in track.items if "P_EXT:stembridge" not in item.texts]
        for item in track.items:
            item.values["B_MUTE"] = 0.0
    return render(bare, 16.0)


def is_as_the_sources(project: Project) -> bool:
    difference = np.abs(render(project, 16.0) - sources_alone(project)).max()
    return bool(20 * np.log10(difference + 1e-30) < QUIET)


def test_what_people_do_to_items_while_the_work_goes_on(desk: Desk, tmp_path: Path) -> None:
    """Whatever came of an item that was selected has its own stems then."""
    project = desk.reaper.open_project("/music/Demo.rpp")
    song, other = write_song(tmp_path / "Song.wav", 4.0), write_song(tmp_path / "Song-glued.wav", 1.0, seed=3)
    deeds = ("split", "glued", "copied", "trimmed", "faster", "moved", "take", "cut out", "track")
    tracks = {name: add_track(project, name) for name in deeds}
    for number, track in enumerate(tracks.values()):
        add_item(track, song, 1.0 * number, 3.0, offset=0.5)
    project.remember("arranged")
    desk.press("separate_last")
    desk.host.run(lambda: all("[stembridge] " in item.texts.get("P_NOTES", "") for item in project.items))
    items = {name: track.items[0] for name, track in tracks.items()}
    tracks["split"].items.append(split(items["split"], 1.0))
    tracks["glued"].items[:] = [copy(items["glued"], 1.0)]
    glued = tracks["glued"].items[0].takes[0].source
    assert glued is not None
    glued.path = str(other)
    tracks["copied"].items.append(copy(items["copied"], 9.0))
    tracks["trimmed"].items[:] = [split(items["trimmed"], 0.7)]
    tracks["trimmed"].items[0].texts["GUID"] = items["trimmed"].guid
    items["faster"].values["D_LENGTH"] = 1.5
    items["faster"].takes[0].values["D_PLAYRATE"] = 2.0
    tracks["moved"].items.clear()
    added = add_track(project, "Elsewhere")
    added.items.append(items["moved"])
    items["take"].takes.append(Take.restore(items["take"].takes[0].state()))
    items["take"].takes[1].texts["GUID"] = new_guid()
    items["take"].active = 1
    tracks["cut out"].items[:] = [copy(items["cut out"], 11.0)]
    twin = Track.restore(tracks["track"].state())
    for one in (twin, *twin.items):
        one.texts["GUID"] = new_guid()
    project.tracks.insert(project.tracks.index(tracks["track"]) + 1, twin)
    project.path = "/music/Demo 2.rpp"
    desk.host.run()
    assert is_as_the_sources(project)
    assert len(stems_of(project)) == 4 * (len(deeds) + 3)
    assert sum(bool(item.values.get("B_MUTE")) for item in stems_of(project)) == 4
    assert "1 item not in the project any more" in "".join(desk.reaper.console)
    assert not any(item.texts.get("P_NOTES") for item in project.items)
    assert desk.messages == []


def test_what_was_one_item_sounds_whichever_part_of_it_is_separated_again(desk: Desk, tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.wav", 4.0)
    project = desk.reaper.active
    for name in ("both", "left", "right", "longer", "moved", "gone", "stays"):
        add_item(add_track(project, name), song, 0.5, 3.0)
    desk.do("separate_last")
    tracks = {track.name: track for track in project.tracks}
    parts = {name: (tracks[name].items[0], split(tracks[name].items[0], 1.0)) for name in ("both", "left", "right")}
    for name, (_, right) in parts.items():
        tracks[name].items.append(right)
    parts["left"][1].is_selected = parts["right"][0].is_selected = False
    below = {
        name: project.tracks[project.tracks.index(track) + 2]
        for name, track in list(tracks.items())[::-1]
        if " - " not in name
    }
    # A stem that was split, whose source plays more then; one that is elsewhere, on a track of one's own.
    below["longer"].items.append(split(below["longer"].items[0], 1.5))
    tracks["longer"].items[0].values["D_LENGTH"] = 3.4
    below["gone"].items[:] = [split(below["gone"].items[0], 1.5)]
    tracks["gone"].items[0].values["D_LENGTH"] = 3.4
    own = add_track(project, "My vocals")
    own.items.append(below["moved"].items.pop())
    tracks["moved"].items[0].values["D_LENGTH"] = 2.0
    desk.do("separate_last")
    assert is_as_the_sources(project)
    assert len(stems_of(project)) == 4 * 10
    assert [item.values["D_LENGTH"] for item in own.items] == [2.0]
    # By another preset, after one more split.
    tracks["stays"].items.append(split(tracks["stays"].items[0], 1.0))
    desk.do(next(desk.scripts.glob("*_two_stems*")).stem.removeprefix("stembridge_"))
    assert is_as_the_sources(project)
    assert desk.messages == []


def test_stems_of_a_track_that_was_frozen_sound_once_it_is_unfrozen_and_asked_for(desk: Desk, tmp_path: Path) -> None:
    """What is frozen plays a rendered file, and its items are out of the project until it is unfrozen."""
    song, rendered = write_song(tmp_path / "Song.wav", 4.0), write_song(tmp_path / "Song-freeze.wav", 4.0, seed=5)
    project = desk.reaper.active
    track = add_track(project)
    item = add_item(track, song, 0.5, 2.0, offset=1.0)
    project.remember("arranged")
    desk.press("separate_last")
    track.items.clear()
    add_item(track, rendered, 0.0, 3.0).is_selected = False
    project.remember("freeze")
    desk.host.run()
    assert "1 item not in the project any more" in "".join(desk.reaper.console)
    assert is_as_the_sources(project) and len(stems_of(project)) == 4
    track.items[:] = [item]
    project.remember("unfreeze")
    assert is_as_the_sources(project)
    desk.do("separate_last")
    assert (desk.messages, len(stems_of(project)), item.values["B_MUTE"]) == ([], 4, 1.0)
    assert is_as_the_sources(project)
    # Whom the stems sound twice beside is muted by hand then, and stays so.
    item.values["B_MUTE"] = 0.0
    desk.do("separate_last")
    assert desk.messages == ["The stems of 1 item are in the project already."]


def test_settings_that_are_broken_meanwhile_are_told_once(desk: Desk, home: Path, tmp_path: Path) -> None:
    project = desk.reaper.active
    add_item(add_track(project), write_song(tmp_path / "Song.wav", 1.0))
    desk.press("separate_last")
    desk.wait_without_reaper("done")
    (home / "config.toml").write_text("[reaper]\nstem_tracks = 'sideways'\n", encoding="utf-8")
    desk.host.run(lambda: len(desk.messages) > 1 or not desk.host.scripts)
    (message,) = desk.messages
    assert "sideways" in message and "'Insert finished stems'" in message
    (home / "config.toml").unlink()
    desk.do("insert")
    assert len(stems_of(project)) == 4


def test_an_insertion_that_was_cut_short_is_done_anew(desk: Desk, tmp_path: Path) -> None:
    """REAPER went, or another project came, before its last tick."""
    project = desk.reaper.active
    add_item(add_track(project), write_song(tmp_path / "Song.wav", 1.0))
    desk.do("separate_last")
    for track in project.tracks[1:]:
        tag = json.loads(track.texts["P_EXT:stembridge"])
        track.texts["P_EXT:stembridge"] = json.dumps(tag | {"state": "pending"})
    next(project.items).values["B_MUTE"] = 0.0
    stems = stems_of(project)
    desk.do("insert")
    assert [name.strip() for name in names_of(project)].count("Song - Stems") == 1
    assert len(stems_of(project)) == 4
    assert not any(one in stems for one in stems_of(project))


def test_a_project_that_is_left_while_it_is_read(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one, of which a tick reads a part."""
    path = write_song(tmp_path / "Song.wav", 1.0)
    track = add_track(desk.reaper.active)
    for position in range(3):
        add_item(track, path, float(position))
    read = desk.reaper.GetTrackMediaItem

    def read_slowly(track: int, index: int) -> int:
        time.sleep(0.01)
        return read(track, index)

    monkeypatch.setattr(desk.reaper, "GetTrackMediaItem", read_slowly)
    desk.press("insert")
    desk.reaper.open_project("/music/other.rpp")
    desk.host.run()
    assert desk.messages == ["There are no finished stems to insert."]
