from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_core.errors import SettingsError
from plugin_core.plugins import load_plugins
from plugin_core.protocols import Separator
from plugin_core.providers.mvsep import plugin
from plugin_core.settings import Settings, no_keyring


def register(home: Path, **environ: str) -> Separator:
    found: list[Separator] = []
    plugin.register_separators(found.append, Settings(home, environ=environ, keyring=no_keyring))
    return found[0]


def test_it_is_installed() -> None:
    assert "mvsep" in {one.name for one in load_plugins().loaded if not one.error}


def test_settings_come_from_the_environment(home: Path) -> None:
    assert register(home).account() == "mvsep"
    named = register(home, STEMBRIDGE_MVSEP_API_TOKEN="t" * 30, STEMBRIDGE_MVSEP_BASE_URL="http://127.0.0.1:9/api")
    assert named.account().startswith("mvsep:")
    assert "t" * 30 not in named.account()


@pytest.mark.parametrize("setting", [("SLOTS", "0"), ("SLOTS", "many"), ("POLL_FIRST", "0")])
def test_wrong_settings_are_named(home: Path, setting: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match=f"STEMBRIDGE_MVSEP_{setting[0]}"):
        register(home, **{f"STEMBRIDGE_MVSEP_{setting[0]}": setting[1]})


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("plugin_core.providers.mvsep.plugin", ("msgspec", "httpx", "numpy", "soundfile")),
        ("plugin_core.providers.mvsep.adapter", ("httpx", "numpy", "soundfile")),
    ],
)
def test_little_is_imported(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*[name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert result.stdout.strip() == ""
