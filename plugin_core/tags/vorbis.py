"""Vorbis comments: FLAC, Ogg Vorbis, Opus, Speex, Ogg FLAC, Theora."""

from __future__ import annotations

import base64
import binascii
import logging
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from mutagen.flac import FLAC, error
from mutagen.flac import Picture as Block
from mutagen.ogg import OggPage
from mutagen.oggflac import OggFLAC

from plugin_core.tags.fields import FRONT_COVER, Picture, keep_wanted
from plugin_core.tags.files import DamagedTagError, overlay_of, save
from plugin_core.tags.flac import rewrite_metadata
from plugin_core.tags.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from plugin_core.tags.files import TaggedFile
    from plugin_core.tags.pieces import Piece


log = logging.getLogger(__name__)

_PICTURE: Final = "METADATA_BLOCK_PICTURE"
_OLD_PICTURE: Final = "COVERART"
_OLD_MIME: Final = "COVERARTMIME"


def get(audio: Any, key: str) -> list[str]:
    """Return the values under a key; case does not matter."""
    # Asked for a key, mutagen judges its letters anew; most of the many that are asked for are in no file.
    wanted = key.lower()
    return [str(value) for name, value in audio.tags or () if name.lower() == wanted]


def get_pictures(audio: Any) -> Iterator[Picture]:
    """Give the picture blocks of FLAC, then those in comments (xiph.org's form and the older COVERART)."""
    blocks = list(audio.pictures) if isinstance(audio, FLAC) else []
    for block in blocks + list(_comment_blocks(audio)):
        yield Picture(bytes(block.data), str(block.mime), int(block.type), str(block.desc))
    mimes = get(audio, _OLD_MIME)
    for number, text in enumerate(get(audio, _OLD_PICTURE)):
        mime = mimes[number] if number < len(mimes) else ""
        yield Picture(_decode(text), mime, FRONT_COVER)


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


_BEGINNINGS: Final = (b"\x03vorbis", b"OpusTags", b"\x81theora")
"""Of the packets that hold the comments; that of Speex has none."""
_FLAC_HEAD: Final = 4
"""Bytes of a block's head before its comments."""


def write(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]], pictures: Sequence[Picture] = ()) -> None:
    """Set comments to these values, and pictures: as blocks in FLAC, as comments elsewhere.

    Raises:
        DamagedTagError: the comments, or the blocks around them, do not hold together.
    """
    overlay, audio = overlay_of(opened), opened.audio
    is_flac = isinstance(audio, FLAC)
    blocks = [_block(picture).write() for picture in pictures]
    if blocks:
        texts = () if is_flac else tuple(base64.b64encode(block).decode("ascii") for block in blocks)
        changes = dict(changes) | {_PICTURE: texts, _OLD_PICTURE: (), _OLD_MIME: ()}

    def change(old: bytes) -> bytes:
        comments = parse_comments(old) if old else RawComments(audio.tags.vendor.encode())
        return comments.with_values(changes).render()

    if is_flac:
        rewrite_metadata(overlay, change, blocks)
        return
    serial = audio.info.serial
    packet = _read_packet(opened.file, serial)
    start = _FLAC_HEAD if isinstance(audio, OggFLAC) else _length_of_beginning(packet)
    data = change(packet[start:])
    audio.tags.write = lambda framing=True: data + b"\x01" * framing
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


@dataclass(frozen=True, slots=True)
class RawComments:
    """The comments of a stream."""

    vendor: bytes
    entries: tuple[bytes, ...] = ()
    """``KEY=value``, as they stand."""

    def with_values(self, changes: Mapping[str, tuple[str, ...]]) -> RawComments:
        """Return the comments with keys set to these values, in the place of the first that said it before.

        An entry that says nothing else stays as it is; new ones are spelled as the first.
        """
        entries = list(self.entries)
        for key, values in changes.items():
            places = [number for number, entry in enumerate(entries) if _says(entry, key)]
            there = [entries[number] for number in places]
            kept, new = keep_wanted(((entry, (_value_of(entry),)) for entry in there), values)
            for number in reversed(places):
                del entries[number]
            first = places[0] if places else len(entries)
            spelled = there[0].partition(b"=")[0] if there else key.encode()
            entries[first:first] = [*kept, *(spelled + b"=" + value.encode() for value in new)]
        return replace(self, entries=tuple(entries))

    def render(self) -> bytes:
        """Return the bytes of the comments, without the framing bit of Vorbis."""
        texts = (self.vendor, *self.entries)
        first, *others = (struct.pack("<I", len(text)) + text for text in texts)
        return b"".join((first, struct.pack("<I", len(self.entries)), *others))


def parse_comments(data: bytes) -> RawComments:
    """Take comments apart; what stands behind them is passed over.

    Raises:
        DamagedTagError: they do not hold together.
    """
    try:
        vendor, place = _text(data, 0)
        (count,) = struct.unpack_from("<I", data, place)
        return RawComments(vendor, tuple(_texts(data, place + 4, count)))
    except struct.error as error:
        raise DamagedTagError("the Vorbis comments end too early") from error


def _says(entry: bytes, key: str) -> bool:
    name, separator, _ = entry.partition(b"=")
    return bool(separator) and name.upper() == key.upper().encode()


def _value_of(entry: bytes) -> str:
    return entry.partition(b"=")[2].decode("utf-8", "replace")


def _texts(data: bytes, place: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        text, place = _text(data, place)
        yield text


def _text(data: bytes, place: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<I", data, place)
    end = place + 4 + length
    if end > len(data):
        raise DamagedTagError("the Vorbis comments end too early")
    return data[place + 4 : end], end


_HEAD: Final = struct.Struct("<4sBBqIII")
_SEGMENTS: Final = 26
"""Where a page says how many segments it has."""
_NUMBER: Final = 18
_BODY: Final = 26
_BLOCK: Final = 1 << 20
_SWAPPED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits the other way round: Ogg's checksums count them so."""

Page = tuple[int, int, int, int, int]
"""Place, size, granule position, serial number of the stream, number of the page."""


def save_before_audio(overlay: Overlay, serial: int, save: Callable[[], None]) -> None:
    """Let tags be saved while no page of audio is there, then put these back under their new numbers.

    A page that was damaged keeps a wrong checksum: the new one is the old one, changed as the number is.

    Args:
        overlay: the file as it was read.
        serial: the stream with the tags.
        save: saves the tags.
    """
    place = _first_audio(overlay)
    before = _last_number(overlay, serial, place)
    tail = overlay.cut(place)
    save()
    shift = _last_number(overlay, serial, overlay.seek(0, 2)) - before
    overlay.append(_renumber(overlay, tail, serial, shift) if shift else tail)


def _first_audio(overlay: Overlay) -> int:
    """Return where the first page begins that ends some audio; the end of the file when none does."""
    place = 0
    for place, size, granule, _, _ in _pages(overlay, 0, overlay.seek(0, 2)):
        if granule > 0:
            return place
        place += size
    return place


def _last_number(overlay: Overlay, serial: int, end: int) -> int:
    numbers = [number for _, _, _, stream, number in _pages(overlay, 0, end) if stream == serial]
    return numbers[-1] if numbers else -1


def _pages(overlay: Overlay, place: int, end: int) -> Iterator[Page]:
    while place + _SEGMENTS < end:
        overlay.seek(place)
        page = _parse(overlay.read(_SEGMENTS + 1 + 255), 0)
        if page is None or place + page[1] > end:
            return
        yield place, *page[1:]
        place += page[1]


def _parse(data: bytes, place: int) -> Page | None:
    """Take the head of a page apart; None where there is none."""
    if len(data) - place <= _SEGMENTS or data[place : place + 4] != b"OggS":
        return None
    _, _, _, granule, serial, number, _ = _HEAD.unpack_from(data, place)
    count = data[place + _SEGMENTS]
    lengths = data[place + _SEGMENTS + 1 : place + _SEGMENTS + 1 + count]
    return place, _SEGMENTS + 1 + count + sum(lengths), granule, serial, number


def _renumber(overlay: Overlay, tail: list[Piece], serial: int, shift: int) -> Iterator[Piece]:
    """Give the pages behind the tags with their new numbers; what is no page ends the change."""
    for piece in tail:
        if isinstance(piece, bytes):
            yield piece
            continue
        place, end = piece[0], sum(piece)
        while place < end:
            data = overlay.read_below(place, min(_BLOCK, end - place))
            done = yield from _renumber_block(data, place, serial, shift)
            if not done:
                break
            place += done
        yield place, end - place


def _renumber_block(data: bytes, start: int, serial: int, shift: int) -> Generator[Piece, None, int]:
    """Give the whole pages of a block and return how many bytes they take."""
    place = kept = 0
    while (page := _parse(data, place)) is not None and place + page[1] <= len(data):
        _, size, _, stream, number = page
        if stream == serial:
            yield start + kept, place + _NUMBER - kept
            yield _new_number(data[place + 22 : place + _BODY], number, (number + shift) & 0xFFFFFFFF, size)
            kept = place + _BODY
        place += size
    yield start + kept, place - kept
    return place


def _new_number(checksum: bytes, old: int, new: int, size: int) -> bytes:
    """Return number and checksum: of two pages alike in size the checksums differ by that of their difference."""
    difference = bytes(_NUMBER) + (old ^ new).to_bytes(4, "little") + bytes(size - 22)
    changed = (~zlib.crc32(difference.translate(_SWAPPED), -1)) & 0xFFFFFFFF
    swapped = changed.to_bytes(4, "big").translate(_SWAPPED)
    return new.to_bytes(4, "little") + bytes(one ^ other for one, other in zip(checksum, swapped, strict=True))
