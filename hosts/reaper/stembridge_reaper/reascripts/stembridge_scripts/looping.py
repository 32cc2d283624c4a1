"""Running inside REAPER: every action starts here, and nothing ever escapes to the host."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, Any

from . import api
from .failing import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from .watching import Watcher

LOG = "stembridge-reaper-error.txt"


def run_action(action: Callable[[], Watcher | None]) -> None:
    """Do an action, and follow what it started in deferred ticks."""
    watcher = _guarded(action)
    if watcher is None:
        # A script that deferred once leaves no undo point of its own.
        _main().RPR_defer("pass")
        return
    main = _main()
    main.stembridge_watcher = watcher
    main.stembridge_tick = lambda: _tick(watcher)
    main.RPR_defer("stembridge_tick()")


def _tick(watcher: Watcher) -> None:
    goes_on = _guarded(watcher.tick)
    if goes_on:
        _main().RPR_defer("stembridge_tick()")
    elif goes_on is None:
        # After an error of its own; 'Insert finished stems' may follow its runs again.
        _guarded(watcher.let_go)


def _guarded(function: Callable[[], Any]) -> Any:
    """Call a function; what goes wrong is said in one sentence, and None comes back."""
    try:
        return function()
    except Refusal as refusal:
        api.box(str(refusal))
    except Exception as error:  # noqa: BLE001 - REAPER must never see an exception
        path = _keep_traceback()
        what = " ".join(("%s: %s" % (type(error).__name__, error)).split())
        api.box("stembridge stopped with an error of its own (%s); details are in %s." % (what, path))
    return None


def _keep_traceback() -> str:
    path = os.path.join(tempfile.gettempdir(), LOG)
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(traceback.format_exc() + "\n")
    except OSError:
        return "no file, since %s cannot be written" % path
    return path


def _main() -> Any:
    """Return the script's own module, where REAPER puts ``RPR_defer``."""
    return sys.modules["__main__"]
