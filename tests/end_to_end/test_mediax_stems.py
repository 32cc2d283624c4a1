"""MediaX's stems through the real command: aligned beside the song, paid once, and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugin_core import Session
from plugin_core.providers.mediax.stems import make_place
from tests.audio_files import read_samples, write_song
from tests.end_to_end.hasty import BREAK, start
from tests.end_to_end.tencent_bench import disturb, settings_for, soothe
from tests.simulators.faults import Fault, hang, late, reset_after, reset_before
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator
from tests.simulators.s3 import S3Simulator
from tests.simulators.tencent import TencentSimulator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
LIMIT = 900
"""Seconds any command may take."""

FOUR = ("Bass", "Drums", "Other", "Vocals")


class Bench:
    """The real command between MediaX and the bucket that is registered with it."""

    def __init__(self, service: MediaxSimulator, bucket: TencentSimulator, home: Path, folder: Path) -> None:
        self.service, self.bucket, self.home, self.music = service, bucket, home, folder / "music"
        self.music.mkdir()
        service.stems.put = bucket.store.put
        self.secrets = [SECRET_ID, SECRET_KEY, bucket.keys.secret_id, bucket.keys.secret_key, service.stems.signature]
        self.environ = settings_for(service, bucket, home)

    def song(self, number: int = 0, seconds: float = 0.4) -> Path:
        return write_song(self.music / f"Song {number}.wav", seconds, 22050, subtype="PCM_16", seed=number)

    def separate(self, *songs: Path, model: str = "four-stems", more: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        return self.run("-v", "separate", *songs, "--provider", "mediax_stems", "--model", model, *more)

    def run(self, *arguments: object) -> subprocess.Popen[bytes]:
        return start(self.environ, *arguments)

    def finish(self, process: subprocess.Popen[bytes], code: int = 0) -> bytes:
        """Wait for a command, and return all it said."""
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == code, err.decode()[-3000:] + out.decode()[-1000:]
        assert b"Traceback" not in out
        self.assert_hidden(out + err)
        return out + err

    def jobs(self) -> list[dict[str, Any]]:
        out, _ = self.run("jobs", "list", "--json").communicate(timeout=LIMIT)
        return [one for one in map(json.loads, out.splitlines()) if one["event"] != "summary"]

    def assert_hidden(self, said: bytes) -> None:
        forbidden = [word.encode() for word in (*self.secrets, "q-signature=", "q-ak=", "X-Amz-Signature=")]
        texts = {"output": said.replace(b"q-signature=********", b"").replace(b"q-ak=********", b"")}
        for folder in (self.home, self.music):
            texts |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert [(name, word) for name, text in texts.items() for word in forbidden if word in text] == []

    def assert_each_once(self, songs: Sequence[Path], stems: Sequence[str] = FOUR) -> None:
        """Check that every song has its stems and one paid job, and that nothing is left anywhere."""
        with Session() as session:
            ended = [(job.state.value, job.problem) for job in session.store.list()]
        assert ended == [("done", None)] * len(songs)
        counts = Counter(job.custom_id for job in self.service.jobs.values())
        assert (len(counts), set(counts.values())) == (len(songs), {1})
        for song in songs:
            paths = sorted(song.with_suffix(".stems").iterdir())
            assert [path.name for path in paths] == [f"{song.stem} - {stem}.flac" for stem in stems]
            whole, _ = read_samples(song)
            assert np.array_equal(sum(np.rint(read_samples(path)[0] * 2**15) for path in paths), np.rint(whole * 2**15))
        assert len(list(self.music.iterdir())) == 2 * len(songs)
        self.assert_nothing_left()

    def assert_nothing_left(self) -> None:
        assert (sorted(self.bucket.store.objects), self.bucket.store.uploads) == ([], {})
        for folder in ("staging", "staged/cos"):
            assert not any((self.home / folder).glob("*"))
        assert not list(self.music.glob(".stembridge-*"))


@pytest.fixture
def bench(home: Path, tmp_path: Path) -> Iterator[Bench]:
    with TencentSimulator() as bucket, MediaxSimulator() as service:
        yield Bench(service, bucket, home, tmp_path)


@pytest.mark.parametrize(
    ("model", "stems"),
    [
        ("two-stems", ("Instrumental", "Vocals")),
        ("four-stems", FOUR),
        ("five-stems", ("Bass", "Drums", "Other", "Piano", "Vocals")),
    ],
)
def test_stems_stand_beside_the_song_sample_for_sample(bench: Bench, model: str, stems: tuple[str, ...]) -> None:
    song = bench.song()
    bench.finish(bench.separate(song, model=model))
    bench.assert_each_once([song], stems)


@pytest.mark.parametrize("names", ["whole-slashed", "bare", "url", "signed", "elsewhere"])
def test_however_the_service_names_its_files(bench: Bench, names: str) -> None:
    bench.service.stems.names = names
    song = bench.song()
    bench.finish(bench.separate(song))
    bench.assert_each_once([song])


def test_through_any_s3_bucket(bench: Bench) -> None:
    pytest.importorskip("boto3")
    song = bench.song()
    with S3Simulator() as s3:
        bench.service.stems.put = s3.store.put
        bench.secrets.append(s3.keys.secret_key)
        bench.environ |= {
            **s3.environment(),
            "STEMBRIDGE_MEDIAX_STAGER": "cos",
            "STEMBRIDGE_MEDIAX_BUCKET_STAGER": "s3",
        }
        bench.finish(bench.separate(song))
        bench.assert_each_once([song])
        assert s3.store.objects == {}


def test_a_song_is_separated_and_labelled_side_by_side(bench: Bench) -> None:
    song = write_song(bench.music / "Song.mp3", 0.4, 22050)
    separation = bench.separate(song, model="two-stems")
    tagging = bench.run("-v", "tag", "--provider", "mediax", song)
    bench.finish(separation)
    bench.finish(tagging)
    assert sorted(job["state"] for job in bench.jobs()) == ["done", "done"]
    assert len({job.custom_id for job in bench.service.jobs.values()}) == bench.service.created == 2
    bench.assert_nothing_left()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"STEMBRIDGE_MEDIAX_CONTENT_ID": ""}, 2, b"content_id is not set"),
        ({"STEMBRIDGE_MEDIAX_SECRET_KEY": ""}, 3, b"stembridge login mediax"),
        ({"STEMBRIDGE_TENCENT_BUCKET": ""}, 2, b"no stager is set up"),
        ({"STEMBRIDGE_MEDIAX_BUCKET_STAGER": "public_url"}, 2, b"is not set up; name one of cos"),
    ],
    ids=["content id", "keys", "bucket", "other stager"],
)
def test_what_is_missing_is_said_before_anything_is_sent(
    bench: Bench, change: dict[str, str], code: int, words: bytes
) -> None:
    bench.environ |= change
    assert words in bench.finish(bench.separate(bench.song()), code)
    assert (bench.service.log, bench.bucket.log) == ([], [])


def test_a_public_folder_is_no_bucket(bench: Bench, tmp_path: Path) -> None:
    bench.environ |= {
        "STEMBRIDGE_TENCENT_BUCKET": "",
        "STEMBRIDGE_PUBLIC_URL_BASE_URL": "https://files.example.org",
        "STEMBRIDGE_PUBLIC_URL_FOLDER": str(tmp_path),
    }
    said = bench.finish(bench.separate(bench.song()), 2)
    assert b"come to a bucket of yours, and none is set up" in said
    assert bench.service.log == []


def test_a_dry_run_sends_nothing(bench: Bench) -> None:
    said = bench.finish(bench.separate(bench.song(), more=["--dry-run"]))
    assert b"Song 0 - Vocals.flac" in said
    assert (bench.service.log, bench.bucket.log) == ([], [])


def test_a_stem_that_is_gone_costs_itself_alone(bench: Bench) -> None:
    bench.service.stems.lost = {"drums"}
    said = bench.finish(bench.separate(bench.song()))
    assert b"drums: made by the service, and not to be had" in said and b"is not in the bucket of cos" in said
    (job,) = bench.jobs()
    assert len(job["stems"]) == 3
    assert bench.service.created == 1
    bench.assert_nothing_left()


def test_paid_stems_in_another_bucket_are_had_once_the_setting_is_right(bench: Bench) -> None:
    song = bench.song()
    bench.service.stems.put = lambda *_: None
    assert b"bucket_stager" in bench.finish(bench.separate(song), 1)
    (job,) = bench.jobs()
    for paid in bench.service.jobs.values():
        bench.service.stems.put = bench.bucket.store.put
        paid.results = bench.service.stems.separate(paid.song, paid.outputs[0], bench.service.url)
    bench.finish(bench.run("jobs", "retry", job["id"]))
    bench.finish(bench.run("jobs", "resume"))
    bench.assert_each_once([song])


@pytest.mark.parametrize("state", [4, 5])
def test_a_job_the_service_fails_leaves_nothing(bench: Bench, state: int) -> None:
    bench.service.walk = (1, state)
    bench.finish(bench.separate(bench.song()), 1)
    assert bench.service.created == 1
    bench.assert_nothing_left()


def test_names_that_are_none_fail_the_job_and_leave_nothing_once_it_is_given_up(bench: Bench) -> None:
    bench.service.stems.extra = [{"fileName": "../../../etc/cron.d/x", "tone": 1}]
    said = bench.finish(bench.separate(bench.song()), 1)
    assert b"which is no object's name" in said
    assert len(bench.jobs()) == 1
    bench.finish(bench.run("jobs", "prune", "--older-than", "0s"))
    bench.assert_nothing_left()


def test_objects_stay_when_the_setting_says_so(bench: Bench) -> None:
    bench.environ["STEMBRIDGE_MEDIAX_CLEANUP"] = "false"
    bench.finish(bench.separate(bench.song()))
    (job,) = bench.jobs()
    place = make_place("stembridge", job["id"])
    assert len(bench.bucket.store.objects) == 4
    assert all(key.startswith(f"{place.folder}/{place.prefix}_") for key in bench.bucket.store.objects)


@pytest.mark.parametrize("lost", [True, False], ids=["answer-lost", "request-lost"])
def test_every_answer_to_a_create_lost_once(bench: Bench, lost: bool) -> None:
    songs = [bench.song(number) for number in range(3)]
    bench.service.faults.add(late("POST", "/job", seconds=0.3, times=3))
    bench.service.faults.add((reset_after if lost else reset_before)("POST", "/job", times=3))
    bench.finish(bench.separate(*songs))
    bench.assert_each_once(songs)


STAGES: dict[str, tuple[Fault, bool]] = {
    "staging": (hang("PUT"), False),
    "creating": (hang("POST", "/job"), True),
    "created": (hang("POST", "/job", after=True), True),
    "polling": (hang("POST", "/job", nth=3), True),
    "fetching": (hang("GET", "/stembridge/sb-*", nth=2), False),
    "releasing": (hang("DELETE", "/stembridge/sb-*", nth=2), False),
}


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_each_stage_nothing_is_doubled_lost_or_left(bench: Bench, stage: str) -> None:
    fault, is_service = STAGES[stage]
    song = bench.song()
    stuck = (bench.service if is_service else bench.bucket).faults.add(fault)
    worker = bench.separate(song)
    stuck.wait(1, LIMIT)
    worker.kill()
    worker.communicate()
    bench.service.release()
    bench.bucket.release()
    bench.finish(bench.run("-v", "jobs", "resume"))
    bench.assert_each_once([song])


def test_killed_at_random_with_answers_lost(bench: Bench) -> None:
    songs = [bench.song(number) for number in range(6)]
    chance = random.Random(5)
    disturb(bench.service, bench.bucket)
    worker = bench.separate(*songs)
    for _ in range(6):
        time.sleep(chance.uniform(0.3, 1.5))  # the moment of the kill is what is being tried
        worker.kill()
        worker.communicate()
        worker = bench.separate(*songs) if len(bench.jobs()) < len(songs) else bench.run("jobs", "resume")
    soothe(bench.service, bench.bucket)
    worker.communicate(timeout=LIMIT)
    bench.finish(bench.run("jobs", "resume"))
    bench.assert_each_once(songs)


def test_a_job_given_up_while_it_runs_leaves_nothing_once_it_is_over(bench: Bench) -> None:
    # For ever, unless it is told otherwise.
    bench.service.walk = (1, 2)
    worker = bench.separate(bench.song())
    while not any(job["state"] == "running" for job in bench.jobs()):
        assert worker.poll() is None
    worker.kill()
    worker.communicate()
    (job,) = bench.jobs()
    bench.finish(bench.run("jobs", "cancel", job["id"]))
    for paid in bench.service.jobs.values():
        paid.states = [3]
    bench.finish(bench.run("jobs", "resume"))
    assert [job["state"] for job in bench.jobs()] == ["cancelled"]
    assert bench.service.requests("POST", "/job")
    bench.assert_nothing_left()


@pytest.mark.parametrize("broken", ["/job", "links/", "/stembridge/sb-"], ids=["service", "staging", "results"])
def test_an_exception_of_the_http_library_shows_no_secret(bench: Bench, broken: str) -> None:
    bench.environ[BREAK] = broken
    process = bench.separate(bench.song())
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    bench.assert_hidden(out + err)
