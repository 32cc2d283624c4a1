"""``song.flac.error.txt``: why a song failed and what to do, beside the song.

What is ours is told by its content: a note that somebody changed is that somebody's.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.files.placement import rename_exclusive
from plugin_core.model import disarm
from stembridge_hot_folder.opening import open_regular
from stembridge_hot_folder.song.shell import quote

ENDING: Final = b".error.txt"
FIRST_LINE: Final = "stembridge could not finish this song."
_LONGEST_NAME: Final = 255
_NUMBERS: Final = range(1, 100)
_MOST: Final = 64 * 1024
"""Bytes; no note of ours is longer."""

_HAPPENED: Final = "What happened: "
_TO_DO: Final = "What to do:    "
_NO_REMEDY: Final = "take the song away, or put one that works in its place"
_FACTS: Final = re.compile(
    f"{re.escape(FIRST_LINE)}\n\n{re.escape(_HAPPENED)}(?P<reason>.*)\n{re.escape(_TO_DO)}(?P<remedy>.*)\n"
)


def write_error(song: bytes, reason: str, remedy: str) -> bytes | None:
    """Write or renew the error file of a song; None where it cannot be written. Never over a file of the user's."""
    text = _compose(song, disarm(reason), disarm(remedy))
    for path in _candidates(song):
        if os.path.lexists(path) and not is_ours(path, song):
            continue
        try:
            _place(text, path)
        except FileExistsError:
            # Somebody took the name in this moment.
            continue
        except OSError:
            # A full or read-only disk; the reason stands in the log and in ``stembridge watch status``.
            return None
        return path
    return None


def remove_error(song: bytes) -> None:
    """Remove the error file of a song, if it is ours and nobody changed it."""
    for number, path in enumerate(_candidates(song)):
        if not os.path.lexists(path):
            if number:
                return
        elif is_ours(path, song):
            # What cannot be removed is only a note that is out of date.
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - bytes
            return


def is_ours(path: bytes, song: bytes) -> bool:
    """Tell whether a file is just what ``write_error`` writes for a song."""
    try:
        with os.fdopen(open_regular(path), encoding="utf-8", newline="") as opened:
            text = opened.read(_MOST)
    except (OSError, UnicodeDecodeError):
        return False
    facts = _FACTS.match(text)
    return facts is not None and text == _compose(song, facts["reason"], facts["remedy"])


def _place(text: str, path: bytes) -> None:
    """Write a note whole, or not at all; never through a link, and over nothing but a note of ours.

    Raises:
        FileExistsError: something has the name by now.
        OSError: it cannot be written.
    """
    is_renewed = os.path.lexists(path)
    temporary = os.path.join(os.path.dirname(path), f"{HIDDEN_PREFIX}error-{os.getpid()}.tmp".encode())  # noqa: PTH120
    # Left by a crash of a process of this number, or put there by somebody to be written through.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # noqa: PTH108 - bytes
    descriptor = open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
        if is_renewed:
            os.replace(temporary, path)  # noqa: PTH105 - bytes
        else:
            rename_exclusive(Path(os.fsdecode(temporary)), Path(os.fsdecode(path)))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - bytes
        raise


def _compose(song: bytes, reason: str, remedy: str) -> str:
    lines = [
        *(FIRST_LINE, ""),
        *(f"{_HAPPENED}{reason}", f"{_TO_DO}{remedy or _NO_REMEDY}", ""),
        "A new version of the song is tried by itself. To try this one again:",
        f"    stembridge watch retry {quote(song)}",
        "This file goes away by itself once the song is done or gone.",
        "",
    ]
    return "\n".join(lines)


def _candidates(song: bytes) -> Iterator[bytes]:
    folder, name = os.path.split(song)
    for number in _NUMBERS:
        ending = ENDING if number == 1 else b".error (%d).txt" % number
        yield os.path.join(folder, _shorten(name, _LONGEST_NAME - len(ending)) + ending)


def _shorten(name: bytes, most: int) -> bytes:
    """Cut a name to so many bytes, not in the middle of a character."""
    if len(name) <= most:
        return name
    return name[:most].decode("utf-8", "ignore").encode() or name[:most]
