"""Orders and sources for the embedded separator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_core.audio.probe import probe
from plugin_core.model import Separation, Source
from plugin_core.protocols import Order
from tests.audio_files import write_endless

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
    return write_endless(tmp_path / "endless.wav")
