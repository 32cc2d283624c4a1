"""Section ``stembridge`` of beets' configuration, and how it becomes settings of the core."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Final

import confuse
import yaml
from beets.dbcore import types
from beets.library import Item

from stembridge_beets.fields import FIELD_OF
from stembridge_beets.host import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from beets.logging import BeetsLogger
    from confuse import Subview

    from plugin_core.settings import Settings
    from stembridge_beets.host import Host

MANIFEST: Final = "hosts/beets/config.yaml"
AUTO: Final = {"no": (), "moods": ("moods",), "stems": ("stems",), "yes": ("moods", "stems")}
"""What an import does, by the word of the setting; labels first, as they change the file that is separated."""

OWN_WORDS: Final = {
    "status": "list the songs with work left [QUERY]",
    "resume": "finish what was interrupted [QUERY]",
    "retry": "try again what failed or was cancelled [QUERY]",
    "adopt": "note stems in the library that stand already, and bring along what was left behind [QUERY]",
    "prune": "forget old jobs, and remove what killed runs left",
}
"""What ``beet stembridge`` can be told; the first without a word."""

BOUNDS: Final = {"threads": (0, 256), "tries": (1, 1000)}
"""The least and the most that our numbers may be."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def read_manifest() -> dict[str, Any]:
    """Return the shipped configuration: our section, and beets' own ``ignore``."""
    from plugin_core import manifest

    found: dict[str, Any] = yaml.load(manifest(MANIFEST).read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe one, in C where there is one
    return found


def defaults() -> dict[str, Any]:
    """Return the defaults of our section."""
    section: dict[str, Any] = read_manifest()["stembridge"]
    return section


def services() -> dict[str, tuple[str, ...]]:
    """Return the sections of the core's settings that can be written in beets' configuration, with their keys."""
    return {name: tuple(value) for name, value in defaults().items() if isinstance(value, dict) and value}


def redact(config: Subview) -> None:
    """Keep secrets out of ``beet config``."""
    for section, keys in services().items():
        for key in keys:
            config[section][key].redact = True


def read_auto(config: Subview) -> tuple[str, ...]:
    """Return what an import does.

    Raises:
        UserError: the setting is none of its words.
    """
    value = config["auto"].get()
    # YAML reads a bare yes and no as truth values.
    word = ("yes" if value else "no") if isinstance(value, bool) else value
    if isinstance(word, str) and word in AUTO:
        return AUTO[word]
    raise UserError(f"stembridge.auto is {value!r}; it is one of {', '.join(AUTO)}")


def read_count(config: Subview, key: str) -> int:
    """Return a whole number of our section.

    Raises:
        UserError: it is out of its bounds.
    """
    count: int = config[key].get(int)
    least, most = BOUNDS[key]
    if least <= count <= most:
        return count
    raise UserError(f"stembridge.{key} is {count} (allowed: from {least} to {most})")


def read_flag(plugin: Host, key: str, option: bool | None) -> bool:
    """Return what an option says, or else our section of the configuration."""
    if option is not None:
        return option
    # YAML reads a bare yes as a truth value, also where it is a key.
    bare = plugin.config[True] if key == "yes" else None
    return bool((bare if bare is not None and bare.exists() else plugin.config[key]).get(bool))


def read_write(plugin: Host, option: bool | None) -> bool | None:
    """Return whether tags are written; None for what ``import.write`` says."""
    said: bool | None = plugin.config["write"].get(confuse.Optional(bool))
    return said if option is None else option


def rename_fields(config: Subview) -> None:
    """Give labels the fields that our section names; nothing is renamed where one of them is wrong.

    Raises:
        UserError: no such label, or a field that cannot hold it.
    """
    said = config["fields"].get(dict)
    for name, field in said.items():
        if name not in FIELD_OF:
            raise UserError(f"stembridge.fields has {name!r}; there are {', '.join(FIELD_OF)}")
        column = Item._fields.get(field, types.STRING) if str(field).isidentifier() else None
        if not isinstance(column, (types.String, types.DelimitedString)):
            raise UserError(f"stembridge.fields.{name} is {field!r}, which is no field for words")
    wanted = FIELD_OF | said
    if len(set(wanted.values())) < len(wanted):
        raise UserError("stembridge.fields gives two labels one field")
    FIELD_OF.update(wanted)


def warn_of_typos(config: Subview, log: BeetsLogger) -> None:
    """Tell of words in our section that mean nothing; beets itself passes them over."""
    parts = [(f"{name}.", config[name], keys) for name, keys in services().items()]
    for where, section, known in (("", config, defaults()), *parts):
        try:
            # YAML reads a bare yes as a truth value, also where it is a key.
            unknown = [key for key in map(str, section.keys()) if key not in (*known, "True")]
        except confuse.ConfigError:
            # Of the wrong kind: told by the command that needs it.
            continue
        for key in unknown:
            from plugin_core.errors import suggest_key

            log.warning("the configuration knows no {}{}{}", where, key, suggest_key(key, known))


def overlay(config: Subview, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with our section's accounts and folder below it: a variable wins over beets' file."""
    found: dict[str, str] = {}
    if home := config["home"].get(str):
        found["STEMBRIDGE_HOME"] = home
    for section, keys in services().items():
        for key in keys:
            if value := config[section][key].get(str):
                found[f"STEMBRIDGE_{section}_{key}".upper()] = value
    return found | dict(environ)


def core_settings(config: Subview) -> Settings:
    """Return the core's settings as they are for beets.

    Raises:
        UserError: there is no such home folder, or none is known.
    """
    from plugin_core.errors import SettingsError
    from plugin_core.settings import Settings

    try:
        return Settings(environ=overlay(config, os.environ))
    except SettingsError as error:
        raise UserError(str(error)) from error
