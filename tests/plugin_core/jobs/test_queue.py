"""Which job is next: what is begun before what waits, what was due first before the rest, and what needs no slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import pytest

from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Job, JobState
from tests.plugin_core.jobs.conftest import Clock
from tests.plugin_core.jobs.fakes import make_job
from tests.plugin_core.jobs.test_store import move

ANY_STORE = True


@pytest.fixture
def store(store_place: Place, clock: Clock) -> Iterator[JobStore]:
    with JobStore(store_place, clock=clock) as opened:
        yield opened


def put(
    store: JobStore,
    number: int,
    state: JobState = JobState.QUEUED,
    *,
    late: float = 0.0,
    account: str = "fake",
    occupies: bool = True,
) -> str:
    """Put a job into a state in which it is due since so many seconds; return its id."""
    job = msgspec.structs.replace(make_job(number, account=account, clock=store.clock), due=store.clock() - late)
    store.add(job, occupies=occupies)
    if state is not JobState.QUEUED:
        move(store, job, state, occupies=occupies)
    return job.id


def next_of(store: JobStore, slots: Mapping[str, int] | None = None) -> str:
    """Claim the next job and keep it; "" when there is none."""
    claimed: Job | None = store.claim(store.new_owner(), ids=None, slots={"fake": 8} if slots is None else slots)
    return "" if claimed is None else claimed.id


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_what_was_due_first_goes_first_whichever_was_made_first(store: JobStore, state: JobState) -> None:
    ids = {late: put(store, number, state, late=late) for number, late in enumerate((2.0, 9.0, 0.0, 5.0))}
    future = put(store, 9, state, late=-1.0)
    assert [next_of(store) for _ in range(5)] == [ids[9.0], ids[5.0], ids[2.0], ids[0.0], ""]
    assert future not in ids.values()


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_of_those_due_at_once_the_one_made_first_goes_first(store: JobStore, state: JobState) -> None:
    jobs = [msgspec.structs.replace(make_job(number), due=store.clock()) for number in range(3)]
    for job in reversed(jobs):
        store.add(job)
        if state is not JobState.QUEUED:
            move(store, job, state)
    assert [next_of(store) for _ in range(3)] == [job.id for job in jobs]


def test_what_is_begun_goes_before_what_waits_for_longer(store: JobStore) -> None:
    waiting = put(store, 1, late=100.0)
    begun = put(store, 2, JobState.FETCHING, late=1.0)
    assert [next_of(store), next_of(store)] == [begun, waiting]


@pytest.mark.parametrize("slots", [{"a": 1, "b": 1}, {"b": 1, "a": 1}], ids=lambda slots: "".join(slots))
def test_no_account_goes_first_for_its_name_or_place(store: JobStore, slots: dict[str, int]) -> None:
    later, first = put(store, 1, account="a", late=1.0), put(store, 2, account="b", late=5.0)
    assert [next_of(store, slots), next_of(store, slots)] == [first, later]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.FETCHING])
def test_an_account_that_is_full_keeps_no_other_waiting(store: JobStore, state: JobState) -> None:
    """Work on this machine: what is begun takes a slot only while a process is at it."""
    slots = {"a": 1, "b": 1}
    first, second = (put(store, number, state, account="a", late=9.0 - number, occupies=False) for number in (1, 2))
    third = put(store, 3, state, account="a", late=5.0, occupies=False)
    other = put(store, 4, state, account="b", late=1.0, occupies=False)
    assert [next_of(store, slots) for _ in range(3)] == [first, other, ""]
    store.close()
    with JobStore(store.place, clock=store.clock) as again:
        assert {next_of(again, {"a": 3, "b": 0}) for _ in range(3)} == {first, second, third}


@pytest.mark.parametrize(
    ("state", "occupies", "cancel", "is_next"),
    [
        (JobState.QUEUED, True, True, True),
        (JobState.QUEUED, True, False, False),
        (JobState.RUNNING, True, False, True),
        (JobState.RUNNING, False, False, False),
        (JobState.RUNNING, False, True, True),
        (JobState.PUBLISHING, False, False, True),
    ],
    ids=["cancelled", "queued", "at its service", "here", "cancelled here", "publishing"],
)
def test_only_what_would_take_a_slot_waits_for_one(
    store: JobStore, state: JobState, occupies: bool, cancel: bool, is_next: bool
) -> None:
    put(store, 1, JobState.RUNNING, late=-100.0)
    job = put(store, 2, state, occupies=occupies)
    if cancel:
        store.request_cancel(job)
    assert next_of(store, {"fake": 1}) == (job if is_next else "")


def test_what_is_to_be_cancelled_takes_no_slot_from_others(store: JobStore) -> None:
    cancelled, other = put(store, 1), put(store, 2)
    store.request_cancel(cancelled)
    assert [next_of(store, {"fake": 1}), next_of(store, {"fake": 1})] == [cancelled, other]


@pytest.mark.parametrize(("seconds", "is_taken"), [(19.0, False), (20.0, True)])
def test_a_silent_owner_keeps_its_job_to_the_end_of_its_lease(
    store: JobStore, clock: Clock, seconds: float, is_taken: bool
) -> None:
    job = put(store, 1, JobState.RUNNING)
    with JobStore(store.place, clock=clock, lease=20.0) as other:
        assert next_of(other) == job
        clock.now += seconds
        assert next_of(store) == (job if is_taken else "")
