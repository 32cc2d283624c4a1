from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_core import errors
from plugin_core.errors import ServiceError, SourceError, StembridgeError, TransientError
from plugin_core.model import from_json, to_json
from plugin_core.providers.local.adapter import WORKER
from plugin_core.providers.local.request import WorkerRequest
from plugin_core.worker import Failed, Message, Reported, WorkerDone, Working, run_worker, worker_command
from tests.audio_files import write_endless, write_song

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


def request_for(source: Path, folder: Path) -> WorkerRequest:
    return WorkerRequest(source=source, folder=folder, format="flac16")


def separate(request: WorkerRequest, report: Reported, *command: str) -> Coroutine[Any, Any, WorkerDone]:
    """Let the embedded separator's worker do it, or another command."""
    return run_worker(command or worker_command(WORKER), request, report, relief="be patient")


def run_script(script: str, folder: Path) -> object:
    """Let a script take the worker's place."""
    request = request_for(folder / "in.wav", folder / "out")
    return asyncio.run(separate(request, lambda fraction: None, sys.executable, "-c", script))


@pytest.fixture
def endless_song(tmp_path: Path) -> Path:
    return write_endless(tmp_path / "endless.wav")


def test_worker_separates_and_reports(tmp_path: Path) -> None:
    said: list[float | None] = []
    request = request_for(write_song(tmp_path / "in.wav", 1), tmp_path / "out")
    done = asyncio.run(separate(request, said.append))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(done.files.values())
    assert said == [1.0]


def test_a_worker_uses_one_processor_and_gives_memory_back(tmp_path: Path) -> None:
    asked = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_MMAP_THRESHOLD_")
    script = f"import json, os; print(json.dumps(dict(event='done', files={{k: os.environ[k] for k in {asked}}})))"
    assert run_script(script, tmp_path) == WorkerDone(dict(zip(asked, ("1", "1", "8388608"), strict=True)))


@POSIX
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9 \n |")
    folder.mkdir()
    source = write_song(folder / os.fsdecode(b"\xff song.wav"), 0.2)
    done = asyncio.run(separate(request_for(source, folder / "out"), lambda _: None))
    assert (folder / "out" / done.files["bass"]).exists()


def test_error_of_the_worker_comes_back_as_itself(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(b"no music at all")
    request = request_for(tmp_path / "in.wav", tmp_path / "out")
    with pytest.raises(SourceError, match=r"in\.wav"):
        asyncio.run(separate(request, lambda fraction: None))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        pytest.param(
            "import os; os.kill(os.getpid(), 9)", TransientError, "killed.*memory.*be patient", marks=POSIX, id="killed"
        ),
        pytest.param("import os; os.kill(os.getpid(), 15)", TransientError, "killed", marks=POSIX, id="terminated"),
        pytest.param("import os; os.kill(os.getpid(), 11)", ServiceError, "SIGSEGV", marks=POSIX, id="crashed"),
        pytest.param("raise RuntimeError('odd thing')", ServiceError, "exit code 1: RuntimeError: odd", id="raised"),
        pytest.param("import sys; sys.exit(0)", ServiceError, "exit code 0", id="said nothing"),
        pytest.param("print('chatter')", ServiceError, "exit code 0", id="chatter"),
        pytest.param("import sys; sys.exit('x' * 100_000 + '\\nlast')", ServiceError, "code 1: last", id="long words"),
    ],
)
def test_a_worker_that_dies_is_explained(script: str, kind: type[StembridgeError], words: str, tmp_path: Path) -> None:
    with pytest.raises(StembridgeError, match=words) as caught:
        run_script(script, tmp_path)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_a_worker_that_cannot_start(tmp_path: Path) -> None:
    request = request_for(tmp_path / "in.wav", tmp_path / "out")
    with pytest.raises(TransientError, match="cannot start"):
        asyncio.run(separate(request, lambda fraction: None, str(tmp_path / "nothing")))


def test_worker_without_a_request_ends() -> None:
    command = worker_command(WORKER)
    assert subprocess.run(command, stdin=subprocess.DEVNULL, timeout=600, check=False).returncode == 3


@POSIX
def test_worker_leaves_ctrl_c_to_its_parent(endless_song: Path, tmp_path: Path) -> None:
    async def interrupt() -> None:
        started = asyncio.Event()
        others = children_of(os.getpid())
        pids: list[int] = []

        def report(fraction: float | None) -> None:
            if not started.is_set():
                pids.extend(pid for pid in children_of(os.getpid()) if pid not in others)
                for pid in pids:
                    os.kill(pid, signal.SIGINT)
                started.set()
            elif fraction is not None:
                survived.set()

        survived = asyncio.Event()
        request = request_for(endless_song, tmp_path / "out")
        task = asyncio.create_task(separate(request, report))
        await asyncio.wait_for(survived.wait(), 600)
        assert pids
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    if not Path("/proc/self/task").exists():
        pytest.skip("needs /proc")
    asyncio.run(interrupt())


PARENT = """
import asyncio, sys
from pathlib import Path
from plugin_core.providers.local.request import WorkerRequest
from plugin_core.worker import run_worker, worker_command
request = WorkerRequest(source=Path(sys.argv[1]), folder=Path(sys.argv[2]), format="flac16")
command = worker_command("plugin_core.providers.local.worker")
asyncio.run(run_worker(command, request, lambda fraction: print("working", flush=True), relief=""))
"""


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a stranger's process as only Linux can")
def test_worker_ends_when_its_parent_is_killed(endless_song: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(endless_song), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"working\n"
        (worker,) = children_of(parent.pid)
        handle = os.pidfd_open(worker)
        try:
            assert not select.select([handle], [], [], 0)[0]
            parent.kill()
            parent.wait()
            assert select.select([handle], [], [], 300)[0], "the worker outlived its parent"
        finally:
            os.close(handle)


@pytest.mark.parametrize(
    "message", [Working(0.5), Working(None), WorkerDone({"bass": "bass.flac"}, 3), Failed("X", "y", "z")]
)
def test_there_and_back(message: Message) -> None:
    assert msgspec.json.decode(to_json(message), type=Message) == message
    assert from_json(to_json(message), type(message)) == message


def test_error_keeps_its_class_and_words() -> None:
    error = Failed("SourceError", "no music", "play some").as_error()
    assert type(error) is SourceError
    assert str(error) == "no music; play some"


@pytest.mark.parametrize("kind", ["ExitCode", "annotations", "KeyError", ""])
def test_what_is_no_error_of_ours_is_a_service_error(kind: str) -> None:
    assert type(Failed(kind, "odd").as_error()) is ServiceError


def test_every_class_can_be_carried() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StembridgeError)]
    assert len(kinds) > 5
    assert all(type(Failed(kind.__name__, "what").as_error()) is kind for kind in kinds)
