"""Opening a file for its tags."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import mutagen
from mutagen.apev2 import APENoHeaderError, APEv2
from mutagen.flac import FLAC, VCFLACDict
from mutagen.mp3 import MP3
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggtheora import OggTheora
from mutagen.oggvorbis import OggVorbis

from plugin_core.errors import PlacementError, SourceError, StembridgeError, TransientError
from plugin_core.files.disk import AWAY, FULL, explain_read_error
from plugin_core.model import show_path
from plugin_core.tags.fields import KINDS, Family
from plugin_core.tags.overlay import Overlay
from plugin_core.tags.riff import mend_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_FLAC: Final = b"fLaC"
_KINDS: Final = {_FLAC: [FLAC]}
"""By the first bytes of a file; mutagen would ask each of its classes."""
_UNTAGGABLE: Final = (b"RF64", b"BW64", b"riff")
"""First bytes of WAV files beyond 4 GiB and of W64: mutagen can neither read nor write tags there."""


@dataclass(frozen=True, slots=True)
class TaggedFile:
    """An open file: mutagen's view of it, and the family its keys belong to."""

    file: BinaryIO
    audio: Any
    family: Family
    separator: str = ""
    """What to put between values in ID3 before v2.4; empty for what the tag shows, or a slash."""


@contextmanager
def open_tagged(path: Path) -> Iterator[TaggedFile | None]:
    """Open a file for its tags; gives None for a container mutagen knows no tags of (W64, RF64, Matroska).

    The file is opened here and handed over as an object, so that any file name works.

    Raises:
        SourceError: the file cannot be opened, or is so broken that its tags cannot be read.
        TransientError: it cannot be opened because the disk is gone.
    """
    with _open(path) as file:
        yield _load(file, path)


@contextmanager
def open_overlay(path: Path, *, is_read: bool = True) -> Iterator[TaggedFile | None]:
    """Open a file for changes of its tags that only an overlay takes; None for a container mutagen knows no tags of.

    Sizes that a WAV from a pipe has wrong are right in the overlay.

    Args:
        path: the file.
        is_read: whether anybody asks what its tags say; otherwise mutagen need not look into a FLAC, whose blocks are
            gone through anyway when they change.

    Raises:
        SourceError: the file cannot be opened, or is so broken that its tags cannot be read.
        TransientError: it cannot be opened because the disk is gone.
    """
    with _open(path) as file:
        yield _load(cast("BinaryIO", Overlay(file)), path, is_read=is_read)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise explain_read_error(path, error) from error


def overlay_of(opened: TaggedFile) -> Overlay:
    if not isinstance(opened.file, Overlay):
        raise TypeError("the file was opened for good")
    return opened.file


def has_id3(opened: TaggedFile) -> bool:
    """Tell whether the file has an ID3v2 tag; mutagen shows an ID3v1 tag as one."""
    return opened.family is Family.ID3 and bool(getattr(opened.audio.tags, "size", 0))


def ape_tags(file: BinaryIO) -> Any:
    """Return the APEv2 tag of a file in which mutagen looks only for ID3; None where there is none."""
    file.seek(0)
    try:
        return APEv2(file)
    except APENoHeaderError:
        return None


def write_error(path: Path, error: OSError) -> StembridgeError:
    """Say that a file could not be written; a full disk or a lost share passes, other reasons do not."""
    message = f"the tags of {show_path(path)} cannot be written: {error.strerror or error}"
    if error.errno in FULL | AWAY:
        return TransientError(message, remedy="make room on the disk or connect it again")
    return PlacementError(message, remedy="check the permissions of the folder")


class _UnreadFlac(FLAC):
    """A FLAC of which mutagen knows nothing but that it is one."""

    def load(self, *_file: object) -> None:
        self.tags = VCFLACDict()


def _load(file: BinaryIO, path: Path, *, is_read: bool = True) -> TaggedFile | None:
    try:
        head = file.read(4)
        if head == _FLAC and not is_read:
            return _identify(file, cast("Any", _UnreadFlac)(file))
        if head in _UNTAGGABLE:
            return None
        if isinstance(file, Overlay):
            mend_sizes(file)
        file.seek(0)
        audio: Any = mutagen.File(file, options=_KINDS.get(head))
        if isinstance(audio, OggTheora):
            audio = _audio_stream(file) or audio
        return None if audio is None else _identify(file, audio)
    # A hostile file makes a parser raise anything, MemoryError included.
    except Exception as error:
        raise SourceError(
            f"the tags of {show_path(path)} cannot be read: {str(error) or type(error).__name__}"
        ) from error


def _audio_stream(file: BinaryIO) -> Any:
    """Look for the stream that is heard beside a video, which may be but a cover; None where there is none."""
    for kind in (OggVorbis, OggOpus, OggFLAC, OggSpeex):
        file.seek(0)
        with suppress(mutagen.MutagenError):
            return kind(file)
    return None


def _identify(file: BinaryIO, audio: Any) -> TaggedFile | None:
    if audio.tags is None and isinstance(audio, MP3) and not isinstance(file, Overlay):
        # Some programs write nothing but APEv2 there.
        audio.tags = ape_tags(file)
    if audio.tags is None:
        try:
            audio.add_tags()
        except mutagen.MutagenError:
            # Bare AAC and AC-3 have no place for any.
            return None
    names = {one.__name__ for one in type(audio.tags).__mro__}
    family = next((family for kind, family in KINDS.items() if kind in names), None)
    return None if family is None else TaggedFile(file, audio, family)


class DamagedTagError(ValueError):
    """A tag cannot be taken apart, so that nothing of it may be rewritten."""


def save(opened: TaggedFile) -> None:
    """Save what mutagen holds; padding is used up before the file grows."""
    opened.file.seek(0)
    opened.audio.save(opened.file, padding=_use_padding)


def _use_padding(info: Any) -> int:
    return int(info.padding) if info.padding >= 0 else int(info.get_default_padding())
