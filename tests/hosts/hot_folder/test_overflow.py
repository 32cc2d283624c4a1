"""Case 12 with the system's own queue and limits: 20,000 files while nobody reads, and no watches left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stembridge_hot_folder.root import ChangeListener

from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.hosts.hot_folder.processes import limited, rows_in, start

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
FILES = 20_000

pytestmark = pytest.mark.skipif(not QUEUE.exists(), reason="inotify is Linux's")


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(output: Path, word: str) -> list[str]:
    """Return the names that a watch told a word of."""
    events = [json.loads(line) for line in output.read_text("utf-8").splitlines() if line.endswith("}")]
    return [event["source"].rpartition("/")[2] for event in events if event.get("state") == word]


def test_case_12_20000_files_overflow_the_queue_of_events_and_all_are_found(desk: Desk, tmp_path: Path) -> None:
    if int(QUEUE.read_text()) >= FILES:
        pytest.skip("this system remembers more events")
    # Nothing is ever complete: to be found is all that is asked, and 20,000 songs would take minutes.
    desk.set(settle_seconds=3600, rescan_seconds=3600)
    os.mkfifo(desk.root / "sign of life.wav")
    output = tmp_path / "output"
    with output.open("wb") as opened, ended(start(desk, "--json", output=opened)) as process:
        wait_for(lambda: told(output, "passed") == ["sign of life.wav"], output.read_text)
        process.send_signal(signal.SIGSTOP)
        for number in range(FILES):
            (desk.root / f"{number:05}.wav").write_bytes(b"RIFF")
        process.send_signal(signal.SIGCONT)
        # Read only once it is long enough: the watch needs the processor more.
        least = FILES * len(str(desk.root))
        wait_for(
            lambda: output.stat().st_size > least and output.read_bytes().count(b'"settling"') >= FILES,
            lambda: len(told(output, "settling")),
        )
        assert sorted(told(output, "settling")) == [f"{number:05}.wav" for number in range(FILES)]


def test_case_12_what_is_told_little_by_little_before_the_rest_is_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine reads what the system kept in small pieces, and nothing says that there was more."""
    told = 1100
    kept: list[bytes] = []
    take = ChangeListener.take

    def take_some(waker: ChangeListener) -> tuple[list[bytes], bool]:
        kept.extend(path for path in take(waker)[0] if path[-8:-4].isdigit() and int(path[-8:-4]) < told)
        some = kept[:100]
        del kept[:100]
        if kept:
            waker._wake()
        return some, False

    monkeypatch.setattr(ChangeListener, "take", take_some)
    desk.set(settle_seconds=3600, rescan_seconds=3600)
    os.mkfifo(desk.root / "sign of life.wav")
    with desk.running() as watch:
        watch.wait("passed", "sign of life.wav")
        for number in range(told + 100):
            (desk.root / f"{number:04}.wav").write_bytes(b"RIFF")
        wait_for(lambda: len(watch.listener.of("settling")) == told + 100, lambda: len(watch.listener.told))


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [
        ("max_inotify_watches", 0, "watch limit"),
        ("max_inotify_instances", 0, "instance limit"),
    ],
    ids=["watches", "watchers"],
)
def test_case_12_limits_of_the_real_system(desk: Desk, tmp_path: Path, limit: str, value: int, why: str) -> None:
    desk.song("a/Song.wav")
    output = tmp_path / "output"
    with output.open("wb") as opened, ended(start(desk, within=limited(limit, value), output=opened)):
        wait_for(lambda: rows_in(desk) == 1, output.read_text)
        desk.song("a/Other.wav", seed=2)
        wait_for(lambda: rows_in(desk) == 2, output.read_text)
    said = output.read_text()
    assert said.count("the system cannot tell of changes") == 1
    assert why in said
    assert "Traceback" not in said


def test_case_12_watches_run_out_while_watching(desk: Desk, tmp_path: Path) -> None:
    desk.song("Song.wav")
    output = tmp_path / "output"
    within = limited("max_inotify_watches", 2)
    with output.open("wb") as opened, ended(start(desk, within=within, output=opened)):
        wait_for(lambda: rows_in(desk) == 1, output.read_text)
        for number in range(5):
            desk.song(f"{number}/deep/Song.wav", seed=2 + number)
        wait_for(lambda: rows_in(desk) == 6, output.read_text)
        for number in range(5):
            desk.song(f"{number}/deep/Other.wav", seed=20 + number)
        wait_for(lambda: rows_in(desk) == 11, output.read_text)
    assert "Traceback" not in output.read_text()
