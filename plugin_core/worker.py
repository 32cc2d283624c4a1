"""A process that works on one song for an engine on this machine: started, listened to, never left behind.

It reads one request from standard input and answers on standard output, a JSON object a line. It ends at once when its
standard input does: whoever started it is gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from plugin_core import errors
from plugin_core.errors import ServiceError, StembridgeError, TransientError
from plugin_core.files.disk import explain_write_error
from plugin_core.model import from_json, to_json

if TYPE_CHECKING:
    import asyncio  # the worker itself does without, and starts quicker

Reported = Callable[[float | None], None]
"""Hear which share of the source is worked through, 0 to 1; None where its length is unknown."""


class Working(msgspec.Struct, frozen=True, tag="progress", tag_field="event"):
    """How much of the work is done, 0 to 1; None where the source's length is unknown."""

    fraction: float | None


class WorkerDone(msgspec.Struct, frozen=True, tag="done", tag_field="event"):
    """Every stem is on the disk."""

    files: dict[str, str]
    """File name in the folder by stem."""
    clipped: int = 0
    """Samples of a lossy source that lay over full scale and were clipped, as a player does."""
    notes: tuple[str, ...] = ()
    """What people should know of the stems."""


class Failed(msgspec.Struct, frozen=True, tag="error", tag_field="event"):
    """An error, by the name of its class."""

    kind: str
    message: str
    remedy: str = ""

    def as_error(self) -> StembridgeError:
        kind = getattr(errors, self.kind, None)
        if not (isinstance(kind, type) and issubclass(kind, StembridgeError)):
            kind = ServiceError
        return kind(self.message, remedy=self.remedy)


Message = Working | WorkerDone | Failed

# Worked out once, at import: msgspec crashes when two threads work out a type at the same time.
_MESSAGES: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)

TAIL_BYTES: Final = 4096

ORPHANED: Final = 3
"""Exit code of a worker whose parent is gone."""

REPORT_SECONDS: Final = 0.1
"""Progress is said no more often."""


class WorkerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The one line a worker reads: what every engine says in it."""

    folder: Path
    """Made by the worker, for the stems alone."""
    nice: int = 0
    """How far it steps back behind other programs."""


R = TypeVar("R", bound=WorkerOrder)

ENVIRONMENT: Final = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"),
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
"""One worker uses one processor, and sums in one order: the same input gives the same output. And the C library of
Linux gives large arrays back that are let go of, instead of keeping them in pieces that are too small later, but keeps
what small ones leave: asking for it again and again takes a twentieth of the time."""


def usable_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_command(module: str) -> tuple[str, ...]:
    """Return the command that runs an engine's worker under this interpreter."""
    return sys.executable, "-P", "-m", module


async def run_worker(command: Sequence[str], request: WorkerOrder, report: Reported, *, relief: str) -> WorkerDone:
    """Separate in a process of its own; cancelling the task kills the process and waits for its end.

    Args:
        command: program and arguments.
        request: what to do.
        report: hears the share of the work that is done.
        relief: what to do for want of memory.

    Raises:
        SourceError: or any other error the worker raised, as it was raised.
        TransientError: the process was killed, by the system for want of memory perhaps, or could not start.
        ServiceError: the process crashed.
    """
    from plugin_core.tasks import start

    process = await _start(command)
    tail = start(_read_tail(_stream(process.stderr)))
    try:
        last = await _converse(process, request, report)
        code = await process.wait()
        said = await tail
    finally:
        await _end(process, tail)
    if isinstance(last, WorkerDone) and code == 0:
        return last
    raise last.as_error() if isinstance(last, Failed) else _explain_end(code, said, relief)


async def _start(command: Sequence[str]) -> asyncio.subprocess.Process:
    import asyncio

    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path}
        )
    except OSError as error:
        raise TransientError(
            f"the separator's process cannot start: {error.strerror}", remedy=f"check {command[0]}"
        ) from error


async def _converse(process: asyncio.subprocess.Process, request: WorkerOrder, report: Reported) -> Message | None:
    """Hand over the request and listen to the end; return the last word, if it was one."""
    if process.stdin is None:
        raise AssertionError("the worker was started with pipes")
    try:
        process.stdin.write(to_json(request) + b"\n")
        await process.stdin.drain()
    except ConnectionError:
        return None  # it died at once; its exit code says more
    last: Message | None = None
    async for line in _stream(process.stdout):
        try:
            last = _MESSAGES.decode(line)
        except msgspec.DecodeError:
            continue  # a library's chatter
        if isinstance(last, Working):
            report(last.fraction)
    return last


async def _read_tail(stream: asyncio.StreamReader) -> bytes:
    tail = b""
    while piece := await stream.read(TAIL_BYTES):
        tail = (tail + piece)[-TAIL_BYTES:]
    return tail


async def _end(process: asyncio.subprocess.Process, tail: asyncio.Task[bytes]) -> None:
    """Kill what still runs, wait for it and close its pipes."""
    if process.returncode is None:
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    while await _stream(process.stdout).read(TAIL_BYTES):
        pass
    await process.wait()
    await tail


def _stream(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise AssertionError("the worker was started with pipes")
    return stream


def _explain_end(code: int, said: bytes, relief: str) -> StembridgeError:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    words = f": {lines[-1].strip()}" if lines else ""
    if code in (-signal.SIGTERM, -getattr(signal, "SIGKILL", signal.SIGTERM)):
        return TransientError(
            "the separator's process was killed, by the system for want of memory perhaps",
            remedy=f"close other programs, or {relief}",
        )
    how = f"with {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return ServiceError(f"the separator's process ended {how}{words}", remedy="please report this")


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder for stems, and remove it with all that is in it if what follows fails.

    Raises:
        TransientError: the disk is full, or a share does not answer.
        PlacementError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise explain_write_error(folder, error) from error
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def serve(kind: type[R], work: Callable[[R, Reported], WorkerDone]) -> int:
    """Be a worker: do the one request; return the exit code, 1 when an error line was written."""
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return ORPHANED
    threading.Thread(target=_end_with_parent, daemon=True).start()
    request = from_json(line, kind)
    _step_back(request.nice)
    try:
        _say(work(request, _speak_now_and_then()))
    except StembridgeError as error:
        return _fail(error)
    except MemoryError:
        return _fail(TransientError("there is not enough memory to separate", remedy="close other programs"))
    return 0


def _speak_now_and_then() -> Reported:
    said = 0.0

    def report(fraction: float | None) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= REPORT_SECONDS:
            said = now
            _say(Working(fraction))

    return report


def _fail(error: StembridgeError) -> int:
    _say(Failed(type(error).__name__, error.message, error.remedy))
    return 1


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
