"""Jobs that hang on one purchase: one at a time goes on with it, whichever was made first."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import PlacementError
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState, Quote
from plugin_core.purchases.purchase import purchase_key
from tests.plugin_core.jobs.fakes import FakeWork, make_job, run

ANY_STORE = True


def test_older_job_that_is_retried_waits_while_a_younger_one_pays(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    """The younger one's song is on its way up: not listed at the service is not absent."""
    older, _ = store.add(make_job())
    work.fail("prepare", [PlacementError("read-only")])
    run(engine)
    younger, _ = store.add(make_job(to=Path("/other")))

    async def upload() -> None:
        store.retry(older.id)
        await asyncio.sleep(2.5)

    work.fail("submit", [upload])
    run(engine)
    assert [store.get(one.id).state for one in (older, younger)] == [JobState.DONE] * 2
    assert work.service.lines("creates") == [younger.id]


def test_keys_that_change_between_adding_and_beginning_buy_nothing_twice(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    """One job was added under the old keys and one under the new: the same purchase, and the new account's slots."""
    account, quote = "renewed", Quote(sent={"model": "large"})
    keys = {name: purchase_key("fake", name, "recording", quote) for name in ("fake", account)}
    older, younger = (
        msgspec.structs.replace(make_job(number, account=name, dedupe=keys[name]), recording="recording", quote=quote)
        for number, name in enumerate(keys)
    )
    for job in (older, younger):
        store.add(job)
    work.keys, work.limit, work.delay = account, 1, 0.02
    alive: list[int] = []
    work.on_call = lambda _name, _job: alive.append(sum(count_active(store, account)))
    run(engine)
    done = [store.get(one.id) for one in (older, younger)]
    assert [(one.state, one.account) for one in done] == [(JobState.DONE, account)] * 2
    assert work.service.lines("creates") == [done[0].purchase] == [done[1].purchase]
    assert max(alive) == 1


def count_active(store: JobStore, account: str) -> list[int]:
    """Return a one for each job of an account that has begun and is not through with its service."""
    begun = (JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING)
    return [1 for job in store.list(begun) if job.account == account]


@pytest.mark.parametrize(
    ("mine", "dedupe", "theirs", "is_wanted"),
    [
        ("p1", "key", "p1", True),
        ("p1", "key", "", True),
        ("p1", "other", "p1", True),
        ("p1", "other", "", False),
        ("p1", "key:forced", "p2", False),
        ("", "other", "", False),
    ],
    ids=[
        "its own",
        "one not begun",
        "its own, heard as another recording",
        "another",
        "bought once more",
        "no purchase",
    ],
)
def test_what_another_job_waits_for_is_not_taken_back(
    store: JobStore, mine: str, dedupe: str, theirs: str, is_wanted: bool
) -> None:
    job, _ = store.add(msgspec.structs.replace(make_job(dedupe="key"), purchase=mine))
    store.add(msgspec.structs.replace(make_job(dedupe=dedupe, to=Path("/other")), purchase=theirs))
    assert store.is_wanted_elsewhere(job) == is_wanted


def test_nobody_sends_again_what_another_job_may_be_sending(engine: Engine, store: JobStore, work: FakeWork) -> None:
    """Two jobs of one purchase need not have one key: their recordings were found to be the same only later."""
    first, _ = store.add(make_job())

    async def look() -> None:
        bought = store.find(first.id)
        assert bought is not None
        other = make_job(dedupe="other")
        store.add(other)
        with store._database.write() as connection:
            body = connection.execute("SELECT body FROM jobs WHERE id = ?", (other.id,)).fetchone()["body"]
            body = body.replace('"purchase":""', f'"purchase":"{first.id}"')
            connection.execute("UPDATE jobs SET body = ? WHERE id = ?", (body, other.id))
        await asyncio.sleep(2.5)

    work.fail("submit", [look])
    run(engine)
    assert work.service.lines("creates") == [first.id]
