"""Vorbis comments: FLAC, Ogg Vorbis, Opus, Speex, Ogg FLAC, Theora."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import TYPE_CHECKING, Any, Final

from mutagen.flac import FLAC, error
from mutagen.flac import Picture as Block

from plugin_core.tags.tagset import FRONT_COVER, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

log = logging.getLogger(__name__)

_PICTURE: Final = "METADATA_BLOCK_PICTURE"
_OLD_PICTURE: Final = "COVERART"
_OLD_MIME: Final = "COVERARTMIME"


def get(audio: Any, key: str) -> list[str]:
    """Return the values under a key; case does not matter."""
    return [str(value) for value in audio.tags.get(key, [])]


def put(audio: Any, key: str, values: Sequence[str]) -> None:
    """Set a key to these values, or remove it when there are none."""
    if values:
        audio.tags[key] = list(values)
    elif key in audio.tags:
        del audio.tags[key]


def get_pictures(audio: Any) -> Iterator[Picture]:
    """Give the picture blocks of FLAC, then those in comments (xiph.org's form and the older COVERART)."""
    blocks = list(audio.pictures) if isinstance(audio, FLAC) else []
    for block in blocks + list(_comment_blocks(audio)):
        yield Picture(bytes(block.data), str(block.mime), int(block.type), str(block.desc))
    mimes = get(audio, _OLD_MIME)
    for number, text in enumerate(get(audio, _OLD_PICTURE)):
        mime = mimes[number] if number < len(mimes) else ""
        yield Picture(_decode(text), mime, FRONT_COVER)


def put_pictures(audio: Any, pictures: Sequence[Picture]) -> None:
    """Replace all pictures: as blocks in FLAC, as comments elsewhere."""
    for key in (_PICTURE, _OLD_PICTURE, _OLD_MIME):
        put(audio, key, ())
    blocks = [_block(picture) for picture in pictures]
    if isinstance(audio, FLAC):
        audio.clear_pictures()
        for block in blocks:
            audio.add_picture(block)
    else:
        put(audio, _PICTURE, [base64.b64encode(block.write()).decode("ascii") for block in blocks])


def _comment_blocks(audio: Any) -> Iterator[Any]:
    for text in get(audio, _PICTURE):
        try:
            yield Block(_decode(text))
        except error as problem:
            log.warning("an embedded picture is broken: %s", problem)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as problem:
        log.warning("an embedded picture is not base64: %s", problem)
        return b""


def _block(picture: Picture) -> Any:
    block: Any = Block()
    block.data = picture.data
    block.mime = picture.mime
    block.type = picture.kind
    block.desc = picture.description
    return block
