"""The console script and ``python -m plugin_core``: ``--version`` is told before anything heavy is imported."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

from plugin_core._version import __version__


def main() -> int:
    """Run ``stembridge`` with the process's arguments and return its exit code."""
    if sys.argv[1:] == ["--version"]:
        # An output that cannot be written is met again below, and told in one line.
        with suppress(OSError):
            print("stembridge", __version__, flush=True)
            return 0
    if sys.argv[1:2] == ["__complete"]:
        # A shell waits for it between two keys.
        from plugin_core.cli.completion import answer

        return answer(sys.argv[2:], _draw)
    # Modules and jobs live long: to look through them after every 700 new objects finds next to nothing.
    gc.set_threshold(20_000)
    try:
        from plugin_core.cli.app import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        # Before there was anything to guard: most of a short command is the import of its modules.
        print("stembridge: nothing was begun", file=sys.stderr)
        return 130


def _draw() -> dict[str, object]:
    from plugin_core.cli.commands.completion import draw_outline

    return draw_outline()


if __name__ == "__main__":
    sys.exit(main())
