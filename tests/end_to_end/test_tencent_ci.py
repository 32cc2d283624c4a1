"""CI VoiceSeparate through processes killed at random and lost answers: each song is separated once, none is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import quick_start
from tests.audio_files import make_noise, write_samples, write_song
from tests.freezing import freeze, owners_of, wait_until_lost
from tests.simulators.faults import bad_gateway, hang, html_page, late, reset_after, reset_before
from tests.simulators.tencent import TencentSimulator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

FINISH_SECONDS = 900


@pytest.fixture
def cloud(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TencentSimulator]:
    with TencentSimulator() as simulator:
        simulator.behaviour.walk = ("Submitted", "Running", "Running", "Success")
        quick = {"POLL_FIRST": "0.2", "REGISTER_SECONDS": "0.5", "SLOTS": "20"}
        environment = simulator.environment() | {f"STEMBRIDGE_TENCENT_{name}": text for name, text in quick.items()}
        for name, text in {**environment, "STEMBRIDGE_JOBS_LEASE_SECONDS": "1.5"}.items():
            monkeypatch.setenv(name, text)
        yield simulator


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    (tmp_path / "music").mkdir()
    return [write_song(tmp_path / "music" / f"Song {number}.wav", 0.5, 22050, seed=number) for number in range(6)]


def start(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "plugin_core", *map(str, arguments)]
    return quick_start.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(*arguments: object) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "plugin_core", *map(str, arguments), "--json"]
    done = quick_start.run(command, capture_output=True, text=True, timeout=FINISH_SECONDS, check=False)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def separate(songs: list[Path]) -> tuple[object, ...]:
    return ("separate", *songs, "--provider", "tencent_ci")


def wait_until_stored(home: Path, process: subprocess.Popen[bytes], count: int) -> None:
    """Wait until a process has made so many jobs."""
    from plugin_core import Session

    with Session() as session:
        while len(session.store.list()) < count:
            assert process.poll() is None
            time.sleep(0.02)


def assert_each_once(cloud: TencentSimulator, home: Path, songs: list[Path]) -> None:
    """Check that every song has its stems and one job, and that nothing is left anywhere."""
    for song in songs:
        stems = {path.name for path in song.with_suffix(".stems").iterdir()}
        assert stems == {f"{song.stem} - Vocals.flac", f"{song.stem} - Instrumental.flac"}
    counts = Counter(job.request.user_data for job in cloud.jobs.all.values())
    assert len(counts) == len(songs)
    assert set(counts.values()) == {1}
    assert cloud.store.objects == {}
    assert cloud.store.uploads == {}
    assert not any((home / "staging").glob("*"))
    assert len(list(songs[0].parent.glob("*.stems"))) == len(songs)
    assert_no_secret(cloud, home)


def assert_no_secret(cloud: TencentSimulator, home: Path) -> None:
    """Check that neither log nor job record holds keys or signed links."""
    files = [path for path in home.rglob("*") if path.is_file()]
    assert "jobs.sqlite3" in {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        for secret in (cloud.keys.secret_id, cloud.keys.secret_key):
            assert secret.encode() not in content, path


def test_killed_at_random_with_answers_lost(cloud: TencentSimulator, home: Path, songs: list[Path]) -> None:
    chance = random.Random(1)
    for fault in (
        late("POST", "/jobs", seconds=0.3, times=None),
        reset_after("POST", "/jobs", probability=0.4, times=None),
        reset_before("POST", "/jobs", probability=0.3, times=2),
        html_page("POST", "/jobs", probability=0.2, after=True, times=None),
        bad_gateway("GET", "/jobs*", probability=0.1, times=None),
        reset_after("PUT", probability=0.1, times=None),
        reset_after("DELETE", probability=0.2, times=None),
    ):
        cloud.faults.add(fault)
    worker = start(*separate(songs))
    wait_until_stored(home, worker, len(songs))
    for _ in range(8):
        time.sleep(chance.uniform(0.1, 1.2))  # the moment of the kill is what is being tried
        worker.kill()
        worker.wait()
        worker = start("jobs", "resume")
    cloud.faults.clear()
    worker.wait(FINISH_SECONDS)
    finish("jobs", "resume")
    assert_each_once(cloud, home, songs)


def test_frozen_while_submitting_and_thawed(cloud: TencentSimulator, home: Path, songs: list[Path]) -> None:
    worker = start(*separate(songs[:4]))
    while not cloud.requests("PUT"):
        assert worker.poll() is None
        time.sleep(0.005)
    freeze(worker, home / "jobs.sqlite3")
    frozen = owners_of(home / "jobs.sqlite3")
    assert frozen
    other = start("jobs", "resume")
    wait_until_lost(home / "jobs.sqlite3", frozen)
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(FINISH_SECONDS) == 0
    assert other.wait(FINISH_SECONDS) == 0
    finish("jobs", "resume")
    assert_each_once(cloud, home, songs[:4])


@pytest.mark.parametrize("lost", [True, False], ids=["answer-lost", "request-lost"])
def test_every_answer_of_a_submission_lost_once(
    cloud: TencentSimulator, home: Path, songs: list[Path], lost: bool
) -> None:
    fault = reset_after if lost else reset_before
    cloud.faults.add(fault("POST", "/jobs", times=3))
    finish(*separate(songs[:3]))
    assert_each_once(cloud, home, songs[:3])
    assert len(cloud.requests("POST", "/jobs")) == (3 if lost else 6)


def test_an_upload_in_parts_goes_on_after_a_kill(
    cloud: TencentSimulator, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MULTIPART_ABOVE_MB", "PART_MB", "PARTS_AT_ONCE"):
        monkeypatch.setenv(f"STEMBRIDGE_TENCENT_{name}", "1")
    (tmp_path / "music").mkdir()
    song = write_samples(tmp_path / "music" / "Song.flac", make_noise(20 * 44100), subtype="PCM_16")
    stuck = cloud.faults.add(hang("PUT", nth=3))
    worker = start(*separate([song]))
    stuck.wait()
    worker.kill()
    worker.wait()
    cloud.release()
    finish("jobs", "resume")
    numbers = [entry.query["partNumber"] for entry in cloud.requests("PUT")]
    assert numbers == ["1", "2", "3", *[str(number) for number in range(3, int(numbers[-1]) + 1)]]
    assert_each_once(cloud, home, [song])


def test_a_job_given_up_while_it_is_looked_for_leaves_nothing(
    cloud: TencentSimulator, home: Path, songs: list[Path]
) -> None:
    cloud.faults.add(reset_before("POST", "/jobs", times=None))
    worker = start(*separate(songs[:1]))
    while not cloud.requests("POST", "/jobs"):
        assert worker.poll() is None
        time.sleep(0.01)
    worker.kill()
    worker.wait()
    (job,) = [one for one in finish("jobs", "list") if one.get("event") != "summary"]
    finish("jobs", "cancel", job["id"])
    assert cloud.jobs.all == {}
    assert cloud.store.objects == {}
    assert not any((home / "staging").glob("*"))
