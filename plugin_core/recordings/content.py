"""The bytes of a file, hashed once for all who ask within a few minutes, while its status tells that it is the same."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plugin_core.audio.identity import Identity, look_at
from plugin_core.audio.source_file import explain_os_error
from plugin_core.files.hashing import hash_file

_FRESH_SECONDS: Final = 300.0
_MOST: Final = 256

_lock: Final = threading.Lock()
_hashed: Final[OrderedDict[Identity, tuple[float, str]]] = OrderedDict()
"""When each was hashed, by the clock that never jumps, and to what."""


def hash_content(path: Path, check: Callable[[], None], *, limit: int | None = None) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal.

    Args:
        path: the file.
        check: called for each MiB; raise there to stop.
        limit: bytes after which reading stops: a recording that is still growing has no end.

    Raises:
        SourceError: the file cannot be read.
        TransientError: the disk or share does not answer.
    """
    began_ns = time.time_ns()
    before = look_at(path)
    if (known := _recall(before)) is not None:
        return known
    try:
        sha256 = hash_file(path, check, limit=limit).sha256
    except OSError as error:
        raise explain_os_error(path, error) from error
    if os.name != "nt" and before.is_settled(began_ns) and look_at(path) == before:
        _keep(before, sha256)
    return sha256


def _recall(identity: Identity) -> str | None:
    with _lock:
        hashed_at, sha256 = _hashed.get(identity, (0.0, ""))
    return sha256 if sha256 and time.monotonic() - hashed_at < _FRESH_SECONDS else None


def _keep(identity: Identity, sha256: str) -> None:
    with _lock:
        _hashed[identity] = time.monotonic(), sha256
        while len(_hashed) > _MOST:
            _hashed.popitem(last=False)
