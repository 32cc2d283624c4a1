"""Looking through a hot folder: our own walker, which follows no links and keeps names as the bytes they are."""

from __future__ import annotations

import errno
import fnmatch
import os
import random
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from plugin_core import AUDIO_SUFFIXES, STEMS_SUFFIX
from plugin_core.files.names import fold
from stembridge_hot_folder.files import FileIdentity, is_hollow

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


SESSION_FOLDERS: Final = ("*.logicx", "*.band", "Audio Files")
SESSION_FILES: Final = (
    *("*.rpp", "*.als", "*.cpr", "*.npr", "*.ptx", "*.ptf", "*.pts", "*.flp", "*.song", "*.bwproject", "*.ardour"),
    *("*.aup", "*.aup3", "*.reason", "*.logic", "*.sesx", "*.tracktionedit"),
)
"""What shows that a folder is the session of a DAW, whose recordings are no songs and are not to be moved."""


class Names:
    """The rules for names.

    Args:
        suffixes: more endings of songs.
        ignore: more patterns of names to pass over.
        sessions: whether sessions of DAWs are looked into.
    """

    def __init__(self, suffixes: Iterable[str] = (), ignore: Iterable[str] = (), *, sessions: bool = False) -> None:
        more = {f".{suffix.lstrip('.')}".lower() for suffix in suffixes}
        self._suffixes = AUDIO_SUFFIXES | set(PROTECTED_SUFFIXES) | more
        self._partial = _compile(PARTIAL_FILES)
        self._folders = _compile(PASSED_FOLDERS)
        self._ignored = _compile(ignore)
        self._session_folders = _compile(() if sessions else SESSION_FOLDERS)
        self._session_files = _compile(() if sessions else SESSION_FILES)

    def why_no_song(self, name: bytes) -> str:
        """Return why a file of this name is passed over; empty for a song's name."""
        text = os.fsdecode(name)
        if os.path.splitext(text)[1].lower() not in self._suffixes:
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
        if self._session_folders.match(text):
            return SESSION
        return "ignored by the settings" if self._ignored.match(text) else ""

    def is_session(self, names: Iterable[bytes]) -> bool:
        """Tell whether a folder with entries of these names is the session of a DAW."""
        return any(self._session_files.match(fold(os.fsdecode(name))) for name in names)


def _compile(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(fold(pattern)) for pattern in patterns) or r"(?!)", re.DOTALL)


class SeenSong(NamedTuple):
    """A file that may become a job."""

    path: bytes
    identity: FileIdentity
    is_hollow: bool = False
    """Whether it has its size and no content yet."""


class Passed(NamedTuple):
    """An entry that is passed over."""

    path: bytes
    reason: str


class Unreadable(NamedTuple):
    """A folder or file that could not be looked at: nothing can be said of what lies below it."""

    path: bytes
    error: OSError


class Gone(NamedTuple):
    """A path at which there surely is nothing any more."""

    path: bytes


Sight = SeenSong | Passed | Unreadable | Gone

GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
_OURS = "a folder that songs are moved to"
SESSION: Final = "the session of a DAW; [watch] sessions = true takes its songs"


class ScanRules(msgspec.Struct, frozen=True):
    """What a walk takes and passes over."""

    names: Names
    excluded: Collection[tuple[int, int]] = ()
    """Device and inode of folders not to look into, whatever they are called."""
    passed: Collection[bytes] = ()
    """Folders not to look into that may not exist yet."""
    is_share: bool = False


def scan(folder: bytes, rules: ScanRules, *, root: bytes | None = None, is_ordered: bool = True) -> Iterator[Sight]:
    """Yield all that lies below a folder.

    Args:
        folder: where to begin.
        rules: what to take.
        root: the hot folder, whatever lies in it no session; default where to begin.
        is_ordered: whether each folder is gone through by name, or in another order each time.

    Raises:
        OSError: the folder itself cannot be listed; of one below it only ``Unreadable`` is told.
    """
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(parent) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if parent == folder:
                raise
            if error.errno not in GONE:
                yield Unreadable(parent, error)
            continue
        if parent != (root or folder) and rules.names.is_session(entry.name for entry in found):
            yield Passed(parent, SESSION)
            continue
        if not is_ordered:
            random.shuffle(found)
        for entry in found:
            yield from _see(entry.path, rules, waiting)


def look(
    paths: Iterable[bytes], rules: ScanRules, root: bytes, sessions: dict[bytes, bool] | None = None
) -> Iterator[Sight]:
    """Yield what lies at these paths now, and below those that are folders; paths outside the rules are passed over.

    Args:
        paths: where to look.
        rules: what to take.
        root: the hot folder.
        sessions: what is known of folders, whether they are sessions; what is found out is added. A large folder is
            not listed for each of its songs.
    """
    sessions = {} if sessions is None else sessions
    for path in paths:
        if rules.names.is_session([os.path.basename(path)]):
            sessions.pop(os.path.dirname(path), None)
        barrier = _find_barrier(path, rules, root, sessions)
        if barrier is not None and barrier.path == path:
            yield barrier
        if barrier is not None:
            continue
        below: list[bytes] = []
        yield from _see(path, rules, below)
        for folder in below:
            try:
                yield from scan(folder, rules, root=root)
            except OSError as error:
                if error.errno not in GONE:
                    yield Unreadable(folder, error)


def is_below(path: bytes, folder: bytes) -> bool:
    """Tell whether a path is a folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(b"/" + os.fsencode(os.sep)) + os.fsencode(os.sep))


def _see(path: bytes, rules: ScanRules, folders: list[bytes]) -> Iterator[Sight]:
    try:
        status = os.lstat(path)
    except OSError as error:
        yield Gone(path) if error.errno in GONE else Unreadable(path, error)
        return
    name = os.path.basename(path)
    if stat.S_ISDIR(status.st_mode):
        reason = rules.names.why_passed(name)
        if path in rules.passed or (status.st_dev, status.st_ino) in rules.excluded:
            reason = _OURS
        if reason:
            yield Passed(path, reason)
        else:
            folders.append(path)
            if not rules.names.why_no_song(name):
                # It may have taken the place of a song.
                yield Gone(path)
        return
    reason = _why_not(status.st_mode, rules.names, name)
    if reason:
        yield Passed(path, reason)
    else:
        yield SeenSong(path, FileIdentity.of(status, is_share=rules.is_share), is_hollow(path, status))


def _why_not(mode: int, names: Names, name: bytes) -> str:
    if stat.S_ISLNK(mode):
        return "a link; links are not followed"
    if not stat.S_ISREG(mode):
        return "a pipe, socket or device"
    return names.why_no_song(name)


def _find_barrier(path: bytes, rules: ScanRules, root: bytes, sessions: dict[bytes, bool]) -> Passed | Gone | None:
    """Return what keeps us from a path below the root: a folder passed over, or a link, behind which is none.

    Of a song in a session it is the song that is passed over: it may have been on its way.
    """
    if passed := next((one for one in rules.passed if is_below(path, one)), None):
        return Passed(passed, _OURS)
    parent = os.path.dirname(path)
    while len(parent) > len(root) and is_below(parent, root):
        if reason := rules.names.why_passed(os.path.basename(parent)):
            return Passed(path if reason == SESSION else parent, reason)
        try:
            status = os.lstat(parent)
        except OSError:
            # What is gone or unreachable is found out at the path itself.
            return None
        if not stat.S_ISDIR(status.st_mode):
            return Gone(path)
        if (status.st_dev, status.st_ino) in rules.excluded:
            return Passed(parent, _OURS)
        if parent not in sessions:
            sessions[parent] = _is_session(parent, rules.names)
        if sessions[parent]:
            return Passed(path, SESSION)
        parent = os.path.dirname(parent)
    return None


def _is_session(folder: bytes, names: Names) -> bool:
    try:
        return names.is_session(os.listdir(folder))
    except OSError:
        # Gone or unreachable: that is found out at the path itself.
        return False
