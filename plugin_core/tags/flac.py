"""Metadata blocks of a FLAC: only the comments change, and the padding gives what they need.

mutagen writes pictures and cue sheets anew and makes one padding of several. Layout: RFC 9639, section 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from plugin_core.tags.files import DamagedTagError
from plugin_core.tags.id3_tag import read_synchsafe
from plugin_core.tags.pieces import Piece, total_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from plugin_core.tags.overlay import Overlay


PADDING: Final = 8192
"""Bytes, as the reference encoder leaves: the next change of a tag then moves no audio."""
_MAGIC: Final = b"fLaC"
_HEAD: Final = 4
_LAST: Final = 0x80
_MAX_SIZE: Final = (1 << 24) - 1
_PADDING, _COMMENTS, _PICTURE, _INVALID = 1, 4, 6, 127


@dataclass(slots=True)
class _Block:
    kind: int
    body: list[Piece]

    @property
    def size(self) -> int:
        return total_of(self.body)


def rewrite_metadata(overlay: Overlay, change: Callable[[bytes], bytes], pictures: Sequence[bytes]) -> None:
    """Change the comments of a FLAC, and its pictures where some are given.

    Args:
        overlay: the file.
        change: returns the new comments for the old ones, which are empty where there are none yet.
        pictures: bodies of the blocks that take the place of all others.

    Raises:
        DamagedTagError: the blocks do not hold together, or something does not fit its block.
    """
    blocks, frames = _take_apart(overlay)
    before = _size_of(blocks)
    comments = next((block for block in blocks if block.kind == _COMMENTS), None)
    if comments is None:
        comments = _Block(_COMMENTS, [])
        blocks.insert(1, comments)
    old = b"".join(piece if isinstance(piece, bytes) else overlay.read_below(*piece) for piece in comments.body)
    comments.body = [change(old)]
    if pictures:
        blocks = [block for block in blocks if block.kind != _PICTURE]
        start = blocks.index(comments) + 1
        blocks[start:start] = [_Block(_PICTURE, [body]) for body in pictures]
    if any(block.size > _MAX_SIZE for block in blocks):
        raise DamagedTagError("the tags do not fit a FLAC block")
    _take_room(blocks, _size_of(blocks) - before)
    pieces: list[Piece] = []
    for number, block in enumerate(blocks, 1):
        kind = block.kind | (_LAST if number == len(blocks) else 0)
        pieces += [bytes((kind,)) + block.size.to_bytes(3, "big"), *block.body]
    overlay.append([*pieces, *frames])


def _size_of(blocks: Sequence[_Block]) -> int:
    return sum(_HEAD + block.size for block in blocks)


def _take_room(blocks: list[_Block], need: int) -> None:
    """Take bytes out of a padding, or give them back; a file that must grow gets room for the next change."""
    if not need:
        return
    paddings = [block for block in blocks if block.kind == _PADDING]
    for block in reversed(paddings):
        if 0 <= block.size - need <= _MAX_SIZE:
            block.body = [bytes(block.size - need)]
            return
    if not paddings:
        paddings.append(_Block(_PADDING, []))
        blocks += paddings
    paddings[-1].body = [bytes(max(PADDING, paddings[-1].size))]


def _take_apart(overlay: Overlay) -> tuple[list[_Block], list[Piece]]:
    """Return the blocks and the frames behind them; what stands before the blocks is all that is left."""
    heads = _find_heads(overlay)
    place, _, size = heads[-1]
    frames = overlay.cut(place + _HEAD + size)
    blocks = [_Block(kind, overlay.between(at + _HEAD, at + _HEAD + size)) for at, kind, size in heads]
    overlay.cut(heads[0][0])
    return blocks, frames


def _find_heads(overlay: Overlay) -> list[tuple[int, int, int]]:
    """Return place, kind and size of each block; programs put ID3 tags before them, against the rules."""
    overlay.seek(0)
    start = overlay.read(10)
    place = 10 + read_synchsafe(start[6:10]) if start[:3] == b"ID3" else 0
    overlay.seek(place)
    if overlay.read(_HEAD) != _MAGIC:
        raise DamagedTagError("the FLAC does not begin as one")
    heads, place, kind = [], place + _HEAD, 0
    end = overlay.seek(0, 2)
    while not kind & _LAST:
        overlay.seek(place)
        head = overlay.read(_HEAD)
        kind, size = head[0] if head else _INVALID, int.from_bytes(head[1:], "big")
        if kind & ~_LAST == _INVALID or place + _HEAD + size > end:
            raise DamagedTagError("a block of the FLAC's metadata has a wrong size")
        heads.append((place, kind & ~_LAST, size))
        place += _HEAD + size
    overlay.seek(place)
    sync = overlay.read(2)
    if sync and (sync[0] != 0xFF or sync[-1] & 0xFC != 0xF8):
        raise DamagedTagError("a block of the FLAC's metadata has a wrong size")
    return heads
