from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.errors import SettingsError
from plugin_core.providers.local.settings import LocalSettings, default_workers
from plugin_core.settings import Settings


def test_defaults_leave_half_the_machine(home: Path) -> None:
    assert Settings(home, environ={}).section("local", LocalSettings).workers == default_workers() >= 1


def test_environment_sets_them(home: Path) -> None:
    environ = {"STEMBRIDGE_LOCAL_WORKERS": "3", "STEMBRIDGE_LOCAL_BLOCK_SECONDS": "2.5"}
    found = Settings(home, environ=environ).section("local", LocalSettings)
    assert (found.workers, found.block_seconds) == (3, 2.5)


@pytest.mark.parametrize(("key", "value"), [("WORKERS", "0"), ("BLOCK_SECONDS", "nan"), ("NICE", "-5"), ("NICE", "x")])
def test_wrong_values_are_named(home: Path, key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"STEMBRIDGE_LOCAL_{key}"):
        Settings(home, environ={f"STEMBRIDGE_LOCAL_{key}": value}).section("local", LocalSettings)
