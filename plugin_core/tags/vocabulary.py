"""Labels in both languages, and the codes of those that name a language."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.settings import manifest

if TYPE_CHECKING:
    from plugin_core.model import Label

LANGUAGE: Final = "language"
_NO_LANGUAGE: Final = frozenset({"zxx", "und", "mis", "mul"})
"""ISO 639-2 for no linguistic content, undetermined, uncoded and several: nothing a player can show or filter by."""
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


def word_for(label: Label, *, labels: str, language_codes: str) -> str:
    """Return what goes into the tag: a language as its code, anything else as its name; unknown ones as they came.

    Args:
        label: what the service found.
        labels: ``en``, or ``zh`` for the service's own words.
        language_codes: ``639-2`` (T codes) or ``639-3``.
    """
    entry = find_entry(label.dimension, label.value) or find_entry(label.dimension, label.english)
    if entry is not None and label.dimension == LANGUAGE:
        return entry.iso639_3 if language_codes == "639-3" else entry.iso639_2t
    if labels == "zh":
        return entry.zh if entry is not None else label.value
    return label.english or (entry.en if entry is not None else label.value)


def is_catch_all(label: Label) -> bool:
    """Tell whether a label says only that nothing fitted, or that nobody sings where a language was asked for."""
    entry = find_entry(label.dimension, label.value) or find_entry(label.dimension, label.english)
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
