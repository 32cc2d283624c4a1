"""A server that takes any upload and sends one file, as fast as the kernel lets it: far from the slowest of the two."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO


@contextmanager
def serve(path: Path) -> Iterator[str]:
    """Serve ``GET /down`` and ``POST /up`` from a process of its own; gives its address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(path, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def _run(path: Path, ready: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as reader:
                _answer(connection, reader, path)


def _answer(connection: socket.socket, reader: BinaryIO, path: Path) -> None:
    request = reader.readline()
    headers = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    if request.startswith(b"GET"):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {path.stat().st_size}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        with path.open("rb") as file:
            connection.sendfile(file)
        return
    if headers.get(b"expect") == b"100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = f'{{"received": {_swallow(reader, int(headers[b"content-length"]))}}}'
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    connection.sendall(f"{head}Connection: close\r\n\r\n{body}".encode())


def _swallow(reader: BinaryIO, length: int) -> int:
    received = 0
    block = bytearray(1 << 20)
    while received < length:
        count = reader.readinto(memoryview(block)[: length - received])  # type: ignore[attr-defined]
        if not count:
            break
        received += count
    return received
