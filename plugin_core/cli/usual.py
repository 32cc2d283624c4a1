"""What the settings ask for where the command line does not: a mistake there is told with its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from plugin_core.audio.formats import FORMAT_NAMES, FORMATS
from plugin_core.defaults import SeparateSettings, TagsSettings
from plugin_core.errors import SettingsError, UsageError
from plugin_core.model import Operation, Tagging
from plugin_core.presets import Preset, find_preset
from plugin_core.session import Session
from plugin_core.settings import Settings
from plugin_core.stems.template import StemsSettings, parse_template


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
    name = settings.section("separate", SeparateSettings).preset
    with blame_setting(settings, "separate", "preset"):
        return find_preset(settings, name) if name else None


def check_format(settings: Settings) -> None:
    """Refuse a ``[separate] format`` that is none."""
    name = settings.section("separate", SeparateSettings).format.strip().lower()
    with blame_setting(settings, "separate", "format"):
        if name and name not in (*FORMAT_NAMES, *FORMATS):
            raise UsageError(f"no format is called {name!r}", remedy=f"choose one of {', '.join(FORMAT_NAMES)}")


def check_template(settings: Settings) -> None:
    """Refuse a ``[stems] template`` that names no files."""
    with blame_setting(settings, "stems", "template"):
        parse_template(settings.section("stems", StemsSettings).template)


def check_provider(session: Session, operation: Operation, said: str | None) -> None:
    """Refuse an operation whose provider nobody offers.

    Args:
        session: settings and plugins.
        operation: what is wanted.
        said: the provider named on the command line.
    """
    settings = session.settings
    if isinstance(operation, Tagging):
        section, usual, default = "tags", settings.section("tags", TagsSettings).provider, TagsSettings().provider
    else:
        chosen = settings.section("separate", SeparateSettings)
        section, usual, default = "separate", chosen.provider, SeparateSettings().provider
    is_usual = said is None and operation.provider == usual != default
    with blame_setting(settings, section, "provider") if is_usual else nullcontext():
        session.registry.provider_of(operation)
