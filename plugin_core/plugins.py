"""The plugin manager: built-in providers and hosts come in through the same entry points as anybody's plugin.

``STEMBRIDGE_PLUGINS`` set to a comma-separated list loads only those entry points (empty: none).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from typing import Any, NamedTuple, Protocol

import pluggy

from plugin_core import hookspecs
from plugin_core.errors import PluginError, SettingsError, StembridgeError
from plugin_core.hook_guard import GuardedPlugin, HookFailure, acting_plugin, kept_failures

GROUP = "stembridge"
DISTRIBUTION = "stembridge"

log = logging.getLogger(__name__)


class EntryPoint(Protocol):
    """The part of an installed entry point that loading needs."""

    @property
    def name(self) -> str:
        """Name of the plugin."""

    @property
    def value(self) -> str:
        """Module that implements the hooks."""

    def load(self) -> object:
        """Import the module."""


class LoadedPlugin(NamedTuple):
    """One plugin as ``stembridge plugins`` shows it."""

    name: str
    module: str
    version: str
    hooks: tuple[str, ...]
    error: str = ""


class Plugins:
    """All plugins of this process, and the hooks they implement.

    Args:
        manager: calls them.
        loaded: every plugin, in the order in which one goes before another of the same name: the built-in ones first.
    """

    def __init__(self, manager: pluggy.PluginManager, loaded: tuple[LoadedPlugin, ...]) -> None:
        self.manager = manager
        self._ranks = {one.name: rank for rank, one in reversed([*enumerate(loaded)])}
        self._loaded = tuple(sorted(loaded))
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
        """Call a hook on every plugin that implements it; what one raises is logged with its name."""
        return self.manager.hook

    def rank(self, plugin: str) -> int:
        """Return where a plugin stands: of two things of one name that of the lower rank stays."""
        return self._ranks.get(plugin, len(self._ranks))

    def notify(self, hook: str, **arguments: object) -> None:
        """Tell every plugin of an event; what one raises is logged with its name and hinders nobody."""
        getattr(self.hook, hook)(**arguments)

    def collect(
        self, hook: str, key: Callable[[Any], str], *, kind: type | None = None, **arguments: object
    ) -> dict[str, Any]:
        """Gather what plugins register through one hook, by name.

        What a plugin does wrong stands in ``failures`` and takes nothing from the others. Of two things of one name
        that of the plugin loaded first stays, and a built-in one goes before all.

        Args:
            hook: the hook that is called.
            key: gives the name of what is registered.
            kind: the protocol that is promised.
            arguments: of the hook, without ``register``.
        """
        offers = _Offers(key, kind)
        for place in [place for place in self._failed if place[0] == hook]:
            del self._failed[place]
        with kept_failures() as raised:
            getattr(self.hook, hook)(register=offers.register, **arguments)
        found = offers.choose(self.rank)
        refused = [HookFailure(hook, plugin, error) for plugin, error in offers.refused]
        for failure in (*raised, *refused):
            if self._failed.setdefault((failure.hook, failure.plugin), failure.error) is failure.error:
                log.warning("%s", _describe(failure.plugin, failure.error), exc_info=failure.error)
        return found


class _Offers:
    """What one hook gathers.

    Args:
        key: gives the name of what is registered.
        kind: the protocol that is promised.
    """

    def __init__(self, key: Callable[[Any], str], kind: type | None) -> None:
        self.refused: list[tuple[str, PluginError]] = []
        self._key = key
        self._kind = kind
        self._offered: list[tuple[str, str, Any]] = []

    def register(self, thing: Any) -> None:
        """Take what a plugin offers."""
        broken = "" if self._kind is None else find_broken(thing, self._kind)
        if broken:
            self.refused.append((acting_plugin(), PluginError(broken, remedy="see plugin_core/protocols.py")))
        else:
            self._offered.append((self._key(thing), acting_plugin(), thing))

    def choose(self, rank: Callable[[str], int]) -> dict[str, Any]:
        """Return what was offered by name, in the order of the offers; of one name the lowest rank, then the first."""
        owners: dict[str, str] = {}
        found: dict[str, Any] = {}
        for name, plugin, thing in sorted(self._offered, key=lambda offer: rank(offer[1])):
            if name in owners:
                what = f"{name!r} is registered by plugin {owners[name]} already"
                self.refused.append((plugin, PluginError(what, remedy="uninstall one of them")))
            else:
                owners[name], found[name] = plugin, thing
        return {name: found[name] for name, _, _ in self._offered}


def load_plugins(entry_points: Iterable[EntryPoint] | None = None, environ: Mapping[str, str] = os.environ) -> Plugins:
    """Load every plugin; one that fails is named and skipped.

    Args:
        entry_points: default, the installed ones of group ``stembridge``.
        environ: where ``STEMBRIDGE_PLUGINS`` is read.
    """
    manager = pluggy.PluginManager("stembridge")
    manager.add_hookspecs(hookspecs)
    found = _find_installed() if entry_points is None else entry_points
    only = environ.get("STEMBRIDGE_PLUGINS")
    wanted = None if only is None else {name.strip() for name in only.split(",")}
    points = [point for point in found if wanted is None or point.name in wanted]
    return Plugins(manager, tuple(_load(manager, point) for point in sorted(points, key=_is_foreign)))


def _find_installed() -> list[metadata.EntryPoint]:
    """Return the installed ones: of some hundred distributions only what names the group is parsed."""
    found: dict[str, metadata.Distribution] = {}
    for one in metadata.distributions():
        if f"[{GROUP}]" in (one.read_text("entry_points.txt") or ""):
            name = re.sub("[-_.]+", "-", _read_distribution(one)[0] or f"unnamed {len(found)}").lower()
            found.setdefault(name, one)
    installed = [one for name, one in found.items() if not _is_behind(name, one)]
    return [point for one in installed for point in one.entry_points if point.group == GROUP]


def _is_behind(name: str, distribution: metadata.Distribution) -> bool:
    """Tell whether another installation stands before this one on the path, and is what is imported."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.distribution(name).locate_file("") != distribution.locate_file("")
    return False


def _load(manager: pluggy.PluginManager, point: EntryPoint) -> LoadedPlugin:
    version = _read_distribution(getattr(point, "dist", None))[1]
    plugin: GuardedPlugin | None = None
    try:
        if manager.has_plugin(point.name):
            raise PluginError(f"another plugin has the name {point.name!r}", remedy="uninstall one of them")
        plugin = GuardedPlugin(manager, point.load(), point.name)
        _check_hook_names(manager, plugin)
        manager.register(plugin, name=point.name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing a stranger's module can raise anything; it must not take the rest along
        # Only what this call registered: the name may belong to a good plugin that was there first.
        if plugin is not None and manager.get_plugin(point.name) is plugin:
            manager.unregister(name=point.name)
        reason = _reason(error)
        log.warning("plugin %s (%s) is skipped: %s", point.name, point.value, reason)
        return LoadedPlugin(point.name, point.value, version, (), reason)
    hooks = {caller.name for caller in manager.get_hookcallers(plugin) or ()}
    return LoadedPlugin(point.name, point.value, version, tuple(sorted(hooks & _known_hooks())))


def _describe(plugin: str, error: BaseException) -> StembridgeError:
    if isinstance(error, SettingsError):
        return error
    described = PluginError(f"plugin {plugin}: {_reason(error)}")
    described.__cause__ = error
    return described


def _reason(error: BaseException) -> str:
    text = str(error) if isinstance(error, StembridgeError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _check_hook_names(manager: pluggy.PluginManager, plugin: GuardedPlugin) -> None:
    """Refuse a plugin with a misspelt hook before any of its hooks can run."""
    known = _known_hooks()
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        name = attribute if options is None else options["specname"] or attribute
        if options is not None and name not in known and not options["optionalhook"]:
            raise PluginError(f"unknown hook {name!r}", remedy=f"hooks are {', '.join(sorted(known))}")


def _known_hooks() -> set[str]:
    return {name for name, thing in vars(hookspecs).items() if hasattr(thing, "stembridge_spec")}


def _is_foreign(point: EntryPoint) -> bool:
    """Tell whether a plugin comes from another distribution than this one."""
    return _read_distribution(getattr(point, "dist", None))[0] != DISTRIBUTION


@lru_cache(maxsize=32)
def _read_distribution(distribution: metadata.Distribution | None) -> tuple[str, str]:
    """Return name and version: asked for each by itself, all that it says of itself is parsed every time."""
    if distribution is None:
        return "", ""
    about = distribution.metadata
    return about["Name"], about["Version"]


def find_broken(thing: object, protocol: type) -> str:
    """Say which promise of a protocol is not kept, by what is missing; "" when all are."""
    if isinstance(thing, type):
        return f"{thing.__name__} is a class, and an instance of it must be registered"
    missing = [
        _describe_promise(name, promised)
        for name, promised in _list_promises(protocol)
        if _lacks(thing, name, promised)
    ]
    name = getattr(thing, "name", type(thing).__name__)
    return f"{name!r} is no {protocol.__name__}: it has no {', no '.join(missing)}" if missing else ""


def _list_promises(protocol: type) -> Iterator[tuple[str, object]]:
    """Return every member by name, those of the widest protocol first."""
    for base in reversed(protocol.__mro__):
        if getattr(base, "_is_protocol", False):
            yield from ((name, member) for name, member in vars(base).items() if not name.startswith("_"))


def _lacks(thing: object, name: str, promised: object) -> bool:
    return not hasattr(thing, name) or (callable(promised) and not callable(getattr(thing, name)))


def _describe_promise(name: str, promised: object) -> str:
    return f"method {name}()" if callable(promised) else f"attribute {name}"
