"""The user's settings: what is wrong with them, told with its place; and config.toml changed, every other line kept."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from plugin_core.audio.formats import FORMAT_NAMES, FORMATS
from plugin_core.errors import SettingsError, StembridgeError, UsageError, suggest_key
from plugin_core.files.disk import try_lock
from plugin_core.files.placement import replace_file
from plugin_core.jobs.policy import JobsSettings
from plugin_core.model import Operation, Tagging
from plugin_core.plugins import Plugins
from plugin_core.presets import Preset, find_preset, load_presets
from plugin_core.purchases.ledger import Limits
from plugin_core.purchases.shelf import PurchasesSettings
from plugin_core.session import Session
from plugin_core.settings import Settings
from plugin_core.stems.layout import parse_template
from plugin_core.stores import read_paths
from plugin_core.wishes import SEPARATE, STEMS, TAGS

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

LOCK_NAME: Final = ".config.lock"
_PATIENCE: Final = 10.0
_BETWEEN: Final = 0.02


@contextmanager
def blame_setting(settings: Settings, section: str, key: str) -> Iterator[None]:
    """Name the setting's place in an error that its value leads to.

    Raises:
        SettingsError: for a UsageError that is none yet.
    """
    try:
        yield
    except SettingsError:
        raise
    except UsageError as error:
        place = settings.place_of(section, key)
        raise SettingsError(f"{place}: {error.message}", remedy=error.remedy) from error


def usual_preset(settings: Settings) -> Preset | None:
    """Return the preset of ``[separate] preset``, if one is set."""
    name = settings.section("separate", SEPARATE).preset
    with blame_setting(settings, "separate", "preset"):
        return find_preset(settings, name) if name else None


def check_format(settings: Settings) -> None:
    """Refuse a ``[separate] format`` that is none."""
    name = settings.section("separate", SEPARATE).as_operation().format.strip().lower()
    with blame_setting(settings, "separate", "format"):
        if name and name not in (*FORMAT_NAMES, *FORMATS):
            raise UsageError(f"no format is called {name!r}", remedy=f"choose one of {', '.join(FORMAT_NAMES)}")


def check_template(settings: Settings) -> None:
    """Refuse a ``[stems] template`` that names no files."""
    with blame_setting(settings, "stems", "template"):
        parse_template(settings.section("stems", STEMS).template)


def check_provider(session: Session, operation: Operation, said: str | None) -> None:
    """Refuse an operation whose provider nobody offers.

    Args:
        session: settings and plugins.
        operation: what is wanted.
        said: the provider named on the command line.
    """
    settings = session.settings
    if isinstance(operation, Tagging):
        section, default = "tags", TAGS().as_operation().provider
        usual = settings.section("tags", TAGS).as_operation().provider
    else:
        section, default = "separate", SEPARATE().as_operation().provider
        usual = settings.section("separate", SEPARATE).as_operation().provider
    is_usual = said is None and operation.provider == usual != default
    with blame_setting(settings, section, "provider") if is_usual else nullcontext():
        session.registry.provider_of(operation)


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "separate": SEPARATE,
    "tags": TAGS,
    "stems": STEMS,
    "jobs": JobsSettings,
    "purchases": PurchasesSettings,
}


def declared(session: Session) -> dict[str, type[msgspec.Struct]]:
    """Return every section that somebody declares, also for other settings than the session's."""
    found = {**SECTIONS}
    session.plugins.notify("register_sections", register=found.setdefault)
    session.registry.ask_all()
    return {**session.settings.asked, **found} | {f"spend.{name}": Limits for name in session.providers}


def find_mistakes(session: Session, settings: Settings) -> list[StembridgeError]:
    """Return every error in the settings of a session, or in others that shall take their place, each once."""
    try:
        limited = settings.table("spend")
    except SettingsError as error:
        return [error]
    found: dict[str, StembridgeError] = {}
    looks: list[Callable[[], object]] = [partial(settings.section, *each) for each in declared(session).items()]
    looks += [partial(load_presets, settings), partial(usual_preset, settings), partial(read_paths, settings)]
    looks += [partial(settings.section, f"spend.{name}", Limits) for name in limited]
    looks += [partial(check_format, settings), partial(check_template, settings)]
    looks.append(partial(_check_provider, session, settings))
    for look in looks:
        try:
            look()
        except StembridgeError as error:
            found.setdefault(error.message, error)
    return list(found.values())


def find_problems(session: Session) -> list[StembridgeError]:
    """Return every error in the settings, each once, with those that plugins find when they register."""
    found = {error.message: error for error in find_mistakes(session, session.settings)}
    failures = session.plugins.failures.values()
    return [
        *found.values(),
        *(each for each in failures if isinstance(each, SettingsError) and each.message not in found),
    ]


def find_strangers(session: Session) -> list[str]:
    """Return a line for each section or key of the settings file that nobody reads."""
    known = {*declared(session), "paths", "presets", "spend", *_commands_of(session.plugins)}
    # A plugin that could not be loaded would know its section.
    passed = known | {plugin.name for plugin in session.plugins.loaded}
    return [
        f"unknown section [{name}]{suggest_key(name, known)}"
        if isinstance(value, dict)
        else f"key {name!r} stands before any section"
        for name, value in session.settings.document.items()
        if name not in passed
    ] + _limits_of_nobody(session)


def _limits_of_nobody(session: Session) -> list[str]:
    """Return a line for each limit of a service that is none: it would hold nothing back."""
    limited = session.settings.table("spend")
    missing = [name for name in limited if name not in session.providers and name not in session.plugins.failures]
    return [f"[spend.{name}] limits no service{suggest_key(name, session.providers)}" for name in missing]


def _check_provider(session: Session, settings: Settings) -> None:
    name = settings.section("separate", SEPARATE).as_operation().provider
    # A plugin that failed is told of by name.
    if name not in session.registry.separators and name not in session.plugins.failures:
        with blame_setting(settings, "separate", "provider"):
            session.separator(name)


def _commands_of(plugins: Plugins) -> set[str]:
    """Return the commands that plugins add: a host's section is called as its command is."""
    group = click.Group()
    plugins.notify("register_commands", group=group)
    return set(group.commands)


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


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Keep other processes from changing a settings file between its being read and written: both changes count.

    Raises:
        SettingsError: another one does not come to an end, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(LOCK_NAME), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        until = time.monotonic() + _PATIENCE
        while not try_lock(descriptor):
            if time.monotonic() > until:
                raise SettingsError(f"{path} is being changed by another stembridge", remedy="try it again later")
            time.sleep(_BETWEEN)
        yield
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, error: OSError) -> SettingsError:
    remedy = "free the place or mend its rights"
    return SettingsError(f"{path} cannot be written: {error.strerror}", remedy=remedy)


def write_config(path: Path, document: TOMLDocument, *, mode: int | None = 0o600) -> None:
    """Replace a settings file at once, readable by its owner alone from its first byte on unless ``mode`` says else.

    Raises:
        SettingsError: it cannot be written.
    """
    import tomlkit

    try:
        replace_file(path, tomlkit.dumps(document).encode(), mode=mode)
    except OSError as error:
        raise _cannot_write(path, error) from error


def set_key(document: TOMLDocument, way: list[str], value: Any) -> None:
    """Set a key, named by the way to it; tables are made, and the comment behind a value stays.

    Raises:
        SettingsError: what should be a table is none.
    """
    import tomlkit
    from tomlkit.items import Table

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
    # What stands above the next heading stays there: comments behind the last key are put back behind a new one.
    body = table.value.body if isinstance(table, Table) and way[-1] not in table else []
    kept = []
    while body and body[-1][0] is None:
        kept.append(body.pop())
    table[way[-1]] = item
    body.extend(reversed(kept))


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
