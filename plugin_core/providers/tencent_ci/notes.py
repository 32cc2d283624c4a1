"""Notes in a job's folder: what must outlive a crash and would do no harm if it did not."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

_log = logging.getLogger(__name__)


def read_note(path: Path, kind: type[T]) -> T | None:
    """Return a note; None when there is none that can be read. Blocks."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def write_note(path: Path, value: object) -> None:
    """Write a note whole or not at all. Blocks."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(msgspec.json.encode(value))
        scratch.replace(path)
    except OSError as error:
        _log.warning("%s cannot be written: %s", path.name, error.strerror)
