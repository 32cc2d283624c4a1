"""What is wrong with the settings, all of it at once: for ``stembridge doctor``."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import msgspec

from plugin_core.errors import SettingsError, StembridgeError, UsageError
from plugin_core.jobs.settings import JobsSettings
from plugin_core.preferences import SeparateSettings, TagsSettings
from plugin_core.presets import find_preset, load_presets
from plugin_core.providers.local.settings import LocalSettings
from plugin_core.session import Session
from plugin_core.settings import suggest_key
from plugin_core.stems.template import StemsSettings, parse_template

SECTIONS: dict[str, type[msgspec.Struct]] = {
    "separate": SeparateSettings,
    "tags": TagsSettings,
    "stems": StemsSettings,
    "jobs": JobsSettings,
    "local": LocalSettings,
}


def find_problems(session: Session) -> list[StembridgeError]:
    """Return every error in the settings, each once."""
    found: dict[str, StembridgeError] = {}
    looks: list[Callable[[Session], object]] = [_reader(name, kind) for name, kind in SECTIONS.items()]
    for look in (*looks, _check_presets, _check_template, _check_provider):
        try:
            look(session)
        except StembridgeError as error:
            found.setdefault(error.message, error)
    return list(found.values())


def find_strangers(session: Session) -> list[str]:
    """Return a line for each section or key of the settings file that nobody reads."""
    # Providers read their own sections when they register.
    _ = session.separators, session.taggers, session.stagers
    known = {*SECTIONS, "presets", *session.settings.asked, *(plugin.name for plugin in session.plugins.loaded)}
    return [
        f"unknown section [{name}]{suggest_key(name, known)}"
        if isinstance(value, dict)
        else f"key {name!r} stands before any section"
        for name, value in session.settings.document.items()
        if name not in known
    ]


def _reader(name: str, kind: type[msgspec.Struct]) -> Callable[[Session], object]:
    return lambda session: session.settings.section(name, kind)


def _check_template(session: Session) -> None:
    try:
        parse_template(session.settings.section("stems", StemsSettings).template, is_setting=True)
    except SettingsError as error:
        raise _placed(session, "stems", "template", error) from error


def _check_provider(session: Session) -> None:
    name = session.settings.section("separate", SeparateSettings).provider
    # A plugin that failed is told of by name.
    if name in session.separators or name in session.plugins.failures:
        return
    near = difflib.get_close_matches(name, session.separators, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(session.separators)) or 'none'}"
    raise _placed(session, "separate", "provider", SettingsError(f"no separator {name!r}", remedy=hint))


def _check_presets(session: Session) -> None:
    presets = load_presets(session.settings)
    name = session.settings.section("separate", SeparateSettings).preset
    if name and name not in presets:
        try:
            find_preset(session.settings, name)
        except UsageError as error:
            raise _placed(session, "separate", "preset", error) from error


def _placed(session: Session, section: str, key: str, error: StembridgeError) -> SettingsError:
    return SettingsError(f"{session.settings.place_of(section, key)}: {error.message}", remedy=error.remedy)
