"""What a tagging may ask for, what becomes of a song's labels, and what they are called: languages by their codes."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, get_args

import msgspec

from plugin_core.errors import UsageError, suggest, suggest_usual
from plugin_core.manifests import manifest
from plugin_core.tags.fields import FIELDS, clean_values, is_field_name
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


LANGUAGE: Final = "language"
_NO_LANGUAGE: Final = frozenset({"zxx", "und", "mis", "mul"})
"""ISO 639-2 for no linguistic content, undetermined, uncoded and several: nothing a player can show or filter by."""
_PLACEHOLDERS: Final = frozenset(
    {
        *("unknown", "other", "others", "none", "undefined", "unclassifiable", "unclassified", "misc", "n/a", "-", "?"),
        *("und", "(255)", "255", "(12)", "genre", "unknown genre", "no genre", "未知", "其他", "其它"),
    }
)
"""What programs write where they know nothing; 12 and 255 are ID3v1's numbers for that."""
_BIBLIOGRAPHIC: Final = {"zho": "chi", "deu": "ger", "fra": "fre", "mya": "bur", "msa": "may"}
"""ISO 639-2/B where it differs from T, of the languages in the table."""
_TWO_LETTERS: Final = {
    "rus": "ru", "ind": "id", "zho": "zh", "deu": "de", "ita": "it", "jpn": "ja", "fra": "fr", "tha": "th", "jav": "jv",
    "swe": "sv", "mya": "my", "eng": "en", "por": "pt", "spa": "es", "vie": "vi", "ara": "ar", "kor": "ko", "msa": "ms",
}  # fmt: skip
_WIDER_NAMES: Final = {"zho": ("chinese", "中文", "汉语", "华语")}
"""What people call a language that the table has but parts of."""
_CATCH_ALLS: Final = frozenset({"其他", "其它", "other", "others", "unknown", "none"})


class Entry(msgspec.Struct, frozen=True):
    """One label of the table."""

    dimension: str
    zh: str
    en: str
    iso639_2t: str = ""
    iso639_3: str = ""


class _Dimension(msgspec.Struct, frozen=True):
    labels: tuple[dict[str, str | None], ...]


class _Table(msgspec.Struct, frozen=True):
    dimensions: dict[str, _Dimension]


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Return the whole table in its order."""
    table = msgspec.convert(json.loads(manifest("providers/mediax_labels.json").read_text(encoding="utf-8")), _Table)
    return tuple(
        Entry(name, *(row.get(key) or "" for key in ("zh", "en", "iso639_2t", "iso639_3")))
        for name, dimension in table.dimensions.items()
        for row in dimension.labels
    )


def find_entry(dimension: str, word: str) -> Entry | None:
    """Find a label by its Chinese or English name; one word can mean different things in two dimensions."""
    return _by_word().get((dimension, word.casefold()))


def word_for(label: Label, wish: Tagging, existing: Sequence[str] = ()) -> str:
    """Return what goes into the tag: a language as its code, anything else as its name; unknown ones as they came.

    The user's own word for it, if there is one, comes before all of them.

    Args:
        label: what the service found.
        wish: whose words are wanted.
        existing: the languages that stand there already, whose standard is kept.
    """
    entry = _entry_of(label)
    known = (label.value, label.english, entry.en if entry is not None else "")
    own = {name.casefold(): word for name, word in wish.names.items()}
    for name in known:
        if name.casefold() in own:
            return own[name.casefold()]
    if entry is not None and label.dimension == LANGUAGE:
        return forms_of(entry)[standard_of(existing, wish.language_codes)]
    labels = wish.labels
    if labels == "zh":
        return entry.zh if entry is not None else label.value
    return label.english or (entry.en if entry is not None else label.value)


def forms_of(entry: Entry) -> dict[str, str]:
    """Return a language in each standard."""
    return {
        "639-2": entry.iso639_2t,
        "639-3": entry.iso639_3,
        "639-2/B": _BIBLIOGRAPHIC.get(entry.iso639_2t, entry.iso639_2t),
        "639-1": _TWO_LETTERS.get(entry.iso639_2t, entry.iso639_2t),
        "name": entry.en,
    }


def standard_of(existing: Sequence[str], usual: str) -> str:
    """Return the standard that languages in a file are said in, or the usual one where they fit that as well."""
    words = [word.casefold() for word in existing]
    standards = dict.fromkeys((usual, "639-2", "639-3", "639-2/B", "639-1", "name"))
    return next((standard for standard in standards if all(_fits(word, standard) for word in words)), usual)


def says_same(label: Label, word: str) -> bool:
    """Tell whether a word says the language that a label does, in whatever standard."""
    entry = _entry_of(label)
    if entry is None or entry.dimension != LANGUAGE:
        return False
    names = (*forms_of(entry).values(), entry.zh, *_WIDER_NAMES.get(entry.iso639_2t, ()))
    return word.casefold() in {name.casefold() for name in names}


def is_placeholder(word: str) -> bool:
    """Tell whether a value says only that somebody did not know; a field that holds nothing else is empty."""
    return word.strip().casefold() in _PLACEHOLDERS


def _fits(word: str, standard: str) -> bool:
    if word in _forms(standard):
        return True
    others = ("639-2", "639-3", "639-2/B", "639-1", "name")
    is_known = any(word in _forms(other) for other in others)
    length = {"639-1": len(word) == 2, "name": len(word) > 3}.get(standard, len(word) == 3)
    return not is_known and length


@functools.cache
def _forms(standard: str) -> frozenset[str]:
    return frozenset(forms_of(entry)[standard].casefold() for entry in entries() if entry.dimension == LANGUAGE)


def _entry_of(label: Label) -> Entry | None:
    return find_entry(label.dimension, label.value) or find_entry(label.dimension, label.english)


def is_catch_all(label: Label) -> bool:
    """Tell whether a label says only that nothing fitted, or that nobody sings where a language was asked for."""
    entry = _entry_of(label)
    words = {label.value.casefold(), label.english.casefold()}
    if label.dimension == LANGUAGE:
        codes = {entry.iso639_2t} if entry is not None else words
        return bool(codes & _NO_LANGUAGE) or bool(words & _CATCH_ALLS)
    return bool(words & _CATCH_ALLS)


@functools.cache
def _by_word() -> dict[tuple[str, str], Entry]:
    found: dict[tuple[str, str], Entry] = {}
    for entry in entries():
        for word in (entry.zh, entry.en):
            found.setdefault((entry.dimension, word.casefold()), entry)
    return found
