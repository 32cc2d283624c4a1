from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.audio.damage import cut_short, describe_length, show_time


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0, "0:00.0"), (12.34, "0:12.3"), (61.0, "1:01.0"), (3723.46, "1:02:03.4")]
)
def test_time_is_shown_as_people_write_it(seconds: float, shown: str) -> None:
    assert show_time(seconds) == shown


@pytest.mark.parametrize(
    ("frames", "told", "said"),
    [
        (2_646_000, 1_323_000, "a.flac is 1:00.0 long, though its header says 0:30.0"),
        (2_646_000, 0, "a.flac is 1:00.0 long, though its header says 0:00.0"),
        (2_646_000, 2_645_999, "a.flac is 1 sample longer than its header says"),
        (2_646_000, 2_646_100, "a.flac is 100 samples shorter than its header says"),
    ],
)
def test_length_that_is_not_the_header_s_is_said_in_time_or_samples(frames: int, told: int, said: str) -> None:
    assert describe_length(Path("a.flac"), frames, told, 44100) == f"{said}: all that it holds was read"


def test_missing_share_is_said_where_it_is_known() -> None:
    assert "a.wav is cut short: 25% of its audio is missing; copy" in str(cut_short(Path("a.wav"), 0.25))
    assert "a.wav is cut short; copy" in str(cut_short(Path("a.wav")))
