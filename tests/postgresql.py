"""PostgreSQL servers for tests: one for a run, with a database for each worker that is emptied for each test."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core.jobs.store import MOVED
from tests.audio_files import make_once, shared_folder

DEBIAN = Path("/usr/lib/postgresql")
SETTINGS = """
listen_addresses = ''
fsync = off
full_page_writes = off
max_connections = 200
shared_buffers = 32MB
max_wal_size = 256MB
log_min_messages = fatal
"""
OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_numbers = itertools.count(1)
TABLES = "jobs, purchases, recordings, recording_aliases, recording_slices, sessions"

# The server ends with the run of the tests, however that ends; what it needs are a shell and /proc.
WATCH = '(while [ -d "/proc/$3" ] && [ -d "$1" ]; do sleep 1; done; "$2" -D "$1/data" -m immediate stop; rm -rf "$1") &'


@functools.cache
def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, None where there are none that could be run."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted((each / "bin" for each in DEBIAN.glob("*")), key=lambda each: -float(each.parent.name))
    usable = [each for each in folders if (each / "initdb").exists() and (each / "postgres").exists()]
    if not usable or not Path("/proc/self").exists():
        return None
    return usable[0] if os.geteuid() or (shutil.which("setpriv") and _has_user()) else None


def _has_user() -> bool:
    import pwd

    return any(each.pw_name == "postgres" for each in pwd.getpwall())


class Server:
    """A PostgreSQL server that is reached through a socket in a folder of its own, by whoever knows that.

    Args:
        run: the process with which the server ends.
    """

    def __init__(self, run: int) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        # What pytest makes is its user's alone, and PostgreSQL refuses to be root.
        self.folder = Path(tempfile.mkdtemp(prefix="stembridge-pg-"))
        self._as_user = [] if os.geteuid() else ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        if self._as_user:
            shutil.chown(self.folder, "postgres", "postgres")
        options = ["-A", "trust", "-U", "stembridge", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._call("initdb", "-D", str(self.folder / "data"), *options)
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"{SETTINGS}unix_socket_directories = '{self.folder}'\n")
        watch = ["sh", "-c", WATCH, "sh", str(self.folder), str(self._programs / "pg_ctl"), str(run)]
        nothing = subprocess.DEVNULL
        command = [*self._as_user, *watch]
        subprocess.run(command, cwd=self.folder, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = ["-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-s", "-w", "-t", "120"]
        self._call("pg_ctl", *options, "start")

    def address(self, database: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://stembridge@/{database}?host={self.folder}"

    def crash(self) -> None:
        """End the server as a power cut does; ``start`` brings it back."""
        self._call("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-s", "-w", "stop")

    def stop(self) -> None:
        """End the server, and remove what it held."""
        self.crash()
        shutil.rmtree(self.folder)

    def _call(self, program: str, *options: str) -> None:
        # What it leaves running must not hold a pipe open that is read to its end here.
        with (self.folder / "said").open("w+") as said:
            command = [*self._as_user, str(self._programs / program), *options]
            ended = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            said.seek(0)
            assert ended.returncode == 0, f"{program}: {said.read()}"


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a database of this worker's own, or of one of the folders of tests that ask for it."""
    import psycopg

    if programs() is None:
        pytest.skip("there is no PostgreSQL here")
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    place = make_once(
        shared_folder(tmp_path_factory, "postgresql") / "server",
        lambda path: path.write_text(Server(run).address("{name}")),
    )
    address, name = place.read_text(), f"tests{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(address.format(name="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield address.format(name=name)


def empty(address: str) -> None:
    """Remove all that tests before have left."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(OTHERS.encode())
        connection.execute(f"DROP TABLE IF EXISTS stembridge.{MOVED}".encode())
        if connection.execute("SELECT to_regclass('stembridge.jobs')").fetchone() != (None,):
            connection.execute(f"SET search_path TO stembridge; TRUNCATE {TABLES}".encode())
