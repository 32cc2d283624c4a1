"""Starting the worker: a process of another interpreter that lives on when REAPER is closed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from .failing import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .runs import Run
    from .shapes import Document

FOREIGN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONEXECUTABLE",
    "PYTHONSTARTUP",
    "PYTHONPLATLIBDIR",
    "__PYVENV_LAUNCHER__",
    "VIRTUAL_ENV",
)
"""Variables that would lead one interpreter to the modules of another."""

NO_WINDOW = 0x08000000


def clean_environment(environment: Mapping[str, str], home: str) -> dict[str, str]:
    """Return the environment of the worker: that of REAPER without what belongs to its own interpreter."""
    kept = {name: value for name, value in environment.items() if name.upper() not in FOREIGN}
    kept["PYTHONUTF8"] = "1"
    kept["STEMBRIDGE_HOME"] = home
    return kept


def start_worker(configuration: Document, run: Run) -> None:
    """Start the worker of a run, or another one for a run whose worker died.

    Raises Refusal when the interpreter cannot be started.
    """
    python = configuration["python"]
    if not os.path.isfile(python):
        raise Refusal("The Python of stembridge is not at %s any more: run 'stembridge reaper install' again." % python)
    command = [python, *configuration["arguments"], "reaper-worker", run.path("request.json")]
    options: dict[str, Any] = {"creationflags": NO_WINDOW} if sys.platform == "win32" else {"start_new_session": True}
    try:
        with open(run.path("worker.log"), "ab") as log:
            run.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=run.folder,
                env=clean_environment(os.environ, configuration["home"]),
                **options,
            )
    except OSError as error:
        raise Refusal("%s cannot be started (%s): run 'stembridge reaper install' again." % (python, error)) from error
