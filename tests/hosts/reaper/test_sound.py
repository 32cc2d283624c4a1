"""What sounds stays as it sounded, in every set-up of tracks and items, by both launchers; and undo takes it back."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track, names_of, stems_of
from tests.hosts.reaper.conftest import Desk
from tests.simulators.reaper.objects import Track
from tests.simulators.reaper.rendering import render

both = pytest.mark.parametrize("launcher", ["lua", "python"], indirect=True)
LENGTH = 8.0
QUIET = -240.0
"""Decibels below which nothing is left but the last digits of sums."""
QUIET_PARTS = -210.0
"""The same where stems are of a part: their offset is another number, which has its own last digit."""


def level(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return how loud the greatest difference is, in decibels."""
    return float(20 * np.log10(max(np.abs(one - other).max(), 1e-30)))


def separate(desk: Desk, action: str = "separate_last", quiet: float = QUIET_PARTS) -> None:
    """Do an action, and check that all sounds as before, and that undo takes it back."""
    project = desk.reaper.active
    project.remember("arranged")
    before, state = render(project, LENGTH), project.state()
    assert np.abs(before).max() > 0.01
    desk.do(action)
    assert desk.messages == []
    assert level(render(project, LENGTH), before) < quiet
    assert not any(item.texts.get("P_NOTES") for item in project.items)
    after, steps = project.state(), len(project.history)
    while project.history[-1][0] == "stembridge: insert stems":
        project.undo()
    assert project.state() == state
    # A step for each file that was ready by itself.
    assert 1 <= steps - len(project.history) <= len(desk.status()["files"])
    project.restore(after)


def used_of(desk: Desk) -> list[tuple[float, float | None]]:
    """Return the seconds that were sent, of every file."""
    parts = [part for file in desk.status()["files"] for part in file["parts"]]
    return [(round(part["start"], 6), part["end"] and round(part["end"], 6)) for part in parts]


def pieces_of(track: Track) -> list[tuple[float, float, float]]:
    """Return position, length and mute of the items of a track, in their order."""
    found = [(one.values["D_POSITION"], one.values["D_LENGTH"], one.values.get("B_MUTE", 0.0)) for one in track.items]
    return sorted((round(position, 6), round(length, 6), mute) for position, length, mute in found)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send what is used alone."""
    monkeypatch.setenv("STEMBRIDGE_REAPER_USED_PART_ONLY", "yes")
    monkeypatch.setenv("STEMBRIDGE_REAPER_HANDLES", "0.25")


@both
@pytest.mark.parametrize("where", ["beside", "inside"])
def test_tracks_of_every_kind(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("STEMBRIDGE_REAPER_STEM_TRACKS", where)
    wide = write_song(tmp_path / "Wide.wav", 2.0, 44100, 6)
    song = write_song(tmp_path / "Song.wav", 3.0, seed=2)
    project = desk.reaper.active
    project.pan_law = 0.5
    surround = add_track(project, "Surround")
    surround.values.update(I_NCHAN=6.0, C_BEATATTACHMODE=1.0, D_VOL=0.5, D_PLAY_OFFSET=441.0, I_PLAY_OFFSET_FLAG=2.0)
    surround.values["B_SOLO_DEFEAT"] = 1.0
    surround.counts.update(fx=2, sends=1, outputs=1, VOLUME_VCA_FOLLOW=4)
    take = add_item(surround, wide, 0.0, 1.5, offset=0.2).take
    assert take is not None
    take.counts["envelopes"] = 1
    add_track(project, "Band", 1)
    bus = add_track(project, "By its sends alone")
    bus.values.update(B_MAINSEND=0.0, B_MUTE=0.0)
    add_item(bus, song, 0.0, 1.0)
    add_item(add_track(project, "Last in band", -1), song, 1.0, 1.0, B_MUTE=1.0, I_GROUPID=3.0)
    lanes = add_track(project, "Lanes")
    lanes.values["I_FREEMODE"] = 2.0
    add_item(lanes, song, 2.0, 1.0, C_LANEPLAYS=1.0, I_CUSTOMCOLOR=float(0x1000007))
    add_item(lanes, song, 2.0, 1.0, offset=0.7, C_LANEPLAYS=0.0)
    slopes = add_item(add_track(project, "Slopes"), song, 4.0, 2.0)
    assert slopes.take is not None
    slopes.take.markers = [(0.0, 0.1, 0.4), (0.9, 1.2, -0.6), (1.8, 2.0, 0.0)]
    muted = add_track(project, "Muted")
    muted.values.update(B_MUTE=1.0, D_PANLAW=0.7)
    add_item(muted, song, 5.0, 1.0)
    comped = add_item(muted, song, 6.0, 1.0, B_ALLTAKESPLAY=1.0)
    comped.takes.append(type(comped.takes[0])(comped.takes[0].source))

    separate(desk, quiet=QUIET)

    tracks = {track.name: track for track in project.tracks}
    for name in ("Wide - Stems", "Wide - Vocals"):
        assert (tracks[name].values["I_NCHAN"], tracks[name].values["C_BEATATTACHMODE"]) == (6.0, 1.0)
        assert tracks[name].values["B_SOLO_DEFEAT"] == 1.0
    stems = stems_of(project)
    assert len(stems) == 4 * 7
    assert sum(bool(item.values.get("B_MUTE")) for item in stems) == 4 * 2
    assert [item.values["I_CUSTOMCOLOR"] for item in stems if item.values["I_CUSTOMCOLOR"]] == [float(0x1000007)] * 4
    assert [item.values["I_GROUPID"] for item in stems if item.values["I_GROUPID"]] == [3.0] * 4
    assert names_of(project)[:2] == (
        ["Surround", "  Wide - Stems"] if where == "inside" else ["Surround", "Wide - Stems"]
    )
    told = "".join(desk.reaper.console)
    assert "2 items did not sound" in told
    assert "take envelopes of items on track 'Surround' were not copied to their stems" in told
    lost = "groups, hardware outputs, sends, track FX of track 'Surround' do not act on its stems"
    assert (lost in told) is (where == "beside")
    assert "1 item passed over: 1 playing all its takes (explode them first)" in told


@both
@pytest.mark.usefixtures("cut")
def test_time_selection_limits_what_is_sent(desk: Desk, tmp_path: Path) -> None:
    song, other = write_song(tmp_path / "Song.wav", 10.0), write_song(tmp_path / "Other.wav", 4.0, seed=3)
    project = desk.reaper.active
    track, second = add_track(project), add_track(project, "Other")
    add_item(track, song, 0.5, 3.0, offset=2.0, rate=1.5, D_FADEINLEN=0.2, D_FADEOUTLEN=0.3, D_SNAPOFFSET=0.1)
    add_item(second, other, 3.6, 0.3)
    project.selection = (1.5, 2.5)
    separate(desk)
    assert used_of(desk) == [(3.25, 5.25)]
    assert desk.reaper.console[0] == "stembridge: 1 item passed over: 1 outside the time selection\n"
    assert pieces_of(project.tracks[0]) == [(0.5, 1.0, 0.0), (1.5, 1.0, 1.0), (2.5, 1.0, 0.0)]
    assert {(item.values["D_POSITION"], item.values["D_LENGTH"]) for item in stems_of(project)} == {(1.5, 1.0)}
    assert pieces_of(project.tracks[-1]) == [(3.6, 0.3, 0.0)]
    # The same again finds the part by itself.
    desk.do("separate_last")
    assert desk.messages == ["The stems of 1 item are in the project already."]
    assert len(stems_of(project)) == 4
    # One that touches none of the items counts for nothing.
    for item in project.items:
        item.is_selected = item.values["D_POSITION"] == 3.6
    project.selection = (6.0, 7.0)
    desk.reaper.boxes.clear()
    desk.do("separate_last")
    assert len(stems_of(project)) == 8


@both
@pytest.mark.usefixtures("cut")
def test_razor_edits_limit_what_is_sent_and_go_before_the_time_selection(desk: Desk, tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.wav", 10.0)
    project = desk.reaper.active
    track, second = add_track(project), add_track(project, "Other")
    add_item(track, song, 0.0, 4.0, offset=1.0, D_FADEINLEN=1.5)
    add_item(second, song, 0.0, 4.0, offset=5.0)
    project.selection = (0.0, 8.0)
    # One within the fade, which is left whole; one on an envelope, which is none of the items'.
    track.texts["P_RAZOREDITS"] = '1.0 2.0 "" 2.5 3.0 "" 3.0 4.0 "{ENVELOPE}"'
    separate(desk)
    assert used_of(desk) == [(0.75, 4.25)]
    assert pieces_of(project.tracks[0]) == [(0.0, 3.0, 1.0), (3.0, 1.0, 0.0)]
    assert pieces_of(project.tracks[-1]) == [(0.0, 4.0, 0.0)]


@both
@pytest.mark.usefixtures("cut")
def test_stretch_markers_do_not_need_the_whole_file(desk: Desk, tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.wav", 10.0)
    item = add_item(add_track(desk.reaper.active), song, 0.0, 1.5)
    assert item.take is not None
    item.take.markers = [(0.0, 4.0, 0.3), (1.0, 5.5, 0.0)]
    separate(desk)
    assert used_of(desk) == [(3.75, 6.25)]


@both
@pytest.mark.usefixtures("cut")
def test_stems_become_takes_in_place(desk: Desk, tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.wav", 10.0)
    project = desk.reaper.active
    track = add_track(project)
    add_item(track, song, 0.5, 2.0, offset=2.0, rate=1.5)
    add_item(track, song, 3.0, 1.0, offset=1.0, section=(1.0, 0.5), loop=True)
    project.selection = (1.0, 9.0)
    if desk.launcher == "lua":
        desk.clicks += ["As takes of the items", "Start"]
    else:
        desk.reaper.inputs = ["four-stems as takes"]
    separate(desk, "separate_choose")
    # Undo and redo made new objects.
    track = project.tracks[0]
    assert pieces_of(track) == [(0.5, 0.5, 0.0), (1.0, 1.5, 0.0), (3.0, 1.0, 1.0)]
    item = next(one for one in track.items if one.values["D_POSITION"] == 1.0)
    assert [take.name.rpartition(" - ")[2] for take in item.takes] == ["Song.wav", "Vocals", "Drums", "Bass", "Other"]
    assert item.active == 0
    # Heard one by one, they are what the item was.
    before = render(project, LENGTH)
    heard = np.zeros_like(before)
    for item.active in range(1, 5):
        heard = heard + render(project, LENGTH)
    item.active = 0
    item.values["B_MUTE"] = 1.0
    rest = render(project, LENGTH)
    assert level(heard - 4 * rest, before - rest) < QUIET_PARTS
    item.values["B_MUTE"] = 0.0
    assert "1 item cannot have stems as takes: they are on tracks" in "".join(desk.reaper.console)
    desk.do("separate_last")
    assert desk.messages == ["The stems of 2 items are in the project already."]
    assert (len(item.takes), len(stems_of(project))) == (5, 4)


@both
def test_takes_come_in_over_several_ticks_and_the_item_is_the_users_meanwhile(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMBRIDGE_REAPER_STEM_TRACKS", "takes")
    project = desk.reaper.active
    item = add_item(add_track(project), write_song(tmp_path / "Song.wav", 1.0))
    item.take.counts["fx"] = 1  # type: ignore[union-attr]
    project.remember("arranged")
    add_take = desk.reaper.AddTakeToMediaItem

    def add_slowly(item: int) -> int:
        time.sleep(0.02)
        return add_take(item)

    monkeypatch.setattr(desk.reaper, "AddTakeToMediaItem", add_slowly)
    desk.press("separate_last")
    desk.host.run(lambda: len(item.takes) > 2)
    assert len(item.takes) == 3
    item.values["D_POSITION"] = 5.0
    project.changes += 1
    desk.host.run()
    assert (len(item.takes), item.values["D_POSITION"], item.active) == (5, 5.0, 0)
    assert "take FX of items on track 'Song' were not copied to their stems" in "".join(desk.reaper.console)
    assert [words for words, _ in project.history[1:]] == ["arranged", "stembridge: insert stems"]
    assert not item.values.get("B_MUTE")


@both
def test_files_that_are_ready_together_are_one_undo_step_and_one_by_one_are_one_each(
    desk: Desk, tmp_path: Path
) -> None:
    project = desk.reaper.active
    songs = [write_song(tmp_path / f"{number}.wav", 1.0, seed=number) for number in range(3)]
    items = [add_item(add_track(project), song) for song in songs]
    project.remember("arranged")
    state = project.state()
    desk.press("separate_last")
    desk.wait_without_reaper("done")
    status = desk.status()
    # The first by itself, then the others.
    later = [file | {"state": "running", "parts": []} for file in status["files"][1:]]
    desk.say(state="working", files=[status["files"][0], *later], ready=1)
    desk.host.run(lambda: len(project.history) == 3)
    assert [bool(item.values.get("B_MUTE")) for item in items] == [True, False, False]
    desk.say(**status)
    desk.host.run()
    assert [words for words, _ in project.history[2:]] == ["stembridge: insert stems"] * 2
    assert len(stems_of(project)) == 12
    project.undo()
    assert [bool(item.values.get("B_MUTE")) for item in project.items if item.guid in {i.guid for i in items}] == [
        True,
        False,
        False,
    ]
    project.undo()
    assert project.state() == state


@both
def test_source_is_replaced_where_the_setting_says_so(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMBRIDGE_REAPER_REPLACE_SOURCE", "yes")
    song = write_song(tmp_path / "Song.wav", 3.0)
    project = desk.reaper.active
    track = add_track(project)
    add_item(track, song, 0.0, 1.0)
    other = add_item(track, song, 2.0, 1.0, offset=0.5)
    other.takes.append(type(other.takes[0])())
    separate(desk, quiet=QUIET)
    assert pieces_of(project.tracks[0]) == [(2.0, 1.0, 1.0)]
    assert "'Song' has other takes, and was muted rather than deleted" in "".join(desk.reaper.console)
