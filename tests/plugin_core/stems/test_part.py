from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plugin_core.stems.part import PacedPart, open_part
from plugin_core.tasks import Stopper
from tests.audio_files import make_song, write_song


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_part_is_read_at_the_pace_of_its_source_to_its_end(tmp_path: Path, rate: int) -> None:
    path = write_song(tmp_path / "v.flac", 5.0, rate, 1)
    with open_part(path, "Vocals", tmp_path / "Song.flac") as part:
        follower = PacedPart(part, 44_100)
        blocks = [follower.read(50_000) for _ in range(4)]
        follower.finish(Stopper())
        assert part.position == 5 * rate
    got, true = np.concatenate(blocks), make_song(5.0, 44_100, 1)[:200_000]
    assert got.shape == true.shape
    # The drums are noise, and another at each rate.
    assert np.corrcoef(got[:, 0], true[:, 0])[0, 1] > 0.9
