"""The token is seen nowhere: not in output, logs, store, settings, staging or the process list, whatever goes wrong."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.audio_files import write_song
from tests.end_to_end.hasty import BREAK, start
from tests.simulators.faults import (
    Fault,
    bad_gateway,
    hang,
    html_page,
    rate_limited,
    refuse,
    reset_after,
    reset_before,
    server_error,
    truncate,
)
from tests.simulators.mvsep import Behaviour, MvsepSimulator
from tests.simulators.mvsep.walks import failed

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

TOKEN = "Zq9/wX+7 k=Ä&vb3%41s_dfgh\"'012"
"""Every spelling of it differs: plain, in a URL, in a form, in JSON."""

SPELLINGS = {
    TOKEN,
    quote(TOKEN),
    quote(TOKEN, safe=""),
    quote_plus(TOKEN),
    json.dumps(TOKEN)[1:-1],
    json.dumps(TOKEN, ensure_ascii=False)[1:-1],
    repr(TOKEN)[1:-1],
}
FORBIDDEN = [spelling.encode() for spelling in SPELLINGS] + [TOKEN.encode("latin-1"), TOKEN.encode("utf-16-le")]

CREATE = "*/separation/create"
GET = "*/separation/get"
LIMIT = 900


@pytest.fixture
def service() -> Iterator[MvsepSimulator]:
    with MvsepSimulator() as simulator:
        simulator.add_account(TOKEN, is_premium=True, credits=1000)
        yield simulator


@pytest.fixture
def environ(service: MvsepSimulator, home: Path) -> dict[str, str]:
    return {
        "STEMBRIDGE_HOME": str(home),
        "STEMBRIDGE_PLUGINS": "mvsep",
        "STEMBRIDGE_MVSEP_API_TOKEN": TOKEN,
        "STEMBRIDGE_MVSEP_BASE_URL": service.api,
        "STEMBRIDGE_MVSEP_POLL_FIRST": "0.05",
        "STEMBRIDGE_MVSEP_POLL_LONGEST": "0.1",
        "STEMBRIDGE_MVSEP_REGISTER_SECONDS": "0.5",
    }


@pytest.fixture
def song(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return write_song(folder / "Song.wav", 0.3, 22050, subtype="PCM_16")


def separate(environ: dict[str, str], song: Path, *more: str) -> subprocess.Popen[bytes]:
    return start(environ, "-v", "separate", "--provider", "mvsep", "--model", "40", *more, song)


def assert_hidden(texts: Sequence[bytes], *folders: Path) -> None:
    """Look into texts and into the raw bytes of every file; there must be some to look into."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    found = [path.name for path in files if holds_token(path.read_bytes())]
    assert (found, [text for text in texts if holds_token(text)]) == ([], [])


def holds_token(data: bytes) -> bool:
    return any(form in data for form in FORBIDDEN)


def echo(status: int) -> Fault:
    """A service that repeats in its answer what it was sent."""
    body = json.dumps({"success": False, "errors": [f"invalid token {TOKEN}", f"/api?api_token={quote_plus(TOKEN)}"]})
    return refuse("*", "/api/separation/*", status, body, headers={"Content-Type": "application/json"}, times=None)


CASES = [
    pytest.param([], {}, 0, id="all-well"),
    pytest.param([refuse("POST", CREATE, 401, '{"message":"Unauthenticated."}', times=None)], {}, 3, id="401"),
    pytest.param(
        [refuse("GET", "*/app/user", 401, '{"message":"Unauthenticated."}', times=None)], {}, 3, id="401-user"
    ),
    pytest.param([server_error("GET", "*", times=None)], {}, 1, id="500-always"),
    pytest.param([server_error("POST", CREATE, after=True), server_error("GET", GET, times=2)], {}, 0, id="500"),
    pytest.param([reset_after("POST", CREATE), reset_before("GET", "*", times=3)], {}, 0, id="resets"),
    pytest.param([html_page("POST", CREATE, after=True), bad_gateway("GET", GET, times=2)], {}, 0, id="html"),
    pytest.param([rate_limited("*", "/api/*", seconds=0.1, times=6, probability=0.5)], {}, 0, id="429"),
    pytest.param([truncate("GET", "/storage/*", at=100)], {}, 0, id="truncated"),
    pytest.param([echo(400)], {}, 3, id="echo-400"),
    pytest.param([echo(403)], {}, 3, id="echo-403"),
    pytest.param([], {BREAK: "api_token"}, 1, id="exception"),
    pytest.param([], {BREAK: "separation/create"}, 1, id="exception-upload"),
]


@pytest.mark.parametrize(("faults", "more", "code"), CASES)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["people", "json"])
def test_no_fault_shows_the_token(
    service: MvsepSimulator,
    environ: dict[str, str],
    home: Path,
    song: Path,
    faults: list[Fault],
    more: dict[str, str],
    code: int,
    form: tuple[str, ...],
) -> None:
    for fault in faults:
        service.faults.add(fault)
    process = separate(environ | more, song, *form)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == code, err.decode()
    assert b"Traceback" not in out
    assert_hidden([out, err], home, song.parent)


def test_a_reason_that_repeats_the_token_is_masked_in_the_job(
    service: MvsepSimulator, environ: dict[str, str], home: Path, song: Path
) -> None:
    service.behave(Behaviour(walk=(failed(f"token {TOKEN} has no power"),)))
    process = separate(environ, song, "--json")
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, b"has no power" in out) == (1, True)
    assert_hidden([out, err], home, song.parent)
    (job_id,) = {event["id"] for event in map(json.loads, out.splitlines()) if event["event"] == "job"}
    listed = start(environ, "-v", "jobs", "show", job_id).communicate(timeout=LIMIT)
    assert_hidden(listed, home)


@pytest.mark.parametrize("end", [signal.SIGABRT, signal.SIGKILL, signal.SIGINT], ids=["abort", "kill", "ctrl-c"])
def test_neither_a_crash_nor_the_process_list_shows_the_token(
    service: MvsepSimulator, environ: dict[str, str], home: Path, song: Path, end: signal.Signals
) -> None:
    waiting = service.faults.add(hang("GET", GET))
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, limits[1]))
    try:
        process = separate(environ | {"PYTHONFAULTHANDLER": "1"}, song)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    waiting.wait(1, LIMIT)
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, check=True).stdout
    command = Path(f"/proc/{process.pid}/cmdline")
    lines = [listed, command.read_bytes() if command.exists() else b""]
    assert b"separate" in listed
    process.send_signal(end)
    out, err = process.communicate(timeout=LIMIT)
    service.release()
    assert process.returncode in (-end, 130)
    assert_hidden([out, err, *lines], home, song.parent)
    goes_on = start(environ, "-v", "jobs", "resume")
    outcome = goes_on.communicate(timeout=LIMIT)
    assert (goes_on.returncode, service.created) == (0, 1), outcome[1].decode()
    assert_hidden(outcome, home, song.parent)


def test_a_kept_token_is_in_config_toml_alone_and_only_its_owner_reads_it(
    service: MvsepSimulator, environ: dict[str, str], home: Path, song: Path
) -> None:
    config = home / "config.toml"
    config.write_text(f"[mvsep]\napi_token = {json.dumps(TOKEN, ensure_ascii=False)}\n", "utf-8")
    config.chmod(0o600)
    del environ["STEMBRIDGE_MVSEP_API_TOKEN"]
    process = separate(environ, song)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err.decode()
    config.unlink()
    assert_hidden([out, err], home, song.parent)
