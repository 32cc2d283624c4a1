"""Vorbis comments in a FLAC or an Ogg."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from mutagen.flac import FLAC
from mutagen.ogg import OggPage
from mutagen.oggflac import OggFLAC

from plugin_core.tags.files import overlay_of
from plugin_core.tags.raw.comments import parse_comments
from plugin_core.tags.raw.flac import rewrite_comments
from plugin_core.tags.raw.ogg_pages import save_before_audio
from plugin_core.tags.raw.saving import save

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_core.tags.files import TaggedFile

_BEGINNINGS: Final = (b"\x03vorbis", b"OpusTags", b"\x81theora")
"""Of the packets that hold the comments; that of Speex has none."""
_FLAC_HEAD: Final = 4
"""Bytes of a block's head before its comments."""


def put(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]]) -> None:
    """Set comments to these values.

    Raises:
        DamagedTagError: the comments, or the blocks around them, do not hold together.
    """
    overlay, tags = overlay_of(opened), opened.audio.tags
    if isinstance(opened.audio, FLAC):
        rewrite_comments(overlay, tags.vendor.encode(), lambda comments: comments.with_values(changes))
        return
    serial = opened.audio.info.serial
    packet = _read_packet(opened.file, serial)
    start = _FLAC_HEAD if isinstance(opened.audio, OggFLAC) else _length_of_beginning(packet)
    data = parse_comments(packet[start:]).with_values(changes).render()
    tags.write = lambda framing=True: data + b"\x01" * framing
    save_before_audio(overlay, serial, lambda: save(opened))


def _read_packet(file: BinaryIO, serial: int) -> bytes:
    """Return the second packet of a stream: the first one has a page of its own."""
    file.seek(0)
    pages: list[OggPage] = []
    while len(pages) < 2 or not (pages[-1].complete or len(pages[-1].packets) > 1):
        page = OggPage(file)
        if page.serial == serial:
            pages.append(page)
    return bytes(OggPage.to_packets(pages[1:])[0])


def _length_of_beginning(packet: bytes) -> int:
    return next((len(beginning) for beginning in _BEGINNINGS if packet.startswith(beginning)), 0)
