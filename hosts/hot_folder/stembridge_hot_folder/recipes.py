"""What is done to a song, by the folder it lies in: ``DIR/<preset>/song.flac``, or what ``DIR/stembridge.toml`` says.

::

    preset = "four-stems"            # songs outside every folder named below, or like a preset

    [folders]
    "Band practice" = "practice"     # first folder below DIR -> preset
"""

from __future__ import annotations

import hashlib
import os
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from plugin_core.errors import SettingsError, StembridgeError, UsageError, suggest_key
from plugin_core.files.names import fold
from plugin_core.model import Operation, Separation, show_path, to_json
from plugin_core.presets import Preset, load_presets
from plugin_core.settings import Settings
from stembridge_hot_folder.files import open_regular, shown
from stembridge_hot_folder.folders import HotFolder, WatchSettings, refuse_results_inside

CONFIG_NAME: Final = "stembridge.toml"
_MOST: Final = 2**20
"""Characters; anybody may put the file there."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to a song."""

    preset: str
    operations: tuple[Operation, ...]
    key: str
    """A text that differs when what is done differs."""

    @classmethod
    def of(cls, preset: str, operations: tuple[Operation, ...]) -> Self:
        return cls(preset=preset, operations=operations, key=hashlib.sha256(to_json(operations)).hexdigest()[:32])


class FolderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``stembridge.toml`` in a hot folder may say."""

    preset: str = ""
    folders: dict[str, str] = {}


class Recipes:
    """The recipes of one hot folder, read anew when a file they come from changes.

    Args:
        root: the hot folder.
        settings: the user's settings.
        watch: whether songs in folders that name no preset are held, and else the preset for those outside every
            preset's folder; empty means what ``stembridge separate`` would do.
        tell: told of what is wrong with an edited file, and of folders that name no preset.
        check: called with each recipe before it is used; raises where it cannot be.

    Raises:
        SettingsError: ``stembridge.toml`` or a preset is wrong.
    """

    def __init__(
        self,
        root: bytes,
        settings: Settings,
        watch: WatchSettings,
        tell: Callable[[str], None],
        check: Callable[[Recipe], None] = lambda _recipe: None,
    ) -> None:
        self._config_path = Path(os.fsdecode(root), CONFIG_NAME)
        self._root = root
        self._settings = settings
        self._watch = watch
        self._tell = tell
        self._check = check
        self._told: set[str] = set()
        self._stamp = self._read_stamp()
        self._read()

    def refresh(self) -> bool:
        """Read edited files anew; tell whether anything changed. What is wrong is told and changes nothing."""
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        # A fresh look at config.toml: a settings object reads it once.
        edited = Settings(self._settings.home, environ=self._settings.environ)
        before, self._settings = self._settings, edited
        try:
            self._read()
        except StembridgeError as error:
            self._settings = before
            self._tell(f"{error}; the folder goes on as before")
            return False
        self._told.clear()
        return True

    def all(self) -> list[Recipe]:
        """Return every recipe that a song of this folder may get."""
        return [self.usual, *self._by_folder.values()]

    def choose(self, path: bytes) -> Recipe:
        name = self._folder_of(path)
        found = self._find_named(name)
        if name and found is None and name not in self._told:
            self._told.add(name)
            what = f"get the usual: {self.usual.preset or 'separate'}"
            if self._watch.unknown == "hold":
                what = f"are held until a preset of this name, or {CONFIG_NAME}, says what to do"
            where = shown(self._root)
            self._tell(f"{where}: folder {name!r} names no preset; its songs {what}")
        return found or self.usual

    def holds(self, path: bytes) -> bool:
        """Tell whether a song waits until its folder names a preset."""
        name = self._folder_of(path)
        return self._watch.unknown == "hold" and bool(name) and self._find_named(name) is None

    def _folder_of(self, path: bytes) -> str:
        """Return the first folder below the root that a song lies in; empty where it lies in none."""
        first, *rest = os.path.relpath(path, self._root).split(os.fsencode(os.sep))
        return os.fsdecode(first) if rest else ""

    def _find_named(self, name: str) -> Recipe | None:
        """Return the recipe that a folder's name stands for, however its letters are composed, or in other case."""
        return self._by_folder.get(unicodedata.normalize("NFC", name)) or self._by_fold.get(fold(name))

    def _read(self) -> None:
        config = self._read_config()
        presets = load_presets(self._settings)
        usual = config.preset or self._watch.preset
        named = {name: _recipe(preset) for name, preset in presets.items()}
        named |= {name: _recipe(self._find(presets, preset)) for name, preset in config.folders.items()}
        # Keyboards and disks compose letters differently.
        by_folder = {unicodedata.normalize("NFC", name): recipe for name, recipe in named.items()}
        recipe = _recipe(self._find(presets, usual)) if usual else self._what_separate_does(presets)
        for one in (recipe, *by_folder.values()):
            self._check(one)
        # Only now, so that a mistake changes nothing.
        self._by_folder, self.usual = by_folder, recipe
        alike = Counter(map(fold, by_folder))
        # Of two whose names are alike but for case each keeps its own name alone.
        self._by_fold = {fold(name): one for name, one in by_folder.items() if alike[fold(name)] == 1}

    def _what_separate_does(self, presets: dict[str, Preset]) -> Recipe:
        from plugin_core.wishes import SEPARATE

        said = self._settings.section("separate", SEPARATE)
        if said.preset:
            return _recipe(self._find(presets, said.preset))
        return Recipe.of("", (said.as_operation(),))

    def _find(self, presets: dict[str, Preset], name: str) -> Preset:
        if name not in presets:
            where = show_path(self._config_path) if self._config_path.exists() else "[watch] preset"
            raise SettingsError(f"{where}: no preset {name!r}{suggest_key(name, presets)}")
        return presets[name]

    def _read_config(self) -> FolderConfig:
        try:
            config = msgspec.convert(tomllib.loads(self._read_text()), FolderConfig)
        except FileNotFoundError:
            return FolderConfig()
        except OSError as error:
            raise SettingsError(f"{show_path(self._config_path)} cannot be read: {error.strerror}") from error
        except RecursionError as error:
            raise self._wrong("lists within lists, too deep") from error
        except ValueError as error:  # TOML's, UTF-8's and msgspec's errors all are
            raise self._wrong(str(error)) from error
        for name in config.folders:
            if "/" in name or not name:
                raise self._wrong(f"{name!r} is no name of a folder; one right below the hot folder is meant")
        return config

    def _read_text(self) -> str:
        with os.fdopen(open_regular(self._config_path, follows_links=True), encoding="utf-8-sig") as opened:
            text = opened.read(_MOST + 1)
        if len(text) > _MOST:
            raise self._wrong(f"longer than {_MOST} characters")
        return text

    def _wrong(self, what: str) -> SettingsError:
        return SettingsError(f"{show_path(self._config_path)}: {what}", remedy="correct the file")

    def _read_stamp(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in (self._config_path, self._settings.config_path))


def read_recipes(
    settings: Settings, folders: Sequence[HotFolder], watch: WatchSettings, tell: Callable[[str], None]
) -> dict[bytes, Recipes]:
    """Return what to do, by folder.

    Args:
        settings: the user's settings.
        folders: the hot folders, none of which may get the stems of another.
        watch: as of ``Recipes``.
        tell: as of ``Recipes``.

    Raises:
        SettingsError: a preset or a ``stembridge.toml`` is wrong.
        UsageError: a preset does nothing, or would place stems where songs are looked for.
    """

    def check(recipe: Recipe) -> None:
        places = check_placement(recipe)
        for folder in folders:
            refuse_results_inside(folder, places)

    return {folder.path: Recipes(folder.path, settings, watch, tell, check) for folder in folders}


def check_placement(recipe: Recipe) -> list[Path]:
    """Return the folders outside the song's own that a recipe places stems in.

    Raises:
        UsageError: the recipe does nothing.
    """
    if not recipe.operations:
        raise UsageError(f"preset {recipe.preset!r} does nothing")
    return [one.to for one in recipe.operations if isinstance(one, Separation) and one.to is not None]


def _recipe(preset: Preset) -> Recipe:
    return Recipe.of(preset.name, preset.operations)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        # Missing, or on a share that is away: either way there is nothing to read now.
        return None
    return status.st_mtime_ns, status.st_size
