"""``stembridge listen`` below the command: a real server on loopback over a receiver."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plugin_core.abilities import HasCallbacks
from plugin_core.callbacks import Paths, open_paths
from plugin_core.callbacks.server import Allowance, Receiver, open_socket, serve
from plugin_core.providers.mediax.adapter import MediaxTagger
from plugin_core.providers.mediax.client import MediaxSettings
from plugin_core.providers.mvsep.adapter import MvsepSeparator
from plugin_core.providers.mvsep.caller import MvsepSettings
from plugin_core.providers.tencent_ci.adapter import CiSeparator
from plugin_core.providers.tencent_ci.settings import TencentSettings


@dataclass
class Listener:
    """A running server and what it woke."""

    port: int
    paths: Paths
    woken: list[set[str]] = field(default_factory=list)
    heard: list[tuple[str, set[str]]] = field(default_factory=list)
    error: Exception | None = None

    def wake(self, names: Collection[str]) -> Collection[str]:
        if self.error is not None:
            raise self.error
        self.woken.append(set(names))
        return names

    def hear(self, provider: str, jobs: Collection[str]) -> None:
        self.heard.append((provider, set(jobs)))

    def send(self, raw: bytes) -> bytes:
        """Send these very bytes and return the whole answer."""
        with socket.create_connection(("127.0.0.1", self.port), 300) as connection:
            connection.sendall(raw)
            return self._rest(connection)

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None, method: str = "POST") -> int:
        """Make one call and return its status."""
        lines = {"Host": "x", "Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        answer = self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return int(answer.split()[1])

    @staticmethod
    def _rest(connection: socket.socket) -> bytes:
        answer = b""
        try:
            while block := connection.recv(65536):
                answer += block
        except ConnectionResetError:
            # What was not read of a refused body; the answer came before.
            return answer
        return answer


def make_providers(home: Path) -> dict[str, HasCallbacks]:
    mediax, ci, mvsep = MediaxSettings(), TencentSettings(), MvsepSettings()
    return {"mediax": MediaxTagger(mediax), "tencent_ci": CiSeparator(ci), "mvsep": MvsepSeparator(mvsep, home)}


Listen = Callable[..., Listener]


@pytest.fixture
def listen(home: Path) -> Iterator[Listen]:
    """Start servers; they end with the test."""
    stops = []

    def start(
        providers: Mapping[str, HasCallbacks] | None = None,
        *,
        lifetime: float = 30.0,
        allowance: Callable[[], Allowance] = lambda: Allowance(1000, 1000),
        body_seconds: float = 10.0,
    ) -> Listener:
        opened = open_socket("127.0.0.1", 0)
        listener = Listener(opened.getsockname()[1], open_paths(home))
        receiver = Receiver(
            make_providers(home) if providers is None else providers,
            listener.paths,
            listener.wake,
            listener.hear,
            allowance=allowance,
            body_seconds=body_seconds,
        )
        context = _running(receiver, opened, lifetime)
        context.__enter__()
        stops.append(context)
        return listener

    yield start
    for context in stops:
        context.__exit__(None, None, None)


@contextmanager
def _running(receiver: Receiver, opened: socket.socket, lifetime: float) -> Iterator[None]:
    ready = threading.Event()
    ends: list[Callable[[], object]] = []

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stop.set))
        ready.set()
        await serve(receiver.application(), opened, stop, lifetime=lifetime)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(300)
    try:
        yield
    finally:
        ends[0]()
        thread.join(300)
        opened.close()
        assert not thread.is_alive()
