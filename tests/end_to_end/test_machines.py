"""Workers on machines that share a store and a disk: killed, frozen and cut off at random, each song is paid for once.

``STEMBRIDGE_TEST_JOBS`` (default 12) and ``STEMBRIDGE_TEST_KILLS`` (default 4) make it as long as wanted,
``STEMBRIDGE_TEST_FROZEN`` (default 6, seconds) how long a worker stands still.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_core import Job, JobState, Separation, Session, Settings
from plugin_core.plugins import load_plugins
from plugin_core.settings import no_keyring
from tests import quick_start
from tests.audio_files import write_song
from tests.plugin_core.providers.mvsep.test_never_twice import Counting
from tests.postgresql import Server, programs
from tests.simulators.blobs import Blob
from tests.simulators.faults import server_error
from tests.simulators.mvsep import PREMIUM_TOKEN
from tests.simulators.s3 import BUCKET, S3Simulator

psycopg = pytest.importorskip("psycopg")
pytestmark = pytest.mark.skipif(programs() is None, reason="there is no PostgreSQL here")

# The environment of tests is emptied of our settings before each test, hence at import.
JOBS = int(os.environ.get("STEMBRIDGE_TEST_JOBS", "12"))
KILLS = int(os.environ.get("STEMBRIDGE_TEST_KILLS", "4"))
PATIENCE = 600.0 + 6 * JOBS
LEASE = 4.0
FROZEN = float(os.environ.get("STEMBRIDGE_TEST_FROZEN", LEASE + 2))
_numbers = itertools.count(1)
AHEAD = 3
"""The machine whose clock is an hour ahead."""


class Machine:
    """A machine with a home of its own, on which the common disk is somewhere else than on the others.

    Args:
        number: of it.
        folder: of the test.
        database: address of the store.
        service: whose account all have.
    """

    def __init__(self, number: int, folder: Path, database: str, service: Counting) -> None:
        self.number = number
        mount = folder / f"machine {number}"
        (mount / "home").mkdir(parents=True)
        (mount / "disk").symlink_to(folder / "disk")
        self.music, self.home = mount / "disk" / "music", mount / "home"
        config = f'[jobs]\nstaging = "{mount}/disk/staging"\nlease_seconds = {LEASE}\n[paths]\nmusic = "{self.music}"\n'
        (self.home / "config.toml").write_text(config)
        self.environ = {
            "STEMBRIDGE_HOME": str(self.home),
            "STEMBRIDGE_PLUGINS": "mvsep",
            "STEMBRIDGE_JOBS_DATABASE": database,
            "STEMBRIDGE_MVSEP_API_TOKEN": PREMIUM_TOKEN,
            "STEMBRIDGE_MVSEP_BASE_URL": service.api,
            "STEMBRIDGE_MVSEP_POLL_FIRST": "0.05",
            "STEMBRIDGE_MVSEP_POLL_LONGEST": "0.2",
            "STEMBRIDGE_MVSEP_REGISTER_SECONDS": "1",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def share_bucket(self, bucket: S3Simulator) -> None:
        """Let what is kept lie in a bucket instead of on the common disk."""
        config = self.home / "config.toml"
        lines = config.read_text().splitlines()
        lines[1] = f'staging = "s3://{BUCKET}/label"'
        config.write_text("\n".join(lines))
        self.environ |= {name: value for name, value in bucket.environment().items() if not name.endswith("S3_BUCKET")}

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of this machine."""
        module = "tests.end_to_end.ahead" if self.number == AHEAD else "plugin_core"
        popen = subprocess.Popen if self.number == AHEAD else quick_start.Popen
        command = [sys.executable, "-m", module, *words]
        with (self.home / "said").open("ab") as said:
            return popen(command, env={**os.environ, **self.environ}, stdout=said, stderr=said)

    def keep_working(self) -> None:
        """Start the worker, again where it has ended, as its unit does."""
        if self.process is None or self.process.poll() is not None:
            self.process = self.start("worker")

    def said(self) -> str:
        """Return what its commands have written."""
        return (self.home / "said").read_text()

    def session(self) -> Session:
        return Session(Settings(environ=self.environ, keyring=no_keyring), load_plugins(environ=self.environ))


@pytest.fixture
def service() -> Iterator[Counting]:
    with Counting() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server(os.getpid())
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def machines(tmp_path: Path, server: Server, service: Counting) -> Iterator[list[Machine]]:
    """Give five of them: the first only asks."""
    for name in ("music", "staging"):
        (tmp_path / "disk" / name).mkdir(parents=True)
    name = f"store{next(_numbers)}"
    with psycopg.connect(server.address(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    made = [Machine(number, tmp_path, server.address(name), service) for number in range(5)]
    try:
        yield made
    finally:
        for process in [one.process for one in made if one.process is not None]:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def queue_songs(machine: Machine, count: int) -> list[str]:
    async def add(session: Session) -> list[str]:
        ids = []
        for number in range(count):
            song = write_song(machine.music / f"Song {number:04}.wav", 0.2, 8000, seed=number)
            source = session.inspect(song)
            plan = await session.plan(source, Separation(provider="mvsep", model="40"))
            ids.append((await session.add(source, plan))[0].id)
        return ids

    with machine.session() as session:
        return asyncio.run(add(session))


def read_jobs(machine: Machine, ids: list[str]) -> list[Job]:
    with machine.session() as session:
        return session.store.find_all(ids)


def wait_for(machines: list[Machine], ids: list[str], is_over: Callable[[list[Job]], bool]) -> list[Job]:
    """Let workers work until something holds of the jobs."""
    end = time.monotonic() + PATIENCE
    while True:
        for machine in machines[1:]:
            machine.keep_working()
        jobs = read_jobs(machines[0], ids)
        if is_over(jobs):
            return jobs
        assert time.monotonic() < end, [(job.state, job.problem) for job in jobs if job.state is not JobState.DONE]
        time.sleep(0.2)


def are_settled(jobs: list[Job]) -> bool:
    return all(job.state.is_settled for job in jobs)


def test_a_storm(service: Counting, server: Server, machines: list[Machine]) -> None:
    chance = random.Random(11)
    ids = queue_songs(machines[0], JOBS)
    for machine in machines[1:]:
        machine.keep_working()
    restarts = {KILLS // 3, 2 * KILLS // 3}
    thaws: list[threading.Timer] = []
    for number in range(KILLS):
        victim = chance.choice(machines[1:])
        assert victim.process is not None
        service.wait_for(chance.randrange(1, max(4, 3 * JOBS // KILLS)), victim.process)
        if number == min(restarts):
            server.crash()
            server.start()
        elif number in restarts:
            stumble(server)
        if chance.random() < 0.5:
            victim.process.kill()
            victim.process.wait()
        else:
            victim.process.send_signal(signal.SIGSTOP)
            thaws.append(threading.Timer(FROZEN, victim.process.send_signal, (signal.SIGCONT,)))
            thaws[-1].start()
        for machine in machines[1:]:
            machine.keep_working()
    jobs = wait_for(machines, ids, are_settled)
    for thaw in thaws:
        thaw.join()
    # Whether a sender died with the server that knew it, or is frozen, nobody can tell: its job is left to the user.
    parked = [job.id for job in jobs if job.state is JobState.UNCONFIRMED]
    assert len(parked) <= KILLS
    with machines[0].session() as session:
        for job_id in parked:
            session.retry(job_id, force=True)
    jobs = wait_for(machines, ids, are_settled)
    assert [(job.state, job.problem) for job in jobs] == [(JobState.DONE, None)] * JOBS
    assert service.created == JOBS and service.max_active[PREMIUM_TOKEN] <= 10
    music = machines[0].music
    assert {stem.path for job in jobs for stem in job.stems} == set(music.glob("*.stems/*"))
    assert len(list(music.glob("*.stems/*"))) == 2 * JOBS
    stop(machines[1:])
    # Nothing is left hidden beside the songs, and in staging what `prune` finds of killed and thawed workers, no more.
    assert {path.suffix for path in music.iterdir()} == {".wav", ".stems"}
    left = {path.name for path in (music.parent / "staging" / "staging").iterdir()}
    assert left <= set(ids) and len(left) <= KILLS


def test_hosts_add_and_follow_while_workers_work(service: Counting, machines: list[Machine], tmp_path: Path) -> None:
    asking, working, looking = machines[0], machines[1], machines[2]
    songs = [write_song(asking.music / f"Song {number}.wav", 0.2, 8000, seed=number) for number in range(2)]
    host = asking.start("separate", *map(str, songs), "--provider", "mvsep", "--model", "40", "--yes", "--json")
    with looking.session() as session:
        wait(lambda: len(session.store.list()) == 2)
        assert service.created == 0 and {job.state for job in session.store.list()} == {JobState.QUEUED}
        working.keep_working()
        assert host.wait(PATIENCE) == 0, asking.said()
        events = [json.loads(line) for line in asking.said().splitlines() if line.startswith("{")]
        done = [event for event in events if event.get("state") == "done"]
        assert {event["source"] for event in done} == set(map(str, songs)) and len(done) == 2
        assert all(Path(stem["path"]).is_relative_to(asking.music) for event in done for stem in event["stems"])
        assert working.said().count(": running") == 2
        # Any machine tells of it, by its own paths.
        assert {job.source.path.parent for job in session.store.list()} == {looking.music}
        assert {one.song.parent for one in session.store.purchases.list()} == {looking.music}
        # Ctrl-C ends the following; the job is there for workers, and for whoever cancels it.
        stop([working])
        write_song(asking.music / "Third.wav", 0.2, 8000, seed=7)
        third = asking.start(
            "separate", str(asking.music / "Third.wav"), "--provider", "mvsep", "--model", "40", "--yes"
        )
        wait(lambda: len(session.store.list()) == 3)
        third.send_signal(signal.SIGINT)
        assert third.wait(PATIENCE) == 130, asking.said()
        assert asking.said().splitlines()[-1].startswith("stopped looking on; 1 job left to the workers")
        (job,) = session.store.list([JobState.QUEUED])
        session.store.request_cancel(job.id)
        working.process = None
        working.keep_working()
        wait(lambda: session.store.get(job.id).state is JobState.CANCELLED)
    # What no other machine could find is refused in one line, and nothing is stored.
    outside = write_song(tmp_path / "Elsewhere.wav", 0.2, 8000, seed=9)
    before = asking.said()
    refused = asking.start("separate", str(outside), "--provider", "mvsep", "--model", "40", "--dry-run")
    assert refused.wait(PATIENCE) != 0
    said = asking.said().removeprefix(before)
    assert said.count("[paths]") == 2 and f"{outside} lies in no folder of [paths]" in said and "credit" not in said
    assert service.created == 2


def test_a_server_that_goes_away_is_waited_for_by_all(
    service: Counting, server: Server, machines: list[Machine]
) -> None:
    asking, working, looking = machines[:3]
    songs = [str(write_song(asking.music / f"Song {number}.wav", 0.2, 8000, seed=number)) for number in range(3)]
    wish = ("--provider", "mvsep", "--model", "40", "--yes")
    host = asking.start("separate", *songs, *wish)
    with looking.session() as session:
        wait(lambda: len(session.store.list()) == len(songs))
    working.keep_working()
    assert working.process is not None
    service.wait_for(1, working.process)
    server.crash()
    try:
        for machine in (asking, working):
            wait(lambda machine=machine: "is away; waiting for it" in machine.said())  # type: ignore[misc]
        # Whoever comes now is told in one line; it is not known that there ever was a server.
        assert looking.start("jobs").wait(PATIENCE) == 1
        (line,) = looking.said().splitlines()
        assert line.endswith("start PostgreSQL there, or correct [jobs] database")
    finally:
        server.start()
    assert host.wait(PATIENCE) == 0, asking.said()
    assert service.created == len(songs)
    for machine in (asking, working):
        assert machine.said().count("is away; waiting for it") == machine.said().count("the job store is back") == 1
    # Ctrl-C ends the waiting for a server that stays away.
    write_song(asking.music / "Last.wav", 0.2, 8000, seed=9)
    stop([working])
    host = asking.start("separate", str(asking.music / "Last.wav"), *wish)
    with looking.session() as session:
        wait(lambda: len(session.store.list()) == len(songs) + 1)
    server.crash()
    try:
        wait(lambda: asking.said().count("is away; waiting for it") == 2)
        host.send_signal(signal.SIGINT)
        assert host.wait(PATIENCE / 4) == 1
    finally:
        server.start()
    assert asking.said().splitlines()[-1].endswith("start PostgreSQL there, or correct [jobs] database")
    assert service.created == len(songs)


def name_of(server: Server) -> str:
    """Return what changes when the server loses its memory; "" while it does not answer."""
    from plugin_core.files.postgresql import SERVER

    try:
        with psycopg.connect(server.address()) as connection:
            return str(connection.execute(f"SELECT {SERVER}".encode()).fetchone()[0])
    except psycopg.OperationalError:
        return ""


def stumble(server: Server) -> None:
    """Let the server lose its memory and come back by itself, as when one of its processes runs out of memory."""
    before = name_of(server)
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(server.address()) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
    wait(lambda: name_of(server) not in ("", before))


def test_a_living_sender_counts_as_dead_for_no_one_where_the_server_came_back_from_a_crash_by_itself(
    server: Server, machines: list[Machine]
) -> None:
    sending, looking = machines[:2]
    with sending.session() as one, looking.session() as other:
        owner = one.store.new_owner()
        assert not other.store._process.is_dead(owner)
        # All sessions end, that of the sender as well; to whoever only looks at its start the server is the same.
        stumble(server)
        assert not other.store._process.is_dead(owner)
        # It says once more that it lives.
        one.store.new_owner()
        assert not other.store._process.is_dead(owner)
    with looking.session() as other:
        assert other.store._process.is_dead(owner)


def test_what_may_be_spent_is_spent_once_over_all_machines(service: Counting, machines: list[Machine]) -> None:
    asking, workers = machines[0], machines[1:3]
    songs = [str(write_song(asking.music / f"Song {number}.wav", 0.2, 8000, seed=number)) for number in range(10)]
    words = ("separate", *songs, "--provider", "mvsep", "--model", "40", "--yes")
    host = asking.start(*words)
    with asking.session() as session:
        wait(lambda: len(session.store.list()) == len(songs))
        for worker in workers:
            worker.environ["STEMBRIDGE_SPEND_MVSEP_DAY"] = "4"
            worker.keep_working()
        # Whoever asked hears of it as of a refusal.
        assert host.wait(PATIENCE) == 3, asking.said()
        assert service.created == 4
        ended = Counter(job.state for job in session.store.list())
        assert ended == {JobState.DONE: 4, JobState.FAILED: 6}
    assert asking.said().count("your own limit of 4 for mvsep ([spend.mvsep] day) would be passed: 4 is spent") == 6
    stop(workers)
    # With more to spend, what was refused goes on, and what was bought is not bought again.
    workers[0].environ["STEMBRIDGE_SPEND_MVSEP_DAY"] = "7"
    workers[0].process = None
    workers[0].keep_working()
    assert asking.start(*words).wait(PATIENCE) == 3, asking.said()
    assert service.created == 7
    stop(workers[:1])


def test_what_a_lost_machine_fetched_is_placed_by_another_by_way_of_a_bucket(
    service: Counting, machines: list[Machine]
) -> None:
    pytest.importorskip("obstore")
    asking, fetching, placing = machines[:3]

    def downloads() -> int:
        return len(service.requests("GET", "/storage/*"))

    def ask_again(format_: str) -> None:
        for song in songs:
            shutil.rmtree(song.with_suffix(".stems"))
        words = ("--provider", "mvsep", "--model", "40", "--yes", "--format", format_)
        assert asking.start("separate", *map(str, songs), *words).wait(PATIENCE) == 0, asking.said()

    with S3Simulator() as bucket:
        for machine in machines:
            machine.share_bucket(bucket)
        ids = queue_songs(asking, 2)
        fetching.process = fetching.start("worker", "--only", "submit,poll,fetch")
        songs = [job.source.path for job in read_jobs(asking, ids)]
        wait(lambda: {job.state for job in read_jobs(asking, ids)} == {JobState.PUBLISHING})
        fetching.process.kill()
        fetching.process.wait()
        shutil.rmtree(fetching.home)
        before = downloads()
        placing.process = placing.start("worker")
        wait(lambda: are_settled(read_jobs(asking, ids)))
        assert [(job.state, job.problem) for job in read_jobs(asking, ids)] == [(JobState.DONE, None)] * 2
        # A later wish is served by what the lost machine had put there, also while the bucket stumbles.
        bucket.faults.add(server_error("GET", "*", times=3))
        ask_again("wav24")
        assert (service.created, downloads()) == (2, before) and before
        # What is gone from there, or was changed, is fetched anew from its service, and nothing is bought.
        for number, name in enumerate(sorted(bucket.store.objects)):
            if number % 2:
                del bucket.store.objects[name]
            else:
                bucket.store.put(name, Blob.of(b"x" * bucket.store.objects[name].content.length))
        ask_again("flac24")
        assert (service.created, downloads()) == (2, 2 * before)
        stop([placing])
        # Nothing stays on the machine that worked on it, nor in the bucket of what is kept no longer.
        assert list((placing.home / "purchases").glob("*/*")) == []
        asking.environ["STEMBRIDGE_PURCHASES_KEEP_GB"] = "0"
        assert asking.start("jobs", "prune").wait(PATIENCE) == 0, asking.said()
        assert bucket.store.objects == {}
    assert {path.suffix for path in asking.music.iterdir()} == {".wav", ".stems"}


def test_songs_that_a_worker_does_not_see_are_for_others(service: Counting, machines: list[Machine]) -> None:
    asking, blind, seeing = machines[:3]
    config = (blind.home / "config.toml").read_text()
    (blind.home / "config.toml").write_text(config.replace("music =", "other ="))
    ids = queue_songs(asking, 2)
    blind.keep_working()
    wait(lambda: "songs in music: are left to workers that have it in [paths]" in blind.said())
    assert service.created == 0
    seeing.keep_working()
    wait(lambda: are_settled(read_jobs(asking, ids)))
    assert [job.state for job in read_jobs(asking, ids)] == [JobState.DONE] * 2
    stop([blind, seeing])
    assert blind.said().count("are left to workers") == 1


def wait(is_so: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def stop(machines: list[Machine]) -> None:
    """Tell workers to end, which they do."""
    for machine in machines:
        assert machine.process is not None
        machine.process.terminate()
    for machine in machines:
        assert machine.process is not None
        assert machine.process.wait(PATIENCE) == 0, machine.said()[-2000:]
