"""MP4 atoms: M4A, MP4, ALAC."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from mutagen.mp4 import AtomDataType, MP4Cover, MP4FreeForm

from plugin_core.tags.fields import FRONT_COVER, Picture, keep_wanted
from plugin_core.tags.files import DamagedTagError, save
from plugin_core.tags.mutagen_internals import Atoms, keep_atoms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from plugin_core.tags.files import TaggedFile


_PAIRS: Final = frozenset({"trkn", "disk"})
_MAX_16: Final = 0xFFFF
_FORMATS: Final = {"image/jpeg": AtomDataType.JPEG, "image/png": AtomDataType.PNG, "image/bmp": AtomDataType.BMP}
_MIMES: Final = {int(number): mime for mime, number in _FORMATS.items()}


def get(audio: Any, key: str) -> list[str]:
    """Return the values under an atom; pairs come as ``number/total``, a set flag as ``1``."""
    if key.startswith("----:"):
        return [_text(value) for found in _spellings(audio, key) for value in audio.tags[found]]
    value = audio.tags.get(key)
    if value is None:
        return []
    if isinstance(value, bool):
        return ["1"] if value else []
    if key in _PAIRS:
        return [f"{number}/{total}" for number, total in value]
    return [str(one) for one in value]


def get_pictures(audio: Any) -> Iterator[Picture]:
    """Give the covers: MP4 names no types, so the first is the front cover and the others are "other"."""
    for number, cover in enumerate(audio.tags.get("covr", [])):
        mime = _MIMES.get(int(getattr(cover, "imageformat", 0)), "")
        yield Picture(bytes(cover), mime, 0 if number else FRONT_COVER)


def _spellings(audio: Any, key: str) -> list[str]:
    # Programs disagree about the case of freeform names.
    if key.startswith("----:"):
        return [str(other) for other in audio.tags if other.lower() == key.lower()]
    return [key] if key in audio.tags else []


def _value(key: str, values: Sequence[str]) -> Any:
    if key.startswith("----:"):
        return [MP4FreeForm(value.encode(), AtomDataType.UTF8) for value in values]
    if key in _PAIRS:
        return [pair for pair in map(_pair, values[:1]) if any(pair)]
    if key == "tmpo":
        return [number for number in map(_number, values[:1]) if number]
    if key == "cpil":
        return "1" in values
    return list(values)


def _pair(text: str) -> tuple[int, int]:
    number, _, total = text.partition("/")
    return _number(number), _number(total)


def _number(text: str) -> int:
    """Round to what 16 bits hold; 0, MP4's word for "not known", for anything else."""
    try:
        number = round(float(text))
    except (ValueError, OverflowError):
        return 0
    return number if 0 < number <= _MAX_16 else 0


def write(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]], pictures: Sequence[Picture] = ()) -> None:
    """Set atoms to these values; ``trkn`` and ``tmpo`` take numbers only, and covers are JPEG, PNG or BMP.

    Raises:
        DamagedTagError: an atom ends behind the file.
    """
    tags = opened.audio.tags
    _keep_raw_atoms(opened, (*changes, "covr") if pictures else changes)
    for key, values in changes.items():
        _put(opened.audio, key, values)
    if pictures:
        tags["covr"] = [MP4Cover(one.data, _FORMATS[one.mime]) for one in pictures if one.mime in _FORMATS]
        if not tags["covr"]:
            del tags["covr"]
    fragments = fragment_places(opened.file)
    save(opened)
    if fragments:
        mend_fragments(opened.file, fragments)


def _put(audio: Any, key: str, values: Sequence[str]) -> None:
    """Set an atom; each freeform one that says nothing else keeps its spelling, and new values go with the first."""
    tags = audio.tags
    spellings = _spellings(audio, key)
    if not key.startswith("----:"):
        tags.pop(key, None)
        if value := _value(key, values):
            tags[key] = value
        return
    held = [(found, one) for found in spellings for one in tags[found]]
    kept, new = keep_wanted(((pair, (_text(pair[1]),)) for pair in held), values)
    first = spellings[0] if spellings else key
    for found in spellings or [key]:
        tags[found] = [one for spelling, one in kept if spelling == found]
        tags[found] += _value(key, new) if found == first else []
        if not tags[found]:
            del tags[found]


def _text(value: bytes) -> str:
    return bytes(value).decode("utf-8", "replace")


def _keep_raw_atoms(opened: TaggedFile, ours: Iterable[str]) -> None:
    """Hand every atom but ours over as its bytes: mutagen would turn ``gnre`` into text."""
    tags, changed = opened.audio.tags, {key.lower() for key in ours}
    opened.file.seek(0)
    try:
        atoms = Atoms(opened.file).path(b"moov", b"udta", b"meta", b"ilst")[-1].children or ()
    except KeyError:
        return
    kept = []
    for atom in atoms:
        whole, data = atom.read(opened.file)
        key = _freeform_key(data) if atom.name == b"----" else atom.name.decode("latin-1")
        is_number = key == "gnre" and "©gen" in changed
        if not whole:
            raise DamagedTagError("an atom ends behind the file")
        if key.lower() not in changed and not is_number:
            kept.append((atom.name.decode("latin-1"), data))
    keep_atoms(tags, kept)
    for key in [key for key in tags if key.lower() not in changed]:
        del tags[key]


def _freeform_key(data: bytes) -> str:
    """Return ``----:mean:name`` of a freeform atom: two boxes, each with size, name and four bytes of flags."""
    words, place = [], 0
    for _ in range(2):
        size = int.from_bytes(data[place : place + 4], "big")
        words.append(data[place + 12 : place + size].decode("utf-8", "replace"))
        place += max(size, 12)
    return ":".join(("----", *words))


_HAS_BASE: Final = 0x1
"""Flag of a ``tfhd`` whose samples are counted from the start of the file."""
_BASE: Final = 16
"""Where the base stands in a ``tfhd``: behind size, name, flags and track."""


def fragment_places(file: BinaryIO) -> list[int]:
    """Return where the fragments of an MP4 begin; empty when it has none."""
    return [atom.offset for atom in _atoms(file).atoms if atom.name == b"moof"]


def mend_fragments(file: BinaryIO, before: Sequence[int]) -> None:
    """Let fragments and their index point to where the samples are now.

    Args:
        file: the MP4 after mutagen saved it.
        before: where its fragments began.
    """
    atoms = _atoms(file).atoms
    fragments = [atom for atom in atoms if atom.name == b"moof"]
    moved = dict(zip(before, (atom.offset for atom in fragments), strict=True))
    if all(old == new for old, new in moved.items()):
        return
    for old, fragment in list(zip(before, fragments, strict=True))[1:]:
        for head in fragment.findall(b"tfhd", True):
            _move_base(file, head.offset, fragment.offset - old)
    for atom in atoms:
        if atom.name == b"mfra":
            _mend_index(file, atom.offset, atom.length, moved)


def _atoms(file: BinaryIO) -> Atoms:
    file.seek(0)
    atoms: Atoms = Atoms(file)
    return atoms


def _move_base(file: BinaryIO, place: int, shift: int) -> None:
    file.seek(place + 8)
    flags = int.from_bytes(file.read(4), "big")
    if flags & _HAS_BASE:
        file.seek(place + _BASE)
        base = int.from_bytes(file.read(8), "big")
        file.seek(place + _BASE)
        file.write(struct.pack(">Q", base + shift))


def _mend_index(file: BinaryIO, place: int, length: int, moved: Mapping[int, int]) -> None:
    """Mend every ``tfra`` in a ``mfra``, which mutagen does not look into."""
    file.seek(place)
    data = bytearray(file.read(length))
    start = 8
    while start + 24 <= len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        if data[start + 4 : start + 8] == b"tfra":
            _mend_entries(data, start, min(start + size, len(data)), moved)
        start += max(size, 8)
    file.seek(place)
    file.write(data)


def _mend_entries(data: bytearray, start: int, end: int, moved: Mapping[int, int]) -> None:
    width = 8 if data[start + 8] else 4
    lengths = data[start + 19]
    step = 2 * width + sum((lengths >> bits & 3) + 1 for bits in (4, 2, 0))
    for place in range(start + 24 + width, end - width + 1, step):
        old = int.from_bytes(data[place : place + width], "big")
        data[place : place + width] = moved.get(old, old).to_bytes(width, "big")
