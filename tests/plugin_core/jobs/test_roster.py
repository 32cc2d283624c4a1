from __future__ import annotations

from plugin_core.jobs.roster import Roster


def test_ids_stay_the_same_object_until_something_changes() -> None:
    roster = Roster()
    roster.add("a")
    before = roster.ids
    roster.add("a")
    roster.discard("b")
    assert roster.ids is before
    roster.add("b")
    assert roster.ids == {"a", "b"}
    roster.discard("a")
    assert roster.ids == {"b"}


def test_additions_are_told() -> None:
    roster = Roster()
    told: list[str] = []
    roster.on_change = lambda: told.append("!")
    roster.add("a")
    roster.add("a")
    roster.discard("a")
    assert told == ["!"]
