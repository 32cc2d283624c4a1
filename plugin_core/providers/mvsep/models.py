"""Models by id or name, as ``stembridge models`` lists them, and the names of the stems they give."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Final

from plugin_core.errors import UsageError, find_near
from plugin_core.manifests import manifest
from plugin_core.model import Model
from plugin_core.providers.mvsep.catalogue import Algorithm
from plugin_core.providers.mvsep.options import describe_options
from plugin_core.stem_names import canonical, distinct

MEANS: Final = {
    "Other (no drums)": "no-drums",
    "Other (no vocals/bass/drums)": "other",
    "Instrumental (no dialog)": "no-speech",
    "Back vocals + instrumental": "back-instrumental",
    "Instrumental + back vocals": "back-instrumental",
    "Inverted residue": "residual",
    "Sum (all stems)": "sum",
    "Wide (sides)": "sides",
    "Clean (dry)": "dry",
    "Drums (full)": "drums",
    "Drums: kick": "kick",
    "Drums: snare": "snare",
    "Drums: cymbals": "cymbals",
    "Drums: toms": "toms",
    "Drums: hi-hat": "hi-hat",
    "Drums: ride": "ride",
    "Drums: crash": "crash",
    "Lead vocals (v1)": "lead-vocals",
    "Lead vocals (v2)": "lead-vocals-v2",
    "Noreverb": "no-reverb",
}
"""Canonical names of titles that the general table of stem names does not get right."""

_ALL_OF_A_SONG: Final = "vocals"
_REST: Final = "other"


def stems_of(algorithm: Algorithm) -> tuple[str, ...]:
    """Return the canonical names a model can give, as far as its description tells."""
    if algorithm.outputs:
        return tuple(dict.fromkeys(_mean(algorithm, title) for title in algorithm.outputs.values()))
    # ``output_stems`` is read off the name by the service and is sometimes no list of stems ("mdx23c").
    if len(algorithm.output_stems) > 1:
        return tuple(dict.fromkeys(canonical(stem) for stem in algorithm.output_stems))
    return ()


def stem_of(algorithm: Algorithm | None, label: str, file_name: str = "") -> str:
    """Return the canonical name of one result.

    A label (``Vocals_Lead``, else the end of the file's name) is looked up among the model's outputs, by key or title,
    and its title in ``MEANS``, else by ``canonical``; what no table knows becomes a slug of itself. Where vocals and
    one other part are all that a model gives, "Other" is the instrumental.

    Args:
        algorithm: the model, where it is known.
        label: ``type`` of the result; may be empty.
        file_name: suggested name of the result, looked at when there is no label.
    """
    outputs = algorithm.outputs if algorithm is not None else {}
    titles = {_key(title): title for title in outputs.values()} | {_key(key): title for key, title in outputs.items()}
    text = label.strip() or _suffix(file_name, titles)
    title = titles.get(_key(text), text)
    return _mean(algorithm, title) if algorithm is not None else canonical(title)


def stems_of_files(algorithm: Algorithm | None, files: Sequence[tuple[str, str]]) -> list[str]:
    """Return one distinct name for each (label, file name), in their order."""
    return distinct([stem_of(algorithm, label, name) for label, name in files])


def _mean(algorithm: Algorithm, title: str) -> str:
    stem = MEANS.get(title) or canonical(title)
    return "instrumental" if stem == _REST and _is_vocal_model(algorithm) else stem


def _is_vocal_model(algorithm: Algorithm) -> bool:
    outputs = {canonical(title) for title in algorithm.outputs.values()} or {*map(canonical, algorithm.output_stems)}
    return _ALL_OF_A_SONG in outputs and outputs <= {_ALL_OF_A_SONG, _REST, "instrumental"}


def _suffix(file_name: str, titles: dict[str, str]) -> str:
    """Return the end of a file name that names an output: the longest known one, else what follows the last ``_``."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", file_name)
    words = re.split(r"[_\-\s]+", stem)
    for count in range(min(4, len(words)), 0, -1):
        end = "-".join(words[-count:])
        if _key(end) in titles:
            return end
    return stem.rpartition("_")[2]


@lru_cache(maxsize=1 << 10)
def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.casefold())


def results_of(algorithm: Algorithm) -> str:
    """Return what a model gives that is no stems of a song (``speech``, ``midi``, ...); "" for one that separates."""
    kinds, groups = _results()
    return kinds.get(algorithm.id) or groups.get(algorithm.group, "")


@cache
def _results() -> tuple[dict[str, str], dict[str, str]]:
    """Return kinds of results by model and by group."""
    document = tomllib.loads(manifest("providers/mvsep_results.toml").read_text("utf-8"))
    groups = document.pop("groups")
    return {str(number): kind for kind, numbers in document.items() for number in numbers}, groups


ACCESS: Final = {0: "everyone", 1: "registered", 2: "premium"}
TAKES: Final = {"no_upload": "no song", "matchering_upload": "two songs"}
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
        results=results_of(algorithm),
        takes=TAKES.get(algorithm.upload, "song"),
        options=describe_options(algorithm),
    )


def list_models(algorithms: Iterable[Algorithm]) -> list[Model]:
    """Return the models a song can be given to, those in use only."""
    return [describe_model(one) for one in algorithms if one.is_active and one.takes_song]


def require_input(algorithm: Algorithm, *, has_song: bool, has_reference: bool) -> None:
    """Make sure that a model is given what it takes.

    Raises:
        UsageError: it takes something else; the remedy says which command gives it that.
    """
    if (algorithm.takes_song or algorithm.takes_two, algorithm.takes_two) == (has_song, has_reference):
        return
    way = "separate SONG" if algorithm.takes_song else f"mvsep create {algorithm.id}"
    raise UsageError(
        f"model {algorithm.id}, {algorithm.name}, takes {TAKES.get(algorithm.upload, 'one song')}",
        remedy=f"`stembridge {way}` runs it",
    )


def find_algorithm(algorithms: Sequence[Algorithm], word: str) -> Algorithm:
    """Return the algorithm of an id, a full name, or a name without its list of stems.

    Raises:
        UsageError: none or several are meant, or it is switched off.
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
