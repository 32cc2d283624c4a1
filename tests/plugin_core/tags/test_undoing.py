from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.model import Written
from plugin_core.tags.undoing import Values, find_strange, take_back, without


@pytest.mark.parametrize(
    ("here", "ours", "before", "expected"),
    [
        (("Calm",), ("Calm",), (), ()),
        (("Calm",), ("Calm",), ("Happy",), ("Happy",)),
        (("Jazz", "Rock"), ("Jazz", "Rock"), ("Jazz",), ("Jazz",)),
        (("Jazz", "Rock", "Live"), ("Jazz", "Rock"), ("Jazz",), ("Jazz", "Live")),
        (("Rock",), ("Jazz", "Rock"), ("Jazz",), ()),
        (("Calm", "Mine"), ("Calm",), ("Happy",), ("Happy", "Mine")),
        (("Mine",), ("Calm",), (), None),
        ((), ("Calm",), ("Happy",), None),
        (("Mine",), ("Happy",), ("Happy", "Sad"), None),
    ],
    ids=["filled", "replaced", "appended", "more", "less", "replaced-more", "other", "removed", "fewer"],
)
def test_our_part_goes_and_theirs_stays(here: Values, ours: Values, before: Values, expected: Values | None) -> None:
    assert without(here, ours, before) == expected


def test_fields_that_are_back_already_need_nothing() -> None:
    written = Written(
        path=Path("song"),
        before="a",
        after="b",
        fields={"mood": ("Calm",), "genre": ("Rock",), "scene": ("Rain",)},
        previous={"genre": ("Jazz",)},
    )
    found = {"mood": ("Mine",), "genre": ("Jazz",), "scene": ("Rain",)}
    taken = take_back(found, written)
    assert (taken.fields, taken.kept) == ({"scene": ()}, ("mood",))
    forced = take_back(found, written, ("mood", "scene"))
    assert (forced.fields, forced.kept) == ({"mood": (), "scene": ()}, ())


def test_a_field_is_strange_that_is_not_what_it_was_before_all_changes() -> None:
    last = Written(path=Path("song"), before="b", after="c", fields={"mood": ("b",)}, previous={"mood": ("a",)})
    first = Written(path=Path("song"), before="a", after="b", fields={"mood": ("a",), "genre": ("a",)})
    assert find_strange({}, [last, first]) == ()
    assert find_strange({"mood": ("a",)}, [last, first]) == ("mood",)
    assert find_strange({"genre": ("x",)}, [last, first]) == ("genre",)
