"""What is wrong with the settings, all of it at once: for ``stembridge doctor``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click
import msgspec

from plugin_core.cli.usual import blame_setting, check_format, check_template, usual_preset
from plugin_core.defaults import SeparateSettings, TagsSettings
from plugin_core.errors import SettingsError, StembridgeError
from plugin_core.jobs.settings import JobsSettings
from plugin_core.plugins import Plugins
from plugin_core.presets import load_presets
from plugin_core.purchases.shelf import PurchasesSettings
from plugin_core.purchases.spending import Limits
from plugin_core.session import Session
from plugin_core.settings import suggest_key
from plugin_core.stems.template import StemsSettings

SECTIONS: dict[str, type[msgspec.Struct]] = {
    "separate": SeparateSettings,
    "tags": TagsSettings,
    "stems": StemsSettings,
    "jobs": JobsSettings,
    "purchases": PurchasesSettings,
}


def find_problems(session: Session) -> list[StembridgeError]:
    """Return every error in the settings, each once."""
    found: dict[str, StembridgeError] = {}
    settings = session.settings
    looks: list[Callable[[], object]] = [partial(settings.section, name, kind) for name, kind in SECTIONS.items()]
    looks += [partial(load_presets, settings), partial(usual_preset, settings)]
    looks += [partial(settings.section, f"spend.{name}", Limits) for name in settings.table("spend")]
    looks += [partial(check_format, settings), partial(check_template, settings), partial(_check_provider, session)]
    for look in looks:
        try:
            look()
        except StembridgeError as error:
            found.setdefault(error.message, error)
    _register_providers(session)
    failures = session.plugins.failures.values()
    return [
        *found.values(),
        *(each for each in failures if isinstance(each, SettingsError) and each.message not in found),
    ]


def find_strangers(session: Session) -> list[str]:
    """Return a line for each section or key of the settings file that nobody reads."""
    _register_providers(session)
    known = {*SECTIONS, "presets", "spend", *session.settings.asked, *_commands_of(session.plugins)}
    # A plugin that could not be loaded would know its section.
    passed = known | {plugin.name for plugin in session.plugins.loaded}
    return [
        f"unknown section [{name}]{suggest_key(name, known)}"
        if isinstance(value, dict)
        else f"key {name!r} stands before any section"
        for name, value in session.settings.document.items()
        if name not in passed
    ] + _limits_of_nobody(session)


def _register_providers(session: Session) -> None:
    """Let all providers register: they read their own sections then."""
    _ = session.separators, session.taggers, session.stagers


def _limits_of_nobody(session: Session) -> list[str]:
    """Return a line for each limit of a service that is none: it would hold nothing back."""
    limited = session.settings.table("spend")
    missing = [name for name in limited if name not in session.providers and name not in session.plugins.failures]
    return [f"[spend.{name}] limits no service{suggest_key(name, session.providers)}" for name in missing]


def _check_provider(session: Session) -> None:
    name = session.settings.section("separate", SeparateSettings).provider
    # A plugin that failed is told of by name.
    if name not in session.separators and name not in session.plugins.failures:
        with blame_setting(session.settings, "separate", "provider"):
            session.separator(name)


def _commands_of(plugins: Plugins) -> set[str]:
    """Return the commands that plugins add: a host's section is called as its command is."""
    group = click.Group()
    plugins.notify("register_commands", group=group)
    return set(group.commands)
