"""MediaX through processes killed at random and lost answers: each song is labelled once, nothing stays staged."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mutagen
import pytest

from tests.audio_files import write_song
from tests.end_to_end.hasty import start
from tests.end_to_end.tencent_bench import disturb, settings_for, soothe
from tests.freezing import freeze, owners_of, wait_until_lost
from tests.simulators.faults import hang, late, reset_after, reset_before
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator
from tests.simulators.tencent import TencentSimulator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
SONGS = int(os.environ.get("STEMBRIDGE_TEST_JOBS", "20"))
KILLS = int(os.environ.get("STEMBRIDGE_TEST_KILLS", "5"))
LIMIT = 900
"""Seconds any command may take."""


@pytest.fixture
def service() -> Iterator[MediaxSimulator]:
    with MediaxSimulator() as simulator:
        yield simulator


@pytest.fixture
def bucket() -> Iterator[TencentSimulator]:
    with TencentSimulator() as simulator:
        yield simulator


@pytest.fixture
def environ(service: MediaxSimulator, bucket: TencentSimulator, home: Path) -> dict[str, str]:
    return settings_for(service, bucket, home)


def make_songs(tmp_path: Path, count: int) -> list[Path]:
    folder = tmp_path / "music"
    folder.mkdir()
    return [write_song(folder / f"Song {n}.mp3", 0.3, 22050, seed=n) for n in range(count)]


def finish(environ: dict[str, str], *arguments: object) -> list[dict[str, Any]]:
    process = start(environ, *arguments, "--json")
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err.decode() + out.decode()[-2000:]
    return [json.loads(line) for line in out.splitlines()]


def tag(environ: dict[str, str], songs: Sequence[Path]) -> subprocess.Popen[bytes]:
    return start(environ, "tag", "--provider", "mediax", *songs)


def drain(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=LIMIT)
    return process.returncode


def wait_until_stored(process: subprocess.Popen[bytes], count: int) -> None:
    from plugin_core import Session

    with Session() as session:
        while len(session.store.list()) < count:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)


def assert_each_once(service: MediaxSimulator, bucket: TencentSimulator, home: Path, songs: Sequence[Path]) -> None:
    """Check that every song has one job and its labels, and that nothing is left anywhere."""
    from plugin_core import Session

    with Session() as session:
        ended = [(job.state.value, job.problem) for job in session.store.list()]
    assert ended == [("done", None)] * len(songs)
    for song in songs:
        tags = mutagen.File(song).tags
        assert (tags["TMOO"].text, tags["TCON"].text) == (["Calm"], ["Rock"])
    counts = Counter(job.custom_id for job in service.jobs.values())
    assert (len(counts), set(counts.values())) == (len(songs), {1})
    assert (bucket.store.objects, bucket.store.uploads) == ({}, {})
    assert {path.name for path in songs[0].parent.iterdir()} == {song.name for song in songs}
    for folder in ("staging", "staged/cos"):
        assert not any((home / folder).glob("*"))
    forbidden = [SECRET_ID, SECRET_KEY, bucket.keys.secret_id, bucket.keys.secret_key, "q-signature"]
    for path in (path for path in home.rglob("*") if path.is_file()):
        assert not [word for word in forbidden if word.encode() in path.read_bytes()], path


def test_killed_at_random_with_answers_lost(
    service: MediaxSimulator, bucket: TencentSimulator, environ: dict[str, str], home: Path, tmp_path: Path
) -> None:
    songs = make_songs(tmp_path, SONGS)
    chance = random.Random(4)
    disturb(service, bucket)
    worker = tag(environ, songs)
    wait_until_stored(worker, len(songs))
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.2, 1.5))  # the moment of the kill is what is being tried
        worker.kill()
        worker.communicate()
        worker = start(environ, "jobs", "resume")
    soothe(service, bucket)
    drain(worker)
    finish(environ, "jobs", "resume")
    assert_each_once(service, bucket, home, songs)


@pytest.mark.parametrize("lost", [True, False], ids=["answer-lost", "request-lost"])
def test_every_answer_to_a_create_lost_once(
    service: MediaxSimulator, bucket: TencentSimulator, environ: dict[str, str], home: Path, tmp_path: Path, lost: bool
) -> None:
    songs = make_songs(tmp_path, 3)
    service.faults.add(late("POST", "/job", seconds=0.3, times=3))
    service.faults.add((reset_after if lost else reset_before)("POST", "/job", times=3))
    finish(environ, "tag", "--provider", "mediax", *songs)
    assert_each_once(service, bucket, home, songs)


def test_frozen_while_creating_and_thawed(
    service: MediaxSimulator, bucket: TencentSimulator, environ: dict[str, str], home: Path, tmp_path: Path
) -> None:
    songs = make_songs(tmp_path, 4)
    worker = tag(environ, songs)
    while not bucket.requests("PUT"):
        assert worker.poll() is None
        time.sleep(0.005)
    freeze(worker, home / "jobs.sqlite3")
    frozen = owners_of(home / "jobs.sqlite3")
    assert frozen
    other = start(environ, "jobs", "resume")
    wait_until_lost(home / "jobs.sqlite3", frozen)
    worker.send_signal(signal.SIGCONT)
    assert (drain(worker), drain(other)) == (0, 0)
    finish(environ, "jobs", "resume")
    assert_each_once(service, bucket, home, songs)


def test_two_processes_label_the_same_songs_once(
    service: MediaxSimulator, bucket: TencentSimulator, environ: dict[str, str], home: Path, tmp_path: Path
) -> None:
    songs = make_songs(tmp_path, 8)
    workers = [tag(environ, songs), tag(environ, songs)]
    assert [drain(worker) for worker in workers] == [0, 0]
    assert_each_once(service, bucket, home, songs)


def test_given_up_before_its_create_leaves_nothing_staged(
    service: MediaxSimulator, bucket: TencentSimulator, environ: dict[str, str], home: Path, tmp_path: Path
) -> None:
    songs = make_songs(tmp_path, 1)
    stuck = service.faults.add(hang("POST", "/job"))
    worker = tag(environ, songs)
    stuck.wait(1, LIMIT)
    assert len(bucket.store.objects) == 1
    worker.kill()
    worker.communicate()
    service.release()
    (job,) = [one for one in finish(environ, "jobs", "list") if one["event"] != "summary"]
    finish(environ, "jobs", "cancel", job["id"])
    assert (service.created, bucket.store.objects) == (0, {})
    assert not any((home / "staging").glob("*"))


def test_a_job_the_service_fails_leaves_nothing_staged(
    service: MediaxSimulator, bucket: TencentSimulator, environ: dict[str, str], tmp_path: Path
) -> None:
    (song,) = make_songs(tmp_path, 1)
    before = song.read_bytes()
    service.walk = (1, 4)
    process = tag(environ, [song])
    _, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, bucket.store.objects, song.read_bytes()) == (1, {}, before)
    assert b"MediaX failed: internal failure of the model" in err
