"""Simulators as processes of their own: for workers that are killed, and for third-party clients."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.simulators.control import Control
from tests.simulators.server import Simulator


def serve_process(simulator: Simulator) -> None:
    """Run until SIGTERM, Ctrl-C or a stop over the control channel; say first where, as one JSON line."""
    signal.signal(signal.SIGTERM, lambda *_: simulator.stop_asked.set())
    signal.signal(signal.SIGINT, lambda *_: simulator.stop_asked.set())
    with simulator:
        sys.stdout.write(json.dumps({"url": simulator.url, "urls": simulator.urls, "folder": str(simulator.folder)}))
        sys.stdout.write("\n")
        sys.stdout.flush()
        while not simulator.stop_asked.wait(1.0):
            pass


@contextmanager
def run_process(module: str, *arguments: str) -> Iterator[tuple[str, Control]]:
    """Run ``python -m module`` and yield its origin and its control channel; it ends with the block."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said: dict[str, Any] = json.loads(process.stdout.readline() or '{"url": ""}')
            yield said["url"], Control(said["url"])
        finally:
            process.terminate()
            process.wait(300)
