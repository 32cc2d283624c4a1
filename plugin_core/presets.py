"""Named recipes: the shipped ones of ``manifests/presets.toml`` and ``[presets.NAME]`` of the user's settings."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from plugin_core.errors import SettingsError, UsageError
from plugin_core.manifests import manifest
from plugin_core.model import Operation, decode_path
from plugin_core.settings import Settings


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named list of operations, done to each source in this order."""

    name: str = ""
    title: str = ""
    operations: tuple[Operation, ...]


def load_presets(settings: Settings) -> dict[str, Preset]:
    """Return every preset by name; the user's own win over shipped ones.

    Raises:
        SettingsError: a preset in the settings file is wrong.
    """
    shipped = tomllib.loads(manifest("presets.toml").read_text(encoding="utf-8"))
    return _read(shipped, manifest("presets.toml")) | _read(settings.document, settings.config_path)


def find_preset(settings: Settings, name: str) -> Preset:
    """Return one preset.

    Raises:
        UsageError: no preset has this name.
    """
    presets = load_presets(settings)
    if name in presets:
        return presets[name]
    near = difflib.get_close_matches(name, presets, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(presets))}"
    raise UsageError(f"no preset {name!r}", remedy=hint)


def _read(document: Mapping[str, Any], path: Path) -> dict[str, Preset]:
    tables = document.get("presets", {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{path}: [presets] must be a table of tables")
    return {name: _preset(name, table, path) for name, table in tables.items()}


def _preset(name: str, table: object, path: Path) -> Preset:
    try:
        preset = msgspec.convert(table, Preset, dec_hook=decode_path)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}, [presets.{name}]: {error}", remedy="correct the preset") from error
    if not preset.operations:
        raise SettingsError(f"{path}, [presets.{name}]: operations is empty", remedy="name at least one operation")
    return msgspec.structs.replace(preset, name=name)
