"""Whether a file that ffmpeg reads is as long as its container says.

ffmpeg plays what is there and mostly says nothing; of files joined end to end it reads the first, or stumbles over the
second. What nowhere says its length and ends between two frames passes for whole: bare MP3, ADTS, AC-3 and DTS, MPEG-TS
and MPEG-PS, and WAV, AU, FLAC, FLV, Matroska and fragmented MP4 whose writer could not go back, and left no index.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.claims import check_claim
from plugin_core.audio.envelope import (
    CAF_TABLE,
    SVX,
    SVX_FORMS,
    find_audio,
    list_chunks,
    list_packets,
    measure_tag,
)
from plugin_core.audio.flac import FLAC_HEADER, read_frame
from plugin_core.audio.info import ByteSpan, refuse_unread
from plugin_core.audio.interleaved import ASF, read_asf, read_avi
from plugin_core.audio.movie import is_movie
from plugin_core.audio.ogg import measure_late_flac
from plugin_core.audio.source_file import (
    LEAP,
    FileReading,
    Window,
    cut_short,
    damaged,
    describe_break,
    describe_rest,
    describe_torn,
    joined,
)
from plugin_core.audio.streams import examine_stream

_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
_CLUSTER: Final = b"\x1f\x43\xb6\x75"
_EBML_ROOM: Final = 64
"""More bytes than the head of a Matroska has."""
_EBML_KINDS: Final = (b"matroska", b"webm")
_ELEMENTS: Final = {
    *(b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1c\x53\xbb\x6b"),
    *(b"\x10\x43\xa7\x70", b"\x19\x41\xa4\x69", b"\x12\x54\xc3\x67", b"\x58\x54"),
    *(b"\xe7", b"\xa7", b"\xab", b"\xa3", b"\xa0", b"\xaf", b"\xec", b"\xbf"),
}
"""Names of what lies in a segment or a cluster (RFC 9559)."""
_OGG: Final = b"OggS"
_FLV: Final = b"FLV\1"
_FLV_SIZE: Final = b"\0\x08filesize\0"
_FLV_ABOUT: Final = 1 << 14
_FLV_TAGS: Final = (8, 9, 18)
"""Sound, pictures and what describes them."""
_WAVPACK: Final = b"wvpk"
_WAVPACK_HEAD: Final = 32
_WAVPACK_FIRST: Final = 0x800
"""The flag of the first of the blocks that hold the channels of the same time."""
_WAVPACK_SHIFT: Final = 0x1F << 13
"""Bits by which samples are shifted up once they are decoded, and held against their checksum."""
_WAVPACK_MOST: Final = 0xFFFFFFFF
_WAVPACK_ODD: Final = "its blocks do not follow each other"
_CAF: Final = b"caff"
_CAF_BEGIN: Final = b"caff\0\1\0\0desc"
_CAF_FIRST: Final = 8
_CAF_CHUNK: Final = 12
"""Bytes of a chunk's head."""
_CAF_OPEN: Final = (1 << 64) - 1
"""The size of sound that goes on to the end, whatever that is."""
_CAF_ABOUT: Final = 32
"""Bytes of what describes the sound."""
_ALAC_HEAD: Final = 7
_ALAC_IS_SHORT: Final = 36
"""Of the bits of a packet's head, counted from behind, that which says that its length follows."""
_BOXES: Final = b"ftyp moov mdat moof mfra free skip wide uuid sidx styp meta udta".split()
"""Names of those that lie in no other."""
_INDEX: Final = 1 << 20
"""More bytes than a ``sidx`` has, however large its box says that it is."""


class Extent(NamedTuple):
    """What a container says of its length, held against the file."""

    is_whole: bool = False
    """Whether it is as long as it says, so that nothing can be missing."""
    seconds: float | None = None
    """Where ffprobe cannot be asked."""
    slack: float | None = None
    """Seconds by which sound may end before that, and nothing is missing; None for what is usual."""
    late: float = 0.0
    """Seconds of silence in front, of which ffprobe does not tell."""
    samples: int = 0
    """Where the frames themselves say so."""
    parts: tuple[ByteSpan, ...] = ()
    """Of recordings that are joined in one file, and can be read one by one."""
    note: str = ""
    """What people should know of it."""
    length: float = 0.0
    """Seconds of a bare stream, its frames counted; 0 where that cannot be done."""
    played: tuple[int, int] = (0, 0)
    """Samples that the decoder puts in front, and those of the music; 0 where that is not told."""
    goes_on: bool = False
    """Whether there is more behind the sound that it counts."""
    span: ByteSpan | None = None
    """Where it lies between tags by which ffmpeg would stop, or not look at what is behind; None where it would not."""


def check_extent(path: Path, descriptor: int, passage: FileReading | None = None) -> Extent:
    """Make sure that a container is as long as it says; of one that is gone through a passage hears all.

    Raises:
        SourceError: the file is cut short, or several joined.
    """
    start, end = find_audio(path, descriptor)
    extent = _look_at_container(path, descriptor, passage, start, end)
    span = ByteSpan(start, end)
    if extent is None:
        found = examine_stream(path, descriptor, passage, start, end)
        return Extent(note=found.note, span=found.span, length=found.seconds)
    if extent.span is not None:
        span = ByteSpan(start, start + extent.span.end)
    parts = tuple(ByteSpan(start + one.start, start + one.end) for one in extent.parts)
    return extent._replace(span=span if start or extent.span else None, parts=parts)


def _look_at_container(path: Path, descriptor: int, passage: FileReading | None, start: int, end: int) -> Extent | None:
    """Look at what lies between tags, where that says anything of its length; None elsewhere."""
    window = Window(path, descriptor, room=LEAP, first=start)
    head, size = window.take(0, 16), window.size
    if head == ASF:
        asf = read_asf(path, window, Window(path, descriptor, passage, room=LEAP, first=start))
        torn = describe_torn(path) if asf.is_torn else ""
        note = torn if asf.broken is None else describe_break(path, asf.broken)
        return Extent(asf.is_whole, seconds=asf.lasts, note=note)
    if is_movie(path, descriptor):
        return Extent(_check_boxes(path, window, size))
    if head.startswith(_EBML):
        return _check_segments(path, window, size, end - start)
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        sound = read_avi(path, window, Window(path, descriptor, room=0, first=start))
        note = "" if sound.broken is None else describe_break(path, sound.broken)
        slack = None if note else sound.slack
        return Extent(
            sound.is_whole, seconds=sound.lasts, late=sound.late, slack=slack, note=note, length=sound.counted
        )
    if head.startswith(_OGG):
        return Extent(late=measure_late_flac(path, descriptor))
    if head.startswith(_FLV):
        return _check_flv(path, window, end - start)
    if head.startswith(_CAF):
        return _check_caf(path, window, end - start)
    if head.startswith(_WAVPACK):
        return _check_wavpack(path, Window(path, descriptor, passage, first=start), size)
    if head[8:12] in SVX_FORMS:
        # ffmpeg takes for sound what follows, as it counts.
        body = next((one for one in list_chunks(window, SVX, SVX.first, size) if one.name == SVX.sound), None)
        return body and Extent(is_whole=True, span=ByteSpan(0, min(body.body + body.size, size)))
    refuse_unread(path, window.take(0, 20))
    claim = check_claim(path, Window(path, descriptor, passage, room=LEAP, first=start), end - start, size)
    if claim is None:
        return None
    lost = f"{path.name} is read without its last {claim.lost} samples, which ffmpeg does not decode"
    note = lost if claim.lost else ""
    return Extent(parts=claim.parts, samples=claim.samples, goes_on=claim.goes_on, played=claim.played, note=note)


def _check_boxes(path: Path, window: Window, size: int) -> bool:
    at = last = suspect = 0
    has_index = False
    while at < size and len(head := window.take(at, 16)) >= 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if at and (name == b"ftyp" or (has_index and name == b"moov")):
            raise joined(path)
        has_index |= name == b"moov"
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or not name.strip(b"\xa9").isascii():
            # 0 is a box that reaches to the end; less than its own head is no box.
            break
        if not suspect and name not in _BOXES:
            suspect = last
        last, at = at, at + length
        end = at + _measure_indexed(window.take(last, min(length, _INDEX))) if name == b"sidx" else at
        if end > size and name in (b"mdat", b"moov", b"moof", b"sidx"):
            raise cut_short(path, 1 - size / end)
    if at != size and _find_movie(window, suspect or last, size) < size:
        raise joined(path)
    # Of a box whose head is cut its size is left, which begins with zeros; anything else was put behind the last one.
    is_begun = size - at < 8 and window.take(at, 1) == b"\0"
    if at < size and not window.is_silent(at, size) and (window.find(b"moof", at, size) < size or is_begun):
        raise damaged(path, None, "its parts do not follow each other")
    return at == size


def _find_movie(window: Window, start: int, size: int) -> int:
    """Return where another MP4 begins; the end where none does."""
    at = window.find(b"ftyp", max(start, 8), size)
    while at < size:
        length = int.from_bytes(window.take(at - 4, 4), "big")
        if window.take(at + length, 4) in _BOXES:
            return at
        at = window.find(b"ftyp", at + 1, size)
    return size


def _measure_indexed(box: bytes) -> int:
    """Return how many bytes a ``sidx`` says that follow it (ISO 14496-12, 8.16.3)."""
    wide = 8 if box[8:9] != b"\0" else 4
    first, count = box[20 + wide : 20 + 2 * wide], box[22 + 2 * wide : 24 + 2 * wide]
    sizes = range(24 + 2 * wide, 24 + 2 * wide + 12 * int.from_bytes(count, "big"), 12)
    # The highest bit says what kind of thing lies there.
    return int.from_bytes(first, "big") + sum(int.from_bytes(box[at : at + 4], "big") & 0x7FFFFFFF for at in sizes)


def _check_flv(path: Path, window: Window, size: int) -> Extent:
    """Go through the tags, of which each says how long it is, and look at the size of the whole if that is told."""
    about = window.take(0, _FLV_ABOUT)
    told = about.find(_FLV_SIZE)
    whole = struct.unpack_from(">d", about, told + len(_FLV_SIZE))[0] if 0 <= told < _FLV_ABOUT - 32 else 0.0
    at = int.from_bytes(about[5:9], "big") + 4
    while len(head := window.take(at, 11)) == 11 and head[0] & 0x1F in _FLV_TAGS and not any(head[8:]):
        at += 15 + int.from_bytes(head[1:4], "big")
    if at == size and not whole > size:
        return Extent(whole == size)
    if window.find(_FLV, len(_FLV), size) < size:
        raise joined(path)
    if at > size or whole > size:
        raise cut_short(path, 1 - size / whole if whole > size else 0.0)
    tag = window.take(at, 32)
    if window.is_silent(at, size) or at + measure_tag(tag) == size:
        return Extent(is_whole=True, span=ByteSpan(0, at))
    if whole != at:
        raise damaged(path, None, "its parts do not follow each other")
    return Extent(is_whole=True, span=ByteSpan(0, at), note=describe_rest(path, size - at))


def _check_segments(path: Path, window: Window, size: int, stop: int) -> Extent:
    """Look at a Matroska, and at those that are joined to it; ``stop`` is where tags begin that were put behind it."""
    parts, at, end = [], 0, _find_segment_end(window, 0)
    while end is not None:
        if end > size:
            raise cut_short(path, 1 - size / end)
        parts.append(ByteSpan(at, end))
        if window.take(end, 4) != _EBML:
            return Extent(is_whole=True, parts=tuple(parts) if len(parts) > 1 else ())
        at, end = end, _find_segment_end(window, end)
    note = describe_torn(path) if _ends_inside_element(path, window, at, stop) else ""
    return Extent(parts=(*parts, ByteSpan(at, size)) if parts else (), note=note)


def _ends_inside_element(path: Path, window: Window, start: int, size: int) -> bool:
    """Tell whether a Matroska ends so whose segment says no size: its clusters may say none either."""
    length, at = _read_size(window, start + 4)
    at += length or 0
    while at < size:
        name = window.take(at, 4)
        width = 9 - name[0].bit_length() if name[0] else 9
        if name == _EBML:
            raise joined(path)
        if name not in (_SEGMENT, _CLUSTER) and name[:width] not in _ELEMENTS:
            if _find_matroska(window, start + len(_EBML), size) < size:
                raise joined(path)
            return not window.is_silent(at, size)
        length, at = _read_size(window, at + width)
        if name not in (_SEGMENT, _CLUSTER):
            if length is None:
                return True
            at += length
    return at > size


def _find_matroska(window: Window, start: int, size: int) -> int:
    """Return where another Matroska begins; the end where none does."""
    at = window.find(_EBML, start, size)
    while at < size and not any(kind in window.take(at, _EBML_ROOM) for kind in _EBML_KINDS):
        at = window.find(_EBML, at + 1, size)
    return at


def _find_segment_end(window: Window, start: int) -> int | None:
    """Return where a Matroska's segment ends; None where its writer could not go back to say."""
    length, at = _read_size(window, start + 4)
    if length is None or window.take(at + length, 4) != _SEGMENT:
        return None
    length, at = _read_size(window, at + length + 4)
    return None if length is None else at + length


def _read_size(window: Window, at: int) -> tuple[int | None, int]:
    """Read a number of EBML; return it, or None for "unknown", and where it ends."""
    data = window.take(at, 8)
    width = 9 - data[0].bit_length() if data and data[0] else 9
    if width > 8 or len(data) < width:
        return None, at
    highest = (1 << 7 * width) - 1
    value = int.from_bytes(data[:width], "big") & highest
    return (None if value == highest else value), at + width


def _check_caf(path: Path, window: Window, end: int) -> Extent:
    """Go through the chunks; some writers count the last packet of ALAC as if it were as long as the others."""
    at, stop = _CAF_FIRST, end
    chunks: dict[bytes, ByteSpan] = {}
    while at < end and len(head := window.take(at, _CAF_CHUNK)) == _CAF_CHUNK:
        length = int.from_bytes(head[4:], "big")
        if length == _CAF_OPEN:
            return Extent()
        if not head.strip(b"\0") and window.is_silent(at, end):
            # ffmpeg takes zeros for a damaged chunk.
            stop = at
            break
        at += _CAF_CHUNK + length
        if at > window.size and head.startswith(b"data"):
            raise cut_short(path, (at - window.size) / length)
        chunks.setdefault(head[:4], ByteSpan(at - length, min(at, window.size)))
    if 0 < end - at < _CAF_CHUNK:
        stop = at
    seconds = _measure_packed(path, window, chunks)
    if stop < end:
        return Extent(is_whole=True, span=ByteSpan(0, stop), seconds=seconds)
    if at != end and window.find(_CAF_BEGIN, _CAF_FIRST, end) < end:
        raise joined(path)
    return Extent(at in (end, window.size), seconds=seconds)


def _measure_packed(path: Path, window: Window, chunks: dict[bytes, ByteSpan]) -> float | None:
    """Measure ALAC or FLAC in CAF by what its packets say themselves; None elsewhere, and where others are counted."""
    about, table, sound = (chunks.get(name, ByteSpan(0, 0)) for name in (b"desc", b"pakt", b"data"))
    head = window.take(about.start, _CAF_ABOUT)
    packed = window.take(table.start, table.end - table.start)
    if len(head) < _CAF_ABOUT or head[8:12] not in (b"alac", b"flac") or len(packed) < CAF_TABLE:
        return None
    rate, usual = struct.unpack_from(">d", head)[0], int.from_bytes(head[20:24], "big")
    packets, frames, rest = struct.unpack_from(">QQq", packed)
    sizes = list_packets(path, packed, sound.end - sound.start - 4)
    if not sizes or rest or not rate > 0 or frames != packets * usual:
        return None
    if head[8:12] == b"flac":
        # ffmpeg counts packets of another size, and an empty one.
        size = next((size for size in reversed(sizes) if size), 0)
        first = read_frame(window.take(sound.start + 4, FLAC_HEADER), 0)
        ending = read_frame(window.take(sound.end - size, FLAC_HEADER), first.block if first else 0)
        return ending.end / rate if ending else None
    packet = int.from_bytes(window.take(sound.end - sizes[-1], _ALAC_HEAD), "big")
    last = min(usual, packet >> 1 & 0xFFFFFFFF) if packet >> _ALAC_IS_SHORT & 1 else usual
    return float((frames - usual + last) / rate)


def _check_wavpack(path: Path, window: Window, size: int) -> Extent:
    """Go through the blocks: each says which samples it holds, and one that is shorter than the first is the last."""
    at = begin = first = last = end = body = shift = told = 0
    tags: list[bytes] = []
    while at < size and len(head := window.take(at, _WAVPACK_HEAD)) == _WAVPACK_HEAD:
        if not head.startswith(_WAVPACK):
            if not (tag := measure_tag(head)):
                break
            at += tag
            tags.append(head[:3])
            continue
        length, total, index, samples, flags = struct.unpack_from("<4xI4x4I", head)
        told = told or total
        if length < _WAVPACK_HEAD - 8:
            raise damaged(path, None, _WAVPACK_ODD)
        if samples and flags & _WAVPACK_FIRST:
            if first and index == 0:
                raise joined(path)
            if first and (index != end & _WAVPACK_MOST or flags & _WAVPACK_SHIFT != shift):
                raise damaged(path, None, _WAVPACK_ODD)
            first, last, end, shift = first or samples, samples, index + samples, flags & _WAVPACK_SHIFT
        begin = at
        at = body = begin + 8 + length
        if at > size:
            raise cut_short(path)
    # What is left for the end is put into two blocks of one length.
    is_whole = last < first and told - end not in (last, last + 1)
    if at == size and tags in ([], [b"APE"]):
        return Extent(is_whole, samples=end)
    # What follows the last may be tags, of which ffmpeg knows one, or zeros; in front of others it is damage.
    following = window.find(_WAVPACK, begin + len(_WAVPACK), size)
    if following == size:
        return Extent(is_whole, samples=end, span=ByteSpan(0, body))
    if not any(window.take(following + 16, 4)):
        raise joined(path)
    raise damaged(path, None, _WAVPACK_ODD)
