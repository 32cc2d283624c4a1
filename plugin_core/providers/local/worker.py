"""The process that separates: ``python -m plugin_core.providers.local.worker``.

Reads one request from standard input and answers on standard output, a JSON object a line. It ends at once when its
standard input does: whoever started it is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress

from plugin_core.errors import StembridgeError, TransientError
from plugin_core.model import from_json, to_json
from plugin_core.providers.local.messages import Failed, Message, Request, Working

ORPHANED = 3
"""Exit code of a worker whose parent is gone."""

REPORT_SECONDS = 0.1
"""Progress is said no more often."""


def main() -> int:
    """Do the one request; return the exit code, 1 when an error line was written."""
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return ORPHANED
    threading.Thread(target=_end_with_parent, daemon=True).start()
    request = from_json(line, Request)
    _step_back(request.nice)
    try:
        _say(_separate(request))
    except StembridgeError as error:
        return _fail(error)
    except MemoryError:
        return _fail(TransientError("there is not enough memory to separate", remedy="close other programs"))
    return 0


def _fail(error: StembridgeError) -> int:
    _say(Failed(type(error).__name__, error.message, error.remedy))
    return 1


def _separate(request: Request) -> Message:
    from plugin_core.providers.local.render import render

    said = 0.0

    def report(fraction: float | None) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= REPORT_SECONDS:
            said = now
            _say(Working(fraction))

    return render(request, report)


def _say(message: Message) -> None:
    try:
        sys.stdout.buffer.write(to_json(message) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(ORPHANED)


def _end_with_parent() -> None:
    # The raw descriptor: a buffered reader's lock would hinder the interpreter's own end.
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(ORPHANED)


def _step_back(nice: int) -> None:
    if nice and hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(nice)


if __name__ == "__main__":
    sys.exit(main())
