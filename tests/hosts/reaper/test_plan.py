from __future__ import annotations

import json
from pathlib import Path

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
    Step,
    write_plan,
)

from tests.hosts.reaper.builders import read_plan

PLAN: list[Step] = [
    Head(1, "stembridge: insert stems"),
    Find(1, "MediaTrack", "{A}"),
    AddTrack(2, 1),
    SetText(2, "P_NAME", 'S\u00f6ng "x"\n'),
    SetColour(2, 255, 100, 100),
    AddItem(3, 2),
    AddTake(4, 3, Path("/S\u00f6ng.wav")),
    SetSection(4, 3, ("LENGTH 2", "MODE 2")),
    SetNumbers(4, (("D_STARTOFFS", 0.1), ("I_CHANMODE", 3))),
    AddMarker(4, 0.5, 0.25, -0.5),
    Delete(2),
    Commit(),
]


def test_a_plan_is_lines_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "plan.jsonl"
    write_plan(path, PLAN)
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert lines[8] == ["numbers", 4, [["D_STARTOFFS", 0.1], ["I_CHANMODE", 3]]]
    assert lines[-1] == ["end", len(PLAN)]
    assert read_plan(path) == PLAN
