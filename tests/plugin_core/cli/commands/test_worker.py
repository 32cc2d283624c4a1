"""``stembridge worker`` on the store of one machine: it works on what others added, and ends when it is told to."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plugin_core import Session
from plugin_core.cli.commands.jobs import read_only
from plugin_core.files import depot
from plugin_core.model import Job, JobState, Separation
from tests import quick_start
from tests.audio_files import write_song
from tests.end_to_end.sharing import share_jobs
from tests.hosts.reaper.schemas import list_event_faults
from tests.plugin_core.cli.conftest import SCHEMA, Run
from tests.simulators.s3 import BUCKET, S3Simulator

COMMAND = [sys.executable, "-m", "plugin_core", "worker", "--json"]
PATIENCE = 300.0


async def add(session: Session, song: Path) -> Job:
    """Let a job be in the store, and do nothing for it."""
    source = await session.look(song)
    return (await session.add(source, await session.plan(source, Separation(provider="local"))))[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without a word")
def test_a_worker_works_on_what_others_added_until_it_is_told_to_end(tmp_path: Path, home: Path) -> None:
    songs = [write_song(tmp_path / f"{number}.flac", 0.5, seed=number) for number in range(2)]
    with Session() as session:
        jobs = [asyncio.run(add(session, song)) for song in songs]
        only = quick_start.Popen([*COMMAND, "--only", "submit,poll"], stdout=subprocess.PIPE, text=True)
        worker = quick_start.Popen([*COMMAND, "--concurrency", "1"], stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + PATIENCE
        while any(session.store.get(job.id).state is not JobState.DONE for job in jobs):
            assert time.monotonic() < end and worker.poll() is None
            time.sleep(0.05)
        for process in (only, worker):
            process.send_signal(signal.SIGTERM)
        (said, _), (nothing, _) = worker.communicate(timeout=PATIENCE), only.communicate(timeout=PATIENCE)
        assert (worker.returncode, only.returncode) == (0, 0)
        assert session.store.leftovers() == []
    events = [json.loads(line) for line in said.splitlines()]
    assert [fault for event in events for fault in list_event_faults(SCHEMA, event["event"], event)] == []
    assert {event["id"] for event in events if event.get("state") == "done"} == {job.id for job in jobs}
    assert (events[-1]["event"], events[-1]["done"], events[-1]["exit_code"]) == ("summary", 2, 0)
    # An engine on this machine is none of those steps.
    assert [json.loads(line)["done"] for line in nothing.splitlines()] == [0]
    assert all((song.with_suffix(".stems") / f"{song.stem} - Vocals.flac").is_file() for song in songs)


def test_what_is_left_to_workers_elsewhere_is_no_trouble_of_this_machine(
    stembridge: Run, home: Path, tmp_path: Path, postgresql: str
) -> None:
    share_jobs(home, postgresql, tmp_path)
    with Session() as session:
        asyncio.run(add(session, write_song(tmp_path / "Song.flac", 0.5)))
    (found,) = [event for event in stembridge("doctor", "--json").events if event.get("name") == "job store"]
    assert found["verdict"] == "ok" and found["found"].startswith("1 job, 1 unfinished, in postgresql://")
    assert found["found"].endswith("; folders music, staging")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--only", "submit,fech"), "'fech' is nothing that a worker does, did you mean 'fetch'?"),
        (("--only", "all"), "'all' is nothing that a worker does (there are submit, poll, fetch, publish, local)"),
        (("--only", " , "), "name some of submit, poll, fetch, publish, local"),
        (("--concurrency", "0"), "0 is not in the range"),
    ],
)
def test_wrong_words_are_one_line(stembridge: Run, words: tuple[str, str], says: str) -> None:
    result = stembridge("worker", *words)
    assert result.code == 2 and result.err.count("\n") == 1 and says in result.err


def test_steps_by_their_names() -> None:
    reach = read_only(None, None, " fetch, local")  # type: ignore[arg-type]
    assert (reach.states, reach.is_local, reach.names) == ((JobState.FETCHING,), True, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[paths]\nmusic = "{here}/absent"', "line 2: [paths] music: {here}/absent is no folder"),
        ('[paths]\nmusic = "{here}"\nall = "{here}"', "line 3: [paths] all: {here} and {here} (music) lie one within"),
        ('[paths]\nMusic = "{here}"', "line 2: [paths] Music: 'Music' is no name for a folder"),
        ("[paths]\nmusic = 3", "line 2: [paths] music: expected the path of a folder"),
        ('[jobs]\nstaging = "{here}/absent"', "line 2: [jobs] staging: {here}/absent is no folder"),
    ],
)
def test_wrong_folders_are_told_at_the_start(stembridge: Run, home: Path, tmp_path: Path, text: str, says: str) -> None:
    (home / "config.toml").write_text(text.replace("{here}", str(tmp_path)))
    for command in (("worker",), ("jobs", "list")):
        result = stembridge(*command)
        assert result.code == 2 and result.err.count("\n") == 1, result.err
        assert says.replace("{here}", str(tmp_path)) in result.err


def test_a_bucket_that_cannot_be_used_is_told_at_the_start_and_by_doctor_once(
    stembridge: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    config = home / "config.toml"
    config.write_text('[jobs]\nstaging = "s3://absent/x"\n[s3]\nendpoint_url = "http://minio.example.org:9000"\n')
    result = stembridge("worker")
    assert result.code == 2 and result.err.count("\n") == 1
    assert (
        f"{config}, line 4: [s3] endpoint_url: http://minio.example.org:9000 is not encrypted; use https" in result.err
    )
    with S3Simulator() as bucket:
        for name, value in bucket.environment().items():
            monkeypatch.setenv(name, value)
        result = stembridge("worker")
        assert result.code == 1 and result.err.count("\n") == 1
        assert "s3://absent/x: NoSuchBucket: " in result.err and "make the bucket, or correct [jobs]" in result.err
        found = [event for event in stembridge("doctor", "--json").events if "s3://absent/x" in str(event)]
        assert [(event["name"], event["verdict"]) for event in found] == [("job store", "wrong")]
        config.write_text(f'[jobs]\nstaging = "s3://{BUCKET}/x"\n')
        (used,) = [event for event in stembridge("doctor", "--json").events if event.get("name") == "job store"]
        assert used["verdict"] == "ok"
    monkeypatch.setattr(depot, "find_spec", lambda _name: None)
    result = stembridge("worker")
    assert result.code == 2 and result.err.count("\n") == 1
    assert "line 2: [jobs] staging: a bucket needs obstore, which is not installed; " in result.err
    assert "stembridge[distributed]" in result.err
