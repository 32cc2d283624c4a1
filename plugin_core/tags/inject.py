"""Putting a few fields into a user's file and changing nothing else: no other frame, atom, comment, item or chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mutagen import MutagenError
from mutagen.flac import FLAC
from mutagen.id3 import ID3FileType
from mutagen.id3._tags import ID3SaveConfig  # type: ignore[attr-defined]
from mutagen.mp3 import MP3
from mutagen.mp4._atom import Atoms
from mutagen.ogg import OggFileType
from mutagen.wave import WAVE

from plugin_core.errors import SourceError, StembridgeError
from plugin_core.model import show_path
from plugin_core.tags.families import ACCESS
from plugin_core.tags.fields import FIELDS, Family
from plugin_core.tags.files import TaggedFile, open_overlay, open_tagged, overlay_of, reopen
from plugin_core.tags.fragments import fragment_places, mend_fragments
from plugin_core.tags.id3_raw import HEAD, DamagedTagError, RawTag, parse_tag, read_synchsafe, split_frames
from plugin_core.tags.ogg_pages import save_before_audio
from plugin_core.tags.read import read_open
from plugin_core.tags.rules import DIMENSIONS, PROVENANCE
from plugin_core.tags.write import MAX_WAV

if TYPE_CHECKING:
    from pathlib import Path

    from plugin_core.tags.pieces import Piece

PADDING: Final = 1024
"""Bytes behind an ID3 tag that has to grow, as mutagen leaves."""
FLAC_PADDING: Final = 8192
"""Bytes behind FLAC metadata that have to grow, as the reference encoder leaves."""
_JOINED: Final = "/"
"""What separates values before ID3v2.4 where a tag does not show another habit."""


LABELS: Final = (*DIMENSIONS, PROVENANCE)
"""The fields that are read before and after."""

Fields = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Rewriting:
    """What a file would be with other labels."""

    existing: Fields
    """The labels it has."""
    pieces: list[Piece]
    """The file it would be, of the one it is; empty when nothing is to be written."""


def rewrite(path: Path, choose: Callable[[Fields], Fields]) -> Rewriting:
    """Find out what a file would be with the fields that ``choose`` returns for those that are there; write nothing.

    A field without values is removed. ID3 keeps its version, ID3v1 and APEv2 tags of an MP3 stay as they are, padding
    is used up before the file grows. The result is read back: what does not hold the fields is refused.

    Raises:
        SourceError: the container has no place for tags, or its tags are damaged, or it does not keep them.
    """
    with open_overlay(path) as opened:
        opened = require_place(opened, path)
        try:
            existing = _read(opened, path, LABELS)
            fields = choose(existing)
            if not fields:
                return Rewriting(existing, [])
            (_put_id3 if opened.family is Family.ID3 else _put_others)(opened, fields)
            _require_fields(opened, path, fields)
            return Rewriting(existing, overlay_of(opened).pieces)
        except StembridgeError:
            raise
        # A hostile file makes a parser raise anything.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise SourceError(f"the tags of {show_path(path)} cannot be written: {reason}") from error


def _require_fields(opened: TaggedFile, path: Path, fields: Fields) -> None:
    """Read back what was written; a file that does not hold it must not take the place of one that was whole."""
    found = reopen(opened, path)
    held = {} if found is None else _read(found, path, fields)
    for name, values in fields.items():
        if split_joined(held.get(name, ())) != split_joined(values):
            raise SourceError(f"{show_path(path)} does not keep the field {name}; it was left as it was")


def read_fields(path: Path, names: Iterable[str] = FIELDS) -> dict[str, tuple[str, ...]]:
    """Return fields of a file; what ID3 before v2.4 joins with slashes comes apart.

    Raises:
        SourceError: its tags are broken.
    """
    with open_tagged(path) as opened:
        if opened is None:
            return {}
        try:
            return _read(opened, path, names)
        # Hostile values make a parser raise anything.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise SourceError(f"the tags of {show_path(path)} cannot be read: {reason}") from error


def split_joined(values: tuple[str, ...]) -> tuple[str, ...]:
    """Take apart what stands joined with slashes."""
    return tuple(dict.fromkeys(part.strip() for value in values for part in value.split(_JOINED) if part.strip()))


def _read(opened: TaggedFile, path: Path, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    if isinstance(opened.audio, MP3) and opened.family is Family.ID3 and not opened.audio.tags:
        # Opened for writing an MP3 hides the APEv2 tag that is all it has.
        return _read_ape(path, names)
    fields = read_open(opened, names)
    if opened.family is Family.ID3 and _id3_version(opened) < 4:
        return {name: split_joined(values) for name, values in fields.items()}
    return fields


def _read_ape(path: Path, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return fields of an MP3 without ID3."""
    with open_tagged(path) as opened:
        return {} if opened is None else read_open(opened, names)


def require_place(opened: TaggedFile | None, path: Path) -> TaggedFile:
    """Return the open file if it can hold tags.

    Raises:
        SourceError: it cannot.
    """
    remedy = "convert it, for example to FLAC"
    if opened is None:
        raise SourceError(f"{show_path(path)} is of a kind that holds no tags stembridge can write", remedy=remedy)
    if isinstance(opened.audio, WAVE) and path.stat().st_size > MAX_WAV:
        raise SourceError(f"{show_path(path)} is too close to 4 GiB for a tag", remedy=remedy)
    return opened


def _id3_version(opened: TaggedFile) -> int:
    tags = opened.audio.tags
    return int(tags.version[1]) if getattr(tags, "size", 0) else 4


def _put_others(opened: TaggedFile, fields: Fields) -> None:
    access, audio = ACCESS[opened.family], opened.audio
    if opened.family is Family.MP4:
        _keep_raw_atoms(opened, {key for name in fields for key in FIELDS[name].read(Family.MP4)})
    for name, values in fields.items():
        row = FIELDS[name]
        for key in row.aliases.get(opened.family, ()):
            access.put(audio, key, ())
        for key in row.written(opened.family):
            access.put(audio, key, values)
    _SAVERS.get(opened.family, _save)(opened)


def _save(opened: TaggedFile) -> None:
    audio: Any = opened.audio
    # APEv2 stands at the end of its file and needs no room.
    has_padding = opened.family is not Family.APE
    options = {"padding": _use_padding(FLAC_PADDING if isinstance(audio, FLAC) else None)} if has_padding else {}
    opened.file.seek(0)
    audio.save(opened.file, **options)


def _save_vorbis(opened: TaggedFile) -> None:
    if isinstance(opened.audio, OggFileType):
        info: Any = opened.audio.info
        save_before_audio(overlay_of(opened), info.serial, lambda: _save(opened))
    else:
        _save(opened)


def _save_mp4(opened: TaggedFile) -> None:
    fragments = fragment_places(opened.file)
    _save(opened)
    if fragments:
        mend_fragments(opened.file, fragments)


_SAVERS: Final = {Family.VORBIS: _save_vorbis, Family.MP4: _save_mp4}


def _use_padding(wanted: int | None) -> Any:
    """Return mutagen's padding function: use what is there up, and leave ``wanted`` bytes where the file must grow."""

    def choose(info: Any) -> int:
        if info.padding >= 0:
            return int(info.padding)
        return int(info.get_default_padding()) if wanted is None else wanted

    return choose


def _keep_raw_atoms(opened: TaggedFile, ours: set[str]) -> None:
    """Hand every atom but ours over as its bytes: mutagen would turn ``gnre`` into text."""
    tags, kept = opened.audio.tags, {key.lower() for key in ours}
    opened.file.seek(0)
    try:
        atoms = Atoms(opened.file).path(b"moov", b"udta", b"meta", b"ilst")[-1].children or ()
    except KeyError:
        return
    tags._failed_atoms.clear()
    for atom in atoms:
        whole, data = atom.read(opened.file)
        key = _freeform_key(data) if atom.name == b"----" else atom.name.decode("latin-1")
        is_number = key == "gnre" and "©gen" in kept
        if not whole:
            raise SourceError("an atom ends behind the file")
        if key.lower() not in kept and not is_number:
            tags._failed_atoms.setdefault(atom.name.decode("latin-1"), []).append(data)
    for key in [key for key in tags if key.lower() not in kept]:
        del tags[key]


def _freeform_key(data: bytes) -> str:
    """Return ``----:mean:name`` of a freeform atom: two boxes, each with size, name and four bytes of flags."""
    words, place = [], 0
    for _ in range(2):
        size = int.from_bytes(data[place : place + 4], "big")
        words.append(data[place + 12 : place + size].decode("utf-8", "replace"))
        place += max(size, 12)
    return ":".join(("----", *words))


def _put_id3(opened: TaggedFile, fields: Fields) -> None:
    tags = opened.audio.tags
    raw = _read_raw(opened)
    separator = _separator(opened) if raw.version < 4 else "\0"
    for name, values in fields.items():
        for key in FIELDS[name].read(Family.ID3):
            is_ours = key in FIELDS[name].written(Family.ID3) and (key != "TMOO" or raw.version == 4)
            raw = raw.with_values(key, values if is_ours else (), separator)
    if type(tags).save is not ID3FileType.ID3.save:
        # WAV, AIFF, DSF: mutagen finds the chunk and mends the sizes around it; the bytes of the tag are ours.
        tags._prepare_data = lambda *_args: raw.render(PADDING)
        opened.file.seek(0)
        tags.save(opened.file)
        return
    data = raw.render(PADDING)
    overlay_of(opened).resize(0, raw.size, len(data))
    opened.file.seek(0)
    opened.file.write(data)


def _read_raw(opened: TaggedFile) -> RawTag:
    """Find the bytes of the tag where mutagen found it."""
    tags = opened.audio.tags
    opened.file.seek(0)
    try:
        if hasattr(tags, "_pre_load_header"):
            tags._pre_load_header(opened.file)
    except MutagenError:
        return RawTag()
    head = opened.file.read(HEAD)
    if head[:3] != b"ID3":
        # Readers pass ID3v1 over where there is a newer tag: what it says goes into the new one as well.
        return RawTag(frames=split_frames(tags._write(ID3SaveConfig(4, None)), 4))
    data = head + opened.file.read(read_synchsafe(head[6:HEAD]) + HEAD)
    if len(head) < HEAD:
        raise DamagedTagError("the ID3 tag ends too early")
    return parse_tag(data)


def _separator(opened: TaggedFile) -> str:
    """Return what the tag itself puts between values: some programs write NUL before v2.4 as well."""
    texts = (frame for frame in opened.audio.tags.values() if frame.FrameID.startswith("T"))
    return "\0" if any(len(getattr(frame, "text", ())) > 1 for frame in texts) else _JOINED
