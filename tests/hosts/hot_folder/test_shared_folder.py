"""What anybody who may drop songs can put into the folder besides: links, pipes, and files that look like ours."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest
from stembridge_hot_folder import files
from stembridge_hot_folder.files import Version, VersionChanged, read_identity
from stembridge_hot_folder.finish import Move, move_all, plan_moves
from stembridge_hot_folder.lock import LOCK_NAME, FolderLock, is_watched
from stembridge_hot_folder.record import is_ours, remove_error, write_error
from stembridge_hot_folder.settler import is_whole

from plugin_core.errors import ExitCode, PlacementError, UsageError
from plugin_core.jobs.store import JobStore
from plugin_core.model import Source
from plugin_core.session import STORE_NAME, Session
from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.hosts.hot_folder.processes import finish, start
from tests.plugin_core.cli.fakes import write_song

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")

LOCK = os.fsdecode(LOCK_NAME)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "diary.txt"
    path.write_text("precious")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "shared"
    path.mkdir()
    return path


def run(desk: Desk) -> int:
    """Do what is there in a process of its own, which can be ended however it hangs."""
    process = start(desk, "--once")
    try:
        return finish(process)
    finally:
        process.kill()
        process.wait()


# The lock


def test_lock_file_that_is_a_link_is_refused_and_not_written_through(folder: Path, victim: Path) -> None:
    (folder / LOCK).symlink_to(victim)
    lock = FolderLock(os.fsencode(folder))
    with pytest.raises(UsageError, match=r"none of stembridge's lock files; remove it"):
        lock.acquire()
    assert not lock.is_held
    assert not is_watched(os.fsencode(folder))
    assert victim.read_text() == "precious"


def test_lock_file_that_leads_to_another_s_file_by_a_hard_link_is_not_written(folder: Path, victim: Path) -> None:
    (folder / LOCK).hardlink_to(victim)
    lock = FolderLock(os.fsencode(folder))
    assert lock.acquire()
    lock.release()
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_lock_file_that_is_no_file_is_refused(folder: Path, kind: str) -> None:
    os.mkfifo(folder / LOCK) if kind == "pipe" else (folder / LOCK).mkdir()
    with pytest.raises(UsageError, match="remove it"):
        FolderLock(os.fsencode(folder)).acquire()
    assert not is_watched(os.fsencode(folder))


def test_lock_says_who_holds_it_also_after_another_held_it(folder: Path) -> None:
    for _ in range(2):
        lock = FolderLock(os.fsencode(folder))
        assert lock.acquire()
        lock.release()
    assert (folder / LOCK).read_text().startswith(f"process {os.getpid()} on ")
    assert len((folder / LOCK).read_text().splitlines()) == 1


def test_case_28_lock_that_is_tidied_away_is_taken_anew(desk: Desk) -> None:
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        assert is_watched(os.fsencode(desk.root))
        (desk.root / LOCK).unlink()
        wait_for(lambda: is_watched(os.fsencode(desk.root)))


# The note


def test_note_is_never_written_through_a_link(folder: Path, victim: Path) -> None:
    song = os.fsencode(folder / "Song.wav")
    (folder / f".stembridge-error-{os.getpid()}.tmp").symlink_to(victim)
    (folder / "Song.wav.error.txt").symlink_to(victim)
    assert write_error(song, "broken", "") == os.fsencode(folder / "Song.wav.error (2).txt")
    assert victim.read_text() == "precious"
    assert (folder / "Song.wav.error.txt").is_symlink()
    assert sorted(path.name for path in folder.iterdir()) == ["Song.wav.error (2).txt", "Song.wav.error.txt"]


def test_link_to_a_note_is_no_note(folder: Path, tmp_path: Path) -> None:
    song = os.fsencode(folder / "Song.wav")
    real = write_error(song, "broken", "")
    assert real is not None
    elsewhere = tmp_path / "elsewhere.txt"
    note = Path(os.fsdecode(real)).rename(elsewhere)
    Path(os.fsdecode(real)).symlink_to(note)
    assert not is_ours(real, song)
    remove_error(song)
    assert Path(os.fsdecode(real)).is_symlink()


def test_pipe_of_a_note_s_name_holds_nothing_up(desk: Desk) -> None:
    os.mkfifo(desk.root / "Bad.wav.error.txt")
    (desk.root / "Bad.wav").write_text("no song, but long enough")
    assert run(desk) == ExitCode.FAILED
    assert (desk.root / "Bad.wav.error (2).txt").exists()


# What to do


@pytest.mark.parametrize("kind", ["pipe", "huge"])
def test_stembridge_toml_that_would_never_end_is_refused(desk: Desk, kind: str) -> None:
    path = desk.root / "stembridge.toml"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("#" * (2**20 + 1))
    assert run(desk) == ExitCode.USAGE


# The song itself


class Swap:
    """Puts a link, a pipe or another file in a song's place, and the song back."""

    def __init__(self, song: Path, kind: str, victim: Path) -> None:
        self._song, self._aside, self._kind, self._victim = song, song.with_name(".aside"), kind, victim

    def there(self) -> None:
        self._song.rename(self._aside)
        if self._kind == "pipe":
            os.mkfifo(self._song)
        else:
            self._song.symlink_to(self._victim)

    def back(self) -> None:
        self._song.unlink()
        self._aside.rename(self._song)


@pytest.mark.parametrize("stays", [False, True], ids=["for a moment", "for good"])
@pytest.mark.parametrize("moment", ["before it is read", "while it is read"])
def test_song_swapped_for_a_link_is_never_read_as_that_song(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, stays: bool
) -> None:
    victim = write_song(tmp_path / "private.wav", 0.3, 99)
    song = desk.song()
    swap, look, turns = Swap(song, "link", victim), Session.look, [0]

    async def look_while_swapped(self: Session, path: Path) -> Source:
        turns[0] += 1
        if turns[0] > 1:
            return await look(self, path)
        if moment == "before it is read":
            swap.there()
        source = await look(self, path)
        if moment == "while it is read":
            swap.there()
        if not stays:
            swap.back()
        return source

    monkeypatch.setattr(Session, "look", look_while_swapped)
    with desk.running() as watch:
        if stays:
            wait_for(lambda: "passed" in [one.word for one in watch.listener.told])
        else:
            watch.wait_done("Song.wav")
    content = hashlib.sha256(victim.read_bytes()).hexdigest()
    with JobStore(desk.home / STORE_NAME) as store:
        assert content not in [job.source.content for job in store.list()]
    assert desk.separator.paid == [] if stays else ["Song.wav"]


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_song_replaced_by_a_pipe_or_link_at_the_service_is_cancelled_and_holds_nothing_up(
    desk: Desk, victim: Path, kind: str
) -> None:
    desk.separator.hold = True
    with desk.running() as watch:
        song = desk.song()
        wait_for(lambda: desk.separator.paid)
        Swap(song, kind, victim).there()
        wait_for(lambda: desk.separator.cancelled)
        desk.separator.hold = False
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")


def test_song_whose_folder_is_replaced_by_a_link_at_the_service_is_cancelled(desk: Desk, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_song(elsewhere / "Song.wav", 0.3, 99)
    desk.separator.hold = True
    with desk.running() as watch:
        song = desk.song("album/Song.wav")
        wait_for(lambda: desk.separator.paid)
        song.parent.rename(tmp_path / "album")
        song.parent.symlink_to(elsewhere)
        wait_for(lambda: desk.separator.cancelled)
        desk.separator.hold = False
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")
    assert [path.name for path in elsewhere.iterdir()] == ["Song.wav"]
    assert desk.separator.paid == ["Song.wav", "Other.wav"]


def test_song_in_a_folder_that_is_a_link_is_not_opened(desk: Desk, tmp_path: Path) -> None:
    song = desk.song("album/Song.wav")
    identity = read_identity(os.fsencode(song))
    assert identity is not None
    version = Version(os.fsencode(song), identity, lambda source, content: True)
    assert version.open() == identity
    song.parent.rename(tmp_path / "album")
    song.parent.symlink_to(tmp_path / "album")
    version.require_same()
    with pytest.raises(VersionChanged):
        version.open()


def test_pipe_in_the_moment_its_structure_is_asked_for_holds_nothing_up(folder: Path) -> None:
    os.mkfifo(folder / "Song.wav")
    assert is_whole(os.fsencode(folder / "Song.wav")), "whoever takes it says why it is none"


# The folder of finished songs


def test_finished_songs_do_not_follow_a_link_that_came_later(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    song = folder / "album" / "Song.wav"
    song.parent.mkdir()
    song.write_text("song")
    (folder / "done").symlink_to(elsewhere)
    with pytest.raises(PlacementError, match="link that was not there at the start"):
        move_all([Move(song, folder / "done" / "album" / "Song.wav")])
    assert song.exists()
    assert not list(elsewhere.iterdir())


def test_folder_of_finished_songs_may_be_a_link_from_the_start(desk: Desk, tmp_path: Path) -> None:
    elsewhere = tmp_path / "big disk"
    elsewhere.mkdir()
    (desk.root / "done").symlink_to(elsewhere)
    desk.set(done="done")
    desk.song()
    assert desk.once().of("done") == ["Song.wav"]
    assert sorted(path.name for path in elsewhere.iterdir()) == ["Song.stems", "Song.wav"]


def test_move_that_was_begun_ends_where_it_began_although_done_changed(tmp_path: Path) -> None:
    root, before, now = tmp_path / "in", tmp_path / "before", tmp_path / "now"
    song, stem = root / "Song.wav", root / "Song.stems" / "Song - Vocals.wav"
    stem.parent.mkdir(parents=True)
    song.write_text("song")
    stem.write_text("stem")
    moves = plan_moves(song, [stem], root, before)
    move_all(moves[:1])
    move_all(plan_moves(song, [stem], root, now, moves[-1].new))
    assert sorted(path.name for path in before.iterdir()) == ["Song.stems", "Song.wav"]
    assert not now.exists()


def test_reader_apart_imports_nothing_from_the_folder_it_is_started_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = desk.song()
    sign = desk.root / "sign"
    (desk.root / "asyncio.py").write_text(f"open({str(sign)!r}, 'w').close()")
    monkeypatch.chdir(desk.root)
    assert asyncio.run(files.read_apart(os.fsencode(song)))
    assert not sign.exists()
