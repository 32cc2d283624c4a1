"""What people do to songs of a drop folder, while they are at the service and after: none of it pays again.

Real watches over the real client, against a simulator of the service that counts the paid creates; songs are a minute.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile
from stembridge_hot_folder.ledger import LEDGER_NAME, SongLedger, SongState

from plugin_core import Session, Settings
from plugin_core.model import Job, JobState
from tests.audio_files import write_song
from tests.end_to_end.bought_bench import embed_cover, files, retitle
from tests.end_to_end.hasty import start
from tests.end_to_end.sharing import SHARED, kept_of, share_jobs, working
from tests.hosts.hot_folder.conftest import wait_for
from tests.postgresql import postgresql
from tests.simulators.mvsep import FREE_TOKEN, Behaviour
from tests.simulators.mvsep.walks import processing, waiting
from tests.simulators.mvsep.watched import Watched

__all__ = ["postgresql"]

FILES = "/storage/processed/*"
LIMIT = 300
SECONDS = 6.0
AGES = 3600.0
QUEUED = Behaviour(walk=(waiting(1, seconds=AGES),))
"""The service would give the credits back."""
BEGUN = Behaviour(walk=(processing(seconds=AGES),))
"""It would not."""
PRESETS = """
[[presets.deep.operations]]
kind = "separation"
format = "wav24"
[[presets.voice.operations]]
kind = "separation"
stems = ["vocals"]
[[presets.karaoke.operations]]
kind = "separation"
minus = ["vocals"]
"""


@pytest.fixture
def service() -> Iterator[Watched]:
    with Watched() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_song(tmp_path_factory.mktemp("recording") / "Song.flac", SECONDS, subtype="PCM_16")


def convert_losslessly(song: Path) -> None:
    """Put the same samples, in another container, in a song's place."""
    samples, rate = soundfile.read(song, dtype="int16")
    soundfile.write(song.with_suffix(".new"), samples, rate, subtype="PCM_16", format="WAV")
    song.with_suffix(".new").replace(song)


class Drop:
    """A drop folder, and watches over it, with a free account."""

    def __init__(self, service: Watched, home: Path, root: Path, recording: Path) -> None:
        self.service, self.home = service, home
        self.root, self._recording = root, recording
        self.log = root.parent / "told.jsonl"
        self.environ = {
            "STEMBRIDGE_HOME": str(home),
            "STEMBRIDGE_PLUGINS": "mvsep,hot_folder",
            "STEMBRIDGE_MVSEP_API_TOKEN": FREE_TOKEN,
            "STEMBRIDGE_MVSEP_BASE_URL": service.api,
            "STEMBRIDGE_MVSEP_POLL_FIRST": "0.05",
            "STEMBRIDGE_MVSEP_POLL_LONGEST": "0.1",
            "STEMBRIDGE_MVSEP_REGISTER_SECONDS": "0.5",
            "STEMBRIDGE_SEPARATE_PROVIDER": "mvsep",
            "STEMBRIDGE_MVSEP_MODEL": "40",
            "STEMBRIDGE_WATCH_SETTLE_SECONDS": "0.1",
        }
        self.be_patient()

    @property
    def created(self) -> int:
        """What was paid for."""
        return self.service.created

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Return exit code, output and errors of a command."""
        process = start(self.environ, *arguments)
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out.decode(), err.decode()

    def be_patient(self, seconds: float = 60.0) -> None:
        """Wait so long for songs that are not at their path."""
        self.environ["STEMBRIDGE_WATCH_RESCAN_SECONDS"] = str(seconds)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while inside; what is told is added to the log."""
        with self.log.open("ab") as log:
            process = start(self.environ, "watch", self.root, "--json", output=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=LIMIT)
        assert b"Traceback" not in err and b"failed" not in err, err.decode()

    def drop(self, name: str, *, song: Path | None = None) -> Path:
        """Drop a song at once, by a rename as people should."""
        path, hidden = self.root / name, self.home / "new"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(song or self._recording, hidden)
        return hidden.rename(path)

    def told(self) -> list[dict[str, Any]]:
        """Return what was told of songs."""
        lines = self.log.read_text("utf-8").split("\n")[:-1] if self.log.exists() else []
        return [one for one in map(json.loads, lines) if one["event"] in ("song", "warning")]

    def of(self, word: str, path: Path) -> list[str]:
        """Return the reasons with which a word was told of a song."""
        return [one["reason"] for one in self.told() if one.get("state") == word and one["source"] == str(path)]

    def wait(self, word: str, path: Path, count: int = 1) -> None:
        """Wait until a word was told of a song so often."""
        wait_for(lambda: len(self.of(word, path)) >= count, lambda: f"{word} {path}: {self.told()}")

    def pass_time(self) -> None:
        """Let the service come to its end with all that it has."""
        self.service.clock.advance(2 * AGES)

    def stored(self) -> list[Job]:
        """Return all jobs."""
        with Session(Settings(self.home)) as session:
            return session.store.list()

    def rows(self) -> dict[str, SongState]:
        """Return the songs that the watch knows."""
        with SongLedger(self.home / LEDGER_NAME) as ledger:
            return {os.fsdecode(row.path): row.state for row in ledger.list(SongState)}


@pytest.fixture
def is_shared() -> bool:
    return SHARED


@pytest.fixture
def drop(
    service: Watched, home: Path, tmp_path: Path, recording: Path, is_shared: bool, request: pytest.FixtureRequest
) -> Iterator[Drop]:
    root = tmp_path / "Drop"
    root.mkdir()
    (tmp_path / "far").mkdir()
    made = Drop(service, home, root, recording)
    if not is_shared:
        yield made
        return
    share_jobs(home, request.getfixturevalue("postgresql"), tmp_path)
    with working(made.environ, home):
        yield made


def rename(song: Path) -> Path:
    return song.rename(song.with_name("Renamed.flac"))


def move_to_another_folder(song: Path) -> Path:
    folder = song.parent.with_name("Another")
    folder.mkdir()
    return song.rename(folder / song.name)


def rename_album(song: Path) -> Path:
    return song.parent.rename(song.parent.with_name("Album (2026)")) / song.name


def move_out_and_back(song: Path) -> Path:
    away = song.rename(song.parents[2] / "far" / song.name)
    return away.rename(song)


def move_out_and_back_elsewhere(song: Path) -> Path:
    away = song.rename(song.parents[2] / "far" / song.name)
    return away.rename(song.parents[1] / "Renamed.flac")


def copy_and_delete(song: Path) -> Path:
    """As sync tools rename."""
    copy = Path(shutil.copy(song, song.with_name("Copied.flac")))
    song.unlink()
    return copy


def delete_and_copy(song: Path) -> Path:
    """As sync tools rename, the other way round."""
    away = Path(shutil.copy(song, song.parents[2] / "far" / song.name))
    song.unlink()
    return Path(shutil.copy(away, song.parents[1] / "Copied.flac"))


MOVES = [
    rename,
    move_to_another_folder,
    rename_album,
    move_out_and_back,
    move_out_and_back_elsewhere,
    copy_and_delete,
    delete_and_copy,
]


@pytest.mark.parametrize("is_watched", [True, False], ids=["watched", "while the watch is stopped"])
@pytest.mark.parametrize("act", MOVES)
def test_case_39_song_renamed_or_moved_while_its_job_runs(
    drop: Drop, act: Callable[[Path], Path], is_watched: bool
) -> None:
    """One create, stems beside the new place, and nothing left of the old one."""
    drop.service.behave(QUEUED)
    song = drop.drop("Album/Song.flac")
    with drop.watching():
        drop.service.wait_asked()
        if is_watched:
            there = act(song)
            # Taken up at its new place before the service is done.
            wait_for(lambda: drop.stored()[0].source.path == there, drop.told)
            drop.pass_time()
            drop.wait("done", there)
            # Its old row goes once the watch has looked there again.
            wait_for(lambda: drop.rows() == {str(there): SongState.DONE}, drop.told)
    if not is_watched:
        there = act(song)
        drop.pass_time()
        with drop.watching():
            drop.wait("done", there)
            wait_for(lambda: drop.rows() == {str(there): SongState.DONE}, drop.rows)
    assert drop.created == 1
    assert len(files(there.with_suffix(".stems"))) == 2
    assert there == song or not song.with_suffix(".stems").exists()
    assert drop.rows() == {str(there): SongState.DONE}
    assert drop.service.requests("POST", "*/separation/cancel") == []


@pytest.mark.parametrize("is_shared", [True])
def test_case_39_song_that_moves_while_a_worker_has_its_job(drop: Drop) -> None:
    test_case_39_song_renamed_or_moved_while_its_job_runs(drop, rename_album, is_watched=True)


def test_case_39_song_that_was_moved_and_finished_by_another_process_while_the_watch_is_stopped(drop: Drop) -> None:
    """It is done, and not passed over where what is done is moved away."""
    drop.environ["STEMBRIDGE_WATCH_DONE"] = "done"
    drop.service.behave(QUEUED)
    song = drop.drop("Song.flac")
    with drop.watching():
        drop.service.wait_asked()
    there = rename(song)
    drop.pass_time()
    assert drop.run("jobs", "resume")[0] == 0
    with drop.watching():
        wait_for(lambda: drop.of("done", there) or drop.of("skipped", there), drop.told)
    assert (drop.of("skipped", there), drop.created) == ([], 1)
    assert len(files(drop.root / "done" / "Renamed.stems")) == 2 and not there.exists()
    assert drop.rows() == {str(there): SongState.DONE}


def test_case_24_drop_folder_that_is_renamed_while_a_job_runs_and_back_again(drop: Drop) -> None:
    """Its stems were placed under the other name meanwhile, and the song was only passed over for them."""
    drop.environ["STEMBRIDGE_WATCH_DONE"] = "done"
    drop.be_patient(2.0)
    drop.service.behave(QUEUED)
    song, away = drop.drop("Song.flac"), drop.root.with_name("Away")
    with drop.watching():
        drop.service.wait_asked()
        drop.root.rename(away)
        wait_for(lambda: "cannot be reached" in drop.log.read_text("utf-8"), drop.told)
        drop.pass_time()
        wait_for(lambda: drop.stored()[0].state is JobState.DONE, drop.told)
        assert len(files(away / "Song.stems")) == 2
        away.rename(drop.root)
        wait_for(lambda: drop.of("done", song) or drop.of("skipped", song), drop.told)
    assert drop.of("skipped", song) == []
    assert drop.created == 1
    assert len(files(drop.root / "done" / "Song.stems")) == 2 and (drop.root / "done" / "Song.flac").exists()
    assert not song.exists() and not song.with_suffix(".stems").exists()


@pytest.mark.parametrize("gone", ["Song.flac", "Copy.flac"])
def test_case_39_one_of_two_copies_deleted_while_the_job_runs(drop: Drop, gone: str) -> None:
    drop.be_patient(0.3)
    drop.service.behave(QUEUED)
    with drop.watching():
        songs = {name: drop.drop(name) for name in ("Song.flac", "Copy.flac")}
        for song in songs.values():
            drop.wait("taken", song)
        drop.service.wait_asked()
        wait_for(lambda: len(drop.stored()) == 2)
        away = songs.pop(gone)
        away.unlink()
        drop.wait("dropped", away)
        drop.pass_time()
        (left,) = songs.values()
        drop.wait("done", left)
    assert drop.created == 1
    assert left.with_suffix(".stems").is_dir() and not away.with_suffix(".stems").exists()


def test_case_19_song_moved_out_for_good_while_its_job_runs_is_finished_and_kept(drop: Drop) -> None:
    """The service refunds nothing by then: its results are brought home, in one line, and cost 0 more later."""
    drop.be_patient(0.3)
    drop.service.behave(BEGUN)
    song = drop.drop("Song.flac")
    with drop.watching():
        drop.service.wait_asked()
        away = song.rename(drop.root.parent / "far" / "Song.flac")
        drop.wait("cancelling", song)
        drop.pass_time()
        drop.wait("dropped", song)
        assert len(list(kept_of(drop.home).glob("purchases/*/part-*"))) == 2
        fetched = len(drop.service.requests("GET", FILES))
        assert [path.name for path in drop.root.iterdir()] == [".stembridge.lock"]
        there = away.rename(drop.root / "Back.flac")
        drop.wait("done", there)
    assert len(files(there.with_suffix(".stems"))) == 2
    assert (drop.created, len(drop.service.requests("GET", FILES))) == (1, fetched)
    (why,) = drop.of("dropped", song)
    assert "what was bought for it is kept" in why
    assert not [one for one in drop.told() if one["event"] == "warning" or one["state"] == "failed"]
    assert drop.rows() == {str(there): SongState.DONE}


def test_case_19_song_that_is_gone_for_good_is_given_back_while_the_service_refunds(drop: Drop) -> None:
    drop.be_patient(0.3)
    drop.service.behave(QUEUED)
    song = drop.drop("Song.flac")
    with drop.watching():
        drop.service.wait_asked()
        song.unlink()
        drop.wait("dropped", song)
    assert len(drop.service.requests("POST", "*/separation/cancel")) == 1
    (job,) = drop.service.jobs
    assert job.is_cancelled
    assert drop.rows() == {}


def test_case_19_song_gone_while_the_watch_is_stopped_is_finished_and_kept_by_the_next(drop: Drop) -> None:
    drop.be_patient(0.3)
    drop.service.behave(BEGUN)
    song = drop.drop("Song.flac")
    with drop.watching():
        drop.service.wait_asked()
    song.unlink()
    drop.pass_time()
    code, out, err = drop.run("watch", drop.root, "--once")
    assert (code, err) == (0, ""), (out, err)
    assert [line for line in out.splitlines() if "Song.flac" in line and "dropped" in line]
    assert len(list(kept_of(drop.home).glob("purchases/*/part-*"))) == 2
    there = drop.drop("Back.flac")
    code, out, err = drop.run("watch", drop.root, "--once")
    assert (code, drop.created) == (0, 1), (out, err)
    assert there.with_suffix(".stems").is_dir()


def test_case_19_song_that_comes_back_to_its_place_after_it_was_given_up(drop: Drop) -> None:
    drop.be_patient(0.3)
    drop.service.behave(BEGUN)
    song = drop.drop("Song.flac")
    with drop.watching():
        drop.service.wait_asked()
        away = song.rename(drop.root.parent / "far" / "Song.flac")
        drop.wait("cancelling", song)
        away.rename(song)
        drop.pass_time()
        drop.wait("done", song)
    assert (drop.created, len(drop.stored())) == (1, 1)
    assert drop.of("dropped", song) == []


def test_case_20_what_runs_for_a_song_that_was_replaced_is_finished_by_the_next_watch(
    drop: Drop, tmp_path: Path
) -> None:
    drop.service.behave(BEGUN)
    other = write_song(tmp_path / "other.flac", SECONDS, subtype="PCM_16", seed=2)
    song = drop.drop("Song.flac")
    with drop.watching():
        drop.service.wait_asked()
    drop.service.behave(Behaviour())
    drop.drop("Song.flac", song=other)
    with drop.watching():
        # The free account has one place, which the first song takes.
        wait_for(lambda: len(drop.stored()) == 2, drop.told)
    drop.pass_time()
    with drop.watching():
        drop.wait("done", song)
        wait_for(lambda: all(job.state.is_settled for job in drop.stored()))
        drop.wait("done", drop.drop("Back.flac"))
    assert drop.created == 2
    assert song.with_suffix(".stems").is_dir()


def test_case_20_song_replaced_by_another_while_its_job_runs_keeps_what_was_bought(drop: Drop, tmp_path: Path) -> None:
    drop.be_patient(0.3)
    drop.service.behave(BEGUN)
    other = write_song(tmp_path / "other.flac", SECONDS, subtype="PCM_16", seed=2)
    song = drop.drop("Song.flac")
    with drop.watching():
        drop.service.wait_asked()
        drop.service.behave(Behaviour())
        drop.drop("Song.flac", song=other)
        drop.wait("taken", song, 2)
        drop.pass_time()
        drop.wait("done", song)
        wait_for(lambda: all(job.state.is_settled for job in drop.stored()))
        there = drop.drop("Back.flac")
        drop.wait("done", there)
    assert drop.created == 2
    assert there.with_suffix(".stems").is_dir()


def add_comment(song: Path) -> None:
    if shutil.which("metaflac") is None:
        pytest.skip("needs metaflac")
    subprocess.run(["metaflac", "--set-tag=COMMENT=heard", song], check=True)


@pytest.mark.parametrize("act", [retitle, embed_cover, add_comment])
def test_case_16_title_comment_or_cover_edited_in_place(drop: Drop, act: Callable[[Path], None]) -> None:
    song = drop.drop("Song.flac")
    with drop.watching():
        drop.wait("done", song)
        act(song)
        drop.wait("skipped", song)
    assert drop.created == 1
    assert [path.name for path in drop.root.glob("*.stems")] == ["Song.stems"]


@pytest.mark.parametrize("name", ["Song.wav", "Other/Song.wav"])
def test_case_16_lossless_conversion_dropped(drop: Drop, tmp_path: Path, name: str) -> None:
    song = drop.drop("Song.flac")
    converted = Path(shutil.copy(song, tmp_path / "Song.flac"))
    convert_losslessly(converted)
    with drop.watching():
        drop.wait("done", song)
        wav = drop.drop(name, song=converted)
        drop.wait("skipped", wav)
    assert drop.created == 1
    assert [path.name for path in drop.root.rglob("*.stems")] == ["Song.stems"]


def test_case_16_same_song_dropped_again_after_its_stems_folder_was_deleted(drop: Drop) -> None:
    song = drop.drop("Song.flac")
    with drop.watching():
        drop.wait("done", song)
        shutil.rmtree(song.with_suffix(".stems"))
        drop.drop("Song.flac")
        drop.wait("done", song, 2)
    assert drop.created == 1
    assert [path.name for path in drop.root.glob("*.stems")] == ["Song.stems"]


def test_case_16_dropped_under_another_preset_with_another_form_of_the_same_model(drop: Drop) -> None:
    with (drop.home / "config.toml").open("a") as config:
        config.write(PRESETS)
    with drop.watching():
        for name in ("Song.flac", "deep/Song.flac", "voice/Song.flac", "karaoke/Song.flac"):
            drop.wait("done", drop.drop(name))
    assert drop.created == 1
    assert files(drop.root / "deep/Song.stems") == ["Song - Instrumental.wav", "Song - Vocals.wav"]
    assert files(drop.root / "voice/Song.stems") == ["Song - Vocals.flac"]
    assert files(drop.root / "karaoke/Song.stems") == ["Song - No Vocals.flac"]
