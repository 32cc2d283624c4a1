"""``python -m stembridge_reaper MODULE HOME REQUEST``: start a worker from a launcher that can only name a program.

Lua in REAPER gives a process no environment, folder, session or files of its own; here the process gives them to
itself, then becomes ``python -m MODULE reaper-worker REQUEST``.
"""

from __future__ import annotations

import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path


def main(module: str, home: str, request: str) -> None:
    """Run the worker."""
    os.environ["STEMBRIDGE_HOME"], os.environ["PYTHONUTF8"] = home, "1"
    folder = Path(request).parent
    if hasattr(os, "setsid"):
        # A child of a shell that starts jobs is a leader already.
        with suppress(OSError):
            os.setsid()
    os.chdir(folder)
    log = os.open(folder / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, place)
    sys.argv = [module, "reaper-worker", request]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
