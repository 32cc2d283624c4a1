"""A run that is killed goes on where it was: every song once, and library and files agree.

``BEETS_SONGS`` makes the library larger; 1000 is the full size.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.audio_files import write_song
from tests.hosts.beets.conftest import tag
from tests.hosts.beets.files import read_labels
from tests.hosts.beets.library import Beets
from tests.hosts.beets.services import account_at
from tests.simulators import faults
from tests.simulators.mediax import MediaxSimulator, Refusal
from tests.simulators.messages import Request

SONGS = int(os.environ.get("BEETS_SONGS", "12"))


PATIENCE = 600.0


def wait_for(is_so: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() < until
        time.sleep(0.02)


def fill(beets: Beets, count: int) -> None:
    """Import songs that differ in their sound, so that each is a purchase of its own."""
    if count < 100:
        # One song after the other, so that a kill half way meets few of them.
        beets.environ |= {"SLOTS": "1", "MOOD": "slow"}
    from mutagen.flac import FLAC

    for number in range(count):
        audio = FLAC(write_song(beets.inbox / f"{number:04}.flac", 0.3, seed=number))
        audio["title"], audio["artist"] = f"Song {number:04}", "Artist"
        audio.save()
    beets.do("import", "-q", "-s", str(beets.inbox))


def is_sound(library: Path) -> bool:
    with sqlite3.connect(library) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))


@pytest.mark.parametrize("kills", [1, 3], ids=["once", "three-times"])
def test_killed_and_resumed(beets: Beets, kills: int) -> None:
    fill(beets, SONGS)
    words = ["stems", "-y"]
    for kill in range(1, kills + 1):
        half = SONGS * kill // (kills + 1)
        process = beets.start(*words, environ={"MOST": str(half)})
        wait_for(lambda: len(beets.bought()) >= half, process)  # noqa: B023 - called at once
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(beets.bought()) < SONGS
        words = ["stembridge", "resume"]
    beets.do("stembridge", "resume")

    assert Counter(beets.bought()).most_common(1)[0][1] == 1
    assert len(beets.bought()) == SONGS
    assert len(beets.values("title", "stems:vocals")) == SONGS
    assert beets.values("title", "stems_todo::.") == []
    assert beets.do("stems", "--check").out == "all stems are where they belong\n"
    assert len(list(beets.music.rglob("*.stems/*.flac"))) == 2 * SONGS
    assert is_sound(beets.root / "library.db")


def test_asked_again_instead_of_resumed(beets: Beets) -> None:
    fill(beets, SONGS)
    process = beets.start("stems", "-y", environ={"MOST": str(SONGS // 2)})
    wait_for(lambda: len(beets.bought()) >= SONGS // 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    beets.do("stems", "-y")
    assert len(beets.bought()) == len(set(beets.bought())) == SONGS
    assert len(beets.values("title", "stems:vocals")) == SONGS


def test_forced_songs_are_bought_once_more_and_no_more(beets: Beets) -> None:
    fill(beets, SONGS)
    beets.do("stems", "-y")
    process = beets.start("stems", "-y", "-f", environ={"MOST": str(SONGS * 3 // 2)})
    wait_for(lambda: len(beets.bought()) >= SONGS * 3 // 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    beets.do("stembridge", "resume")
    assert set(Counter(beets.bought()).values()) == {2}
    assert len(list(beets.music.rglob("*.stems"))) == SONGS


def test_interrupted_by_the_user(beets: Beets) -> None:
    fill(beets, SONGS)
    process = beets.start("stems", "-y", "-t", "1", environ={"MOOD": "slow", "MOST": "2"})
    wait_for(lambda: len(beets.bought()) >= 2, process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert b"go on with: beet stembridge resume" in out
    assert b"Traceback" not in out
    beets.do("stembridge", "resume")
    assert len(beets.bought()) == len(set(beets.bought())) == SONGS


def test_two_at_once_buy_every_song_once(beets: Beets) -> None:
    fill(beets, SONGS)
    both = [beets.start("stems", "-y") for _ in range(2)]
    told = [process.communicate(timeout=PATIENCE)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert len(beets.bought()) == len(set(beets.bought())) == SONGS
    assert beets.do("stems", "--check").code == 0
    assert beets.values("title", "stems_todo::.") == []


def test_one_interrupt_stops_all_kinds_of_work(beets: Beets) -> None:
    """Labels first, then stems: who stops the labels does not want to wait for the stems."""
    with MediaxSimulator(walk=(1,) * 10_000, fetches=False) as service:
        beets.environ |= account_at(service)
        beets.configure({"auto": "yes"})
        for number in range(3):
            tag(write_song(beets.inbox / f"{number}.flac", 0.3, seed=number), title=f"{number}", artist="Artist")
        process = beets.start("import", "-q", "-A", "-s", str(beets.inbox))
        wait_for(lambda: service.created > 0, process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
    assert b"Traceback" not in out
    assert beets.bought() == []
    assert len(beets.do("stembridge").out.splitlines()) == 6


class BoundedMediax(MediaxSimulator):
    """Makes at most so many jobs; who asks for more waits until ``release``, in vain."""

    most = SONGS

    def _create(self, request: Request, asked: dict[str, Any]) -> dict[str, Any]:
        if self.created >= self.most:
            self.wait_release()
            raise Refusal("no more jobs")
        return super()._create(request, asked)


def test_labels_killed_and_resumed(beets: Beets) -> None:
    """Every song is labelled once, and library and files agree."""
    beets.environ |= {"SLOTS": "1"}
    fill(beets, SONGS)
    with BoundedMediax(walk=(3,), fetches=False) as service:
        beets.environ |= account_at(service) | {"STEMBRIDGE_MEDIAX_REGISTER_SECONDS": "0.5"}
        words = ["moods", "-y", "-t", "1"]
        for service.most in (SONGS // 3, SONGS * 2 // 3):
            process = beets.start(*words)
            wait_for(lambda: service.created >= service.most, process)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            service.release()
            words = ["stembridge", "resume"]
        assert service.created < SONGS
        service.most = SONGS
        beets.do("stembridge", "resume")
        assert service.created == SONGS
    assert beets.do("stembridge").out == "nothing is left to be done\n"
    assert len(beets.values("title", "mood:calm", "genres:rock")) == SONGS
    assert [read_labels(path)["mood"] for path in beets.music.rglob("*.flac")] == [["Calm"]] * SONGS
    assert is_sound(beets.root / "library.db")


def test_a_lost_answer_is_looked_for_to_its_end(beets: Beets) -> None:
    """Several looks find nothing, more than ``tries`` allows for trouble; then the job is sent again."""
    fill(beets, 1)
    with MediaxSimulator(walk=(3,), fetches=False) as service:
        beets.environ |= account_at(service) | {"STEMBRIDGE_MEDIAX_REGISTER_SECONDS": "2"}
        service.faults.add(faults.reset_before("POST", "/job"))
        told = beets.do("moods", "-y")
        assert service.created == 1
    assert "looking for the job there" in told.err
    assert beets.values("title", "mood:calm") == ["Song 0000"]
