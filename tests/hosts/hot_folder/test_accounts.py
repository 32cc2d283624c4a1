"""An account at a service that refuses while other jobs of it are in flight, and is put right again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from stembridge_hot_folder import queue

from plugin_core.console.context import Context
from plugin_core.providers.mvsep import account, plugin
from plugin_core.settings import Settings, no_keyring
from tests.hosts.hot_folder.conftest import Desk, Running, wait_for
from tests.plugin_core.cli.fakes import FakePoint, load_fakes
from tests.simulators.mvsep import PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.walks import processing

SONGS = 10
PAID = 4
WALK = (processing(seconds=0.5),)
"""Long enough that jobs still go on at the service after the account was refused, one at a time as without credits."""


class MvsepDesk(Desk):
    """A hot folder whose songs go to MVSEP."""

    def context(self) -> Context:
        settings = Settings(self.home, environ=self.environ, keyring=no_keyring)
        return Context(settings, load_fakes(FakePoint("mvsep", plugin)))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(queue, "LONGEST_WAIT", 0.4)
    monkeypatch.setattr(account, "BELIEVED", 0.0)


@pytest.fixture
def service() -> Iterator[MvsepSimulator]:
    with MvsepSimulator(audio="echo", rate_limit=100_000, behaviour=replace(Behaviour(), walk=WALK)) as simulator:
        yield simulator


@pytest.fixture
def desk(tmp_path: Path, home: Path, service: MvsepSimulator) -> MvsepDesk:
    root = tmp_path / "in"
    root.mkdir()
    desk = MvsepDesk(root, home)
    desk.environ |= {
        "STEMBRIDGE_SEPARATE_PROVIDER": "mvsep",
        "STEMBRIDGE_MVSEP_API_TOKEN": PREMIUM_TOKEN,
        "STEMBRIDGE_MVSEP_BASE_URL": service.api,
        "STEMBRIDGE_MVSEP_POLL_FIRST": "0.05",
        "STEMBRIDGE_MVSEP_POLL_LONGEST": "0.1",
    }
    return desk


def drop_all(desk: Desk) -> list[str]:
    names = [f"{number:02}.wav" for number in range(SONGS)]
    for number, name in enumerate(names):
        desk.song(name, seed=number, seconds=0.05)
    return names


def assert_goes_on_by_itself(
    desk: Desk, watch: Running, service: MvsepSimulator, put_right: Callable[[], None]
) -> None:
    """Make sure that all wait while the account refuses, with one warning and no notes, and are done afterwards."""
    paid = service.created
    wait_for(lambda: len(watch.listener.of("done")) == paid, lambda: watch.listener.told)
    tried = len(watch.listener.of("waits"))
    wait_for(lambda: len(watch.listener.of("waits")) >= tried + 8, lambda: watch.listener.told)
    assert watch.listener.of("failed") == []
    assert len(watch.listener.of("warning")) == 1, watch.listener.of("warning")
    assert not list(desk.root.glob("*.error*.txt"))
    wait_for(lambda: watch.watch.counts().waiting + watch.watch.counts().working == SONGS - paid, watch.watch.counts)
    assert service.created == paid
    put_right()
    watch.wait_done(*(f"{number:02}.wav" for number in range(SONGS)))
    assert watch.listener.of("failed") == []
    assert len(watch.listener.of("warning")) == 1
    assert len([one for one in watch.listener.told if "accepted again" in one.text]) == 1
    assert service.created == SONGS
    assert not list(desk.root.glob("*.error*.txt"))


@pytest.mark.parametrize("model", ["40", "26"], ids=["at the order", "at the plan"])
def test_account_that_refuses_while_other_jobs_are_in_flight_fails_no_waiting_song(
    desk: Desk, service: MvsepSimulator, model: str
) -> None:
    desk.environ["STEMBRIDGE_SEPARATE_MODEL"] = model
    service.accounts[PREMIUM_TOKEN].credits = PAID
    with desk.running() as watch:
        drop_all(desk)
        wait_for(lambda: watch.listener.of("warning"), lambda: watch.listener.told)
        wait_for(lambda: service.created == PAID)

        def buy() -> None:
            with service.lock:
                service.accounts[PREMIUM_TOKEN].credits = 1000

        assert_goes_on_by_itself(desk, watch, service, buy)


def test_key_that_is_revoked_while_jobs_are_in_flight_and_restored_fails_no_waiting_song(
    desk: Desk, service: MvsepSimulator
) -> None:
    desk.environ["STEMBRIDGE_SEPARATE_MODEL"] = "40"
    with desk.running() as watch:
        drop_all(desk)
        wait_for(lambda: service.created >= PAID)
        with service.lock:
            revoked = service.accounts.pop(PREMIUM_TOKEN)

        def restore() -> None:
            with service.lock:
                service.accounts[PREMIUM_TOKEN] = revoked

        assert_goes_on_by_itself(desk, watch, service, restore)


def test_key_that_is_put_right_in_the_settings_lets_all_go_on_without_a_new_start(
    desk: Desk, service: MvsepSimulator
) -> None:
    desk.environ["STEMBRIDGE_SEPARATE_MODEL"] = "40"
    del desk.environ["STEMBRIDGE_MVSEP_API_TOKEN"]
    config = desk.home / "config.toml"
    config.touch(mode=0o600)
    config.write_text('[mvsep]\napi_token = "mistyped"\n')
    with desk.running() as watch:
        drop_all(desk)
        watch.wait("warning", desk.root.name)

        def log_in() -> None:
            config.write_text("[mvsep\n")
            wait_for(lambda: any("goes on as before" in one.text for one in watch.listener.told))
            config.write_text(f'[mvsep]\napi_token = "{PREMIUM_TOKEN}"\n')

        assert_goes_on_by_itself(desk, watch, service, log_in)


def test_song_over_the_limit_of_the_account_fails_on_its_own_while_the_account_refuses_the_others(
    desk: Desk, service: MvsepSimulator
) -> None:
    desk.environ["STEMBRIDGE_SEPARATE_MODEL"] = "40"
    account_there = service.accounts[PREMIUM_TOKEN]
    account_there.credits, account_there.max_seconds = PAID, 1.0
    with desk.running() as watch:
        desk.song("Long.wav", seed=99, seconds=2.0)
        names = drop_all(desk)
        watch.wait("failed", "Long.wav")
        wait_for(lambda: len(watch.listener.of("done")) == PAID, lambda: watch.listener.told)
        with service.lock:
            account_there.credits = 1000
        watch.wait_done(*names)
    assert watch.listener.of("failed") == ["Long.wav"]
    assert [path.name for path in desk.root.glob("*.error*.txt")] == ["Long.wav.error.txt"]
    assert "File exceeds" in (desk.root / "Long.wav.error.txt").read_text()
    assert service.created == SONGS
