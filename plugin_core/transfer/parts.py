"""A download under way: the bytes so far, a note beside them of what they begin, and what headers say follows."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from plugin_core.transfer.redaction import redact_url

BLOCK: Final = 1 << 20


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a part belongs to."""

    place: str
    """Digest of the address, without what signs it."""
    validator: str = ""
    """ETag or date that an ``If-Range`` may name; "" when the service gave none."""
    total: int | None = None
    """Bytes of the whole."""


# Made once and here: threads that have msgspec work out the same type at the same moment crash the process.
_NOTE: Final = msgspec.json.Decoder(Note)


def place_of(url: str) -> str:
    """Return what tells one address from another, however it is signed this time; holds no secret."""
    return hashlib.sha256(redact_url(url).encode("utf-8", "replace")).hexdigest()


class PartFile:
    """One part; every method blocks and may raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note_path = path.with_name(f"{path.name}.note")
        self.note: Note | None = None
        self.length = 0
        self._file: BinaryIO | None = None
        self._may_be_noted = False

    @property
    def is_open(self) -> bool:
        """Whether ``close`` has anything to do."""
        return self._file is not None

    @property
    def is_begun(self) -> bool:
        """Whether there is something to take up."""
        return self.note_path.exists()

    def open(self, place: str, earlier: Sequence[Path] = ()) -> None:
        """Take up what is there of this place, or the longest of ``earlier`` that belongs to it, or nothing."""
        self._may_be_noted = True
        self.note = _read_note(self.path, self.note_path, place)
        if self.note is None:
            self._inherit(place, earlier)
        # Without a note the length is zero, and what the file holds is cut off.
        self._file = self.path.open("r+b" if self.note else "wb", buffering=0)
        self.length = self._file.seek(0, os.SEEK_END)

    def begin(self, note: Note, *, is_kept: bool = True) -> None:
        """Start over: forget the bytes so far; those to come can be taken up again where the note is kept."""
        if self._file is None:
            self._file = self.path.open("wb", buffering=0)
        self._file.truncate(0)
        self._file.seek(0)
        self.length = 0
        self.note = note
        if is_kept:
            self._may_be_noted = True
            self.note_path.write_bytes(msgspec.json.encode(note))
        else:
            # What an earlier one says is not true of these bytes.
            self._forget_note()

    def append(self, pieces: list[bytes]) -> None:
        """Write bytes at the end."""
        assert self._file is not None
        written = os.writev(self._file.fileno(), pieces) if hasattr(os, "writev") else 0
        for piece in pieces:
            skipped = min(written, len(piece))
            view = memoryview(piece)[skipped:]
            written -= skipped
            self.length += skipped
            while view:
                count = self._file.write(view) or 0
                view = view[count:]
                self.length += count

    def digest(self) -> str:
        """Return the MD5 of the bytes so far."""
        found = hashlib.md5(usedforsecurity=False)
        with self.path.open("rb") as file:
            while block := file.read(BLOCK):
                found.update(block)
        return found.hexdigest()

    def finish(self, target: Path) -> None:
        """Put the bytes on disk, then under their name.

        A power cut just after it may cost the name: the file is fetched again.
        """
        assert self._file is not None
        os.fsync(self._file.fileno())
        self.close()
        self.path.replace(target)
        self._forget_note()

    def _forget_note(self) -> None:
        # Nearly always there was none.
        if self._may_be_noted:
            self.note_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; what is in it stays."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _inherit(self, place: str, earlier: Sequence[Path]) -> None:
        fitting = [(_length(path), path) for path in earlier if path != self.path]
        for _, path in sorted(fitting, reverse=True):
            note = _read_note(path, path.with_name(f"{path.name}.note"), place)
            if note is not None:
                # Copied, since a process that was only frozen may still write to the other one.
                shutil.copyfile(path, self.path)
                self.note = note
                self.note_path.write_bytes(msgspec.json.encode(note))
                return


def _read_note(path: Path, note_path: Path, place: str) -> Note | None:
    try:
        note = _NOTE.decode(note_path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    is_usable = note.place == place and path.is_file() and (note.total is None or _length(path) <= note.total)
    return note if is_usable else None


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


_RANGE = re.compile(r"bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*\Z", re.IGNORECASE)


class Span(msgspec.Struct, frozen=True):
    """Which bytes of how many."""

    start: int | None
    total: int | None


def read_span(headers: Mapping[str, str]) -> Span | None:
    """Read ``Content-Range``; None when it is missing or odd."""
    found = _RANGE.match(headers.get("content-range", "").strip())
    if found is None:
        return None
    start, _, total = found.groups()
    return Span(int(start) if start is not None else None, None if total == "*" else int(total))


def read_length(headers: Mapping[str, str]) -> int | None:
    """Read ``Content-Length``; None when it is missing or odd."""
    text = headers.get("content-length", "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def read_validator(headers: Mapping[str, str]) -> str:
    """Return what an ``If-Range`` may name: a strong ETag, else the date of the last change, else ""."""
    tag = headers.get("etag", "").strip()
    if tag.startswith('"'):
        return tag
    return "" if tag else headers.get("last-modified", "").strip()


def range_headers(note: Note | None, length: int) -> dict[str, str]:
    """Return the headers that ask for the rest of a part, or nothing for a whole file."""
    if note is None or not length:
        return {}
    wanted = {"range": f"bytes={length}-"}
    return wanted | ({"if-range": note.validator} if note.validator else {})


def continues(headers: Mapping[str, str], note: Note | None, length: int) -> bool:
    """Tell whether a 206 carries on exactly where a part ends, and is of the same file."""
    span = read_span(headers)
    if span is None or note is None or span.start != length:
        return False
    validator = read_validator(headers)
    is_same = not validator or not note.validator or validator == note.validator
    return is_same and (note.total is None or span.total is None or span.total == note.total)
