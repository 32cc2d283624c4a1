"""A song that lies in its album, and the real command at each of the paid services."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audio_files import write_song
from tests.end_to_end.bought_bench import Bench, SharedBench
from tests.end_to_end.shops import open_shop
from tests.postgresql import empty, postgresql

__all__ = ["postgresql"]

SECONDS = 4.0
COMMANDS = {
    "mvsep": ("separate", "--provider", "mvsep"),
    "tencent_ci": ("separate", "--provider", "tencent_ci"),
    "mediax": ("tag", "--provider", "mediax"),
}


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_song(tmp_path_factory.mktemp("recording") / "Song.flac", SECONDS, subtype="PCM_16")


@pytest.fixture
def song(recording: Path, tmp_path: Path) -> Path:
    (tmp_path / "Album").mkdir()
    return Path(shutil.copy(recording, tmp_path / "Album" / "Song.flac"))


@pytest.fixture
def bench(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[Bench]:
    """Give the bench of a service by its name, which the test is parametrised with; ``shared`` for a job store so."""
    service, _, store = request.param.partition(", ")
    with open_shop(service) as shop:
        if store:
            database = request.getfixturevalue("postgresql")
            empty(database)
            bench: Bench = SharedBench(shop, home, database, tmp_path, *COMMANDS[service])
        else:
            bench = Bench(shop, home, *COMMANDS[service])
        try:
            yield bench
        finally:
            bench.close()
