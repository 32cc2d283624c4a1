"""What a tagging may ask for, and what becomes of a song's labels."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, get_args

from plugin_core.errors import UsageError, suggest, suggest_usual
from plugin_core.tags.fields import FIELDS, clean_values, is_field_name
from plugin_core.tags.vocabulary import is_catch_all, is_placeholder, says_same, word_for
from plugin_core.wishes import DIMENSIONS, Labels, LanguageCodes, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from plugin_core.model import Label, Tagging

PROVENANCE: Final = "label_provenance"
"""Field that says where labels came from; never copied onto stems."""
BOUGHT_BEFORE: Final = "the labels were bought before"
"""Note of a tagging that asks nobody."""
POLICIES: Final[tuple[str, ...]] = get_args(Policy)
LABELS: Final[tuple[str, ...]] = get_args(Labels)
LANGUAGE_CODES: Final[tuple[str, ...]] = get_args(LanguageCodes)
_OF_THE_SONG: Final = frozenset(FIELDS) - {
    *DIMENSIONS, "bpm", "key", "grouping", "comment", "subtitle", "discsubtitle", "work", "movement", "script", "media",
}  # fmt: skip
"""Fields that say which song it is, and who made it: no label is written there."""
_PARTS: Final = re.compile(r"[/;,|\0]")
"""What people and programs put between the values of one text."""


def check_rules(wish: Tagging) -> None:
    """Refuse a wish with a word or number that means nothing.

    Raises:
        UsageError: names the word, and the nearest known one.
    """
    for word in (*wish.dimensions, *wish.policies, *wish.thresholds, *wish.fields):
        hint = suggest_usual(word, DIMENSIONS)
        # A tagger knows whether it has one of another name.
        if hint or not is_field_name(word):
            raise UsageError(f"no dimension {word!r}", remedy=hint or f"choose of {', '.join(DIMENSIONS)}")
    _check("policy", (wish.policy, *wish.policies.values()), POLICIES)
    _check("language of labels", (wish.labels,), LABELS)
    _check("kind of language codes", (wish.language_codes,), LANGUAGE_CODES)
    for dimension, name in wish.fields.items():
        if not is_field_name(name) or name in _OF_THE_SONG:
            raise UsageError(
                f"{dimension} cannot be written to {name!r}",
                remedy="name grouping, comment, or a word of your own",
            )
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
    """Tell whether a dimension is asked for: who names all the usual ones, or none, takes whatever is found."""
    return dimension in wish.dimensions or set(DIMENSIONS) <= set(wish.dimensions or DIMENSIONS)


def covers(bought: Tagging, wanted: Tagging) -> bool:
    """Tell whether the answer to one wish holds the answer to another of the same provider."""
    return not bought.dimensions or set(wanted.dimensions or DIMENSIONS) <= set(bought.dimensions)


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
    for dimension in _dimensions(labels, wish):
        name = field_name(wish, dimension)
        if not is_field_name(name) or name in _OF_THE_SONG:
            decision.left[dimension] = "no field of a tag has this name; name one in [tags.fields]"
            continue
        there = existing.get(name, ())
        threshold = threshold_of(wish, dimension)
        found = sorted((one for one in labels if one.dimension == dimension), key=_rank)
        good = [one for one in found if _is_good(one, threshold)]
        odd = next((one for one in found if not is_catch_all(one) and not _is_probability(one) and threshold), None)
        if odd is not None:
            decision.left[dimension] = _describe_odd(odd, threshold)
        if not good:
            decision.left.setdefault(dimension, _why_nothing(found, threshold))
            continue
        _apply(decision, dimension, name, good, wish, there)
    return decision


def field_name(wish: Tagging, dimension: str) -> str:
    return wish.fields.get(dimension, dimension)


def field_names(wish: Tagging) -> tuple[str, ...]:
    """Return the fields that a wish reads and may write, as far as is known before the labels are."""
    named = (*(wish.dimensions or DIMENSIONS), *wish.fields)
    fields = (field_name(wish, dimension) for dimension in named)
    return (*dict.fromkeys(name for name in fields if is_field_name(name)), PROVENANCE)


def is_filled(values: Sequence[str]) -> bool:
    """Tell whether a field says something: that nobody knew is nothing."""
    return any(not is_placeholder(value) for value in values)


def what_is_filled(wish: Tagging, existing: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return why nothing at all would be written, by dimension, whatever the labels are; empty where something may be.

    Args:
        wish: dimensions and policies.
        existing: the fields of the file as it is.
    """
    left = {}
    # Of a tagger that leaves them open nobody knows what it finds.
    for dimension in wish.dimensions:
        values = existing.get(field_name(wish, dimension), ())
        if policy_of(wish, dimension) != "fill" or not is_filled(values):
            return {}
        left[dimension] = f"has {', '.join(values)}"
    return left


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


def _dimensions(labels: Sequence[Label], wish: Tagging) -> tuple[str, ...]:
    """Return what is wanted: what was named, or the usual dimensions, and whatever else was found and is wanted."""
    found = (label.dimension for label in labels if is_wanted(wish, label.dimension))
    return tuple(dict.fromkeys((*(wish.dimensions or DIMENSIONS), *found)))


def _apply(
    decision: Decision, dimension: str, name: str, good: Sequence[Label], wish: Tagging, existing: tuple[str, ...]
) -> None:
    policy = policy_of(wish, dimension)
    if policy == "fill" and is_filled(existing):
        decision.left[dimension] = f"has {', '.join(existing)}"
        return
    # Two dimensions can share a field.
    before = decision.fields.get(name, existing if policy == "append" else ())
    if policy == "append":
        known = [part.strip() for value in before for part in (value, *_PARTS.split(value))]
        good = [label for label in good if not any(says_same(label, word) for word in known)]
        words = clean_values(name, (word_for(label, wish, before) for label in good))
        words = tuple(word for word in words if word.casefold() not in {one.casefold() for one in known})
    else:
        words = clean_values(name, (word_for(label, wish) for label in good))
    values = tuple(dict.fromkeys((*before, *words)))
    if values == existing:
        decision.left[dimension] = f"has {', '.join(existing)}"
    else:
        decision.fields[name] = values


def _is_good(label: Label, threshold: float) -> bool:
    if is_catch_all(label):
        return False
    return threshold == 0 or (label.probability is not None and threshold <= label.probability <= 1)


def _is_probability(label: Label) -> bool:
    return label.probability is not None and 0 <= label.probability <= 1


def _describe_odd(label: Label, threshold: float) -> str:
    name = label.english or label.value
    came = "without a probability" if label.probability is None else f"with the probability {label.probability:g}"
    return f"{name} came {came}, and at least {threshold:g} is asked"


def _rank(label: Label) -> float:
    return -label.probability if label.probability is not None and _is_probability(label) else 0.0


def _why_nothing(found: Sequence[Label], threshold: float) -> str:
    if not found:
        return "nothing found"
    best = found[0]
    name = best.english or best.value
    if best.probability is not None and best.probability < threshold:
        return f"{name} is only {best.probability:.2f} probable, below {threshold:g}"
    return f"{name} says nothing"
