"""Songs that all tests of recordings share."""

from __future__ import annotations

import shutil

import pytest

from plugin_core.audio.source_file import Memory
from plugin_core.recordings import content
from tests.audio_files import shared_folder
from tests.plugin_core.recordings.songs import Songs


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Songs:
    """Give the song in every format."""
    return Songs(shared_folder(tmp_path_factory, "songs"))


@pytest.fixture
def ffmpeg() -> None:
    """Skip the test where ffmpeg is not installed."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test read the songs that tests share."""
    monkeypatch.setattr(content, "_heard", Memory())
