"""``python -m tests.hosts.hot_folder.host LEDGER ARGUMENTS...``: the command line with the cheap separator."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import stembridge_hot_folder.plugin
from stembridge_hot_folder import queueing

from plugin_core.cli.face import Face
from plugin_core.cli.guard import run
from tests.hosts.hot_folder.separator import CheapSeparator
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, load_fakes


def main(ledger: str, *arguments: str) -> int:
    """Run ``stembridge`` and return its exit code."""
    separator = CheapSeparator(Path(ledger), polls=int(os.environ.get("CHEAP_POLLS", "0")))
    separator.submit_delay = float(os.environ.get("CHEAP_SUBMIT_DELAY", "0"))
    if "CHEAP_WAIT" in os.environ:
        queueing.FIRST_WAIT = float(os.environ["CHEAP_WAIT"])  # type: ignore[misc]
    separator.dies = os.environ.get("CHEAP_DIES", "")
    separator.hold = bool(os.environ.get("CHEAP_HOLD"))
    plugins = load_fakes(
        FakePoint("fake", FakePlugin(separator)), FakePoint("hot_folder", stembridge_hot_folder.plugin)
    )
    return run(arguments, Face(plugins=plugins))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
