"""How much room a separation needs, asked in one place by everybody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_core.model import Separation, Source
from plugin_core.operations.plans import bytes_needed
from plugin_core.stems.staging_folder import HEAD_ROOM
from tests.plugin_core.cli.fakes import FakeSeparator

SECOND = 22_050


SONG = Source(
    path=Path("/music/Song.wav"),
    device=1,
    inode=1,
    size=1,
    mtime_ns=1,
    content="0" * 64,
    duration=600.0,
    frames=600 * SECOND,
    channels=1,
    sample_rate=SECOND,
    encoding="pcm_16",
)
"""Mono, ten minutes, half the rate of a CD."""


def need(wish: Separation, *, is_remote: bool = True) -> int:
    separator = FakeSeparator()
    separator.remote = is_remote
    return asyncio.run(bytes_needed(SONG, wish, separator)) - HEAD_ROOM


OWN = 600 * SECOND * 2
"""Bytes of one file like the source."""
CD = OWN * 4


@pytest.mark.parametrize(
    ("wish", "is_remote", "expected"),
    [
        (Separation(provider="fake", model="halves", format="wav16"), True, OWN + 2 * CD + 2 * OWN),
        (Separation(provider="fake", model="halves", format="wav16"), False, 4 * OWN),
        (Separation(provider="fake", model="unknown", format="wav16"), False, 8 * OWN),
        (Separation(provider="fake", model="halves", format="wav16", stems=("vocals",)), False, 3 * OWN),
        (Separation(provider="fake", model="halves", format="wav16", minus=("vocals",), residual=True), False, 4 * OWN),
    ],
    ids=["remote", "local", "a model that does not say", "one stem", "minus and residual"],
)
def test_parts_that_are_fetched_count_beside_those_that_are_kept(
    wish: Separation, is_remote: bool, expected: int
) -> None:
    assert need(wish, is_remote=is_remote) == expected
