"""What is remembered of files: what lies as it lay is not read, and whatever was done to a file is seen."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_core import Run, Separation, Session, Settings, Want
from plugin_core.audio.source_file import Identity
from plugin_core.errors import TransientError
from plugin_core.files.checksum import Record, hash_file
from plugin_core.model import Job, Stem
from plugin_core.operations import memory
from plugin_core.operations.memory import NAME, FileMemory
from plugin_core.run import Asker
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song

Open = Callable[[], FileMemory]


@pytest.fixture
def open_memory(home: Path) -> Iterator[Open]:
    """Open the memory as another process does."""
    opened: list[FileMemory] = []

    def open_one() -> FileMemory:
        opened.append(FileMemory(home, lambda: True))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of this very moment count as settled."""
    monkeypatch.setattr(Identity, "is_settled", lambda *_: True)


@pytest.fixture
def reads(settled: None, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose bytes were hashed."""
    found: list[Path] = []

    def hash_counted(path: Path, check: Callable[[], None] = lambda: None) -> Record:
        found.append(path)
        return hash_file(path, check)

    monkeypatch.setattr(memory, "hash_file", hash_counted)
    return found


def record(data: bytes) -> Record:
    return Record(len(data), hashlib.sha256(data).hexdigest())


def put_back(path: Path, before: os.stat_result) -> None:
    """Give a file its former time, as tools that hide their work do; what no tool can put back has changed."""
    while True:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            return


def write_over(path: Path, data: bytes) -> None:
    """Write other bytes of the same number into a file, and put its time back."""
    before = path.stat()
    with path.open("r+b") as opened:
        opened.seek(-len(data), os.SEEK_END)
        opened.write(data)
    put_back(path, before)


def replace(path: Path, data: bytes) -> None:
    """Put another file of the same size and time in the place of a file."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[: -len(data)] + data)
    other.replace(path)
    put_back(path, before)


@pytest.mark.skipif(os.name == "nt", reason="no status there tells of every write")
@pytest.mark.parametrize("change", [write_over, replace])
def test_a_file_is_read_once_and_again_when_it_was_changed(
    open_memory: Open, tmp_path: Path, reads: list[Path], change: Callable[[Path, bytes], None]
) -> None:
    path = tmp_path / "stem.flac"
    path.write_bytes(b"one and two")
    assert [open_memory().hash(path) for _ in range(3)] == [record(b"one and two")] * 3
    assert reads == [path]
    change(path, b"one")
    assert [open_memory().hash(path) for _ in range(2)] == [record(b"one and one")] * 2
    assert reads == [path, path]


def test_a_file_of_this_moment_is_not_remembered(open_memory: Open, tmp_path: Path) -> None:
    song, known = write_song(tmp_path / "Song.wav", 0.1), open_memory()
    # Whatever the machine is busy with, this moment is not over yet.
    os.utime(song, (time.time(), time.time() + 3600.0))
    known.look(song)
    assert known.recall(song) is None
    assert known.hash(song) == hash_file(song)
    assert not known.is_own_work(song)


def test_what_is_swapped_while_it_is_read_is_not_remembered(
    open_memory: Open, tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "Song.stems" / "stem.flac"
    path.parent.mkdir()
    path.write_bytes(b"one")

    def swap_and_hash(path: Path, check: Callable[[], None]) -> Record:
        # A file knows nothing of what is done to its folder.
        path.parent.rename(tmp_path / "away")
        path.parent.mkdir()
        path.write_bytes(b"two")
        return hash_file(path, check)

    with monkeypatch.context() as swapping:
        swapping.setattr(memory, "hash_file", swap_and_hash)
        open_memory().hash(path)
    assert open_memory().hash(tmp_path / "away" / path.name) == record(b"one")
    assert open_memory().hash(path) == record(b"two")


@pytest.mark.skipif(os.name == "nt", reason="nothing is remembered there")
def test_all_that_was_found_in_a_song_is_known_together(
    open_memory: Open, tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    song = write_song(tmp_path / "Song.wav", 0.1).rename(tmp_path / "S\udcffng.wav")
    assert not open_memory().is_own_work(song)
    source = open_memory().look(song)
    with monkeypatch.context() as blind:
        blind.setattr(memory, "tell_provenance", lambda _: "read again")
        other = open_memory()
        assert other.recall(song) == source
        assert not other.is_own_work(song)
        assert other.hash(song).sha256 == source.content
    assert reads == []
    link = tmp_path / "Link.wav"
    link.symlink_to(song)
    found = other.recall(link)
    assert found is not None
    assert (found.path, found.content) == (link, source.content)


def test_a_share_that_does_not_answer_says_nothing_of_who_made_a_file(
    open_memory: Open, tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stem that was taken for a song for ever would be bought."""
    stem, known = write_song(tmp_path / "Stem.wav", 0.1), open_memory()

    def fail(_path: Path) -> str:
        raise TransientError("no answer")

    monkeypatch.setattr(memory, "tell_provenance", fail)
    assert not known.is_own_work(stem)
    monkeypatch.setattr(memory, "tell_provenance", lambda _: "ours")
    assert known.is_own_work(stem)


def test_a_home_and_music_that_were_copied_to_another_machine_are_read(
    open_memory: Open, tmp_path: Path, home: Path, reads: list[Path]
) -> None:
    song = write_song(tmp_path / "here" / "Song.wav", 0.1)
    open_memory().hash(song)
    shutil.copytree(song.parent, tmp_path / "there", copy_function=shutil.copy2)
    shutil.copytree(home, tmp_path / "home there")
    there = FileMemory(tmp_path / "home there", lambda: False)
    copy = tmp_path / "there" / song.name
    assert there.recall(copy) is None
    assert there.hash(copy) == hash_file(song)
    assert reads == [song, copy]
    there.close()


@pytest.mark.skipif(os.name == "nt", reason="nothing is remembered there")
def test_several_write_at_once(
    open_memory: Open, tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine as busy as ours one may be held up for longer than it is worth to users.
    monkeypatch.setattr(memory, "_PATIENCE", 60.0)
    files = [tmp_path / str(number) for number in range(60)]
    for path in files:
        path.write_bytes(path.name.encode())

    def work(known: FileMemory, files: list[Path]) -> None:
        for path in files:
            known.hash(path)

    threads = [threading.Thread(target=work, args=(open_memory(), files[start::3])) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reads.clear()
    assert [open_memory().hash(path).sha256 for path in files] == [record(p.name.encode()).sha256 for p in files]
    assert reads == []


@pytest.mark.skipif(os.name == "nt", reason="nothing is remembered there")
def test_the_oldest_goes_and_prune_forgets(
    tmp_path: Path, home: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_MOST", 3)
    with Session(Settings(home, environ={}), load_fakes()) as session:
        assert session.store.list() == []
        files = [tmp_path / str(number) for number in range(5)]
        for path in files:
            path.write_bytes(b"")
            session.memory.hash(path)
        reads.clear()
        for path in reversed(files):
            session.memory.hash(path)
        assert reads == [files[1], files[0]]
        session.prune(3600.0)
        session.memory.hash(files[0])
        assert reads == [files[1], files[0]]
        session.prune(-1.0)
        session.memory.hash(files[0])
        assert reads == [files[1], files[0], files[0]]


@pytest.mark.parametrize("harm", ["folder", "noise", "foreign"])
def test_without_a_memory_files_are_read(
    open_memory: Open, tmp_path: Path, home: Path, reads: list[Path], harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    place, path, known = home / NAME, tmp_path / "stem.flac", open_memory()
    home.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"one")
    if harm == "folder":
        # As in a home that cannot be written.
        place.mkdir()
    elif harm == "noise":
        place.write_bytes(b"noise" * 1000)
    else:
        with sqlite3.connect(place) as connection:
            connection.execute("CREATE TABLE other (x)")
    assert [known.hash(path) for _ in range(2)] == [record(b"one")] * 2
    assert not known.is_own_work(path)
    assert known.recall(path) is None
    assert reads == [path, path]
    (told,) = [one for one in caplog.records if one.name == memory.__name__]
    assert str(place) in told.getMessage()
    known.forget(0.0)


def test_a_look_makes_none_where_there_are_no_jobs(tmp_path: Path, home: Path, settled: None) -> None:
    song = write_song(tmp_path / "Song.wav", 0.1)
    with Session(Settings(home, environ={}), load_fakes()) as session:
        session.inspect(song)
        assert not session.memory.is_own_work(song)
    assert not home.exists() or list(home.iterdir()) == []


WISH = Separation(provider="fake")


class Shop:
    """A session at a service that is paid, opened anew for each run as each command does."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.fake = FakeSeparator()
        self.fake.price = 2.0

    def run(self, song: Path, *, force: bool = False) -> tuple[bool, list[Job]]:
        """Separate a song; return whether it was done before, and all jobs, newest first."""
        with Session(Settings(self.home, environ={}), load_fakes(FakePoint("fake", FakePlugin(self.fake)))) as session:
            run = Run(session, Asker[Want]())
            asyncio.run(run.do([Want(path=song, operation=WISH, force=force)]))
            assert [job.problem for job in run.jobs if job.problem] == []
            return bool(run.reused), session.store.list()

    def lie(self, path: Path, sha256: str) -> None:
        """Let the memory hold other bytes of a file than it has."""
        status = path.stat()
        with sqlite3.connect(self.home / NAME) as connection:
            name = f"{status.st_dev} {status.st_ino}"
            (found,) = connection.execute("SELECT found FROM files WHERE file = ?", (name,)).fetchone()
            real = hash_file(path).sha256
            assert real in found
            connection.execute("UPDATE files SET found = ? WHERE file = ?", (found.replace(real, sha256), name))
        connection.close()


@pytest.mark.skipif(os.name == "nt", reason="nothing is remembered there")
def test_bytes_are_read_before_money_is_spent_or_a_stem_is_placed(tmp_path: Path, home: Path, settled: None) -> None:
    """Whatever the memory holds, even what was never true."""
    shop = Shop(home)
    one, other = (write_song(tmp_path / f"{name}.wav", 0.3, seed=seed) for seed, name in enumerate(("One", "Other")))
    assert not shop.run(one)[0]
    assert [shop.run(one)[0] for _ in range(2)] == [True, True]
    (job,) = shop.run(one)[1]
    stem: Stem = job.stems[0]
    # A stem that is said to be another is read before anything is made of that.
    shop.lie(stem.path, "0" * 64)
    _, jobs = shop.run(one)
    assert {each.path for job in jobs for each in job.stems} == {each.path for each in job.stems}
    assert len(shop.fake.submitted) == 1
    # A song that is said to be one whose stems stand elsewhere is bought as what it is.
    with Session(Settings(home, environ={}), load_fakes()) as session:
        session.inspect(other)
    shop.lie(other, job.source.content)
    assert not shop.run(other)[0]
    assert len(shop.fake.submitted) == 2
    assert {path.name for path in (tmp_path / "Other.stems").iterdir()} == {
        f"Other - {name}.flac" for name in ("Vocals", "Instrumental")
    }
    assert [shop.run(other)[0] for _ in range(2)] == [True, True]
    assert not shop.run(other, force=True)[0]
    assert len(shop.fake.submitted) == 3
