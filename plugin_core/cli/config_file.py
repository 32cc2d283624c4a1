"""Files of the user that a command changes: replaced at once or not at all; of config.toml every other line stays."""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugin_core.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def read_config(path: Path) -> TOMLDocument:
    """Read a settings file with its comments; one that is missing is empty.

    Raises:
        SettingsError: it cannot be read or is no TOML.
    """
    import tomlkit
    import tomlkit.exceptions

    try:
        return tomlkit.parse(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, UnicodeDecodeError, tomlkit.exceptions.ParseError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", remedy="correct the settings file") from error


def write_config(path: Path, document: TOMLDocument, *, mode: int | None = 0o600) -> None:
    """Replace a settings file at once, readable by its owner alone from its first byte on unless ``mode`` says else.

    Raises:
        SettingsError: it cannot be written.
    """
    import tomlkit

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, tomlkit.dumps(document), mode=mode)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror}", remedy="free the place or mend its rights"
        ) from error


def set_key(document: TOMLDocument, way: list[str], value: Any) -> None:
    """Set a key, named by the way to it; tables are made, and the comment behind a value stays.

    Raises:
        SettingsError: what should be a table is none.
    """
    import tomlkit

    table: Any = document
    for part in way[:-1]:
        if part not in table:
            if table is document and document.as_string().strip():
                document.add(tomlkit.nl())
            table[part] = tomlkit.table(is_super_table=part == "spend")
        table = table[part]
        if not isinstance(table, MutableMapping):
            raise SettingsError(f"[{part}] must be a table", remedy="stembridge config edit")
    item = tomlkit.item(value)
    if old := getattr(table.get(way[-1]), "trivia", None):
        item.trivia.comment_ws, item.trivia.comment = old.comment_ws, old.comment
    table[way[-1]] = item


def unset_key(document: TOMLDocument, way: list[str]) -> None:
    """Take a key out.

    Raises:
        UsageError: it is not there.
    """
    table: Any = document
    for part in way[:-1]:
        table = table.get(part, {}) if isinstance(table, MutableMapping) else {}
    if not isinstance(table, MutableMapping) or way[-1] not in table:
        raise UsageError(f"{'.'.join(way)} does not stand in the file")
    del table[way[-1]]


def refuse_other_changes(before: dict[str, Any], text: str, way: list[str]) -> None:
    """Hold the new text against the old by what it means: nothing but the one key may differ.

    Raises:
        SettingsError: something else does.
    """
    after = tomllib.loads(text)
    for document in (before, after):
        _drop(document, way)
    if before != after:
        raise SettingsError("the file is written in a way that cannot be changed here", remedy="stembridge config edit")


def _drop(table: dict[str, Any], way: list[str]) -> None:
    first, *rest = way
    if rest and isinstance(table.get(first), dict):
        _drop(table[first], rest)
    if not rest or not table.get(first):
        table.pop(first, None)


def replace_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """Do what ``replace_bytes`` does with a text."""
    replace_bytes(path, text.encode("utf-8", "surrogateescape"), mode=mode)


def replace_bytes(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put a file in place at once, behind the link that stands for it.

    Args:
        path: the file.
        data: all that it holds from now on.
        mode: its rights; None keeps those of the file that is replaced, or leaves a new one to the user's mask.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    real = Path(os.path.realpath(path))
    fresh = real.with_name(f".{real.name}.{secrets.token_hex(4)}")
    if mode is None and real.exists():
        mode = real.stat().st_mode & 0o7777
    # Never open to more people than the whole file is, not even while it is written.
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode & 0o700)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            fresh.chmod(mode)
        fresh.replace(real)
    finally:
        fresh.unlink(missing_ok=True)
