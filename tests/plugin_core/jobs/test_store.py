"""The store by itself: claims, swaps, leases, the gate, late answers and requests."""

from __future__ import annotations

import itertools
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import StoreError, UsageError
from plugin_core.files.database import Connection
from plugin_core.files.sqlite import SqliteFile
from plugin_core.jobs import queries
from plugin_core.jobs import store as stores
from plugin_core.jobs.keys import forced_key
from plugin_core.jobs.policy import LONGEST
from plugin_core.jobs.queue import Beat, ClaimState, Scope
from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Job, JobState, Progress, Quote, Ticket
from plugin_core.purchases.purchase import Purchase, PurchaseState
from plugin_core.recordings.tables import Slice
from tests.audio_files import write_song
from tests.plugin_core.jobs.conftest import Clock
from tests.plugin_core.jobs.fakes import make_job

ANY_STORE = True

SLOTS = {"fake": 8}


@pytest.fixture
def store(store_place: Place, clock: Clock) -> Iterator[JobStore]:
    with JobStore(store_place, clock=clock, lease=20.0, steady=time.monotonic) as opened:
        yield opened


@pytest.fixture
def other(store_place: Place, clock: Clock) -> Iterator[JobStore]:
    """The store as another process has it."""
    with JobStore(store_place, clock=clock, lease=20.0) as opened:
        yield opened


def move(store: JobStore, job: Job, state: JobState, *, release: bool = True, occupies: bool = True) -> Job:
    """Bring an unowned job into a state, as its owner would."""
    owner, claimed = store.new_owner(), store.get(job.id)
    with store._database.write() as connection:
        claim = "UPDATE jobs SET owner = ?, lease = ? WHERE id = ? AND owner IS NULL"
        assert connection.execute(claim, (owner, store.clock() + store.lease, job.id)).rowcount == 1
    if claimed.state is JobState.QUEUED and state is not JobState.QUEUED:
        submitting = msgspec.structs.replace(claimed, state=JobState.SUBMITTING)
        assert store.save(claimed, submitting, owner, False, occupies=occupies)
        claimed = submitting
    after = msgspec.structs.replace(claimed, state=state, updated=store.clock())
    assert store.save(claimed, after, owner, release, occupies=occupies)
    if release and state.is_settled and state is not JobState.UNCONFIRMED:
        store.clean(job.id)
    return after


def purchase_of(job: Job) -> Purchase:
    """Return the purchase that is about to be made for a job."""
    return Purchase(
        id=job.id,
        key=job.dedupe,
        state=PurchaseState.INTENT,
        provider="fake",
        account=job.account,
        recording=job.recording,
        quote=Quote(),
        song=job.source.path,
        created=1.0,
        updated=1.0,
    )


def test_everything_comes_back_as_it_was(store: JobStore) -> None:
    job = make_job(path=Path(os.fsdecode(b"/music/caf\xe9 \xff.wav")))
    store.add(job)
    assert store.get(job.id) == job


@pytest.mark.sqlite
@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_files_are_private(store: JobStore) -> None:
    store.add(make_job())
    folder = Path(store.place).parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}
    assert set(modes.values()) == {0o600} and "jobs.sqlite3" in modes


@pytest.mark.parametrize("state", [None, JobState.RUNNING, JobState.UNCONFIRMED], ids=str)
def test_equal_wish_is_joined(store: JobStore, state: JobState | None) -> None:
    first, _ = store.add(make_job(1))
    if state is not None:
        move(store, first, state)
    known, is_new = store.add(make_job(1))
    assert (known.id, is_new) == (first.id, False)


@pytest.mark.parametrize(
    "second",
    [make_job(1, path=Path("/elsewhere.wav")), make_job(1, to=Path("/stems")), make_job(2)],
    ids=["another path", "another place", "another content"],
)
def test_other_wish_is_new(store: JobStore, second: Job) -> None:
    store.add(make_job(1))
    assert store.add(second) == (second, True)


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED], ids=str)
def test_settled_job_is_not_joined(store: JobStore, state: JobState) -> None:
    first, _ = store.add(make_job(1))
    move(store, first, state)
    assert store.add(make_job(1))[1]


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.DONE, JobState.FAILED], ids=str)
def test_job_that_goes_on_while_the_store_is_waited_for_is_joined(
    store: JobStore, state: JobState, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = store.add(make_job(1))
    move(store, first, state)
    monkeypatch.setattr(stores, "_alike", lambda _connection, _job: [first])
    known, is_new = store.add(make_job(1))
    assert (is_new, known.id == first.id) == (state is JobState.FAILED, state is not JobState.FAILED)
    assert known.state is (JobState.QUEUED if is_new else state)


def test_equal_wishes_of_two_processes_at_one_moment_make_one_job(
    store: JobStore, other: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that lies elsewhere, and was there before, is joined by neither."""
    store.add(make_job(1, path=Path("/elsewhere.wav")))
    look, others = stores._alike, []

    def look_slowly(connection: Connection, job: Job) -> list[Job]:
        monkeypatch.setattr(stores, "_alike", look)
        found = look(connection, job)
        others.append(other.add(make_job(1)))
        return found

    monkeypatch.setattr(stores, "_alike", look_slowly)
    assert (store.add(make_job(1))[0].id, False) == (others[0][0].id, not others[0][1])
    assert len(store.list()) == 2


def test_newest_done_job_is_found(store: JobStore, clock: Clock) -> None:
    found = []
    for _ in range(2):
        job, _ = store.add(make_job(1))
        move(store, job, JobState.DONE)
        clock.now += 1
        found.append(job.id)
    forced = msgspec.structs.replace(make_job(1), dedupe=forced_key(make_job(1).dedupe))
    assert store.done_like(forced.dedupe, limit=1)[0].id == found[-1]
    assert store.done_like(make_job(2).dedupe) == []


def test_get_by_prefix(store: JobStore) -> None:
    first, _ = store.add(make_job(1))
    second, _ = store.add(make_job(2))
    same = [one == two for one, two in zip(first.id, second.id, strict=True)]
    common = first.id[: same.index(False)]
    assert store.get(first.id[: len(common) + 1]).id == first.id
    with pytest.raises(UsageError, match="several"):
        store.get(common)
    for wrong in ("", "zzz", first.id + "0", "%"):
        with pytest.raises(UsageError, match="no job"):
            store.get(wrong)


def test_list_is_newest_first(store: JobStore) -> None:
    jobs = [store.add(make_job(number))[0] for number in range(5)]
    move(store, jobs[0], JobState.FAILED)
    ids = [job.id for job in reversed(jobs)]
    assert [job.id for job in store.list()] == ids
    assert [job.id for job in store.list(limit=2)] == ids[:2]
    assert [job.id for job in store.list([JobState.QUEUED, JobState.FAILED], limit=4)] == ids[:4]
    assert [job.id for job in store.list([JobState.FAILED])] == [jobs[0].id]
    assert store.list([]) == []
    assert [job.id for job in store.list(limit=2, before=ids[1])] == ids[2:4]
    assert [job.id for job in store.list([JobState.QUEUED], before=ids[2])] == ids[3:4]
    assert store.counts()[JobState.QUEUED] == 4 and store.counts()[JobState.DONE] == 0


def test_claim_is_exclusive_and_in_order(store: JobStore, other: JobStore) -> None:
    jobs = [store.add(make_job(number))[0] for number in range(2)]
    claimed = [each.claim(each.new_owner(), ids=None, slots=SLOTS) for each in (store, other, store)]
    assert [job and job.id for job in claimed] == [jobs[0].id, jobs[1].id, None]


def test_job_is_not_claimed_before_it_is_due(store: JobStore, clock: Clock) -> None:
    store.add(msgspec.structs.replace(make_job(1), due=clock.now + 5))
    assert store.claim(store.new_owner(), ids=None, slots=SLOTS) is None
    assert store.next_due() == clock.now + 5
    clock.now += 5
    assert store.claim(store.new_owner(), ids=None, slots=SLOTS) is not None


@pytest.mark.parametrize("change", ["state", "owner", "gone"])
def test_swap_fails_when_the_job_moved(store: JobStore, change: str) -> None:
    job, _ = store.add(make_job())
    owner = store.new_owner()
    claimed = store.claim(owner, ids=None, slots=SLOTS)
    assert claimed is not None
    before = msgspec.structs.replace(claimed, state=JobState.RUNNING) if change == "state" else claimed
    if change == "gone":
        store.release(job.id, owner)
    claimant = "stranger-1" if change == "owner" else owner
    assert not store.save(before, msgspec.structs.replace(claimed, state=JobState.FETCHING), claimant, True)
    assert store.get(job.id).state is JobState.QUEUED


def test_lease_of_a_silent_owner_runs_out(store: JobStore, other: JobStore, clock: Clock) -> None:
    job, _ = store.add(make_job())
    owner = store.new_owner()
    store.claim(owner, ids=None, slots=SLOTS)
    clock.now += 15
    assert store.heartbeat([Beat(job.id, owner)])[0] == ClaimState(alive=True, cancel=False)
    clock.now += 15
    assert other.claim(other.new_owner(), ids=None, slots=SLOTS) is None
    clock.now += 15
    taken = other.claim(other.new_owner(), ids=None, slots=SLOTS)
    assert taken is not None and not store.heartbeat([Beat(job.id, owner)])[0].alive


def test_own_jobs_survive_a_sleep_of_the_machine(store: JobStore, clock: Clock) -> None:
    job, _ = store.add(make_job())
    owner = store.new_owner()
    store.claim(owner, ids=None, slots=SLOTS)
    clock.now += 3600
    assert store.claim(store.new_owner(), ids=None, slots=SLOTS) is None
    assert store.heartbeat([Beat(job.id, owner)])[0].alive


def test_job_of_a_closed_store_is_free_at_once(store: JobStore, store_place: Place, clock: Clock) -> None:
    store.add(make_job())
    with JobStore(store_place, clock=clock) as gone:
        assert gone.claim(gone.new_owner(), ids=None, slots=SLOTS) is not None
    assert store.claim(store.new_owner(), ids=None, slots=SLOTS) is not None


@pytest.mark.parametrize(
    ("state", "occupies", "is_held"),
    [
        (JobState.SUBMITTING, True, True),
        (JobState.RUNNING, True, True),
        (JobState.FETCHING, True, True),
        (JobState.PUBLISHING, True, False),
        (JobState.DONE, True, False),
        (JobState.UNCONFIRMED, True, False),
        (JobState.RUNNING, False, False),
    ],
    ids=lambda value: str(value),
)
def test_gate_counts_what_waits_at_the_service(
    store: JobStore, clock: Clock, state: JobState, occupies: bool, is_held: bool
) -> None:
    first, _ = store.add(msgspec.structs.replace(make_job(1)))
    move(store, first, state, occupies=occupies)
    second, _ = store.add(make_job(2))
    claims = [store.claim(store.new_owner(), ids={second.id}, slots={"fake": 1}) for _ in range(2)]
    assert (second.id in {job.id for job in claims if job}) is not is_held


@pytest.mark.parametrize("occupies", [True, False], ids=["service", "local"])
def test_gate_counts_what_is_claimed(store: JobStore, other: JobStore, occupies: bool) -> None:
    for number in range(2):
        store.add(make_job(number), occupies=occupies)
    assert store.claim(store.new_owner(), ids=None, slots={"fake": 1}) is not None
    assert other.claim(other.new_owner(), ids=None, slots={"fake": 1}) is None
    assert other.claim(other.new_owner(), ids=None, slots={"fake": 2}) is not None


def test_jobs_that_are_followed_are_read_again_once_they_have_changed(store: JobStore) -> None:
    jobs = [store.add(make_job(number))[0] for number in range(3)]
    ids = [job.id for job in reversed(jobs)]
    assert store.find_all([*ids, "none"]) == list(reversed(jobs)) and store.find_all([]) == []
    before = store.marks(ids)
    assert before.keys() == set(ids) and store.marks(ids) == before
    owner = store.new_owner()
    claimed = store.claim(owner, ids={ids[0]}, slots=SLOTS)
    assert claimed is not None
    changes: list[Callable[[], object]] = [
        lambda: store.heartbeat([Beat(claimed.id, owner, Progress(fraction=0.5))]),
        lambda: store.request_cancel(claimed.id),
        lambda: store.move(claimed.id, msgspec.structs.replace(claimed.source, path=Path("/music/Else.wav"))),
        lambda: store.save(claimed, msgspec.structs.replace(claimed, due=claimed.due + 1), owner, False),
        lambda: store.save(claimed, msgspec.structs.replace(claimed, state=JobState.SUBMITTING), owner, False),
    ]
    for change in changes:
        change()
        after = store.marks(ids)
        assert [one for one in ids if after[one] != before[one]] == [claimed.id]
        before = after


def test_accounts_do_not_share_slots(store: JobStore) -> None:
    for account in ("one", "two"):
        store.add(make_job(1, account=account))
    slots = {"one": 1, "two": 1}
    accounts = {job.account for _ in "ab" if (job := store.claim(store.new_owner(), ids=None, slots=slots))}
    assert accounts == {"one", "two"}
    assert {job.account for job in store.accounts()} == {"one", "two"}
    own, _ = store.add(make_job(2, account="two"))
    assert store.accounts({own.id}) == [store.get(own.id)]
    done, _ = store.add(make_job(3, account="three"))
    move(store, done, JobState.DONE)
    assert store.accounts({done.id}) == []


def test_younger_twin_waits_for_the_older(store: JobStore) -> None:
    older, _ = store.add(make_job(1))
    younger, _ = store.add(make_job(1, path=Path("/copy.wav")))
    helped = store.claim(store.new_owner(), ids={younger.id}, slots=SLOTS)
    assert helped is not None and helped.id == older.id


@pytest.mark.parametrize(("occupies", "is_helped"), [(True, True), (False, False)], ids=["service", "local"])
def test_own_run_helps_holders_of_its_slots(store: JobStore, occupies: bool, is_helped: bool) -> None:
    holder, _ = store.add(make_job(1))
    move(store, holder, JobState.RUNNING, occupies=occupies)
    stranger, _ = store.add(make_job(2, account="stranger"))
    move(store, stranger, JobState.RUNNING)
    own, _ = store.add(make_job(3))
    claimed = store.claim(store.new_owner(), ids={own.id}, slots={"fake": 1})
    assert claimed is not None and claimed.id == (holder.id if is_helped else own.id)


def sent(store: JobStore) -> Job:
    """Return a job whose paid call went out and was not answered."""
    job = msgspec.structs.replace(make_job())
    job, _ = store.add(msgspec.structs.replace(job, purchase=job.id))
    store.purchases.put(msgspec.structs.replace(purchase_of(job), state=PurchaseState.SENT))
    return job


@pytest.mark.parametrize(
    ("state", "heals"),
    [
        (JobState.UNCONFIRMED, True),
        (JobState.SUBMITTING, True),
        (JobState.QUEUED, True),
        (JobState.CANCELLED, False),
        (JobState.FAILED, False),
    ],
    ids=str,
)
def test_late_answer(store: JobStore, clock: Clock, state: JobState, heals: bool) -> None:
    job, late = sent(store), Ticket(remote_id="late")
    move(store, job, state)
    assert store.heal(job.id, job.id, late) is heals
    stored, purchase = store.get(job.id), store.purchases.get(job.id)
    assert (stored.state, stored.ticket) == ((JobState.RUNNING, late) if heals else (state, None))
    # Whatever became of the job, the purchase is known.
    assert (purchase.state, purchase.ticket) == (PurchaseState.RUNNING, late)
    assert not store.heal(job.id, job.id, Ticket(remote_id="later"))


def test_late_answer_does_not_take_the_place_of_another(store: JobStore) -> None:
    job = sent(store)
    move(store, job, JobState.UNCONFIRMED)
    store.purchases.change(job.id, ticket=Ticket(remote_id="first"))
    assert not store.heal(job.id, job.id, Ticket(remote_id="second"))
    stored = store.get(job.id)
    assert (stored.state, stored.ticket) == (JobState.UNCONFIRMED, None)
    assert store.purchases.get(job.id).ticket == Ticket(remote_id="first")


def test_late_answer_stops_whoever_searches(store: JobStore, other: JobStore) -> None:
    job = sent(store)
    move(store, job, JobState.SUBMITTING)
    owner = other.new_owner()
    searching = other.claim(owner, ids=None, slots=SLOTS)
    assert searching is not None and store.heal(job.id, job.id, Ticket(remote_id="late"))
    assert not other.save(searching, msgspec.structs.replace(searching, state=JobState.QUEUED), owner, True)
    assert not other.heartbeat([Beat(job.id, owner)])[0].alive


def test_frozen_sender_forbids_sending_again(store: JobStore, other: JobStore, clock: Clock) -> None:
    job, _ = store.add(make_job())
    sender = store.new_owner()
    claimed = store.claim(sender, ids=None, slots=SLOTS)
    assert claimed is not None
    assert store.save(claimed, msgspec.structs.replace(claimed, state=JobState.SUBMITTING), sender, False)
    clock.now += 60
    searcher = other.new_owner()
    assert other.claim(searcher, ids=None, slots=SLOTS) is not None
    assert not other.is_abandoned(job.id, searcher)
    store.end_submit(job.id, sender)
    assert other.is_abandoned(job.id, searcher)


def test_dead_sender_is_no_danger(store: JobStore, store_place: Place, clock: Clock) -> None:
    job, _ = store.add(make_job())
    with JobStore(store_place, clock=clock) as dead:
        sender = dead.new_owner()
        claimed = dead.claim(sender, ids=None, slots=SLOTS)
        assert claimed is not None
        assert dead.save(claimed, msgspec.structs.replace(claimed, state=JobState.SUBMITTING), sender, False)
        assert not store.is_abandoned(job.id, "searcher-1")
    assert store.is_abandoned(job.id, "searcher-1")


def test_sender_that_surely_failed_frees_a_parked_job(store: JobStore, clock: Clock) -> None:
    job, _ = store.add(make_job())
    sender = store.new_owner()
    claimed = store.claim(sender, ids=None, slots=SLOTS)
    assert claimed is not None
    submitting = msgspec.structs.replace(claimed, state=JobState.SUBMITTING)
    assert store.save(claimed, submitting, sender, False)
    assert store.save(submitting, msgspec.structs.replace(submitting, state=JobState.UNCONFIRMED), sender, True)
    store.end_submit(job.id, "stranger-1", absent=True)
    assert store.get(job.id).state is JobState.UNCONFIRMED
    store.end_submit(job.id, sender, absent=True)
    assert store.get(job.id).state is JobState.QUEUED


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED], ids=str)
def test_retry_begins_anew(store: JobStore, state: JobState) -> None:
    job = sent(store)
    move(store, job, JobState.SUBMITTING)
    assert store.heal(job.id, job.id, Ticket(remote_id="old"))
    move(store, job, state)
    store.retry(job.id[:20])
    retried = store.get(job.id)
    assert (retried.state, retried.ticket, retried.problem) == (JobState.QUEUED, None, None)
    assert store.leftovers() == []
    assert store.claim(store.new_owner(), ids=None, slots=SLOTS) is not None


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.DONE], ids=str)
def test_retry_refuses_what_did_not_end_badly(store: JobStore, state: JobState) -> None:
    job, _ = store.add(make_job())
    move(store, job, state)
    with pytest.raises(UsageError, match=state.value):
        store.retry(job.id)


def test_cancel_request_reaches_the_owner_and_survives_its_writes(store: JobStore, other: JobStore) -> None:
    job, _ = store.add(make_job())
    owner = store.new_owner()
    claimed = store.claim(owner, ids=None, slots=SLOTS)
    assert claimed is not None
    seen = store.changes_token()
    assert other.request_cancel(job.id).cancel
    assert store.changes_token() != seen
    assert store.heartbeat([Beat(job.id, owner)])[0] == ClaimState(alive=True, cancel=True)
    assert store.save(claimed, msgspec.structs.replace(claimed, state=JobState.SUBMITTING), owner, False)
    assert store.get(job.id).cancel


def test_cancel_gives_an_unconfirmed_job_up(store: JobStore) -> None:
    job, _ = store.add(make_job())
    move(store, job, JobState.UNCONFIRMED)
    assert store.request_cancel(job.id).state is JobState.CANCELLED
    assert "may have charged" in store.get(job.id).notes[-1]
    with pytest.raises(UsageError, match="cancelled already"):
        store.request_cancel(job.id)


def test_prune_keeps_what_is_young_active_or_unconfirmed(store: JobStore, clock: Clock) -> None:
    old = {
        state: store.add(make_job(number))[0] for number, state in enumerate(JobState) if state is not JobState.QUEUED
    }
    for state, job in old.items():
        move(store, job, state)
    clock.now += 100
    young, _ = store.add(make_job(99))
    move(store, young, JobState.DONE)
    assert store.prune(50) == 3
    left = {job.state for job in store.list()}
    assert {JobState.FAILED, JobState.CANCELLED}.isdisjoint(left) and JobState.UNCONFIRMED in left
    assert store.get(young.id).state is JobState.DONE


def test_progress_needs_an_owner_and_no_state_change(store: JobStore) -> None:
    job, _ = store.add(make_job())
    owner = store.new_owner()
    store.claim(owner, ids=None, slots=SLOTS)
    store.heartbeat([Beat(job.id, "stranger-1", Progress(fraction=0.9))])
    assert store.get(job.id).progress is None
    store.heartbeat([Beat(job.id, owner, Progress(fraction=0.5))])
    assert store.get(job.id).progress == Progress(fraction=0.5)


def test_unreadable_row_is_named(store: JobStore) -> None:
    job, _ = store.add(make_job())
    with store._database.write() as connection:
        connection.execute("UPDATE jobs SET body = '{}'")
    with pytest.raises(StoreError, match=job.id):
        store.get(job.id)


@pytest.mark.sqlite
def test_queries_of_every_step_read_no_whole_table(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = store.add(make_job())
    traced: list[str] = []
    database = store._database
    assert isinstance(database, SqliteFile)
    database._connection.set_trace_callback(traced.append)
    claimed = store.claim(store.new_owner(), ids=frozenset([job.id]), slots=SLOTS)
    assert claimed is not None
    store.list([JobState.QUEUED, JobState.FAILED], limit=20)
    store.list(limit=20)
    store.has_active()
    store.accounts(frozenset([job.id]))
    store.next_due()
    store.done_like(job.dedupe)
    store.leftovers()
    store.get(job.id[:20])
    database._connection.set_trace_callback(None)
    selects = [text for text in traced if text.lstrip().startswith(("SELECT", "UPDATE", "WITH"))]
    assert len(selects) > 11
    for text in selects:
        plan = [row["detail"] for row in database._connection.execute("EXPLAIN QUERY PLAN " + text)]
        whole = [line for line in plan if line.startswith("SCAN") and "USING" not in line and "(sub" not in line]
        assert all(
            line.startswith(("SCAN wanted", "SCAN temp.wanted", "SCAN newest", "SCAN each")) for line in whole
        ), (text, plan)
    assert Scope.ALL.queued == "1 = 1" and "jobs_due" in queries.NEXT_DUE


def test_whoever_spends_waits_for_who_spends_before_him(store: JobStore, other: JobStore) -> None:
    inside, second, seen = threading.Event(), threading.Event(), list[str]()

    def spend_slowly(connection: Connection, purchase: Purchase) -> None:
        inside.set()
        assert not second.wait(0.3)

    def spend(connection: Connection, purchase: Purchase) -> None:
        second.set()
        seen.extend(row["id"] for row in connection.execute("SELECT id FROM purchases"))

    def buy(buyer: JobStore, guard: Callable[[Connection, Purchase], None]) -> None:
        owner = buyer.new_owner()
        claimed = buyer.claim(owner, ids=None, slots=SLOTS)
        assert claimed is not None
        after = msgspec.structs.replace(claimed, state=JobState.SUBMITTING)
        assert buyer.save(claimed, after, owner, False, bought=purchase_of(claimed), guard=guard)

    for number in range(2):
        store.add(make_job(number))
    thread = threading.Thread(target=buy, args=(store, spend_slowly))
    thread.start()
    assert inside.wait(60)
    buy(other, spend)
    thread.join()
    assert len(seen) == 1


@pytest.mark.shared
def test_no_caller_hears_of_a_server_that_ends_within_what_is_written(
    store: JobStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from plugin_core.files.postgresql import PostgresDatabase

    database = store._database
    assert isinstance(database, PostgresDatabase)
    begin = database._begin

    def begin_and_end(durable: bool, alone: bool) -> str:
        name = begin(durable, alone)
        if next(to_cut, False):
            with database.another() as other:
                other.execute("SELECT pg_terminate_backend(%s)", (database._connection.info.backend_pid,))
        return name

    to_cut: Iterator[bool] = iter(())
    monkeypatch.setattr(database, "_begin", begin_and_end)
    monkeypatch.setattr("plugin_core.files.database.AGAIN_AFTER", 0.001)
    song = write_song(tmp_path / "Song.wav", 0.1, 8000)
    job, owner = make_job(), store.new_owner()
    sent = msgspec.structs.replace(job, state=JobState.SUBMITTING)
    bought = purchase_of(job)
    calls: list[Callable[[], object]] = [
        store.check_writable,
        lambda: store.add(job),
        lambda: store.recordings.enter(song),
        lambda: store.recordings.find(song),
        lambda: store.recordings.note_slice("r", "p", 1, Slice(start=0, end=1)),
        lambda: store.know("r", ["0" * 64]),
        lambda: store.wake(["none"]),
        lambda: store.move(job.id, job.source),
        lambda: store.relocate(job.id, job.source, ()),
        lambda: store.withdraw(job.id),
        lambda: store.restore(job.id),
        lambda: store.resume(job.id),
        lambda: store.claim(owner, ids=None, slots=SLOTS),
        lambda: store.save(job, sent, owner, False, bought=bought),
        lambda: store.heartbeat([Beat(job.id, owner)]),
        lambda: store.purchases.write_note(job.id, "name", "value"),
        lambda: store.purchases.change(job.id, reason="why"),
        lambda: store.purchases.put(bought),
        lambda: store.purchases.let_go(job.id, PurchaseState.EXPIRED),
        lambda: store.release(job.id, owner),
        lambda: store.end_submit(job.id, owner),
        lambda: store.heal(job.id, job.id, Ticket(remote_id="late")),
        lambda: store.request_cancel(job.id),
        store.leftovers,
        lambda: store.retry(failed.id),
        lambda: store.clean(job.id),
        lambda: store.give_up(0.0),
        lambda: store.prune(0.0),
        store.close,
    ]
    failed, _ = store.add(make_job(2))
    move(store, failed, JobState.FAILED)
    for call in calls:
        to_cut = iter((True,))
        call()
        assert next(to_cut, None) is None


@pytest.mark.sqlite
def test_whoever_has_one_job_hardly_minds_how_many_of_others_wait(store: JobStore) -> None:
    database = store._database
    assert isinstance(database, SqliteFile)
    own, _ = store.add(make_job(0, account="own"))
    store.add(make_job(1))

    def claim(ids: frozenset[str] | None, slots: dict[str, int]) -> None:
        owner = store.new_owner()
        claimed = store.claim(owner, ids=ids, slots=slots)
        if claimed is not None:
            store.release(claimed.id, owner)

    def steps_of(work: Callable[[], object]) -> int:
        """Count the steps of SQLite's machine, in tens."""
        counted = itertools.count()
        database._connection.set_progress_handler(lambda: next(counted) < 0, 10)
        work()
        database._connection.set_progress_handler(None, 0)
        return next(counted)

    looks: list[Callable[[], object]] = [
        lambda: claim(None, {"own": 1, **SLOTS}),
        lambda: claim(frozenset([own.id]), {"own": 1, **SLOTS}),
        store.accounts,
        store.has_active,
        store.next_due,
    ]
    few = [steps_of(look) for look in looks]
    with database.write() as connection:
        for number in range(1000):
            row = {**queries.to_row(make_job(2)), "id": f"z{number}", "base": f"z{number}", "litter": 0}
            connection.execute(queries.insert(row), {**row, "state": "queued" if number % 100 else "running"})
    many = [steps_of(look) for look in looks]
    assert all(now <= 3 * before + 30 for before, now in zip(few, many, strict=True)), (few, many)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("old", "new", "is_durable"),
    [
        ({"state": JobState.QUEUED}, {"state": JobState.SUBMITTING}, True),
        ({"state": JobState.SUBMITTING}, {"state": JobState.RUNNING}, True),
        ({"state": JobState.RUNNING}, {"state": JobState.RUNNING}, False),
        ({"state": JobState.RUNNING}, {"state": JobState.FETCHING}, False),
        ({"state": JobState.FETCHING}, {"state": JobState.PUBLISHING}, False),
        ({"state": JobState.PUBLISHING}, {"state": JobState.PUBLISHING, "target": Path("/music/a.stems")}, True),
        ({"state": JobState.PUBLISHING}, {"state": JobState.DONE}, True),
    ],
    ids=["paid call", "ticket", "poll", "results", "staged", "target", "end"],
)
def test_what_a_power_cut_may_not_undo_waits_for_the_disk(
    store: JobStore, old: dict[str, JobState], new: dict[str, object], is_durable: bool
) -> None:
    job, _ = store.add(make_job())
    before = msgspec.structs.replace(job, **old)
    store.save(before, msgspec.structs.replace(before, **new), store.new_owner(), False)
    with store._database.read() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == (2 if is_durable else 1)


def test_a_clock_that_was_ahead_and_was_put_right_freezes_nothing(store: JobStore, clock: Clock) -> None:
    job, _ = store.add(make_job())
    owner = store.new_owner()
    claimed = store.claim(owner, ids=None, slots=SLOTS)
    assert claimed is not None
    clock.now += 3 * 365 * 86400
    waiting = msgspec.structs.replace(claimed, state=JobState.RUNNING, due=clock.now + 60, updated=clock.now)
    assert store.save(claimed, waiting, owner, True)
    clock.now -= 3 * 365 * 86400
    found = store.claim(store.new_owner(), ids=None, slots=SLOTS)
    assert found is not None and (found.id, found.due) == (job.id, clock.now)


def test_a_clock_that_is_put_back_by_less_than_the_longest_wait_holds_nothing_up(store: JobStore, clock: Clock) -> None:
    store.add(msgspec.structs.replace(make_job(), due=clock.now + 60))
    assert store.claim(store.new_owner(), ids=None, slots=SLOTS) is None
    clock.now -= 3000
    found = store.claim(store.new_owner(), ids=None, slots=SLOTS)
    assert found is not None and found.due == clock.now
    store.add(msgspec.structs.replace(make_job(path=Path("/music/Other.flac")), due=clock.now + 60))
    assert store.claim(store.new_owner(), ids=None, slots=SLOTS) is None, "said once, not ever after"


def test_what_waits_for_as_long_as_any_job_may_is_left_to_wait(store: JobStore, clock: Clock) -> None:
    job = msgspec.structs.replace(make_job(), due=clock.now + LONGEST)
    store.add(job)
    assert store.claim(store.new_owner(), ids=None, slots=SLOTS) is None
    assert store.get(job.id).due == job.due


@pytest.mark.parametrize("how", ["resume", "join"])
def test_resume_means_now_and_so_does_the_same_wish(store: JobStore, clock: Clock, how: str) -> None:
    job = msgspec.structs.replace(make_job(), due=clock.now + 1800)
    store.add(job)
    if how == "resume":
        store.resume(job.id)
    else:
        store.add(make_job())
    found = store.claim(store.new_owner(), ids=None, slots=SLOTS)
    assert found is not None and found.id == job.id
