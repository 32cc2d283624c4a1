"""Keys, tokens and signed links of CI, COS and MediaX are seen nowhere, whatever goes wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.audio_files import write_song
from tests.end_to_end.hasty import BREAK, start
from tests.end_to_end.tencent_bench import settings_for
from tests.simulators.faults import Fault, bad_gateway, hang, html_page, refuse, reset_after, reset_before, server_error
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator
from tests.simulators.tencent import TencentSimulator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
LIMIT = 900
GATEWAY = ("gw-identity", "gw/key+secret=", "uin_demo")
LINK = re.compile(rb"q-signature=[0-9a-f]|q-ak=[A-Z]")
"""What only a signed link holds."""


class Bench:
    """The real command between both services."""

    def __init__(self, service: MediaxSimulator, bucket: TencentSimulator, home: Path, folder: Path) -> None:
        self.service, self.bucket, self.home = service, bucket, home
        self.song = write_song(folder / "music" / "Song.mp3", 0.3, 22050)
        self.secrets = [SECRET_ID, SECRET_KEY, bucket.keys.secret_id, bucket.keys.secret_key]
        self.environ = settings_for(service, bucket, home)

    def start(self, command: str, *more: str, **environ: str) -> subprocess.Popen[bytes]:
        provider = "mediax" if command == "tag" else "tencent_ci"
        return start(self.environ | environ, "-v", command, "--provider", provider, *more, self.song)

    def assert_hidden(self, texts: Sequence[bytes]) -> None:
        """Look into texts and the raw bytes of every file of ours and beside the song."""
        spellings = {form for text in self.secrets for form in (text, quote(text, safe=""), json.dumps(text)[1:-1])}
        forbidden = [re.compile(re.escape(spelling.encode())) for spelling in spellings] + [LINK]
        files = [path for folder in (self.home, self.song.parent) for path in folder.rglob("*") if path.is_file()]
        assert files
        found = [(path.name, word) for path in files for word in forbidden if word.search(path.read_bytes())]
        assert (found, [(text[-2000:], word) for text in texts for word in forbidden if word.search(text)]) == ([], [])


@pytest.fixture
def bench(home: Path, tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "music").mkdir()
    with MediaxSimulator() as service, TencentSimulator() as bucket:
        yield Bench(service, bucket, home, tmp_path)


def echo(status: int) -> Fault:
    """A service that repeats in its answer what it was sent."""
    body = json.dumps(
        {"errorResponse": {"message": f"no rights: secretId {SECRET_ID} secretKey {SECRET_KEY} q-ak=AKIDx"}}
    )
    return refuse("POST", "/job", status, body, headers={"Content-Type": "application/json"}, times=None)


CASES = [
    pytest.param("tag", [], [], {}, 0, id="mediax-well"),
    pytest.param("tag", [echo(200)], [], {}, 3, id="mediax-echo"),
    pytest.param("tag", [echo(403)], [], {}, 3, id="mediax-echo-403"),
    pytest.param("tag", [reset_after("POST", "/job"), html_page("POST", "/job", nth=3)], [], {}, 0, id="mediax-lost"),
    pytest.param("tag", [], [server_error("PUT", times=2), reset_before("HEAD")], {}, 0, id="stage-500"),
    pytest.param("tag", [], [], {BREAK: "/job"}, 1, id="mediax-exception"),
    pytest.param("tag", [], [], {BREAK: "links/"}, 1, id="stage-exception"),
    pytest.param("separate", [], [], {}, 0, id="ci-well"),
    pytest.param("separate", [], [reset_after("POST", "/jobs"), bad_gateway("GET", "/jobs*")], {}, 0, id="ci-lost"),
    pytest.param("separate", [], [], {BREAK: "/jobs"}, 1, id="ci-exception"),
    pytest.param("separate", [], [], {BREAK: "source"}, 1, id="cos-exception"),
    pytest.param(
        "separate", [], [], {"STEMBRIDGE_TENCENT_SECRET_KEY": "wrong-secret-key-1234567"}, 3, id="ci-wrong-key"
    ),
]


@pytest.mark.parametrize(("command", "service_faults", "bucket_faults", "more", "code"), CASES)
def test_no_fault_shows_a_secret(
    bench: Bench, command: str, service_faults: list[Fault], bucket_faults: list[Fault], more: dict[str, str], code: int
) -> None:
    for fault in service_faults:
        bench.service.faults.add(fault)
    for fault in bucket_faults:
        bench.bucket.faults.add(fault)
    bench.secrets += [text for name, text in more.items() if name.endswith("KEY")]
    for form in ((), ("--json",)):
        process = bench.start(command, "--force", *form, **more)
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == code, err.decode()[-3000:]
        assert b"Traceback" not in out
        bench.assert_hidden([out, err])


def test_an_sts_token_and_gateway_keys_are_hidden_too(bench: Bench) -> None:
    token = "sts/Token+of=sixty=minutes"
    bench.bucket.keys = type(bench.bucket.keys)(**(vars(bench.bucket.keys) | {"token": token}))
    bench.service.gateway = GATEWAY
    names = ("GATEWAY_ID", "GATEWAY_KEY", "GATEWAY_SOURCE")
    gateway = {f"STEMBRIDGE_MEDIAX_{name}": text for name, text in zip(names, GATEWAY, strict=True)}
    bench.secrets += [token, GATEWAY[0], GATEWAY[1]]
    for command in ("tag", "separate"):
        process = bench.start(command, **gateway, STEMBRIDGE_TENCENT_TOKEN=token)
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, err.decode()[-3000:]
        bench.assert_hidden([out, err])


@pytest.mark.parametrize("command", ["tag", "separate"])
def test_neither_a_kill_nor_the_process_list_shows_a_secret(bench: Bench, command: str) -> None:
    stuck = (bench.service if command == "tag" else bench.bucket).faults.add(hang("POST", "/job*"))
    process = bench.start(command, PYTHONFAULTHANDLER="1")  # a new interpreter, whose words ``ps`` shows
    stuck.wait(1, LIMIT)
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, check=True).stdout
    assert re.search(rb"hasty.*" + re.escape(os.fsencode(bench.song)), listed)
    process.send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=LIMIT)
    bench.assert_hidden([out, err, *re.findall(rb".*plugin_core.*|.*hasty.*", listed)])
    bench.service.release()
    bench.bucket.release()
    goes_on = start(bench.environ, "-v", "jobs", "resume")
    outcome = goes_on.communicate(timeout=LIMIT)
    assert goes_on.returncode == 0, outcome[1].decode()[-3000:]
    shown = start(bench.environ, "-v", "jobs", "list", "--json").communicate(timeout=LIMIT)
    bench.assert_hidden([*outcome, *shown])
