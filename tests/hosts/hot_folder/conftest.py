"""A hot folder, the watch over it in a thread or for once, and what it told."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from stembridge_hot_folder.display import Reporter
from stembridge_hot_folder.ledger import LEDGER_NAME, Row, SongLedger, SongState
from stembridge_hot_folder.recipes import read_recipes
from stembridge_hot_folder.run import choose_folders, read_settings
from stembridge_hot_folder.tools import Stores
from stembridge_hot_folder.watch import Watch

from plugin_core import sessions
from plugin_core.console.context import Context
from plugin_core.console.display import PlainDisplay
from plugin_core.jobs.store import JobStore
from plugin_core.session import STORE_NAME
from plugin_core.settings import Settings, no_keyring
from tests.hosts.hot_folder.separator import CheapSeparator
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, load_fakes, write_song

PATIENCE = 180.0
"""Seconds after which something that is waited for will never come, on the slowest of machines."""


SESSIONS = FakePoint("sessions", sessions)


class Told(NamedTuple):
    """One decision."""

    word: str
    name: str
    text: str


class Listener(Reporter):
    """A reporter that remembers."""

    def __init__(self) -> None:
        super().__init__(PlainDisplay(quiet=True), quiet=True)
        self.told: list[Told] = []
        self.on: dict[str, Callable[[], object]] = {}
        """What is done in the very moment a word is told."""

    def tell(self, word: str, path: bytes, text: str = "", *, is_trouble: bool = False, is_told: bool = False) -> None:
        self.told.append(Told(word, Path(os.fsdecode(path)).name, text))
        if word in self.on:
            self.on[word]()

    def warn(self, path: bytes, text: str) -> None:
        self.told.append(Told("warning", Path(os.fsdecode(path)).name, text))

    def say(self, text: str) -> None:
        self.told.append(Told("said", "", text))

    def of(self, word: str) -> list[str]:
        """Return the names that a word was told of."""
        return [one.name for one in self.told if one.word == word]

    def reasons(self, name: str) -> list[str]:
        """Return all that was told of a name."""
        return [f"{one.word}: {one.text}" for one in self.told if one.name == name]


def wait_for(condition: Callable[[], object], what: object = "") -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.01)


class Running:
    """A watch in a thread."""

    def __init__(self, watch: Watch, listener: Listener) -> None:
        self.watch = watch
        self.listener = listener

    def wait(self, word: str, name: str) -> None:
        """Wait until a word was told of a song."""
        wait_for(lambda: name in self.listener.of(word), lambda: f"{word} {name}: {self.listener.told}")

    def wait_done(self, *names: str) -> None:
        """Wait until songs are done."""
        for name in names:
            self.wait("done", name)


class Desk:
    """A hot folder with its home."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.home = home
        self.separator = CheapSeparator(home.parent / f"{home.name}-paid")
        self.environ = {
            "STEMBRIDGE_HOME": str(home),
            "STEMBRIDGE_SEPARATE_PROVIDER": "fake",
            "STEMBRIDGE_WATCH_SETTLE_SECONDS": "0.1",
            "STEMBRIDGE_WATCH_RESCAN_SECONDS": "0.3",
            "STEMBRIDGE_WATCH_SHARE_SETTLE_SECONDS": "0.2",
            "STEMBRIDGE_WATCH_SHARE_RESCAN_SECONDS": "0.3",
        }

    def set(self, **values: object) -> None:
        """Set values of section ``watch``."""
        for name, value in values.items():
            self.environ[f"STEMBRIDGE_WATCH_{name.upper()}"] = str(value)

    def song(self, name: str = "Song.wav", *, seed: int = 1, seconds: float = 0.2) -> Path:
        """Drop a song at once, by a rename as people should."""
        path = self.root / name
        hidden = self.home / f"new{path.suffix}"
        write_song(hidden, seconds, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.replace(path) if same_device(hidden, path.parent) else path.write_bytes(hidden.read_bytes())
        return path

    def context(self) -> Context:
        """Return a context of these settings."""
        settings = Settings(self.home, environ=self.environ, keyring=no_keyring)
        return Context(settings, load_fakes(FakePoint("fake", FakePlugin(self.separator)), SESSIONS))

    def once(self, *roots: Path) -> Listener:
        """Do what is there."""
        listener = Listener()
        listener.code = asyncio.run(self._run(listener, roots, once=True))  # type: ignore[attr-defined]
        return listener

    @contextmanager
    def running(self, *roots: Path) -> Iterator[Running]:
        """Watch in a thread while inside."""
        listener = Listener()
        ready: list[tuple[Watch, asyncio.AbstractEventLoop]] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                asyncio.run(self._run(listener, roots, once=False, ready=ready))
            except BaseException as error:  # noqa: BLE001 - the test's own thread raises it
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            wait_for(lambda: ready or errors)
            if errors:
                raise errors[0]
            watch, loop = ready[0]
            yield Running(watch, listener)
        finally:
            if ready and not loop.is_closed():
                loop.call_soon_threadsafe(watch.stop)
            thread.join(PATIENCE)
        assert not thread.is_alive()
        if errors:
            raise errors[0]

    async def _run(
        self,
        listener: Listener,
        roots: tuple[Path, ...],
        *,
        once: bool,
        ready: list[tuple[Watch, asyncio.AbstractEventLoop]] | None = None,
    ) -> int:
        with self.watch(listener, *roots) as watch:
            if ready is not None:
                ready.append((watch, asyncio.get_running_loop()))
            return await watch.run(once=once)

    @contextmanager
    def watch(self, listener: Listener, *roots: Path) -> Iterator[Watch]:
        """Give a watch that does not run yet."""
        context = self.context()
        settings = read_settings(context)
        folders = choose_folders(context, roots or [self.root], settings)
        recipes = read_recipes(context.settings, folders, settings, listener.say)
        with Stores(self.home, context.session) as stores:
            yield Watch(stores, folders, recipes, settings, listener)

    def row(self, path: Path) -> Row | None:
        """Return what the ledger knows of a path."""
        with SongLedger(self.home / LEDGER_NAME) as ledger:
            return ledger.get(os.fsencode(path))

    def state(self, path: Path) -> SongState | None:
        """Return the state of a path."""
        row = self.row(path)
        return None if row is None else row.state

    def trouble(self, name: str) -> str:
        """Return what an unfinished job of a song last met."""
        with JobStore(self.home / STORE_NAME) as store:
            jobs = [job for job in store.list() if job.source.path.name == name and job.problem is not None]
            return jobs[0].problem.message if jobs and jobs[0].problem is not None else ""

    def stems(self, name: str = "Song") -> list[str]:
        """Return the names in the stems folder of a song."""
        folder = self.root / f"{name}.stems"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def same_device(one: Path, other: Path) -> bool:
    """Tell whether a rename can work."""
    return one.stat().st_dev == other.stat().st_dev


@pytest.fixture
def desk(tmp_path: Path, home: Path) -> Desk:
    root = tmp_path / "in"
    root.mkdir()
    return Desk(root, home)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.5 MiB, where this system lets us have one."""
    yield from mount(tmp_path / "small", "size=1536k")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Another file system, where this system lets us have one."""
    yield from mount(tmp_path / "other", "size=400m")


def mount(place: Path, options: str) -> Iterator[Path]:
    """Give a file system in memory, where this system lets us have one."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
