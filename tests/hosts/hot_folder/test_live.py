"""The live display's pace: as often as something moves, and seldom where nothing does."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from stembridge_hot_folder.display import Counts, PlainWatch
from stembridge_hot_folder.live import LiveWatch

from plugin_core.model import Job, JobState, Source, Tagging
from tests.hosts.hot_folder.conftest import wait_for


def job(folder: Path, **fields: object) -> Job:
    """Return a tagging of a song in a folder."""
    source = Source(
        path=folder / "Song.wav", device=1, inode=1, size=1, mtime_ns=1, content="before", duration=1.0, channels=2,
        frames=44100, sample_rate=44100, encoding="PCM_16",
    )  # fmt: skip
    plain = Job(
        id="id1", state=JobState.PUBLISHING, operation=Tagging(provider="ears"), source=source, account="ears",
        dedupe="key", created=0.0, updated=0.0,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **fields)


def watch(counts: Counts) -> LiveWatch:
    return LiveWatch(lambda: counts, Console(file=io.StringIO(), force_terminal=True, width=100))


def test_idle_folder_is_drawn_seldom_and_a_song_at_work_often(tmp_path: Path) -> None:
    counts = Counts()
    display = watch(counts)
    calm = display.drawings_per_second
    for _ in range(100):
        display._totals((), 0)
    idle = display.drawings_per_second
    assert idle < calm
    counts.settling = 1
    display._totals((), 0)
    assert display.drawings_per_second == calm
    display.change(job(tmp_path, state=JobState.RUNNING), None)
    assert display.drawings_per_second > calm
    display.change(job(tmp_path, state=JobState.DONE), job(tmp_path, state=JobState.RUNNING))
    assert display.drawings_per_second == calm


def test_counts_are_drawn_while_inside_and_no_longer_after() -> None:
    counts = Counts()
    drawn = io.StringIO()
    with LiveWatch(lambda: counts, Console(file=drawn, force_terminal=True, width=100)) as display:
        wait_for(lambda: "waiting for songs" in drawn.getvalue())
        counts.settling = 3
        wait_for(lambda: "3 settling" in drawn.getvalue())
        assert not display._live.auto_refresh
    assert not display._drawer.is_alive()


def test_a_note_says_of_which_song_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = io.StringIO()
    live = LiveWatch(Counts, Console(file=drawn, force_terminal=True, width=1000))
    for display in (live, PlainWatch()):
        display.change(
            job(tmp_path, state=JobState.DONE, notes=("flac may fail",)), job(tmp_path, state=JobState.RUNNING)
        )
    assert f"{tmp_path / 'Song.wav'}: note, flac may fail\n" in capsys.readouterr().out
    assert any("note" in line and "Song.wav" in line and "may fail" in line for line in drawn.getvalue().splitlines())
