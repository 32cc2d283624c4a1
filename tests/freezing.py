"""Stopping a process at a moment that lets the others work on."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from pathlib import Path

PATIENCE = 300.0
"""Seconds; a lease in tests is shorter by far."""


def freeze(process: subprocess.Popen[bytes], store: Path | str) -> None:
    """Stop a process outside a transaction: one frozen inside it keeps everybody waiting, as SQLite has it."""
    if isinstance(store, str):
        # PostgreSQL ends such a transaction after a while.
        process.send_signal(signal.SIGSTOP)
        return
    while True:
        process.send_signal(signal.SIGSTOP)
        if not _is_locked(store):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.001)


def owners_of(store: Path) -> set[str]:
    """Return who works on any job."""
    connection = sqlite3.connect(store, timeout=30.0)
    try:
        return {owner for (owner,) in connection.execute("SELECT DISTINCT owner FROM jobs WHERE owner IS NOT NULL")}
    finally:
        connection.close()


def wait_until_lost(store: Path, owners: set[str]) -> None:
    """Wait until another process has taken every job away from these owners, as it may once their leases ran out."""
    end = time.monotonic() + PATIENCE
    while left := owners & owners_of(store):
        assert time.monotonic() < end, left
        time.sleep(0.02)


def _is_locked(store: Path) -> bool:
    connection = sqlite3.connect(store, timeout=0.2, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        return True
    finally:
        connection.close()
    return False
