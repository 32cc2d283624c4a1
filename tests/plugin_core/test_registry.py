from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_core.errors import UsageError
from plugin_core.model import Model, Plan, Separation, Source
from plugin_core.plugins import Plugins
from plugin_core.protocols import Separator
from plugin_core.registry import ANY_SONG, BestSeparator, Registry
from plugin_core.session import Session
from plugin_core.settings import Settings
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes


class FakeEngine(FakeSeparator):
    """An engine that gives some stems, and has a preference."""

    def __init__(self, name: str, preference: float, stems: tuple[str, ...]) -> None:
        super().__init__()
        self.name = name
        self.preference = preference
        self.remote = False
        self.stems = stems

    async def models(self) -> list[Model]:
        return [Model(id=f"{self.name}-one", name="One", stems=self.stems)]

    def speed(self, model: str) -> float | None:
        return 12.5 if model == "good-one" else None

    async def plan(self, source: Source, wish: Separation) -> Plan:
        if not {*wish.stems} <= {*self.stems}:
            raise UsageError(f"{self.name} gives none of these")
        assert wish.provider == self.name
        wish = Separation(provider=self.name, model=f"{self.name}-one", stems=wish.stems)
        return Plan(operation=wish, stems=self.stems)


def registry_of(*separators: Separator, home: Path) -> Registry:
    plugins: Plugins = load_fakes(*(FakePoint(one.name, FakePlugin(one)) for one in separators))
    return Registry(Settings(home, environ={}), plugins)


GOOD, PLAIN = FakeEngine("good", 2.0, ("vocals",)), FakeEngine("plain", 1.0, ("vocals", "drums"))


def plan(registry: Registry, *stems: str) -> Separation:
    wish = Separation(provider="auto", stems=stems)
    found = asyncio.run(registry.separator("auto").plan(ANY_SONG, wish)).operation
    assert isinstance(found, Separation)
    return found


def test_the_best_that_can_is_taken(tmp_path: Path) -> None:
    registry = registry_of(PLAIN, GOOD, FakeSeparator(), home=tmp_path)
    assert (plan(registry).provider, plan(registry, "drums").provider) == ("good", "plain")
    assert plan(registry, "vocals").model == "good-one"
    with pytest.raises(UsageError, match="plain gives none of these"):
        plan(registry, "guitar")
    assert isinstance(registry.separator("auto"), Separator)
    (model,) = asyncio.run(registry.separator("auto").models())
    assert model.id == "good-one"
    assert model.summary == "what auto takes of good, 12.5 x as fast as songs play on this machine"


def test_no_service_is_taken_and_none_that_does_not_say_how_good_it_is(tmp_path: Path) -> None:
    service = FakeEngine("service", 9.0, ("vocals",))
    service.remote = True
    assert plan(registry_of(service, PLAIN, FakeSeparator(), home=tmp_path)).provider == "plain"
    with pytest.raises(UsageError, match="no engine on this machine may be chosen"):
        plan(registry_of(service, FakeSeparator(), home=tmp_path))
    with pytest.raises(UsageError, match="plan first"):
        asyncio.run(registry_of(home=tmp_path).separator("auto").find(None))  # type: ignore[arg-type]


def test_a_plugin_of_that_name_is_itself(tmp_path: Path) -> None:
    own = FakeEngine("auto", 1.0, ("vocals",))
    assert registry_of(own, home=tmp_path).separator("auto") is own


def test_the_built_in_engines_are_chosen_by_a_session(tmp_path: Path) -> None:
    with Session(Settings(tmp_path, environ={})) as session:
        names = [engine.name for engine in BestSeparator(lambda: session.registry.separators).engines]
        assert names == ["neural", "local"]
        assert asyncio.run(session.plan(ANY_SONG, Separation(provider="auto"))).operation.provider == "local"
        # What no engine here gives may be had all the same.
        with pytest.raises(UsageError, match="--model htdemucs_6s gives them"):
            asyncio.run(session.plan(ANY_SONG, Separation(provider="auto", stems=("guitar",))))
        with pytest.raises(UsageError, match="did you mean 'drums'"):
            asyncio.run(session.plan(ANY_SONG, Separation(provider="auto", stems=("drumss",))))
