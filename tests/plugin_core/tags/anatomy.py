"""Taking files of every container apart without the code under test, to see what a change of tags left alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mutagen
from mutagen.flac import FLAC, VCFLACDict

Parts = list[tuple[str, bytes]]
OURS = (
    "TMOO",
    "TCON",
    "TLAN",
    "MOOD",
    "GENRE",
    "LANGUAGE",
    "SCENE",
    "©gen",
    "WM/Genre",
    "WM/Mood",
    "WM/Language",
    "WM/Scene",
)


def anatomy(path: Path) -> Parts:
    """Return everything in a file but the fields of labels, padding and sizes: (name, bytes)."""
    data = path.read_bytes()
    return {".mp3": _mp3, ".wav": _riff, ".aiff": _aiff, ".dsf": _dsf, ".flac": _flac, ".m4a": _mp4}.get(
        path.suffix, _by_mutagen
    )(path, data)


def id3_frames(data: bytes) -> Parts:
    """Walk an ID3v2.3 or 2.4 tag."""
    version, end, place = data[3], 10 + _synchsafe(data[6:10]), 10
    found: Parts = [("version", data[3:4])]
    while place + 10 <= end and data[place]:
        name = data[place : place + 4].decode()
        digits = data[place + 4 : place + 8]
        size = _synchsafe(digits) if version == 4 else int.from_bytes(digits, "big")
        body = data[place + 10 : place + 10 + size]
        label = body[1:12].decode("latin-1").replace("\0", "").strip("\xff\xfe") if name == "TXXX" else name
        if not any(label.upper().startswith(ours.upper()) for ours in OURS):
            found.append((name, data[place + 8 : place + 10] + body))
        place += 10 + size
    return found


def _mp3(_path: Path, data: bytes) -> Parts:
    if data[:3] != b"ID3":
        return [("audio", data)]
    return [*id3_frames(data), ("audio", data[10 + _synchsafe(data[6:10]) :])]


def _chunks(data: bytes, order: str) -> Parts:
    found, place = [], 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], order)  # type: ignore[arg-type]
        body = data[place + 8 : place + 8 + size]
        found += id3_frames(body) if name.lower() == b"id3 " else [(name.decode("latin-1"), body)]
        place += 8 + size + size % 2
    assert int.from_bytes(data[4:8], order) == len(data) - 8  # type: ignore[arg-type]
    return found


def _riff(_path: Path, data: bytes) -> Parts:
    return _chunks(data, "little")


def _aiff(_path: Path, data: bytes) -> Parts:
    return _chunks(data, "big")


def _dsf(_path: Path, data: bytes) -> Parts:
    size, pointer = struct.unpack_from("<QQ", data, 12)
    assert size == len(data)
    return [("audio", data[28 : pointer or None]), *(id3_frames(data[pointer:]) if pointer else [])]


def _flac(path: Path, data: bytes) -> Parts:
    found, place, last = [], 4, False
    while not last:
        last, kind = bool(data[place] & 0x80), data[place] & 0x7F
        size = int.from_bytes(data[place + 1 : place + 4], "big")
        if kind not in (1, 4):
            found.append((str(kind), data[place + 4 : place + 4 + size]))
        place += 4 + size
    tags = FLAC(path).tags
    assert isinstance(tags, VCFLACDict)
    return [*found, *_comments(tags), ("audio", data[place:])]


def _comments(tags: Any) -> Parts:
    return [("vendor", tags.vendor.encode())] + [
        (key, value.encode()) for key, value in tags if key.upper() not in OURS
    ]


def _mp4(_path: Path, data: bytes) -> Parts:
    atoms = list(_atoms(data, 0, len(data), ""))
    chunks = next(body for name, body in atoms if name.endswith("/stco"))
    offsets = struct.unpack_from(f">{struct.unpack_from('>I', chunks, 4)[0]}I", chunks, 8)
    # What the offsets point at stays; where it stands may not.
    kept = [(name, body) for name, body in atoms if not name.endswith(("/stco", "free", "mdat"))]
    return [*sorted(kept), *(("chunk", data[offset : offset + 64]) for offset in offsets)]


def _atoms(data: bytes, place: int, end: int, above: str) -> Iterator[tuple[str, bytes]]:
    while place + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, place)
        path = f"{above}/{name.decode('latin-1')}"
        start = place + 8 + (4 if name == b"meta" else 0)
        if path in ("/moov", "/moov/trak", "/moov/trak/mdia", "/moov/trak/mdia/minf", "/moov/trak/mdia/minf/stbl",
                    "/moov/udta", "/moov/udta/meta", "/moov/udta/meta/ilst"):  # fmt: skip
            yield from _atoms(data, start, place + size, path)
        else:
            body = data[place + 8 : place + size]
            is_ours = any(ours.encode("latin-1") in (name, body[40 : 40 + len(ours)].upper()) for ours in OURS)
            if not is_ours:
                yield path, body
        place += size


def _by_mutagen(path: Path, data: bytes) -> Parts:
    """Return what mutagen sees: Ogg, ASF and APEv2 keep no order and no place worth comparing."""
    audio: Any = mutagen.File(path)
    if hasattr(audio.tags, "vendor"):
        return _comments(audio.tags)
    return sorted(
        (str(key), repr(value).encode())
        for key, value in audio.tags.items()
        if str(key).upper() not in map(str.upper, OURS)
    )


def _synchsafe(data: bytes) -> int:
    return sum(byte << 7 * (3 - place) for place, byte in enumerate(data))
