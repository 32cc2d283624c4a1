"""What is left to be done, found in a library of thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("beets")

from beets.library import Library
from stembridge_beets import own_command
from stembridge_beets.tasks import Todo, find_marked, mark

from tests.hosts.beets.rows import add_rows, make_library, visits

SONGS = 5000


@pytest.fixture
def lib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    lib = make_library(tmp_path, monkeypatch)
    fields = {"mood": "Calm", "stems_path": "/music/x.stems", "labels_undo": "{}", "stems_todo": ""}
    add_rows(lib, {Path(f"/music/{number}.flac"): fields for number in range(SONGS)})
    return lib


def test_nothing_to_do_looks_at_no_song(
    lib: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with visits(monkeypatch) as seen:
        own_command.show(lib)
    assert capsys.readouterr().out == "nothing is left to be done\n"
    assert seen == []


def test_only_songs_with_work_left_are_looked_at(lib: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    items = list(lib.items("title:=7"))
    mark([(item, Todo(job="x")) for item in items], lib, "stems")
    with visits(monkeypatch) as seen:
        ((item, found),) = find_marked(lib, "stems")
        assert find_marked(lib, "moods") == []
    assert (item.title, found.job) == ("7", "x")
    assert seen == [item.id]
