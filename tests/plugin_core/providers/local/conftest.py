"""Orders and sources for the embedded separator."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_core.audio.probe import probe
from plugin_core.model import Separation, Source
from plugin_core.protocols import Order

MakeOrder = Callable[..., Order]


def make_source(path: Path) -> Source:
    """Describe a file as the core does."""
    info = probe(path)
    return Source(
        path=path,
        device=0,
        inode=0,
        size=path.stat().st_size,
        mtime_ns=0,
        content="",
        duration=info.duration,
        frames=info.frames,
        channels=info.channels,
        sample_rate=info.sample_rate,
        encoding=info.encoding,
    )


@pytest.fixture
def make_order(tmp_path: Path) -> MakeOrder:
    """Make an order for a file, its staging folder included."""

    def make(path: Path, **wish: object) -> Order:
        folder = tmp_path / "staging"
        folder.mkdir(exist_ok=True)
        operation = Separation(provider="local", **wish)  # type: ignore[arg-type]
        return Order(key="job-1", attempt="attempt-1", source=make_source(path), operation=operation, folder=folder)

    return make


@pytest.fixture
def endless_song(tmp_path: Path) -> Path:
    """Write an hour of silence that takes no room on the disk and longer to separate than any test waits."""
    path = tmp_path / "endless.wav"
    rate, frames = 44100, 44100 * 3600
    sizes = struct.pack("<4sI4s", b"RIFF", 36 + 2 * frames, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    path.write_bytes(sizes + form + struct.pack("<4sI", b"data", 2 * frames))
    with path.open("r+b") as file:
        file.truncate(44 + 2 * frames)
    return path
