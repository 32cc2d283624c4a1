"""Whom a connection trusts, how long an answer may take, and what is said where a network stands in the way."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from plugin_core.errors import OutcomeUnknownError, SettingsError, StembridgeError, TransientError
from plugin_core.transfer import Answer, Call, Transfer
from plugin_core.transfer.clients import trust
from plugin_core.transfer.download import collect
from plugin_core.transfer.wire import describe
from tests.plugin_core.transfer.box import Waits

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Key and certificate of ``localhost``, which nobody vouches for; good for a hundred years."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


class Server:
    """One HTTP server of this process, encrypted or not, that counts who knocks."""

    def __init__(self, answer: Serve, *, encrypted: bool = False) -> None:
        self.knocks = 0
        self._answer = answer
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if encrypted else None
        if self._context is not None:
            self._context.load_cert_chain(CERTIFICATE)

    def ask(self, transfer: Transfer, url: str, *, once: bool = False) -> Answer:
        async def go() -> Answer:
            async with await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context) as server, transfer:
                call = Call("GET", url.format(port=server.sockets[0].getsockname()[1]), "Box x")
                return await (transfer.send_once(call) if once else transfer.send(call))

        return asyncio.run(go())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def say_yes(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()


async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("once", [False, True])
def test_an_unknown_authority_is_named_with_a_remedy_and_asked_once(waits: Waits, once: bool) -> None:
    with pytest.raises(TransientError, match="authority that this computer does not know") as caught:
        Server(say_yes, encrypted=True).ask(waits.transfer(), "https://localhost:{port}/x", once=once)
    assert "SSL_CERT_FILE" in caught.value.remedy
    assert waits.slept == []


def test_a_file_of_one_s_own_certificates_is_trusted_but_not_for_another_name(
    waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    server = Server(say_yes, encrypted=True)
    assert server.ask(waits.transfer(), "https://localhost:{port}/x").data == {}
    with pytest.raises(TransientError, match="another server") as caught:
        server.ask(waits.transfer(), "https://127.0.0.1:{port}/x")
    assert "login page" in caught.value.remedy


@pytest.mark.parametrize(("name", "what"), [("SSL_CERT_FILE", "file"), ("SSL_CERT_DIR", "folder")])
def test_certificates_that_are_not_there_are_a_setting(
    waits: Waits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, what: str
) -> None:
    monkeypatch.setenv(name, str(tmp_path / what))
    with pytest.raises(SettingsError, match=f"{name} names .*{what}") as caught:
        Server(say_yes, encrypted=True).ask(waits.transfer(), "https://localhost:{port}/x")
    assert "unset it" in caught.value.remedy


def test_a_file_without_certificates_is_a_setting(
    waits: Waits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate", encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(SettingsError, match=r"ca\.pem, in which no certificates"):
        Server(say_yes, encrypted=True).ask(waits.transfer(), "https://localhost:{port}/x")


def test_without_a_wish_the_system_is_trusted() -> None:
    context = trust("", "", "linux")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    truststore = pytest.importorskip("truststore")
    assert isinstance(trust("", "", "darwin"), truststore.SSLContext)


def test_what_openssl_says_of_time_is_put_into_words() -> None:
    detail = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1000)"
    found = describe(httpx.ConnectError(detail), "https://box.example/")
    assert (found.is_lasting, found.is_unsent) == (True, True)
    assert "clock" in found.remedy


@pytest.mark.parametrize("once", [False, True])
def test_a_dead_proxy_is_named_without_its_password(waits: Waits, monkeypatch: pytest.MonkeyPatch, once: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass-word@127.0.0.1:{port}")
    with pytest.raises(TransientError, match=f"proxy http://127.0.0.1:{port} ") as caught:
        Server(say_yes).ask(waits.transfer(), "https://box.example/x", once=once)
    assert "HTTPS_PROXY" in caught.value.remedy
    assert "pass-word" not in str(caught.value)


def test_a_proxy_that_refuses_is_named(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def go() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy, waits.transfer() as transfer:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
            await transfer.send(Call("GET", "https://box.example/x", "Box x"))

    with pytest.raises(TransientError, match="answers 407 Proxy Authentication Required") as caught:
        asyncio.run(go())
    assert "HTTPS_PROXY" in caught.value.remedy


@pytest.mark.parametrize(("once", "kind"), [(False, TransientError), (True, OutcomeUnknownError)])
def test_an_answer_byte_by_byte_ends_in_time(
    waits: Waits, monkeypatch: pytest.MonkeyPatch, once: bool, kind: type[StembridgeError]
) -> None:
    for name in ("ANSWER_SECONDS", "STALL_SECONDS"):
        monkeypatch.setattr(f"plugin_core.transfer.wire.{name}", 0.15)
    monkeypatch.setattr("plugin_core.transfer.exchange.PAID_PATIENCE", 0.15)
    server = Server(trickle)
    with pytest.raises(kind, match="no whole answer in time"):
        server.ask(waits.transfer(), "http://127.0.0.1:{port}/x", once=once)
    assert server.knocks == 1


def test_all_tries_of_a_call_end_in_time(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_core.transfer.exchange.CALL_SECONDS", 0.3)
    tries = []

    async def think(request: httpx.Request) -> httpx.Response:
        tries.append(request)
        await asyncio.sleep(0.2)
        return httpx.Response(500)

    async def go() -> None:
        async with waits.transfer(transport=httpx.MockTransport(think)) as transfer:
            await transfer.send(Call("GET", "https://box.example/x", "Box x"))

    with pytest.raises(TransientError, match="no whole answer in time"):
        asyncio.run(go())
    assert len(tries) == 2


def test_a_download_that_crawls_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_core.transfer.download.CRAWL_SECONDS", 0.1)
    written = bytearray()

    class Crawl(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield b"x"
                await asyncio.sleep(0.01)

    async def write(pieces: list[bytes], _is_end: bool) -> None:
        written.extend(b"".join(pieces))

    with pytest.raises(httpx.ReadTimeout):
        asyncio.run(collect(httpx.Response(200, stream=Crawl()), write))
    assert written
