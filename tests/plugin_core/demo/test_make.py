from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from plugin_core.demo.make import make_demo
from plugin_core.demo.score import read_pcm
from plugin_core.errors import PlacementError


def test_demo_is_made_whole_and_a_taken_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine.txt").write_text("mine")
    first = make_demo(tmp_path / "demo")
    assert first.song.parent == tmp_path / "demo (2)"
    assert make_demo(tmp_path / "demo").song.parent == tmp_path / "demo (3)"
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["mine.txt"]
    total = np.sum([read_pcm(path).astype(np.int64) for path in first.truth.values()], axis=0)
    np.testing.assert_array_equal(read_pcm(first.song), total)
    assert first.seconds == 12.0


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PlacementError, match="demo"):
        make_demo(tmp_path / "demo")


def test_a_file_in_the_way_of_the_parent_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlacementError, match="choose another with --to"):
        make_demo(tmp_path / "file" / "demo")
