"""The live display's pace: as often as something moves, and seldom where nothing does."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from stembridge_hot_folder.display.live import LiveWatch
from stembridge_hot_folder.display.reporting import Counts

from plugin_core.model import JobState
from tests.hosts.hot_folder.conftest import wait_for
from tests.plugin_core.operations.test_retagged import job


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
