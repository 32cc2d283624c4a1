"""Starts a worker process, listens to it, and never leaves it behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import ServiceError, StembridgeError, TransientError
from plugin_core.model import to_json
from plugin_core.providers.local.request import Failed, Message, WorkerDone, WorkerRequest, Working
from plugin_core.tasks import start

# Worked out once, at import: msgspec crashes when two threads work out a type at the same time.
_MESSAGES: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)

COMMAND: Final = ("-P", "-m", "plugin_core.providers.local.worker")

TAIL_BYTES: Final = 4096

ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""One worker uses one processor, and sums in one order: the same input gives the same output."""


async def run_worker(
    request: WorkerRequest,
    report: Callable[[float | None], None],
    *,
    command: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> WorkerDone:
    """Separate in a process of its own; cancelling the task kills the process and waits for its end.

    Args:
        request: what to do.
        report: hears the share of the work that is done.
        command: program and arguments; default the worker under this interpreter.
        environ: the environment; default this process's.

    Raises:
        SourceError: or any other error the worker raised, as it was raised.
        TransientError: the process was killed, by the system for want of memory perhaps, or could not start.
        ServiceError: the process crashed.
    """
    process = await _start(command or (sys.executable, *COMMAND), os.environ if environ is None else environ)
    tail = start(_read_tail(_stream(process.stderr)))
    try:
        last = await _converse(process, request, report)
        code = await process.wait()
        said = await tail
    finally:
        await _end(process, tail)
    if isinstance(last, WorkerDone) and code == 0:
        return last
    raise last.as_error() if isinstance(last, Failed) else _explain_end(code, said)


async def _start(command: Sequence[str], environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH"))))
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env={**environ, **ONE_THREAD, "PYTHONPATH": path}
        )
    except OSError as error:
        raise TransientError(
            f"the separator's process cannot start: {error.strerror}", remedy=f"check {command[0]}"
        ) from error


async def _converse(
    process: asyncio.subprocess.Process, request: WorkerRequest, report: Callable[[float | None], None]
) -> Message | None:
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


def _explain_end(code: int, said: bytes) -> StembridgeError:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    words = f": {lines[-1].strip()}" if lines else ""
    if code in (-signal.SIGTERM, -getattr(signal, "SIGKILL", signal.SIGTERM)):
        return TransientError(
            "the separator's process was killed, by the system for want of memory perhaps",
            remedy="close other programs, or lower workers or block_seconds in [local]",
        )
    how = f"with {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return ServiceError(f"the separator's process ended {how}{words}", remedy="please report this")
