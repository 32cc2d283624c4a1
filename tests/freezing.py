"""Stopping a process at a moment that lets the others work on."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from pathlib import Path


def freeze(process: subprocess.Popen[bytes], store: Path) -> None:
    """Stop a process outside a transaction: one frozen inside it keeps everybody waiting, as SQLite has it."""
    while True:
        process.send_signal(signal.SIGSTOP)
        if not _is_locked(store):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.001)


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
