"""Keeping what C libraries print from the screen: libmpg123 complains there of each odd frame, whatever it is told."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final, NamedTuple

_lock: Final = threading.Lock()
_users: list[int | None] = []
"""For each one who wants quiet, the stream that stood there before, or None."""


class _Streams(NamedTuple):
    current: ctypes.c_void_p
    """The C library's own ``stderr``; Python writes past it."""
    nothing: int


@contextmanager
def hushed() -> Iterator[None]:
    """Let nothing reach the screen through the C library's ``stderr``; with the GNU library, elsewhere do nothing."""
    streams = _find_streams()
    if streams is None:
        yield
        return
    with _lock:
        _users.append(streams.current.value)
        streams.current.value = streams.nothing
    try:
        yield
    finally:
        with _lock:
            before = _users.pop()
            if not _users:
                streams.current.value = before


@cache
def _find_streams() -> _Streams | None:
    # Other libraries have it where it cannot be changed, or not at all.
    with suppress(AttributeError, ValueError, OSError):
        if os.confstr("CS_GNU_LIBC_VERSION"):
            library = ctypes.CDLL(None)
            library.fopen.restype = ctypes.c_void_p
            if nothing := library.fopen(os.devnull.encode(), b"we"):
                return _Streams(ctypes.c_void_p.in_dll(library, "stderr"), nothing)
    return None
