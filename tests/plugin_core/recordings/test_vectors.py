"""Digests stay what they were: purchases are found by them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plugin_core.recordings.digest import digest_of
from tests.plugin_core.recordings.vectors import VECTORS


@pytest.mark.parametrize("name", VECTORS)
def test_vector(tmp_path: Path, request: pytest.FixtureRequest, name: str) -> None:
    if name in ("song.wv", "song.m4a"):
        request.getfixturevalue("ffmpeg")
    path = tmp_path / name
    path.write_bytes(VECTORS[name].data)
    assert digest_of(path) == VECTORS[name].digest


@pytest.mark.parametrize("name", [name for name in VECTORS if VECTORS[name].digest.startswith("pkt1")])
@pytest.mark.usefixtures("ffmpeg")
def test_packets_are_those_of_ffmpeg(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(VECTORS[name].data)
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a:0", "-c", "copy", "-f", "streamhash", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.strip().rpartition("=")[2] == VECTORS[name].digest.removeprefix("pkt1:")


def test_without_ffmpeg_what_needs_it_is_told_by_its_bytes(tmp_path: Path) -> None:
    for name, vector in VECTORS.items():
        path = tmp_path / name
        path.write_bytes(vector.data)
        told = digest_of(path, which=lambda _program: None)
        if name in ("song.wv", "song.m4a"):
            assert told.startswith("raw1:")
        else:
            assert told == vector.digest
