"""Which names are songs: an allow-list of endings first, then the names of others' half-finished and system files."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable
from typing import Final

from plugin_core.audio.formats import AUDIO_SUFFIXES
from plugin_core.files.names import fold
from plugin_core.stems.layout import STEMS_SUFFIX

PROTECTED_SUFFIXES: Final = (".m4p", ".aa", ".aax")
"""Bought songs under digital rights management: taken, so that their owner is told why they cannot be separated."""

PARTIAL_FILES: Final = (
    *(".*", "~$*", "*~", ".~lock.*#", "*.part", "*.partial", "*.crdownload", "*.download", "*.opdownload"),
    *("*.filepart", "*.tmp", "*.temp", "*.!qB", "*.!ut", "*.aria2", "*.ytdl", "*.icloud", "~syncthing~*"),
    *("*.sw?", "desktop.ini", "Thumbs.db", "*.reapeaks", "*.asd", "*.pkf", "*.part.*", "*.tmp.*"),
)
"""Half-finished files of browsers, copiers and editors, and side files of systems and DAWs."""

PASSED_FOLDERS: Final = (
    *(".*", f"*{STEMS_SUFFIX}", "_UNPACK_*", "_FAILED_*", "*.download", "@eaDir", "#recycle", "__MACOSX"),
    *("lost+found", "System Volume Information", "$RECYCLE.BIN"),
)
"""Our own results, folders still being unpacked or downloaded, and those of systems."""


class Names:
    """The rules for names.

    Args:
        suffixes: more endings of songs.
        ignore: more patterns of names to pass over.
    """

    def __init__(self, suffixes: Iterable[str] = (), ignore: Iterable[str] = ()) -> None:
        more = {f".{suffix.lstrip('.')}".lower() for suffix in suffixes}
        self._suffixes = AUDIO_SUFFIXES | set(PROTECTED_SUFFIXES) | more
        self._partial = _compile(PARTIAL_FILES)
        self._folders = _compile(PASSED_FOLDERS)
        self._ignored = _compile(ignore)

    def why_no_song(self, name: bytes) -> str:
        """Return why a file of this name is passed over; empty for a song's name."""
        text = os.fsdecode(name)
        if os.path.splitext(text)[1].lower() not in self._suffixes:  # noqa: PTH122 - of a name, not a path
            return "not the name of a song"
        folded = fold(text)
        if self._partial.match(folded):
            return "a hidden or half-finished file"
        return "ignored by the settings" if self._ignored.match(folded) else ""

    def why_passed(self, name: bytes) -> str:
        """Return why a folder of this name is passed over; empty for one that is looked into."""
        text = fold(os.fsdecode(name))
        if self._folders.match(text):
            return "stems" if text.endswith(STEMS_SUFFIX) else "a folder of the system or of another program"
        return "ignored by the settings" if self._ignored.match(text) else ""


def _compile(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(fold(pattern)) for pattern in patterns) or r"(?!)", re.DOTALL)
