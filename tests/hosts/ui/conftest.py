"""A page in a process of its own, and somebody who came in."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests import quick_start
from tests.audio_files import write_song
from tests.hosts.ui.browser import PATIENCE, Browser, open_browser

ROOT = Path(__file__).parents[3]
SONG_SECONDS = 10.0
"""Two segments of the player, and half of one."""


class Server:
    """A page, its home, and the folder it puts songs in."""

    def __init__(self, folder: Path, *options: str, **environ: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        known = {name: value for name, value in os.environ.items() if not name.startswith("STEMBRIDGE_")}
        keyring = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
        self.environ = known | keyring | {
            "STEMBRIDGE_HOME": str(self.home),
            "STEMBRIDGE_UI_FOLDER": str(folder / "dropped"),
            "STEMBRIDGE_LOCAL_WORKERS": "1",
            "STEMBRIDGE_SEPARATE_MODEL": "classic",
            **environ,
        }  # fmt: skip
        self.process = quick_start.Popen(
            [sys.executable, "-m", "tests.hosts.ui.host", "ui", *(options or ("--no-browser",))],
            cwd=ROOT,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        assert self.link, self.process.communicate()
        self.origin = f"http://{urlsplit(self.link).netloc}"
        self.port = int(self.origin.rsplit(":", 1)[1])
        self.client = httpx.Client(base_url=self.origin, timeout=PATIENCE, trust_env=False)

    def enter(self) -> None:
        """Take the link to the page, and be known from then on."""
        assert self.client.get(self.link, follow_redirects=True).status_code == 200
        self.client.headers["origin"] = self.origin

    def fresh_link(self) -> str:
        """Return a link that nobody used: the one that was told when the last was."""
        assert self.process.stdout is not None
        # It waits for no line that nobody writes.
        assert select.select([self.process.stdout], [], [], PATIENCE)[0]
        return str(self.process.stdout.readline()).strip().removeprefix("for another browser: ")

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object = None) -> Any:
        answer = self.client.post(path, json={} if body is None else body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def do(self, *paths: Path, **wish: object) -> list[str]:
        """Have something done, wait until all of it is settled, and return the ids of the jobs."""
        offer = self.post("/api/offers", {"paths": [str(path) for path in paths], **wish})
        ids = [row["id"] for row in self.post(f"/api/offers/{offer['id']}")["rows"]]
        for job in ids:
            wait_until(lambda job=job: self.get(f"/api/jobs/{job}")["state"] in ("done", "failed"))  # type: ignore[misc]
        return ids

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """End it; return its exit code and what it said."""
        self.client.close()
        os.kill(self.process.pid, number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


def wait_until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.05)


@contextmanager
def serving(folder: Path, *options: str, **environ: str) -> Iterator[Server]:
    """Start a page.

    Args:
        folder: takes its home, and songs that are dropped.
        options: of the command; default that it opens no browser.
        environ: more variables.
    """
    server = Server(folder, *options, **environ)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()
        server.client.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a page that all tests of a worker share, entered."""
    with serving(tmp_path_factory.mktemp("ui")) as one:
        one.enter()
        yield one


@pytest.fixture(scope="session")
def song(server: Server) -> Path:
    path = server.folder / "Small Hours.flac"
    write_song(path, SONG_SECONDS)
    return path


@pytest.fixture(scope="session")
def job(server: Server, song: Path) -> str:
    """Give the id of a job that separated the song."""
    return server.do(song)[0]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """Give the browser of the run; no page is left open in it whose server may be gone by the next test."""
    yield chromium
    chromium.open("about:blank")
    chromium.complaints()
