"""Named recipes: the shipped ones of ``manifests/presets.toml`` and ``[presets.NAME]`` of the user's settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from plugin_core.errors import SettingsError, UsageError, suggest, suggest_key
from plugin_core.manifests import manifest
from plugin_core.model import Operation, Separation, Tagging, show_path
from plugin_core.settings import Settings, expand_user
from plugin_core.stem_names import canonical
from plugin_core.tags.labels import check_rules
from plugin_core.wishes import SEPARATE, TAGS, said_of


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A named list of operations, done to each source in this order."""

    name: str
    title: str = ""
    operations: tuple[Operation, ...]


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """What the user's settings say where a preset says nothing."""

    separation: Separation = SEPARATE().as_operation()
    tagging: Tagging = TAGS().as_operation()

    def fill(self, written: msgspec.Struct) -> Operation:
        """Return the operation that a preset writes.

        Raises:
            ValueError: a word that means nothing.
        """
        said = {name: value for name, value in msgspec.structs.asdict(written).items() if value is not None}
        if isinstance(written, PresetTagging):
            return self._label(said)
        said |= {key: _names(value) for key, value in said.items() if isinstance(value, tuple)}
        for name, how in said_of(Separation).items():
            if how.for_presets and not said.get(name):
                said[name] = getattr(self.separation, name)
        return Separation(**said)

    def _label(self, said: dict[str, Any]) -> Tagging:
        wish = msgspec.structs.replace(self.tagging, **said)
        try:
            check_rules(wish)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return wish


def _as_written(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a wish as a preset writes it: every key may be left out, none misspelt."""
    return msgspec.defstruct(
        f"Preset{kind.__name__}",
        [(field.name, field.type | None, None) for field in msgspec.structs.fields(kind)],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        tag=kind.__struct_config__.tag,
        tag_field="kind",
    )


PresetSeparation, PresetTagging = _as_written(Separation), _as_written(Tagging)
_KINDS = {"separation": PresetSeparation, "tagging": PresetTagging}
_TABLE: Any = msgspec.defstruct(
    "PresetTable",
    [("title", str, ""), ("operations", tuple[PresetSeparation | PresetTagging, ...])],  # type: ignore[valid-type]
    kw_only=True,
    forbid_unknown_fields=True,
)
"""A preset as ``[presets.NAME]`` writes it."""


def load_presets(settings: Settings) -> dict[str, Preset]:
    """Return every preset by name; the user's own win over shipped ones.

    Raises:
        SettingsError: a preset in the settings file, or section ``separate`` or ``tags``, is wrong.
    """
    usual = Usual(
        separation=settings.section("separate", SEPARATE).as_operation(),
        tagging=settings.section("tags", TAGS).as_operation(),
    )
    shipped = tomllib.loads(manifest("presets.toml").read_text(encoding="utf-8"))
    return _read(shipped, manifest("presets.toml"), usual) | _read(settings.document, settings.config_path, usual)


def find_preset(settings: Settings, name: str) -> Preset:
    """Return one preset.

    Raises:
        UsageError: no preset has this name.
    """
    presets = load_presets(settings)
    if name in presets:
        return presets[name]
    raise UsageError(f"no preset {name!r}", remedy=suggest(name, presets, f"there are {', '.join(sorted(presets))}"))


def _read(document: Mapping[str, Any], path: Path, usual: Usual) -> dict[str, Preset]:
    tables = document.get("presets", {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{show_path(path)}: [presets] must be a table of tables")
    return {name: _preset(name, table, path, usual) for name, table in tables.items()}


def _preset(name: str, table: object, path: Path, usual: Usual) -> Preset:
    try:
        _check_keys(table)
        read = msgspec.convert(table, _TABLE, dec_hook=_decode)
        if not read.operations:
            raise ValueError("operations is empty, name at least one")
        operations = tuple(usual.fill(operation) for operation in read.operations)
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
