"""Songs that all tests of recordings share."""

from __future__ import annotations

import shutil

import pytest

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
