from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.errors import TransientError
from plugin_core.files.naming import named

OURS = Path("/home/me/.stem (bridge)/purchases/1")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"{OURS}/part-000-ab.flac.try.part cannot be written: full", "Vocals of Song cannot be written: full"),
        (f"{OURS}: full", "Vocals of Song: full"),
        (f"a, {OURS}; b {OURS}/x", "a, Vocals of Song; b Vocals of Song"),
        ("/music/Song.flac is gone", "/music/Song.flac is gone"),
    ],
)
def test_our_own_places_are_told_by_what_people_know(said: str, told: str) -> None:
    with pytest.raises(TransientError) as caught, named({OURS: "Vocals of Song"}):
        raise TransientError(said, remedy="make room", retry_after=3.0)
    assert (caught.value.message, str(caught.value)) == (told, f"{told}; make room")
    assert caught.value.retry_after == 3.0


def test_a_path_stands_for_a_path_and_keeps_what_is_below(tmp_path: Path) -> None:
    places = {OURS: tmp_path, OURS / "ready-1-ab": tmp_path / r"a\1 music"}
    with pytest.raises(TransientError) as caught, named(places):
        raise TransientError(f"{OURS}/ready-1-ab/My Song.stems/My Song - Bass.flac and {OURS}/x")
    assert caught.value.message == rf"{tmp_path}/a\1 music/My Song.stems/My Song - Bass.flac and {tmp_path}/x"
