"""What a tagging may ask for, checked before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from plugin_core.defaults import Dimension, Labels, LanguageCodes, Policy
from plugin_core.errors import UsageError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plugin_core.model import Tagging

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
