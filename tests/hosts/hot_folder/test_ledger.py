"""What the ledger keeps, what of it outlives a power cut, and what it remembers in memory."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import msgspec
import pytest
from stembridge_hot_folder import ledger as ledger_module
from stembridge_hot_folder.files import FileIdentity
from stembridge_hot_folder.ledger import Look, Row, SongLedger, SongState

from plugin_core.errors import StoreError

ROOT = b"/in"
A = FileIdentity(1, 2, 100, 5)
FULL, NORMAL = 2, 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.sqlite3"


def row(name: bytes = b"song.wav", **fields: object) -> Row:
    plain = Row(path=ROOT + b"/" + name, root=ROOT, identity=A, state=SongState.DONE)
    return msgspec.structs.replace(plain, **fields)


def test_rows_come_back_as_they_were_written_whatever_their_names(path: Path) -> None:
    wanted = row(b"\xff\n'.wav", jobs=("one", "two"), content="c", recipe="r", reason="why", place=b"/done/\xfe")
    with SongLedger(path, clock=lambda: 7.0) as ledger:
        ledger.put(wanted)
    with SongLedger(path) as ledger:
        assert ledger.get(wanted.path) == msgspec.structs.replace(wanted, updated=7.0)
        assert ledger.with_content("c") == [msgspec.structs.replace(wanted, updated=7.0)]
        assert ledger.with_content("") == []
        assert ledger.roots() == [ROOT]


def test_rows_are_listed_and_counted_by_state_and_root(path: Path) -> None:
    with SongLedger(path) as ledger:
        ledger.put(row(b"a", state=SongState.FAILED))
        ledger.put(row(b"b"))
        ledger.put(row(b"c", root=b"/other", state=SongState.FAILED))
        assert [one.path for one in ledger.list([SongState.FAILED], root=ROOT)] == [b"/in/a"]
        assert sorted(ledger.paths([SongState.FAILED, SongState.DONE], ROOT)) == [b"/in/a", b"/in/b"]
        assert ledger.counts()[SongState.FAILED] == 2
        assert ledger.counts(ROOT)[SongState.FAILED] == 1
        ledger.forget(b"/in/a")
        assert ledger.get(b"/in/a") is None


def synchronous(ledger: SongLedger) -> int:
    return int(ledger._read("PRAGMA synchronous")[0][0])


@pytest.mark.parametrize("state", SongState)
def test_every_row_outlives_a_power_cut(path: Path, state: SongState) -> None:
    with SongLedger(path) as ledger:
        ledger.begin_look(Look(path=b"/in/a", root=ROOT, identity=A))
        assert synchronous(ledger) == NORMAL
        ledger.put(row(state=state))
        assert synchronous(ledger) == FULL, "in the write-ahead log NORMAL may lose the last commits"
        ledger.add_outputs([b"/in/x"])
        assert synchronous(ledger) == FULL


def test_finished_versions_are_told_from_memory_until_something_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SongLedger(path) as ledger:
        ledger.put(row())
        assert ledger.is_finished(row().path, A)
        asked: list[bytes] = []
        monkeypatch.setattr(ledger, "get", asked.append)
        assert ledger.is_finished(row().path, A)
        assert asked == []
        assert not ledger.is_finished(row().path, A._replace(size=1)), "another version"
        assert asked == [row().path]
        monkeypatch.undo()
        ledger.put(row(state=SongState.RETRY))
        assert not ledger.is_finished(row().path, A)
        ledger.put(row())
        assert ledger.is_finished(row().path, A)
        ledger.forget(row().path)
        assert not ledger.is_finished(row().path, A)


def test_what_another_process_wrote_is_seen_by_its_token(path: Path) -> None:
    with SongLedger(path) as ledger, SongLedger(path) as other:
        ledger.put(row())
        assert ledger.is_finished(row().path, A)
        token = ledger.token()
        other.put(row(state=SongState.RETRY))
        assert ledger.token() != token
        ledger.refresh()
        assert not ledger.is_finished(row().path, A)


def test_memory_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MOST_KNOWN", 3)
    with SongLedger(path) as ledger:
        for number in range(10):
            ledger.put(row(b"%d" % number))
        assert all(ledger.is_finished(b"/in/%d" % number, A) for number in range(10))
        assert len(ledger._finished) == 3


def test_outputs_are_known(path: Path) -> None:
    with SongLedger(path) as ledger:
        ledger.add_outputs([b"/in/a", b"/in/a", b"/in/b"])
        assert ledger.is_output(b"/in/a")
        assert not ledger.is_output(b"/in/c")


def test_looks_that_did_not_end_are_found_again(path: Path) -> None:
    look = Look(path=b"/in/a", root=ROOT, identity=A, deaths=2)
    with SongLedger(path) as ledger:
        ledger.begin_look(look)
        ledger.begin_look(Look(path=b"/in/b", root=ROOT, identity=A))
        ledger.end_look(b"/in/b")
    with SongLedger(path) as ledger:
        assert ledger.looks(ROOT) == [look]
        assert ledger.looks(b"/other") == []


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_file_is_readable_by_its_owner_only_also_one_of_an_older_version(path: Path) -> None:
    with SongLedger(path) as ledger:
        ledger.put(row())
        assert {one.name: one.stat().st_mode & 0o777 for one in path.parent.glob(f"{path.name}*")} == {
            f"{path.name}{ending}": 0o600 for ending in ("", "-wal", "-shm")
        }
    path.chmod(0o644)
    with SongLedger(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_newer_and_broken_files_are_refused_in_one_line(path: Path) -> None:
    with SongLedger(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer stembridge"):
        SongLedger(path)
    for other in path.parent.iterdir():
        other.unlink()
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="move the file away; songs with their stems"):
        SongLedger(path)


def test_a_file_that_cannot_be_used_any_more_is_told_in_one_line(path: Path) -> None:
    with SongLedger(path) as ledger:
        ledger._database._connection.execute("PRAGMA query_only = 1")
        with pytest.raises(StoreError, match=os.fspath(path)):
            ledger.put(row())
