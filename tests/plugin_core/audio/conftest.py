from __future__ import annotations

import pytest

from tests.audio_files import shared_folder
from tests.plugin_core.audio.library import Library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A song in every format."""
    return Library(shared_folder(tmp_path_factory, "library"))
