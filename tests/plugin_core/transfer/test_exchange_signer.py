"""What services with signatures and words of their own add to a call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from plugin_core.errors import OutcomeUnknownError, ServiceError, TransientError
from plugin_core.transfer import Answer, Call, Data, FileBody, Transfer


class Signer:
    """Counts what it signs."""

    def __init__(self) -> None:
        self.signed: list[tuple[str, str, str]] = []

    def __call__(self, method: str, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        self.signed.append((method, url, headers["host"]))
        return {"Authorization": f"number {len(self.signed)}"}


class Words:
    """Says what a status means here."""

    def describe(self, answer: Answer) -> str:
        return f"busy, says {answer.status}"

    def pause(self, answer: Answer) -> float:
        return 7.0


def transfer_of(answers: list[httpx.Response], seen: list[httpx.Request], slept: list[float]) -> Transfer:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers.pop(0)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    return Transfer("X", transport=httpx.MockTransport(answer), sleep=sleep, rng=lambda: 0.0)


def test_each_try_is_signed_anew_and_waits_as_the_service_says() -> None:
    seen: list[httpx.Request] = []
    slept: list[float] = []
    signer = Signer()
    call = Call("GET", "https://x.example/a%20b?c", "X", wants_json=False, signer=signer, dialect=Words())
    transfer = transfer_of([httpx.Response(503), httpx.Response(200)], seen, slept)
    assert asyncio.run(transfer.send(call)).is_success
    assert [request.headers["authorization"] for request in seen] == ["number 1", "number 2"]
    assert signer.signed == [("GET", "https://x.example/a%20b?c", "x.example")] * 2
    assert slept == [7.0]


@pytest.mark.parametrize("paid", [False, True])
def test_failures_are_told_in_the_services_words(paid: bool) -> None:
    call = Call("POST", "https://x.example/", "X", body=Data(b""), wants_json=False, dialect=Words())
    transfer = transfer_of([httpx.Response(503)] * 4, [], [])
    with pytest.raises(OutcomeUnknownError if paid else TransientError, match="busy, says 503"):
        asyncio.run(transfer.send_once(call) if paid else transfer.send(call))


def test_a_signed_call_stays_at_its_host() -> None:
    away = httpx.Response(302, headers={"Location": "https://y.example/"})
    seen: list[httpx.Request] = []
    call = Call("GET", "https://x.example/", "X", wants_json=False, signer=Signer())
    with pytest.raises(ServiceError, match="points elsewhere"):
        asyncio.run(transfer_of([away], seen, []).send(call))
    assert len(seen) == 1


def test_a_signed_call_follows_within_its_host() -> None:
    there = httpx.Response(302, headers={"Location": "/b"})
    seen: list[httpx.Request] = []
    call = Call("GET", "https://x.example/a", "X", wants_json=False, signer=Signer())
    asyncio.run(transfer_of([there, httpx.Response(200)], seen, []).send(call))
    assert [request.headers["authorization"] for request in seen] == ["number 1", "number 2"]


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, None, b"0123456789"), (3, None, b"3456789"), (3, 4, b"3456"), (8, 9, b"89"), (20, 5, b"")],
)
def test_a_stretch_of_a_file_is_sent(tmp_path: Path, offset: int, length: int | None, expected: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    async def run() -> bytes:
        opened = await FileBody(path, offset=offset, length=length).open()
        assert opened.length == len(expected)
        found = b"".join([block async for block in opened.blocks()])
        await opened.close()
        return found

    assert asyncio.run(run()) == expected
