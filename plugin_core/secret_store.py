"""Keeping a secret for later: in the system's keyring, else in config.toml, which then only its owner can read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_core.errors import SettingsError
from plugin_core.settings import Secret, Settings

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

SERVICE = "stembridge"

Keep = Callable[[str, str, str], bool]
"""Put a secret into a keyring by section and key; tell whether there is one that took it."""


def keep_in_keyring(section: str, key: str, text: str) -> bool:
    """Put a secret into the system's keyring, if the extra ``keyring`` is installed and a keyring answers."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return False
    try:
        keyring.set_password(SERVICE, f"{section}.{key}", text)
        # One that is switched off takes everything and keeps nothing.
        return keyring.get_password(SERVICE, f"{section}.{key}") == text
    except keyring.errors.KeyringError:
        # Headless machines have no keyring service; the caller has another place.
        return False


def keep_secrets(settings: Settings, section: str, values: Mapping[str, Secret], keep: Keep = keep_in_keyring) -> str:
    """Keep the secrets of one section together and return the place, for people.

    Args:
        settings: whose config.toml is used where there is no keyring.
        section: the settings section.
        values: secrets by key.
        keep: the keyring.

    Raises:
        SettingsError: config.toml cannot be written or is no TOML.
    """
    if values and all(keep(section, key, value.reveal()) for key, value in values.items()):
        _forget_in_file(settings.config_path, section, values)
        return "the system's keyring"
    write_secrets(settings.config_path, section, values)
    return str(settings.config_path)


def write_secrets(path: Path, section: str, values: Mapping[str, Secret]) -> None:
    """Set keys of a section in a settings file, everything else kept as it stands.

    Raises:
        SettingsError: it cannot be written or is no TOML.
    """
    document = _read(path)
    table = document.setdefault(section, {})
    if not isinstance(table, MutableMapping):
        raise SettingsError(f"{path}: [{section}] must be a table", remedy="correct the settings file")
    for key, value in values.items():
        table[key] = value.reveal()
    _write(path, document)


def _forget_in_file(path: Path, section: str, values: Mapping[str, Secret]) -> None:
    """Remove older values, which nobody would look for there once the keyring has the new ones."""
    if not path.exists():
        return
    document = _read(path)
    table = document.get(section)
    if not isinstance(table, MutableMapping):
        return
    stale = [key for key in values if key in table]
    for key in stale:
        del table[key]
    if stale:
        _write(path, document)


def _read(path: Path) -> TOMLDocument:
    import tomlkit
    import tomlkit.exceptions

    try:
        return tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, UnicodeDecodeError, tomlkit.exceptions.ParseError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", remedy="correct the settings file") from error


def _write(path: Path, document: TOMLDocument) -> None:
    """Replace the file at once, readable by its owner alone from its first byte on."""
    import tomlkit

    real = Path(os.path.realpath(path))
    fresh = real.with_name(f".{real.name}.{secrets.token_hex(4)}")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(tomlkit.dumps(document))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(real)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror}", remedy="free the place or mend its rights"
        ) from error
