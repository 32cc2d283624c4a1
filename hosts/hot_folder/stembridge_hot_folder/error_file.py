"""``song.flac.error.txt``: why a song failed and what to do, beside the song."""

from __future__ import annotations

import contextlib
import os
from typing import Final

ENDING: Final = b".error.txt"
FIRST_LINE: Final = "stembridge could not finish this song."
_LONGEST_NAME: Final = 255
_NUMBERS: Final = range(1, 100)


def write_error(song: bytes, reason: str, remedy: str) -> bytes | None:
    """Write or renew the error file of a song; None where it cannot be written. Never over a file of the user's."""
    text = "\n".join(
        [
            *(FIRST_LINE, ""),
            *(f"What happened: {reason}", f"What to do:    {remedy}" if remedy else "", ""),
            "A new version of the song is tried by itself. To try this one again:",
            f"    stembridge watch retry '{_show(song)}'",
            "This file goes away by itself once the song is done.",
            "",
        ]
    )
    for path in _candidates(song):
        if os.path.lexists(path) and not is_ours(path):
            continue
        temporary = os.path.join(os.path.dirname(path), b".stembridge-error-%d.tmp" % os.getpid())  # noqa: PTH120
        try:
            with open(temporary, "w", encoding="utf-8") as opened:  # noqa: PTH123 - bytes
                opened.write(text)
            os.replace(temporary, path)  # noqa: PTH105 - bytes
        except OSError:
            # A full or read-only disk; the reason stands in the log and in ``stembridge watch status``.
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - bytes
            return None
        return path
    return None


def remove_error(song: bytes) -> None:
    """Remove the error file of a song, if it is ours."""
    for path in _candidates(song):
        if not os.path.lexists(path):
            return
        if is_ours(path):
            # What cannot be removed is only a note that is out of date.
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - bytes
            return


def is_ours(path: bytes) -> bool:
    """Tell whether a file is one that ``write_error`` wrote."""
    try:
        with open(path, encoding="utf-8", errors="replace") as opened:  # noqa: PTH123 - bytes
            return opened.readline().strip() == FIRST_LINE
    except OSError:
        return False


def _candidates(song: bytes) -> list[bytes]:
    folder, name = os.path.split(song)
    found = []
    for number in _NUMBERS:
        ending = ENDING if number == 1 else b".error (%d).txt" % number
        found.append(os.path.join(folder, _shorten(name, _LONGEST_NAME - len(ending)) + ending))
    return found


def _shorten(name: bytes, most: int) -> bytes:
    """Cut a name to so many bytes, not in the middle of a character."""
    if len(name) <= most:
        return name
    return name[:most].decode("utf-8", "ignore").encode() or name[:most]


def _show(song: bytes) -> str:
    return os.fsdecode(song).encode("utf-8", "backslashreplace").decode()
