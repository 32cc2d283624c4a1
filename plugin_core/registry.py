"""What plugins offer: separators, taggers, stagers and session formats by name, asked for once; and ``auto``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import msgspec

from plugin_core.abilities import MayBeChosen
from plugin_core.errors import MissingModelError, SourceError, StembridgeError, UsageError, suggest
from plugin_core.model import Model, Operation, Plan, Separation, Source, Tagging
from plugin_core.plugins import Plugins
from plugin_core.protocols import Provider, Separator, Stager, Tagger
from plugin_core.settings import Settings

if TYPE_CHECKING:
    from plugin_core.sessions.arrangement import SessionFormat

T = TypeVar("T")

AUTO: Final = "auto"
ANY_SONG: Final = Source(
    path=Path("song.flac"),
    device=0,
    inode=0,
    size=0,
    mtime_ns=0,
    content="",
    duration=60.0,
    frames=60 * 44_100,
    channels=2,
    sample_rate=44_100,
    encoding="pcm_16",
)
"""What is planned to see which engine is taken."""


class Registry:
    """The providers of one session.

    Args:
        settings: handed to each plugin.
        plugins: who is asked.
    """

    def __init__(self, settings: Settings, plugins: Plugins) -> None:
        self._settings = settings
        self._plugins = plugins
        self._earlier: list[object] = []

    @cached_property
    def separators(self) -> Mapping[str, Separator]:
        return self._collect("register_separators", Separator)

    @cached_property
    def taggers(self) -> Mapping[str, Tagger]:
        return self._collect("register_taggers", Tagger)

    @cached_property
    def stagers(self) -> Mapping[str, Stager]:
        return self._collect("register_stagers", Stager)

    @cached_property
    def session_formats(self) -> Mapping[str, SessionFormat]:
        """Every kind of session file, by name."""
        from plugin_core.sessions.arrangement import SessionFormat

        return self._plugins.collect("register_session_formats", lambda each: str(each.name), kind=SessionFormat)

    def ask_all(self) -> None:
        """Let every plugin register what it has: some read their settings only then, and some fail."""
        _ = self.separators, self.taggers, self.stagers, self.session_formats

    def register_anew(self) -> None:
        """Let settings and secrets that were changed count: each provider is asked for once more when it is needed.

        What is in work goes on with those of before, whose connections end with the event loop.
        """
        self._earlier += [self.__dict__.pop(name, None) for name in ("separators", "taggers", "stagers")]

    @property
    def all(self) -> Mapping[str, Provider]:
        """Every separator and tagger, by name; of two with one name the separator."""
        return {**self.taggers, **self.separators}

    def separator(self, name: str) -> Separator:
        """Return one separator, or ``auto``, which stands for the best engine on this machine.

        Raises:
            UsageError: no plugin registers this name.
            StembridgeError: the plugin of this name failed; its own words.
        """
        if name == AUTO and name not in self.separators:
            return BestSeparator(lambda: self.separators)
        return self._named("separator", name, self.separators)

    def tagger(self, name: str = "") -> Tagger:
        """Return one tagger; without a name that of ``[tags] provider``, or the only one there is.

        Raises:
            UsageError: no plugin registers this name, or none is named and there is not just one.
            StembridgeError: the plugin of this name failed; its own words.
        """
        from plugin_core.wishes import TAGS

        name = name or self._settings.section("tags", TAGS).as_operation().provider
        if name:
            return self._named("tagger", name, self.taggers)
        if len(self.taggers) == 1:
            return next(iter(self.taggers.values()))
        if self.taggers:
            remedy = f"add --provider, one of {', '.join(sorted(self.taggers))}"
            raise UsageError("there are several taggers", remedy=remedy)
        raise UsageError("no tagger is installed", remedy="`stembridge plugins` lists what is")

    def provider(self, name: str) -> Provider:
        """Return one provider of either kind.

        Raises:
            UsageError: no plugin registers this name.
            StembridgeError: the plugin of this name failed; its own words.
        """
        return self._named("provider", name, self.all)

    def of_kind(self, operation: Operation) -> Mapping[str, Provider]:
        """Return every provider of an operation's kind, by name."""
        return self.taggers if isinstance(operation, Tagging) else self.separators

    def provider_of(self, operation: Operation) -> Provider:
        """Return the provider an operation names.

        Raises:
            UsageError: no plugin registers this name.
            StembridgeError: the plugin of this name failed; its own words.
        """
        if isinstance(operation, Tagging):
            return self.tagger(operation.provider)
        return self.separator(operation.provider)

    def _collect(self, hook: str, kind: type) -> dict[str, Any]:
        return self._plugins.collect(hook, lambda each: str(each.name), kind=kind, settings=self._settings)

    def _named(self, what: str, name: str, found: Mapping[str, T]) -> T:
        if name in found:
            return found[name]
        if name in self._plugins.failures:
            raise self._plugins.failures[name]
        if not found:
            raise UsageError(f"no {what} {name!r}, nor any other", remedy="`stembridge plugins` lists what is loaded")
        verb = "is only" if len(found) == 1 else "are"
        hint = suggest(name, found, f"there {verb} {', '.join(sorted(found))}")
        raise UsageError(f"no {what} {name!r}", remedy=hint)


class BestSeparator:
    """Stands for the engines on this machine until a plan says which of them does the work.

    Args:
        separators: returns all there are, by name.
    """

    name = AUTO
    title = "The best engine on this machine that gives the wanted stems"
    remote = False

    def __init__(self, separators: Callable[[], Mapping[str, Separator]]) -> None:
        self._separators = separators

    @property
    def engines(self) -> list[Separator]:
        """The engines that may be chosen, the best first."""
        found = [each for each in self._separators().values() if isinstance(each, MayBeChosen) and not each.remote]
        return sorted(found, key=lambda each: -getattr(each, "preference", 0.0))

    def account(self) -> str:
        """Name no account: plans are of the engine that does the work."""
        return AUTO

    async def slots(self) -> int:
        return 1

    async def models(self) -> Sequence[Model]:
        """Return the one that a wish for no stems in particular would get, and how fast it was on this machine.

        Raises:
            UsageError: no engine is ready.
        """
        wish = (await self.plan(ANY_SONG, Separation(provider=AUTO))).operation
        engine = self._separators()[wish.provider]
        assert isinstance(wish, Separation)
        speed = engine.speed(wish.model) if isinstance(engine, MayBeChosen) else None
        told = f", {speed:.1f} x as fast as songs play on this machine" if speed else ""
        return [
            msgspec.structs.replace(model, summary=f"what auto takes of {engine.name}{told}")
            for model in await engine.models()
            if model.id == wish.model
        ]

    async def plan(self, source: Source, wish: Separation) -> Plan:
        """Return the plan of the best engine that has one; it is of that engine.

        Raises:
            UsageError: none gives what is wanted: what would have to be fetched for it, else the last one's reason.
        """
        refused: StembridgeError = UsageError("no engine on this machine may be chosen", remedy="stembridge plugins")
        for engine in self.engines:
            try:
                return await engine.plan(source, msgspec.structs.replace(wish, provider=engine.name))
            except (UsageError, SourceError) as error:
                refused = refused if isinstance(refused, MissingModelError) else error
        raise refused

    async def _nobody(self, *_: Any, **__: Any) -> NoReturn:
        """Do nothing: jobs are of the engine that the plan names."""
        raise UsageError("'auto' is no separator of its own", remedy="plan first: the plan names the engine")

    submit = find = poll = fetch = cancel = release = _nobody
