"""What labels are called: the service's own table, languages in each standard, and words that say nothing."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.manifests import manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_core.model import Label, Tagging

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
