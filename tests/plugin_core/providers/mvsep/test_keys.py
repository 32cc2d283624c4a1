from __future__ import annotations

import re
from pathlib import Path

import pytest

from plugin_core.ids import new_id
from plugin_core.providers.mvsep.hashes import (
    carries_key,
    is_real_hash,
    job_key,
    time_of_hash,
    time_of_key,
    upload_name,
)
from tests.plugin_core.providers.mvsep.fakes import KEY, NOW


@pytest.mark.parametrize(
    "name",
    ["Song", "Déjà Vu (Live) #2", "歌", "a" * 300, "../..", "-", "x\ny", b"caf\xe9".decode("utf-8", "surrogateescape")],
)
def test_name_survives_the_services_slug(name: str) -> None:
    given = upload_name(KEY, Path(f"{name}.wav"), ".flac")
    assert re.fullmatch(r"sb[a-z2-7]{26}-[a-z0-9]+(-[a-z0-9]+)*\.flac", given)
    assert len(given) <= 80
    assert carries_key(f"20260101101500-0a1b2c3d4e-{given}", KEY)
    assert carries_key(f"20260101101500-0a1b2c3d4e-{given[:30]}", KEY)


def test_song_is_readable() -> None:
    assert upload_name(KEY, Path("Déjà Vu.wav"), ".flac").endswith("-deja-vu.flac")


def test_keys_differ() -> None:
    keys = [new_id(lambda: NOW) for _ in range(100)]
    assert len({job_key(key) for key in keys}) == 100
    assert not any(carries_key(f"20260101101500-0a1b2c3d4e-{job_key(keys[0])}", key) for key in keys[1:])
    assert job_key("no uuid") != job_key("no uuid 2")


@pytest.mark.parametrize("name", [f"{KEY}.flac", KEY.replace("-", "") + ".wav", f"song-{KEY.upper()}.flac"])
def test_names_of_stagers_are_known(name: str) -> None:
    assert carries_key(name, KEY)


@pytest.mark.parametrize(
    ("text", "is_real"),
    [("20260101101500-0a1b2c3d4e-song.wav", True), ("n2AwBjy4KsFZfqqR", False), ("", False), ("2026-0a-x", False)],
)
def test_real_hashes(text: str, is_real: bool) -> None:
    assert is_real_hash(text) is is_real


def test_times() -> None:
    assert time_of_key(KEY) == NOW
    assert time_of_key("job-1") is None
    assert time_of_hash("19700102000000-0a1b2c3d4e-song.wav") == 86400.0
    assert time_of_hash("99999999999999-0a1b2c3d4e-song.wav") is None
    assert time_of_hash("short") is None
