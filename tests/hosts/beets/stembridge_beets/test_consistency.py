"""Whether a song's file holds another recording than its stems were made of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

pytest.importorskip("beets")

from stembridge_beets.consistency import is_replaced
from stembridge_beets.places import StemsPlace

from tests.plugin_core.jobs.fakes import make_job

MP3 = {"encoding": "lossy"}


@pytest.mark.parametrize(
    ("now", "is_heard", "is_other"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"duration": 9.0}, True, True),
        # Only another form of it: nothing but its length can be compared.
        (MP3 | {"duration": 10.1}, False, False),
        (MP3 | {"duration": 11.0}, False, True),
        ({"sample_rate": 48000}, False, False),
        ({"channels": 1}, False, False),
        ({"encoding": "pcm_24"}, False, False),
    ],
)
def test_another_recording_is_told_from_another_form(
    tmp_path: Path, now: dict[str, Any], is_heard: bool, is_other: bool
) -> None:
    song = tmp_path / "Song.flac"
    song.touch()
    made = make_job(path=song)
    was = msgspec.structs.replace(made.source, duration=10.0, encoding="pcm_16", sample_rate=44100, channels=2)
    job = msgspec.structs.replace(made, source=was)
    reads: list[Path] = []

    def inspect(path: Path) -> Any:
        reads.append(path)
        return msgspec.structs.replace(was, **now)

    place = StemsPlace(tmp_path, ())
    session: Any = SimpleNamespace(inspect=inspect, is_song_of=lambda _job, _path: is_heard)
    written_by_beets: Any = SimpleNamespace(path=bytes(song), mtime=5, length=10.0, current_mtime=lambda: 5)
    assert not is_replaced(session, written_by_beets, place, job) and reads == []
    for changed in ({"current_mtime": lambda: 6}, {"length": 10.2}):
        item: Any = SimpleNamespace(**{**vars(written_by_beets), **changed})
        assert is_replaced(session, item, place, job) is is_other
    assert reads == [song] * 2
    song.unlink()
    assert not is_replaced(session, item, place, job)
