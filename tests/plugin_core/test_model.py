"""The nouns go through JSON unchanged, whatever a file is called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from plugin_core.model import (
    STEERING,
    JobState,
    Model,
    Operation,
    Separation,
    Tagging,
    disarm,
    from_json,
    show_path,
    to_json,
)


@pytest.mark.parametrize("name", ["/music/Song.flac", "/m/Größe 音.flac", "/m/bad\udcff name", "/m/bytes:00"])
def test_paths_survive_json(name: str) -> None:
    operation = Separation(provider="local", to=Path(name))
    assert from_json(to_json(operation), Operation) == operation  # type: ignore[arg-type]


def test_operations_are_told_apart() -> None:
    for operation in (Separation(provider="a", stems=("vocals",)), Tagging(provider="b", dimensions=("mood",))):
        assert from_json(to_json(operation), Operation) == operation  # type: ignore[arg-type]


def test_any_path_can_be_shown() -> None:
    assert show_path(Path("/m/bad\udcff")) == "/m/bad\\udcff"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\x1b[2Jb", "a\\x1b[2Jb"), ("a\nb", "a\\nb"), ("a\u202eb", "a\\u202eb"), ("Größe 音\u3000", "Größe 音\u3000")],
)
def test_shown_path_steers_no_terminal(name: str, shown: str) -> None:
    assert show_path(Path(name)) == shown


def test_settled_and_active_part_the_states() -> None:
    assert {state for state in JobState if state.is_settled} == {
        JobState.DONE,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.UNCONFIRMED,
    }
    assert all(state.is_active is not state.is_settled for state in JobState)


def test_a_model_is_ready_unless_its_files_are_elsewhere() -> None:
    ready = {state: Model(id="a", name="A", stems=(), state=state).is_ready for state in ("", "here", "to fetch")}
    assert ready == {"": True, "here": True, "to fetch": False}


def test_whatever_steers_is_disarmed_and_all_else_stays() -> None:
    steering = {one for one in map(chr, range(sys.maxunicode + 1)) if STEERING.match(one)}
    assert all(disarm(f"a{one}b") != f"a{one}b" for one in steering)
    assert disarm("a \u00e9\u6b4c") == "a \u00e9\u6b4c" and disarm("a\ud800") == "a\\ud800"
