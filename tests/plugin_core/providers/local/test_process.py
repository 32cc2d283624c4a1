from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_core.errors import ServiceError, SourceError, StembridgeError, TransientError
from plugin_core.providers.local.process import run_worker
from plugin_core.providers.local.request import WorkerRequest
from tests.audio_files import write_song

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


def run_script(script: str, folder: Path) -> object:
    """Let a script take the worker's place."""
    request = WorkerRequest(source=folder / "in.wav", folder=folder / "out", format="flac16")
    return asyncio.run(run_worker(request, lambda fraction: None, command=(sys.executable, "-c", script)))


def test_worker_separates_and_reports(tmp_path: Path) -> None:
    said: list[float | None] = []
    request = WorkerRequest(source=write_song(tmp_path / "in.wav", 1), folder=tmp_path / "out", format="flac16")
    done = asyncio.run(run_worker(request, said.append))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(done.files.values())
    assert said == [1.0]


@POSIX
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9 \n |")
    folder.mkdir()
    source = write_song(folder / os.fsdecode(b"\xff song.wav"), 0.2)
    done = asyncio.run(run_worker(WorkerRequest(source=source, folder=folder / "out", format="flac16"), lambda _: None))
    assert (folder / "out" / done.files["bass"]).exists()


def test_error_of_the_worker_comes_back_as_itself(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(b"no music at all")
    request = WorkerRequest(source=tmp_path / "in.wav", folder=tmp_path / "out", format="flac16")
    with pytest.raises(SourceError, match=r"in\.wav"):
        asyncio.run(run_worker(request, lambda fraction: None))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        pytest.param("import os; os.kill(os.getpid(), 9)", TransientError, "killed.*memory", marks=POSIX, id="killed"),
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
    request = WorkerRequest(source=tmp_path / "in.wav", folder=tmp_path / "out", format="flac16")
    with pytest.raises(TransientError, match="cannot start"):
        asyncio.run(run_worker(request, lambda fraction: None, command=(str(tmp_path / "nothing"),)))


def test_worker_without_a_request_ends() -> None:
    command = [sys.executable, "-m", "plugin_core.providers.local.worker"]
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
        request = WorkerRequest(source=endless_song, folder=tmp_path / "out", format="flac16")
        task = asyncio.create_task(run_worker(request, report))
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
from plugin_core.providers.local.process import run_worker
request = WorkerRequest(source=Path(sys.argv[1]), folder=Path(sys.argv[2]), format="flac16")
asyncio.run(run_worker(request, lambda fraction: print("working", flush=True)))
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
