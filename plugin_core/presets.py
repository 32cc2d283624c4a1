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
from plugin_core.model import Operation, Separation, Tagging, show_path
from plugin_core.preferences import SeparateSettings
from plugin_core.settings import Settings, expand_user, suggest_key
from plugin_core.naming import canonical


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A named list of operations, done to each source in this order."""

    name: str
    title: str = ""
    operations: tuple[Operation, ...]


class PresetSeparation(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="separation", tag_field="kind"
):
    """A separation as a preset writes it; the keys mean what those of ``model.Separation`` mean."""

    provider: str = ""
    """Empty means ``[separate] provider``."""
    model: str = ""
    options: dict[str, str] = {}
    stems: tuple[str, ...] = ()
    """In any spelling that ``--stems`` takes."""
    minus: tuple[str, ...] = ()
    residual: bool = False
    format: str = ""
    to: Path | None = None
    """``~`` is the user's home, a relative path starts at the current folder."""
    template: str = ""

    def as_operation(self, provider: str) -> Separation:
        """Return what is meant, with this provider where none is named."""
        values = msgspec.structs.asdict(self)
        values |= {"provider": self.provider or provider, "stems": _names(self.stems), "minus": _names(self.minus)}
        return Separation(**values)


class PresetTagging(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="tagging", tag_field="kind"
):
    """A tagging as a preset writes it; the keys mean what those of ``model.Tagging`` mean."""

    provider: str
    dimensions: tuple[str, ...] = ()
    min_probability: float = 0.5
    labels: str = "en"
    policy: str = "fill"

    def as_operation(self, provider: str) -> Tagging:  # noqa: ARG002 - who separates by default does not label
        """Return what is meant."""
        return Tagging(**msgspec.structs.asdict(self))


class PresetTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A preset as ``[presets.NAME]`` writes it."""

    title: str = ""
    operations: tuple[PresetSeparation | PresetTagging, ...]


_KINDS: dict[object, type[msgspec.Struct]] = {"separation": PresetSeparation, "tagging": PresetTagging}


def load_presets(settings: Settings) -> dict[str, Preset]:
    """Return every preset by name; the user's own win over shipped ones.

    Raises:
        SettingsError: a preset in the settings file, or section ``separate``, is wrong.
    """
    provider = settings.section("separate", SeparateSettings).provider
    shipped = tomllib.loads(manifest("presets.toml").read_text(encoding="utf-8"))
    return _read(shipped, manifest("presets.toml"), provider) | _read(settings.document, settings.config_path, provider)


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


def _read(document: Mapping[str, Any], path: Path, provider: str) -> dict[str, Preset]:
    tables = document.get("presets", {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{show_path(path)}: [presets] must be a table of tables")
    return {name: _preset(name, table, path, provider) for name, table in tables.items()}


def _preset(name: str, table: object, path: Path, provider: str) -> Preset:
    try:
        _check_keys(table)
        read = msgspec.convert(table, PresetTable, dec_hook=_decode)
        if not read.operations:
            raise ValueError("operations is empty, name at least one")
        operations = tuple(operation.as_operation(provider) for operation in read.operations)
    except ValueError as error:  # msgspec's own ValidationError is one
        raise SettingsError(f"{show_path(path)}, [presets.{name}]: {error}", remedy="correct the preset") from error
    return Preset(name=name, title=read.title, operations=operations)


def _check_keys(table: object) -> None:
    """Refuse a misspelt key with the nearest known one, which msgspec does not name."""
    if not isinstance(table, dict):
        return
    _refuse_unknown(table, ("title", "operations"))
    operations = table.get("operations")
    for operation in operations if isinstance(operations, list) else ():
        if isinstance(operation, dict) and (kind := _KINDS.get(str(operation.get("kind")))):
            _refuse_unknown(operation, ("kind", *kind.__struct_fields__))


def _refuse_unknown(table: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise ValueError(f"unknown key {key!r}{suggest_key(key, known)}")


def _decode(kind: type, value: object) -> object:
    if issubclass(kind, Path) and isinstance(value, str):
        return expand_user(value).absolute()
    raise ValueError(f"expected a path as text, got {value!r}")


def _names(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return canonical names, each once.

    Raises:
        ValueError: a name is empty; to pass over it could ask for every stem.
    """
    if not all(word.strip() for word in words):
        raise ValueError("the name of a stem is empty")
    return tuple(dict.fromkeys(canonical(word) for word in words))
