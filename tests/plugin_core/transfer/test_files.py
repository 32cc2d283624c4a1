"""Reading a file for an upload."""

from __future__ import annotations

import asyncio
import itertools
import threading
from pathlib import Path
from typing import Any

import pytest

from plugin_core.transfer.files import BLOCK, QUICK, SLOW, SMALLEST, FileReader, _Pace


def test_pieces_grow_on_a_fast_line_and_shrink_on_a_slow_one() -> None:
    fast, slow = QUICK / 2, SLOW * 2
    times = [QUICK, fast, fast, SLOW, fast, fast, fast, slow, SLOW, slow, slow, slow, slow]

    async def cut() -> list[int]:
        now, sizes = 0.0, []
        asyncio.get_running_loop().time = lambda: now  # type: ignore[method-assign]
        pieces = _Pace().cut(bytes(8 * BLOCK))
        for seconds in times:
            sizes.append(len(await anext(pieces)) // SMALLEST)
            now += seconds
        await pieces.aclose()
        return sizes

    assert asyncio.run(cut()) == [1, 1, 2, 4, 4, 8, 16, 16, 8, 8, 4, 2, 1]


@pytest.mark.parametrize(
    ("size", "offset", "length"),
    [
        (SMALLEST, 0, None),
        (BLOCK + 5, 0, None),
        (100, 30, None),
        (100, 30, 20),
        (100, 30, 80),
        (2 * BLOCK, 9, BLOCK + 3),
    ],
)
def test_a_stretch_is_whole_and_no_piece_is_empty(tmp_path: Path, size: int, offset: int, length: int | None) -> None:
    song = tmp_path / "Song.flac"
    song.write_bytes((bytes(range(251)) * (size // 251 + 1))[:size])
    wanted = song.read_bytes()[offset:][:length]

    async def read() -> tuple[int, list[bytes]]:
        reader = await FileReader.open(song, offset, length)
        pieces = [piece async for piece in reader.blocks()]
        await reader.close()
        return reader.size, pieces

    told, pieces = asyncio.run(read())
    assert (told, b"".join(pieces)) == (len(wanted), wanted)
    assert all(pieces)


def test_a_file_is_closed_once_nothing_reads_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = tmp_path / "Song.flac"
    song.write_bytes(bytes(BLOCK + 1))
    begun, gate, calls, is_closed = threading.Event(), threading.Event(), itertools.count(), []
    read = FileReader._read

    def read_slowly(reader: FileReader, size: int) -> Any:
        if next(calls):
            begun.set()
            gate.wait()
            is_closed.append(reader._file.closed)
        return read(reader, size)

    async def leave() -> None:
        reader = await FileReader.open(song)
        blocks = reader.blocks()
        await anext(blocks)
        await blocks.aclose()
        closing = asyncio.create_task(reader.close())
        await asyncio.to_thread(begun.wait)
        gate.set()
        await closing
        assert reader._file.closed

    monkeypatch.setattr(FileReader, "_read", read_slowly)
    asyncio.run(leave())
    assert is_closed == [False]


def test_an_opening_that_is_given_up_closes_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = tmp_path / "Song.flac"
    song.write_bytes(b"sound")
    begun, gate, readers = threading.Event(), threading.Event(), list[FileReader]()
    read = FileReader._read

    def read_slowly(reader: FileReader, size: int) -> Any:
        readers.append(reader)
        begun.set()
        gate.wait()
        return read(reader, size)

    async def give_up() -> None:
        opening = asyncio.create_task(FileReader.open(song))
        await asyncio.to_thread(begun.wait)
        opening.cancel()
        asyncio.get_running_loop().call_soon(gate.set)
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert [reader._file.closed for reader in readers] == [True]

    monkeypatch.setattr(FileReader, "_read", read_slowly)
    asyncio.run(give_up())
