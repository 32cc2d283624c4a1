"""Loading plugins: built-ins through entry points, failures named and skipped, misspelt hooks refused."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from plugin_core import hookimpl, hookspecs
from plugin_core.errors import PluginError, SettingsError
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
        if isinstance(self._thing, BaseException):
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


class Registers:
    """A plugin that registers what it is given, and then raises if told to."""

    def __init__(self, *things: object, error: BaseException | None = None) -> None:
        self.things = things
        self.error = error

    @hookimpl
    def register_separators(self, register: Callable[[Any], None]) -> None:
        for thing in self.things:
            register(thing)
        if self.error is not None:
            raise self.error


def named(name: str) -> SimpleNamespace:
    return SimpleNamespace(name=name)


def collect(plugins: Plugins) -> dict[str, Any]:
    return plugins.collect("register_separators", lambda each: str(each.name), settings=None)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (Registers(error=ValueError("boom\nbang")), "ValueError: boom bang"),
        (Registers(error=SystemExit("bye")), "SystemExit: bye"),
        (Registers(object()), "AttributeError: 'object' object has no attribute 'name'"),
        (Registers(error=PluginError("no engine", remedy="install it")), "no engine; install it"),
    ],
    ids=["raises", "exits", "nameless", "own-error"],
)
@pytest.mark.parametrize("broken_first", [True, False], ids=["first", "last"])
def test_plugin_that_cannot_register_is_named_and_hinders_nobody(
    broken: object, reason: str, broken_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    good = named("good")
    things = {"tone": broken, "well": Registers(good)} if broken_first else {"well": Registers(good), "tone": broken}
    plugins = load(**things)
    assert collect(plugins) == {"good": good}
    assert {name: str(error) for name, error in plugins.failures.items()} == {"tone": f"plugin tone: {reason}"}
    assert isinstance(plugins.failures["tone"], PluginError)
    assert {plugin.name: plugin.error for plugin in plugins.loaded} == {"tone": reason, "well": ""}
    assert f"plugin tone: {reason}" in caplog.text


def test_what_a_plugin_registered_before_it_failed_stays() -> None:
    early = named("early")
    assert collect(load(tone=Registers(early, error=ValueError("boom")))) == {"early": early}


def test_wrong_section_of_one_plugin_is_kept_as_it_stands() -> None:
    wrong = SettingsError("config.toml, line 2: [tone] gain: expected `float`", remedy="correct the settings file")
    plugins = load(tone=Registers(error=wrong), well=Registers(named("good")))
    assert list(collect(plugins)) == ["good"]
    assert plugins.failures == {"tone": wrong}


def test_a_mended_plugin_is_forgotten() -> None:
    tone = Registers(error=ValueError("boom"))
    plugins = load(tone=tone)
    assert collect(plugins) == {}
    tone.error = None
    assert collect(plugins) == {}
    assert plugins.failures == {}
    assert plugins.loaded[0].error == ""


def test_interrupt_while_registering_is_no_failure_of_the_plugin() -> None:
    with pytest.raises(KeyboardInterrupt):
        collect(load(tone=Registers(error=KeyboardInterrupt())))


def test_of_two_providers_of_one_name_the_first_stays() -> None:
    first, other = named("same"), named("other")
    plugins = load(one=Registers(first), two=Registers(named("same"), other))
    assert collect(plugins) == {"same": first, "other": other}
    assert [str(error) for error in plugins.failures.values()] == [
        "plugin two: 'same' is registered by plugin one already; uninstall one of them"
    ]


def test_plugin_of_a_taken_name_leaves_the_first_one_alone() -> None:
    first = named("first")
    points = [FakeEntryPoint("tone", Registers(first)), FakeEntryPoint("tone", Registers(named("second")))]
    plugins = load_plugins(points, environ={})
    assert collect(plugins) == {"first": first}
    assert sorted(plugin.error for plugin in plugins.loaded) == [
        "",
        "another plugin has the name 'tone'; uninstall one of them",
    ]


def test_module_that_exits_when_imported_is_named_and_skipped() -> None:
    plugins = load(bad=SystemExit(3), good=Registers(named("good")))
    assert {plugin.name: plugin.error for plugin in plugins.loaded} == {"bad": "SystemExit: 3", "good": ""}
    assert str(plugins.failures["bad"]) == "plugin bad: SystemExit: 3"
    assert list(collect(plugins)) == ["good"]


def test_interrupt_while_importing_is_no_failure_of_the_plugin() -> None:
    with pytest.raises(KeyboardInterrupt):
        load(bad=KeyboardInterrupt())


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_in_one_sentence_and_typed(hook: str) -> None:
    function = getattr(hookspecs, hook)
    assert function.__doc__ and "\n" not in function.__doc__ and function.__doc__.endswith(".")
    signature = inspect.signature(function)
    assert signature.return_annotation == "None"
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())


def test_hook_specification_fits_one_screen() -> None:
    assert len(inspect.getsource(hookspecs).splitlines()) <= 60
