"""The one "did you mean": what of the known words is near to one that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def find_near(word: str, known: Iterable[str], *, many: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return at most ``many`` known words, nearest first; ``cutoff`` from 0 to 1 says how near they must be."""
    # Wanted only once something is wrong, and slow to import.
    import difflib

    return difflib.get_close_matches(word, list(known), n=many, cutoff=cutoff)


def suggest(
    word: str,
    known: Iterable[str],
    otherwise: str = "",
    *,
    lead: str = "",
    is_quoted: bool = True,
    cutoff: float = 0.6,
) -> str:
    """Return ``did you mean 'word'?`` with the nearest known word.

    Args:
        word: that is not known.
        known: words it may have been meant for.
        otherwise: what is returned when none is near.
        lead: what comes before the question, where there is one.
        is_quoted: whether the known word stands in quotes.
        cutoff: as of ``find_near``.
    """
    near = find_near(word, known, cutoff=cutoff)
    if not near:
        return otherwise
    return f"{lead}did you mean {repr(near[0]) if is_quoted else near[0]}?"
