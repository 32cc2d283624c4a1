from __future__ import annotations

from typing import Any

import pytest
from stembridge_reaper.reascripts.stembridge_scripts.takes import choose_part, needs_section, place_take, used_span


def item(
    start: float = 0.0, length: float = 1.0, rate: float = 1.0, loop: bool = False, section: Any = None, **more: Any
) -> dict[str, Any]:
    found = {"offset": section[0], "length": section[1], "reversed": len(section) > 2} if section else None
    return {
        "item_values": {"D_LENGTH": length, "B_LOOPSRC": float(loop)},
        "take_values": {"D_STARTOFFS": start, "D_PLAYRATE": rate},
        "markers": [],
        "section": found,
    } | more


@pytest.mark.parametrize(
    ("one", "span"),
    [
        pytest.param(item(), [0.0, 1.0], id="plain"),
        pytest.param(item(2.0, 3.0, 0.5), [2.0, 3.5], id="rate"),
        pytest.param(item(-1.0, 3.0), [0.0, 2.0], id="silence first"),
        pytest.param(item(9.0, 3.0), [9.0, 10.0], id="beyond the end"),
        pytest.param(item(9.0, 3.0, loop=True), None, id="loop"),
        pytest.param(item(-1.0, 3.0, loop=True), None, id="loop before"),
        pytest.param(item(12.0, 1.0), None, id="silence only"),
        pytest.param(item(1.0, 1.0, section=(4.0, 3.0)), [5.0, 6.0], id="section"),
        pytest.param(item(1.0, 4.0, section=(4.0, 3.0)), [4.0, 7.0], id="section left"),
        pytest.param(item(0.0, 1.0, section=(4.0, 3.0, "reversed")), [4.0, 7.0], id="reversed"),
        pytest.param(item(0.0, 1.0, section=(0.0, 0.0, "reversed")), None, id="all reversed"),
        pytest.param(item(markers=[[0.0, 0.0]]), None, id="markers"),
    ],
)
def test_used_span(one: dict[str, Any], span: list[float] | None) -> None:
    assert used_span(one, 10.0) == span


def test_plain_section_becomes_an_offset() -> None:
    one = item(1.0, 1.0, section=(4.0, 3.0))
    assert not needs_section(one)
    assert place_take(one, 2.5) == {"offset": 2.5, "markers": [], "shift": None}


def test_section_that_is_left_stays_a_section() -> None:
    one = item(1.0, 4.0, section=(4.0, 3.0))
    assert needs_section(one)
    assert place_take(one, 2.5) == {"offset": 1.0, "markers": [], "shift": -2.5}


def test_stretch_markers_move_with_the_file() -> None:
    assert place_take(item(markers=[[0.5, 3.0]]), 2.0)["markers"] == [[0.5, 1.0]]


def test_part_is_the_one_that_covers() -> None:
    parts = [{"start": 1.0, "end": 3.0}, {"start": 5.0, "end": 8.0}]
    assert choose_part(parts, [5.5, 8.0]) is parts[1]
    assert choose_part(parts, [2.0, 4.0]) is None
    assert choose_part(parts, None) is None
    whole = [{"start": 0.0, "end": None}]
    assert choose_part(whole, None) is choose_part(whole, [1.0, 99.0]) is whole[0]
