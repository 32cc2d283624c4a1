"""Files of the user that a command changes: replaced at once or not at all; of config.toml every other line stays."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_core.errors import SettingsError

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
        return tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, UnicodeDecodeError, tomlkit.exceptions.ParseError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", remedy="correct the settings file") from error


def write_config(path: Path, document: TOMLDocument) -> None:
    """Replace a settings file at once, readable by its owner alone from its first byte on.

    Raises:
        SettingsError: it cannot be written.
    """
    import tomlkit

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, tomlkit.dumps(document), mode=0o600)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror}", remedy="free the place or mend its rights"
        ) from error


def replace_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """Put a file in place at once, behind the link that stands for it.

    Args:
        path: the file.
        text: all that it holds from now on.
        mode: its rights; None keeps those of the file that is replaced, or leaves a new one to the user's mask.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    real = Path(os.path.realpath(path))
    fresh = real.with_name(f".{real.name}.{secrets.token_hex(4)}")
    try:
        before = real.stat().st_mode & 0o7777
    except FileNotFoundError:
        before = None
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if mode is None and before is not None:
            fresh.chmod(before)
        fresh.replace(real)
    finally:
        fresh.unlink(missing_ok=True)
