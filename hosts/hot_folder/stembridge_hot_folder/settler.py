"""When a file is complete: nothing of it changed over our own observations, and its structure does not say otherwise.

Pure: no file system, no clock of its own. Only observations on a monotonic clock count; times of the file prove
nothing, since copies bring theirs along.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO, Final

import msgspec

from plugin_core import StreamInfo, find_last, read_stream_info
from stembridge_hot_folder.files import FileIdentity, open_regular

PATIENCE: Final = 12
"""Settle times that a file is waited for whose structure says that more is to come; what changes longer is slow."""
MOST: Final = 20_000
"""Files watched at once until they are complete, and as many slow ones."""

_EMPTY: Final = "has no content yet"
_CHANGES: Final = "still changes, or says that more is to come"


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long files are waited for, in seconds."""

    settle: float = 5.0
    max_wait: float = 600.0


class _Watched(msgspec.Struct):
    identity: FileIdentity
    since: float
    """When this identity was first seen."""
    first: float
    """When the path was first seen."""
    due: float
    is_warned: bool = False


class Settler:
    """Files on their way to completeness.

    Args:
        patience: how long to wait.
        is_whole: tells by a file's structure whether more is to come.
        warn: told once of each file that takes very long.
        most: slow files that are remembered; of more each look begins anew.
    """

    def __init__(
        self,
        patience: Patience,
        is_whole: Callable[[bytes], bool],
        warn: Callable[[bytes, str], None] = lambda _path, _text: None,
        *,
        most: int = MOST,
    ) -> None:
        self.patience = patience
        self._is_whole = is_whole
        self._warn = warn
        self._most = most
        self._watched: dict[bytes, _Watched] = {}
        self._slow: dict[bytes, _Watched] = {}
        """Placeholders, and files that change without end: apart, so that they take no room from songs."""

    def __len__(self) -> int:
        return len(self._watched) + len(self._slow)

    def __contains__(self, path: bytes) -> bool:
        return path in self._watched or path in self._slow

    def __iter__(self) -> Iterator[bytes]:
        return chain(self._watched, self._slow)

    @property
    def crowd(self) -> int:
        """How many files may soon be complete."""
        return len(self._watched)

    def observe(self, path: bytes, identity: FileIdentity, now: float, seen: float | None = None) -> bool:
        """Take an observation in and tell whether the file is complete; then it is forgotten here.

        Args:
            path: the file.
            identity: its version.
            now: when the look began: until then an earlier version surely stayed.
            seen: when it had ended: from then on a new version surely stays; ``now`` for one that takes no time.
        """
        known = self._find(path)
        self.forget(path)
        if known is None or known.identity != identity:
            first = now if known is None else known.first
            since = now if seen is None else seen
            due = since + self.patience.settle
            known = _Watched(identity, since, first, due, known is not None and known.is_warned)
        still = now - known.since
        if still >= self.patience.settle:
            if identity.size and (still >= self.patience.settle * PATIENCE or self._is_whole(path)):
                return True
            # A placeholder may fill hours later; its first byte is a change that is told, or seen by a rescan.
            known.due = now + self.patience.settle if identity.size else float("inf")
        self._warn_once(path, known, now)
        self._keep(path, known, now)
        return False

    def forget(self, path: bytes) -> bool:
        """Forget a path; tell whether it was known."""
        return any(each.pop(path, None) is not None for each in (self._watched, self._slow))

    def start_anew(self, now: float) -> None:
        """Let all files wait for the whole settle time again: what happened before was not observed."""
        for known in self._all():
            known.since, known.due = now, now + self.patience.settle

    def due(self, now: float) -> list[bytes]:
        """Return the paths that are to be observed again by now."""
        return [path for each in (self._watched, self._slow) for path, known in each.items() if known.due <= now]

    def next_due(self) -> float | None:
        """Return when the next path is to be observed."""
        return min((known.due for known in self._all()), default=None)

    def is_given_time(self, path: bytes, now: float) -> bool:
        """Tell whether a file may take for ever: it waits for its first byte, or has not settled for very long."""
        known = self._find(path)
        if known is None:
            return False
        is_empty = not known.identity.size and now - known.since >= self.patience.settle
        return is_empty or now - known.first >= self.patience.max_wait

    def why_waits(self, path: bytes) -> str:
        """Return why a file is not complete, as the end of a sentence."""
        known = self._find(path)
        return _EMPTY if known is not None and not known.identity.size else _CHANGES

    def _find(self, path: bytes) -> _Watched | None:
        return self._watched.get(path) or self._slow.get(path)

    def _all(self) -> Iterator[_Watched]:
        return chain(self._watched.values(), self._slow.values())

    def _keep(self, path: bytes, known: _Watched, now: float) -> None:
        is_slow = not known.identity.size or now - known.first >= self.patience.settle * PATIENCE
        if not is_slow:
            self._watched[path] = known
        elif len(self._slow) < self._most:
            self._slow[path] = known

    def _warn_once(self, path: bytes, known: _Watched, now: float) -> None:
        if known.is_warned or now - known.first < self.patience.max_wait:
            return
        known.is_warned = True
        why = _CHANGES if known.identity.size else _EMPTY
        self._warn(path, f"{why} after {round(now - known.first)} s; it is still waited for")


_UNKNOWN_SIZES: Final = frozenset({0, 0xFFFFFFFF})
"""What a recorder writes until it is finished, and ffmpeg into a pipe for good."""

_HEAD: Final = 12
_MP4_BOXES: Final = 10_000
_FLAC_BLOCKS: Final = 10_000
_ID3V1: Final = 128


def is_whole(path: bytes) -> bool:
    """Tell whether nothing in the file's own structure says that more is to come; True for kinds that do not say.

    A hint to wait longer, never a reason to reject.

    A file that cannot be read counts as whole: whoever takes it up will say why.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            return _is_whole(opened, opened.read(_HEAD), size)
    except OSError:
        return True


def _is_whole(opened: BinaryIO, head: bytes, size: int) -> bool:
    if len(head) < _HEAD:
        return False
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return _is_riff_whole(opened, head, size)
    if head[:4] == b"FORM":
        return _is_declared(int.from_bytes(head[4:8], "big"), size)
    if head[:4] == b"fLaC":
        return _is_flac_whole(opened, size)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide"):
        return _is_mp4_whole(opened, size)
    return True


def _is_riff_whole(opened: BinaryIO, head: bytes, size: int) -> bool:
    if head[:4] == b"RF64":
        data = head[8:] + opened.read(24)
        if data[:8] != b"WAVEds64" or len(data) < 20:
            return False
        (declared,) = struct.unpack("<Q", data[12:20])
        return bool(declared + 8 <= size)
    return _is_declared(int.from_bytes(head[4:8], "big" if head[:4] == b"RIFX" else "little"), size)


def _is_declared(declared: int, size: int) -> bool:
    # An odd last chunk is padded, which some writers leave out.
    return declared not in _UNKNOWN_SIZES and declared + 8 <= size + 1


def _is_flac_whole(opened: BinaryIO, size: int) -> bool:
    """Walk the metadata blocks, then look at the last frame."""
    opened.seek(4)
    info = None
    for _ in range(_FLAC_BLOCKS):
        block = opened.read(4)
        if len(block) < 4:
            return False
        kind, length = block[0] & 0x7F, int.from_bytes(block[1:], "big")
        if kind == 0:
            info = read_stream_info(opened.read(length))
        else:
            opened.seek(length, os.SEEK_CUR)
        if block[0] & 0x80:
            return info is not None and _ends_whole(opened, opened.tell(), size, info)
    return False


def _ends_whole(opened: BinaryIO, start: int, size: int, info: StreamInfo) -> bool:
    """Tell whether the last frame is whole and reaches the last sample.

    Not left to a decoder: what lies half-written in a shared folder is shown to none before it is guarded against a
    crash, and none tells of a stream that does not say how many samples it holds.
    """
    length = min(size - start, info.longest + _ID3V1)
    if length < 1:
        return False
    opened.seek(size - length)
    tail = opened.read(length)
    if tail[-_ID3V1:].startswith(b"TAG"):
        tail = tail[:-_ID3V1]
    return find_last(tail, info, reaching=info.samples) is not None


def _is_mp4_whole(opened: BinaryIO, size: int) -> bool:
    """Walk the boxes at the top; they must end where the file ends and hold the sound and its index."""
    kinds, place = set(), 0
    for _ in range(_MP4_BOXES):
        opened.seek(place)
        head = opened.read(16)
        if len(head) < 8:
            break
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        kinds.add(head[4:8])
        if length == 0:
            place = size
            break
        if length < 8:
            return False
        place += length
    return place == size and {b"moov", b"mdat"} <= kinds
