"""Which recipe a song gets, by the folder it lies in, also after the files that say so were edited."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from stembridge_hot_folder.folders import WatchSettings, open_folders
from stembridge_hot_folder.recipes import Recipe, Recipes, read_recipes

from plugin_core.errors import SettingsError
from plugin_core.model import Separation
from plugin_core.settings import Settings, no_keyring
from tests.hosts.hot_folder.conftest import Desk, wait_for


class Scene:
    """A hot folder with a home, and what was told."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "in"
        self.root.mkdir()
        self.home = folder / "home"
        self.home.mkdir()
        self.told: list[str] = []

    def config(self, text: str) -> None:
        (self.root / "stembridge.toml").write_text(text)

    def recipes(self, default: str = "", **values: Any) -> Recipes:
        settings = Settings(self.home, environ={"STEMBRIDGE_SEPARATE_PROVIDER": "fake"}, keyring=no_keyring)
        return Recipes(os.fsencode(self.root), settings, WatchSettings(preset=default, **values), self.told.append)

    def preset(self, recipes: Recipes, name: str) -> str:
        return recipes.choose(os.fsencode(self.root / name)).preset


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_first_folder_below_names_the_preset(scene: Scene) -> None:
    recipes = scene.recipes("four-stems")
    assert scene.preset(recipes, "Song.wav") == "four-stems"
    assert scene.preset(recipes, "vocals/Song.wav") == "vocals"
    assert scene.preset(recipes, "vocals/karaoke/Song.wav") == "vocals"
    assert scene.preset(recipes, "holiday/vocals/Song.wav") == "four-stems"


def test_without_any_word_it_is_what_separate_does(scene: Scene) -> None:
    [operation] = scene.recipes().usual.operations
    assert operation == Separation(provider="fake", model="")


def test_what_becomes_of_overload_is_what_the_settings_say(scene: Scene) -> None:
    (scene.home / "config.toml").write_text('[separate]\non_overload = "scale"\n')
    for recipe in (scene.recipes().usual, scene.recipes("vocals").usual):
        (operation,) = recipe.operations
        assert isinstance(operation, Separation)
        assert operation.on_overload == "scale"


def test_folder_that_names_no_preset_is_told_once(scene: Scene) -> None:
    recipes = scene.recipes()
    for _ in range(3):
        scene.preset(recipes, "holiday/Song.wav")
    assert len(scene.told) == 1
    assert "'holiday' names no preset" in scene.told[0]


def test_folder_config_wins(scene: Scene) -> None:
    scene.config('preset = "karaoke"\n[folders]\nBand = "practice"\nvocals = "drumless"\n')
    recipes = scene.recipes("four-stems")
    assert scene.preset(recipes, "Song.wav") == "karaoke"
    assert scene.preset(recipes, "Band/Song.wav") == "practice"
    assert scene.preset(recipes, "vocals/Song.wav") == "drumless"


@pytest.mark.parametrize(
    "text",
    [
        *('preset = "vocls"', "preset = 3", "[folder]", "preset =", '[folders]\na = "nonsense"'),
        *('preset = "vocls"\n[folders]\nvocals = "drumless"', '[folders]\n"a/b" = "vocals"', "a = " + "[" * 5000),
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_wrong_config_is_told_at_start_and_changes_nothing_later(scene: Scene, text: str) -> None:
    scene.config('preset = "karaoke"')
    recipes = scene.recipes()
    scene.config(text + "\n")
    assert not recipes.refresh()
    assert scene.preset(recipes, "Song.wav") == "karaoke"
    assert scene.preset(recipes, "vocals/Song.wav") == "vocals"
    assert "stembridge.toml" in scene.told[-1]
    assert "goes on as before" in scene.told[-1]
    with pytest.raises(SettingsError, match=r"stembridge\.toml"):
        scene.recipes()


def test_edited_files_are_read_anew_and_others_are_not(scene: Scene) -> None:
    recipes = scene.recipes()
    assert not recipes.refresh()
    scene.config('preset = "karaoke"')
    assert recipes.refresh()
    assert scene.preset(recipes, "Song.wav") == "karaoke"
    (scene.home / "config.toml").write_text('[presets.mine]\noperations = [{ kind = "separation" }]\n')
    assert recipes.refresh()
    assert scene.preset(recipes, "mine/Song.wav") == "mine"
    (scene.root / "stembridge.toml").unlink()
    assert recipes.refresh()
    assert scene.preset(recipes, "Song.wav") == ""


@pytest.mark.parametrize("text", ["operations = []", 'operations = [{ kind = "separation", to = "@IN@/stems" }]'])
def test_edited_preset_that_cannot_be_is_told_and_changes_nothing(scene: Scene, text: str) -> None:
    (scene.home / "config.toml").write_text('[presets.mine]\noperations = [{ kind = "separation" }]\n')
    settings = Settings(scene.home, environ={"STEMBRIDGE_SEPARATE_PROVIDER": "fake"}, keyring=no_keyring)
    folders = open_folders([scene.root], WatchSettings())
    [recipes] = read_recipes(settings, folders, WatchSettings(preset="mine"), scene.told.append).values()
    before = recipes.usual
    text = text.replace("@IN@", scene.root.as_posix())
    (scene.home / "config.toml").write_text(f"[presets.mine]\n{text}\n")
    assert not recipes.refresh()
    assert recipes.usual == before
    assert "goes on as before" in scene.told[-1]


def test_case_17_folder_is_known_however_its_letters_are_composed(scene: Scene) -> None:
    scene.config('[folders]\n"Übung" = "practice"\n')
    recipes = scene.recipes()
    for name in (unicodedata.normalize("NFC", "Übung"), unicodedata.normalize("NFD", "Übung")):
        assert scene.preset(recipes, f"{name}/Song.wav") == "practice"


def test_key_tells_what_is_done_and_not_what_it_is_called() -> None:
    one = Recipe.of("a", (Separation(provider="fake", model=""),))
    assert one.key == Recipe.of("b", (Separation(provider="fake", model=""),)).key
    assert one.key != Recipe.of("a", (Separation(provider="fake", model="", stems=("vocals",)),)).key


def test_folder_is_known_in_any_case_unless_two_presets_are_alike(scene: Scene) -> None:
    recipes = scene.recipes()
    assert scene.preset(recipes, "Vocals/Song.wav") == scene.preset(recipes, "VOCALS/a/Song.wav") == "vocals"
    assert scene.told == []
    scene.config('[folders]\n"VOCALS" = "karaoke"\n')
    recipes.refresh()
    assert scene.preset(recipes, "VOCALS/Song.wav") == "karaoke"
    assert scene.preset(recipes, "vocals/Song.wav") == "vocals"
    assert scene.preset(recipes, "Vocals/Song.wav") == ""
    assert len(scene.told) == 1


def test_unknown_folder_is_held_where_the_settings_say_so(scene: Scene) -> None:
    recipes = scene.recipes(unknown="hold")
    held = os.fsencode(scene.root / "Mixes" / "Song.wav")
    assert recipes.holds(held)
    assert not scene.recipes().holds(held)
    for name in ("Song.wav", "vocals/Song.wav"):
        assert not recipes.holds(os.fsencode(scene.root / name))
    recipes.choose(held)
    recipes.choose(held)
    assert [("Mixes" in told, "are held" in told) for told in scene.told] == [(True, True)]
    scene.config('[folders]\n"Mixes" = "vocals"\n')
    recipes.refresh()
    assert not recipes.holds(held)


def test_held_songs_cost_nothing_until_their_folder_names_a_preset(desk: Desk) -> None:
    desk.set(unknown="hold")
    desk.song("Mixes/Held.wav", seed=1)
    desk.song("vocals/Song.wav", seed=2)
    told = desk.once()
    assert (told.of("held"), told.of("done"), told.code) == (["Held.wav"], ["Song.wav"], 0)  # type: ignore[attr-defined]
    with desk.running() as watch:
        watch.wait("held", "Held.wav")
        desk.song("Loose.wav", seed=3)
        watch.wait_done("Loose.wav")
        counts = watch.watch.counts()
        assert (counts.held, counts.waiting, counts.queued) == (1, 0, 0)
        assert desk.separator.paid == ["Song.wav", "Loose.wav"]
        (desk.root / "stembridge.toml").write_text('[folders]\n"Mixes" = "vocals"\n')
        watch.wait_done("Held.wav")
    desk.set(unknown="usual")
    desk.separator.hold = True
    with desk.running() as watch:
        desk.song("Nameless/Begun.wav", seed=4)
        wait_for(lambda: "Begun.wav" in desk.separator.paid)
    desk.separator.hold = False
    desk.set(unknown="hold")
    assert desk.once().of("done") == ["Begun.wav"]
    assert desk.separator.paid == ["Song.wav", "Loose.wav", "Held.wav", "Begun.wav"]
