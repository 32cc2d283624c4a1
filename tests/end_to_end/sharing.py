"""Jobs that lie in a database, where a worker works on them, for tests that are as true of those as of others.

``STEMBRIDGE_TEST_SHARED=1`` lets all jobs of such tests lie there.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from plugin_core.jobs.store import JobStore
from plugin_core.settings import Settings
from plugin_core.stores import open_store, work_folder
from tests.end_to_end.hasty import start
from tests.postgresql import empty

# The environment of tests is emptied of our settings before each test, hence at import.
SHARED = "STEMBRIDGE_TEST_SHARED" in os.environ


def share_jobs(home: Path, database: str, music: Path) -> None:
    """Let the jobs of a home lie in a database, which is emptied.

    Args:
        home: of stembridge; what its settings file holds stays.
        database: its address.
        music: the folder of songs that has a name there.
    """
    empty(database)
    (home / "staging").mkdir(parents=True)
    config = home / "config.toml"
    before = config.read_text("utf-8") if config.exists() else ""
    # What a worker held that was killed is waited for.
    jobs = (
        f'[jobs]\ndatabase = "{database}"\nstaging = "{home}/staging"\nlease_seconds = 3\n[paths]\nmusic = "{music}"\n'
    )
    config.write_text(f"{jobs}{before}", encoding="utf-8")
    config.chmod(0o600)


def store_of(home: Path) -> JobStore:
    """Open the jobs of a home, wherever they lie."""
    return open_store(Settings(home), time.time, None)


def kept_of(home: Path) -> Path:
    """Return the folder in which what is bought from a home is kept, as all is that its jobs are made of."""
    return work_folder(Settings(home))


@contextlib.contextmanager
def working(environ: Mapping[str, str], home: Path) -> Iterator[None]:
    """Let a worker work while inside; what it says is in ``worker.log`` of its home."""
    with (home / "worker.log").open("ab") as log:
        worker = start({**environ, "STEMBRIDGE_HOME": str(home)}, "worker", output=log, errors=log)
    try:
        yield
    finally:
        worker.kill()
        worker.wait()
