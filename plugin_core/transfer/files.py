"""Reading a file for an upload: in blocks, in a thread, and only as long as it stays the same file."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from plugin_core.errors import SourceError
from plugin_core.files.disk import explain_read_error
from plugin_core.model import show_path
from plugin_core.tasks import finish, outlast, start_in_thread

BLOCK: Final = 1 << 20
SMALLEST: Final = 1 << 16
QUICK: Final = 0.25
"""Seconds: pieces that leave faster may grow."""
SLOW: Final = 4.0

_Block = tuple[bytes, tuple[int, int]]
"""Bytes, and the file's size and time of change once they were read."""


class FileReader:
    """One opened file or a stretch of it, read once to the end it had when it was opened.

    Args:
        path: for messages.
        file: opened.
        offset: bytes before the stretch.
        length: bytes of the stretch; None for all that follow.
    """

    def __init__(self, path: Path, file: BinaryIO, offset: int, length: int | None) -> None:
        self.path = path
        self._file = file
        self._stamp = _stamp(file)
        rest = max(self._stamp[0] - offset, 0)
        self.size = rest if length is None else min(length, rest)
        file.seek(offset)
        self._first: _Block | None = None
        self._ahead: asyncio.Future[_Block] | None = None

    @classmethod
    async def open(cls, path: Path, offset: int = 0, length: int | None = None) -> FileReader:
        """Open a file, and read its first block on the way.

        Raises:
            SourceError: it cannot be read, or is no regular file.
            TransientError: its disk or share is away.
        """
        opening = start_in_thread(cls._begin, path, offset, length)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on opening; nobody else would close the file.
            await outlast(opening)
            if opening.exception() is None:
                await opening.result().close()
            raise

    @classmethod
    def _begin(cls, path: Path, offset: int, length: int | None) -> FileReader:
        file = _open_regular(path)
        try:
            reader = cls(path, file, offset, length)
            reader._first = reader._read(min(BLOCK, reader.size))
        except OSError as error:
            file.close()
            raise explain_read_error(path, error) from error
        return reader

    async def blocks(self) -> AsyncGenerator[bytes]:
        """Give the file's bytes; the next block is read while one is sent.

        Raises:
            SourceError: the file changed; its last bytes are then held back, so that no request is completed with it.
            TransientError: its disk or share went away.
        """
        left = self.size
        pace = _Pace()
        while left:
            block, stamp = await self._next_block()
            left -= len(block)
            if left:
                self._read_ahead(left)
            elif stamp != self._stamp:
                raise self._changed()
            async for piece in pace.cut(block):
                yield piece

    async def close(self) -> None:
        """Close the file, once nothing reads from it."""
        ahead, self._ahead = self._ahead, None
        try:
            if ahead is not None:
                with suppress(OSError):
                    await finish(ahead)
        finally:
            # Not in a thread: one that is cancelled before it begins would leave the file open.
            self._file.close()

    def _read_ahead(self, left: int) -> None:
        self._ahead = start_in_thread(self._read, min(BLOCK, left))

    def _read(self, size: int) -> _Block:
        return self._file.read(size), _stamp(self._file)

    async def _next_block(self) -> _Block:
        first, self._first = self._first, None
        block, stamp = first or await self._read_block()
        if not block:
            raise self._changed()
        return block, stamp

    async def _read_block(self) -> _Block:
        assert self._ahead is not None
        try:
            found = await asyncio.shield(self._ahead)
        except OSError as error:
            raise explain_read_error(self.path, error) from error
        self._ahead = None
        return found

    def _changed(self) -> SourceError:
        return SourceError(
            f"{show_path(self.path)} changed while it was uploaded", remedy="try again once nothing writes to it"
        )


class _Pace:
    """How much is handed to the network at once: much on a fast line, little on a slow one.

    Each piece has its own time to leave, so small ones tell a slow line from a stalled one, and make progress seen.
    """

    def __init__(self) -> None:
        self._size = SMALLEST

    async def cut(self, block: bytes) -> AsyncGenerator[bytes]:
        """Give a block in pieces that suit the line."""
        loop = asyncio.get_running_loop()
        start = 0
        while start < len(block):
            size, began = self._size, loop.time()
            yield block[start : start + size]
            start += size
            self._learn(loop.time() - began)

    def _learn(self, seconds: float) -> None:
        if seconds < QUICK:
            self._size = min(self._size * 2, BLOCK)
        elif seconds > SLOW:
            self._size = max(self._size // 2, SMALLEST)


def _open_regular(path: Path) -> BinaryIO:
    try:
        # Opening a pipe nobody writes to would wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(f"{show_path(path)} is not a file")
        return path.open("rb", buffering=0)
    except OSError as error:
        raise explain_read_error(path, error) from error


def _stamp(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns
