"""What people do to a song, its job and its stems after it was bought: none of it pays again.

Each test counts the paid creates at the simulator; songs are a minute long.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mutagen.flac
import mutagen.id3
import pytest
import soundfile

from tests.audio_files import write_song
from tests.end_to_end.hasty import SEARCH, start
from tests.simulators.faults import Fault, html_page, refuse, reset_after, truncate
from tests.simulators.mvsep import FREE_TOKEN, Behaviour
from tests.simulators.mvsep.walks import processing, waiting
from tests.simulators.mvsep.watched import Watched

CREATE = "*/separation/create"
FILES = "/storage/processed/*"
LIMIT = 300
SECONDS = 60.0


@pytest.fixture
def service() -> Iterator[Watched]:
    with Watched() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_song(tmp_path_factory.mktemp("recording") / "Song.flac", SECONDS, subtype="PCM_16")


@pytest.fixture
def song(recording: Path, tmp_path: Path) -> Path:
    (tmp_path / "Album").mkdir()
    return Path(shutil.copy(recording, tmp_path / "Album" / "Song.flac"))


class Bench:
    """The real command, with a free account."""

    def __init__(self, service: Watched, home: Path) -> None:
        self.service, self.home = service, home
        self.environ = {
            "STEMBRIDGE_HOME": str(home),
            "STEMBRIDGE_PLUGINS": "mvsep",
            "STEMBRIDGE_MVSEP_API_TOKEN": FREE_TOKEN,
            "STEMBRIDGE_MVSEP_BASE_URL": service.api,
            "STEMBRIDGE_MVSEP_POLL_FIRST": "0.05",
            "STEMBRIDGE_MVSEP_POLL_LONGEST": "0.1",
            "STEMBRIDGE_MVSEP_REGISTER_SECONDS": "0.5",
        }

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Return exit code, output and errors."""
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=LIMIT)
        assert b"Traceback" not in err
        return process.returncode, out.decode(), err.decode()

    def begin(self, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a command."""
        return start(self.environ, *arguments)

    def separate(self, *arguments: object) -> None:
        """Separate, and see it done."""
        code, out, err = self.run("separate", "--provider", "mvsep", *arguments)
        assert code == 0, (out, err)

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, newest first."""
        _, out, _ = self.run("jobs", "list", "--json")
        return [one for one in map(json.loads, out.splitlines()) if one["event"] == "job"]

    @property
    def created(self) -> int:
        """What was paid for."""
        return self.service.created


@pytest.fixture
def bench(service: Watched, home: Path) -> Bench:
    return Bench(service, home)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_other_formats_fewer_stems_and_a_deleted_folder(bench: Bench, song: Path) -> None:
    bench.separate(song)
    stems = song.with_suffix(".stems")
    kept = {path.name: path.read_bytes() for path in stems.iterdir()}
    bench.separate(song, "--format", "wav24")
    bench.separate(song, "--stems", "vocals")
    bench.separate(song, "--minus", "vocals")
    # Each form has a place of its own, and nothing that stood is touched.
    assert {path.name: path.read_bytes() for path in stems.iterdir()} == kept
    assert files(song.with_name("Song (3).stems")) == ["Song - Vocals.flac"]
    minus, _ = soundfile.read(song.with_name("Song (4).stems") / "Song - No Vocals.flac")
    whole, vocals = soundfile.read(song)[0], soundfile.read(stems / "Song - Vocals.flac")[0]
    assert abs(whole - vocals - minus).max() < 2**-15
    for folder in song.parent.glob("*.stems"):
        shutil.rmtree(folder)
    bench.separate(song)
    assert {path.name: path.read_bytes() for path in stems.iterdir()}.keys() == kept.keys()
    assert bench.created == 1


def retitle(song: Path) -> None:
    tags = mutagen.flac.FLAC(song)
    tags["title"] = "Another Title"
    tags["comment"] = "x" * 9000
    tags.save()


def embed_cover(song: Path) -> None:
    tags = mutagen.flac.FLAC(song)
    picture = mutagen.flac.Picture()
    picture.data, picture.mime, picture.type = b"\xff\xd8" + b"c" * 100_000, "image/jpeg", 3
    tags.add_picture(picture)
    tags.save()


def convert_losslessly(song: Path) -> None:
    """To another container, with the same samples."""
    samples, rate = soundfile.read(song, dtype="int16")
    soundfile.write(song.with_suffix(".wav"), samples, rate, subtype="PCM_16")
    song.with_suffix(".wav").replace(song)


@pytest.mark.parametrize("act", [retitle, embed_cover, convert_losslessly])
def test_tags_cover_and_a_lossless_conversion(bench: Bench, song: Path, act: Callable[[Path], None]) -> None:
    bench.separate(song)
    act(song)
    bench.separate(song)
    assert bench.created == 1
    assert [path.name for path in song.parent.glob("*.stems")] == ["Song.stems"]


def test_a_tag_edited_while_the_job_waits_does_not_fail_it(bench: Bench, song: Path) -> None:
    bench.service.behave(Behaviour(walk=(waiting(1), processing(seconds=1e9))))
    process = bench.begin("separate", "--provider", "mvsep", song)
    bench.service.wait_asked()
    retitle(song)
    bench.service.clock.advance(2e9)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, (out, err)
    assert bench.created == 1 and song.with_suffix(".stems").is_dir()


def rename(song: Path) -> Path:
    return song.rename(song.with_name("Renamed.flac"))


def rename_album(song: Path) -> Path:
    return song.parent.rename(song.parent.with_name("Album (2026)")) / song.name


@pytest.mark.parametrize("act", [rename, rename_album])
def test_a_song_renamed_while_its_job_runs_is_followed(bench: Bench, song: Path, act: Callable[[Path], Path]) -> None:
    bench.service.behave(Behaviour(walk=(waiting(1), processing(seconds=1e9))))
    process = bench.begin("separate", "--provider", "mvsep", song)
    bench.service.wait_asked()
    there = act(song)
    bench.service.clock.advance(2e9)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, (out, err)
    assert (bench.created, files(there.with_suffix(".stems"))[0]) == (1, f"{there.stem} - Instrumental.flac")
    assert not (song.parent.is_dir() and song.with_suffix(".stems").exists())


def test_a_song_moved_far_away_is_followed_once_it_is_handed_in_there(bench: Bench, song: Path, tmp_path: Path) -> None:
    """Copied and deleted, as sync tools do, after its job was killed."""
    bench.service.behave(Behaviour(walk=(waiting(1), processing(seconds=1e9))))
    process = bench.begin("separate", "--provider", "mvsep", song)
    bench.service.wait_asked()
    process.kill()
    process.wait()
    (tmp_path / "far/away").mkdir(parents=True)
    there = Path(shutil.copy(song, tmp_path / "far/away/Song.flac"))
    song.unlink()
    bench.service.clock.advance(2e9)
    bench.separate(there)
    assert (bench.created, len(bench.jobs())) == (1, 1)
    assert there.with_suffix(".stems").is_dir() and not song.with_suffix(".stems").exists()


def test_one_of_two_copies_that_is_deleted_takes_nothing_with_it(bench: Bench, song: Path) -> None:
    copy = Path(shutil.copy(song, song.with_name("Copy.flac")))
    bench.service.behave(Behaviour(walk=(waiting(1), processing(seconds=1e9))))
    process = bench.begin("separate", "--provider", "mvsep", song, copy)
    bench.service.wait_asked()
    song.unlink()
    bench.service.clock.advance(2e9)
    process.communicate(timeout=LIMIT)
    assert bench.created == 1
    assert copy.with_suffix(".stems").is_dir()


DOWNLOADS = [
    pytest.param(html_page("GET", FILES, times=40), id="HTML"),
    pytest.param(refuse("GET", FILES, 404, times=40), id="404"),
    pytest.param(refuse("GET", FILES, 403, times=40), id="403"),
    pytest.param(truncate("GET", FILES, at=0, times=40), id="empty"),
]


@pytest.mark.parametrize("word", ["retry", "separate"])
@pytest.mark.parametrize("fault", DOWNLOADS)
def test_a_download_that_is_no_good_is_fetched_again(bench: Bench, song: Path, fault: Fault, word: str) -> None:
    armed = bench.service.faults.add(fault)
    process = bench.begin("separate", "--provider", "mvsep", song)
    armed.wait(3)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    process.kill()
    process.wait()
    bench.service.faults.clear()
    if word == "separate":
        bench.separate(song)
    else:
        (job,) = bench.jobs()
        verb = "retry" if job["state"] == "failed" else "resume"
        code, out, err = bench.run("jobs", verb, job["id"])
        assert code == 0, (out, err)
    assert bench.created == 1 and song.with_suffix(".stems").is_dir()


def test_a_cancel_that_the_service_refuses_is_taken_back(bench: Bench, song: Path) -> None:
    bench.service.behave(Behaviour(walk=(processing(seconds=1e9),)))
    process = bench.begin("separate", "--provider", "mvsep", song)
    bench.service.wait_asked()
    process.kill()
    process.wait()
    (job,) = bench.jobs()
    code, out, _ = bench.run("jobs", "cancel", job["id"])
    assert (code, "cancelled" in out) == (0, True)
    bench.service.clock.advance(2e9)
    code, out, err = bench.run("jobs", "retry", job["id"])
    assert (code, bench.created) == (0, 1), (out, err)


@pytest.mark.parametrize("word", ["resume", "separate", "retry"])
def test_a_network_that_was_away_after_the_create(bench: Bench, song: Path, word: str) -> None:
    """The answer is lost, and nothing can be asked until the job is given up: whoever comes back looks first."""
    bench.environ[SEARCH] = "1"
    bench.service.faults.add(reset_after("POST", CREATE))
    for path in ("*/app/user*", "*/app/separation_history*", "*/app/queue*"):
        bench.service.faults.add(refuse("GET", path, 404, times=None))
    code, out, err = bench.run("separate", "--provider", "mvsep", song)
    assert (code, bench.created) == (4, 1), (out, err)
    bench.service.faults.clear()
    (job,) = bench.jobs()
    assert job["state"] == "unconfirmed"
    if word == "separate":
        bench.separate(song)
    else:
        code, out, err = bench.run("jobs", word, *([job["id"]] if word == "retry" else []))
        assert code == 0, (out, err)
    assert bench.created == 1 and song.with_suffix(".stems").is_dir()


def test_a_plain_wish_joins_what_was_forced(bench: Bench, song: Path) -> None:
    bench.service.behave(Behaviour(walk=(waiting(1), processing(seconds=1e9))))
    process = bench.begin("separate", "--provider", "mvsep", "--force", song)
    bench.service.wait_asked()
    process.kill()
    process.wait()
    bench.service.clock.advance(2e9)
    bench.separate(song)
    assert bench.created == 1


def test_what_is_gone_everywhere_is_not_bought_again_unasked(bench: Bench, song: Path) -> None:
    bench.separate(song)
    shutil.rmtree(song.with_suffix(".stems"))
    shutil.rmtree(bench.home / "purchases")
    bench.service.expire()
    code, _, err = bench.run("separate", "--provider", "mvsep", "--yes", song)
    assert (code, bench.created) == (1, 1)
    assert "--force" in err and "Traceback" not in err
    (job, _) = bench.jobs()
    code, out, err = bench.run("jobs", "retry", job["id"], "--force")
    assert (code, bench.created) == (0, 2), (out, err)
