"""Answers to a download that are not the file, whatever their length: each of them was once taken for it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from plugin_core.errors import SpoiltFileError, TransientError
from plugin_core.transfer import parts
from tests.plugin_core.transfer.box import BoxSimulator, Waits
from tests.plugin_core.transfer.test_download import SMALL, fetch
from tests.simulators.faults import html_page, rate_limited


@pytest.fixture
def target(box: BoxSimulator, tmp_path: Path) -> Path:
    box.contents = {"song.wav": SMALL, "empty": b""}
    return tmp_path / "stem.wav"


def test_a_page_of_unannounced_length_is_not_the_file(box: BoxSimulator, waits: Waits, target: Path) -> None:
    box.faults.add(html_page("GET", "*", times=1))
    assert fetch(box, waits, target) == len(SMALL)
    assert target.read_bytes() == SMALL and waits.slept
    target.unlink()
    box.faults.add(html_page("GET", "*", times=20))
    with pytest.raises(SpoiltFileError, match="a web page instead of the file"):
        fetch(box, waits, target)
    assert not target.exists()


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("is_helped", [True, False], ids=["once", "always"])
def test_a_file_that_comes_encoded_is_not_the_file(waits: Waits, tmp_path: Path, is_helped: bool) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        if is_helped and len(asked) > 1:
            return httpx.Response(200, content=stream(SMALL))
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=stream(gzip.compress(SMALL)))

    async def go() -> int:
        async with waits.transfer(transport=httpx.MockTransport(answer)) as transfer:
            return await transfer.download("https://box.example/x", tmp_path / "x")

    if is_helped:
        assert asyncio.run(go()) == len(SMALL)
        assert (tmp_path / "x").read_bytes() == SMALL
    else:
        with pytest.raises(TransientError, match=r"came encoded \(gzip\)"):
            asyncio.run(go())
        assert not (tmp_path / "x").exists()
    assert set(asked) == {"identity"}


def test_a_pause_of_an_hour_is_not_slept_but_told(box: BoxSimulator, waits: Waits, target: Path) -> None:
    box.faults.add(rate_limited("GET", "*", seconds=3600))
    with pytest.raises(TransientError) as caught:
        fetch(box, waits, target)
    assert caught.value.retry_after == pytest.approx(3600)
    assert waits.slept == [] and len(box.log) == 1


def test_an_empty_file_takes_the_place_of_what_was_begun(box: BoxSimulator, waits: Waits, target: Path) -> None:
    """It was longer when it was begun: the service says by its validator that it is another by now."""
    part, begun = target.with_name("stem.wav.part"), b"of the file as it was"
    part.write_bytes(begun)
    note = parts.Note(place=parts.place_of(f"{box.url}/data/empty"), validator='"0"', total=2 * len(begun))
    part.with_name("stem.wav.part.note").write_bytes(msgspec.json.encode(note))
    assert fetch(box, waits, target, "empty") == 0
    assert target.read_bytes() == b""


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_file_of_unknown_length_that_was_all_there_is_not_fetched_again(
    waits: Waits, tmp_path: Path, is_whole: bool
) -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("range"))
        if asked[-1] is None:
            return httpx.Response(200, content=stream(SMALL))
        length = len(SMALL) if is_whole else len(SMALL) - 1
        return httpx.Response(416, headers={"Content-Range": f"bytes */{length}"})

    async def go() -> int:
        async with waits.transfer(transport=httpx.MockTransport(answer)) as transfer:
            return await transfer.download("https://box.example/x", tmp_path / "x")

    (tmp_path / "x.part").write_bytes(SMALL)
    note = parts.Note(place=parts.place_of("https://box.example/x"))
    (tmp_path / "x.part.note").write_bytes(msgspec.json.encode(note))
    assert asyncio.run(go()) == len(SMALL)
    assert (tmp_path / "x").read_bytes() == SMALL
    assert asked == [f"bytes={len(SMALL)}-", *([] if is_whole else [None])]
