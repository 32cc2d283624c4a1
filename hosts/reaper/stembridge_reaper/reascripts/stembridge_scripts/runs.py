"""A run: one press of an action, as a folder of documents that outlives REAPER, and the worker process it starts.

``request.json`` is written once by the script, ``status.json`` replaced by the worker; ``cancel``, ``go``, ``no`` and
``dismissed`` are empty files that say so by being there; ``followed`` is touched while a script follows the run;
``worker.log`` holds what the worker printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

from .documents import Refusal, read_document, touch, write_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .documents import Document


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


def start_worker(configuration: Document, run: RunFolder) -> None:
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


VERSION = 2
FINAL = ("done", "failed", "cancelled")
SILENT = 20.0
"""Seconds after which a worker that said nothing is taken for dead; it speaks every two."""


class RunFolder:
    """One run, by its folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.status: Document = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.placed = 0
        """Files whose stems were placed."""
        self.done: list[str] = []
        """GUIDs of items whose stems were: what people undo does not come again by itself."""
        self._told = 0
        self._seen: tuple[int, int, int] | None = None
        self._request: Document | None = None

    @property
    def id(self) -> str:
        """The run's name, unique for ever."""
        return os.path.basename(self.folder)

    @property
    def request(self) -> Document:
        """What was asked for; empty when it cannot be read."""
        if self._request is None:
            self._request = read_document(self.path("request.json")) or {}
        return self._request

    @property
    def items(self) -> list[Document]:
        return list(self.request.get("items", ()))

    @property
    def state(self) -> str:
        """What the worker said last: starting, asking, working, done, failed or cancelled."""
        return str(self.status.get("state", "starting"))

    @property
    def is_final(self) -> bool:
        """Whether the worker has said its last word."""
        return self.state in FINAL

    @property
    def is_wanted(self) -> bool:
        """Whether there are stems to place."""
        is_off = self.has("dismissed") or self.has("cancel")
        return bool(self.status.get("ready", 0) > self.placed and not is_off)

    def note_placed(self, answer: RunFolder) -> None:
        """Note what was placed by an answer; where that failed, it is not asked for again, and told each second."""
        self.placed = self.status["ready"]
        if answer.state == "done":
            self.placed, self.done = answer.status["ready"], answer.status.get("placed", [])

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def has(self, name: str) -> bool:
        """Tell whether one of the empty files is there."""
        return os.path.exists(self.path(name))

    def say(self, name: str, words: str = "") -> None:
        """Make one of the files that say something by being there; ``go`` and ``no`` may hold what of."""
        touch(self.path(name), words)

    def take_back(self, name: str) -> None:
        """Take one of the empty files away."""
        try:
            os.remove(self.path(name))
        except OSError:
            # Old runs are forgotten by their workers.
            return

    def refresh(self, is_forced: bool = False) -> bool:
        """Read the status if it was replaced, or in any case when forced; return whether it was read."""
        try:
            found = os.stat(self.path("status.json"))
        except OSError:
            return False
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen == self._seen and not is_forced:
            return False
        document = read_document(self.path("status.json"))
        if document is None or document.get("version") != VERSION:
            return False
        self._seen, self.status = seen, document
        return True

    def news(self) -> list[str]:
        """Return the lines for the console that were added."""
        lines = list(self.status.get("console", ()))[self._told :]
        self._told += len(lines)
        return lines

    def is_dead(self) -> bool:
        """Tell whether the worker has gone without a last word."""
        if self.is_final:
            return False
        code = None if self.process is None else self.process.poll()
        if code:
            return True
        if self.process is not None and code is None:
            return False
        # Not started from here, or it left the run to another worker that holds it.
        return time.time() - self._last_sign() > SILENT

    def is_process_alive(self) -> bool:
        """Tell whether the worker that was started from here still runs; to ask also lets the system forget it."""
        return self.process is not None and self.process.poll() is None

    def last_words(self) -> str:
        """Return the last line that the worker printed."""
        try:
            with open(self.path("worker.log"), encoding="utf-8", errors="replace") as opened:
                lines = [line.strip() for line in opened.read()[-4000:].splitlines() if line.strip()]
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def _last_sign(self) -> float:
        spoken = float(self.status.get("heartbeat", 0.0))
        try:
            return max(spoken, os.stat(self.path("request.json")).st_mtime)
        except OSError:
            return spoken


def make_run(root: str, request: Document, prefix: str = "") -> RunFolder:
    """Write a new request below a folder of runs.

    Raises Refusal when it cannot be written.
    """
    name = prefix + time.strftime("%Y%m%d-%H%M%S-") + uuid.uuid4().hex[:8]
    folder = os.path.join(root, name)
    request = dict(request, version=VERSION, id=name, created=time.time())
    try:
        os.makedirs(folder)
        write_document(os.path.join(folder, "request.json"), request)
    except OSError as error:
        raise Refusal("%s cannot be written: %s." % (root, error.strerror or error)) from error
    return RunFolder(folder)
