"""The user's file: opened, told apart from others by its status alone, and what is said of it where it is not whole."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from plugin_core.errors import SourceError, StembridgeError, TransientError
from plugin_core.model import show_path

_KINDS: Final = (
    (stat.S_ISDIR, "is a folder, not an audio file"),
    (stat.S_ISFIFO, "is a pipe, not a file"),
    (stat.S_ISSOCK, "is a socket, not a file"),
    (stat.S_ISCHR, "is a device, not a file"),
    (stat.S_ISBLK, "is a device, not a file"),
)

_REASONS: Final = {
    errno.ENOENT: ("does not exist", ""),
    errno.ENOTDIR: ("does not exist", ""),
    errno.EACCES: ("may not be read", "check its permissions"),
    errno.EPERM: ("may not be read", "check its permissions"),
    errno.ELOOP: ("is a link that leads back to itself", ""),
    errno.ENAMETOOLONG: ("has a name too long for this system", ""),
    errno.EISDIR: ("is a folder, not an audio file", ""),
}

SLACK_BYTES: Final = 1024
"""Padding, and what programs leave behind the sound without a word."""

_WINDOW: Final = 1 << 18
LEAP: Final = 1 << 12
"""Bytes enough to see what is at a place, and how far to leap to the next."""
_PIECE: Final = 1 << 16
"""Bytes that the processor's own memory holds, as they are gone through more than once."""

_TICK_NS: Final = 2_000_000_000
"""The coarsest clock of a file system (FAT): two writes within one tick look like one."""
_MOST_KNOWN: Final = 1 << 12
"""Files: a run looks at all its songs before it stores a job for the first, and reads none again then."""
_K = TypeVar("_K")
_V = TypeVar("_V")

AGAIN: Final = "copy or download it again"


@contextmanager
def open_file(path: Path) -> Iterator[int]:
    """Give a descriptor of a regular, non-empty file, closed afterwards.

    Raises:
        SourceError: missing, not a regular file, not readable, or empty.
        TransientError: the share or disk it lies on does not answer.
    """
    # Without O_NONBLOCK opening a pipe nobody writes to would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        # Devices can act when opened (a tape rewinds), so the kind is asked before, and again of what was opened.
        _refuse_kind(path, path.stat())
        descriptor = os.open(path, flags)
    except OSError as error:
        raise explain_os_error(path, error) from error
    except ValueError as error:
        raise SourceError(f"{path!r} is not a file name: {error}") from error
    try:
        status = os.fstat(descriptor)
        _refuse_kind(path, status)
        if status.st_size == 0:
            raise SourceError(f"{show_path(path)} is empty (0 bytes)")
        yield descriptor
    finally:
        os.close(descriptor)


def explain_os_error(path: Path, error: OSError) -> StembridgeError:
    """Turn the system's refusal into words: a file that is wrong, or a share that may come back."""
    if error.errno in _REASONS:
        reason, remedy = _REASONS[error.errno]
        return SourceError(f"{show_path(path)} {reason}", remedy=remedy)
    return TransientError(f"{show_path(path)} cannot be read now: {error.strerror}")


def read_at(path: Path, descriptor: int, offset: int, size: int) -> bytes:
    """Read up to ``size`` bytes at ``offset`` without disturbing anyone's position for good.

    Raises:
        TransientError: the share or disk does not answer.
    """
    try:
        if sys.platform != "win32":
            return os.pread(descriptor, size, offset)
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, offset, os.SEEK_SET)
        data = os.read(descriptor, size)
        os.lseek(descriptor, before, os.SEEK_SET)
    except OSError as error:
        raise explain_os_error(path, error) from error
    return data


def read_pieces(
    path: Path, descriptor: int, start: int = 0, end: int | None = None, passage: FileReading | None = None
) -> Iterator[bytes]:
    """Give the bytes from ``start`` to ``end``, or to the end of the file, in pieces, which a passage hears.

    Raises:
        TransientError: the share or disk does not answer.
    """
    while end is None or start < end:
        piece = read_at(path, descriptor, start, _PIECE if end is None else min(_PIECE, end - start))
        if not piece:
            return
        if passage is not None:
            passage.take_in(start, piece)
        yield piece
        start += len(piece)


class FileReading:
    """One reading of a file that others hear as well: all its bytes once, in order, however one goes through it.

    Args:
        path: the file.
        descriptor: of the file.
        hear: is given the bytes in pieces.
    """

    def __init__(self, path: Path, descriptor: int, hear: Callable[[bytes], None]) -> None:
        self._path = path
        self._descriptor = descriptor
        self._hear = hear
        self._size = os.fstat(descriptor).st_size
        self._heard = 0

    def take_in(self, start: int, data: bytes) -> None:
        """Let what was read be heard, after what lies before it."""
        self._catch_up(start)
        if fresh := data[self._heard - start :]:
            self._hear(fresh)
            self._heard += len(fresh)

    def finish(self) -> None:
        """Let the rest be heard, as far as the file went at the beginning: one that grows has no end.

        Raises:
            TransientError: the share or disk does not answer.
        """
        self._catch_up(self._size)

    def _catch_up(self, end: int) -> None:
        for piece in read_pieces(self._path, self._descriptor, self._heard, end):
            self._hear(piece)
            self._heard += len(piece)


class Window:
    """A file's bytes, read in large pieces as one goes through it, and heard by a passage.

    Args:
        path: the file.
        descriptor: of the file.
        passage: hears what is read.
        room: bytes that are read at once; few where one leaps from place to place.
        first: where in the file offset 0 is.
    """

    def __init__(
        self, path: Path, descriptor: int, passage: FileReading | None = None, *, room: int = _WINDOW, first: int = 0
    ) -> None:
        self._path = path
        self._descriptor = descriptor
        self._passage = passage
        self._room = room
        self._first = first
        self.size = os.fstat(descriptor).st_size - first
        self._start = 0
        self._data = b""

    def take(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes at ``offset``; fewer only at the end.

        Raises:
            TransientError: the share or disk does not answer.
        """
        if not 0 <= offset < self.size:
            # Headers may name places that the system refuses to go to.
            return b""
        at = offset - self._start
        if at < 0 or at + size > len(self._data):
            self._start, at = offset, 0
            self._data = read_at(self._path, self._descriptor, self._first + offset, max(size, self._room))
            if self._passage is not None:
                self._passage.take_in(self._first + offset, self._data)
        return self._data[at : at + size]

    def find(self, wanted: bytes, start: int, end: int) -> int:
        """Return where ``wanted`` next stands from ``start`` on; ``end`` where it does not stand before that."""
        while start < end:
            data = self.take(start, min(_WINDOW, end - start))
            if (found := data.find(wanted)) >= 0:
                return start + found
            if len(data) < len(wanted):
                break
            start += len(data) - len(wanted) + 1
        return end

    def is_silent(self, start: int, end: int) -> bool:
        """Tell whether all bytes from ``start`` to before ``end`` are zeros."""
        return not any(self.take(at, min(_WINDOW, end - at)).strip(b"\0") for at in range(start, end, _WINDOW))


def _refuse_kind(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise SourceError(f"{show_path(path)} {words}")


class Identity(NamedTuple):
    """What changes with every write to a file, and with most moves; reading leaves it alone.

    ctime is the only witness of a write whose modification time was put back. Windows has none.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Take it from a file's status, which ``os.stat`` or ``os.fstat`` gave."""
        # On Windows ctime is when the file was made.
        ctime_ns = 0 if os.name == "nt" else status.st_ctime_ns
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, ctime_ns)

    def is_settled(self, now_ns: int) -> bool:
        """Tell whether any later write is seen by it, given when reading began (nanoseconds since the epoch).

        A file written within the last two seconds may be written once more in the same tick of its clock, and one
        dated ahead of our clock at any time. Some shares number no files.
        """
        # Windows tells of no write whose time was put back.
        is_told = os.name != "nt" and self.inode != 0
        return is_told and max(self.mtime_ns, self.ctime_ns) + _TICK_NS < now_ns


class Memory(Generic[_K, _V]):
    """What was found out of the files that were read last, by their identities, for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[_K, _V] = {}

    def recall(self, key: _K) -> _V | None:
        """Return what is known; None for nothing."""
        with self._lock:
            return self._values.get(key)

    def keep(self, key: _K, value: _V) -> None:
        """Know something, and forget the oldest."""
        with self._lock:
            self._values[key] = value
            while len(self._values) > _MOST_KNOWN:
                del self._values[next(iter(self._values))]


def look_at(path: Path) -> Identity:
    """Return a file's identity without opening it.

    Raises:
        SourceError: it is not there, or may not be seen.
        TransientError: the disk or share does not answer.
    """
    try:
        return Identity.of(path.stat())
    except OSError as error:
        raise explain_os_error(path, error) from error


@contextmanager
def held_still(path: Path) -> Iterator[Identity]:
    """Give a file's identity, and make sure afterwards that what was read meanwhile was this one file, unchanged.

    Raises:
        SourceError: it cannot be read, or was changed or replaced meanwhile.
        TransientError: the disk or share does not answer.
    """
    with open_file(path) as descriptor:
        before = Identity.of(os.fstat(descriptor))
        yield before
        # Readers open the file by its name.
        if not before == Identity.of(os.fstat(descriptor)) == look_at(path):
            raise SourceError(f"{show_path(path)} is being written", remedy="try again when it is complete")


def damaged(path: Path, seconds: float | None, reason: str = "") -> SourceError:
    """Say where a file can no longer be decoded, as far as that is known."""
    where = "" if seconds is None else f" at {show_time(seconds)}"
    said = f" ({reason})" if reason else ""
    return SourceError(f"{show_path(path)} is damaged{where}{said}", remedy=AGAIN)


def rewritten(path: Path) -> TransientError:
    """Say of a file that somebody wrote to it, or put another in its place, while it was read."""
    return TransientError(f"{show_path(path)} was changed while it was read", remedy="try again")


def cut_short(path: Path, lost: float = 0.0) -> SourceError:
    """Say that a share (0..1) of a file's sound is missing; 0 where that is not known."""
    missing = f": {lost:.0%} of its audio is missing" if lost >= 0.01 else ""
    return SourceError(f"{show_path(path)} is cut short{missing}", remedy=AGAIN)


def joined(path: Path, reason: str = "") -> SourceError:
    """Say of a file that it holds several recordings, and cannot be read as one."""
    which = f", which {reason}" if reason else ", and only the first would be read"
    return SourceError(
        f"{show_path(path)} is several recordings joined in one file{which}",
        remedy="take it apart first, a file for each",
    )


def describe_length(path: Path, frames: int, told: int, sample_rate: int) -> str:
    """Say of a file that its sound is longer or shorter than its header tells, in samples of each channel."""
    extra = frames - told
    if abs(extra) < sample_rate:
        samples = "1 sample" if abs(extra) == 1 else f"{abs(extra)} samples"
        said = f"{samples} {'longer' if extra > 0 else 'shorter'} than its header says"
    else:
        said = f"{show_time(frames / sample_rate)} long, though its header says {show_time(told / sample_rate)}"
    return f"{path.name} is {said}: all that it holds was read"


def describe_more(path: Path) -> str:
    return f"{path.name} goes on after its header says that it ends: all that it holds was read"


def describe_torn(path: Path) -> str:
    return f"{path.name} ends in the middle of a frame: it does not say how long it was, and may be cut short"


def describe_begun(path: Path, part: str = "frame") -> str:
    return f"{path.name} begins in the middle of a {part}, which was left out"


def describe_break(path: Path, seconds: float) -> str:
    return f"{path.name} is broken at {show_time(seconds)}, where a frame is cut or missing: all that is left was read"


def describe_gap(path: Path, seconds: float) -> str:
    return (
        f"{path.name} lasts {seconds:.2f} s longer by its time stamps than it sounds: packets may be missing, "
        "all that it holds was read"
    )


def describe_jump(path: Path, seconds: float) -> str:
    return (
        f"{path.name} is joined, or lacks something, at {show_time(seconds)}, where its time stamps go back: "
        "all that it holds was read"
    )


def describe_index(path: Path) -> str:
    return f"{path.name} has a damaged index: silence that its encoder added may be among what was read"


def describe_silence(path: Path) -> str:
    left_out = "more or less than the silence that its encoder added may have been left out"
    return f"{path.name} has a damaged LAME tag: {left_out}"


def describe_rest(path: Path, size: int) -> str:
    if size == 1:
        return f"{path.name} ends with a byte that is no sound: it was left out"
    return f"{path.name} ends with {size} bytes that are no sound: they were left out"


def describe_loose(path: Path) -> str:
    return f"{path.name} begins with bytes that are no sound: if its first frame is damaged, that is not heard"


def show_time(seconds: float) -> str:
    """Write a position as people do: ``0:12.3``, ``1:02:03.4``."""
    tenths = int(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{clock}:{rest // 10:02}.{rest % 10}"
