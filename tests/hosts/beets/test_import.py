"""What an import queues is done once it is over, and survives it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.audio_files import write_song
from tests.hosts.beets.conftest import import_songs, tag
from tests.hosts.beets.library import Beets


def test_nothing_is_queued_by_default(three: Beets) -> None:
    assert three.bought() == []
    assert three.values("title", "stems_todo::.") == []


@pytest.mark.parametrize("words", [("-A",), ("-A", "-s"), ("-A", "-W")], ids=["as-is", "singletons", "unwritten"])
@pytest.mark.parametrize("threaded", [True, False], ids=["threaded", "in-turn"])
def test_stems_are_made_after_an_import(beets: Beets, words: tuple[str, ...], threaded: bool) -> None:
    beets.configure({"auto": "stems"}, threaded=threaded)
    for number in range(3):
        tag(write_song(beets.inbox / f"{number}.flac", 0.5, seed=number), title=f"Song {number}", artist="Artist")
    outcome = beets.do("import", "-q", *words, str(beets.inbox))
    assert outcome.out.count("vocals, instrumental") == 3
    assert len(beets.values("title", "stems:vocals")) == 3
    assert beets.values("title", "stems_todo::.") == []
    assert len(list((beets.music / "Artist").glob("*.stems"))) == 3


def test_what_goes_wrong_is_left_to_resume_and_the_import_stands(beets: Beets) -> None:
    beets.configure({"auto": "stems"})
    beets.environ["MOOD"] = "down"
    import_songs(beets, "One", "Two")
    assert sorted(beets.values("title", "stems_todo::.")) == ["One", "Two"]

    beets.environ["MOOD"] = "fine"
    beets.do("stembridge", "resume")
    assert sorted(beets.values("title", "stems:vocals")) == ["One", "Two"]


def test_a_refused_account_is_left_to_resume(beets: Beets) -> None:
    beets.configure({"auto": "stems"})
    beets.environ["MOOD"] = "broke"
    import_songs(beets, "One", "Two")
    assert sorted(beets.values("title", "stems_todo::.")) == ["One", "Two"]
    assert beets.bought() == []

    beets.environ["MOOD"] = "fine"
    beets.do("stembridge", "resume")
    assert sorted(beets.values("title", "stems:vocals")) == ["One", "Two"]
    assert len(beets.bought()) == 2


def test_an_import_that_is_killed_leaves_its_notes(beets: Beets, tmp_path: Path) -> None:
    beets.configure({"auto": "stems"})
    for number in range(20):
        tag(write_song(beets.inbox / f"{number}.flac", 0.5, seed=number), title=f"Song {number}", artist="Artist")
    process = beets.start("import", "-q", "-A", str(beets.inbox), environ={"MOST": "5", "SLOTS": "1"})
    while len(beets.bought()) < 5:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert beets.values("title", "stems_todo::.")
    beets.do("stembridge", "resume")
    assert len(beets.bought()) == len(set(beets.bought())) == 20
    assert len(beets.values("title", "stems:vocals")) == 20


def test_songs_imported_again_keep_their_stems(three: Beets) -> None:
    three.configure({"auto": "stems"}, **{"import": {"copy": True, "autotag": False, "duplicate_action": "skip"}})
    three.do("stems", "-y")
    three.do("import", "-q", "-L", "-A")
    assert len(three.bought()) == 3
    assert three.do("stems", "--check").code == 0
    assert three.values("title", "stems_todo::.") == []
