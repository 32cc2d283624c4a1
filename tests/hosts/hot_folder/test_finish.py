"""Cases 36 to 38 in detail: a song and its stems to another folder, never over anything, and again after a crash."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from stembridge_hot_folder import finish
from stembridge_hot_folder.finish import Move, move_all, plan_moves

from plugin_core.files import placement
from plugin_core.files.hidden import HiddenNotes


class Scene:
    """A song with stems in a hot folder, and a folder of finished songs."""

    def __init__(self, folder: Path) -> None:
        self.root, self.done = folder / "in", folder / "done"
        self.song = self.root / "album" / "Song.wav"
        self.stems = [self.song.parent / "Song.stems" / f"Song - {name}.wav" for name in ("Vocals", "Drums")]
        for path in (self.song, *self.stems):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)

    def plan(self, chosen: Path | None = None) -> list[Move]:
        return plan_moves(self.song, self.stems, self.root, self.done, chosen)

    def moved(self) -> list[str]:
        return sorted(path.relative_to(self.done).as_posix() for path in self.done.rglob("*") if path.is_file())


WHOLE = ["album/Song.stems/Song - Drums.wav", "album/Song.stems/Song - Vocals.wav", "album/Song.wav"]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def other_disk_in_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renames between folders fail as they do between disks."""

    def rename(old: Path, new: Path) -> None:
        if old.parent != new.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        placement.rename_exclusive(old, new)

    monkeypatch.setattr(finish, "rename_exclusive", rename)


def test_stems_go_first_and_the_song_last(scene: Scene) -> None:
    moves = scene.plan()
    assert [move.old.name for move in moves] == ["Song.stems", "Song.wav"]
    assert [move.is_result for move in moves] == [True, False]
    move_all(moves)
    assert scene.moved() == WHOLE
    assert not scene.song.exists()


def test_side_file_is_the_users_as_the_song_is(scene: Scene) -> None:
    scene.song.with_name("._Song.wav").touch()
    assert [move.is_result for move in scene.plan()] == [True, False, False]


def test_one_number_for_all_when_a_name_is_taken(scene: Scene) -> None:
    (scene.done / "album" / "Song.stems").mkdir(parents=True)
    assert [move.new.name for move in scene.plan()] == ["Song (2).stems", "Song (2).wav"]


@pytest.mark.parametrize("done", range(3))
def test_moves_that_ended_anywhere_are_brought_to_their_end(scene: Scene, done: int) -> None:
    first = scene.plan()
    move_all(first[:done])
    move_all(scene.plan(first[-1].new))
    assert scene.moved() == WHOLE


def test_nothing_is_ever_replaced(scene: Scene) -> None:
    moves = scene.plan()
    moves[-1].new.parent.mkdir(parents=True)
    moves[-1].new.write_text("the user's")
    with pytest.raises(FileExistsError):
        move_all(moves)
    assert moves[-1].new.read_text() == "the user's"
    assert scene.song.exists()


class ReplacedError(Exception):
    """Another version lies there."""


@pytest.mark.parametrize("where", ["the same disk", "another disk"])
def test_song_that_was_replaced_stays(scene: Scene, where: str, request: pytest.FixtureRequest) -> None:
    if where == "another disk":
        request.getfixturevalue("other_disk_in_name")

    def guard() -> None:
        raise ReplacedError

    with pytest.raises(ReplacedError):
        move_all(scene.plan(), guard)
    assert scene.song.read_text() == "Song.wav"


@pytest.mark.usefixtures("other_disk_in_name")
def test_other_disk_gets_a_whole_copy_and_no_second_one_after_a_crash(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scene.plan()
    remove = finish._remove

    def crash(path: Path) -> None:
        if path == scene.song:
            raise KeyboardInterrupt
        remove(path)

    monkeypatch.setattr(finish, "_remove", crash)
    with pytest.raises(KeyboardInterrupt):
        move_all(first)
    assert scene.song.exists()
    assert scene.moved() == WHOLE
    monkeypatch.setattr(finish, "_remove", remove)
    move_all(scene.plan(first[-1].new))
    assert scene.moved() == WHOLE
    assert not scene.song.exists()


@pytest.mark.usefixtures("other_disk_in_name")
def test_copy_that_a_kill_left_is_known_and_can_be_removed(
    scene: Scene, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, moves = HiddenNotes(home), scene.plan()

    def crash(_path: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(finish, "_digest", crash)
    with pytest.raises(KeyboardInterrupt):
        move_all(moves, notes=notes)
    (left,) = notes.find()
    assert left.parent == moves[0].new.parent
    assert notes.sweep() == [left]


@pytest.mark.usefixtures("other_disk_in_name")
def test_copy_that_is_not_the_same_is_thrown_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(range(100))
    monkeypatch.setattr(finish, "_digest", lambda path: str(next(answers)))
    with pytest.raises(OSError, match="not what was copied"):
        move_all(scene.plan())
    assert scene.moved() == []
    assert scene.song.exists()
