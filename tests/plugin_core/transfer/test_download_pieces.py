"""The body of a download on its way to the disk."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from plugin_core.transfer.download import collect
from plugin_core.transfer.parts import BLOCK, Note, PartFile, continues
from tests.raw_lines import RawLines, collect_garbage


class Body(httpx.AsyncByteStream):
    """Three mebibytes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(1 << 20)


def test_a_disk_that_fills_during_a_download_leaves_no_unobserved_task(raw_lines: RawLines) -> None:
    """Of several downloads the first that fails has the others cancelled, in the middle of their own last write."""

    async def main() -> None:
        is_writing, is_full = asyncio.Event(), asyncio.Event()

        async def write(_pieces: list[bytes], _is_end: bool) -> None:
            is_writing.set()
            await is_full.wait()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        response = httpx.Response(200, stream=Body())
        download = asyncio.create_task(collect(response, write))
        await is_writing.wait()
        # By its neighbour, and by the engine.
        for _ in range(2):
            download.cancel()
            for _ in range(10):
                await asyncio.sleep(0)
        # Its owner closes the part at its end: what still writes would open it again, and leave it so.
        assert not download.done()
        is_full.set()
        with pytest.raises(asyncio.CancelledError):
            await download

    asyncio.run(main())
    collect_garbage()
    assert raw_lines.take() == []


def test_a_download_that_is_cancelled_twice_ends_after_its_last_write() -> None:
    async def main() -> list[str]:
        is_writing, may_end, said = asyncio.Event(), asyncio.Event(), list[str]()

        async def write(_pieces: list[bytes], _is_end: bool) -> None:
            is_writing.set()
            await may_end.wait()
            said.append("written")

        download = asyncio.create_task(collect(httpx.Response(200, stream=Body()), write))
        download.add_done_callback(lambda _: said.append("over"))
        await is_writing.wait()
        for _ in range(2):
            download.cancel()
            await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await download
        return said

    # The piece that had come by then is written, too.
    assert asyncio.run(main()) == ["written", "written", "over"]


def test_a_download_that_is_cancelled_while_its_disk_fills_up_ends_as_cancelled() -> None:
    async def main() -> None:
        is_writing, may_end = asyncio.Event(), asyncio.Event()

        async def write(_pieces: list[bytes], _is_end: bool) -> None:
            is_writing.set()
            await may_end.wait()
            raise OSError(errno.ENOSPC, "full")

        download = asyncio.create_task(collect(httpx.Response(200, stream=httpx.ByteStream(bytes(1 << 20))), write))
        await is_writing.wait()
        download.cancel()
        await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await download

    asyncio.run(main())


def test_a_download_that_is_cancelled_and_cannot_write_its_last_bytes_ends_as_cancelled() -> None:
    async def main() -> None:
        is_waiting = asyncio.Event()

        async def stream() -> AsyncIterator[bytes]:
            yield b"a few bytes"
            is_waiting.set()
            await asyncio.Event().wait()

        async def write(_pieces: list[bytes], _is_end: bool) -> None:
            raise OSError(errno.ENOSPC, "full")

        download = asyncio.create_task(collect(httpx.Response(200, content=stream()), write))
        await is_waiting.wait()
        download.cancel()
        with pytest.raises(asyncio.CancelledError):
            await download

    asyncio.run(main())


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_nothing_is_written_behind_what_could_not_be_written(*, is_cancelled: bool) -> None:
    async def main() -> None:
        is_waiting, goes_on, sizes = asyncio.Event(), asyncio.Event(), []

        async def stream() -> AsyncIterator[bytes]:
            yield bytes(BLOCK)
            yield b"a few bytes"
            is_waiting.set()
            await goes_on.wait()

        async def write(pieces: list[bytes], _is_end: bool) -> None:
            sizes.append(sum(map(len, pieces)))
            raise OSError(errno.ENOSPC, "full")

        download = asyncio.create_task(collect(httpx.Response(200, content=stream()), write))
        await is_waiting.wait()
        if is_cancelled:
            download.cancel()
        goes_on.set()
        with pytest.raises(asyncio.CancelledError if is_cancelled else OSError):
            await download
        assert sizes == [BLOCK]

    asyncio.run(main())


def test_bytes_of_a_download_begun_anew_are_on_the_disk_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, flushed, flush = tmp_path / "Song.flac", [], os.fsync

    def look(descriptor: int) -> None:
        flushed.append((os.fstat(descriptor).st_size, target.exists()))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    part = PartFile(tmp_path / "Song.part")
    part.open("place")
    for pieces in ([b"something else"], [b"so", b"ng"]):
        part.begin(Note(place="place"))
        part.append(pieces)
    part.finish(target)
    assert flushed == [(4, False)]
    assert not part.is_open
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("Song.flac", b"song")]


NOTE = Note(place="place", validator='"one"', total=10)


@pytest.mark.parametrize(
    ("headers", "note", "is_right"),
    [
        ({"content-range": "bytes 4-9/10"}, NOTE, True),
        ({"content-range": "bytes 4-9/10", "etag": '"one"'}, NOTE, True),
        ({"content-range": "bytes 4-9/*"}, NOTE, True),
        ({"content-range": "bytes 4-9/11"}, Note(place="place"), True),
        ({}, NOTE, False),
        ({"content-range": "bytes 4-9/10"}, None, False),
        ({"content-range": "bytes 5-9/10"}, NOTE, False),
        ({"content-range": "bytes */10"}, NOTE, False),
        ({"content-range": "bytes 4-9/11"}, NOTE, False),
        ({"content-range": "bytes 4-9/10", "etag": '"two"'}, NOTE, False),
    ],
)
def test_the_rest_of_a_file_begins_where_the_part_ends_and_is_of_the_same_file(
    headers: dict[str, str], note: Note | None, is_right: bool
) -> None:
    assert continues(headers, note, 4) is is_right


@pytest.mark.parametrize(("total", "length"), [(None, 3), (3, 3), (4, 3), (2, 0)])
def test_a_part_is_taken_up_unless_it_is_longer_than_the_whole(tmp_path: Path, total: int | None, length: int) -> None:
    part = PartFile(tmp_path / "Song.part")
    part.path.write_bytes(b"son")
    part.note_path.write_bytes(msgspec.json.encode(Note(place="place", total=total)))
    part.open("place")
    part.close()
    assert (part.length, part.path.stat().st_size) == (length, length)


def test_what_comes_whole_leaves_no_note_of_an_earlier_file(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "Song.part")
    part.path.write_bytes(b"son")
    part.note_path.write_bytes(msgspec.json.encode(NOTE))
    part.open("place")
    part.begin(Note(place="place", total=4), is_kept=False)
    # Killed here, the next one would take these bytes for the beginning of that file.
    part.append([b"ot"])
    part.close()
    again = PartFile(part.path)
    again.open("place")
    again.close()
    assert (again.note, again.length) == (None, 0)


def test_a_part_that_was_taken_up_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "Song.part")
    part.path.write_bytes(b"son")
    part.note_path.write_bytes(msgspec.json.encode(NOTE))
    part.open("place")
    part.append([b"g"])
    part.finish(tmp_path / "Song")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"Song": b"song"}


def test_a_part_that_was_begun_anew_is_taken_up_again(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "Song.part")
    part.begin(Note(place="place", total=4))
    part.append([b"so"])
    part.close()
    again = PartFile(part.path)
    again.open("place")
    again.close()
    assert (again.note, again.length) == (Note(place="place", total=4), 2)
