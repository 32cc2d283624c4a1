"""What a tagging may ask for, and what becomes of the labels of one song: what is written, and why not the rest."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, get_args

from plugin_core.errors import UsageError, suggest
from plugin_core.tags.tagset import clean_values
from plugin_core.tags.vocabulary import is_catch_all, word_for
from plugin_core.wishes import Dimension, Labels, LanguageCodes, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from plugin_core.model import Label, Tagging


DIMENSIONS: Final[tuple[str, ...]] = get_args(Dimension)
"""Every dimension that has fields in the table."""
PROVENANCE: Final = "label_provenance"
"""Field that says where labels came from; never copied onto stems."""
BOUGHT_BEFORE: Final = "the labels were bought before"
"""Note of a tagging that asks nobody."""
POLICIES: Final[tuple[str, ...]] = get_args(Policy)
LABELS: Final[tuple[str, ...]] = get_args(Labels)
LANGUAGE_CODES: Final[tuple[str, ...]] = get_args(LanguageCodes)


def check_rules(wish: Tagging) -> None:
    """Refuse a wish with a word or number that means nothing.

    Raises:
        UsageError: names the word, and the nearest known one.
    """
    _check("dimension", (*wish.dimensions, *wish.policies, *wish.thresholds), DIMENSIONS)
    _check("policy", (wish.policy, *wish.policies.values()), POLICIES)
    _check("language of labels", (wish.labels,), LABELS)
    _check("kind of language codes", (wish.language_codes,), LANGUAGE_CODES)
    for number in (wish.min_probability, *wish.thresholds.values()):
        if not 0 <= number <= 1:
            raise UsageError(f"{number:g} is no probability", remedy="give a number from 0 to 1")


def policy_of(wish: Tagging, dimension: str) -> str:
    """Return how a dimension's field is written."""
    return wish.policies.get(dimension, wish.policy)


def threshold_of(wish: Tagging, dimension: str) -> float:
    """Return how probable a label of a dimension must be."""
    return wish.thresholds.get(dimension, wish.min_probability)


def is_wanted(wish: Tagging, dimension: str) -> bool:
    """Tell whether a dimension is asked for and has a field."""
    return dimension in (wish.dimensions or DIMENSIONS) and dimension in DIMENSIONS


def covers(bought: Tagging, wanted: Tagging) -> bool:
    """Tell whether the answer to one wish holds the answer to another of the same provider."""
    return set(wanted.dimensions or DIMENSIONS) <= set(bought.dimensions or DIMENSIONS)


def _check(what: str, words: Iterable[str], known: tuple[str, ...]) -> None:
    for word in words:
        if word not in known:
            hint = suggest(word, known, f"choose of {', '.join(known)}")
            raise UsageError(f"no {what} {word!r}", remedy=hint)


@dataclass(frozen=True)
class Decision:
    """What becomes of the labels of one song."""

    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """All values that a field is to have, those that stay included."""
    left: dict[str, str] = field(default_factory=dict)
    """Why nothing is written, by dimension."""


def decide(labels: Sequence[Label], wish: Tagging, existing: Mapping[str, tuple[str, ...]]) -> Decision:
    """Choose what to write.

    Args:
        labels: everything the service found.
        wish: dimensions, thresholds, policies and words.
        existing: the fields of the file as it is.
    """
    decision = Decision()
    for dimension in DIMENSIONS:
        if not is_wanted(wish, dimension):
            continue
        found = sorted((one for one in labels if one.dimension == dimension), key=_rank)
        good = [one for one in found if _is_good(one, threshold_of(wish, dimension))]
        words = clean_values(dimension, (_word(one, wish) for one in good))
        if not words:
            decision.left[dimension] = _why_nothing(found, threshold_of(wish, dimension))
            continue
        _apply(decision, dimension, words, existing.get(dimension, ()), policy_of(wish, dimension))
    return decision


def provenance(labels: Sequence[Label], wish: Tagging, job: str, date: str) -> str:
    """Return the provenance field: compact JSON with what was found, however probable.

    Args:
        labels: everything the service found.
        wish: whose provider and dimensions are said.
        job: id of the job.
        date: ISO 8601.
    """
    found = [
        {"dimension": one.dimension, "label": one.value, "probability": one.probability}
        for one in labels
        if is_wanted(wish, one.dimension)
    ]
    record = {"provider": wish.provider, "job": job, "date": date, "labels": found}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def job_named_in(text: str) -> str:
    """Return the job id of a provenance field; empty when it is none of ours."""
    try:
        record = json.loads(text)
    except ValueError:
        return ""
    job = record.get("job") if isinstance(record, dict) else None
    return job if isinstance(job, str) else ""


def _apply(decision: Decision, dimension: str, words: tuple[str, ...], existing: tuple[str, ...], policy: str) -> None:
    if policy == "fill" and existing:
        decision.left[dimension] = f"has {', '.join(existing)}"
        return
    values = words
    if policy == "append":
        known = {value.casefold() for value in existing}
        values = (*existing, *(word for word in words if word.casefold() not in known))
    if values == existing:
        decision.left[dimension] = f"has {', '.join(existing)}"
    else:
        decision.fields[dimension] = values


def _is_good(label: Label, threshold: float) -> bool:
    return (label.probability is None or label.probability >= threshold) and not is_catch_all(label)


def _word(label: Label, wish: Tagging) -> str:
    return word_for(label, labels=wish.labels, language_codes=wish.language_codes)


def _rank(label: Label) -> float:
    return -1.0 if label.probability is None else -label.probability


def _why_nothing(found: Sequence[Label], threshold: float) -> str:
    if not found:
        return "nothing found"
    best = found[0]
    name = best.english or best.value
    if best.probability is not None and best.probability < threshold:
        return f"{name} is only {best.probability:.2f} probable, below {threshold:g}"
    return f"{name} says nothing"
