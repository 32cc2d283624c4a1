"""Who does not come in: a test for each row of the README's table of threats."""

from __future__ import annotations

import os
import re
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from stembridge_ui.door import GUESTS, HEADERS, STRANGERS

from tests.hosts.ui.browser import PATIENCE
from tests.hosts.ui.conftest import Server, wait_until

ROOM = GUESTS + STRANGERS + 64
"""Files that the page may hold open, its own among them."""


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="ourselves"),
        pytest.param({"host": "evil.example"}, 421, id="foreign host, as after DNS rebinding"),
        pytest.param({"host": "127.0.0.1"}, 421, id="host without the port"),
        pytest.param({"host": "localhost:{port}"}, 421, id="another name of this machine"),
        pytest.param({"origin": "https://evil.example"}, 403, id="foreign origin"),
        pytest.param({"origin": "http://127.0.0.1:1"}, 403, id="another port of this machine"),
        pytest.param({"origin": "null"}, 403, id="origin of a sandboxed frame"),
        pytest.param({"sec-fetch-site": "cross-site"}, 403, id="image or script of a foreign page"),
        pytest.param({"sec-fetch-site": "same-site"}, 403, id="page of another port"),
        pytest.param(
            {"cookie": 'theme={"dark": [1]}; a b=c d; {cookie}'}, 200, id="cookies of other servers before ours"
        ),
        pytest.param({"cookie": ""}, 401, id="no cookie"),
        pytest.param({"cookie": "stembridge-{port}=guess"}, 401, id="guessed cookie"),
        pytest.param({"cookie": 'stembridge-{port}="\\377'}, 401, id="broken cookie"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/jobs", "/api/events", "/app.js"])
def test_who_comes_in(server: Server, path: str, headers: dict[str, str], status: int) -> None:
    if path == "/api/events" and status == 200:
        pytest.skip("it does not end")
    said = {
        name: text.replace("{port}", str(server.port)).replace("{cookie}", server.cookie)
        for name, text in headers.items()
    }
    answer = server.client.get(path, headers=said)
    assert answer.status_code == status
    assert HEADERS.items() <= dict(answer.headers).items()
    if status != 200:
        assert answer.headers["connection"] == "close"
        assert len(answer.text.splitlines()) == 1


def test_whoever_changes_anything_says_where_they_come_from(server: Server) -> None:
    with httpx.Client(base_url=server.origin, trust_env=False, cookies=server.client.cookies) as silent:
        assert silent.post("/api/offers", json={"paths": []}).status_code == 403
    for foreign in ("https://evil.example", "null", f"http://localhost:{server.port}"):
        answer = server.client.post("/api/offers", json={"paths": []}, headers={"origin": foreign})
        assert answer.status_code == 403


def test_a_link_opens_once_and_the_cookie_is_the_browsers_alone(server: Server) -> None:
    again = server.fresh_link()
    assert again != server.link
    with httpx.Client(trust_env=False) as other:
        assert other.get(server.link).status_code == 401
        assert other.get(f"{server.origin}/?token=").status_code == 401
        entered = other.get(again)
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert re.fullmatch(
            rf"stembridge-{server.port}=[\w-]{{43}}; HttpOnly; Path=/; SameSite=strict", entered.headers["set-cookie"]
        )
        assert other.get(f"{server.origin}/api/jobs").status_code == 200
        assert other.get(again).status_code == 401


def test_the_policy_lets_no_script_in_but_ours() -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in HEADERS["content-security-policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert set(rules.values()) == {"'none'", "'self'"}
    static = Path(__file__).parents[3] / "hosts/ui/stembridge_ui/static"
    page = (static / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|https?://", page)
    for script in static.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script.read_text()
        )


@pytest.mark.parametrize(
    "path",
    [
        *("/../pyproject.toml", "/..%2f..%2fpyproject.toml", "/static/app.js", "//etc/passwd", "/app.js/", "/App.js"),
        *("/%2e%2e/%2e%2e/etc/passwd", "/.git/config", "/plugin.py", "/app.js%00.html"),
        *("/api/jobs/..%2f..%2fetc%2fpasswd/lanes", "/api/jobs/%00/lanes/source/pcm/0", "/api/nothing"),
        *("/api/jobs/{job}/lanes/..%2fsource/pcm/0", "/api/jobs/{job}/lanes/%2fetc%2fpasswd/pcm/0"),
        *("/api/jobs/{job}/lanes/vocals/pcm/-1", "/api/jobs/{job}/lanes/vocals/pcm/1e9"),
        pytest.param("/api/jobs/{job}/lanes/vocals/pcm/" + "9" * 5000, id="more digits than a number may have"),
        *("/api/jobs/{short}/lanes/vocals/pcm/0", "/api/jobs/{job}/lanes/Vocals/peaks", "/api/jobs/%25/lanes"),
    ],
)
def test_paths_lead_nowhere_but_to_jobs_and_stems(server: Server, job: str, path: str) -> None:
    # Not by a client that tidies paths up.
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        target = path.format(job=job, short=job[:8])
        link.sendall(f"GET {target} HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\ncookie: {server.cookie}\r\n".encode())
        link.sendall(b"connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: link.recv(65536), b""))
    status = int(answer.split()[1])
    assert status in (404, 409)
    assert b"root:" not in answer
    assert b"[project]" not in answer


def test_a_song_of_two_gigabytes_is_refused_before_it_is_sent(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as link:
        link.sendall(
            f"POST /api/songs?name=a.flac HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\norigin: {server.origin}\r\n"
            f"cookie: {server.cookie}\r\ncontent-length: {2 << 30}\r\n\r\n".encode()
        )
        assert link.recv(12) == b"HTTP/1.1 413"


def test_a_body_that_does_not_say_its_length_is_cut_off(server: Server) -> None:
    def pour() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 16)

    try:
        status = server.client.post("/api/offers", content=pour()).status_code
    except httpx.TransportError:
        # It was closed while more was poured.
        status = 413
    assert status == 413
    assert server.get("/api/jobs")


def test_a_thousand_open_connections_keep_nobody_out(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    ask = f"GET /api/events HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\ncookie: {server.cookie}\r\n\r\n".encode()
    try:
        # Some say nothing, some begin a request and never end it, and some have the cookie and stay.
        for words in (b"", b"GET / HTTP/1.1\r\nhost:", ask):
            with ExitStack() as stack:
                for _ in range(1000):
                    link = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                    link.sendall(words)
                assert _ask_anew(server) == 200
                wait_until(lambda: _open_files(server) <= ROOM)
                assert _ask_anew(server) == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert peak is not None
    assert int(peak[1]) < 400_000


def _ask_anew(server: Server) -> int:
    """Ask by a new connection, as a browser does whose old one was closed."""
    with httpx.Client(base_url=server.origin, trust_env=False, cookies=server.client.cookies, timeout=PATIENCE) as one:
        return one.get("/api/jobs").status_code


def _open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))  # noqa: PTH208 - names alone
