"""Python processes that start quickly: forked from one that has imported what they will, in place of a new interpreter.

``Popen`` and ``run`` are ``subprocess``'s for ``[sys.executable, "-m", MODULE, ...]``; a new session takes the terminal
that it reads from. The processes are as real as others (a pid, signals, streams, an environment and a session of their
own), but three things are not a new interpreter's: what ``ps`` shows, what is imported, read (the system's
certificates, the kinds of files) and worked out (types, bytecode that has run) when the first line runs, and how many
threads OpenBLAS has. Tests of start-up, of the process list and of streams that are closed start theirs by
``subprocess``.
"""

from __future__ import annotations

import array
import atexit
import fcntl
import functools
import gc
import importlib
import io
import json
import mimetypes
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
PYTHON = sys.executable  # which the simulated REAPER hides from its scripts
KNOWN = {"cwd", "env", "stdin", "stdout", "stderr", "text", "start_new_session"}
"""What may be asked for; with anything else a new interpreter starts."""
FREE = {
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED", "PYTHON_KEYRING_BACKEND"),
}
"""Variables of Python that processes forked from one may differ in."""
SERVED = ("PYTHONUTF8", "PYTHONWARNINGS")
"""Variables for each value of which there is one to fork from; with other differences a new interpreter starts."""
NEW = subprocess.Popen
"""Starts a new interpreter, also where ``subprocess.Popen`` is replaced by ours."""
HEAVY = (
    *("anyio._backends._asyncio", "anyio.streams.tls", "email.headerregistry", "httpx", "importlib_metadata._adapters"),
    *("numpy.fft", "numpy.ma", "rich.live", "rich.progress", "soundfile", "soxr"),
    *(f"keyring.backends.{name}" for name in ("SecretService", "Windows", "chainer", "kwallet", "libsecret", "macOS")),
)
WHOLE = ("plugin_core", "mutagen")
"""Packages of which everything is imported that can be."""


def Popen(command: Sequence[Any], **how: Any) -> subprocess.Popen[Any]:  # noqa: N802
    """Start a Python module quickly, or anything else as ``subprocess`` does."""
    words = [os.fsdecode(word) for word in command]
    is_module = words[:2] == [PYTHON, "-m"]
    if os.name != "posix" or not is_module or not how.keys() <= KNOWN or _differs(how.get("env") or os.environ):
        return NEW(command, **how)
    return _Forked(words, **how)


def run(
    command: Sequence[Any],
    *,
    input: Any = None,  # noqa: A002
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **how: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run a Python module quickly, to its end."""
    if capture_output:
        how |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        how["stdin"] = subprocess.PIPE
    with Popen(command, **how) as process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def _differs(environ: Mapping[str, str]) -> bool:
    """Tell whether an interpreter reads other variables at its start than this one did, or a module it looks for."""
    if any(Path(folder, "sitecustomize.py").exists() for folder in environ.get("PYTHONPATH", "").split(os.pathsep)):
        return True

    def read(variables: Mapping[str, str]) -> dict[str, str]:
        return {
            name: text
            for name, text in variables.items()
            if name.startswith(("PYTHON", "LC_", "LANG")) and name not in FREE and name not in SERVED
        }

    return read(environ) != read(os.environ)


class _Forked(subprocess.Popen[Any]):
    """A child of the server, which tells through a pipe how it ended."""

    def __init__(self, words: list[str], *, start_new_session: bool = False, **how: Any) -> None:
        self._has_session = start_new_session
        super().__init__(words, **how)

    def _execute_child(self, args: list[str], *given: Any) -> None:
        # As CPython 3.11 to 3.14 calls it: cwd, env, and the six ends of its pipes.
        cwd, env, pipes = given[4], given[5], given[9:15]
        streams = [own if far == -1 else far for own, far in enumerate((pipes[0], pipes[3], pipes[5]))]
        reader, writer = os.pipe()
        self._end = os.fdopen(reader, "rb", buffering=0)
        request: dict[str, Any] = {
            "words": args[2:],
            "cwd": os.fsdecode(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "has_session": self._has_session,
        }
        try:
            self.pid = _server(request["env"]).fork(request, [*streams, writer])
        finally:
            os.close(writer)
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]
        self._child_created = True

    def _internal_poll(self, _deadstate: int | None = None, *others: Any) -> int | None:
        self._look(0)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if not self._look(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def _look(self, timeout: float | None) -> bool:
        if self.returncode is None and select.select([self._end], [], [], timeout)[0]:
            with self._waitpid_lock:  # type: ignore[attr-defined]
                if self.returncode is None:
                    self.returncode = int(self._end.read(8) or b"-9")
                    self._end.close()
        return self.returncode is not None


class _Server:
    """Forks on demand; ends with this process."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._line, far = socket.socketpair()
        command = [PYTHON, "-m", "tests.quick_start", str(far.fileno())]
        own = {name: text for name, text in os.environ.items() if not name.startswith("STEMBRIDGE_")}
        # Threads do not survive a fork.
        environ = {**own, **variables, "OPENBLAS_NUM_THREADS": "1"}
        # In a session of its own: a Ctrl-C that a test sends to its group is for the processes it has started.
        self._process = NEW(
            command, cwd=ROOT, env=environ, pass_fds=[far.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
        )
        far.close()
        self._answers = self._line.makefile("rb")

    def fork(self, request: dict[str, Any], descriptors: list[int]) -> int:
        """Return the pid of a process that does what is asked."""
        text = json.dumps(request).encode()
        with self._lock:
            rights = array.array("i", descriptors)
            self._line.sendmsg([f"{len(text):10}".encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            self._line.sendall(text)
            return int(self._answers.read(10))

    def close(self) -> None:
        """Let the server end."""
        self._answers.close()
        self._line.close()
        self._process.wait()


_servers: dict[tuple[str, ...], _Server] = {}


def _server(environ: Mapping[str, str]) -> _Server:
    values = tuple(environ.get(name, "") for name in SERVED)
    if values not in _servers:
        _servers[values] = _Server(dict(zip(SERVED, values, strict=True)))
        atexit.register(_servers[values].close)
    return _servers[values]


def _serve(line: socket.socket) -> dict[str, Any]:
    """Fork for every request until nobody can ask any more; return the request in the child."""
    ends: dict[int, int] = {}
    read_signals, write_signals = socket.socketpair()
    write_signals.setblocking(False)
    signal.set_wakeup_fd(write_signals.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([line, read_signals], [], [])
        if read_signals in ready:
            read_signals.recv(4096)
            _tell_ends(ends)
        if line not in ready:
            continue
        head, descriptors, _, _ = socket.recv_fds(line, 10, 4)
        if not head:
            # Nobody is left to end them.
            for pid in ends:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os._exit(0)
        length, text = int(head), b""
        while len(text) < length:
            text += line.recv(length - len(text))
        request = json.loads(text)
        _import(request["words"][0])
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for own, given in enumerate(descriptors[:3]):
                os.dup2(given, own)
            for kept in (line, read_signals, write_signals):
                kept.detach()
            os.closerange(3, max(*descriptors, *ends.values(), 64) + 1)
            return dict(request)
        ends[pid] = descriptors.pop()
        for descriptor in descriptors:
            os.close(descriptor)
        line.sendall(f"{pid:10}".encode())


def _tell_ends(ends: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            writer = ends.pop(ended[0])
            with suppress(BrokenPipeError):
                os.write(writer, str(os.waitstatus_to_exitcode(ended[1])).encode())
            os.close(writer)


def _import(module: str) -> None:
    """Import all that a module does, to run it as ``__main__`` later; what is not in our path may be in the child's."""
    with suppress(ImportError):
        if hasattr(importlib.import_module(module), "__path__"):
            importlib.import_module(f"{module}.__main__")


def _become(words: list[str], cwd: str, env: dict[str, str], *, has_session: bool) -> NoReturn:
    """Go on as a new interpreter would that was given these words after ``-m``."""
    if has_session:
        os.setsid()
        if os.isatty(0):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C reaches those whose own terminal it is typed on
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[0:1] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        raw = io.FileIO(number, "r" if number == 0 else "w", closefd=False)
        is_raw = number > 0 and bool(env.get("PYTHONUNBUFFERED"))
        buffer = raw if is_raw else io.BufferedWriter(raw) if number else io.BufferedReader(raw)
        new = io.TextIOWrapper(
            buffer,
            stream.encoding,
            stream.errors,
            line_buffering=number == 2 or raw.isatty(),
            write_through=is_raw,
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    sys.argv, sys.dont_write_bytecode = words, bool(env.get("PYTHONDONTWRITEBYTECODE"))
    is_package = hasattr(sys.modules.get(words[0]), "__path__")
    sys.modules.pop(f"{words[0]}.__main__" if is_package else words[0], None)
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _end(ended.code)
    _end(0)


def _end(code: object) -> NoReturn:
    """End as Python does, but leave the memory to the system: to free it module by module copies it first."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
    status = code if isinstance(code, int) else int(code is not None)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        status = 120
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def _warm_up() -> None:
    """Separate a song: code that has run, and types that were looked at, are quicker in all that are forked then."""
    from plugin_core.cli.app import run as run_command
    from tests.audio_files import write_song
    from tests.simulators.mvsep import PREMIUM_TOKEN, Behaviour, MvsepSimulator
    from tests.simulators.mvsep.walks import INSTANT

    before = dict(os.environ)
    for name in before:
        if name.lower().endswith("_proxy") or name.startswith("SSL_CERT_"):
            del os.environ[name]
    simulator = MvsepSimulator(audio="echo", behaviour=Behaviour(walk=INSTANT))
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as name, simulator as service, redirect_stdout(said), redirect_stderr(said):
        song = write_song(Path(name, "Song.flac"), 1.0, subtype="PCM_16")
        os.environ |= {
            "STEMBRIDGE_HOME": f"{name}/home",
            "STEMBRIDGE_MVSEP_API_TOKEN": PREMIUM_TOKEN,
            "STEMBRIDGE_MVSEP_BASE_URL": service.api,
            "STEMBRIDGE_MVSEP_POLL_FIRST": "0.01",
        }
        code = run_command(["--quiet", "separate", str(song), "--provider", "mvsep", "--model", "40", "--yes"])
    if code or len(threading.enumerate()) > 1:
        raise SystemExit(f"the first song failed, or left threads: {said.getvalue()}")
    os.environ.clear()
    os.environ.update(before)
    _forget_all()


def _forget_all() -> None:
    """Leave nothing that was learnt from one environment to commands in another."""
    from plugin_core.transfer import pauses, redaction

    pauses._shared.clear()
    redaction._forms, redaction._known = frozenset(), None
    if "keyring.core" in sys.modules:
        sys.modules["keyring.core"]._keyring_backend = None  # type: ignore[attr-defined]
    for thing in gc.get_objects():
        if isinstance(thing, functools._lru_cache_wrapper) and thing.__module__.startswith(
            ("plugin_core", "stembridge")
        ):
            thing.cache_clear()


def main() -> NoReturn:
    """Import what takes long, and serve."""
    for name in HEAVY:
        with suppress(ImportError):
            importlib.import_module(name)
    for package in WHOLE:
        with suppress(ImportError):
            folders = importlib.import_module(package).__path__
            for found in pkgutil.walk_packages(folders, f"{package}."):
                if not found.name.endswith(("__main__", "mutagen.m4a")):  # one runs, the other is deprecated
                    with suppress(ImportError):
                        importlib.import_module(found.name)
    _warm_up()
    mimetypes.init()
    with suppress(Exception):  # as it is told to whoever needs them
        sys.modules["plugin_core.transfer.clients"].trust_of_environment()
    gc.collect()
    gc.freeze()
    _become(**_serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
