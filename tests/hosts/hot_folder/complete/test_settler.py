"""The settler alone, on a scripted clock."""

from __future__ import annotations

import pytest
from stembridge_hot_folder.complete.identity import Identity
from stembridge_hot_folder.complete.settler import PATIENCE, Patience, Settler

A = Identity(1, 2, 100, 5)


@pytest.mark.parametrize(
    "other",
    [A._replace(size=101), A._replace(mtime_ns=6), A._replace(inode=3), A._replace(device=9)],
    ids=["size", "time", "inode", "device"],
)
def test_any_change_starts_the_wait_anew(other: Identity) -> None:
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
