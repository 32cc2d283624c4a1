"""Bytes that may be large: in memory, or a stretch of a file that is never read whole."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

CHUNK = 1 << 20
SMALL = 1 << 18


@dataclass(frozen=True)
class Blob:
    """Some bytes: ``data`` itself, or ``length`` bytes of ``path`` from ``offset``."""

    length: int
    data: bytes = b""
    path: Path | None = None
    offset: int = 0

    @classmethod
    def of(cls, data: bytes) -> Blob:
        return cls(len(data), data)

    @classmethod
    def file(cls, path: Path) -> Blob:
        return cls(path.stat().st_size, path=path)

    def cut(self, start: int, length: int) -> Blob:
        """Return a part of it; nothing is copied from a file."""
        start = min(start, self.length)
        length = max(0, min(length, self.length - start))
        if self.path is None:
            return Blob.of(self.data[start : start + length])
        return Blob(length, path=self.path, offset=self.offset + start)

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        if self.path is None:
            yield from (self.data[at : at + size] for at in range(0, self.length, size))
            return
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            left = self.length
            while left and (chunk := stream.read(min(size, left))):
                left -= len(chunk)
                yield chunk

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def save(self, path: Path) -> Path:
        """Write it to a file of its own."""
        with path.open("wb") as stream:
            stream.writelines(self.chunks())
        return path

    def positions(self, needle: bytes) -> list[int]:
        """Return where ``needle`` stands, without reading a file into memory."""
        found: list[int] = []
        tail, before = b"", 0
        for chunk in self.chunks():
            window = tail + chunk
            start = before - len(tail)
            found += [start + at for at in _positions(window, needle) if not found or start + at > found[-1]]
            before += len(chunk)
            tail = window[max(0, len(window) - len(needle) + 1) :]
        return found

    def send(self, connection: socket.socket) -> None:
        """Send it, a file by the kernel's own copying."""
        if self.path is None:
            connection.sendall(self.data)
        elif self.length:
            with self.path.open("rb") as stream:
                connection.sendfile(stream, self.offset, self.length)

    def send_slowly(self, connection: socket.socket, chunk: int, wait: Callable[[], bool]) -> None:
        """Send ``chunk`` bytes at a time, ``wait`` after each; stop when it says so."""
        for piece in self.chunks(chunk):
            connection.sendall(piece)
            if wait():
                return


def _positions(data: bytes, needle: bytes) -> list[int]:
    found = []
    at = data.find(needle)
    while at >= 0:
        found.append(at)
        at = data.find(needle, at + len(needle))
    return found


@dataclass(frozen=True)
class Received:
    """A body that came in: what of it there is, and its digest."""

    blob: Blob
    sha256: str


def receive(stream: BufferedIOBase, length: int, path: Path, *, stop_at: int | None = None) -> Received:
    """Read ``length`` bytes, large ones into ``path``; fewer if the client stops, or from ``stop_at`` on.

    SHA-256 is computed on the way.
    """
    wanted = length if stop_at is None else min(length, stop_at)
    digest = hashlib.sha256()
    if length <= SMALL:
        data = stream.read(wanted)
        digest.update(data)
        return Received(Blob.of(data), digest.hexdigest())
    buffer = memoryview(bytearray(CHUNK))
    with path.open("wb") as target:
        left = wanted
        while left and (count := stream.readinto(buffer[: min(left, CHUNK)])):
            digest.update(buffer[:count])
            target.write(buffer[:count])
            left -= count
    return Received(Blob.file(path), digest.hexdigest())


def receive_chunked(stream: BufferedIOBase, path: Path) -> Received:
    """Read a body in chunked transfer coding into ``path``.

    Raises:
        ValueError: the coding is broken.
    """
    digest = hashlib.sha256()
    with path.open("wb") as target:
        while size := int(stream.readline(1024).split(b";")[0], 16):
            data = stream.read(size)
            if len(data) < size or stream.read(2) != b"\r\n":
                raise ValueError("the chunk is cut off")
            digest.update(data)
            target.write(data)
        while stream.readline(65536).strip():
            pass
    return Received(Blob.file(path), digest.hexdigest())
