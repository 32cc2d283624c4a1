"""The console script. ``stembridge --version`` is answered here, before anything heavy is imported."""

from __future__ import annotations

import sys

from plugin_core._version import __version__


def main() -> int:
    """Run ``stembridge`` with the process's arguments and return its exit code."""
    if sys.argv[1:] == ["--version"]:
        print("stembridge", __version__)
        return 0
    from plugin_core.cli.guard import run

    return run(sys.argv[1:])
