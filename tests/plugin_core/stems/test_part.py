from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from plugin_core.audio.info import AudioInfo
from plugin_core.stems.part import PacedPart, Shape, open_part, shape_of_part
from plugin_core.tasks import StoppedError, Stopper
from tests.audio_files import make_song, write_song


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_part_is_read_at_the_pace_of_its_source_to_its_end(tmp_path: Path, rate: int) -> None:
    path = write_song(tmp_path / "v.flac", 5.0, rate, 1)
    with open_part(path, "Vocals", tmp_path / "Song.flac") as part:
        follower = PacedPart(part, 44_100)
        blocks = [follower.read(50_000) for _ in range(4)]
        follower.finish(Stopper())
        assert part.position == 5 * rate
        assert len(blocks[-1]) == 50_000
        rest = [len(follower.read(100_000)) for _ in range(2)]
        assert rest[1] == 0
    got, true = np.concatenate(blocks), make_song(5.0, 44_100, 1)[:200_000]
    assert got.shape == true.shape
    # The drums are noise, and another at each rate.
    assert np.corrcoef(got[:, 0], true[:, 0])[0, 1] > 0.9


def test_a_long_part_is_let_go_of_between_two_blocks(tmp_path: Path) -> None:
    path = write_song(tmp_path / "v.flac", 5.0)
    stopper = Stopper()
    stopper.request()
    with open_part(path, "Vocals", tmp_path / "Song.flac") as part, pytest.raises(StoppedError):
        PacedPart(part, 44_100).finish(stopper)


@pytest.mark.parametrize(
    ("frames", "lag", "length"),
    [
        (55_000, 0, 10_000),
        (55_001, 0, 55_001),
        (55_001, 1, 10_000),
        (54_999, -2, 55_001),
        (30_000, 29_000, 10_000),
        # However late it comes, something of it is written.
        (30_000, 40_000, 1),
    ],
)
def test_a_part_of_about_its_sources_length_takes_that_length(frames: int, lag: int, length: int) -> None:
    info = AudioInfo(
        frames=frames,
        sample_rate=9000,
        channels=1,
        encoding="pcm_16",
        container="FLAC",
        duration=1.0,
        decoder="libsndfile",
    )
    source = Shape(sample_rate=9000, channels=2, frames=10_000 if lag < 35_000 else 100_000)
    assert shape_of_part(info, frames, lag, source) == msgspec.structs.replace(source, frames=length)
