"""Calls over real HTTP: good ones wake by name, bad ones are refused, none of them ends the server."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Collection

import pytest

from plugin_core.callbacks.server import CONNECTIONS, LARGEST, Allowance, open_socket
from plugin_core.errors import StoreError, UsageError
from tests.plugin_core.callbacks.conftest import Listen

MEDIAX_JOB = {"id": "13f3", "state": 3, "customId": "key-1", "outputs": []}
CI_JOB = {"Code": "Success", "JobId": "j8d12", "State": "Success", "Operation": {"UserData": "key-2"}}
CI_XML = (
    "<Response><EventName>TaskFinish</EventName><JobsDetail><JobId>j8d12</JobId><State>Success</State>"
    "<Operation><UserData>key-2</UserData></Operation></JobsDetail></Response>"
)
HASH = "20260101101500-0a1b2c3d4e-song.wav"

GOOD = [
    pytest.param("mediax", json.dumps(MEDIAX_JOB), {"13f3", "key-1"}, id="mediax-bare"),
    pytest.param("mediax", json.dumps({"job": MEDIAX_JOB}), {"13f3", "key-1"}, id="mediax-job"),
    pytest.param("mediax", json.dumps({"getJobResponse": {"job": MEDIAX_JOB}}), {"13f3", "key-1"}, id="mediax-wrapped"),
    pytest.param("tencent_ci", CI_XML, {"j8d12", "key-2"}, id="ci-xml"),
    pytest.param("tencent_ci", json.dumps({"JobsDetail": [CI_JOB]}), {"j8d12", "key-2"}, id="ci-list"),
    pytest.param("tencent_ci", json.dumps({"JobsDetail": CI_JOB}), {"j8d12", "key-2"}, id="ci-object"),
    pytest.param("tencent_ci", json.dumps({"Response": {"JobsDetail": CI_JOB}}), {"j8d12", "key-2"}, id="ci-response"),
    pytest.param("mvsep", json.dumps({"hash": HASH}), {HASH}, id="mvsep-top"),
    pytest.param("mvsep", json.dumps({"data": {"job_hash": HASH}}), {HASH}, id="mvsep-data"),
    pytest.param("mvsep", f"hash={HASH}", {HASH}, id="mvsep-form"),
]


@pytest.mark.parametrize(("provider", "body", "names"), GOOD)
def test_a_call_wakes_the_names_in_it(listen: Listen, provider: str, body: str, names: set[str]) -> None:
    listener = listen()
    assert listener.post(listener.paths.of(provider), body.encode()) == 200
    assert (listener.woken, listener.heard) == ([names], [(provider, names)])


BOMB = '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Response><JobsDetail>&b;</JobsDetail></Response>'
DEEP = "[" * 100_000
UNREADABLE = [
    pytest.param("tencent_ci", BOMB.encode(), id="entity-bomb"),
    pytest.param("tencent_ci", BOMB.encode("utf-16"), id="entity-bomb-utf-16"),
    pytest.param("tencent_ci", b'<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x"><Response/>', id="external-dtd"),
    pytest.param("tencent_ci", CI_XML[:-9].encode(), id="cut-xml"),
    pytest.param("tencent_ci", b"<html><body/></html>", id="html"),
    pytest.param("tencent_ci", b"", id="empty"),
    pytest.param("tencent_ci", b"[]", id="ci-json-list"),
    pytest.param("mediax", DEEP.encode(), id="deep-json"),
    pytest.param("mediax", b"1" * 10_000, id="endless-number"),
    pytest.param("mediax", b"\xff\xfe\x00\xd8", id="no-text"),
    pytest.param("mediax", b"\x1f\x8b\x08\x00" + b"\0" * 64, id="gzip"),
    pytest.param("tencent_ci", b"<?xml version='1.0' encoding='bogus'?><Response/>", id="encoding"),
]


@pytest.mark.parametrize(("provider", "body"), UNREADABLE)
def test_what_cannot_be_read_is_refused(listen: Listen, provider: str, body: bytes) -> None:
    listener = listen()
    assert listener.post(listener.paths.of(provider), body) == 400
    assert (listener.woken, listener.heard) == ([], [])
    assert listener.post(listener.paths.of("mvsep"), f"hash={HASH}".encode()) == 200


HARMLESS = [
    pytest.param("mediax", b"{}", id="mediax-empty"),
    pytest.param("mediax", b'{"job": {"job": {"job": {"job": {"id": "x"}}}}}', id="mediax-nested"),
    pytest.param("mediax", b"null", id="mediax-null"),
    pytest.param("tencent_ci", b'{"JobsDetail": "x"}', id="ci-text"),
    pytest.param("tencent_ci", b'{"JobsDetail": [1, null, {"JobId": {}}]}', id="ci-odd"),
    pytest.param("tencent_ci", b"<Response/>", id="ci-nothing"),
    pytest.param("mvsep", b"", id="mvsep-trial"),
    pytest.param("mvsep", b"hello", id="mvsep-words"),
    pytest.param("mvsep", b'{"hash": 5, "data": []}', id="mvsep-odd"),
]


@pytest.mark.parametrize(("provider", "body"), HARMLESS)
def test_a_call_that_names_nothing_wakes_nothing(listen: Listen, provider: str, body: bytes) -> None:
    listener = listen()
    assert listener.post(listener.paths.of(provider), body) == 200
    assert (listener.woken, listener.heard) == ([], [(provider, set())])


def test_wrong_paths_are_not_found_and_cost_the_right_ones_nothing(listen: Listen) -> None:
    listener = listen(allowance=lambda: Allowance(1, 0.001))
    right = listener.paths.of("mediax")
    body = json.dumps(MEDIAX_JOB).encode()
    wrong = ["/", "/mediax", f"{right}0", f"{right}/", right.upper(), right.replace("mediax", "mvsep"), "/x/%ff%00"]
    assert [listener.post(path, body) for path in wrong * 5] == [404] * len(wrong) * 5
    assert listener.woken == []
    assert listener.post(right, body) == 200


def test_other_methods(listen: Listen) -> None:
    listener = listen()
    path = listener.paths.of("mvsep")
    methods = {"GET": 200, "HEAD": 200, "PUT": 405, "DELETE": 405}
    assert {method: listener.post(path, b"", method=method) for method in methods} == methods
    assert listener.heard == []


def test_an_oversized_body_is_refused_unread(listen: Listen) -> None:
    listener = listen()
    path = listener.paths.of("mediax")
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**12}\r\n\r\n".encode()
    assert listener.send(head).split()[1] == b"413"
    assert listener.post(path, b" " * (LARGEST + 1)) == 413
    chunk = b"%x\r\n%s\r\n" % (65536, b" " * 65536)
    chunked = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert listener.send(chunked + chunk * 5).split()[1] == b"413"
    assert listener.post(path, b" " * (LARGEST - 2) + b"{}") == 200
    assert listener.woken == []


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="tls"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", id="long-header"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", id="negative-length"),
        pytest.param(b"\r\n" * 50 + b"nonsense\r\n\r\n", id="nonsense"),
    ],
)
def test_what_is_no_http_hurts_nobody(listen: Listen, raw: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    listener = listen()
    assert b" 200 " not in listener.send(raw)
    assert listener.post(listener.paths.of("mvsep"), b"") == 200
    assert capfd.readouterr().err == ""


def test_a_flood_of_right_calls_is_slowed_down(listen: Listen) -> None:
    moments = iter([0.0, *[0.0] * 12, 1.0])
    listener = listen({}, allowance=lambda: Allowance(1, 1))
    assert listener.post("/mediax/x", b"") == 404
    allowance = Allowance(10, 2, clock=lambda: next(moments))
    assert [allowance.take() for _ in range(12)] == [True] * 10 + [False] * 2
    assert allowance.seconds == 0.5
    assert allowance.take()
    busy = listen(allowance=lambda: Allowance(3, 0.01))
    path = busy.paths.of("mvsep")
    answers = [busy.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) for _ in range(5)]
    assert [answer.split()[1] for answer in answers] == [b"200"] * 3 + [b"429"] * 2
    assert b"retry-after: " in answers[-1].lower()
    assert busy.post(busy.paths.of("mediax"), b"{}") == 200


def test_callers_who_say_nothing_are_hung_up_on(listen: Listen) -> None:
    listener = listen(lifetime=0.5)
    half = f"POST {listener.paths.of('mvsep')} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nha".encode()
    with contextlib.ExitStack() as opened:
        idle = [
            opened.enter_context(socket.create_connection(("127.0.0.1", listener.port), 30))
            for _ in range(CONNECTIONS + 10)
        ]
        # On a busy machine its time may be over by now.
        with contextlib.suppress(ConnectionError):
            idle[0].sendall(half)
        # It is refused instead when all the others are there before its first line.
        assert listener._rest(idle[0]).partition(b"\r\n")[0] in (b"", b"HTTP/1.1 503 Service Unavailable")
        assert {listener._rest(connection) for connection in idle[1:]} == {b""}
    assert listener.post(listener.paths.of("mvsep"), b"") == 200


def test_a_body_that_does_not_come_is_not_waited_for(listen: Listen) -> None:
    listener = listen(body_seconds=0.2)
    path = listener.paths.of("mvsep")
    half = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nha".encode()
    assert listener.send(half).split()[1] == b"408"


def test_many_at_once(listen: Listen) -> None:
    listener = listen()
    path = listener.paths.of("mvsep")
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: statuses.append(listener.post(path, f"hash=h{n}".encode())))
        for n in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert statuses == [200] * 40
    assert set().union(*listener.woken) == {f"h{n}" for n in range(40)}


def test_a_store_that_cannot_be_used_asks_for_another_call(listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
    listener = listen()
    listener.error = StoreError("job store: disk is full")
    assert listener.post(listener.paths.of("mvsep"), f"hash={HASH}".encode()) == 503
    assert "disk is full" in caplog.text
    assert listener.paths.of("mvsep") not in caplog.text


def test_a_plugin_that_breaks_is_named(listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def read_callback(self, body: bytes, content_type: str) -> Collection[str]:
            raise KeyError("oops")

    listener = listen({"broken": Broken()})
    assert listener.post(listener.paths.of("broken"), b"{}") == 503
    assert "plugin broken failed: KeyError" in caplog.text


def test_a_call_of_a_thousand_names_wakes_a_hundred(listen: Listen) -> None:
    listener = listen()
    body = json.dumps({"JobsDetail": [{"JobId": f"j{n}"} for n in range(1000)]}).encode()
    assert listener.post(listener.paths.of("tencent_ci"), body) == 200
    assert len(listener.woken[0]) == 100


def test_an_address_that_is_taken() -> None:
    with (
        open_socket("127.0.0.1", 0) as taken,
        pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use; give another"),
    ):
        open_socket("127.0.0.1", taken.getsockname()[1])
