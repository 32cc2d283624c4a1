"""The small pure parts of the scripts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from stembridge_reaper.reascripts.stembridge_scripts.documents import read_document, write_document
from stembridge_reaper.reascripts.stembridge_scripts.runs import clean_environment, list_runs, make_run
from stembridge_reaper.reascripts.stembridge_scripts.takes import find_sources, section_lines, wrap_source
from stembridge_reaper.reascripts.stembridge_scripts.tracks import (
    choose_depths,
    colour_of,
    folder_name,
    group_by_file,
    group_by_track,
    sort_stems,
)
from stembridge_reaper.reascripts.stembridge_scripts.words import describe_skipped, with_line, without_line

SECTION = """<ITEM
  NAME "a > b"
  <SOURCE WAVE
    FILE "first.wav"
  >
  TAKE SEL
  NAME "second"
  <SOURCE SECTION
    LENGTH 2.5
    STARTPOS 1.25
    OVERLAP 0.01
    MODE 2
    <SOURCE WAVE
      FILE "second.wav"
    >
  >
>
"""


def test_section_of_the_active_take_is_found() -> None:
    assert [active for *_, active in find_sources(SECTION)] == [False, True]
    assert section_lines(SECTION) == ["LENGTH 2.5", "STARTPOS 1.25", "OVERLAP 0.01", "MODE 2"]
    assert section_lines(SECTION.replace("TAKE SEL", "TAKE")) == []


def test_source_is_wrapped_and_shifted() -> None:
    chunk = '<ITEM\nNAME "x"\n<SOURCE FLAC\nFILE "stem.flac"\n>\n>\n'
    wrapped = wrap_source(chunk, ["LENGTH 2.5", "STARTPOS 1.25", "MODE 2"], -1.0)
    assert section_lines(wrapped) == ["LENGTH 2.5", "STARTPOS 0.25000000000000", "MODE 2"]
    assert '<SOURCE FLAC\nFILE "stem.flac"\n>' in wrapped
    assert wrap_source("<ITEM\n>\n", ["LENGTH 1"], 0.0) == ""


@pytest.mark.parametrize("notes", ["", "mine", "mine\n", "mine\r\nand yours", "\n", "[stembridge]", "x\n\ny"])
def test_notes_are_what_they_were(notes: str) -> None:
    marked = with_line(with_line(notes, "sending"), "done 5 %")
    assert marked.endswith("[stembridge] done 5 %")
    assert marked.count("[stembridge] ") == 1
    assert without_line(marked) == notes


@pytest.mark.parametrize(
    ("source", "own", "tracks"),
    [(0, 0, [1, 0, -1]), (1, 1, [1, 0, -1]), (-1, 0, [1, 0, -2]), (-3, 0, [1, 0, -4])],
    ids=["plain", "folder", "last in folder", "last in three"],
)
def test_folder_depths_add_up(source: int, own: int, tracks: list[int]) -> None:
    assert choose_depths(source, 2) == (own, tracks)
    assert own + sum(tracks) == source


def test_stems_are_sorted_coloured_and_named() -> None:
    assert sort_stems(["kick", "other", "vocals", "bass", "vocals"]) == ["vocals", "bass", "other", "kick"]
    assert colour_of("kick") == colour_of("kick")
    assert colour_of("vocals") == (255, 100, 100)
    assert folder_name([{"name": "a"}, {"name": "a"}], "T") == "a - Stems"
    assert folder_name([{"name": "a"}, {"name": "b"}], "T") == "T - Stems"
    assert folder_name([{"name": "a"}, {"name": "b"}], "") == "Items - Stems"


def test_a_file_is_listed_once() -> None:
    def one(path: str, start: float, **more: Any) -> dict[str, Any]:
        values: dict[str, Any] = {
            "item_values": {"D_LENGTH": 1.0, "B_LOOPSRC": 0.0},
            "markers": [],
            "section": None,
            "length": 9.0,
        }
        takes = {"D_STARTOFFS": start, "D_PLAYRATE": 1.0}
        return values | {"path": path, "take_values": takes, "track": "t"} | more

    items = [one("/a.wav", 1.0), one("/b.wav", 0.0), one("/x/../a.wav", 0.0), one("/b.wav", 1.0, markers=[[0, 0]])]
    files = group_by_file(items)
    assert [(entry["key"], entry["spans"]) for entry in files] == [("1", [[0.0, 1.0], [1.0, 2.0]]), ("2", [])]
    assert [item["file"] for item in items] == ["1", "2", "1", "2"]
    assert [len(group) for _, group in group_by_track(items)] == [4]


def test_environment_of_the_worker_is_clean() -> None:
    dirty = {"PYTHONHOME": "/x", "PythonPath": "/y", "VIRTUAL_ENV": "/z", "PATH": "/bin", "STEMBRIDGE_HOME": "/old"}
    assert clean_environment(dirty, "/home") == {"PATH": "/bin", "PYTHONUTF8": "1", "STEMBRIDGE_HOME": "/home"}


def test_documents_are_ascii_and_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    write_document(path, {"name": "S\u00f6ng"})
    assert b"\\u00f6" in Path(path).read_bytes()
    assert read_document(path) == {"name": "S\u00f6ng"}
    Path(path).write_text("[1]")
    assert read_document(path) is read_document(path + "x") is None


REQUEST: dict[str, Any] = {"kind": "separate", "project": {"path": ""}, "files": [], "items": []}
BROKEN = {
    "cut": "{",
    "deep": "[" * 100_000,
    "lacking": json.dumps({"version": 1, "items": [], "files": []}),
    "newer": json.dumps(REQUEST | {"version": 2, "preset": ""}),
    "wrong": json.dumps(REQUEST | {"version": 1, "preset": "", "project": None}),
}


def test_runs_are_listed_in_order_and_broken_ones_left_out(tmp_path: Path) -> None:
    runs = [make_run(str(tmp_path), dict(REQUEST, preset=str(number))) for number in range(2)]
    (tmp_path / "empty").mkdir()
    for name, content in BROKEN.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "request.json").write_text(content)
    assert {run.id for run in list_runs(str(tmp_path))} == {run.id for run in runs}
    assert list_runs(str(tmp_path / "nowhere")) == []


def test_what_is_passed_over_is_counted() -> None:
    assert describe_skipped({"MIDI": 2, "empty": 1}) == "3 items passed over: 2 MIDI, 1 empty"
    assert describe_skipped({}) == ""


def test_last_word_of_the_same_size_and_moment_is_heard(tmp_path: Path) -> None:
    run = make_run(str(tmp_path), REQUEST | {"preset": ""})
    path = Path(run.path("status.json"))
    for state, is_seen in (("working", True), ("failed.", False)):
        path.write_text(json.dumps({"version": 1, "state": state}))
        os.utime(path, (1, 1))
        assert run.refresh() is is_seen
    assert run.refresh(is_forced=True)
    assert run.state == "failed."
