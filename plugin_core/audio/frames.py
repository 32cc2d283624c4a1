"""What the headers of frames say that lie end to end, of streams without a container; of Musepack, what all say."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.envelope import measure_tag
from plugin_core.audio.source_file import Window, cut_short, damaged, joined

_VERSIONS: Final = {3: 0, 2: 1, 0: 2}
"""Of the two bits in the header: MPEG-1, MPEG-2, MPEG-2.5; the sample rates are halved each time."""

_RATES: Final = (44100, 48000, 32000)

_LAYERS: Final = {3: 1, 2: 2, 1: 3}

_KILOBITS: Final = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By whether it is MPEG-1, and the layer (ISO 11172-3 and 13818-3)."""


AC3: Final = b"\x0b\x77"
DTS: Final = (b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8")
"""How a frame begins: words of 16 bits, the same with their bytes swapped, words of 14 bits, and these swapped."""
_DTS_MORE: Final = b"\x64\x58\x20\x25"
"""What extends the frame in front of it (DTS-HD)."""
_DTS_RATES: Final = (0, 8000, 16000, 32000, 0, 0, 11025, 22050, 44100, 0, 0, 12000, 24000, 48000)
_AC3_RATES: Final = (48000, 44100, 32000)
_AC3_KILOBITS: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)
_AC3_LATEST, _EAC3_LATEST = 10, 16
"""The highest versions of AC-3, and of E-AC-3."""
_AC3_SAMPLES: Final = 1536
_AC3_BLOCK: Final = 256
_AAC_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_SAMPLES: Final = 1024
_AMR_SIZES: Final = {
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1),
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
}
"""By how a file begins: bytes of a frame of each mode."""
_AMR_SECONDS: Final = 0.02
_GSM_SIZE: Final = 33
_GSM_MARK: Final = 13
GSM_START: Final = 12 * _GSM_SIZE
"""So many frames that begin alike are no chance."""
_PACKETS: Final = b"MPCK"
MUSEPACK: Final = (_PACKETS, b"MP+")
"""How versions 8 and 7 begin."""
_MUSEPACK_DELAY: Final = 481
"""Samples that its decoder gives before the first of the music."""
_MUSEPACK_FRAME: Final = 1152
"""Samples in each channel of a frame, of which a packet holds 1, 4, 16 or more."""
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
FRAME_HEAD: Final = 16
"""Enough of a frame to read its header."""


class StreamFrame(NamedTuple):
    """What a header says."""

    size: int
    seconds: float
    """0 where that is not told, or where it belongs to the frame in front of it."""
    kind: tuple[int, ...] = ()
    """Sample rate and channels; empty where that is not told."""


FrameReader = Callable[[bytes], StreamFrame | None]
"""Reads a header, of up to ``FRAME_HEAD`` bytes; None where they are none."""


def choose_reader(head: bytes) -> FrameReader | None:
    """Return what reads the headers of a stream that begins so; None where it is none that we know."""
    readers = (read_ac3, read_adts, read_dts, read_loas)
    return next((read for read in readers if read(head) is not None), None)


def choose_amr(head: bytes) -> tuple[int, FrameReader] | None:
    """Return where the first frame of an AMR is, and what reads them; None where it is none."""
    mark = next((mark for mark in _AMR_SIZES if head.startswith(mark)), None)
    return (len(mark), partial(_read_amr, _AMR_SIZES[mark])) if mark is not None else None


def _read_amr(sizes: tuple[int, ...], head: bytes) -> StreamFrame | None:
    # The highest bit, and the two lowest, are padding; zeros alone are no frame.
    size = sizes[head[0] >> 3 & 15] if any(head) and not head[0] & 0x83 else 0
    return StreamFrame(size, _AMR_SECONDS) if size else None


def read_gsm(head: bytes) -> StreamFrame | None:
    """Read what begins a frame of GSM 06.10: no more than half a byte is the same in all."""
    return StreamFrame(_GSM_SIZE, _AMR_SECONDS) if head and head[0] >> 4 == _GSM_MARK else None


def is_gsm(start: bytes) -> bool:
    """Tell whether the first frames of a stream are GSM 06.10's."""
    return len(start) >= GSM_START and all(read_gsm(start[at:]) for at in range(0, GSM_START, _GSM_SIZE))


def read_ac3(head: bytes) -> StreamFrame | None:
    """Read a header of AC-3 or E-AC-3 (ETSI TS 102 366)."""
    if len(head) < 8 or not head.startswith(AC3):
        return None
    rate, version = head[4] >> 6, head[5] >> 3
    if version > _AC3_LATEST:
        return _read_eac3(head, rate) if version <= _EAC3_LATEST else None
    number, mode = head[4] & 63, head[6] >> 5
    if rate == 3 or number >= 2 * len(_AC3_KILOBITS):
        return None
    kilobits, hertz = _AC3_KILOBITS[number >> 1], _AC3_RATES[rate]
    words = kilobits * 96000 // hertz + (number & 1 if hertz == 44100 else 0)
    # Three fields of two bits may be in front of the low channel's.
    skipped = 2 * ((mode & 1 and mode != 1) + bool(mode & 4) + (mode == 2))
    low = int.from_bytes(head[6:8], "big") >> 12 - skipped & 1
    halved = max(0, version - 8)
    seconds = _AC3_SAMPLES / (hertz >> halved)
    return StreamFrame(2 * words, seconds, (hertz >> halved, _AC3_CHANNELS[mode] + low))


def _read_eac3(head: bytes, rate: int) -> StreamFrame | None:
    size, code = 2 * ((head[2] & 7) << 8 | head[3]) + 2, head[4] >> 4 & 3
    if head[2] & 0xF8 not in (0, 0x80):
        # It extends the frame in front of it, or is of another programme.
        return StreamFrame(size, 0.0)
    if rate == code == 3:
        return None
    # Of half the rates the code tells which, and there are always six blocks.
    hertz, blocks = (_AC3_RATES[code] >> 1, 6) if rate == 3 else (_AC3_RATES[rate], (1, 2, 3, 6)[code])
    channels = _AC3_CHANNELS[head[4] >> 1 & 7] + (head[4] & 1)
    return StreamFrame(size, blocks * _AC3_BLOCK / hertz, (hertz, channels))


def read_adts(head: bytes) -> StreamFrame | None:
    """Read a header of AAC in ADTS (ISO 13818-7)."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    size, rate = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5, head[2] >> 2 & 15
    if size <= 7 or rate >= len(_AAC_RATES):
        return None
    samples = _AAC_SAMPLES * ((head[6] & 3) + 1)
    return StreamFrame(size, samples / _AAC_RATES[rate], (_AAC_RATES[rate], (head[2] & 1) << 2 | head[3] >> 6))


def read_loas(head: bytes) -> StreamFrame | None:
    """Read a header of AAC in LATM, within LOAS (ISO 14496-3)."""
    if len(head) < 3 or head[0] != 0x56 or head[1] & 0xE0 != 0xE0:
        return None
    return StreamFrame(3 + ((head[1] & 0x1F) << 8 | head[2]), 0.0)


def read_dts(head: bytes) -> StreamFrame | None:
    """Read the header of a frame of DTS, or of what extends it (ETSI TS 102 114)."""
    if len(head) < FRAME_HEAD or not head.startswith((*DTS, _DTS_MORE)):
        return None
    if head.startswith(_DTS_MORE):
        number = int.from_bytes(head[4:12], "big")
        return StreamFrame((number >> 27 & 0xFFFFF if number >> 53 & 1 else number >> 35 & 0xFFFF) + 1, 0.0)
    form = DTS.index(head[:4])
    words = struct.unpack(">8H" if form in (0, 2) else "<8H", head[:16])
    bits = 16 if form < 2 else 14
    number = 0
    for word in words:
        number = number << bits | word & (1 << bits) - 1

    def field(start: int, width: int) -> int:
        return number >> 8 * bits - start - width & (1 << width) - 1

    blocks, mode, rate, low = field(39, 7) + 1, field(60, 6), field(66, 4), field(85, 2)
    hertz = _DTS_RATES[rate] if rate < len(_DTS_RATES) else 0
    seconds = blocks * 32 / hertz if hertz else 0.0
    return StreamFrame((field(46, 14) + 1) * 16 // bits, seconds, (hertz, mode, int(low > 0)) if hertz else ())


class MpegFrame(NamedTuple):
    """What a frame's header says."""

    kind: tuple[int, int]
    """Version, layer and sample rate: the same in every frame of a stream."""
    size: int
    samples: int
    rate: int
    is_mono: bool
    mark: int
    """Where "Xing" or "Info" stands in a frame that has it."""
    is_free: bool = False
    """Whether the header names no bit rate, and by that no size."""


def read_frame(header: bytes) -> MpegFrame | None:
    """Return what the four bytes of a header say; None where they are none (ISO 11172-3 and 13818-3)."""
    if len(header) < 4:
        return None
    version, layer = _VERSIONS.get(header[1] >> 3 & 3), _LAYERS.get(header[1] >> 1 & 3)
    rate, bits = header[2] >> 2 & 3, header[2] >> 4
    if header[0] != 0xFF or header[1] < 0xE0 or version is None or layer is None or rate == 3 or not 0 < bits < 15:
        return None
    samples = 384 if layer == 1 else 576 if layer == 3 and version else 1152
    # Layer I counts in slots of four bytes.
    slot = 4 if layer == 1 else 1
    bytes_a_second = _KILOBITS[version == 0, layer][bits - 1] * 125
    hertz = _RATES[rate] >> version
    size = (samples * bytes_a_second // (hertz * slot) + (header[2] >> 1 & 1)) * slot
    is_mono = header[3] >> 6 == 3
    mark = 4 + ((17 if is_mono else 32) if version == 0 else (9 if is_mono else 17))
    return MpegFrame((header[1] & 0xFE, rate), size, samples, hertz, is_mono, mark)


def measure_free_frame(data: bytes) -> int:
    """Return the size of the frames of free format, whose bit rate no header names, that begin here; 0 if none do."""
    if _read_free(data[:4]) is None:
        return 0
    at = data.find(data[:2], 4)
    while at >= 0:
        # A frame may have a slot of padding: of layer I, of four bytes.
        if _is_like(data, at) and any(_is_like(data, 2 * at + slot) for slot in (0, -1, 1, -4, 4)):
            return at
        at = data.find(data[:2], at + 1)
    return 0


def _read_free(header: bytes) -> MpegFrame | None:
    """Return what the header of a frame of free format says, but for its size."""
    if len(header) < 4 or header[2] >= 0x10:
        return None
    frame = read_frame(bytes([*header[:2], header[2] | 0x90, header[3]]))
    return frame and frame._replace(is_free=True)


def read_sized(first: bytes, size: int) -> Callable[[bytes], MpegFrame | None]:
    """Return what reads headers of free format: all frames have the size of the first, but for padding."""

    def read(header: bytes) -> MpegFrame | None:
        frame = _read_free(header)
        slot = 4 if frame is not None and _LAYERS[header[1] >> 1 & 3] == 1 else 1
        return frame and frame._replace(size=size + slot * ((header[2] >> 1 & 1) - (first[2] >> 1 & 1)))

    return read


def _is_like(data: bytes, at: int) -> bool:
    """Tell whether a header like the first one is there, but for padding, and what may differ from frame to frame."""
    head = data[at : at + 4]
    return len(head) == 4 and head[:2] == data[:2] and head[2] & 0xFC == data[2] & 0xFC and (head[3] ^ data[3]) < 64


def read_musepack(path: Path, window: Window, end: int, size: int) -> tuple[int, int]:
    """Return how many samples a decoder of Musepack puts in front, and how many follow; 0 where that is not told.

    Args:
        path: the file.
        window: on it.
        end: where tags begin that programs put behind it.
        size: of the file.

    Raises:
        SourceError: it ends before its last frame, counts wrong, or several are joined.
    """
    return _read_packets(path, window, size) if window.take(0, 4) == _PACKETS else _read_frames(path, window, end)


def _read_packets(path: Path, window: Window, size: int) -> tuple[int, int]:
    """Go through the packets of version 8, of which each says what it is, and how long."""
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
            if window.take(at + measure_tag(window.take(at, 32)), len(_PACKETS)) == _PACKETS:
                raise joined(path)
            if most - count < front + samples <= most:
                return front, samples
            raise damaged(path, None, _MISCOUNTED)
    raise cut_short(path)


def _read_frames(path: Path, window: Window, end: int) -> tuple[int, int]:
    """Go through the frames of version 7: each begins with its bits, wherever the one in front of it ended."""
    told, gapless = (int.from_bytes(window.take(place, 4), "little") for place in (4, 20))
    place = window.find(MUSEPACK[1], 1, window.size)
    while place < window.size and not _is_musepack(window, place):
        place = window.find(MUSEPACK[1], place + 1, window.size)
    if place < window.size:
        raise joined(path)
    count, at = _pass_frames(window, _MUSEPACK_FIRST, told, 8 * end)
    more, after = _pass_frames(window, at, _MUSEPACK_FRAMES, 8 * end)
    if not told or ((count < told or more) and _is_end(window, after, 8 * end)):
        raise damaged(path, None, _MISCOUNTED)
    if count < told and not _take_bits(window, at, _MUSEPACK_SIZE):
        raise damaged(path, count * _MUSEPACK_FRAME / _RATES[window.take(10, 1)[0] & 3])
    if count < told or 8 * end - at < _MUSEPACK_LAST:
        raise cut_short(path, 1 - count / told)
    # The samples of the last frame stand behind it, and in headers of later encoders; the decoder gives all of it.
    last, again = _take_bits(window, at, _MUSEPACK_LAST), (gapless >> 20 & 0x7FF) * (gapless >> 31)
    if last > _MUSEPACK_FRAME or (last and again and last != again):
        raise damaged(path, None, _MISCOUNTED)
    samples = (told - 1) * _MUSEPACK_FRAME + (last or _MUSEPACK_FRAME)
    return _MUSEPACK_DELAY, min(samples, told * _MUSEPACK_FRAME - _MUSEPACK_DELAY)


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
    """Return a number of seven bits a byte, the highest first, and where it ends."""
    number = 0
    for place, byte in enumerate(window.take(at, 9)):
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            return number, at + place + 1
    return number, at + 9
