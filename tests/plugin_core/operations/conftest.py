"""A song, a tagger and a session that knows it, for all tests of taggings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core import Session, Settings
from plugin_core.plugins import Plugins
from tests.plugin_core.cli.fakes import write_song
from tests.plugin_core.tagger_fakes import FakeTagger, load_taggers


@pytest.fixture
def song(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    return write_song(folder / "Song.flac")


@pytest.fixture
def tagger() -> FakeTagger:
    return FakeTagger()


@pytest.fixture
def plugins(tagger: FakeTagger) -> Plugins:
    return load_taggers(tagger)


@pytest.fixture
def session(home: Path, plugins: Plugins) -> Iterator[Session]:
    with Session(Settings(home), plugins) as opened:
        yield opened
