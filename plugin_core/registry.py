"""What plugins offer: separators, taggers, stagers and session formats by name, asked for once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from plugin_core.errors import UsageError, suggest
from plugin_core.model import Operation, Tagging
from plugin_core.plugins import Plugins
from plugin_core.settings import Settings

if TYPE_CHECKING:
    from plugin_core.protocols import Provider, Separator, Stager, Tagger
    from plugin_core.sessions.arrangement import SessionFormat

T = TypeVar("T")


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
        from plugin_core.protocols import Separator

        return self._collect("register_separators", Separator)

    @cached_property
    def taggers(self) -> Mapping[str, Tagger]:
        from plugin_core.protocols import Tagger

        return self._collect("register_taggers", Tagger)

    @cached_property
    def stagers(self) -> Mapping[str, Stager]:
        from plugin_core.protocols import Stager

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
        if name == "auto" and name not in self.separators:
            from plugin_core.automatic import BestSeparator

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
