"""How long files of rarely met kinds say that they are: ffmpeg plays what is there, and does not look.

PAF, IRCAM and PVF say nothing: what is there is read.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.envelope import find_next, list_numbers
from plugin_core.audio.info import ByteSpan
from plugin_core.audio.source_file import LEAP, Window, cut_short, damaged, joined
from plugin_core.audio.streams import SHORTEN, check_shorten
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_ODD: Final = -1
_SLACK_BYTES: Final = 64
"""More than that is sound: a byte is a sample of some, at 8 kHz."""
_VOC_KINDS: Final = range(1, 10)
"""Of blocks; 0 is the last one, and has no size."""
_ADX_SAMPLES: Final = 32
"""In each channel of a block."""
_WVE_HEAD: Final = 32
_NIST_HEAD: Final = re.compile(rb"NIST_1A\n *(\d+)\n")
_NIST_FIELD: Final = re.compile(rb"^(\w+) -\w+ (\S+)", re.MULTILINE)
_TAGS: Final = (b"TAG", b"ID3", b"APE")
_PLAIN_CODINGS: Final = (b"pcm", b"ulaw", b"mu-law", b"alaw")
_HEADS: Final = 64
"""More bytes than a line of PVF's header has."""
_IRCAM: Final = (b"\x64\xa3\x01\0", b"\0\x01\xa3\x64", b"\x64\xa3\x02\0", b"\x64\xa3\x03\0", b"\0\x03\xa3\x64")
_WTV: Final = bytes.fromhex("b7d800203749da11a64e0007e95ead8d")
_MONKEY: Final = b"MAC "
_MONKEY_SUMMED: Final = 3980
"""The version from which on it says where it ends, and has a checksum of the whole."""
_TAK: Final = b"tBaK"
_TAK_LAST: Final = 7
_COUNTED: Final = (_MONKEY, _TAK)
"""Behind which more is no sound of theirs."""
_TTA: Final = b"TTA1"
_TTA_HEAD: Final = 22
_REAL_CHUNKS: Final = (b".RMF", b"PROP", b"CONT", b"MDPR", b"DATA", b"INDX", b"RMMD", b"RJMD", b"RMJE")
_PACKETS: Final = b"MPCK"
_FRAMES: Final = b"MP+"
"""How versions 8 and 7 of Musepack begin."""
_MUSEPACK_DELAY: Final = 481
"""Samples that its decoder gives before the first of the music."""
_MUSEPACK_FRAME: Final = 1152
"""Samples in each channel of a frame, of which a packet holds 1, 4, 16 or more."""
_MUSEPACK_RATES: Final = (44100, 48000, 37800, 32000)
_LEAST_PACKET: Final = 3
_CHECKSUM_AND_VERSION: Final = 5
_MUSEPACK_VERSION: Final = 7
_MUSEPACK_FRAMES: Final = 1 << 24
"""More than five days of sound have."""
_MUSEPACK_BANDS: Final = 32
_MUSEPACK_FIRST, _MUSEPACK_SIZE, _MUSEPACK_LAST = 200, 20, 11
"""Bits of the header, of what says how long a frame is, and of what follows the last one."""
_WORD_BITS: Final = 32
_MISCOUNTED: Final = "its header counts other samples than it holds"


class LengthClaim(NamedTuple):
    """What a file says of its length."""

    parts: tuple[ByteSpan, ...] = ()
    """Where its recordings lie, if their decoder would take for sound what follows."""
    samples: int = 0
    """What a decoder gives of them, in each channel, where it would stop early without a word."""
    goes_on: bool = False
    """Whether more follows than padding."""
    played: tuple[int, int] = (0, 0)
    """Samples that a decoder puts in front, and those that follow; 0 where that is not told."""
    lost: int = 0
    """Samples at the end that ffmpeg does not give."""


def check_claim(path: Path, window: Window, end: int, size: int) -> LengthClaim | None:
    """Return what a file of a rarely met kind says of its length; None for other kinds.

    Args:
        path: the file.
        window: on it.
        end: where tags begin that programs put behind it.
        size: of the file.

    Raises:
        SourceError: it is cut short, or does not end where it says.
    """
    head = window.take(0, 20)
    if head.startswith(SHORTEN):
        return LengthClaim(samples=check_shorten(path, window, end))
    if head.startswith(_TTA):
        _check_tta(path, window, end)
        return LengthClaim()
    if head.startswith(_PACKETS):
        return _read_packets(path, window, size)
    if head.startswith(_FRAMES):
        return _read_frames(path, window, end)
    mark = next((one for one in _KINDS if head.startswith(one)), None)
    if mark is None:
        return None
    at, parts, measure = 0, [], _KINDS[mark]
    while claimed := measure(window, at):
        if claimed == _ODD:
            raise SourceError(f"{show_path(path)} goes on after it says that it ends", remedy="convert it to WAV first")
        if at + claimed > size:
            raise cut_short(path, 1 - size / (at + claimed))
        parts.append(ByteSpan(at, at + claimed))
        if mark == _MONKEY and not _fits_checksum(window, at):
            raise damaged(path, None, "its checksum does not fit")
        at += claimed
        # The byte that ends a VOC is a zero.
        following = find_next(window, at, size)
        if window.take(following, len(mark)) != mark:
            # A tag may be cut.
            if mark in (_MONKEY, _TAK) and window.find(head[:6], at, size) < size:
                raise joined(path)
            break
        if mark not in _SLICED:
            raise joined(path)
        at = following
    if mark not in _SLICED or (len(parts) < 2 and at in (0, size) and end == size):
        return LengthClaim(samples=_count_adx(window) if parts and measure is _measure_adx else 0)
    if not parts or measure is _measure_alike:
        return LengthClaim((*parts[:-1], ByteSpan(parts[-1].start if parts else 0, end)))
    goes_on = mark not in _COUNTED and end - at > _SLACK_BYTES and not window.is_silent(at, end)
    # What follows is sound that was not counted.
    return LengthClaim((*parts[:-1], ByteSpan(parts[-1].start, end if goes_on else at)), goes_on=goes_on)


def _check_tta(path: Path, window: Window, end: int) -> None:
    """Hold a TTA against its table of frames.

    Raises:
        SourceError: it is cut short, or several are joined.
    """
    head = window.take(0, _TTA_HEAD)
    rate, samples = (int.from_bytes(head[place : place + 4], "little") for place in (10, 14))
    if len(head) < _TTA_HEAD or not rate or not samples:
        return
    count = -(-samples // (256 * rate // 245))
    if 4 * count > end:
        raise cut_short(path)
    table = window.take(_TTA_HEAD, 4 * count)
    total = _TTA_HEAD + 4 * count + 4
    total += sum(int.from_bytes(table[place : place + 4], "little") for place in range(0, len(table), 4))
    if total > end:
        raise cut_short(path, 1 - end / total)
    if window.find(head[:6], total, end) < end:
        raise joined(path)


def _read_monkey(window: Window, at: int) -> list[int]:
    """Return the sizes of what a Monkey's Audio holds, but for its frames' higher half; none before version 3.98."""
    version, *sizes = struct.unpack("<4xH2x7I", window.take(at, 36).ljust(36, b"\0"))
    descriptor, header, seek, wave, frames, higher, tail = sizes
    return [descriptor, header + seek, wave + (higher << 32) + frames + tail] if version >= _MONKEY_SUMMED else []


def _measure_monkey(window: Window, at: int) -> int:
    return sum(_read_monkey(window, at)) or _measure_alike(window, at)


def _fits_checksum(window: Window, at: int) -> bool:
    """Tell whether a Monkey's Audio is what its MD5 says: ffmpeg does not look at it, nor at those of frames."""
    told = window.take(at + 36, 16)
    if not (sizes := _read_monkey(window, at)) or not any(told):
        return True
    descriptor, header, sound = sizes
    found, begin = hashlib.md5(usedforsecurity=False), at + descriptor + header
    about = window.take(at + descriptor, header)
    for place in range(begin, begin + sound, LEAP):
        found.update(window.take(place, min(LEAP, begin + sound - place)))
    found.update(about)
    return found.digest() == told


def _measure_tak(window: Window, start: int) -> int:
    """Measure a TAK by the place and size that it tells of its last frame; 0 where it does not."""
    at, last = start + len(_TAK), 0
    while len(head := window.take(at, 15)) >= 4 and (kind := head[0] & 0x7F):
        if kind == _TAK_LAST:
            last = int.from_bytes(head[4:9], "little") + int.from_bytes(head[9:12], "little")
        at += 4 + int.from_bytes(head[1:4], "little")
    return at + 4 + last - start if last else 0


def _measure_nist(window: Window, at: int) -> int:
    """Measure a NIST SPHERE; 0 where it counts nothing, or is packed."""
    size = _NIST_HEAD.match(window.take(at, 16))
    head = window.take(at, int(size[1])) if size else b""
    told = dict(_NIST_FIELD.findall(head))
    if told.get(b"sample_coding", b"pcm") not in _PLAIN_CODINGS:
        return 0
    sound = [told.get(name, b"") for name in (b"sample_count", b"channel_count", b"sample_n_bytes")]
    return len(head) + math.prod(map(int, sound)) if all(one.isdigit() and int(one) for one in sound) else 0


def _measure_maud(window: Window, at: int) -> int:
    size = int.from_bytes(window.take(at + 4, 4), "big")
    return 8 + size + size % 2 if window.take(at + 8, 4) == b"MAUD" else 0


def _measure_apm(window: Window, start: int) -> int:
    return int.from_bytes(window.take(start + 24, 4), "little") if window.take(start + 20, 4) == b"vs12" else 0


def _measure_argo(window: Window, start: int) -> int:
    """Measure a sound of Argonaut's games: blocks of 32 samples, of which ffmpeg gives as many as are counted."""
    (head,) = struct.unpack("<I", window.take(start + 12, 4).ljust(4, b"\0"))
    blocks, samples, flags = struct.unpack("<II8xI", window.take(start + head, 20).ljust(20, b"\0"))
    size = int(head + 20 + blocks * (samples // 2 + 1) * (1 + (flags >> 1 & 1)))
    follows = window.take(start + size, 4)
    return size if not follows or follows.startswith((b"ASF\0", *_TAGS)) else _ODD


def _measure_alike(window: Window, at: int) -> int:
    """Measure up to where the same header stands again, or to the end."""
    head = window.take(at, _HEADS)
    head = head[: head.index(b"\n", 5) + 1] if head.startswith(b"PVF1") and b"\n" in head[5:] else head[:16]
    return window.find(head, at + len(head), window.size) - at


def _measure_voc(window: Window, start: int) -> int:
    """Go through the blocks; sox counts too little of the last one, of which the rest looks like a block."""
    at = start + int.from_bytes(window.take(start + 20, 2), "little")
    while len(head := window.take(at, 4)) == 4 and head[0]:
        if head[0] not in _VOC_KINDS:
            return _ODD
        at += 4 + int.from_bytes(head[1:], "little")
    return at - start


def _measure_sox(window: Window, start: int) -> int:
    form = "<IQ" if window.take(start, 4) == b".SoX" else ">IQ"
    head, samples = struct.unpack(form, window.take(start + 4, 12).ljust(12, b"\0"))
    return int(4 + head + 4 * samples) if samples else 0


def _measure_wve(window: Window, start: int) -> int:
    """Measure a recording of Psion's."""
    samples = int.from_bytes(window.take(start + 18, 4), "big")
    return _WVE_HEAD + samples if samples else 0


def _measure_adx(window: Window, start: int) -> int:
    head = window.take(start, 16).ljust(16, b"\0")
    note = int.from_bytes(head[2:4], "big")
    if window.take(start + note - 2, 6) != b"(c)CRI":
        return 0
    return 4 + note + _count_adx(window) // _ADX_SAMPLES * head[5] * head[7]


def _count_adx(window: Window) -> int:
    """Return the samples in each channel of whole blocks."""
    return -(-int.from_bytes(window.take(12, 4), "big") // _ADX_SAMPLES) * _ADX_SAMPLES


def _measure_real(window: Window, start: int) -> int:
    """Go through RealMedia's chunks; 0 is the size of sound whose writer could not go back to say it."""
    at = start
    while (head := window.take(at, 8))[:4] in _REAL_CHUNKS and (length := int.from_bytes(head[4:], "big")) >= 8:
        at += length
    return at - start - 10  # Bytes that ffmpeg counts and does not write.


def _read_packets(path: Path, window: Window, size: int) -> LengthClaim:
    """Go through the packets of Musepack 8, of which each says what it is, and how long.

    Raises:
        SourceError: it ends before its last one, counts wrong, or several are joined.
    """
    at, front, samples, most = len(_PACKETS), 0, 0, 0
    count = 1
    while at < size:
        key, (length, after) = window.take(at, 2), _read_number(window, at + 2)
        if at + max(length, _LEAST_PACKET) > size:
            break
        if length < after - at or not (key.isalpha() and key.isupper()):
            raise damaged(path, None, "its packets do not follow each other")
        if key == b"SH":
            head = window.take(after, at + length - after)
            if zlib.crc32(head[4:]) != int.from_bytes(head[:4], "big"):
                raise damaged(path, None, "the checksum of its header is wrong")
            samples, after = _read_number(window, after + _CHECKSUM_AND_VERSION)
            silence, after = _read_number(window, after)
            front = _MUSEPACK_DELAY + silence
            count = _MUSEPACK_FRAME << 2 * (int.from_bytes(window.take(after + 1, 1), "big") & 7)
        most += count * (key == b"AP")
        at += length
        if key == b"SE":
            if window.find(_PACKETS + b"SH", at, size) < size:
                raise joined(path)
            if most - count < front + samples <= most:
                return LengthClaim(played=(front, samples))
            raise damaged(path, None, _MISCOUNTED)
    raise cut_short(path)


def _read_frames(path: Path, window: Window, end: int) -> LengthClaim:
    """Go through the frames of Musepack 7: each begins with its bits, wherever the one in front of it ended.

    Raises:
        SourceError: as ``_read_packets``.
    """
    told, gapless = (int.from_bytes(window.take(place, 4), "little") for place in (4, 20))
    place = window.find(_FRAMES, 1, window.size)
    while place < window.size and not _is_musepack(window, place):
        place = window.find(_FRAMES, place + 1, window.size)
    if place < window.size:
        raise joined(path)
    count, at = _pass_frames(window, _MUSEPACK_FIRST, told, 8 * end)
    more, after = _pass_frames(window, at, _MUSEPACK_FRAMES, 8 * end)
    if not told or ((count < told or more) and _is_end(window, after, 8 * end)):
        raise damaged(path, None, _MISCOUNTED)
    if count < told and not _take_bits(window, at, _MUSEPACK_SIZE):
        raise damaged(path, count * _MUSEPACK_FRAME / _MUSEPACK_RATES[window.take(10, 1)[0] & 3])
    if count < told or 8 * end - at < _MUSEPACK_LAST:
        raise cut_short(path, 1 - count / told)
    # The samples of the last frame stand behind it, and in headers of later encoders; the decoder gives all of it.
    last, again = _take_bits(window, at, _MUSEPACK_LAST), (gapless >> 20 & 0x7FF) * (gapless >> 31)
    if last > _MUSEPACK_FRAME or (last and again and last != again):
        raise damaged(path, None, _MISCOUNTED)
    samples = (told - 1) * _MUSEPACK_FRAME + (last or _MUSEPACK_FRAME)
    given = min(samples, told * _MUSEPACK_FRAME - _MUSEPACK_DELAY)
    # The frame in which the sound dies away is not counted, and ffmpeg does not decode it.
    is_dying, _ = _pass_frames(window, at + _MUSEPACK_LAST, 1, 8 * end)
    return LengthClaim(played=(_MUSEPACK_DELAY, given), lost=is_dying * (samples - given))


def _pass_frames(window: Window, at: int, most: int, end: int) -> tuple[int, int]:
    """Pass over as many frames as there are, and return how many, and the bit at which they end."""
    for count in range(most):
        size = _take_bits(window, at, _MUSEPACK_SIZE)
        if not size or at + _MUSEPACK_SIZE + size > end:
            return count, at
        at += _MUSEPACK_SIZE + size
    return most, at


def _is_end(window: Window, at: int, end: int) -> bool:
    """Tell whether no more is left than a number, a frame in which the sound dies away, and less than two words."""
    at += _MUSEPACK_LAST
    dying = _MUSEPACK_SIZE + _take_bits(window, at, _MUSEPACK_SIZE)
    return 0 <= end - at < 2 * _WORD_BITS or 0 <= end - at - dying < 2 * _WORD_BITS


def _take_bits(window: Window, at: int, width: int) -> int:
    """Return a number of bits, of words of which the lowest byte is first."""
    words = window.take(at // _WORD_BITS * 4, 8).ljust(8, b"\0")
    number = int.from_bytes(words[3::-1] + words[:3:-1], "big")
    return number >> 2 * _WORD_BITS - at % _WORD_BITS - width & (1 << width) - 1


def _is_musepack(window: Window, start: int) -> bool:
    """Tell whether a version, a number of frames and one of bands that can be stand behind the mark."""
    version, frames, bands = struct.unpack("<3xBI3xB", window.take(start, 12).ljust(12, b"\0"))
    return bool(version & 15 == _MUSEPACK_VERSION and 0 < frames < _MUSEPACK_FRAMES and bands & 63 < _MUSEPACK_BANDS)


def _read_number(window: Window, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte and where it ends."""
    data = window.take(at, 9)
    width = next((place for place, byte in enumerate(data, 1) if not byte & 0x80), 9)
    return next(list_numbers(data[:width] + b"\0"), 0), at + width


_KINDS: Final[dict[bytes, Callable[[Window, int], int]]] = {
    b"Creative Voice ": _measure_voc,
    b".SoX": _measure_sox,
    b"XoS.": _measure_sox,
    b"ALawSoundFile**": _measure_wve,
    b"\x80\x00": _measure_adx,
    b".RMF": _measure_real,
    b"NIST_1A\n": _measure_nist,
    b"FORM": _measure_maud,
    _MONKEY: _measure_monkey,
    _TAK: _measure_tak,
    b" paf": _measure_alike,
    b"fap ": _measure_alike,
    b"PVF1\n": _measure_alike,
    b"\0\x20": _measure_apm,
    b"STRM": _measure_alike,
    b"MMMD": _measure_alike,
    b"ASF\0": _measure_argo,
    _WTV: _measure_alike,
    **dict.fromkeys(_IRCAM, _measure_alike),
}
_SLICED: Final = frozenset(_KINDS) - {b"Creative Voice ", b"\x80\x00", b".RMF"}
"""Of which ffmpeg reads one that lies in the middle of a file."""
