from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import threading
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from plugin_core.errors import PlacementError, ServiceError, SpoiltFileError, TransientError
from plugin_core.transfer import parts
from tests.plugin_core.transfer.box import BoxSimulator, Waits
from tests.simulators.faults import (
    bad_gateway,
    hang,
    html_page,
    no_range,
    rate_limited,
    reset_after,
    server_error,
    stall,
    truncate,
    wrong_length,
)

SMALL = random.Random(1).randbytes(300_000)
LARGE = random.Random(2).randbytes(9 << 20)


def fetch(box: BoxSimulator, waits: Waits, target: Path, name: str = "song.wav", **values: Any) -> int:
    async def go() -> int:
        async with waits.transfer() as transfer:
            return await transfer.download(f"{box.url}/data/{name}", target, **values)

    return asyncio.run(go())


@pytest.fixture
def target(box: BoxSimulator, tmp_path: Path) -> Path:
    box.contents = {"song.wav": SMALL, "long.wav": LARGE, "empty": b""}
    return tmp_path / "stem.wav"


def ranges(box: BoxSimulator) -> list[str | None]:
    return [entry.headers.get("range") for entry in box.log]


@pytest.mark.parametrize("name", ["song.wav", "long.wav", "empty"])
def test_brings_a_file_and_leaves_nothing_else(box: BoxSimulator, waits: Waits, target: Path, name: str) -> None:
    told: list[tuple[int, int | None]] = []
    content = box.contents[name]
    digest = hashlib.md5(content).hexdigest().upper()
    report = lambda *at: told.append(at)  # noqa: E731
    assert fetch(box, waits, target, name, size=len(content), md5=digest, report=report) == len(content)
    assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]
    assert not content or told[-1] == (len(content), len(content))
    assert box.log[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("name", ["song.wav", "long.wav"])
@pytest.mark.parametrize("at", [0, 1, 65_536, 123_457, -1])
def test_a_cut_download_is_resumed_where_it_was_cut(
    box: BoxSimulator, waits: Waits, target: Path, name: str, at: int
) -> None:
    box.faults.add(truncate("GET", "/data/*", at=at))
    fetch(box, waits, target, name)
    assert target.read_bytes() == box.contents[name]
    cut = at if at >= 0 else len(box.contents[name]) + at
    assert ranges(box) == [None, f"bytes={cut}-" if cut else None]
    assert not cut or box.log[1].headers["if-range"] == '"1"'


def test_a_download_cut_often_ends_whole(box: BoxSimulator, waits: Waits, target: Path) -> None:
    box.faults.add(truncate("GET", "/data/*", at=20_000, times=12))
    fetch(box, waits, target)
    assert target.read_bytes() == SMALL
    assert len(box.log) == 13


def test_another_process_resumes_what_one_left(box: BoxSimulator, waits: Waits, target: Path) -> None:
    box.faults.add(truncate("GET", "/data/*", at=100_000))
    box.faults.add(server_error("GET", "/data/*", times=4))
    with pytest.raises(TransientError, match="HTTP 500"):
        fetch(box, waits, target)
    assert not target.exists()
    fetch(box, waits, target)
    assert target.read_bytes() == SMALL
    assert ranges(box)[-1] == "bytes=100000-"


def test_what_was_whole_but_not_yet_named_is_not_fetched_again(box: BoxSimulator, waits: Waits, target: Path) -> None:
    part = target.with_name("stem.wav.part")
    part.write_bytes(SMALL)
    note = parts.Note(place=parts.place_of(f"{box.url}/data/song.wav"), validator='"1"', total=len(SMALL))
    part.with_name("stem.wav.part.note").write_bytes(msgspec.json.encode(note))
    assert fetch(box, waits, target) == len(SMALL)
    assert box.log == []


@pytest.mark.parametrize("spoil", ["no-note", "broken-note", "other-place", "too-long"])
def test_a_part_of_something_else_is_not_resumed(box: BoxSimulator, waits: Waits, target: Path, spoil: str) -> None:
    part = target.with_name("stem.wav.part")
    part.write_bytes(b"x" * (1000 if spoil != "too-long" else 400_000))
    place = parts.place_of(f"{box.url}/data/{'other' if spoil == 'other-place' else 'song.wav'}")
    note = msgspec.json.encode(parts.Note(place=place, validator='"1"', total=len(SMALL)))
    if spoil != "no-note":
        part.with_name("stem.wav.part.note").write_bytes(b"{" if spoil == "broken-note" else note)
    fetch(box, waits, target)
    assert target.read_bytes() == SMALL
    assert ranges(box) == [None]


@pytest.mark.parametrize("how", ["no-range", "changed", "no-range-at-all"])
def test_starts_over_where_it_cannot_go_on(box: BoxSimulator, waits: Waits, target: Path, how: str) -> None:
    box.faults.add(truncate("GET", "/data/*", at=100_000))
    if how == "no-range":
        box.faults.add(no_range("GET", "/data/*"))
    box.has_ranges = how != "no-range-at-all"

    async def sleep(seconds: float) -> None:
        if how == "changed":
            box.contents["song.wav"], box.etags["song.wav"] = SMALL[::-1], "2"

    waits.sleep = sleep  # type: ignore[method-assign]
    fetch(box, waits, target)
    assert target.read_bytes() == box.contents["song.wav"]
    assert ranges(box) == [None, "bytes=100000-"]


def test_without_a_validator_another_length_is_another_file(box: BoxSimulator, waits: Waits, target: Path) -> None:
    box.faults.add(truncate("GET", "/data/*", at=100_000))
    box.etags["song.wav"] = None

    async def sleep(seconds: float) -> None:
        box.contents["song.wav"] = SMALL[::-1] + b"more"

    waits.sleep = sleep  # type: ignore[method-assign]
    fetch(box, waits, target)
    assert target.read_bytes() == box.contents["song.wav"]


def test_a_part_longer_than_the_file_has_become_is_dropped(box: BoxSimulator, waits: Waits, target: Path) -> None:
    box.faults.add(truncate("GET", "/data/*", at=100_000))
    box.etags["song.wav"] = None

    async def sleep(seconds: float) -> None:
        box.contents["song.wav"] = b"short"

    waits.sleep = sleep  # type: ignore[method-assign]
    fetch(box, waits, target)
    assert target.read_bytes() == b"short"
    assert ranges(box) == [None, "bytes=100000-", None]


@pytest.mark.parametrize(
    "fault",
    [
        lambda: server_error("GET", "*", times=2),
        lambda: bad_gateway("GET", "*", times=2),
        lambda: html_page("GET", "*", times=2),
        lambda: reset_after("GET", "*", times=2),
        lambda: wrong_length("GET", "*", at=10, times=1),
        lambda: rate_limited("GET", "*", seconds=3),
    ],
    ids=["500", "502", "html", "reset", "longer-announced", "429"],
)
def test_what_passes_is_waited_out(box: BoxSimulator, waits: Waits, target: Path, fault: Any) -> None:
    box.faults.add(fault())
    fetch(box, waits, target, size=len(SMALL))
    assert target.read_bytes() == SMALL
    assert waits.slept


@pytest.mark.parametrize("what", ["size", "md5"])
def test_what_is_not_as_announced_is_never_named(box: BoxSimulator, waits: Waits, target: Path, what: str) -> None:
    announced = {"size": len(SMALL) - 1} if what == "size" else {"md5": "0" * 32}
    with pytest.raises(TransientError, match="announced"):
        fetch(box, waits, target, **announced)
    assert not target.exists()
    assert len(box.log) == 4


@pytest.mark.parametrize("name", ["song.wav", "long.wav"])
def test_a_file_above_the_limit_is_refused_before_it_is_written(
    box: BoxSimulator, waits: Waits, target: Path, name: str
) -> None:
    with pytest.raises(ServiceError, match="larger than 1000 bytes"):
        fetch(box, waits, target, name, limit=1000)
    assert not target.with_name("stem.wav.part").exists()


def test_a_file_of_unknown_length_ends_at_the_limit(waits: Waits, tmp_path: Path) -> None:
    async def endless() -> Any:
        for _ in range(1000):
            yield b"x" * 100_000

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=endless()))

    async def go() -> None:
        async with waits.transfer(transport=transport) as transfer:
            await transfer.download("https://box.example/x", tmp_path / "x", limit=5_000_000)

    with pytest.raises(ServiceError, match="larger"):
        asyncio.run(go())
    assert (tmp_path / "x.part").stat().st_size <= 5_000_000


def test_a_file_that_goes_on_behind_its_end_is_not_taken(waits: Waits, tmp_path: Path) -> None:
    async def two() -> Any:
        for _ in range(2):
            yield bytes(1 << 20)

    headers = {"content-length": str(1 << 20)}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, content=two()))

    async def go() -> None:
        async with waits.transfer(transport=transport) as transfer:
            await transfer.download("https://box.example/x", tmp_path / "x")

    with pytest.raises(SpoiltFileError, match="2097152 bytes came, but 1048576 were announced"):
        asyncio.run(go())
    assert not (tmp_path / "x").exists()


def test_a_gone_file_is_said(box: BoxSimulator, waits: Waits, target: Path) -> None:
    with pytest.raises(ServiceError, match=r"/data/none: the file is gone \(HTTP 404\)"):
        fetch(box, waits, target, "none")
    assert len(box.log) == 1


def test_takes_the_longest_part_that_others_left_and_touches_none(
    box: BoxSimulator, waits: Waits, target: Path
) -> None:
    note = msgspec.json.encode(
        parts.Note(place=parts.place_of(f"{box.url}/data/song.wav"), validator='"1"', total=len(SMALL))
    )
    left = [target.with_name(f"stem.wav.{name}.part") for name in "abc"]
    for path, length in zip(left, (1000, 2000, 3000), strict=True):
        path.write_bytes(SMALL[:length])
        if length != 3000:
            path.with_name(f"{path.name}.note").write_bytes(note)
    fetch(box, waits, target, part=target.with_name("stem.wav.mine.part"), earlier=[*left, target.with_name("absent")])
    assert target.read_bytes() == SMALL
    assert ranges(box) == ["bytes=2000-"]
    assert [path.stat().st_size for path in left] == [1000, 2000, 3000]


def test_another_host_may_serve_it_and_gets_no_credentials(box: BoxSimulator, waits: Waits, target: Path) -> None:
    with BoxSimulator() as other:
        other.contents = box.contents
        box.location = f"{other.url}/data/song.wav?signed=1"

        async def go() -> None:
            async with waits.transfer() as transfer:
                await transfer.download(f"{box.url}/to/x", target)

        asyncio.run(go())
        assert other.log[0].query == {"signed": "1"}
        assert not {"authorization", "cookie"} & set(other.log[0].headers)
    assert target.read_bytes() == SMALL


@pytest.mark.parametrize("url", ["http://box.example/x", "ftp://box.example/x", "nonsense"])
def test_unsafe_places_are_refused(waits: Waits, tmp_path: Path, url: str) -> None:
    async def go() -> None:
        async with waits.transfer() as transfer:
            await transfer.download(url, tmp_path / "x")

    with pytest.raises(ServiceError):
        asyncio.run(go())


def test_the_outside_cannot_point_into_this_machine(waits: Waits, tmp_path: Path) -> None:
    hop = {"Location": "http://127.0.0.1:1/"}
    transport = httpx.MockTransport(lambda request: httpx.Response(302, headers=hop))

    async def go() -> None:
        async with waits.transfer(transport=transport) as transfer:
            await transfer.download("https://box.example/x", tmp_path / "x")

    with pytest.raises(ServiceError, match="into this machine"):
        asyncio.run(go())


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, TransientError), (errno.EROFS, PlacementError)])
def test_a_disk_that_cannot_be_written_is_explained(
    box: BoxSimulator,
    waits: Waits,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[Exception],
) -> None:
    def fail(self: parts.PartFile, pieces: list[bytes]) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(parts.PartFile, "append", fail)
    with pytest.raises(kind, match=r"stem\.wav\.part cannot be written"):
        fetch(box, waits, target)
    assert len(box.log) == 1


@pytest.mark.parametrize("name", ["song.wav", "long.wav"])
def test_a_stalled_download_ends_and_goes_on(
    box: BoxSimulator, waits: Waits, target: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("plugin_core.transfer.clients.STALL_SECONDS", 0.3)
    monkeypatch.setattr("plugin_core.transfer.download.STALL_SECONDS", 0.3)
    box.faults.add(stall("GET", "/data/*", at=100_000))
    fetch(box, waits, target, name)
    assert target.read_bytes() == box.contents[name]
    assert ranges(box) == [None, "bytes=100000-"]


def test_a_cancelled_download_keeps_what_it_has(box: BoxSimulator, waits: Waits, target: Path) -> None:
    box.faults.add(stall("GET", "/data/*", at=2 << 20))

    async def go() -> None:
        begun = asyncio.Event()
        async with waits.transfer() as transfer:
            coroutine = transfer.download(f"{box.url}/data/long.wav", target, report=lambda *_: begun.set())
            task = asyncio.create_task(coroutine)
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(go())
    kept = target.with_name("stem.wav.part").stat().st_size
    assert 0 < kept <= 2 << 20
    fetch(box, waits, target, "long.wav")
    assert target.read_bytes() == LARGE
    assert ranges(box)[-1] == f"bytes={kept}-"


def test_odd_file_names_are_no_obstacle(box: BoxSimulator, waits: Waits, target: Path) -> None:
    odd = target.with_name(os.fsdecode(b"st\xe9m \n.wav"))
    fetch(box, waits, odd)
    assert odd.read_bytes() == SMALL


def test_hanging_is_given_up(box: BoxSimulator, waits: Waits, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_core.transfer.clients.STALL_SECONDS", 0.2)
    box.faults.add(hang("GET", "/data/*", times=None))
    with pytest.raises(TransientError, match="no answer in time"):
        fetch(box, waits, target)


@pytest.mark.parametrize("how", ["open", "begin"])
def test_a_download_stopped_while_its_file_is_opened_closes_it(
    box: BoxSimulator, waits: Waits, target: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    begun, go_on, opened = threading.Event(), threading.Event(), []
    really_open = getattr(parts.PartFile, how)
    if how == "open":
        # Something to take up, as it seems.
        target.with_name("stem.wav.part.note").write_bytes(b"{")

    def open_slowly(self: parts.PartFile, *arguments: Any, **options: Any) -> None:
        begun.set()
        go_on.wait()
        really_open(self, *arguments, **options)
        opened.append(self)

    monkeypatch.setattr(parts.PartFile, how, open_slowly)

    async def stop() -> None:
        async with waits.transfer() as transfer:
            task = asyncio.create_task(transfer.download(f"{box.url}/data/song.wav", target))
            await asyncio.to_thread(begun.wait)
            # By its neighbour, and by the engine.
            for _ in range(2):
                task.cancel()
                for _ in range(10):
                    await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(0.01, go_on.set)
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(stop())
    assert [part.is_open for part in opened] == [False]
