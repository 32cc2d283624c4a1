"""A process that starts quickly is as real as one of ``subprocess``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests import quick_start

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX processes")
PROGRAM = """
import json, os, sys, threading
said = {"name": __name__, "words": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ), "pid": os.getpid()}
said |= {"session": os.getsid(0), "descriptors": os.listdir("/dev/fd"), "threads": threading.active_count()}
said |= {"read": sys.stdin.read(), "encodings": [sys.stdin.encoding, sys.stdout.encoding, sys.stderr.errors]}
said |= {"warnings": sys.warnoptions, "module": sys.modules["__main__"].__spec__.name}
print(json.dumps(said))
print("an error", file=sys.stderr)
sys.exit(sys.argv[1] if sys.argv[1] == "why" else 7)
"""
ENDLESS = "import sys, time\nprint(1, flush=True)\ntime.sleep(600)\n"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "endless.py").write_text(ENDLESS)
    return {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "PYTHONWARNINGS": "once",
        "PYTHONUTF8": "1",
        "MORE": "\udcff \u266b",
    }


def start(environ: dict[str, str], name: str, **how: Any) -> subprocess.Popen[Any]:
    process = quick_start.Popen([sys.executable, "-m", name], env=environ, stdout=subprocess.PIPE, **how)
    assert type(process) is not subprocess.Popen
    return process


@pytest.mark.parametrize(("word", "code", "err"), [("\udcff", 7, "an error\n"), ("why", 1, "an error\nwhy\n")])
def test_a_program_sees_what_a_new_interpreter_would_show_it(
    environ: dict[str, str], tmp_path: Path, word: str, code: int, err: str
) -> None:
    said = []
    for starter in (quick_start.run, subprocess.run):
        done = starter(
            [sys.executable, "-m", "program", word, "two words"],
            env=environ,
            cwd=tmp_path,
            input="to read",
            capture_output=True,
            text=True,
            start_new_session=True,
        )
        assert (done.returncode, done.stderr) == (code, err)
        said.append(json.loads(done.stdout))
        assert said[-1].pop("pid") == said[-1].pop("session")
    assert said[0] == said[1]
    assert (said[0]["read"], said[0]["warnings"]) == ("to read", ["once"])
    assert said[0]["env"]["MORE"] == environ["MORE"]


def test_it_is_killed_and_waited_for(environ: dict[str, str]) -> None:
    first, second = start(environ, "endless"), start(environ, "endless")
    for process in (first, second):
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
    assert (first.poll(), first.pid != second.pid) == (None, True)
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(0.01)
    threading.Timer(0.05, first.send_signal, [signal.SIGTERM]).start()
    assert first.wait(60) == -signal.SIGTERM
    first.communicate()
    assert second.poll() is None
    second.kill()
    assert (second.communicate(), second.returncode) == ((b"", None), -signal.SIGKILL)
    with pytest.raises(ProcessLookupError):
        os.kill(second.pid, 0)


def test_what_an_interpreter_reads_at_its_start_takes_a_new_one(environ: dict[str, str]) -> None:
    process = quick_start.Popen(
        [sys.executable, "-m", "program", "x"],
        env=environ | {"PYTHONHASHSEED": "7", "PYTHONWARNINGS": "error"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert type(process) is subprocess.Popen
    assert json.loads(process.communicate()[0])["warnings"] == ["error"]


def test_what_runs_at_the_start_takes_a_new_one(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.exit(9)")
    assert quick_start.run([sys.executable, "-m", "program", "x"], env=environ, capture_output=True).returncode != 7


def test_a_failing_run_is_checked() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        quick_start.run([sys.executable, "-m", "plugin_core", "nothing"], check=True, capture_output=True)
