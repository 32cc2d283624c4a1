from __future__ import annotations

from typing import Any

import msgspec
import pytest
from stembridge_reaper.protocol import ItemFacts, PartStatus, RequestProject
from stembridge_reaper.selection import find_limits
from stembridge_reaper.takes import (
    NotUsableError,
    PlacedTake,
    Section,
    choose_part,
    find_section,
    find_sources,
    narrow,
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


FAR = [[-5.0, 9.0, 0.0], [-1.0, 2.0, 0.0], [3.0, 4.0, 0.0], [9.0, 0.5, 0.0]]


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
        pytest.param(item(0.0, 2.0, 0.5, markers=FAR), (2.0, 4.0), id="markers further off"),
        pytest.param(item(markers=[[-2.0, 3.0, 0.0]]), (5.0, 6.0), id="marker before"),
        pytest.param(item(markers=[[2.0, 3.0, 0.0]]), (1.0, 2.0), id="marker behind"),
        pytest.param(item(markers=[[0.0, 9.5, 0.0]], loop=True), None, id="markers and loop"),
    ],
)
def test_used_span(one: ItemFacts, span: tuple[float, float] | None) -> None:
    assert used_span(one, find_section(one)) == span


@pytest.mark.parametrize(
    ("limit", "used"),
    [
        (None, (10.0, 4.0, 1.0)),
        ((11.0, 13.0), (11.0, 2.0, 1.5)),
        ((0.0, 13.0), (10.0, 3.0, 1.0)),
        ((10.4, 13.0), (10.0, 3.0, 1.0)),
        ((11.0, 13.8), (11.0, 3.0, 1.5)),
        ((0.0, 99.0), (10.0, 4.0, 1.0)),
        ((0.0, 10.0), None),
        ((14.0, 20.0), None),
    ],
    ids=["none", "inside", "to", "in the fade in", "in the fade out", "around", "before", "behind"],
)
def test_an_item_is_narrowed_to_what_is_selected_of_it(
    limit: tuple[float, float] | None, used: tuple[float, float, float] | None
) -> None:
    faded = {"D_FADEINLEN": 0.5, "D_FADEOUTLEN": 0.1, "D_FADEOUTLEN_AUTO": 0.3, "D_SNAPOFFSET": 1.5}
    values = {"D_POSITION": 10.0, "D_LENGTH": 4.0, "B_LOOPSRC": 0.0} | faded
    one = msgspec.structs.replace(item(1.0, 4.0, 0.5), item_values=values)
    found = narrow(one, limit)
    if used is None:
        assert found is None
        return
    assert found is not None
    mine = found.item_values
    assert (mine["D_POSITION"], mine["D_LENGTH"], found.take_values["D_STARTOFFS"]) == used
    is_cut = (mine["D_POSITION"] > 10.0, mine["D_POSITION"] + mine["D_LENGTH"] < 14.0)
    assert (mine["D_FADEINLEN"], mine["D_FADEOUTLEN_AUTO"]) == (0.0 if is_cut[0] else 0.5, -1.0 if is_cut[1] else 0.3)
    assert mine["D_SNAPOFFSET"] == (0.5 if is_cut[0] else 1.5)


def test_an_item_with_stretch_markers_is_used_whole_or_not_at_all() -> None:
    one = item(0.0, 4.0, markers=[[0.0, 1.0, 0.0]])
    assert narrow(one, (1.0, 2.0)) == one
    assert narrow(one, (5.0, 6.0)) is None


def test_razor_edits_go_before_the_time_selection_and_what_touches_nothing_counts_for_nothing() -> None:
    one, other = item(0.0, 4.0), item(0.0, 4.0)
    razored = msgspec.structs.replace(other, razors=((1.0, 1.5), (2.0, 3.0), (8.0, 9.0)))
    project = RequestProject(path="", selection=(3.0, 5.0))
    assert find_limits(project, [one, razored]) == ([None, (1.0, 3.0)], "outside the razor edits")
    assert find_limits(project, [one, other]) == ([(3.0, 5.0)] * 2, "outside the time selection")
    elsewhere = msgspec.structs.replace(other, razors=((8.0, 9.0),))
    for project in (RequestProject(path="", selection=(7.0, 8.0)), RequestProject(path="")):
        assert find_limits(project, [one, elsewhere]) == ([None, None], "")


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
