"""The base of every simulated service: a real HTTP/1.1 server on loopback.

A simulator says what it answers, the base does the rest::

    class EchoSimulator(Simulator):
        def respond(self, request: Request) -> Answer:
            return json_answer({"path": request.path})

    with EchoSimulator() as service:
        service.faults.add(rate_limited("GET", "/songs*", seconds=1, times=2))
        httpx.get(service.url + "/songs")
        assert service.requests("GET", "/songs*")[0].status == 429

- ``service.url`` is its origin; ``service.urls`` has one for each of ``nodes`` (ports), ``request.node`` counts from 0.
- ``service.log`` has every request: method, path, query, headers, length and SHA-256 of the body, form, status.
- ``service.faults``: see ``faults``. ``service.release()`` ends hangs, stalls and drips.
- ``service.clock`` can be set forward; nothing in a simulator reads another clock.
- Bodies are kept in files under ``service.folder``; a simulator that keeps one sets ``request.is_body_kept``.
- ``service.lock`` is not held during ``respond``, which runs in a thread for each connection: hold it yourself.
- An exception in ``respond`` is answered by 500 and raised again when the ``with`` block ends.

From another process the same is done over ``/_control`` (see ``control``), which is neither logged nor disturbed.
"""

from __future__ import annotations

import shutil
import socketserver
import tempfile
import threading
from collections.abc import Callable
from fnmatch import fnmatchcase
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.simulators.clocks import SimulatorClock
from tests.simulators.faults import Faults
from tests.simulators.handler import Handler
from tests.simulators.messages import Answer, LogEntry, Request


class Simulator:
    """One simulated service; a context manager.

    Args:
        folder: where bodies and results are kept; a temporary one, removed at the end, if not given.
        ports: one for each node; 0 for any.
        clock: Unix time in seconds.
        seed: of the chance with which faults strike.
        needs_length: refuse chunked bodies with 411, as object stores do.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        ports: tuple[int, ...] = (0,),
        clock: SimulatorClock | None = None,
        seed: int = 1,
        needs_length: bool = False,
    ) -> None:
        self.clock = clock or SimulatorClock()
        self.faults = Faults(seed)
        self.lock = threading.RLock()
        self.log: list[LogEntry] = []
        self.errors: list[BaseException] = []
        self.needs_length = needs_length
        self.stop_asked = threading.Event()
        self._ports = ports
        self._given = folder
        self._release = threading.Event()
        self._servers: list[_Server] = []
        self.folder = Path()

    def respond(self, request: Request) -> Answer:
        """Answer one request; called from several threads."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return what other processes may see of the service, as JSON values."""
        return {"requests": len(self.log)}

    def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """Do what another process asks for; the public methods a simulator offers."""
        raise KeyError(name)

    @property
    def url(self) -> str:
        """The origin of the first node."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers]

    def requests(self, method: str = "*", path: str = "*") -> list[LogEntry]:
        """Return the requests whose method and path match these patterns."""
        with self.lock:
            return [one for one in self.log if fnmatchcase(one.method, method) and fnmatchcase(one.path, path)]

    def release(self) -> None:
        """End every hang, stall and drip that is under way."""
        with self.lock:
            self._release.set()
            self._release = threading.Event()

    def wait_release(self, seconds: float | None = None) -> bool:
        """Wait for ``release``, at most so long; tell whether it came."""
        return self.stop_asked.is_set() or self._release.wait(seconds)

    def start(self) -> None:
        self.folder = self._given or Path(tempfile.mkdtemp(prefix="simulator-"))
        (self.folder / "bodies").mkdir(parents=True, exist_ok=True)
        self._servers = [_Server(self, node, port) for node, port in enumerate(self._ports)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Cut every connection and end."""
        self.stop_asked.set()
        self.release()
        for server in self._servers:
            server.shutdown()
            server.cut_connections()
            server.server_close()
        if self._given is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if self.errors and error is None:
            raise self.errors[0]


class _Server(ThreadingHTTPServer):
    """One port of a simulator."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, simulator: Simulator, node: int, port: int) -> None:
        self.simulator = simulator
        self.node = node
        self._connections: set[Any] = set()
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        # HTTPServer would look its own name up, which takes seconds where there is no resolver.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], self.server_address[1]  # type: ignore[assignment]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._connections.discard(request)
                self._changed.notify_all()

    def cut_connections(self, timeout: float = 10.0) -> None:
        """Shut every connection down and wait for their threads."""
        with self._changed:
            for connection in list(self._connections):
                _try(lambda one=connection: one.shutdown(2))  # type: ignore[misc]
            self._changed.wait_for(lambda: not self._connections, timeout)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: errors of ``respond`` are kept, the others are clients that went away."""


def _try(action: Callable[[], object]) -> None:
    try:
        action()
    except OSError:
        return
