"""What stands between pluggy and each plugin: one that raises is named, and hinders no other.

pluggy ends a call with the first implementation that raises. So each is registered behind a guard that keeps what it
raises; order, wrappers and names stay pluggy's own.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple

import pluggy

log = logging.getLogger(__name__)

_NOTHING = object()


class HookFailure(NamedTuple):
    """What one plugin raised in one hook."""

    hook: str
    plugin: str
    error: BaseException


_acting: ContextVar[str] = ContextVar("_acting", default="")
_kept: ContextVar[list[HookFailure] | None] = ContextVar("_kept", default=None)


def acting_plugin() -> str:
    """Return the name of the plugin whose hook runs at the moment; "" outside of hooks."""
    return _acting.get()


@contextmanager
def kept_failures() -> Iterator[list[HookFailure]]:
    """Gather what plugins raise meanwhile; otherwise it is logged."""
    failures: list[HookFailure] = []
    token = _kept.set(failures)
    try:
        yield failures
    finally:
        _kept.reset(token)


class GuardedPlugin:
    """What pluggy knows of a plugin: its hooks, each behind a guard.

    Args:
        manager: says which attributes are hooks.
        plugin: the module.
        name: of the plugin.
    """

    def __init__(self, manager: pluggy.PluginManager, plugin: object, name: str) -> None:
        self._plugin = plugin
        for attribute in dir(plugin):
            options = manager.parse_hookimpl_opts(plugin, attribute)
            if options is not None:
                hook = options["specname"] or attribute
                guard = _guard(getattr(plugin, attribute), hook, name, is_wrapper=_is_wrapper(options))
                setattr(guard, f"{manager.project_name}_impl", options)
                setattr(self, attribute, guard)

    def __dir__(self) -> Iterator[str]:
        """Give the hooks alone: pluggy looks at each attribute that there is, which is slow."""
        return (name for name in vars(self) if name != "_plugin")

    def __eq__(self, other: object) -> bool:
        """Two entry points of one module are one plugin."""
        return isinstance(other, GuardedPlugin) and other._plugin is self._plugin

    def __hash__(self) -> int:
        return hash(id(self._plugin))


def _is_wrapper(options: pluggy.HookimplOpts) -> bool:
    return options["wrapper"] or options["hookwrapper"]


def _guard(function: Callable[..., Any], hook: str, plugin: str, *, is_wrapper: bool) -> Callable[..., Any]:
    # pluggy itself refuses a wrapper that is no generator.
    if is_wrapper and inspect.isgeneratorfunction(function):
        return _guard_wrapper(function, hook, plugin)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with _act(hook, plugin):
            return function(*arguments, **named)

    return call


def _guard_wrapper(function: Callable[..., Any], hook: str, plugin: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Generator[None, Any, Any]:
        around: Generator[None, Any, Any] | None = None
        with _act(hook, plugin):
            around = _begin(function(*arguments, **named))
        try:
            outcome = yield
        except BaseException as error:
            # An interrupt: plugins raise nothing else past their guards.
            if around is not None:
                with suppress(StopIteration):
                    around.throw(error)
            raise
        result = outcome
        if around is not None:
            with _act(hook, plugin):
                result = _finish(around, outcome)
        return result

    return call


def _begin(around: Generator[None, Any, Any]) -> Generator[None, Any, Any]:
    if next(around, _NOTHING) is _NOTHING:
        raise RuntimeError("the wrapper did not yield")
    return around


def _finish(around: Generator[None, Any, Any], outcome: Any) -> Any:
    try:
        around.send(outcome)
    except StopIteration as end:
        return end.value
    finally:
        around.close()
        _take_exception(outcome)
    raise RuntimeError("the wrapper yielded twice")


def _take_exception(outcome: Any) -> None:
    """Raise here, with the plugin's name, what an old wrapper would have raised past every other one."""
    if isinstance(outcome, pluggy.Result) and isinstance(outcome.exception, Exception):
        forced = outcome.exception
        outcome.force_result([])
        raise forced


@contextmanager
def _act(hook: str, plugin: str) -> Iterator[None]:
    token = _acting.set(plugin)
    try:
        yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything; the others must go on
        _keep(HookFailure(hook, plugin, error))
    finally:
        _acting.reset(token)


def _keep(failure: HookFailure) -> None:
    kept = _kept.get()
    if kept is None:
        log.error("plugin %s failed in %s", failure.plugin, failure.hook, exc_info=failure.error)
    else:
        kept.append(failure)
