"""Presets: shipped ones hold, the user's own come on top, mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.errors import SettingsError, UsageError
from plugin_core.model import Separation
from plugin_core.presets import find_preset, load_presets
from plugin_core.settings import Settings


def test_shipped_presets_have_titles_and_operations(tmp_path: Path) -> None:
    presets = load_presets(Settings(tmp_path, environ={}))
    assert {"four-stems", "vocals", "karaoke", "drumless", "practice"} <= set(presets)
    assert all(preset.title and preset.operations and preset.name == name for name, preset in presets.items())


def test_user_preset_wins(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[presets.vocals]\noperations = [{ kind = "separation", provider = "mine", stems = ["vocals"] }]\n'
    )
    preset = find_preset(Settings(tmp_path, environ={}), "vocals")
    assert preset.operations == (Separation(provider="mine", stems=("vocals",)),)


def test_unknown_preset_suggests(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no preset 'karoke'; did you mean 'karaoke'"):
        find_preset(Settings(tmp_path, environ={}), "karoke")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[presets.mine]\noperations = []\n", "operations is empty"),
        ("[presets.mine]\ntitle = 'x'\n", "operations"),
        ("[presets.mine]\noperations = [{ kind = 'cooking' }]\n", "cooking"),
        ("[presets.mine]\noperatons = []\noperations = []\n", "operatons"),
        ("presets = 3\n", "must be a table"),
    ],
    ids=["empty", "missing", "kind", "misspelt", "no-table"],
)
def test_wrong_preset_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError, match=expected) as caught:
        load_presets(Settings(tmp_path, environ={}))
    assert str(tmp_path / "config.toml") in str(caught.value)
