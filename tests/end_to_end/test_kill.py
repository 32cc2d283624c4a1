"""Real processes killed and frozen at random: each song is separated once, nothing half-written is ever seen."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core import Session
from plugin_core.audio.samples import to_integers
from plugin_core.model import JobState
from tests import quick_start
from tests.freezing import freeze

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

STEMS = ("Vocals", "Drums", "Bass", "Other")
FINISH_SECONDS = 900
SONGS = int(os.environ.get("STEMBRIDGE_TEST_JOBS", "12"))
KILLS = int(os.environ.get("STEMBRIDGE_TEST_KILLS", "6"))


def make_songs(folder: Path, count: int, seconds: float = 1.0, sample_rate: int = 22050) -> list[Path]:
    """Write short songs, each with a content of its own."""
    folder.mkdir()
    songs = []
    for number in range(count):
        noise = np.random.default_rng(number).uniform(-0.4, 0.4, (int(seconds * sample_rate), 2))
        songs.append(folder / f"Song {number:02}.wav")
        soundfile.write(songs[-1], noise, sample_rate, subtype="PCM_16")
    return songs


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own."""
    command = [sys.executable, "-m", "plugin_core", *map(str, arguments)]
    return quick_start.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(*arguments: object) -> list[dict[str, object]]:
    """Run the command line to its end and return its events."""
    command = [sys.executable, "-m", "plugin_core", *map(str, arguments), "--json"]
    done = quick_start.run(command, capture_output=True, text=True, timeout=FINISH_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_whole(stems: Path) -> None:
    """Check that a visible stems folder holds the four stems of its song, summing to it exactly."""
    song = stems.with_suffix(".wav")
    source, _ = soundfile.read(song, always_2d=True)
    parts = [soundfile.read(stems / f"{song.stem} - {name}.flac", dtype="int16", always_2d=True)[0] for name in STEMS]
    total = np.sum([part.astype(np.int64) for part in parts], axis=0)
    np.testing.assert_array_equal(total, to_integers(source, 16))


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Look into the folder all the time; every stems folder must be whole from the first moment it is seen."""
    seen: set[Path] = set()
    wrong: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            for stems in set(folder.glob("*.stems")) - seen:
                seen.add(stems)
                try:
                    assert_whole(stems)
                except Exception as error:  # noqa: BLE001 - whatever is wrong is the finding
                    wrong.append(f"{stems.name}: {error}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
    assert wrong == []
    assert seen


def assert_each_once(folder: Path, songs: list[Path]) -> None:
    """Check that the folder holds the songs and one whole stems folder for each, and nothing else."""
    expected = {song.name for song in songs} | {f"{song.stem}.stems" for song in songs}
    assert {path.name for path in folder.iterdir()} == expected
    for song in songs:
        assert {path.name for path in song.with_suffix(".stems").iterdir()} == {
            f"{song.stem} - {name}.flac" for name in STEMS
        }
        assert_whole(song.with_suffix(".stems"))


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@pytest.mark.parametrize("processes", [1, 2], ids=["one-process", "two-on-one-store"])
def test_every_song_survives_many_kills(tmp_path: Path, home: Path, processes: int) -> None:
    chance = random.Random(processes)
    songs = make_songs(tmp_path / "music", SONGS)
    with watched(tmp_path / "music"):
        workers = [start("separate", *songs) for _ in range(processes)]
        wait_for_jobs(len(songs))
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.2, 1.2))  # the moment of the kill is what is being tried
            victim = chance.randrange(processes)
            kill(workers[victim])
            workers[victim] = start("jobs", "resume")
        for worker in workers:
            assert worker.wait(FINISH_SECONDS) == 0
        finish("jobs", "resume")
    finish("separate", *songs)
    assert_each_once(tmp_path / "music", songs)
    jobs = finish("jobs", "list", "--limit", 1000)
    assert [job["state"] for job in jobs if job.get("event") != "summary"] == ["done"] * SONGS
    assert not any((home / "staging").glob("*"))


def test_frozen_longer_than_its_lease_and_thawed(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_JOBS_LEASE_SECONDS", "1.5")
    songs = make_songs(tmp_path / "music", 8)
    with watched(tmp_path / "music"):
        frozen = start("separate", *songs)
        wait_for_claim(home)
        freeze(frozen, home / "jobs.sqlite3")
        try:
            finish("jobs", "resume")
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        assert frozen.wait(FINISH_SECONDS) == 0
    assert_each_once(tmp_path / "music", songs)
    # Thawed in the middle of a write it may have made a folder anew that the other process had removed.
    for left in (home / "staging").glob("*"):
        os.utime(left, (0, 0))
    finish("jobs", "prune")
    assert not any((home / "staging").glob("*"))


def test_frozen_while_treating_and_thawed_after_another_did_it(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMBRIDGE_JOBS_LEASE_SECONDS", "1.5")
    songs = make_songs(tmp_path / "music", 4, seconds=30)
    seen = []
    frozen = start("separate", *songs, "--stems", "drums", "--minus", "drums", "--residual", "--format", "wav24")
    try:
        freeze_while_treating(frozen, home)
        seen = list((home / "staging").glob("*/ready-*"))
        finish("jobs", "resume")
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    assert frozen.wait(FINISH_SECONDS) == 0
    assert seen
    for song in songs:
        source, _ = soundfile.read(song, dtype="int32", always_2d=True)
        stems = song.with_suffix(".stems")
        parts = {path.stem: soundfile.read(path, dtype="int32", always_2d=True)[0] for path in stems.iterdir()}
        assert set(parts) == {f"{song.stem} - {name}" for name in ("Drums", "No Drums", "Residual")}
        total = parts[f"{song.stem} - Drums"].astype(np.int64) + parts[f"{song.stem} - No Drums"]
        np.testing.assert_array_equal(total, source)
    expected = {song.name for song in songs} | {f"{song.stem}.stems" for song in songs}
    assert {path.name for path in (tmp_path / "music").iterdir()} == expected
    assert not any((home / "staging").glob("*"))


def freeze_while_treating(process: subprocess.Popen[bytes], home: Path) -> None:
    """Stop a process while it writes the stems of a job."""
    with Session() as session:
        while True:
            assert process.poll() is None
            if not any((home / "staging").glob("*/ready-*/*/*")):
                time.sleep(0.001)
                continue
            freeze(process, home / "jobs.sqlite3")
            ready = {path.parent.parent.parent.name for path in (home / "staging").glob("*/ready-*/*/*")}
            if any(session.store.get(job_id).state is JobState.FETCHING for job_id in ready):
                return
            process.send_signal(signal.SIGCONT)


def wait_for_jobs(count: int) -> None:
    """Wait until so many jobs are stored."""
    with Session() as session:
        while len(session.store.list()) < count:
            time.sleep(0.05)


def wait_for_claim(home: Path) -> None:
    """Wait until the process has begun to work on a song."""
    while not any((home / "staging").glob("*/*")):
        time.sleep(0.01)
