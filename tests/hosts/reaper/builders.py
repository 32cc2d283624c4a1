"""Projects for tests: items that play files in every way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from stembridge_reaper.plan import End, Step

from tests.simulators.reaper.objects import Item, Project, Source, Take, Track

KINDS = {".wav": "WAVE", ".flac": "FLAC", ".mp3": "MP3"}


def add_track(project: Project, name: str = "Song", depth: int = 0) -> Track:
    """Add a track at the end; ``depth`` 1 opens a folder, -1 closes one."""
    track = Track(name)
    track.values["I_FOLDERDEPTH"] = float(depth)
    project.tracks.append(track)
    return track


def add_item(
    track: Track,
    path: Path | str,
    position: float = 0.0,
    length: float = 1.0,
    *,
    offset: float = 0.0,
    rate: float = 1.0,
    loop: bool = False,
    section: tuple[float, float] | None = None,
    mode: int = 0,
    **item_values: float,
) -> Item:
    """Add a selected item; ``section`` is start and length, ``mode`` 2 or 3 plays it backwards."""
    source = Source(KINDS.get(Path(path).suffix.lower(), "WAVE"), str(path))
    if section is not None or mode:
        source = Source("SECTION", parent=source)
        source.start, source.span = section or (0.0, 0.0)
        source.mode = mode
    item, take = Item(), Take(source)
    take.values.update(D_STARTOFFS=offset, D_PLAYRATE=rate)
    take.texts["P_NAME"] = Path(path).name
    item.values.update(D_POSITION=position, D_LENGTH=length, B_LOOPSRC=float(loop), **item_values)
    item.takes.append(take)
    item.is_selected = True
    track.items.append(item)
    return item


def facts_of(path: Path | str, offset: float = 0.0, length: float = 1.0, **more: Any) -> dict[str, Any]:
    """Return what a script reads of an item that plays a file of ten seconds."""
    source = {"kind": "WAVE", "path": str(path), "length": 10.0, "channels": 2}
    values = {"D_POSITION": 0.0, "D_LENGTH": length, "B_LOOPSRC": 0.0}
    takes = {"D_STARTOFFS": offset, "D_PLAYRATE": 1.0}
    found = {"guid": "{I}", "track": "{T}", "take": "{K}", "sources": [source], "item_values": values}
    return found | {"take_values": takes} | more


def stems_of(project: Project) -> list[Item]:
    """Return the items that were inserted."""
    return [item for item in project.items if "P_EXT:stembridge" in item.texts]


def names_of(project: Project) -> list[str]:
    """Return the tracks' names, indented by folder."""
    names, level = [], 0
    for track in project.tracks:
        names.append("  " * level + track.name)
        level += track.depth
    assert level == 0, "a folder was left open"
    return names


def read_plan(path: Path) -> list[Step]:
    """Return the steps of a plan, which must have its end, without that."""
    steps = [
        msgspec.json.decode(line, type=Step, dec_hook=lambda _, value: Path(value))
        for line in path.read_bytes().splitlines()
    ]
    assert steps[-1] == End(len(steps) - 1)
    return steps[:-1]
