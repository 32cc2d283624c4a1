"""Telling by their bytes whether files are what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

_CHUNK: Final = 1 << 20
Check = Callable[[], None]
"""Called for each MiB that is read; raises to stop."""


class Record(msgspec.Struct, frozen=True):
    """What is known of one file's bytes."""

    size: int
    sha256: str


def hash_file(path: Path, check: Callable[[], None] = lambda: None, *, limit: int | None = None) -> Record:
    """Read a file once; ``check`` is called for each MiB and may raise.

    With a ``limit`` in bytes, reading stops soon after it: a recording that is still growing has no end.
    """
    with path.open("rb") as opened:
        return hash_opened(opened, check, limit=limit)


def hash_opened(opened: BinaryIO, check: Check = lambda: None, *, limit: int | None = None) -> Record:
    """Do what ``hash_file`` does with a file that is open, from where it is."""
    digest = hashlib.sha256()
    size = 0
    while (limit is None or size <= limit) and (chunk := opened.read(_CHUNK)):
        check()
        digest.update(chunk)
        size += len(chunk)
    return Record(size, digest.hexdigest())


def record_bytes(data: bytes) -> Record:
    """Return what is to be known of a file of these bytes."""
    return Record(len(data), hashlib.sha256(data).hexdigest())


def is_unmodified(
    path: Path, record: Record | None, check: Check = lambda: None, hash_: Callable[[Path, Check], Record] = hash_file
) -> bool:
    """Tell whether a plain file of exactly these bytes is there; one that may not be read cannot be told to be it.

    ``check`` is called for each MiB and may raise; ``hash_`` tells what the file holds, by default as it is read now.
    """
    if record is None:
        return False
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size != record.size:
            return False
        return hash_(path, check) == record
    except PermissionError:
        return False
