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
    assert {"four-stems", "two-stems", "vocals", "karaoke", "drumless", "practice"} <= set(presets)
    assert all(preset.title and preset.operations and preset.name == name for name, preset in presets.items())


def test_user_preset_wins(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[presets.vocals]\noperations = [{ kind = "separation", provider = "mine", stems = ["vocals"] }]\n'
    )
    preset = find_preset(Settings(tmp_path, environ={}), "vocals")
    assert preset.operations == (Separation(provider="mine", stems=("vocals",)),)


def write_preset(home: Path, operation: str, more: str = "") -> Settings:
    (home / "config.toml").write_text(f"{more}[presets.mine]\noperations = [{{ kind = 'separation', {operation} }}]\n")
    return Settings(home, environ={})


def separation_of(settings: Settings, name: str) -> Separation:
    (operation,) = find_preset(settings, name).operations
    assert isinstance(operation, Separation)
    return operation


def test_stems_may_be_written_as_on_the_command_line(tmp_path: Path) -> None:
    settings = write_preset(tmp_path, "stems = ['Vocals', 'vox', 'Hi-Hats'], minus = ['DRUM']")
    operation = separation_of(settings, "mine")
    assert (operation.stems, operation.minus) == (("vocals", "hi-hat"), ("drums",))


@pytest.mark.parametrize(
    ("written", "expected"),
    [("~/Stems", "home/Stems"), ("Stems", "here/Stems")],
    ids=["home", "relative"],
)
def test_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, expected: str) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert separation_of(write_preset(tmp_path, f"to = '{written}'"), "mine").to == tmp_path / expected


@pytest.mark.parametrize("name", ["four-stems", "two-stems", "vocals", "karaoke", "drumless", "practice", "mine"])
def test_provider_left_out_is_the_users_own(tmp_path: Path, name: str) -> None:
    settings = write_preset(tmp_path, "minus = ['vocals']", more="[separate]\nprovider = 'cloud'\n")
    assert separation_of(settings, name).provider == "cloud"
    (tmp_path / "config.toml").unlink()
    assert name == "mine" or separation_of(Settings(tmp_path, environ={}), name).provider == "local"


def test_model_and_format_of_the_settings_are_none_of_a_preset(tmp_path: Path) -> None:
    settings = write_preset(tmp_path, "provider = ''", more="[separate]\nmodel = 'm'\nformat = 'mp3'\n")
    assert separation_of(settings, "mine") == Separation(provider="local")


def test_every_word_of_a_separation_can_be_written(tmp_path: Path) -> None:
    words = "model = 'm', options = { a = 'b' }, residual = true, format = 'mp3', template = '{stem}.{ext}'"
    assert separation_of(write_preset(tmp_path, words), "mine") == Separation(
        provider="local", model="m", options={"a": "b"}, residual=True, format="mp3", template="{stem}.{ext}"
    )


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
        (
            "[presets.mine]\noperations = [{ kind = 'separation', stem = ['vocals'] }]\n",
            "unknown key 'stem', did you mean 'stems'",
        ),
        ("[presets.mine]\noperations = [{ kind = 'tagging', provider = 'x', polcy = '' }]\n", "did you mean 'policy'"),
        ("[presets.mine]\noperations = [{ kind = 'separation', stems = [' '] }]\n", "name of a stem is empty"),
        ("[presets.mine]\noperations = [{ kind = 'separation', to = '~nobody-here/x' }]\n", "no such user"),
    ],
    ids=["empty", "missing", "kind", "misspelt", "no-table", "stem", "tagging", "blank-stem", "user"],
)
def test_wrong_preset_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError, match=expected) as caught:
        load_presets(Settings(tmp_path, environ={}))
    assert str(tmp_path / "config.toml") in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "more", "expected"),
    [
        ("stems = []", "", "refuse"),
        ("on_overload = 'float'", "", "float"),
        ("stems = []", "[separate]\non_overload = 'scale'\n", "scale"),
        ("on_overload = 'refuse'", "[separate]\non_overload = 'scale'\n", "refuse"),
    ],
    ids=["neither", "preset", "setting", "preset over setting"],
)
def test_what_becomes_of_overload(tmp_path: Path, operation: str, more: str, expected: str) -> None:
    settings = write_preset(tmp_path, operation, more)
    assert separation_of(settings, "mine").on_overload == expected


def test_a_word_for_overload_that_means_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="on_overload"):
        find_preset(write_preset(tmp_path, "on_overload = 'louder'"), "mine")
    with pytest.raises(SettingsError, match="on_overload"):
        load_presets(write_preset(tmp_path, "stems = []", "[separate]\non_overload = 'louder'\n"))
