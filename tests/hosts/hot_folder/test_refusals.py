"""A refused account: its songs wait, with one warning, and go on by themselves; a refused song fails on its own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from stembridge_hot_folder import queue
from stembridge_hot_folder.ledger import SongState

from plugin_core.errors import RefusedError, ServiceError, SettingsError, SourceError, StembridgeError
from plugin_core.model import Plan, Separation, Source
from plugin_core.session import Session
from tests.hosts.hot_folder.conftest import Desk, Running, wait_for
from tests.hosts.hot_folder.separator import CheapSeparator

REFUSAL = "no credits are left"
SONGS = 30


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(queue, "LONGEST_WAIT", 0.4)


def drop_many(desk: Desk) -> list[str]:
    names = [f"{number:02}.wav" for number in range(SONGS)]
    for number, name in enumerate(names):
        desk.song(name, seed=number, seconds=0.05)
    return names


def warnings(watch: Running) -> list[str]:
    return [one.text for one in watch.listener.told if one.word == "warning"]


@pytest.mark.parametrize("where", ["at the order", "at the plan", "without a key"])
def test_refused_account_pauses_its_songs_with_one_warning_until_it_is_accepted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    refusal: Exception = RefusedError(REFUSAL, remedy="buy some")
    if where == "without a key":
        refusal = SettingsError(REFUSAL, remedy="buy some")
    plan = CheapSeparator.plan

    async def refuse(self: CheapSeparator, source: Source, wish: Separation) -> Plan:
        if self.trouble is not None:
            raise self.trouble
        return await plan(self, source, wish)

    if where != "at the order":
        monkeypatch.setattr(CheapSeparator, "plan", refuse)
    desk.separator.trouble = refusal
    # Of a keyring that may take its time: not where all the work waits.
    places, reread = set[str](), Session.reread

    def tell_place(session: Session) -> None:
        places.add(threading.current_thread().name[:7])
        reread(session)

    monkeypatch.setattr(Session, "reread", tell_place)
    with desk.running() as watch:
        names = drop_many(desk)
        wait_for(lambda: len(watch.listener.of("waits")) >= 12, lambda: watch.listener.told)
        assert len(warnings(watch)) == 1
        assert REFUSAL in warnings(watch)[0]
        assert "buy some" in warnings(watch)[0]
        # One song at a time finds out whether it is over.
        assert len({one.name for one in watch.listener.told if one.word == "waits"}) < SONGS
        desk.separator.trouble = None
        watch.wait_done(*names)
    assert places == {"asyncio"}
    assert watch.listener.of("failed") == []
    assert any("accepted again" in one.text for one in watch.listener.told)
    assert sorted(desk.separator.paid) == names
    assert not list(desk.root.glob("*.error*.txt"))


def test_songs_of_other_presets_go_on_meanwhile(desk: Desk) -> None:
    submit = desk.separator.submit

    async def refuse(order: object, report: object) -> object:
        if order.operation.stems:  # type: ignore[attr-defined]
            raise RefusedError(REFUSAL)
        return await submit(order, report)  # type: ignore[arg-type]

    desk.separator.submit = refuse  # type: ignore[method-assign, assignment]
    with desk.running() as watch:
        desk.song("vocals/Refused.wav", seed=1)
        wait_for(lambda: watch.listener.of("waits"))
        desk.song("Fine.wav", seed=2)
        watch.wait_done("Fine.wav")
        assert desk.state(desk.root / "vocals" / "Refused.wav") in (SongState.WAITING, SongState.WORKING)
        desk.separator.submit = submit  # type: ignore[method-assign]
        watch.wait_done("Refused.wav")
    assert desk.separator.paid == ["Fine.wav", "Refused.wav"]


def refuse_only(desk: Desk, name: str, error: Exception) -> None:
    submit = desk.separator.submit

    async def refuse(order: object, report: object) -> object:
        if order.source.path.name == name:  # type: ignore[attr-defined]
            raise error
        return await submit(order, report)  # type: ignore[arg-type]

    desk.separator.submit = refuse  # type: ignore[method-assign, assignment]


def test_song_that_is_too_dear_for_the_account_keeps_no_other_song_waiting(desk: Desk) -> None:
    refuse_only(desk, "Long.wav", RefusedError("it takes 24 credits and the account has 3", remedy="buy some"))
    with desk.running() as watch:
        desk.song("Long.wav", seed=99)
        # The oldest of all, and alone at first: it must not be the one that finds out for ever.
        watch.wait("waits", "Long.wav")
        names = drop_many(desk)
        watch.wait_done(*names)
        assert desk.state(desk.root / "Long.wav") in (SongState.WAITING, SongState.WORKING)
    assert watch.listener.of("failed") == []
    assert not list(desk.root.glob("*.error*.txt"))


@pytest.mark.parametrize("kind", [ServiceError, SourceError])
def test_song_that_its_service_refuses_fails_at_once(desk: Desk, kind: type[StembridgeError]) -> None:
    refuse_only(desk, "Bad.wav", kind("File exceeds the 100 MB free limit"))
    with desk.running() as watch:
        desk.song("Bad.wav", seed=99)
        desk.song("Good.wav", seed=1)
        watch.wait("failed", "Bad.wav")
        watch.wait_done("Good.wav")
    assert watch.listener.of("waits") == []
    assert "100 MB" in (desk.root / "Bad.wav.error.txt").read_text()


def test_refused_song_is_not_paid_twice_when_the_watch_ends_meanwhile(desk: Desk) -> None:
    desk.separator.trouble = RefusedError(REFUSAL)
    song = desk.song()
    told = desk.once()
    assert told.of("waits") == ["Song.wav"]
    assert desk.state(song) is SongState.WAITING
    desk.separator.trouble = None
    assert desk.once().of("done") == ["Song.wav"]
    assert desk.separator.paid == ["Song.wav"]


def test_refused_song_that_is_removed_is_forgotten(desk: Desk) -> None:
    desk.separator.trouble = RefusedError(REFUSAL)
    with desk.running() as watch:
        song = desk.song()
        wait_for(lambda: desk.state(song) is SongState.WAITING)
        song.unlink()
        wait_for(lambda: desk.state(song) is None, lambda: watch.listener.told)
        desk.separator.trouble = None
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")
    assert desk.separator.paid == ["Other.wav"]


def test_edited_folder_config_frees_songs_from_a_refused_preset(desk: Desk) -> None:
    config = desk.root / "stembridge.toml"
    config.write_text('preset = "vocals"\n')
    submit = desk.separator.submit

    async def refuse(order: object, report: object) -> object:
        if order.operation.stems:  # type: ignore[attr-defined]
            raise RefusedError(REFUSAL)
        return await submit(order, report)  # type: ignore[arg-type]

    desk.separator.submit = refuse  # type: ignore[method-assign, assignment]
    with desk.running() as watch:
        names = drop_many(desk)
        wait_for(lambda: watch.listener.of("waits"))
        config.write_text('preset = "karaoke"\n')
        watch.wait_done(*names)


def make_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the right to write away, from root as well."""
    import os

    folder.chmod(0o555)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and not _is_denied(path, folder, mode))


def _is_denied(path: object, folder: Path, mode: int) -> bool:
    import os

    is_writing = bool(mode & os.W_OK) and not folder.stat().st_mode & 0o200
    return is_writing and os.fspath(path) == os.fspath(folder)  # type: ignore[call-overload]


def test_case_21_sub_folder_that_cannot_be_written_does_not_pause_the_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.song("locked/Bad.wav", seed=1)
    make_read_only(desk.root / "locked", monkeypatch)
    with desk.running() as watch:
        watch.wait("waits", "Bad.wav")
        desk.song("Good.wav", seed=2)
        desk.song("open/Fine.wav", seed=3)
        watch.wait_done("Good.wav", "Fine.wav")
        assert warnings(watch) == []
        assert desk.separator.paid == ["Good.wav", "Fine.wav"] or desk.separator.paid == ["Fine.wav", "Good.wav"]
        (desk.root / "locked").chmod(0o755)
        watch.wait_done("Bad.wav")
