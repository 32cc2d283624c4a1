"""Loading plugins: built-ins through entry points, failures named and skipped, misspelt hooks refused."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Generator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest

from plugin_core import hookimpl, hookspecs
from plugin_core.errors import PluginError, SettingsError
from plugin_core.plugins import GROUP, Plugins, load_plugins
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


POINTS = "[stembridges]\nnone = {0}\n\n[stembridge]\nmine = {0}\n\n[other]\nyours = {0}\n"


@pytest.mark.parametrize(
    ("name", "points", "versions"), [("A_Plugin", POINTS, ["2.0"]), ("a-plugin", "", []), ("b-plugin", "", ["1.0"])]
)
def test_of_two_installations_of_one_plugin_the_first_on_the_path_counts(
    name: str, points: str, versions: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, called, version, text in (("behind", "a-plugin", "1.0", POINTS), ("before", name, "2.0", points)):
        installed = tmp_path / place / f"{called.replace('-', '_')}-{version}.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {called}\nVersion: {version}\n")
        (installed / "entry_points.txt").write_text(text.format("a_plugin"))
        (tmp_path / place / "a_plugin.py").write_text("")
        monkeypatch.syspath_prepend(tmp_path / place)
    found = [one for one in load_plugins(environ={}).loaded if one.module == "a_plugin"]
    assert found == [("mine", "a_plugin", version, (), "") for version in versions]


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


def test_tryfirst_and_trylast_mean_what_pluggy_says() -> None:
    called: list[str] = []

    def hearing(name: str, **options: Any) -> object:
        def stems_placed() -> None:
            called.append(name)

        return SimpleNamespace(stems_placed=hookimpl(**options)(stems_placed))

    plugins = load(
        last=hearing("last", trylast=True),
        one=hearing("one"),
        first=hearing("first", tryfirst=True),
        two=hearing("two"),
    )
    plugins.notify("stems_placed", job=1)
    # The plugin that was registered last is called first, as everywhere in pluggy.
    assert called == ["first", "two", "one", "last"]


class Around:
    """A plugin whose wrappers, of the new and of the old kind, say when they run."""

    def __init__(self, called: list[str]) -> None:
        self.called = called

    @hookimpl(wrapper=True)
    def stems_placed(self, job: Any) -> Generator[None, Any, Any]:
        self.called.append(f"before {job}")
        result = yield
        self.called.append(f"after {job}")
        return result

    @hookimpl(hookwrapper=True)
    def tags_written(self, job: Any) -> Generator[None, pluggy.Result[Any], None]:
        self.called.append(f"before {job}")
        outcome = yield
        assert outcome.get_result() == []
        self.called.append(f"after {job}")


@pytest.mark.parametrize("hook", ["stems_placed", "tags_written"], ids=["new", "old"])
def test_wrappers_run_around_the_others(hook: str) -> None:
    called: list[str] = []

    class Hears:
        @hookimpl(specname=hook)
        def hear(self) -> None:
            called.append("heard")

    load(around=Around(called), hears=Hears()).notify(hook, job=7)
    assert called == ["before 7", "heard", "after 7"]


class NoYield:
    @hookimpl(wrapper=True)
    def stems_placed(self) -> Generator[None, Any, Any]:
        if self:
            return None
        yield


class TwoYields:
    @hookimpl(wrapper=True)
    def stems_placed(self) -> Generator[None, Any, Any]:
        yield
        yield


class RaisesBefore:
    @hookimpl(wrapper=True)
    def stems_placed(self) -> Generator[None, Any, Any]:
        raise ValueError("boom")
        yield


class RaisesAfter:
    @hookimpl(wrapper=True)
    def stems_placed(self) -> Generator[None, Any, Any]:
        yield
        raise ValueError("boom")


class OldRaisesAfter:
    @hookimpl(hookwrapper=True)
    def stems_placed(self) -> Generator[None, Any, None]:
        yield
        raise ValueError("boom")


class OldForces:
    @hookimpl(hookwrapper=True)
    def stems_placed(self) -> Generator[None, Any, None]:
        outcome = yield
        outcome.force_exception(ValueError("boom"))


@pytest.mark.parametrize("broken", [NoYield, TwoYields, RaisesBefore, RaisesAfter, OldRaisesAfter, OldForces])
@pytest.mark.parametrize("is_outermost", [True, False], ids=["outer", "inner"])
def test_wrapper_that_raises_is_named_and_hinders_nobody(
    broken: type, is_outermost: bool, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    class Hears:
        @hookimpl
        def stems_placed(self) -> None:
            called.append("heard")

    around = Around(called)
    things: dict[str, object] = {"around": around, "broken": broken()} if is_outermost else {"broken": broken()}
    load(hears=Hears(), **things, **({} if is_outermost else {"around": around})).notify("stems_placed", job=7)
    assert called == ["before 7", "heard", "after 7"]
    assert "plugin broken failed in stems_placed" in caplog.text


def test_interrupt_passes_wrappers_and_lets_them_clean_up() -> None:
    cleaned: list[bool] = []

    class Cleans:
        @hookimpl(wrapper=True)
        def stems_placed(self) -> Generator[None, Any, Any]:
            try:
                return (yield)
            finally:
                cleaned.append(True)

    class Interrupted:
        @hookimpl
        def stems_placed(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(cleans=Cleans(), interrupted=Interrupted()).notify("stems_placed", job=1)
    assert cleaned == [True]


def test_wrapper_that_is_no_generator_is_refused() -> None:
    class Plain:
        @hookimpl(wrapper=True)
        def stems_placed(self) -> None:
            """Do nothing around nothing."""

    assert "stems_placed" in load(plain=Plain()).loaded[0].error


def test_specname_names_the_hook() -> None:
    class Other:
        @hookimpl(specname="register_separators")
        def anything(self, register: Callable[[Any], None]) -> None:
            register(named("good"))

        @hookimpl(specname="no_hook")
        def nothing(self) -> None:
            """Never called."""

    assert list(collect(load(good=Registers(named("good"))))) == ["good"]
    assert load(other=Other()).loaded[0].error.startswith("unknown hook 'no_hook'")
    del Other.nothing
    plugins = load(other=Other())
    assert (plugins.loaded[0].error, plugins.loaded[0].hooks) == ("", ("register_separators",))
    assert list(collect(plugins)) == ["good"]


def test_optionalhook_may_name_a_hook_that_is_none() -> None:
    class Newer:
        @hookimpl(optionalhook=True)
        def hook_of_tomorrow(self, anything: Any) -> None:
            """Wait for a newer stembridge."""

        @hookimpl
        def register_separators(self, register: Callable[[Any], None]) -> None:
            register(named("good"))

    plugins = load(newer=Newer())
    assert (plugins.loaded[0].error, plugins.loaded[0].hooks) == ("", ("register_separators",))
    assert list(collect(plugins)) == ["good"]


def test_module_of_two_entry_points_is_one_plugin() -> None:
    module = Registers(named("good"))
    plugins = load(one=module, two=module)
    assert [bool(plugin.error) for plugin in plugins.loaded] == [False, True]
    assert list(collect(plugins)) == ["good"]


def test_two_plugins_without_hooks_are_two() -> None:
    assert [plugin.error for plugin in load(one=object(), two=object()).loaded] == ["", ""]


@pytest.mark.parametrize("is_first", [True, False], ids=["stranger-first", "stranger-last"])
@pytest.mark.parametrize("options", [{}, {"tryfirst": True}, {"trylast": True}], ids=["plain", "tryfirst", "trylast"])
def test_what_is_built_in_keeps_its_name_whatever_the_order(is_first: bool, options: dict[str, Any]) -> None:
    taken, own = named("local"), named("mine")

    class Stranger:
        def register_separators(self, register: Callable[[Any], None]) -> None:
            register(taken)
            register(own)

    hookimpl(**options)(Stranger.register_separators)
    built_in = [point for point in metadata.entry_points(group=GROUP) if point.name == "local"]
    strangers = [FakeEntryPoint("stranger", Stranger()), FakeEntryPoint("local", Registers(named("thief")))]
    points: list[Any] = [*strangers, *built_in] if is_first else [*built_in, *strangers]
    plugins = load_plugins(points, environ={})
    found = plugins.collect("register_separators", lambda each: str(each.name), settings=Settings())
    assert set(found) == {"local", "mine"}
    assert found["local"] is not taken
    assert plugins.failures["stranger"].message.startswith(
        "plugin stranger: 'local' is registered by plugin local already"
    )
    assert {plugin.error for plugin in plugins.loaded if plugin.name == "local"} == {
        "",
        "another plugin has the name 'local'; uninstall one of them",
    }


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_in_one_sentence_and_typed(hook: str) -> None:
    function = getattr(hookspecs, hook)
    assert function.__doc__ and "\n" not in function.__doc__ and function.__doc__.endswith(".")
    signature = inspect.signature(function)
    assert signature.return_annotation == "None"
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())


def test_hook_specification_fits_one_screen() -> None:
    assert len(inspect.getsource(hookspecs).splitlines()) <= 70
