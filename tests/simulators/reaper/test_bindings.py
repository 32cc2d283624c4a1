"""The fake keeps the calling rules of the true module, so that scripts that break them fail here too."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from tests.simulators.reaper.bindings import make_module
from tests.simulators.reaper.engine import FakeReaper
from tests.simulators.reaper.objects import Item, Source, Take, Track


@pytest.fixture
def reaper(tmp_path: Path) -> FakeReaper:
    reaper = FakeReaper(str(tmp_path))
    track, item = Track("One"), Item()
    item.takes.append(Take(Source("WAVE", str(tmp_path / "gone.wav"))))
    track.items.append(item)
    reaper.active.tracks.append(track)
    return reaper


@pytest.fixture
def api(reaper: FakeReaper) -> types.ModuleType:
    return make_module(reaper)


def test_pointers_are_strings_and_null_is_true(api: types.ModuleType) -> None:
    item = api.RPR_GetMediaItem(0, 0)
    assert item.startswith("(MediaItem*)0x")
    assert len(item.split("0x")[1]) == 16
    assert api.RPR_GetMediaItem(0, 5) == "(MediaItem*)0x0000000000000000"


@pytest.mark.parametrize("wrong", [None, 0, -1, "", "nonsense", "(MediaTrack*)0x00007F0000000040"])
def test_what_is_no_pointer_is_silently_null(api: types.ModuleType, wrong: object) -> None:
    assert api.RPR_GetMediaItemInfo_Value(wrong, "D_VOL") == 0.0


def test_pointer_that_is_stale_lower_case_or_of_another_tab_is_null(api: types.ModuleType, reaper: FakeReaper) -> None:
    item = api.RPR_GetMediaItem(0, 0)
    assert api.RPR_GetMediaItemInfo_Value(item, "D_VOL") == 1.0
    assert api.RPR_GetMediaItemInfo_Value(item.lower().replace("mediaitem", "MediaItem"), "D_VOL") == 0.0
    first = reaper.active
    reaper.open_project()
    assert api.RPR_GetMediaItemInfo_Value(item, "D_VOL") == 0.0
    reaper.active = first
    first.tracks[0].items.clear()
    assert api.RPR_GetMediaItemInfo_Value(item, "D_VOL") == 0.0


def test_short_pointer_raises(api: types.ModuleType) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        api.RPR_GetMediaItemInfo_Value("(MediaItem*)0x12345678", "D_VOL")


def test_arguments_are_counted_and_floats_refused(api: types.ModuleType) -> None:
    with pytest.raises(TypeError):
        api.RPR_CountTracks()
    with pytest.raises(TypeError):
        api.RPR_GetTrack(0, 0.0)
    with pytest.raises(TypeError):
        api.RPR_SetMediaItemInfo_Value(api.RPR_GetMediaItem(0, 0), "D_VOL", "1")
    assert api.RPR_SetMediaItemInfo_Value(api.RPR_GetMediaItem(0, 0), "D_VOL", 1) == 1


def test_outputs_come_back_among_all_arguments(api: types.ModuleType) -> None:
    item = api.RPR_GetMediaItem(0, 0)
    result = api.RPR_GetSetMediaItemInfo_String(item, "GUID", "", False)
    assert result == (1, item, "GUID", result[3], False)
    source = api.RPR_GetMediaItemTake_Source(api.RPR_GetActiveTake(item))
    assert api.RPR_GetMediaSourceType(source, "", 64) == (source, "WAVE", 64)
    assert len(api.RPR_GetMediaSourceFileName(source, "", 6)[1]) == 5
    assert api.RPR_PCM_Source_GetSectionInfo(source, 0, 0, 0) == (0, source, 0.0, 0.0, 0)
    assert api.RPR_EnumProjects(-1, "", 4096)[2] == ""


def test_missing_functions(api: types.ModuleType, reaper: FakeReaper) -> None:
    reaper.missing = {"CountTracks"}
    with pytest.raises(KeyError):
        api.RPR_CountTracks(0)
    with pytest.raises(AttributeError):
        api.RPR_InsertTrackInProject(0, 0, 0)


def test_texts_are_strict_utf8(api: types.ModuleType, reaper: FakeReaper) -> None:
    take = reaper.active.tracks[0].items[0].takes[0]
    take.source = Source("WAVE", "/caf\udce9.wav")
    source = api.RPR_GetMediaItemTake_Source(api.RPR_GetActiveTake(api.RPR_GetMediaItem(0, 0)))
    with pytest.raises(UnicodeDecodeError):
        api.RPR_GetMediaSourceFileName(source, "", 4096)
    track = api.RPR_GetTrack(0, 0)
    api.RPR_GetSetMediaTrackInfo_String(track, "P_NAME", None, 1)
    assert reaper.active.tracks[0].name == "None"
