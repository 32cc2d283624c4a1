"""The settler alone, on a scripted clock."""

from __future__ import annotations

import pytest
from stembridge_hot_folder.files import FileIdentity
from stembridge_hot_folder.settler import PATIENCE, Patience, Settler

A = FileIdentity(1, 2, 100, 5)


@pytest.mark.parametrize(
    "other",
    [A._replace(size=101), A._replace(mtime_ns=6), A._replace(inode=3), A._replace(device=9)],
    ids=["size", "time", "inode", "device"],
)
def test_any_change_starts_the_wait_anew(other: FileIdentity) -> None:
    settler = Settler(Patience(settle=5), lambda path: True)
    assert not settler.observe(b"a", A, 0)
    assert not settler.observe(b"a", other, 4)
    assert not settler.observe(b"a", other, 8)
    assert settler.observe(b"a", other, 9)
    assert b"a" not in settler


def test_structure_that_promises_more_is_waited_for_and_then_believed_no_longer() -> None:
    settler = Settler(Patience(settle=5), lambda path: False)
    settler.observe(b"a", A, 0)
    assert not settler.observe(b"a", A, 5 * PATIENCE - 1)
    assert settler.observe(b"a", A, 5 * PATIENCE)


def test_empty_file_never_settles_and_is_warned_about_once() -> None:
    told: list[str] = []
    settler = Settler(Patience(settle=5, max_wait=60), lambda path: True, lambda path, text: told.append(text))
    empty = A._replace(size=0)
    for now in range(0, 1000, 10):
        assert not settler.observe(b"a", empty, now)
    assert len(told) == 1


def test_next_due_is_when_the_first_may_be_complete() -> None:
    settler = Settler(Patience(settle=5), lambda path: True)
    settler.observe(b"a", A, 0)
    settler.observe(b"b", A, 3)
    assert settler.next_due() == 5
    assert settler.due(5) == [b"a"]


def test_placeholders_and_what_changes_without_end_take_no_room_from_songs() -> None:
    settler = Settler(Patience(settle=5), lambda path: True, most=2)
    for number in range(3):
        settler.observe(b"empty %d" % number, A._replace(size=0), 0)
        for now in range(0, 5 * PATIENCE, 4):
            settler.observe(b"restless %d" % number, A._replace(mtime_ns=now), now)
    assert settler.crowd == 3
    assert len(settler) == 5, "of three placeholders two are remembered"
    for number in range(3):
        settler.observe(b"restless %d" % number, A._replace(mtime_ns=-1), 5 * PATIENCE)
    assert settler.crowd == 0
    assert len(settler) == 2
    settler.forget(b"empty 0")
    assert not settler.observe(b"restless 0", A, 100)
    assert settler.observe(b"restless 0", A, 105), "slow, and complete at last"


def test_placeholder_is_not_looked_at_again_and_again() -> None:
    settler = Settler(Patience(settle=5), lambda path: True)
    settler.observe(b"a", A._replace(size=0), 0)
    assert settler.due(5) == [b"a"]
    settler.observe(b"a", A._replace(size=0), 5)
    assert settler.due(1e9) == []
    settler.observe(b"a", A, 60)
    assert settler.due(65) == [b"a"]
    assert settler.observe(b"a", A, 65)


def test_case_33_look_that_was_held_up_does_not_count_as_time_in_which_nothing_changed() -> None:
    settler = Settler(Patience(settle=5), lambda path: True)
    assert not settler.observe(b"a", A, 0, seen=60)
    assert settler.due(64) == []
    assert not settler.observe(b"a", A, 60, seen=70), "the version may have come at the end of the first look"
    assert settler.observe(b"a", A, 65, seen=65)
    assert not settler.observe(b"a", A, 0, seen=0)
    assert not settler.observe(b"a", A, 4, seen=60), "the look began too early to tell"
