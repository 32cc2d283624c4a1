from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.remote.timestamps import forget, remember


def test_the_first_moment_stays_until_it_is_forgotten(tmp_path: Path) -> None:
    assert remember(tmp_path, "x", 100.25) == 100.25
    assert remember(tmp_path, "x", 200.0) == 100.25
    assert remember(tmp_path, "x", 50.0) == 50.0
    forget(tmp_path, "x")
    forget(tmp_path, "x")
    assert remember(tmp_path, "x", 300.0) == 300.0
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("content", ["", "soon", "\xff"])
def test_damaged_moments_begin_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content, "latin-1")
    assert remember(tmp_path, "x", 1.0) == 1.0
    assert remember(tmp_path, "x", 2.0) == 1.0


def test_folder_that_is_gone(tmp_path: Path) -> None:
    assert remember(tmp_path / "gone", "x", 1.0) == 1.0
    forget(tmp_path / "gone", "x")
