from __future__ import annotations

from typing import Any

import msgspec
import pytest
from stembridge_reaper.protocol import ItemFacts, PartStatus
from stembridge_reaper.takes import (
    NotUsableError,
    PlacedTake,
    Section,
    choose_part,
    find_section,
    find_sources,
    place_take,
    section_lines,
    used_span,
)

from tests.hosts.reaper.builders import facts_of

STATE = """<ITEM
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


def item(
    start: float = 0.0, length: float = 1.0, rate: float = 1.0, loop: bool = False, section: Any = None, **more: Any
) -> ItemFacts:
    facts = facts_of("/a.wav", start, length, state=STATE, **more)
    facts["take_values"]["D_PLAYRATE"] = rate
    facts["item_values"]["B_LOOPSRC"] = float(loop)
    if section:
        outer = {"kind": "SECTION", "section": [section[0], section[1], len(section) > 2]}
        facts["sources"].insert(0, outer)
    return msgspec.convert(facts, ItemFacts)


@pytest.mark.parametrize(
    ("one", "span"),
    [
        pytest.param(item(), (0.0, 1.0), id="plain"),
        pytest.param(item(2.0, 3.0, 0.5), (2.0, 3.5), id="rate"),
        pytest.param(item(-1.0, 3.0), (0.0, 2.0), id="silence first"),
        pytest.param(item(9.0, 3.0), (9.0, 10.0), id="beyond the end"),
        pytest.param(item(9.0, 3.0, loop=True), None, id="loop"),
        pytest.param(item(-1.0, 3.0, loop=True), None, id="loop before"),
        pytest.param(item(12.0, 1.0), None, id="silence only"),
        pytest.param(item(1.0, 1.0, section=(4.0, 3.0)), (5.0, 6.0), id="section"),
        pytest.param(item(1.0, 4.0, section=(4.0, 3.0)), (4.0, 7.0), id="section left"),
        pytest.param(item(0.0, 1.0, section=(4.0, 3.0, "reversed")), (4.0, 7.0), id="reversed"),
        pytest.param(item(0.0, 1.0, section=(0.0, 0.0, "reversed")), None, id="all reversed"),
        pytest.param(item(markers=[[0.0, 2.0, 0.0]]), (2.0, 3.0), id="marker"),
        pytest.param(item(0.0, 2.0, markers=[[0.5, 2.0, 0.9], [1.0, 4.0, 0.0]]), (1.5, 5.0), id="markers"),
        pytest.param(item(0.0, 2.0, 0.5, markers=[[-1.0, 2.0, 0.0], [3.0, 4.0, 0.0]]), (2.0, 4.0), id="markers beyond"),
        pytest.param(item(markers=[[0.0, 9.5, 0.0]], loop=True), None, id="markers and loop"),
    ],
)
def test_used_span(one: ItemFacts, span: tuple[float, float] | None) -> None:
    assert used_span(one, find_section(one)) == span


def test_plain_section_becomes_an_offset() -> None:
    one = item(1.0, 1.0, section=(4.0, 3.0))
    assert find_section(one) == Section(4.0, 3.0, False)
    assert place_take(one, find_section(one), 2.5) == PlacedTake(offset=2.5, markers=(), section=())


def test_section_that_is_left_stays_a_section() -> None:
    one = item(1.0, 4.0, section=(4.0, 3.0))
    lines = ("LENGTH 2.5", "STARTPOS -1.25000000000000", "OVERLAP 0.01", "MODE 2")
    assert place_take(one, find_section(one), 2.5) == PlacedTake(offset=1.0, markers=(), section=lines)


def test_stretch_markers_move_with_the_file() -> None:
    placed = place_take(item(markers=[[0.5, 3.0, -0.2]]), None, 2.0)
    assert placed.markers == ((0.5, 1.0, -0.2),)


def test_section_of_the_active_take_is_found() -> None:
    assert [active for *_, active in find_sources(STATE)] == [False, True]
    assert section_lines(STATE) == ("LENGTH 2.5", "STARTPOS 1.25", "OVERLAP 0.01", "MODE 2")
    assert section_lines(STATE.replace("TAKE SEL", "TAKE")) == ()


@pytest.mark.parametrize(
    ("inner", "state", "said"),
    [
        ([0.0, 1.0, True], STATE, "reversed inside another section"),
        ([1.0, 5.0, False], "<ITEM\n>\n", "in nested sections that loop"),
    ],
)
def test_sections_that_cannot_be_told(inner: list[Any], state: str, said: str) -> None:
    one = item(0.0, 9.0, section=(0.5, 1.0))
    nested = msgspec.convert({"kind": "SECTION", "section": inner}, type(one.sources[0]))
    one = msgspec.structs.replace(one, sources=(one.sources[0], nested, one.sources[1]), state=state)
    with pytest.raises(NotUsableError, match=said):
        find_section(one)


def test_part_is_the_one_that_covers() -> None:
    parts = [PartStatus(start=1.0, end=3.0), PartStatus(start=5.0, end=8.0)]
    assert choose_part(parts, (5.5, 8.0)) is parts[1]
    assert choose_part(parts, (2.0, 4.0)) is None
    assert choose_part(parts, None) is None
    whole = [PartStatus()]
    assert choose_part(whole, None) is choose_part(whole, (1.0, 99.0)) is whole[0]
