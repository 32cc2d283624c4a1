from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from plugin_core.audio import source_file
from plugin_core.errors import PlacementError, SourceError, StembridgeError, TransientError
from plugin_core.files.errors import AWAY, FULL, explain_read_error, explain_write_error, named
from plugin_core.files.placement import explain_os_error
from plugin_core.tags.exchange import ReplaceOptions, check_replaceable
from plugin_core.tags.files import open_overlay, open_tagged, write_error

SONG = Path("song.flac")
NUMBERS = sorted(AWAY)
NAMES = [errno.errorcode[number] for number in NUMBERS]


def refusal(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_the_tables_hold_what_disks_and_shares_say() -> None:
    assert {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN} <= AWAY
    assert {errno.ENOSPC, errno.EDQUOT} == FULL
    assert not AWAY & FULL
    assert not {errno.EACCES, errno.ENOENT, errno.EROFS} & (AWAY | FULL)


@pytest.mark.parametrize("number", NUMBERS, ids=NAMES)
@pytest.mark.parametrize(
    "explain",
    [
        explain_write_error,
        explain_read_error,
        lambda path, error: explain_os_error(error, path),
        source_file.explain_os_error,
        write_error,
    ],
    ids=["writing", "reading", "placing", "source", "tags"],
)
def test_a_disk_that_is_away_may_come_back(explain: Callable[[Path, OSError], StembridgeError], number: int) -> None:
    told = explain(SONG, refusal(number))
    assert isinstance(told, TransientError)
    assert "song.flac" in told.message


@pytest.mark.parametrize("open_song", [open_tagged, open_overlay])
def test_tags_of_a_disk_that_is_away(
    open_song: Callable[[Path], AbstractContextManager[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise refusal(errno.ENODEV)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TransientError), open_song(SONG):
        pass


@pytest.mark.parametrize(("number", "kind"), [(errno.ENXIO, TransientError), (errno.ENOENT, SourceError)])
def test_a_replacement_on_a_disk_that_is_away(
    number: int, kind: type[StembridgeError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise refusal(number)

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(kind, match=r"song\.flac"):
        check_replaceable(SONG, ReplaceOptions())


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "on the disk"), (errno.EDQUOT, "on the disk (quota)")])
def test_a_full_disk_asks_for_room(number: int, words: str) -> None:
    told = explain_write_error(SONG, refusal(number))
    assert isinstance(told, TransientError)
    assert (told.message, told.remedy) == (f"song.flac cannot be written: no space left {words}", "make room")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EFBIG])
def test_what_does_not_pass_is_said_for_good(number: int) -> None:
    assert isinstance(explain_write_error(SONG, refusal(number)), PlacementError)
    assert isinstance(explain_read_error(SONG, refusal(number)), SourceError)


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
