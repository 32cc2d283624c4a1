"""``stembridge listen`` as a process of its own: a call ends the wait of a job that another process works on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_core.errors import install_hint
from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState, Ticket
from tests import quick_start
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.jobs.fakes import make_job

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
COMMAND = [sys.executable, "-m", "plugin_core", "listen", "--address", "127.0.0.1:0", "--json"]


@contextmanager
def listening(*more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    with quick_start.Popen([*COMMAND, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = [json.loads(process.stdout.readline()) for _ in range(3)]
            yield process, {each["provider"]: each["url"] for each in told}
        finally:
            process.kill()


def end(process: subprocess.Popen[str]) -> tuple[list[dict[str, Any]], str]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()], err


def call(url: str, value: object) -> int:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(value).encode()), timeout=300) as answer:
        return int(answer.status)


def test_a_call_makes_a_job_due(home: Path) -> None:
    with JobStore(home / "jobs.sqlite3") as store:
        job = msgspec.structs.replace(
            make_job(), state=JobState.RUNNING, ticket=Ticket(remote_id="13f3"), due=store.clock() + 3600
        )
        store.add(job)
        with listening() as (process, urls):
            assert set(urls) == {"mediax", "mvsep", "tencent_ci"}
            assert call(urls["mediax"], {"id": "13f3", "state": 4}) == 200
            assert call(urls["mediax"], {"id": "unknown"}) == 200
            events, err = end(process)
        after = store.get(job.id)
    assert events == [
        {"event": "callback", "provider": "mediax", "jobs": [job.id]},
        {"event": "callback", "provider": "mediax", "jobs": []},
        {"event": "summary", "calls": 2, "woken": 1, "exit_code": 0},
    ]
    assert err == ""
    assert after.due <= store.clock()
    assert after == msgspec.structs.replace(job, due=after.due)


def test_the_paths_stay_and_are_logged_nowhere(home: Path) -> None:
    with listening("--public", "https://example.org/hooks/") as (process, urls):
        _, err = end(process)
    with listening() as (process, again):
        call(again["mvsep"], {"hash": "x"})
        end(process)
    tokens = {url.rpartition("/")[2] for url in urls.values()}
    assert tokens == {url.rpartition("/")[2] for url in again.values()}
    assert all(url.startswith(f"https://example.org/hooks/{name}/") for name, url in urls.items())
    assert err == ""
    kept = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert not [token for token in tokens if any(token.encode() in data for data in kept)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--address", "8717"], "'8717' is no address such as 127.0.0.1:8717"),
        (["--address", "127.0.0.1:99999"], "is no address"),
        (["--address", "192.0.2.1:0"], "cannot listen on 192.0.2.1:0: "),
        (["--address", "no such host:1"], "is no address"),
        (["--address", "nowhere.invalid:1"], "cannot listen on nowhere.invalid:1: "),
        (["--public", "example.org"], "is no address such as https://example.org/hooks"),
    ],
)
def test_a_wrong_address_is_one_clear_line(arguments: list[str], says: str) -> None:
    done = quick_start.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=600, check=False)
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert (done.returncode, events) == (2, ["error", "summary"])
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_nobody_who_calls_back(stembridge: Run) -> None:
    result = stembridge("listen", "--address", "127.0.0.1:0")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "no service of any plugin calls back" in result.err


def test_without_the_extra(stembridge: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("plugin_core.callbacks.", "plugin_core.web_server"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = stembridge("listen")
    assert result.code == 2
    assert result.err == (
        f"stembridge: listening needs starlette and uvicorn, which are not installed; {install_hint('listen')}\n"
    )
