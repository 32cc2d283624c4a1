"""How simulators call back, and one who hears it."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


def call_back(url: str, body: bytes, content_type: str) -> None:
    """Tell an address something, meanwhile; whether anybody hears it does not matter."""
    request = urllib.request.Request(url, body, {"Content-Type": content_type}, method="POST")

    def call() -> None:
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except OSError:
            return

    threading.Thread(target=call, daemon=True).start()


@dataclass
class Ear:
    """What was called back to ``url``."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)


@contextmanager
def listen() -> Iterator[Ear]:
    """Hear what is called back, until the block ends."""

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            ear.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            ear.heard.set()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        ear = Ear(f"http://127.0.0.1:{server.server_port}/x")
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield ear
        finally:
            server.shutdown()
            serving.join()
