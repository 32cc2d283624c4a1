"""An ID3v2 tag as its bytes: frames are put in and taken out, and all others stay as they were, to the byte.

mutagen decodes every frame and writes it anew, which loses flags, frames of the same name and encodings. Layouts:
https://id3.org/id3v2.3.0, https://id3.org/id3v2.4.0-structure, https://id3.org/id3v2-00.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mutagen.id3 import TCON

from plugin_core.tags.fields import keep_wanted
from plugin_core.tags.files import DamagedTagError
from plugin_core.tags.mutagen_internals import unsynch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_core.tags.fields import Picture


HEAD: Final = 10
JOINED: Final = "/"
"""What separates values before v2.4, where a tag does not show another habit."""
_UNSYNCHRONISED: Final = 0x80
_EXTENDED: Final = 0x40
_FOOTER: Final = 0x10
_ID: Final = re.compile(rb"[A-Z][A-Z0-9]{2}[A-Z0-9 \0]?")
_OLD_IDS: Final = {
    "TCON": "TCO", "TLAN": "TLA", "TXXX": "TXX", "TIT1": "TT1", "TIT3": "TT3", "TBPM": "TBP",
    "TKEY": "TKE", "COMM": "COM",
}  # fmt: skip
"""Names of v2.2."""
_NEW_IDS: Final = frozenset({"TDRC", "TDOR", "TIPL", "TSST", "TSOT", "TSOP", "TSOA"})
"""Names of v2.4 alone."""
_TERMINATORS: Final = {0: b"\0", 1: b"\0\0", 2: b"\0\0", 3: b"\0"}
_CODECS: Final = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
_MARK: Final = "\ufeff"
"""Of the byte order: UTF-16 has one before each text."""
_NUMBERS: Final = re.compile(r"(\((\d+|RX|CR)\))+")
"""Genres by their numbers in ID3v1; before v2.4 words may follow them with nothing between."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame; ``flags`` is empty in v2.2."""

    name: str
    flags: bytes
    body: bytes

    def says(self, key: str) -> bool:
        """Tell whether the frame stands for a key of the field table."""
        name, _, description = key.partition(":")
        if self.plain_name not in (name, _OLD_IDS.get(name)):
            return False
        if name == "TXXX":
            return self.description.casefold() == description.casefold()
        if name == "COMM":
            return self.description == description
        return name != "UFID" or self.body.partition(b"\0")[0] == description.encode()

    @property
    def plain_name(self) -> str:
        """Its name; some programs put those of v2.2 into later tags."""
        return self.name.rstrip("\0 ")

    @property
    def description(self) -> str:
        """What a text of the user's own, or a comment, is called."""
        return next(iter(self._parts()), "")

    @property
    def texts(self) -> tuple[str, ...]:
        """The values of a text or a comment as they stand; none where they cannot be told."""
        return self._parts()[1 if self.is_described else 0 :]

    @property
    def is_described(self) -> bool:
        """Whether a description stands before the texts."""
        return self.plain_name in ("TXXX", "TXX", "COMM", "COM")

    def _parts(self) -> tuple[str, ...]:
        encoding = self.body[0] if self.body else 0
        # Compressed and encrypted frames keep their secrets; the second byte of the flags says so.
        if encoding not in _CODECS or (self.flags and self.flags[1]):
            return ()
        text = self.body[4 if self.plain_name in ("COMM", "COM") else 1 :]
        whole = len(text) - len(text) % len(_TERMINATORS[encoding])
        parts = text[:whole].decode(_CODECS[encoding], "replace").rstrip("\0").split("\0")
        return tuple(part.lstrip(_MARK) for part in parts)


@dataclass(frozen=True, slots=True)
class RawTag:
    """A whole tag."""

    version: int = 4
    """The 3 of ID3v2.3."""
    flags: int = 0
    frames: tuple[RawFrame, ...] = ()
    size: int = 0
    """Bytes it takes in the file, padding included; 0 for one that is not there yet."""
    rest: bytes = b""
    """What some programs leave behind the padding, and no reader comes to."""

    def with_values(self, key: str, values: Sequence[str], separator: str) -> RawTag:
        """Return the tag with a key set to these values in the place of what said it before, or without the key.

        A frame that says nothing else stays as it is, and what it does not say goes behind it. A new one is spelled
        as the one whose place it takes.

        Args:
            key: of the field table.
            values: all that are wanted.
            separator: what stands between them before v2.4; empty for what the field itself shows.
        """
        there = [frame for frame in self.frames if frame.says(key)]
        kept, new = keep_wanted(((frame, _values_of(frame)) for frame in there), values)
        # TMOO came with v2.4; it always has a text beside it.
        if not new or (key == "TMOO" and self.version < 4):
            return self.with_frames(key, kept)
        if kept and (len(kept) == 1 or self.version == 4):
            kept[-1] = _extend(kept[-1], new, self.version, separator or _habit_of(kept[-1]))
            return self.with_frames(key, kept)
        made = _make(_spelled(key, there), new, self.version, separator or JOINED, there[:1])
        return self.with_frames(key, [*kept, made])

    def with_frames(self, key: str, frames: Sequence[RawFrame]) -> RawTag:
        """Return the tag with frames in the place of what stood for a key."""
        places = [number for number, frame in enumerate(self.frames) if frame.says(key)]
        kept = [frame for number, frame in enumerate(self.frames) if number not in places]
        start = places[0] if places else len(kept)
        kept[start:start] = frames
        return replace(self, frames=tuple(kept))

    def can_hold(self, key: str) -> bool:
        """Tell whether the tag's version has a frame for a key."""
        name = key.partition(":")[0]
        return self.version == 4 or name == "TMOO" or name in (_OLD_IDS if self.version == 2 else {name} - _NEW_IDS)

    def render(self, padding: int) -> bytes:
        """Return the bytes of the tag, as long as the old one where they fit, else with so much padding.

        Args:
            padding: bytes of padding when the tag must grow.
        """
        body = b"".join(_pack(frame, self.version) for frame in self.frames)
        flags = self.flags & ~(_EXTENDED | _FOOTER)
        if self.version < 4 and flags & _UNSYNCHRONISED:
            body = unsynch.encode(body)
        room = self.size - HEAD - len(body) - len(self.rest)
        body += bytes(room if room >= 0 else padding) + self.rest
        return b"ID3" + bytes((self.version, 0, flags)) + _synchsafe(len(body)) + body


def parse_tag(data: bytes) -> RawTag:
    """Take a tag apart; ``data`` begins with it and may go on behind it.

    Raises:
        DamagedTagError: it does not hold together.
    """
    version, flags, size = data[3], data[5], read_synchsafe(data[6:HEAD])
    if data[:3] != b"ID3" or version not in (2, 3, 4) or (version == 2 and flags & _EXTENDED):
        raise DamagedTagError("the ID3 tag is of no known version")
    body = data[HEAD : HEAD + size]
    if len(body) < size:
        raise DamagedTagError("the ID3 tag ends too early")
    total = HEAD + size + (HEAD if version == 4 and flags & _FOOTER else 0)
    if version < 4 and flags & _UNSYNCHRONISED:
        body = unsynch.decode(body)
    if flags & _EXTENDED:
        body = body[_extended_size(body, version) :]
    rest = _rest(body, version) if version < 4 and not flags & _UNSYNCHRONISED else b""
    return RawTag(version, flags, split_frames(body[: len(body) - len(rest)], version), total, rest)


def read_synchsafe(data: bytes) -> int:
    """Read a number of four bytes with seven bits each."""
    return sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(data))


def split_frames(body: bytes, version: int) -> tuple[RawFrame, ...]:
    """Take the part behind the head of a tag apart.

    Raises:
        DamagedTagError: it does not hold together.
    """
    if version < 4:
        return _walk(body, version, plain=True)
    try:
        return _walk(body, version, plain=False)
    except DamagedTagError:
        # iTunes long wrote sizes of v2.4 as plain numbers.
        return _walk(body, version, plain=True)


def _walk(body: bytes, version: int, *, plain: bool) -> tuple[RawFrame, ...]:
    head = 6 if version == 2 else 10
    frames, place = [], 0
    while place + head <= len(body) and body[place]:
        name = body[place : place + (3 if version == 2 else 4)]
        if not _ID.fullmatch(name):
            raise DamagedTagError("the ID3 tag holds something that is no frame")
        digits = body[place + len(name) : place + 2 * len(name)]
        if not plain and max(digits) > 0x7F:
            raise DamagedTagError("the ID3 tag holds a frame of impossible size")
        size = int.from_bytes(digits, "big") if plain else read_synchsafe(digits)
        start = place + head
        if start + size > len(body):
            raise DamagedTagError("the ID3 tag holds a frame that ends behind it")
        frames.append(RawFrame(name.decode("ascii"), body[place + 2 * len(name) : start], body[start : start + size]))
        place = start + size
    if any(body[place:]):
        raise DamagedTagError("the ID3 tag holds something behind its frames")
    return tuple(frames)


def _rest(body: bytes, version: int) -> bytes:
    """Return what stands behind the padding; before v2.4, where frames have sizes of one kind, it can be told."""
    head, place = (6, 3) if version == 2 else (10, 4), 0
    while place + head[0] <= len(body) and body[place]:
        size = int.from_bytes(body[place + head[1] : place + 2 * head[1]], "big")
        place += head[0] + size
    return body[place:].lstrip(b"\0")


def _extended_size(body: bytes, version: int) -> int:
    if len(body) < 4:
        raise DamagedTagError("the ID3 tag ends too early")
    return int.from_bytes(body[:4], "big") + 4 if version == 3 else read_synchsafe(body[:4])


def picture_frame(picture: Picture) -> RawFrame:
    """Return an attached picture of v2.3 and v2.4: MIME type, type, description and data."""
    # ffmpeg and old players read Latin-1 everywhere; UTF-16 only where it is needed.
    encoding = 0 if _is_latin(picture.description) else 1
    text = picture.description.encode(_CODECS[encoding]) + _TERMINATORS[encoding]
    head = bytes((encoding,)) + picture.mime.encode("ascii") + b"\0" + bytes((picture.kind,))
    return RawFrame("APIC", b"\0\0", head + text + picture.data)


def _values_of(frame: RawFrame) -> Sequence[str]:
    """Return what a frame says, genres that are but numbers in words."""
    if frame.plain_name in ("TCON", "TCO"):
        return list(TCON(encoding=3, text=list(frame.texts)).genres)
    return frame.texts


def _habit_of(frame: RawFrame) -> str:
    """Return what separates values in a text already."""
    texts = frame.texts
    if len(texts) > 1:
        return "\0"
    return "; " if "; " in texts[0] else JOINED


def _spelled(key: str, there: Sequence[RawFrame]) -> str:
    name, _, description = key.partition(":")
    return f"{name}:{there[0].description}" if description and there and name == "TXXX" else key


def _extend(frame: RawFrame, values: Sequence[str], version: int, separator: str) -> RawFrame:
    """Return a text with more values behind those it has."""
    texts = list(frame.texts)
    if version == 4:
        texts += values
    else:
        start = "" if _NUMBERS.fullmatch(texts[-1]) else separator
        texts[-1] += start + separator.join(values)
    text = "\0".join(texts)
    # Latin-1 cannot hold everything; each of the others can.
    encoding = frame.body[0] or (0 if _is_latin(text) else 3 if version == 4 else 1)
    start_of_text = 4 if frame.plain_name in ("COMM", "COM") else 1
    head = bytes((encoding,)) + frame.body[1:start_of_text]
    if frame.is_described:
        head += frame.description.encode(_CODECS[encoding]) + _TERMINATORS[encoding]
    return replace(frame, body=head + text.encode(_CODECS[encoding]))


def _make(key: str, values: Sequence[str], version: int, separator: str, like: Sequence[RawFrame] = ()) -> RawFrame:
    name, _, description = key.partition(":")
    text = ("\0" if version == 4 else separator).join(values)
    encoding = 3 if version == 4 else 0 if _is_latin(text + description) else 1
    head, codec = bytes((encoding,)), _CODECS[encoding]
    if name == "UFID":
        return RawFrame(name, b"\0\0", description.encode() + b"\0" + values[0].encode())
    if name == "COMM":
        head += like[0].body[1:4] if like else b"eng"
    if name in ("TXXX", "COMM"):
        head += description.encode(codec) + _TERMINATORS[encoding]
    body = head + text.encode(codec)
    return RawFrame(_OLD_IDS[name], b"", body) if version == 2 else RawFrame(name, b"\0\0", body)


def _pack(frame: RawFrame, version: int) -> bytes:
    size = len(frame.body)
    if version == 2:
        return frame.name.encode("ascii") + size.to_bytes(3, "big") + frame.body
    digits = _synchsafe(size) if version == 4 else struct.pack(">I", size)
    return frame.name.encode("ascii") + digits + frame.flags + frame.body


def _synchsafe(number: int) -> bytes:
    if number >= 1 << 28:
        raise DamagedTagError("the ID3 tag would be too large")
    return bytes(number >> 7 * place & 0x7F for place in (3, 2, 1, 0))


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
