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
from plugin_core.errors import PluginError

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
        self.loaded = loaded

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

        Raises:
            PluginError: two plugins register one name, or a plugin raised something unexpected.
        """
        found: dict[str, Any] = {}

        def register(thing: Any) -> None:
            name = key(thing)
            if name in found:
                raise PluginError(f"two plugins register {name!r}", remedy="remove one of them: stembridge plugins")
            found[name] = thing

        getattr(self.hook, hook)(register=register, **arguments)
        return found


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
    try:
        module = point.load()
        _check_hook_names(manager, module)
        manager.register(module, name=point.name)
        hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(module) or ()))
    except Exception as error:  # noqa: BLE001 - importing a stranger's module can raise anything; it must not take the rest along
        if manager.has_plugin(point.name):
            manager.unregister(name=point.name)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        log.warning("plugin %s (%s) is skipped: %s", point.name, point.value, reason)
        return LoadedPlugin(point.name, point.value, version, (), reason)
    return LoadedPlugin(point.name, point.value, version, hooks)


def _check_hook_names(manager: pluggy.PluginManager, module: object) -> None:
    """Refuse a plugin with a misspelt hook before any of its hooks can run."""
    known = {name for name in vars(hookspecs) if hasattr(vars(hookspecs)[name], "stembridge_spec")}
    for name in dir(module):
        if manager.parse_hookimpl_opts(module, name) is not None and name not in known:
            raise PluginError(f"unknown hook {name!r}", remedy=f"hooks are {', '.join(sorted(known))}")


def _version(point: EntryPoint) -> str:
    distribution = getattr(point, "dist", None)
    return distribution.version if distribution is not None else ""
