from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import httpcore
import httpx
import pytest

from plugin_core.errors import ServiceError
from plugin_core.transfer.clients import CONNECTIONS, Clients

HERE = "https://box.example/a"
THERE = "https://elsewhere.example/a"


def make() -> Clients:
    return Clients(httpx.MockTransport(lambda _: httpx.Response(200, headers={"set-cookie": "a=b"})))


async def use(clients: Clients, url: str) -> httpx.AsyncClient:
    async with clients.lend(url) as client:
        return client


def test_the_client_used_last_for_an_origin_is_used_again() -> None:
    async def go() -> None:
        clients = make()
        first, other = await use(clients, HERE), await use(clients, THERE)
        assert first is not other
        assert await use(clients, "https://box.example/b") is first
        assert await use(clients, "https://box.example:444/b") not in (first, other)

    asyncio.run(go())


@pytest.mark.parametrize("error", [httpx.ConnectError("no"), asyncio.CancelledError()], ids=["error", "cancelled"])
def test_a_client_that_met_trouble_is_not_lent_again(error: BaseException) -> None:
    async def go() -> None:
        clients = make()
        with pytest.raises(type(error)):
            async with clients.lend(HERE) as broken:
                raise error
        assert broken.is_closed
        assert await use(clients, HERE) is not broken

    asyncio.run(go())


def test_a_client_that_was_closed_leaves_its_place_to_others() -> None:
    async def go() -> None:
        clients = make()
        for _ in range(CONNECTIONS + 1):
            async with clients.lend(HERE) as client:
                await client.aclose()
        assert not (await use(clients, HERE)).is_closed

    asyncio.run(go())


def test_nobody_else_has_a_client_that_is_lent() -> None:
    async def go() -> None:
        clients = make()
        async with clients.lend(HERE) as first, clients.lend(HERE) as second:
            assert first is not second
        # The one given back last is the one least likely to have lost its connection.
        assert await use(clients, HERE) is first

    asyncio.run(go())


def test_one_transfer_too_many_waits_and_takes_what_was_idle_longest() -> None:
    async def go() -> None:
        clients = make()
        async with AsyncExitStack() as stack:
            lent = [await stack.enter_async_context(clients.lend(HERE)) for _ in range(CONNECTIONS)]
            waiting = asyncio.create_task(use(clients, THERE))
            await asyncio.sleep(0)
            assert not waiting.done()
            assert len(set(lent)) == CONNECTIONS
        assert await waiting in lent

    asyncio.run(go())


def test_the_end_of_a_loop_closes_its_clients_and_another_loop_has_its_own() -> None:
    clients = make()
    first = asyncio.run(use(clients, HERE))
    assert first.is_closed
    assert asyncio.run(use(clients, HERE)) is not first


def test_an_address_that_may_not_be_spoken_to_gets_no_client() -> None:
    with pytest.raises(ServiceError, match="not encrypted"):
        asyncio.run(use(make(), "http://box.example/"))


def test_cookies_are_not_kept() -> None:
    async def go() -> httpx.AsyncClient:
        async with make().lend(HERE) as client:
            await client.get(HERE)
            return client

    assert list(asyncio.run(go()).cookies.jar) == []


def test_a_connection_is_asked_for_as_much_as_an_event_loop_has_at_once() -> None:
    asked: list[int] = []

    class Stream(httpcore.AsyncMockStream):
        async def read(self, max_bytes: int, *rest: Any, **options: Any) -> bytes:
            asked.append(max_bytes)
            return await super().read(max_bytes, *rest, **options)

    class Network(httpcore.AsyncMockBackend):
        async def connect_tcp(self, *_arguments: Any, **_options: Any) -> httpcore.AsyncNetworkStream:
            return Stream([b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"all"])

    async def go() -> None:
        async with httpcore.AsyncConnectionPool(network_backend=Network([])) as pool:
            assert (await pool.request("GET", "http://127.0.0.1/")).content == b"all"

    asyncio.run(go())
    assert set(asked) == {256 << 10}
