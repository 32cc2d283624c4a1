"""Whether a sender of a paid call can still send it, where machines share a store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from plugin_core.jobs import presence
from plugin_core.jobs.store import JobStore, Place

ANY_STORE = True


@pytest.fixture
def store(store_place: Place) -> Iterator[JobStore]:
    with JobStore(store_place) as opened:
        yield opened


def test_a_token_is_dead_once_its_store_is_closed_and_no_sooner(store: JobStore, store_place: Place) -> None:
    with JobStore(store_place) as other:
        owner = other.new_owner()
        assert not store._process.is_dead(owner) and not store._process.is_dead(store.new_owner())
    assert store._process.is_dead(owner)


def cut(store: JobStore, token: str) -> None:
    """End the session that speaks for a token, as a network or its server does."""
    with store._database.write() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
            " AND (classid::bigint << 32 | objid::bigint) = ('x' || ?::text)::bit(64)::bigint",
            (token,),
        )


@pytest.mark.shared
def test_a_session_that_was_cut_is_made_anew_by_the_next_sign_of_life(store: JobStore, store_place: Place) -> None:
    with JobStore(store_place) as other:
        owner = other.new_owner()
        cut(store, other._process.token)
        while not store._process.is_dead(owner):
            pass
        other._process.hold()
        assert not store._process.is_dead(owner)


@pytest.mark.shared
def test_after_a_new_start_of_the_server_only_its_machine_knows_of_a_process(
    store: JobStore, store_place: Place
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    names = {"alive": presence._name(os.getpid()), "unknown": "", "ended": presence._name(ended.pid)}
    ended.wait()
    # In another container, with the same process ids; and on this machine before it was started last.
    boot, container, pid, began = names["ended"].split()
    names["elsewhere"] = f"{boot} pid:[1] {pid} {began}"
    names["before"] = f"another {container} {os.getpid()} {began}"
    tokens = {word: f"{presence._machine()}{number:08x}" for number, word in enumerate(names)}
    job = "INSERT INTO sessions (token, server, process) VALUES (?, 'an earlier start', ?)"
    submitter = (
        "INSERT INTO jobs (id, state, active, account, base, dedupe, due, updated, submitter, body)"
        " VALUES (?, 'submitting', 1, 'fake', ?, ?, 0, 0, ?, '{}')"
    )
    with store._database.write() as connection:
        for word, token in tokens.items():
            connection.execute(job, (token, names[word]))
            connection.execute(submitter, (word, word, word, f"{token}-1"))
    with JobStore(store_place) as other:
        other.new_owner()
        assert {word for word, token in tokens.items() if other._process.is_dead(f"{token}-1")} == {"ended", "before"}
