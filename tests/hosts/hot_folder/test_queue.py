"""Which song is next: the oldest, of those whose gates are open; and how a closed gate opens again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stembridge_hot_folder.files import FileIdentity
from stembridge_hot_folder.folders import HotFolder
from stembridge_hot_folder.queue import FIRST_WAIT, LONGEST_WAIT, Lane, SongQueue, WaitingSong
from stembridge_hot_folder.scan import Names

IN = HotFolder(path=b"/in", names=Names())
OTHER = HotFolder(path=b"/other", names=Names())


def song(name: str, age: int = 0, folder: HotFolder = IN) -> WaitingSong:
    return WaitingSong(folder, os.fsencode(Path(os.fsdecode(folder.path), name)), FileIdentity(1, 1, 1, age))


def lane_of(one: WaitingSong) -> Lane:
    """A song's recipe is the beginning of its name."""
    return one.folder.path, os.fsdecode(os.path.basename(one.path))[0]  # noqa: PTH119 - bytes


@pytest.fixture
def queue() -> SongQueue:
    return SongQueue(lane_of, rng=lambda: 0.0)


def taken(queue: SongQueue, now: float = 0.0) -> list[str]:
    found = []
    while (one := queue.pop(now)) is not None:
        found.append(os.fsdecode(os.path.basename(one.path)))  # noqa: PTH119 - bytes
    return found


def test_oldest_goes_first_across_folders_and_recipes(queue: SongQueue) -> None:
    for one in (song("a3", 3), song("b1", 1), song("a2", 2, OTHER), song("a0", 0)):
        queue.put(one)
    assert len(queue) == 4
    assert taken(queue) == ["a0", "b1", "a2", "a3"]
    assert len(queue) == 0


def test_new_version_takes_the_place_of_the_old_one(queue: SongQueue) -> None:
    queue.put(song("a", 1))
    queue.put(song("a", 2))
    assert len(queue) == 1
    assert queue.pop(0.0) == song("a", 2)
    assert queue.pop(0.0) is None


def test_postponed_songs_wait_longer_each_time_and_lose_no_turn(queue: SongQueue) -> None:
    waits = [queue.postpone(song("a"), 0.0) for _ in range(12)]
    assert waits[:3] == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4]
    assert waits[-1] == LONGEST_WAIT
    assert queue.waiting == 1
    assert queue.next_due() == LONGEST_WAIT
    assert queue.pop(LONGEST_WAIT - 1) is None
    assert queue.pop(LONGEST_WAIT) == song("a")
    queue.succeed(song("a").path)
    assert queue.postpone(song("a"), 0.0) == FIRST_WAIT


def test_forgotten_songs_are_not_taken(queue: SongQueue) -> None:
    queue.put(song("a"))
    queue.postpone(song("b"), 0.0)
    assert queue.forget(song("a").path)
    assert queue.forget(song("b").path)
    assert not queue.forget(song("b").path)
    assert taken(queue, 1e9) == []
    assert queue.next_due() is None


def test_paused_folder_or_recipe_holds_only_its_own_songs(queue: SongQueue) -> None:
    for one in (song("a0", 0), song("b1", 1), song("a2", 2, OTHER)):
        queue.put(one)
    queue.pauses.pause("a", b"x", 0.0)
    assert queue.blocked == 2
    assert taken(queue) == ["b1"]
    queue.put(song("b1", 1))
    assert queue.pop(FIRST_WAIT) == song("a0", 0)
    queue.put(song("a0", 0))
    assert queue.pauses.resume("a", song("a0").path)
    queue.pauses.pause(b"/in", b"x", 0.0)
    assert taken(queue) == ["a2"]
    assert queue.waiting == 2


def test_one_song_at_a_time_finds_out_whether_a_gate_may_open(queue: SongQueue) -> None:
    for number in range(4):
        queue.put(song(f"a{number}", number))
    queue.pauses.pause("a", b"x", 0.0)
    assert queue.next_due() == FIRST_WAIT
    assert taken(queue, FIRST_WAIT) == ["a0"], "the others wait for its word"
    assert queue.next_due() is None
    queue.put(song("a0", 0))
    queue.pauses.pause("a", song("a0").path, FIRST_WAIT)
    assert queue.next_due() == FIRST_WAIT + FIRST_WAIT * 2, "longer, since it was not over"
    assert taken(queue, queue.next_due() or 0.0) == ["a0"]
    assert queue.pauses.resume("a", song("a0").path)
    assert taken(queue, 100.0) == ["a1", "a2", "a3"]


def test_song_that_finds_nothing_out_lets_the_next_try(queue: SongQueue) -> None:
    for number in range(3):
        queue.put(song(f"a{number}", number))
    queue.pauses.pause("a", b"x", 0.0)
    assert taken(queue, 10.0) == ["a0"]
    queue.pauses.end_probe(song("a0").path)
    assert taken(queue, 10.0) == ["a1"]


def test_songs_taken_before_a_gate_closed_do_not_close_it_for_longer(queue: SongQueue) -> None:
    first = queue.pauses.pause("a", b"x", 0.0)
    assert queue.pauses.pause("a", b"y", 1.0) == first - 1.0
    queue.put(song("a0"))
    assert queue.pop(first) == song("a0")
    assert queue.pauses.pause("a", b"y", first) == 0.0
    assert queue.pauses.pause("a", song("a0").path, first) == FIRST_WAIT * 2, "its word still counts"


def test_song_taken_before_a_gate_closed_does_not_open_it(queue: SongQueue) -> None:
    for number in range(3):
        queue.put(song(f"a{number}", number))
    before = queue.pop(0.0)
    assert before is not None
    queue.pauses.pause("a", b"x", 0.0)
    assert not queue.pauses.resume("a", before.path)
    assert queue.pop(FIRST_WAIT) == song("a1", 1)
    assert not queue.pauses.resume("a", before.path), "it is another's turn to find out"
    assert queue.pauses.is_paused("a")
    assert queue.pauses.resume("a", song("a1").path)
    assert not queue.pauses.resume("a", song("a1").path)


def test_songs_change_their_lane_when_their_recipe_does() -> None:
    recipe = {"is": "a"}
    queue = SongQueue(lambda one: (one.folder.path, recipe["is"]), rng=lambda: 0.0)
    queue.put(song("x"))
    queue.pauses.pause("a", b"x", 0.0)
    assert queue.pop(0.0) is None
    recipe["is"] = "b"
    queue.sort_anew()
    assert queue.pop(0.0) == song("x")


def test_another_song_finds_out_next_until_the_gate_is_open(queue: SongQueue) -> None:
    for age in range(3):
        queue.put(song(f"a{age}", age))
    tried, now = [], 0.0
    for _ in range(6):
        one = queue.pop(now)
        assert one is not None
        tried.append(os.fsdecode(os.path.basename(one.path)))  # noqa: PTH119 - bytes
        now += queue.pauses.pause("a", one.path, now)
        queue.put_last(one)
    assert tried == ["a0", "a1", "a2"] * 2
    queue.pop(now)
    queue.put(song("a0", 0))
    assert queue.pauses.resume("a", song("a0").path)
    queue.open()
    assert taken(queue, now) == ["a0", "a1", "a2"]


def test_every_song_is_told_where_it_stands_and_why(queue: SongQueue) -> None:
    for one in (song("a2", 2), song("a1", 1), song("b", 0), song("c", 0), song("a", 0, OTHER)):
        queue.put(one)
    queue.postpone(song("d"), 0.0, "it may not be read")
    queue.pauses.pause("b", song("x").path, 0.0, "no credits")
    standing = {os.fsdecode(path): (one.state, one.reason) for path, one in queue.standing(IN.path)}
    assert standing == {
        "/in/a1": ("queued", ""),
        "/in/a2": ("queued", ""),
        "/in/b": ("waiting", "no credits"),
        "/in/c": ("queued", ""),
        "/in/d": ("waiting", "it may not be read"),
    }
