from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import httpx
import pytest

from plugin_core.errors import OutcomeUnknownError, ServiceError, SettingsError, SourceError, TransientError
from plugin_core.transfer import Answer, Call, Data, FileBody, FilePart, Form, Multipart, Transfer, clients
from plugin_core.transfer.pauses import RateBudget
from tests.plugin_core.transfer.box import TOKEN, BoxSimulator, Waits
from tests.simulators.faults import (
    Fault,
    bad_gateway,
    html_page,
    rate_limited,
    refuse,
    reset_after,
    reset_before,
    reset_upload,
    server_error,
    truncate,
)

PASSING: dict[str, Callable[[], Fault]] = {
    "500": lambda: server_error(times=2),
    "502-html": lambda: bad_gateway(times=2),
    "200-html": lambda: html_page(times=2),
    "reset": lambda: reset_before(times=2),
    "truncated": lambda: truncate(at=5, times=2),
    "401-html": lambda: refuse("*", "*", 401, "<html>robot?</html>", times=2),
}


def call(box: BoxSimulator, path: str = "/x", method: str = "GET", **values: object) -> Call:
    return Call(method=method, url=box.url + path, what="Box x", **values)  # type: ignore[arg-type]


def run(transfer: Transfer, made: Call, *, once: bool = False) -> Answer:
    async def go() -> Answer:
        async with transfer:
            return await (transfer.send_once(made) if once else transfer.send(made))

    return asyncio.run(go())


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_repeatable_request_outlives_what_passes(box: BoxSimulator, waits: Waits, fault: Callable[[], Fault]) -> None:
    box.faults.add(fault())
    assert run(waits.transfer(), call(box)).data["length"] == 0
    assert len(box.log) == 3
    assert waits.slept == [1.0, 2.0]


def test_gives_up_after_its_tries_with_the_service_s_words(box: BoxSimulator, waits: Waits) -> None:
    box.faults.add(server_error(times=None))
    with pytest.raises(TransientError, match=r"Box x: HTTP 500: .*Server Error"):
        run(waits.transfer(), call(box))
    assert len(box.log) == 4


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_is_the_caller_s_to_read(box: BoxSimulator, waits: Waits, status: int) -> None:
    box.faults.add(refuse("*", "*", status, '{"message":"no"}'))
    answer = run(waits.transfer(), call(box))
    assert (answer.status, answer.data, waits.slept) == (status, {"message": "no"}, [])


@pytest.mark.parametrize("is_date", [False, True], ids=["seconds", "date"])
def test_waits_as_long_as_a_429_asks(box: BoxSimulator, waits: Waits, is_date: bool) -> None:
    box.faults.add(rate_limited(seconds=17, date=waits.now + 17 if is_date else None))
    run(waits.transfer(), call(box))
    assert sum(waits.slept) == pytest.approx(17)


def test_leaves_a_long_pause_to_the_caller(box: BoxSimulator, waits: Waits) -> None:
    box.faults.add(rate_limited(seconds=3600))
    with pytest.raises(TransientError) as caught:
        run(waits.transfer(), call(box))
    assert caught.value.retry_after == pytest.approx(3600)
    assert waits.slept == []


def test_a_429_holds_back_every_call_of_the_token(box: BoxSimulator, waits: Waits) -> None:
    budget = RateBudget()
    box.faults.add(rate_limited(seconds=20))
    with pytest.raises(TransientError, match="too many requests"):
        run(waits.transfer(budget=budget), call(box, method="POST"), once=True)
    run(waits.transfer(budget=budget), call(box))
    assert waits.slept == [pytest.approx(20)]


def test_keeps_to_the_rate_it_is_told(box: BoxSimulator, waits: Waits) -> None:
    left = ({"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": str(number)} for number in (2, 1, 0, 2))
    box.limits = left
    budget = RateBudget()
    for _ in range(3):
        run(waits.transfer(budget=budget), call(box))
    assert waits.slept == []
    run(waits.transfer(budget=budget), call(box))
    assert waits.slept == [pytest.approx(60)]


@pytest.mark.parametrize("connections", [2, 9], ids=["in-line", "at-once"])
def test_calls_side_by_side_keep_to_what_is_left(
    monkeypatch: pytest.MonkeyPatch, waits: Waits, connections: int
) -> None:
    monkeypatch.setattr(clients, "CONNECTIONS", connections)
    started: list[float] = []

    async def answer(_: httpx.Request) -> httpx.Response:
        started.append(waits.now)
        left = max(4 - started.count(waits.now), 0)
        await let_others_go()
        return httpx.Response(200, json={}, headers={"X-RateLimit-Limit": "4", "X-RateLimit-Remaining": str(left)})

    async def sleep(seconds: float) -> None:
        await let_others_go()
        await waits.sleep(seconds)

    async def go() -> None:
        made = Call(method="GET", url="https://box.example/x", what="Box x")
        async with waits.transfer(transport=httpx.MockTransport(answer), sleep=sleep) as transfer:
            await transfer.send(made)
            await asyncio.gather(*(transfer.send(made) for _ in range(6)))

    asyncio.run(go())
    assert (started.count(started[0]), len(started)) == (4, 7)


async def let_others_go() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


UNKNOWN: dict[str, Callable[[], Fault]] = {
    "500": server_error,
    "502-html": bad_gateway,
    "503-text": lambda: refuse("*", "*", 503, "busy"),
    "408": lambda: refuse("*", "*", 408, "{}"),
    "200-html": html_page,
    "garbage": lambda: refuse("*", "*", 200, '{"cut'),
    "reset-before": reset_before,
    "reset-after": reset_after,
    "reset-upload": lambda: reset_upload(at=3),
    "truncated": lambda: truncate("POST", at=5),
}


@pytest.mark.parametrize("fault", UNKNOWN.values(), ids=UNKNOWN)
def test_a_paid_request_is_never_sent_twice(box: BoxSimulator, waits: Waits, fault: Callable[[], Fault]) -> None:
    box.faults.add(fault())
    with pytest.raises(OutcomeUnknownError, match="may have been accepted"):
        run(waits.transfer(), call(box, method="POST", body=Data(b"pay me", "text/plain")), once=True)
    assert len(box.log) == 1
    assert waits.slept == []


def test_a_paid_request_that_gets_no_answer_in_time_is_unknown(waits: Waits) -> None:
    def hang(request: httpx.Request) -> httpx.Response:
        assert request.extensions["timeout"]["read"] == 7
        raise httpx.ReadTimeout("", request=request)

    made = Call(method="POST", url="https://box.example/x", what="Box x", patience=7)
    with pytest.raises(OutcomeUnknownError, match="no answer in time"):
        run(waits.transfer(transport=httpx.MockTransport(hang)), made, once=True)


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError])
def test_a_paid_request_is_tried_again_while_nothing_was_sent(waits: Waits, kind: type[Exception]) -> None:
    tried = []

    def refuse_connection(request: httpx.Request) -> httpx.Response:
        tried.append(request)
        raise kind("away")

    made = Call(method="POST", url="https://box.example/x", what="Box x", body=Form({"a": "1"}))
    with pytest.raises(TransientError):
        run(waits.transfer(transport=httpx.MockTransport(refuse_connection)), made, once=True)
    assert (len(tried), waits.slept) == (4, [1.0, 2.0, 4.0])


def test_a_closed_port_is_transient(waits: Waits) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    made = Call(method="POST", url=f"http://127.0.0.1:{port}/x", what="Box x")
    with pytest.raises(TransientError, match="no connection"):
        run(waits.transfer(), made, once=True)


@pytest.mark.parametrize("once", [False, True])
def test_an_upload_is_whole_however_often_it_is_tried(
    box: BoxSimulator, waits: Waits, tmp_path: Path, once: bool
) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(bytes(range(256)) * 12_345)
    body = Multipart({"api_token": TOKEN}, [FilePart("audiofile", song)])
    if not once:
        box.faults.add(reset_upload(at=1_000_000, times=1))
        box.faults.add(server_error("POST", times=1))
    seen: list[tuple[int, int | None]] = []
    answer = run(waits.transfer(), call(box, "/x", "POST", body=body, report=lambda *at: seen.append(at)), once=once)
    entry = box.log[-1]
    assert entry.files["audiofile"]["length"] == song.stat().st_size
    assert entry.form == {"api_token": TOKEN.reveal()}
    assert int(entry.headers["content-length"]) == answer.data["length"] == seen[-1][0] == seen[-1][1]
    assert "transfer-encoding" not in entry.headers


def test_a_raw_upload_is_sent_as_it_is(box: BoxSimulator, waits: Waits, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"\0\1\2" * 700_000)
    run(waits.transfer(), call(box, "/x", "PUT", body=FileBody(song, "audio/wav")))
    assert (box.log[0].length, box.log[0].headers["content-type"]) == (2_100_000, "audio/wav")


class Liar:
    """A body of three bytes that says it has another number of them."""

    content_type = ""

    def __init__(self, length: int) -> None:
        self.length = length

    async def open(self) -> Liar:
        return self

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        yield b"abc"

    async def close(self) -> None: ...


@pytest.mark.parametrize(("length", "words"), [(2, "longer"), (4, "shorter")])
def test_a_body_that_is_not_as_long_as_said_is_cut(box: BoxSimulator, waits: Waits, length: int, words: str) -> None:
    with pytest.raises(SourceError, match=f"{words} than it was said to be"):
        run(waits.transfer(), call(box, method="PUT", body=Liar(length)))


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_under_way_is_said_and_never_completed(
    box: BoxSimulator, waits: Waits, tmp_path: Path, change: str
) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"\1" * 5_000_000)
    done: list[int] = []

    def spoil(sent: int, total: int | None) -> None:
        if done:
            return
        done.append(sent)
        with song.open("r+b") as file:
            if change == "shrink":
                file.truncate(100)
            else:
                file.seek(0, 2 if change == "grow" else 0)
                file.write(b"\2" * 1000)

    body = Multipart({}, [FilePart("audiofile", song)])
    with pytest.raises(SourceError, match=r"song\.wav changed while it was uploaded"):
        run(waits.transfer(), call(box, "/x", "POST", body=body, report=spoil), once=True)
    assert all(entry.status is None for entry in box.log)


@pytest.mark.parametrize("kind", ["absent", "folder", "pipe"])
def test_a_file_that_cannot_be_read_is_said_before_anything_is_sent(
    box: BoxSimulator, waits: Waits, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "song.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        import os

        os.mkfifo(path)
    with pytest.raises(SourceError, match=r"song\.wav"):
        run(waits.transfer(), call(box, "/x", "PUT", body=FileBody(path)), once=True)
    assert box.log == []


def test_another_host_gets_no_credentials(box: BoxSimulator, waits: Waits) -> None:
    with BoxSimulator() as other:
        box.location = f"{other.url}/end?api_token=s3cret%2Ftoken%2B0123&kept=1"
        made = call(box, "/to/x", query={"api_token": TOKEN}, headers={"Authorization": "Basic x", "X-Key": TOKEN})
        run(waits.transfer(), made)
        assert TOKEN.reveal() in box.log[0].query.values()
        (entry,) = other.log
        assert entry.query == {"kept": "1"}
        assert not {"authorization", "x-key"} & set(entry.headers)


def test_the_same_host_may_point_elsewhere(box: BoxSimulator, waits: Waits) -> None:
    box.location = "/end?a=1"
    run(waits.transfer(), call(box, "/to/x", headers={"Authorization": "Basic x"}))
    assert (box.log[1].target, box.log[1].headers["authorization"]) == ("/end?a=1", "Basic x")


@pytest.mark.parametrize(
    "location", ["http://box.example/", "ftp://127.0.0.1/", "https://u:p@box.example/", "http://["]
)
def test_does_not_follow_to_unsafe_places(box: BoxSimulator, waits: Waits, location: str) -> None:
    box.location = location
    with pytest.raises(ServiceError):
        run(waits.transfer(), call(box, "/to/x"))


def test_ends_where_places_point_to_each_other(box: BoxSimulator, waits: Waits) -> None:
    box.location = "/to/x"
    with pytest.raises(ServiceError, match="without end"):
        run(waits.transfer(), call(box, "/to/x"))


@pytest.mark.parametrize("status", [301, 307])
def test_a_paid_request_is_not_carried_elsewhere(box: BoxSimulator, waits: Waits, status: int) -> None:
    box.location, box.status = "/end", status
    with pytest.raises(ServiceError, match="correct the address"):
        run(waits.transfer(), call(box, "/to/x", "POST", body=Form({"a": "1"})), once=True)
    assert len(box.log) == 1


@pytest.mark.parametrize("url", ["http://box.example/x", "https://u:p@box.example/x", "file:///etc/passwd", "https://"])
def test_speaks_to_no_unsafe_address(waits: Waits, url: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    with pytest.raises(ServiceError):
        run(waits.transfer(transport=httpx.MockTransport(answer)), Call(method="GET", url=url, what="Box x"))


def test_serves_one_event_loop_after_another(box: BoxSimulator, waits: Waits) -> None:
    transfer = waits.transfer()
    for _ in range(3):
        asyncio.run(transfer.send(call(box)))
    assert len(box.log) == 3


def test_sets_no_cookies_and_says_who_it_is(waits: Waits) -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, json={}, headers={"Set-Cookie": "session=1"})

    transfer = waits.transfer(transport=httpx.MockTransport(answer))

    async def twice() -> None:
        async with transfer:
            for _ in range(2):
                await transfer.send(Call(method="GET", url="https://box.example/x", what="Box x"))

    asyncio.run(twice())
    assert "cookie" not in seen[1]
    assert seen[0]["user-agent"].startswith("stembridge/")


def test_a_bad_proxy_is_a_setting(monkeypatch: pytest.MonkeyPatch, waits: Waits) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://nowhere")
    with pytest.raises(SettingsError, match="proxy"):
        run(waits.transfer(), Call(method="GET", url="https://box.example/x", what="Box x"))


def test_every_try_knocks_anew_at_a_proxy_that_breaks_off(monkeypatch: pytest.MonkeyPatch, waits: Waits) -> None:
    """A connection that breaks off in the handshake behind a proxy is neither usable nor closed."""
    knocks = []

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        knocks.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        writer.close()

    async def go() -> None:
        async with await asyncio.start_server(break_off, "127.0.0.1", 0) as proxy, waits.transfer() as transfer:
            host, port = proxy.sockets[0].getsockname()
            monkeypatch.setenv("HTTPS_PROXY", f"http://{host}:{port}")
            with pytest.raises(TransientError):
                await transfer.send(Call(method="GET", url="https://box.example/x", what="Box x"))

    asyncio.run(go())
    assert len(knocks) == 4


def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch, waits: Waits) -> None:
    monkeypatch.setattr("plugin_core.transfer.wire.LARGEST_ANSWER", 1 << 20)
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=b" " * (2 << 20)))
    with pytest.raises(ServiceError, match="more than 1 MiB"):
        run(waits.transfer(transport=transport), Call(method="GET", url="https://box.example/x", what="Box x"))


@pytest.mark.parametrize("fault", [*UNKNOWN.values(), rate_limited], ids=[*UNKNOWN, "429"])
def test_no_log_and_no_error_shows_the_token(
    box: BoxSimulator, waits: Waits, caplog: pytest.LogCaptureFixture, fault: Callable[[], Fault]
) -> None:
    caplog.set_level(logging.DEBUG)
    box.faults.add(fault())
    made = call(box, "/x", "POST", query={"api_token": TOKEN}, headers={"X-Key": TOKEN}, body=Form({"t": TOKEN}))
    with pytest.raises((OutcomeUnknownError, TransientError)) as caught:
        run(waits.transfer(), made, once=True)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format(chain=True))
    assert "api_token" in box.log[0].target
    for form in (TOKEN.reveal(), "s3cret%2Ftoken%2B0123"):
        assert form not in caplog.text + shown + repr(made)
    assert any(record.name.startswith("httpcore") for record in caplog.records)
