"""Errors in words that people know: the places where files lie until they are whole are nobody's business."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from plugin_core.errors import StembridgeError
from plugin_core.model import show_path


@contextmanager
def named(places: Mapping[Path, str | Path]) -> Iterator[None]:
    """Let errors that are raised inside name what people know.

    Args:
        places: by folder or file of our own, what it is called, with all that is below it or begins like it; or the
            path that it stands for, to which what is below it keeps its own.
    """
    try:
        yield
    except StembridgeError as error:
        error.message = _rename(error.message, places)
        error.args = (error.message,)
        raise


def _rename(text: str, places: Mapping[Path, str | Path]) -> str:
    for place, known in sorted(places.items(), key=lambda item: len(str(item[0])), reverse=True):
        ours, theirs = re.escape(show_path(place)), show_path(known) if isinstance(known, Path) else known
        # Below our own places no name of ours has a blank in it.
        pattern = ours if isinstance(known, Path) else rf"{ours}[^\s:;]*"
        text = re.sub(pattern, partial(_say, theirs), text)
    return text


def _say(words: str, _found: re.Match[str]) -> str:
    """Return the words as they are: a backslash in them means nothing."""
    return words
