"""Models by id or name, and as ``stembridge models`` lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from plugin_core.errors import UsageError
from plugin_core.model import Model
from plugin_core.providers.mvsep.algorithms import Algorithm
from plugin_core.providers.mvsep.labels import stems_of
from plugin_core.suggest import find_near

ACCESS: Final = {0: "everyone", 1: "registered", 2: "premium"}

_LIST: Final = "stembridge models --provider mvsep"


def describe_model(algorithm: Algorithm) -> Model:
    """Return an algorithm as the core lists it."""
    return Model(
        id=algorithm.id,
        name=algorithm.name,
        stems=stems_of(algorithm),
        credits_per_minute=float(algorithm.coefficient),
        access=ACCESS.get(algorithm.orientation, "premium"),
        rating=algorithm.rating,
        summary=": ".join(text for text in (algorithm.group, algorithm.summary) if text),
    )


def list_models(algorithms: Iterable[Algorithm]) -> list[Model]:
    """Return the models a song can be given to, those in use only."""
    return [describe_model(one) for one in algorithms if one.is_active and one.takes_song]


def find_algorithm(algorithms: Sequence[Algorithm], word: str) -> Algorithm:
    """Return the algorithm of an id, a full name, or a name without its list of stems.

    Raises:
        UsageError: none or several are meant, it is switched off, or it takes no song.
    """
    wanted = _plain(word)
    for spell in _SPELLINGS:
        found = [one for one in algorithms if spell(one) == wanted]
        if len(found) > 1:
            found = [one for one in found if one.is_active] or found
        if len(found) > 1:
            raise UsageError(f"several models of MVSEP are called {word!r}", remedy=f"choose by id: {_name_all(found)}")
        if found:
            return _usable(found[0])
    raise UsageError(f"MVSEP has no model {word!r}{_suggest(algorithms, wanted)}", remedy=f"see `{_LIST}`")


def _usable(found: Algorithm) -> Algorithm:
    if not found.is_active:
        raise UsageError(f"MVSEP has switched off model {found.id}, {found.name}", remedy=f"see `{_LIST}`")
    if not found.takes_song:
        takes = "two songs" if found.upload.startswith("matchering") else "no song"
        raise UsageError(f"model {found.id}, {found.name}, takes {takes} and separates none", remedy=f"see `{_LIST}`")
    return found


def _suggest(algorithms: Sequence[Algorithm], wanted: str) -> str:
    usable = [one for one in algorithms if one.is_active and one.takes_song]
    words = wanted.split()
    near = [one for one in usable if words and all(word in _plain(one.name) for word in words)]
    if not near:
        by_name = {_plain(one.short_name): one for one in usable} | {_plain(one.name): one for one in usable}
        names = find_near(wanted, by_name, many=3)
        near = list({by_name[name].id: by_name[name] for name in names}.values())
    return f", did you mean {_name_all(near[:3])}?" if near else ""


def _name_all(found: Sequence[Algorithm]) -> str:
    return ", ".join(f"{one.id} ({one.name})" for one in found)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


_SPELLINGS: Final[tuple[Callable[[Algorithm], str], ...]] = (
    lambda one: one.id,
    lambda one: _plain(one.name),
    lambda one: _plain(one.short_name),
)
