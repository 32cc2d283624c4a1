"""Atoms of an MP4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mutagen.mp4._atom import Atoms

from plugin_core.tags.families import mp4
from plugin_core.tags.raw.fragments import fragment_places, mend_fragments
from plugin_core.tags.raw.saving import DamagedTagError, save

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from plugin_core.tags.files import TaggedFile


def put(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]]) -> None:
    """Set atoms to these values.

    Raises:
        DamagedTagError: an atom ends behind the file.
    """
    _keep_raw_atoms(opened, changes)
    for key, values in changes.items():
        mp4.put(opened.audio, key, values)
    fragments = fragment_places(opened.file)
    save(opened)
    if fragments:
        mend_fragments(opened.file, fragments)


def _keep_raw_atoms(opened: TaggedFile, ours: Iterable[str]) -> None:
    """Hand every atom but ours over as its bytes: mutagen would turn ``gnre`` into text."""
    tags, changed = opened.audio.tags, {key.lower() for key in ours}
    opened.file.seek(0)
    try:
        atoms = Atoms(opened.file).path(b"moov", b"udta", b"meta", b"ilst")[-1].children or ()
    except KeyError:
        return
    tags._failed_atoms.clear()
    for atom in atoms:
        whole, data = atom.read(opened.file)
        key = _freeform_key(data) if atom.name == b"----" else atom.name.decode("latin-1")
        is_number = key == "gnre" and "©gen" in changed
        if not whole:
            raise DamagedTagError("an atom ends behind the file")
        if key.lower() not in changed and not is_number:
            tags._failed_atoms.setdefault(atom.name.decode("latin-1"), []).append(data)
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
