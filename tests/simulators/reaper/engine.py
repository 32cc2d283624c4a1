"""The functions of REAPER over projects in memory, with addresses as C has them."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from typing import Any, Callable

from tests.simulators.reaper.chunks import read_item, write_item
from tests.simulators.reaper.objects import Item, Project, Source, Take, Thing, Track, new_guid

KINDS = {
    "MediaTrack*": Track,
    "MediaItem*": Item,
    "MediaItem_Take*": Take,
    "PCM_source*": Source,
    "ReaProject*": Project,
}
FILE_KINDS = {".wav": "WAVE", ".flac": "FLAC", ".mp3": "MP3", ".mid": "MIDI", ".rpp": "RPP_PROJECT"}


class FakeReaper:
    """One running REAPER; attributes are functions without ``RPR_``."""

    def __init__(self, resource_path: str) -> None:
        self.resource_path = resource_path
        self.projects: list[Project] = []
        self.active: Project = self.open_project()
        self.missing: set[str] = set()
        self.ext: dict[str, str] = {}
        self.boxes: list[tuple[str, int]] = []
        self.answers: list[int] = []
        """What to press in the next message boxes; then OK or Yes."""
        self.inputs: list[str | None] = []
        """What to type in the next questions; None cancels."""
        self.asked: list[tuple[str, str]] = []
        self.console: list[str] = []
        self.hints: list[str] = []
        self.split_fade = 0.01
        """Seconds by which the parts of a split fade into each other."""
        self.calls = 0
        """How many functions scripts called."""
        self.blocks = 0
        self.guards = 0
        self.processes: list[subprocess.Popen[bytes]] = []
        self._addresses: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        self._loose: list[Source] = []

    def open_project(self, path: str = "") -> Project:
        """Open a tab and make it the active one."""
        project = Project(path)
        project.remember("open")
        self.projects.append(project)
        self.active = project
        return project

    # Addresses

    def address_of(self, thing: Any) -> int:
        """Return the address of an object; 0 for none."""
        if thing is None:
            return 0
        if id(thing) not in self._numbers:
            self._numbers[id(thing)] = 0x7F00_0000_0000 + 64 * (len(self._numbers) + 1)
            self._addresses[self._numbers[id(thing)]] = thing  # keeps it alive, so that no id comes twice
        return self._numbers[id(thing)]

    def at(self, address: int) -> Any:
        """Return the object at an address; using NULL crashes, as it may there."""
        return self._addresses[address]

    def ValidatePtr(self, address: int, kind: str) -> int:
        """Tell whether an address is an object of the active tab."""
        thing = self._addresses.get(address)
        return int(isinstance(thing, KINDS.get(kind, ())) and self._is_alive(thing))

    def _is_alive(self, thing: Any) -> bool:
        if isinstance(thing, Project):
            return thing in self.projects
        if isinstance(thing, Track):
            return thing in self.active.tracks
        if isinstance(thing, Item):
            return any(thing in track.items for track in self.active.tracks)
        if isinstance(thing, Take):
            return any(thing in item.takes for item in self.active.items)
        return any(thing is one for one in self._loose) or any(thing is one for one in self._sources())

    def _sources(self) -> list[Source]:
        found = []
        for item in self.active.items:
            for take in item.takes:
                source = take.source
                while source:
                    found.append(source)
                    source = source.parent
        return found

    def _project(self, address: int) -> Project:
        return self.at(address) if address else self.active

    # Projects

    def EnumProjects(self, index: int, _name: str, _size: int) -> tuple[int, str]:
        if index == -1:
            return self.address_of(self.active), self.active.path
        if 0 <= index < len(self.projects):
            return self.address_of(self.projects[index]), self.projects[index].path
        return 0, ""

    def GetProjectPath(self, _path: str, _size: int) -> tuple[None, str]:
        return None, self.active.media

    def GetSet_LoopTimeRange2(
        self, _project: int, is_set: int, is_loop: int, _start: float, _end: float, _seek: int
    ) -> tuple[None, float, float]:
        assert not is_set
        return (None, *(self.active.loop if is_loop else self.active.selection))

    def GetProjectStateChangeCount(self, project: int) -> int:
        return self._project(project).changes

    def GetResourcePath(self) -> str:
        return self.resource_path

    def GetExtState(self, section: str, key: str) -> str:
        return self.ext.get((section + "/" + key).lower(), "")

    def SetExtState(self, section: str, key: str, value: str, _persist: int) -> None:
        assert "\n" not in value
        value.encode("ascii")
        self.ext[(section + "/" + key).lower()] = value

    def Undo_BeginBlock2(self, _project: int) -> None:
        self.blocks += 1

    def Undo_EndBlock2(self, project: int, words: str, flags: int) -> None:
        self.blocks -= 1
        if flags:
            self._project(project).remember(words)

    def PreventUIRefresh(self, count: int) -> None:
        self.guards += count

    def UpdateArrange(self) -> None: ...

    def TrackList_AdjustWindows(self, _minor: int) -> None: ...

    def UpdateItemInProject(self, _item: int) -> None: ...

    # The machine

    clock = staticmethod(time.perf_counter)
    new_guid = staticmethod(new_guid)

    def RecursiveCreateDirectory(self, path: str, _ignored: int) -> int:
        os.makedirs(path, exist_ok=True)
        return 1

    def ExecProcess(self, command: str, timeout: int) -> str | None:
        assert timeout == -1, "REAPER would wait for it"
        try:
            self.processes.append(subprocess.Popen(shlex.split(command)))
        except OSError:
            return None
        return ""

    # Tracks and items

    def CountTracks(self, project: int) -> int:
        return len(self._project(project).tracks)

    def GetTrack(self, project: int, index: int) -> int:
        return self._one(self._project(project).tracks, index)

    def InsertTrackAtIndex(self, index: int, _defaults: int) -> None:
        self.active.tracks.insert(max(0, min(index, len(self.active.tracks))), Track())
        self.active.changes += 1

    def DeleteTrack(self, track: int) -> None:
        self.active.tracks.remove(self.at(track))
        self.active.changes += 1

    def CountMediaItems(self, project: int) -> int:
        return len(list(self._project(project).items))

    def GetMediaItem(self, project: int, index: int) -> int:
        return self._one(list(self._project(project).items), index)

    def CountSelectedMediaItems(self, project: int) -> int:
        return len(self._selected(project))

    def GetSelectedMediaItem(self, project: int, index: int) -> int:
        return self._one(self._selected(project), index)

    def _selected(self, project: int) -> list[Item]:
        return [item for item in self._project(project).items if item.is_selected]

    def _one(self, things: list[Any], index: int) -> int:
        return self.address_of(things[index]) if 0 <= index < len(things) else 0

    def AddMediaItemToTrack(self, track: int) -> int:
        item = Item()
        self.at(track).items.append(item)
        self.active.changes += 1
        return self.address_of(item)

    def CountTrackMediaItems(self, track: int) -> int:
        return len(self.at(track).items)

    def GetTrackMediaItem(self, track: int, index: int) -> int:
        return self._one(self.at(track).items, index)

    def DeleteTrackMediaItem(self, track: int, item: int) -> int:
        self.at(track).items.remove(self.at(item))
        self.active.changes += 1
        return 1

    def TrackFX_GetCount(self, track: int) -> int:
        return int(self.at(track).counts.get("fx", 0))

    def GetTrackNumSends(self, track: int, category: int) -> int:
        return int(self.at(track).counts.get({0: "sends", 1: "outputs"}[category], 0))

    def GetSetTrackGroupMembership(self, track: int, group: str, mask: int, _value: int) -> int:
        assert not mask and group.endswith("_FOLLOW")
        return int(self.at(track).counts.get(group, 0))

    def CountTrackEnvelopes(self, track: int) -> int:
        return int(self.at(track).counts.get("envelopes", 0))

    TakeFX_GetCount, CountTakeEnvelopes = TrackFX_GetCount, CountTrackEnvelopes

    def GetMediaItem_Track(self, item: int) -> int:
        return self.address_of(next(track for track in self.active.tracks if self.at(item) in track.items))

    def AddTakeToMediaItem(self, item: int) -> int:
        self.at(item).takes.append(Take())
        return self.address_of(self.at(item).takes[-1])

    def GetActiveTake(self, item: int) -> int:
        return self.address_of(self.at(item).take) if item else 0

    def CountTakes(self, item: int) -> int:
        return len(self.at(item).takes)

    def GetTake(self, item: int, index: int) -> int:
        return self._one(self.at(item).takes, index)

    def SplitMediaItem(self, item: int, position: float) -> int:
        left: Item = self.at(item)
        into = position - left.values["D_POSITION"]
        if not 0 < into < left.values["D_LENGTH"]:
            return 0
        track = next(one for one in self.active.tracks if left in one.items)
        right = Item.restore(left.state())
        right.texts["GUID"] = new_guid()
        track.items.append(right)
        right.values.update(D_POSITION=position, D_LENGTH=left.values["D_LENGTH"] - into)
        for take in right.takes:
            take.texts["GUID"] = new_guid()
            take.values["D_STARTOFFS"] = take.values.get("D_STARTOFFS", 0.0) + into * take.values["D_PLAYRATE"]
        # As REAPER is set at first: both parts fade, one into the other.
        left.values.update(D_LENGTH=into + self.split_fade, D_FADEOUTLEN=self.split_fade)
        right.values["D_FADEINLEN"] = self.split_fade
        self.active.changes += 1
        return self.address_of(right)

    def TakeIsMIDI(self, take: int) -> int:
        source = self.at(take).source
        return int(source is not None and source.root.kind == "MIDI")

    def GetItemStateChunk(self, item: int, _text: str, _size: int, _undo: int) -> tuple[int, str]:
        return (1, write_item(self.at(item))) if item else (0, "")

    def SetItemStateChunk(self, item: int, text: str, _undo: int) -> int:
        return int(read_item(text, self.at(item)))

    # Numbers and texts

    def _get(self, address: int, key: str) -> float:
        if not address:
            return 0.0
        if key == "IP_TRACKNUMBER":
            return float(self.active.tracks.index(self.at(address)) + 1)
        return float(self.at(address).values.get(key, 0.0))

    def _set(self, address: int, key: str, value: float) -> int:
        if not address:
            return 0
        self.at(address).values[key] = value
        self.active.changes += 1
        return 1

    def _text(self, address: int, key: str, text: str, is_set: int) -> tuple[int, str]:
        if not address:
            return 0, ""
        thing: Thing = self.at(address)
        if is_set:
            assert key != "GUID" or isinstance(thing, Item)
            thing.texts[key] = text
            self.active.changes += 1
        return int(bool(is_set) or key in thing.texts or not key.startswith("P_EXT")), thing.texts.get(key, "")

    GetMediaItemInfo_Value = GetMediaItemTakeInfo_Value = GetMediaTrackInfo_Value = _get
    SetMediaItemInfo_Value = SetMediaItemTakeInfo_Value = SetMediaTrackInfo_Value = _set
    GetSetMediaItemInfo_String = GetSetMediaItemTakeInfo_String = GetSetMediaTrackInfo_String = _text

    def ColorToNative(self, red: int, green: int, blue: int) -> int:
        return red | green << 8 | blue << 16

    # Sources

    def GetMediaItemTake_Source(self, take: int) -> int:
        return self.address_of(self.at(take).source) if take else 0

    def GetMediaSourceParent(self, source: int) -> int:
        return self.address_of(self.at(source).parent)

    def GetMediaSourceType(self, source: int, _text: str, _size: int) -> tuple[None, str]:
        return None, self.at(source).kind

    def GetMediaSourceFileName(self, source: int, _text: str, _size: int) -> tuple[None, Any]:
        return None, os.fsencode(self.at(source).path)

    def GetMediaSourceLength(self, source: int, _beats: int) -> tuple[float, int]:
        return self.at(source).shape[0], int(self.at(source).kind == "MIDI")

    def GetMediaSourceNumChannels(self, source: int) -> int:
        return int(self.at(source).shape[2])

    def PCM_Source_GetSectionInfo(
        self, source: int, _start: float, _span: float, _rev: int
    ) -> tuple[int, float, float, int]:
        one: Source = self.at(source)
        if not one.is_section:
            return 0, 0.0, 0.0, 0
        return 1, one.start, one.shape[0], int(one.is_reversed)

    def PCM_Source_CreateFromFile(self, path: str) -> int:
        kind = FILE_KINDS.get(os.path.splitext(path)[1].lower())
        if kind is None or not os.path.isfile(path):
            return 0
        self._loose.append(Source(kind, path))
        return self.address_of(self._loose[-1])

    def SetMediaItemTake_Source(self, take: int, source: int) -> int:
        if not take or not source:
            return 0
        self.at(take).source = self.at(source)
        return 1

    def PCM_Source_BuildPeaks(self, source: int, mode: int) -> int:
        one: Source = self.at(source)
        if mode == 0:
            one.peaks = 100
            return 1
        if mode == 1:
            one.peaks = max(0, one.peaks - 25)
            return one.peaks
        assert one.peaks == 0, "peaks were ended before they were built"
        return 0

    # Stretch markers

    def GetTakeNumStretchMarkers(self, take: int) -> int:
        return len(self.at(take).markers)

    def GetTakeStretchMarker(self, take: int, index: int, _pos: float, _src: float) -> tuple[int, float, float]:
        return (index, *self.at(take).markers[index][:2])

    def SetTakeStretchMarker(self, take: int, index: int, position: float, source: float) -> tuple[int, float]:
        assert index == -1
        markers = self.at(take).markers
        markers.append((position, source, 0.0))
        markers.sort()
        return markers.index((position, source, 0.0)), source

    def GetTakeStretchMarkerSlope(self, take: int, index: int) -> float:
        return float(self.at(take).markers[index][2])

    def SetTakeStretchMarkerSlope(self, take: int, index: int, slope: float) -> int:
        self.at(take).markers[index] = (*self.at(take).markers[index][:2], slope)
        return 1

    # People

    def ShowMessageBox(self, message: str, _title: str, kind: int) -> int:
        self.boxes.append((message, kind))
        return self.answers.pop(0) if self.answers else 6 if kind in (3, 4) else 1

    def GetUserInputs(self, _title: str, count: int, captions: str, values: str, _size: int) -> tuple[int, str]:
        assert count == 1
        self.asked.append((captions, values))
        answer = self.inputs.pop(0) if self.inputs else values
        return (0, values) if answer is None else (1, answer)

    def ShowConsoleMsg(self, message: str) -> None:
        self.console.append(message)

    def Help_Set(self, message: str, _temporary: int) -> None:
        self.hints.append(message)


Function = Callable[..., Any]
