"""``python -m tests.hosts.hot_folder.host LEDGER ARGUMENTS...``: the command line with the cheap separator."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import stembridge_hot_folder.plugin
from stembridge_hot_folder import queue, watch

from plugin_core.cli.app import run
from plugin_core.console.context import Context
from plugin_core.console.interrupt import deadline
from plugin_core.files import sqlite
from plugin_core.jobs import engine
from plugin_core.jobs.policy import Policy
from tests.hosts.hot_folder.separator import CheapSeparator
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, load_fakes

FOR_EVER = 3600.0


def main(ledger: str, *arguments: str) -> int:
    """Run ``stembridge`` and return its exit code."""
    separator = CheapSeparator(Path(ledger), polls=int(os.environ.get("CHEAP_POLLS", "0")))
    separator.submit_delay = float(os.environ.get("CHEAP_SUBMIT_DELAY", "0"))
    if "CHEAP_WAIT" in os.environ:
        queue.FIRST_WAIT = float(os.environ["CHEAP_WAIT"])  # type: ignore[misc]
    separator.dies = os.environ.get("CHEAP_DIES", "")
    separator.hold = bool(os.environ.get("CHEAP_HOLD"))
    separator.gate = Path(os.environ["CHEAP_GATE"]) if "CHEAP_GATE" in os.environ else None
    separator.most = int(os.environ["CHEAP_MOST"]) if "CHEAP_MOST" in os.environ else None
    _take_time()
    plugins = load_fakes(
        FakePoint("fake", FakePlugin(separator)), FakePoint("hot_folder", stembridge_hot_folder.plugin)
    )
    return run(arguments, Context(plugins=plugins))


def _take_time() -> None:
    """Let an end take as long as it does on this machine; ``CHEAP_DEADLINE`` leaves the true deadline."""
    if "CHEAP_DEADLINE" not in os.environ:
        watch.deadline = functools.partial(deadline, FOR_EVER)  # type: ignore[attr-defined]
    if "CHEAP_BUSY" in os.environ:
        sqlite.BUSY_MS = int(os.environ["CHEAP_BUSY"])  # type: ignore[misc]
    if "CHEAP_GRACE" in os.environ:
        engine.Policy = functools.partial(Policy, grace=float(os.environ["CHEAP_GRACE"]))  # type: ignore[assignment,attr-defined]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
