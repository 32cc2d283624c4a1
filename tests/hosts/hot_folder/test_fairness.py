"""No class of files that take long keeps songs from being looked at, taken, or seen at all."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stembridge_hot_folder import intake
from stembridge_hot_folder.scan import Names, ScanRules, SeenSong, scan

from plugin_core.errors import RefusedError
from plugin_core.model import Plan, Separation, Source
from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.hosts.hot_folder.separator import CheapSeparator

MOST = 20
PLACEHOLDERS = 20_001


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a watch look at few files at once."""
    monkeypatch.setattr(intake, "MOST", MOST)


def test_case_05_more_placeholders_than_are_watched_at_once_keep_no_song_from_being_taken(desk: Desk) -> None:
    for number in range(PLACEHOLDERS):
        os.close(os.open(desk.root / f"{number:05}.wav", os.O_CREAT | os.O_WRONLY))
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        desk.song("Song.wav")
        desk.song("~last.wav", seed=2)
        watch.wait_done("Song.wav", "~last.wav")
        filled = desk.song("00007.wav", seed=3)
        watch.wait_done(filled.name)
    told = Counter(watch.listener.of("settling"))
    assert not [f"{number:05}" for number in range(PLACEHOLDERS) if number != 7 and told[f"{number:05}.wav"] > 1]
    assert sorted(desk.separator.paid) == ["00007.wav", "Song.wav", "~last.wav"]


@contextmanager
def restless(paths: list[Path]) -> Iterator[None]:
    """Change files without end."""
    is_over = threading.Event()

    def change() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            for path in paths:
                os.utime(path, ns=(number, number))

    for path in paths:
        path.write_bytes(b"RIFF")
    changer = threading.Thread(target=change)
    changer.start()
    try:
        yield
    finally:
        is_over.set()
        changer.join()


@pytest.mark.usefixtures("few")
def test_case_01_files_that_never_settle_keep_no_song_from_being_taken(desk: Desk) -> None:
    with restless([desk.root / f"{number:02}.wav" for number in range(MOST + 5)]), desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        desk.song()
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Song.wav"]


@pytest.mark.usefixtures("few")
def test_songs_of_an_account_that_is_refused_keep_no_other_song_from_being_taken(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = CheapSeparator.plan

    async def refuse(self: CheapSeparator, source: Source, wish: Separation) -> Plan:
        if not wish.stems:
            raise RefusedError("no credits are left")
        return await plan(self, source, wish)

    monkeypatch.setattr(CheapSeparator, "plan", refuse)
    desk.home.mkdir(exist_ok=True)
    (desk.home / "config.toml").write_text(
        '[presets.other]\noperations = [{ kind = "separation", provider = "fake", stems = ["vocals"] }]\n'
    )
    for number in range(MOST + 5):
        desk.song(f"{number:02}.wav", seed=number)
    with desk.running() as watch:
        wait_for(lambda: watch.watch._tools.queue.blocked >= MOST)
        desk.song("other/Song.wav", seed=100)
        watch.wait_done("Song.wav")
    assert desk.once().of("done") == [], "a single pass ends, although not all were ever queued"


def test_order_of_a_look_is_by_name_or_another_one_each_time(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.wav").write_bytes(b"RIFF")
    rules = ScanRules(names=Names())

    def names(*, is_ordered: bool) -> tuple[bytes, ...]:
        sights = scan(os.fsencode(tmp_path), rules, is_ordered=is_ordered)
        return tuple(sight.path for sight in sights if isinstance(sight, SeenSong))

    assert names(is_ordered=True) == tuple(sorted(names(is_ordered=False)))
    assert len({names(is_ordered=False) for _ in range(5)}) > 1
