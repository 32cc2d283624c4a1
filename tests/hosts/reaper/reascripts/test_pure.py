"""The small pure parts of the scripts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from stembridge_reaper.reascripts.stembridge_scripts.documents import (
    read_document,
    with_line,
    without_line,
    wrap_source,
    write_document,
)
from stembridge_reaper.reascripts.stembridge_scripts.runs import clean_environment, make_run


def test_source_is_wrapped() -> None:
    chunk = '<ITEM\nNAME "x"\n<SOURCE FLAC\nFILE "stem.flac"\n>\n>\n'
    wrapped = wrap_source(chunk, ["LENGTH 2.5", "MODE 2"])
    assert '<SOURCE SECTION\nLENGTH 2.5\nMODE 2\n<SOURCE FLAC\nFILE "stem.flac"\n>\n>\n>\n' in wrapped
    assert wrap_source("<ITEM\n>\n", ["LENGTH 1"]) == ""


@pytest.mark.parametrize("notes", ["", "mine", "mine\n", "mine\r\nand yours", "\n", "[stembridge]", "x\n\ny"])
def test_notes_are_what_they_were(notes: str) -> None:
    marked = with_line(with_line(notes, "sending"), "done 5 %")
    assert marked.endswith("[stembridge] done 5 %")
    assert marked.count("[stembridge] ") == 1
    assert without_line(marked) == notes


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


def test_last_word_of_the_same_size_and_moment_is_heard(tmp_path: Path) -> None:
    run = make_run(str(tmp_path), {"kind": "separate"})
    path = Path(run.path("status.json"))
    for state, is_seen in (("working", True), ("failed.", False)):
        path.write_text(json.dumps({"version": 2, "state": state}))
        os.utime(path, (1, 1))
        assert run.refresh() is is_seen
    assert run.refresh(is_forced=True)
    assert run.state == "failed."
