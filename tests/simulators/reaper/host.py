"""Running scripts as REAPER does: each in an interpreter state of its own, then its deferred code, tick by tick."""

from __future__ import annotations

import os
import sys
import time
import traceback
import types
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import Any, Callable, Iterator

from tests.simulators.reaper.bindings import make_module
from tests.simulators.reaper.engine import FakeReaper
from tests.simulators.reaper.gfx import Gfx
from tests.simulators.reaper.lua_bindings import LuaBindings, make_runtime

EXECUTABLE = "/opt/REAPER/reaper"
_ABSENT = object()


class Script:
    """One script that was started and may have deferred code."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.main = types.ModuleType("__main__")
        self.modules: dict[str, types.ModuleType] = {}
        self.deferred: list[Any] = []
        """Code in Python, functions in Lua."""
        self.window: Gfx | None = None
        """Lua's."""


class Host:
    """REAPER's side of scripts.

    ``errors`` holds what a script raised: REAPER would write it to a file, and end at SystemExit.
    """

    def __init__(self, reaper: FakeReaper) -> None:
        self.reaper = reaper
        self.scripts: list[Script] = []
        self.ended: list[Script] = []
        """Scripts that were cut short; kept, since their workers live on."""
        self.errors: list[str] = []
        self.tick_seconds: list[float] = []

    def start(self, path: str) -> Script:
        """Start an action's script; what it defers waits for ``tick``."""
        script = Script(path)
        _check_ascii(os.path.dirname(path))
        if path.endswith(".lua"):
            return self._start_lua(script)
        with open(path, encoding="ascii") as opened:
            source = opened.read()
        script.main.RPR_defer = script.deferred.append  # type: ignore[attr-defined]
        script.main.RPR_runloop = script.deferred.append  # type: ignore[attr-defined]
        script.main.RPR_atexit = lambda code: None  # type: ignore[attr-defined]
        script.modules["reaper_python"] = make_module(self.reaper)
        self._execute(script, source)
        return self._begin(script)

    def _start_lua(self, script: Script) -> Script:
        runtime = make_runtime(register_eval=False)
        bindings = LuaBindings(self.reaper, runtime)
        script.deferred = bindings.deferred
        runtime.globals().reaper = bindings.table(script.path)
        script.window = Gfx(runtime)
        runtime.globals().gfx = script.window.table
        # Modules of other scripts are not seen, nor what only a program of Lua's own has.
        runtime.execute("os.exit, os.execute, io.popen, print = nil, nil, nil, nil")
        with open(script.path, encoding="ascii") as opened:
            source = opened.read()
        self._execute(script, lambda: runtime.execute(source))
        return self._begin(script)

    def _begin(self, script: Script) -> Script:
        if not script.deferred:
            # What ends at once gets an undo point of its own, whatever it did.
            self.reaper.active.remember("ReaScript: " + os.path.basename(script.path))
        self.scripts.append(script)
        return script

    def tick(self) -> bool:
        """Run what every script deferred; return whether a script is alive."""
        for script in list(self.scripts):
            codes, script.deferred[:] = list(script.deferred), []
            start = time.perf_counter()
            for code in codes:
                self._execute(script, code)
            self.tick_seconds.append(time.perf_counter() - start)
            if not script.deferred:
                self.scripts.remove(script)
        return bool(self.scripts)

    def run(self, until: Callable[[], bool] | None = None, *, seconds: float = 600.0, pause: float = 0.02) -> None:
        """Tick until something is true, by default until every script has ended.

        A tick in which nobody called REAPER was a look at whether there is something to do: only then it pauses as
        long as REAPER does. Raises TimeoutError after so many seconds.
        """
        end = time.monotonic() + seconds
        while until is None or not until():
            calls = self.reaper.calls
            if not self.tick() and until is None:
                return
            if time.monotonic() > end:
                raise TimeoutError("the scripts did not come to an end: %s" % self.reaper.hints[-3:])
            time.sleep(pause if self.reaper.calls == calls else pause / 20)

    def quit(self) -> None:
        """Close REAPER: scripts end where they are."""
        self.ended += self.scripts
        self.scripts.clear()

    def _execute(self, script: Script, code: Any) -> None:
        with nullcontext() if callable(code) else _interpreter_of(script):
            try:
                if callable(code):
                    code()
                else:
                    exec(compile(code, "<reascript>", "exec", dont_inherit=True), script.main.__dict__)
            except BaseException:
                self.errors.append(traceback.format_exc())
        if self.reaper.blocks or self.reaper.guards:
            self.errors.append("an undo block or a refresh guard was left open")
            self.reaper.blocks = self.reaper.guards = 0


@contextmanager
def _interpreter_of(script: Script) -> Iterator[None]:
    """Let a script see its own modules, its folder first in the path, and no file, arguments or output."""
    before: dict[str, Any] = {name: sys.modules.get(name) for name in ("__main__", "reaper_python")}
    kept = {name: getattr(sys, name, _ABSENT) for name in ("executable", "argv", "stdout", "stderr")}
    path = list(sys.path)
    count = len(sys.modules)
    sys.modules.update(script.modules)
    sys.modules["__main__"] = script.main
    sys.path.insert(0, os.path.dirname(script.path))
    sys.executable, sys.stdout, sys.stderr = EXECUTABLE, None, None
    del sys.argv
    try:
        yield
    finally:
        sys.path[:] = path
        for name, value in kept.items():
            setattr(sys, name, value)
        # What came in meanwhile stands last.
        new = list(islice(reversed(sys.modules), len(sys.modules) - count))
        own = [name for name in new if name.startswith(("reaper_python", "stembridge_scripts"))]
        script.modules = {name: sys.modules.pop(name) for name in own}
        sys.modules.update({name: module for name, module in before.items() if module is not None})


def _check_ascii(folder: str) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".py", ".lua")):
                with open(os.path.join(root, name), encoding="ascii") as opened:
                    opened.read()
