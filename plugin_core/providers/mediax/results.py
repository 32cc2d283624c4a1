"""The labels in a finished job, in every spelling that the service has been seen to use."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from plugin_core.manifests import manifest
from plugin_core.model import Label
from plugin_core.providers.mediax.answers import list_contents

DIMENSIONS: Final = ("vocal", "language", "mood", "genre", "scene", "bgm", "intensity")
"""What the service can be asked for, in the order of its documentation."""

_OUTER: Final = ("musigTagV2", "musicTagV2")
"""The first spelling is theirs."""

_PROBABILITY: Final = ("probility", "probability", "prob")


def read_labels(job: Mapping[str, Any], wanted: Sequence[str]) -> tuple[Label, ...]:
    """Return one label for each dimension that the service found something for.

    Args:
        job: the job as the service describes it.
        wanted: the dimensions asked for; what else it says is not taken.
    """
    found: dict[str, Label] = {}
    for result in list_contents(job):
        for dimension, answer in _answers(result):
            label = _label(dimension, answer)
            if label is not None and dimension in wanted:
                found.setdefault(dimension, label)
    return tuple(found[dimension] for dimension in DIMENSIONS if dimension in found)


@functools.cache
def english_names() -> dict[tuple[str, str], str]:
    """Return this project's English name of each label, by dimension and the service's text."""
    document = json.loads(manifest("providers/mediax_labels.json").read_text(encoding="utf-8"))
    return {
        (dimension, label["zh"]): label["en"]
        for dimension, entry in document["dimensions"].items()
        for label in entry["labels"]
    }


def _answers(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield dimension and answer, from the present form and from the older ``audioTagger``."""
    for outer in _OUTER:
        tags = result.get(outer)
        inner = tags.get("musicTagV2", tags) if isinstance(tags, Mapping) else None
        if isinstance(inner, Mapping):
            yield from inner.items()
    yield from _older_answers(result.get("audioTagger")).items()


def _older_answers(entries: object) -> dict[str, list[dict[str, object]]]:
    """Return the entries of ``audioTagger`` by dimension, of which each may have several."""
    found: dict[str, list[dict[str, object]]] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping):
            probability = next((entry[name] for name in _PROBABILITY if entry.get(name) is not None), None)
            answer = {"label": entry.get("tag"), "prob": probability}
            found.setdefault(str(entry.get("tagType", "")), []).append(answer)
    return found


def _label(dimension: str, answer: object) -> Label | None:
    """Return the likeliest label of an answer: an object, a list of them, or nothing at all."""
    each = answer if isinstance(answer, list) else [answer]
    labels = [label for one in each if (label := _one(dimension, one)) is not None]
    return max(labels, key=lambda label: label.probability or 0.0, default=None)


def _one(dimension: str, answer: object) -> Label | None:
    if not isinstance(answer, Mapping):
        return None
    text = answer.get("label")
    if not isinstance(text, str) or not text.strip():
        return None
    value = text.strip()
    english = english_names().get((dimension, value), value)
    return Label(dimension=dimension, value=value, english=english, probability=_probability(answer.get("prob")))


def _probability(value: object) -> float | None:
    """Return a probability from 0 to 1; None when there is none, or none that can be one."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0.0 <= number <= 1.0 else None
