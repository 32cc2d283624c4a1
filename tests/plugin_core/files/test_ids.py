"""Ids of jobs and recordings."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from plugin_core.files.database import new_id


def test_ids_are_version_7_and_hold_their_time() -> None:
    later = 4_000_000_000.5
    made = uuid.UUID(new_id(lambda: later))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(later * 1000)


def test_ids_grow_even_when_the_clock_goes_back() -> None:
    times = iter([5_000_000_000.0] * 5000 + [4_999_999_000.0] * 5000)
    made = [new_id(lambda: next(times)) for _ in range(10_000)]
    assert made == sorted(set(made))


def test_ids_of_threads_differ() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id(lambda: 1.0), range(5000)))
    assert len(set(made)) == 5000
