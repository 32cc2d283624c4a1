"""The plugin manager: built-in providers and hosts come in through the same entry points as anybody's plugin.

``STEMBRIDGE_PLUGINS`` set to a comma-separated list loads only those entry points (empty: none).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Any, NamedTuple, Protocol

import pluggy

from plugin_core import hookspecs
from plugin_core.errors import PluginError, SettingsError, StembridgeError

GROUP = "stembridge"

log = logging.getLogger(__name__)


class EntryPoint(Protocol):
    """The part of an installed entry point that loading needs."""

    @property
    def name(self) -> str:
        """Name of the plugin."""
        ...

    @property
    def value(self) -> str:
        """Module that implements the hooks."""
        ...

    def load(self) -> object:
        """Import the module."""
        ...


class LoadedPlugin(NamedTuple):
    """One plugin as ``stembridge plugins`` shows it."""

    name: str
    module: str
    version: str
    hooks: tuple[str, ...]
    error: str = ""


class Plugins:
    """All plugins of this process, and the hooks they implement."""

    def __init__(self, manager: pluggy.PluginManager, loaded: tuple[LoadedPlugin, ...]) -> None:
        self.manager = manager
        self._loaded = loaded
        self._failed: dict[tuple[str, str], BaseException] = {}
        """By hook and plugin, so that collecting anew forgets what is mended."""

    @property
    def loaded(self) -> tuple[LoadedPlugin, ...]:
        """Every plugin, with why it was skipped or what it did wrong when it registered something."""
        wrong = {name: _reason(error) for (_, name), error in reversed(self._failed.items())}
        return tuple(one if one.error else one._replace(error=wrong.get(one.name, "")) for one in self._loaded)

    @property
    def failures(self) -> dict[str, StembridgeError]:
        """What went wrong by plugin, when it was loaded or when it registered something.

        A PluginError names the plugin; a SettingsError names the file and line, or the variable, as it stands.
        """
        skipped = {one.name: _describe(one.name, PluginError(one.error)) for one in self._loaded if one.error}
        return skipped | {name: _describe(name, error) for (_, name), error in reversed(self._failed.items())}

    @property
    def hook(self) -> pluggy.HookRelay:
        """Call a hook on every plugin that implements it."""
        return self.manager.hook

    def notify(self, hook: str, **arguments: object) -> None:
        """Tell every plugin of an event; what one raises is logged with its name and hinders nobody."""
        for implementation in getattr(self.hook, hook).get_hookimpls():
            wanted = {name: arguments[name] for name in implementation.argnames}
            try:
                implementation.function(**wanted)
            except Exception:  # a plugin may raise anything, and a job must not fail for an onlooker
                log.exception("plugin %s failed in %s", implementation.plugin_name, hook)

    def collect(self, hook: str, key: Callable[[Any], str], **arguments: object) -> dict[str, Any]:
        """Gather what plugins register through one hook, by name.

        What a plugin does wrong stands in ``failures`` and takes nothing from the others. Of two things of one name
        the first stays.
        """
        registry = _Registry(key)
        for place in [place for place in self._failed if place[0] == hook]:
            del self._failed[place]
        for implementation in getattr(self.hook, hook).get_hookimpls():
            name = implementation.plugin_name
            known = arguments | {"register": registry.register_for(name)}
            try:
                implementation.function(**{argument: known[argument] for argument in implementation.argnames})
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything; the others must go on
                registry.refused.setdefault(name, error)
        for name, failure in registry.refused.items():
            log.warning("%s", _describe(name, failure), exc_info=failure)
            self._failed[hook, name] = failure
        return registry.found


class _Registry:
    """What one hook gathers."""

    def __init__(self, key: Callable[[Any], str]) -> None:
        self.found: dict[str, Any] = {}
        self.refused: dict[str, BaseException] = {}
        self._key = key
        self._owners: dict[str, str] = {}

    def register_for(self, plugin: str) -> Callable[[Any], None]:
        """Return the function one plugin registers with."""

        def register(thing: Any) -> None:
            name = self._key(thing)
            if name in self.found:
                what = f"{name!r} is registered by plugin {self._owners[name]} already"
                self.refused.setdefault(plugin, PluginError(what, remedy="uninstall one of them"))
            else:
                self.found[name], self._owners[name] = thing, plugin

        return register


def load_plugins(entry_points: Iterable[EntryPoint] | None = None, environ: Mapping[str, str] = os.environ) -> Plugins:
    """Load every plugin; one that fails is named and skipped.

    Args:
        entry_points: default, the installed ones of group ``stembridge``.
        environ: where ``STEMBRIDGE_PLUGINS`` is read.
    """
    manager = pluggy.PluginManager("stembridge")
    manager.add_hookspecs(hookspecs)
    found = metadata.entry_points(group=GROUP) if entry_points is None else entry_points
    only = environ.get("STEMBRIDGE_PLUGINS")
    wanted = None if only is None else {name.strip() for name in only.split(",")}
    loaded = [_load(manager, point) for point in found if wanted is None or point.name in wanted]
    return Plugins(manager, tuple(sorted(loaded)))


def _load(manager: pluggy.PluginManager, point: EntryPoint) -> LoadedPlugin:
    version = _version(point)
    module: object = None
    try:
        if manager.has_plugin(point.name):
            raise PluginError(f"another plugin has the name {point.name!r}", remedy="uninstall one of them")
        module = point.load()
        _check_hook_names(manager, module)
        manager.register(module, name=point.name)
        hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(module) or ()))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing a stranger's module can raise anything; it must not take the rest along
        # Only what this call registered: the name may belong to a good plugin that was there first.
        if module is not None and manager.get_plugin(point.name) is module:
            manager.unregister(name=point.name)
        reason = _reason(error)
        log.warning("plugin %s (%s) is skipped: %s", point.name, point.value, reason)
        return LoadedPlugin(point.name, point.value, version, (), reason)
    return LoadedPlugin(point.name, point.value, version, hooks)


def _describe(plugin: str, error: BaseException) -> StembridgeError:
    if isinstance(error, SettingsError):
        return error
    described = PluginError(f"plugin {plugin}: {_reason(error)}")
    described.__cause__ = error
    return described


def _reason(error: BaseException) -> str:
    text = str(error) if isinstance(error, StembridgeError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _check_hook_names(manager: pluggy.PluginManager, module: object) -> None:
    """Refuse a plugin with a misspelt hook before any of its hooks can run."""
    known = {name for name in vars(hookspecs) if hasattr(vars(hookspecs)[name], "stembridge_spec")}
    for name in dir(module):
        if manager.parse_hookimpl_opts(module, name) is not None and name not in known:
            raise PluginError(f"unknown hook {name!r}", remedy=f"hooks are {', '.join(sorted(known))}")


def _version(point: EntryPoint) -> str:
    distribution = getattr(point, "dist", None)
    return distribution.version if distribution is not None else ""
