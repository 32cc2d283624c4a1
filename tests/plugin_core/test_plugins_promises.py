"""What is registered is held against its protocol at once, and the missing method is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_core import hookimpl
from plugin_core.plugins import find_broken
from plugin_core.protocols import Separator, Stager, Tagger
from plugin_core.registry import Registry
from plugin_core.settings import Settings
from tests.plugin_core.cli.fakes import FakePoint, FakeSeparator, load_fakes


class Lacking(FakeSeparator):
    name = "lacking"
    submit = None  # type: ignore[assignment]


class Nameless:
    """A stager that forgot its name and one of its methods."""

    async def stage(self, path: Path, key: str) -> str:
        return ""


def test_a_whole_separator_keeps_every_promise() -> None:
    assert find_broken(FakeSeparator(), Separator) == ""


def test_the_missing_method_is_named() -> None:
    assert find_broken(Lacking(), Separator) == "'lacking' is no Separator: it has no method submit()"
    assert find_broken(Nameless(), Stager) == "'Nameless' is no Stager: it has no attribute name, no method unstage()"
    assert find_broken(object(), Tagger).count("no method") == 8


def test_a_class_is_no_instance() -> None:
    assert find_broken(FakeSeparator, Separator) == (
        "FakeSeparator is a class, and an instance of it must be registered"
    )


class Registers:
    def __init__(self, *things: object) -> None:
        self.things = things

    @hookimpl
    def register_separators(self, register: Callable[[Any], None]) -> None:
        for thing in self.things:
            register(thing)

    @hookimpl
    def register_stagers(self, register: Callable[[Any], None]) -> None:
        register(Nameless())


@pytest.mark.parametrize("broken", [Lacking(), FakeSeparator], ids=["method", "class"])
def test_what_is_registered_is_held_against_its_protocol_at_once(tmp_path: Path, broken: object) -> None:
    plugins = load_fakes(FakePoint("tone", Registers(broken, FakeSeparator())))
    registry = Registry(Settings(tmp_path, environ={}), plugins)
    assert list(registry.separators) == ["fake"]
    assert find_broken(broken, Separator) in str(plugins.failures["tone"])
    assert registry.stagers == {}
