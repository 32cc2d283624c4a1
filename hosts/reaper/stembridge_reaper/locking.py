"""One worker a run: a lock that the system gives back when its holder dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plugin_core.files.locks import try_lock


@contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Hold a lock file while inside; False when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield try_lock(descriptor)
    finally:
        os.close(descriptor)
