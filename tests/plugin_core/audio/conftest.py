from __future__ import annotations

import pytest

from tests.plugin_core.audio.library import Library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A song of a minute in every format."""
    return Library(tmp_path_factory.mktemp("library"))
