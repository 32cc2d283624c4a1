"""Loading plugins: built-ins through entry points, failures named and skipped, misspelt hooks refused."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from plugin_core import hookimpl, hookspecs
from plugin_core.errors import PluginError
from plugin_core.plugins import Plugins, load_plugins
from plugin_core.settings import Settings

HOOKS = sorted(name for name, thing in vars(hookspecs).items() if hasattr(thing, "stembridge_spec"))


class FakeEntryPoint:
    """An entry point that loads a given object, or raises."""

    def __init__(self, name: str, thing: object) -> None:
        self.name = name
        self.value = f"{name}_module"
        self._thing = thing

    def load(self) -> object:
        if isinstance(self._thing, Exception):
            raise self._thing
        return self._thing


def load(**things: object) -> Plugins:
    return load_plugins([FakeEntryPoint(name, thing) for name, thing in things.items()], environ={})


def test_builtin_separator_comes_through_its_entry_point() -> None:
    plugins = load_plugins(environ={})
    assert {plugin.name: plugin.error for plugin in plugins.loaded}["local"] == ""
    found = plugins.collect("register_separators", lambda each: str(each.name), settings=Settings())
    assert "local" in found


def test_plugins_variable_restricts_what_is_loaded() -> None:
    assert load_plugins(environ={"STEMBRIDGE_PLUGINS": ""}).loaded == ()
    assert [p.name for p in load_plugins(environ={"STEMBRIDGE_PLUGINS": "local, none"}).loaded] == ["local"]


def test_failing_plugin_is_named_and_skipped(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    class Good:
        @hookimpl
        def job_changed(self, job: Any) -> None:
            heard.append(job)

    plugins = load(bad=ImportError("no module named 'nothing'"), good=Good())
    assert {p.name: p.error for p in plugins.loaded} == {"bad": "ImportError: no module named 'nothing'", "good": ""}
    assert "plugin bad (bad_module) is skipped" in caplog.text
    plugins.notify("job_changed", job="job", previous=None)
    assert heard == ["job"]


def test_misspelt_hook_is_refused_by_name() -> None:
    class Misspelt:
        @hookimpl
        def job_chaged(self, job: Any) -> None:
            raise AssertionError("never called")

    (plugin,) = load(misspelt=Misspelt()).loaded
    assert "unknown hook 'job_chaged'" in plugin.error
    assert "job_changed" in plugin.error


def test_wrong_argument_is_refused_and_leaves_nothing_behind() -> None:
    class WrongArgument:
        @hookimpl
        def job_changed(self, jobb: Any) -> None:
            raise AssertionError("never called")

    plugins = load(wrong=WrongArgument())
    assert "jobb" in plugins.loaded[0].error
    assert plugins.manager.get_plugins() == set()


def test_onlooker_that_raises_hinders_nobody(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    class Raises:
        @hookimpl
        def stems_placed(self) -> None:
            raise ValueError("broken onlooker")

    class Hears:
        @hookimpl
        def stems_placed(self, job: Any) -> None:
            heard.append(job)

    with caplog.at_level(logging.ERROR):
        load(hears=Hears(), raises=Raises()).notify("stems_placed", job=1)
    assert heard == [1]
    assert "plugin raises failed in stems_placed" in caplog.text


def test_two_providers_of_one_name_are_refused() -> None:
    class One:
        @hookimpl
        def register_stagers(self, register: Callable[[Any], None]) -> None:
            register(SimpleNamespace(name="same"))

    with pytest.raises(PluginError, match="two plugins register 'same'"):
        load(one=One(), two=One()).collect("register_stagers", lambda each: str(each.name), settings=None)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_in_one_sentence_and_typed(hook: str) -> None:
    function = getattr(hookspecs, hook)
    assert function.__doc__ and "\n" not in function.__doc__ and function.__doc__.endswith(".")
    signature = inspect.signature(function)
    assert signature.return_annotation == "None"
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())


def test_hook_specification_fits_one_screen() -> None:
    assert len(inspect.getsource(hookspecs).splitlines()) <= 60
