from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track, names_of, stems_of
from tests.hosts.reaper.conftest import Desk
from tests.hosts.reaper.test_sound import QUIET, QUIET_PARTS
from tests.simulators.reaper.rendering import render


def test_every_way_to_play_a_file_sounds_the_same_as_its_stems(desk: Desk, song: Path, tmp_path: Path) -> None:
    project = desk.reaper.active
    other = write_song(tmp_path / "Other.wav", 2.0, 48000, 1, seed=2)
    place = 0.0
    for rate in (0.5, 1.0, 1.7):
        track = add_track(project, f"Rate {rate}")
        for offset in (0.0, 0.7, -0.2):
            for loop in (False, True):
                for section in (None, (0.5, 1.25)):
                    add_item(track, song, place, 1.5, offset=offset, rate=rate, loop=loop, section=section)
                    place += 1.5
    add_track(project, "Folder", 1)
    last = add_track(project, "Last in folder", -1)
    add_item(last, song, 0.1, 1.0, mode=2, section=(0.5, 1.25), D_FADEINLEN=0.2, D_FADEOUTLEN=0.3, D_VOL=0.5)
    add_item(last, song, 2.0, 2.5, mode=3, rate=1.7, loop=True)
    add_item(last, other, 5.0, 1.0, offset=0.3, rate=1.7)
    add_item(last, other, 6.5, 1.0).takes[0].markers = [(0.1, 0.2, 0.4), (0.6, 0.9, 0.0)]
    free = add_track(project, "Free")
    for number, mode in enumerate((1.0, 2.0, 4.0)):
        item = add_item(free, song, 9.0 + number, 1.0, section=(0.25, 1.0))
        item.takes[0].values.update(I_CHANMODE=mode, D_VOL=-0.7)
    project.remember("arranged")
    before, state = render(project, place), project.state()

    desk.do("separate_last")

    assert desk.messages == []
    sources = [item for item in project.items if item not in stems_of(project)]
    assert len(stems_of(project)) == 4 * len(sources)
    assert all(item.values["B_MUTE"] for item in sources)
    worst = np.abs(render(project, place) - before).max()
    assert 20 * np.log10(worst + 1e-30) < QUIET
    while project.history[-1][0] == "stembridge: insert stems":
        project.undo()
    assert project.state() == state


def test_tracks_stand_in_a_coloured_folder_below_their_source(desk: Desk, song: Path, tmp_path: Path) -> None:
    project = desk.reaper.active
    add_track(project, "Band", 1)
    first = add_track(project, "Live")
    for position in (0.0, 1.0):
        add_item(first, song, position)
    last = add_track(project, "Demo", -1)
    last.values["D_VOL"] = 0.5
    add_item(last, song)
    add_item(last, write_song(tmp_path / "B.wav", 1.0, seed=5), 2.0)
    add_track(project, "After")
    project.remember("arranged")

    desk.do("separate_last")

    name = song.stem
    assert names_of(project) == [
        "Band",
        "  Live",
        f"  {name} - Stems",
        *(f"    {name} - {stem}" for stem in ("Vocals", "Drums", "Bass", "Other")),
        "  Demo",
        "  Demo - Stems",
        *(f"    Demo - {stem}" for stem in ("Vocals", "Drums", "Bass", "Other")),
        "After",
    ]
    assert [len(track.items) for track in project.tracks] == [0, 2, 0, 2, 2, 2, 2, 2, 0, 2, 2, 2, 2, 0]
    assert project.tracks[8].values["D_VOL"] == 0.5
    assert all(int(track.values["I_CUSTOMCOLOR"]) & 0x1000000 for track in project.tracks[2:7])
    assert {item.take.name for item in project.tracks[9].items if item.take} == {f"{name} - Vocals", "B - Vocals"}
    assert all(item.take and item.take.source and item.take.source.peaks == 0 for item in stems_of(project))
    assert len(desk.status()["files"]) == 2


def test_a_file_is_separated_once_and_found_again(desk: Desk, song: Path) -> None:
    project = desk.reaper.active
    add_item(add_track(project), song)
    desk.do("separate_last")
    job = desk.status()["jobs"]
    desk.do("separate_last")
    assert desk.status()["jobs"] == job
    assert len(stems_of(project)) == 4
    assert desk.messages == ["The stems of 1 item are in the project already."]


def test_preset_is_asked_for_and_remembered(desk: Desk, song: Path) -> None:
    project = desk.reaper.active
    add_item(add_track(project), song)
    desk.reaper.inputs = ["karaoke"]
    desk.do("separate_choose")
    assert [item.take.name for item in stems_of(project) if item.take] == [f"{song.stem} - No Vocals"]
    assert "2  vocals" in "".join(desk.reaper.console)
    for action in ("separate_last", "preset_karaoke"):
        project.tracks[1:] = []
        desk.do(action)
        assert len(stems_of(project)) == 1
    desk.reaper.inputs = [None]
    desk.do("separate_choose")
    assert len(list(desk.runs.iterdir())) == 3


def test_notes_show_the_state_and_are_the_users_again(desk: Desk, song: Path) -> None:
    project = desk.reaper.active
    item = add_item(add_track(project), song)
    item.texts["P_NOTES"] = "take two\r\nbetter"
    project.remember("arranged")
    desk.press("separate_last")
    desk.host.run(lambda: "[stembridge] " in item.texts["P_NOTES"])
    assert item.texts["P_NOTES"].startswith("take two\r\nbetter\n[stembridge] ")
    desk.host.run()
    assert item.texts["P_NOTES"] == "take two\r\nbetter"
    assert any("0 of 1 file" in hint for hint in desk.reaper.hints)
    assert desk.reaper.hints[-1] == ""


def test_source_stays_heard_when_the_setting_says_so(desk: Desk, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_REAPER_MUTE_SOURCE", "no")
    item = add_item(add_track(desk.reaper.active), song)
    desk.do("separate_last")
    assert not item.values.get("B_MUTE")
    assert len(stems_of(desk.reaper.active)) == 4


def test_only_the_used_part_is_separated_and_lies_right(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMBRIDGE_REAPER_USED_PART_ONLY", "yes")
    monkeypatch.setenv("STEMBRIDGE_REAPER_HANDLES", "0.25")
    long = write_song(tmp_path / "Long.wav", 12.0)
    project = desk.reaper.active
    track = add_track(project)
    add_item(track, long, 0.0, 1.0, offset=3.0, rate=1.7)
    add_item(track, long, 1.0, 1.0, section=(4.0, 2.0), offset=0.3)
    add_item(track, long, 2.0, 1.5, offset=9.1)
    add_item(track, long, 4.0, 1.5, offset=0.4, section=(9.0, 1.0), mode=2, loop=True)
    project.remember("arranged")
    before = render(project, 6.0)
    desk.do("separate_last")
    parts = desk.status()["files"][0]["parts"]
    assert [round(part["start"], 3) for part in parts] == [2.75, 8.75]
    assert 20 * np.log10(np.abs(render(project, 6.0) - before).max() + 1e-30) < QUIET_PARTS
    assert {Path(stem["path"]).parent.parent for part in parts for stem in part["stems"]} == {tmp_path}
    heard = sum(part["end"] - part["start"] for part in parts)
    assert heard < 7.0


def test_stems_inside_a_source_track_that_is_a_folder_are_as_loud(desk: Desk, song: Path) -> None:
    project = desk.reaper.active
    band = add_track(project, "Band", 1)
    band.values["D_VOL"] = 0.5
    add_item(band, song)
    add_track(project, "Last", -1)
    before = render(project, 1.0)
    desk.do("separate_last")
    assert names_of(project)[:3] == ["Band", f"  {song.stem} - Stems", f"    {song.stem} - Vocals"]
    assert 20 * np.log10(np.abs(render(project, 1.0) - before).max() + 1e-30) < QUIET


def test_preset_is_meant_by_its_name_before_its_number(desk: Desk, song: Path) -> None:
    desk.configure(presets=[{"name": "four", "title": ""}, {"name": "1", "title": ""}], python="/bin/sh")
    add_item(add_track(desk.reaper.active), song)
    for words, meant in (("1", "1"), (" FOUR ", "four"), ("2", "1")):
        desk.reaper.inputs = [words]
        desk.press("separate_choose")
        requests = sorted(desk.runs.glob("*/request.json"), key=lambda path: path.stat().st_mtime_ns)
        assert json.loads(requests[-1].read_bytes())["preset"] == meant


def test_preset_of_any_name_is_remembered(desk: Desk, song: Path, home: Path) -> None:
    name = "\u4eba\u58f0"
    operations = "operations = [{ kind = 'separation', stems = ['vocals'] }]"
    (home / "config.toml").write_text(f"[presets.'{name}']\n{operations}\n", encoding="utf-8")
    desk.configure(presets=[{"name": "four-stems", "title": ""}, {"name": name, "title": "x"}])
    add_item(add_track(desk.reaper.active), song)
    desk.reaper.inputs = ["2"]
    desk.do("separate_choose")
    desk.do("separate_last")
    assert desk.messages == ["The stems of 1 item are in the project already."]
    assert len(stems_of(desk.reaper.active)) == 1


def test_media_that_the_project_names_from_its_own_folder(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Project" / "Media").mkdir(parents=True)
    song = write_song(tmp_path / "Project" / "Media" / "Song.wav", 1.0)
    desk.reaper.active.path = str(tmp_path / "Project" / "Project.rpp")
    add_item(add_track(desk.reaper.active), song)
    answer = (None, b"Media/Song.wav")
    monkeypatch.setattr(desk.reaper, "GetMediaSourceFileName", lambda *_given: answer)
    desk.press("separate_last")
    desk.host.run()
    assert desk.status()["files"][0]["path"] == str(song)
    assert len(stems_of(desk.reaper.active)) == 4
