"""Chunks of a WAV that mutagen passes over, and sizes that its writer left wrong."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from plugin_core.tags.overlay import Overlay


MAX_LIST: Final = 1 << 20
"""Bytes read of a LIST chunk; real ones have a few hundred."""
MAX_CHUNKS: Final = 10_000


def read_info(file: BinaryIO) -> dict[str, list[str]]:
    """Return the texts of LIST INFO by their id (``INAM``); empty when there is none or the file ends early."""
    file.seek(0)
    if file.read(12)[8:] != b"WAVE":
        return {}
    found: dict[str, list[str]] = {}
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        name, size = struct.unpack("<4sI", head)
        start = file.tell()
        if name == b"LIST":
            for key, text in _texts(file.read(min(size, MAX_LIST))):
                found.setdefault(key, []).append(text)
        file.seek(start + size + size % 2)
    return found


def is_read_first(file: BinaryIO) -> bool:
    """Tell whether a WAV has a LIST INFO or a ``bext``: ffmpeg, and every player built on it, then passes ID3 over."""
    file.seek(0)
    if file.read(12)[8:] != b"WAVE":
        return False
    return any(name == b"bext" or _is_info(file, name, place) for name, place, _ in _chunks(file, _end_of(file)))


def write_info(overlay: Overlay, texts: Mapping[str, str]) -> None:
    """Set texts of a WAV's LIST INFO by their id, and make one behind all other chunks where there is none.

    Args:
        overlay: the file.
        texts: by id; one that is empty goes.
    """
    file = cast("BinaryIO", overlay)
    chunks = list(_chunks(file, _end_of(file)))
    found = next((chunk for chunk in chunks if _is_info(file, chunk[0], chunk[1])), None)
    if found is not None:
        _, place, length = found
        overlay.seek(place + 12)
        entries = list(_entries(overlay.read(length - 4)))
        old = 8 + length + length % 2
    else:
        place = max((place + 8 + length + length % 2 for _, place, length in chunks), default=_HEAD)
        entries, old = [], 0
    body = b"INFO" + b"".join(_pack_entry(*entry) for entry in _set_texts(entries, texts))
    new = 8 + len(body) if len(body) > 4 or found is not None else 0
    if not new:
        return
    overlay.resize(place, old, new)
    overlay.seek(place)
    overlay.write(b"LIST" + struct.pack("<I", len(body)) + body)
    overlay.seek(4)
    whole = int.from_bytes(overlay.read(4), "little") + new - old
    _put_size(file, 4, whole)


def _set_texts(entries: list[tuple[bytes, bytes]], texts: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the entries with texts set where they stood; all others stay to the byte."""
    made = list(entries)
    for key, text in texts.items():
        name = key.encode("ascii")
        places = [number for number, entry in enumerate(made) if entry[0] == name]
        if places and text and _decode(made[places[0]][1]) == text:
            continue
        for number in reversed(places):
            del made[number]
        if text:
            made.insert(places[0] if places else len(made), (name, text.encode() + b"\0"))
    return made


def _pack_entry(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _is_info(file: BinaryIO, name: bytes, place: int) -> bool:
    file.seek(place + 8)
    return name == b"LIST" and file.read(4) == b"INFO"


def _end_of(file: BinaryIO) -> int:
    """Return where a WAV ends; what stands behind it is none of its chunks."""
    file.seek(4)
    said = 8 + int.from_bytes(file.read(4), "little")
    return min(said, file.seek(0, os.SEEK_END))


def _texts(data: bytes) -> Iterator[tuple[str, str]]:
    if data[:4] == b"INFO":
        yield from ((name.decode("latin-1"), _decode(text)) for name, text in _entries(data[4:]))


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        yield name, data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _decode(data: bytes) -> str:
    # The format names no encoding: writers use UTF-8 or the Windows code page.
    text = data.partition(b"\0")[0]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


_UNKNOWN: Final = 0xFFFFFFFF
_HEAD: Final = 12
_MAX_CHUNKS: Final = 10_000


class UnfinishedError(ValueError):
    """The file ends before it should."""


def mend_sizes(file: BinaryIO) -> None:
    """Give the chunks of a WAV the sizes they have, so that something can stand behind them; no sample is touched.

    Any other file is left as it is.

    Raises:
        UnfinishedError: a chunk ends behind the file, or the samples have no length yet.
    """
    file.seek(0)
    head = file.read(_HEAD)
    size = file.seek(0, os.SEEK_END)
    if len(head) < _HEAD or head[:4] != b"RIFF" or head[8:] != b"WAVE" or size > _UNKNOWN:
        return
    said = int.from_bytes(head[4:8], "little")
    is_said = 0 < said <= size - 8
    end = 8 + said if is_said else size
    stop = _HEAD
    for name, place, length in _chunks(file, end):
        length = _true_length(name, place, length, size, is_said=is_said)
        _put_size(file, place + 4, length)
        stop = place + 8 + length + length % 2
    if stop > size:
        file.seek(0, os.SEEK_END)
        file.write(b"\0")
    _put_size(file, 4, max(stop, end) - 8)


def _true_length(name: bytes, place: int, length: int, size: int, *, is_said: bool) -> int:
    there = size - place - 8
    if name == b"data" and length == _UNKNOWN:
        return there
    if length > there:
        raise UnfinishedError("it ends in the middle of its audio: it is cut short, or still being recorded")
    if name == b"data" and not length and there and not is_said:
        raise UnfinishedError("it does not say how long its audio is: it was not finished, or is still being recorded")
    return length


def _chunks(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Give name, place and length of each chunk; what is no chunk ends them."""
    place = _HEAD
    for _ in range(_MAX_CHUNKS):
        file.seek(place)
        head = file.read(8)
        if place + 8 > end or len(head) < 8 or not all(0x20 <= byte < 0x7F for byte in head[:4]):
            return
        name, length = struct.unpack("<4sI", head)
        yield name, place, length
        place += 8 + length + length % 2


def _put_size(file: BinaryIO, place: int, size: int) -> None:
    file.seek(place)
    if file.read(4) != size.to_bytes(4, "little"):
        file.seek(place)
        file.write(size.to_bytes(4, "little"))
