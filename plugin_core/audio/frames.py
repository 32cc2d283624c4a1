"""What the headers of frames say that lie end to end, of streams without a container."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

from plugin_core.audio.source_file import Window

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
_DTS_BLOCKS: Final = (8, 16, 32, 64, 128)
"""Of 32 samples, in a frame that is not the last."""
_AC3_RATES: Final = (48000, 44100, 32000)
_AC3_KILOBITS: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)
_AC3_LATEST, _EAC3_LATEST = 10, 16
"""The highest versions of AC-3, and of E-AC-3."""
_AC3_SAMPLES: Final = 1536
_AC3_BLOCK: Final = 256
_AAC_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_SAMPLES: Final = 1024
ADTS_HEADER: Final = 6
"""Bytes that tell the size."""
_AMR_SIZES: Final = {
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1),
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
}
"""By how a file begins: bytes of a frame of each mode."""
_AMR_SECONDS: Final = 0.02
_PIECE: Final = 1 << 16
_GSM_SIZE: Final = 33
_GSM_MARK: Final = 13
GSM_START: Final = 12 * _GSM_SIZE
"""So many frames that begin alike are no chance."""
_SUM_END: Final = 6
"""Where the checksum of a frame of MPEG audio ends, if it has one."""
_VBRI_PLACE: Final = 36
_MARKS: Final = (b"Info", b"Xing")
_NAMES: Final = (b"LAME", b"Lavf", b"Lavc")
_NAME, _SILENCE, _TAG_SUM = 120, 21, 34
"""Where the encoder's name stands, counted from the mark; its silence, and the checksum of all that, from the name."""
_ALL_FLAGS: Final = b"\0\0\0\x0f"
_SUMMED: Final = 190
_POLYNOMIAL: Final = 0xA001
MOST_SILENCE: Final = 2880
"""More samples than an encoder adds on either side."""
USUAL_DELAY: Final = 576
"""Samples that most encoders add in front."""
LENGTH_HEAD: Final = 44
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


def measure_adts(header: bytes) -> int:
    """Return the bytes of a frame of AAC in ADTS (ISO 13818-7) that begins with these six or more; 0 for none."""
    is_adts = len(header) >= ADTS_HEADER and header[0] == 0xFF and header[1] & 0xF6 == 0xF0
    return (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5 if is_adts else 0


def read_adts(head: bytes) -> StreamFrame | None:
    """Read a header of AAC in ADTS."""
    size, rate = measure_adts(head), head[2] >> 2 & 15 if len(head) > ADTS_HEADER else len(_AAC_RATES)
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
    if field(32, 1) and blocks not in _DTS_BLOCKS:
        return None
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


class LengthFrame(NamedTuple):
    """What a Xing, Info or VBRI frame says of the frames that follow, and where it says so."""

    frames: int
    frames_at: int
    size: int
    """In bytes, its own frame included; 0 where it does not say."""
    size_at: int
    data: bytes = b""
    """All of it."""
    mark: int = 0
    name: int = 0
    """Where in it the encoder's name begins, which says how much silence it added; 0 where none does."""
    is_played: bool = False
    """Whether libmpg123 takes it for music, and guesses the length (VBRI)."""
    mended: Mapping[int, bytes] = {}
    """What is to stand in the file so that libmpg123 sees it: zeros in front of the mark, the mark, and its flags."""

    @property
    def silence(self) -> tuple[int, int]:
        """Samples that the encoder added in front and at the end."""
        number = int.from_bytes(self.data[self.name + _SILENCE : self.name + _SILENCE + 3], "big")
        return number >> 12, number & 0xFFF

    def is_doubtful(self, frames: int, size: int) -> bool:
        """Tell whether what it says of silence contradicts its checksum, or cannot be.

        ``frames`` and ``size`` are those that were counted: what is known otherwise may be damaged.
        """
        if not self.name:
            return False
        end = self.name + _TAG_SUM
        told, rest = self.data[end : end + 2], self.data[end + 2 :]
        if not any(told):
            return max(self.silence) > MOST_SILENCE
        counted = frames.to_bytes(4, "big") + size.to_bytes(4, "big")
        head = self.data[:_SUM_END] + bytes(self.mark - _SUM_END)
        others = (
            head + name + _ALL_FLAGS + counts + self.data[self.mark + 16 : end]
            for name in _MARKS
            for counts in (self.data[self.mark + 8 : self.mark + 16], counted)
        )
        return not any(told in _sum_tag(tag, rest) for tag in (self.data[:end], *others))

    def tell_silence(self, start: int, front: int, end: int) -> dict[int, bytes]:
        """Return what is to stand in the file, in which it lies at ``start``, so that it says another silence."""
        is_same = not self.name or (front, end) == self.silence
        return {} if is_same else {start + self.name + _SILENCE: (front << 12 | end).to_bytes(3, "big")}


def _sum_tag(tag: bytes, rest: bytes) -> Iterator[bytes]:
    """Give the checksum of what is in front of it, and as ffmpeg takes it: of so many bytes, of a shorter frame too."""
    for data in (tag, (tag + bytes(2) + rest)[:_SUMMED].ljust(_SUMMED, b"\0")):
        found = 0
        for byte in data:
            found ^= byte
            for _ in range(8):
                found = found >> 1 ^ (_POLYNOMIAL if found & 1 else 0)
        yield found.to_bytes(2, "big")


def has_length(head: bytes, frame: MpegFrame) -> bool:
    """Tell whether a frame that begins so, with ``LENGTH_HEAD`` bytes, has the mark of one that is no music."""
    return head[frame.mark : frame.mark + 4] in _MARKS or head[_VBRI_PLACE : _VBRI_PLACE + 4] == b"VBRI"


def read_length(data: bytes, at: int, frame: MpegFrame) -> LengthFrame | None:
    """Return what a whole frame that lies at ``at`` says of those that follow; None where it is music."""

    def number(place: int) -> int:
        return int.from_bytes(data[place : place + 4], "big")

    if data[_VBRI_PLACE : _VBRI_PLACE + 4] == b"VBRI":
        place = _VBRI_PLACE + 10
        return LengthFrame(number(place + 4), at + place + 4, number(place), at + place, is_played=True)
    mark, name = data[frame.mark : frame.mark + 4], frame.mark + _NAME
    # Behind a damaged mark or flags the name stands where it does behind all that can be said, in a frame of silence.
    is_named = data[name : name + 4] in _NAMES and not any(data[_SUM_END : frame.mark - 4])
    flags = _ALL_FLAGS[-1] if is_named else number(frame.mark + 4) * (mark in _MARKS)
    if not flags & 1:
        return None
    place = frame.mark + 8
    has_size = flags & 2
    name = place + 4 + (4 if has_size else 0) + (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    mended = {at + _SUM_END: bytes(frame.mark - _SUM_END)} if any(data[_SUM_END : frame.mark]) else {}
    if is_named and (mark not in _MARKS or data[frame.mark + 4 : place] != _ALL_FLAGS):
        mended[at + frame.mark] = (mark if mark in _MARKS else _MARKS[0]) + _ALL_FLAGS
    found = LengthFrame(
        number(place),
        at + place,
        number(place + 4) if has_size else 0,
        at + place + 4 if has_size else 0,
        data,
        frame.mark,
        name,
        mended=mended,
    )
    if data[name : name + 4] in _NAMES:
        return found
    if data[name : name + 1] == b"\0" and found.silence[0] == USUAL_DELAY and 0 < found.silence[1] <= MOST_SILENCE:
        # Without a name libmpg123 looks no further.
        return found._replace(mended={**mended, at + name: _NAMES[0]})
    return found._replace(name=0)


def holds_length(data: bytes) -> bool:
    """Tell whether what should be sound, or precedes it, is a ``LengthFrame`` of which the first bytes are damaged."""
    return any(mark in data for mark in _MARKS)


class BlockHeads(NamedTuple):
    """Of what lies in blocks of one size, how each begins."""

    size: int
    allowed: tuple[tuple[int, bytes], ...]
    """Bytes of the head of which not all are possible: where each stands in the block, and what it may be."""


def find_odd_block(window: Window, start: int, end: int, blocks: BlockHeads) -> int | None:
    """Return where a block begins as none can, between ``start`` and ``end``; None where all begin well."""
    step = max(1, _PIECE // max(1, blocks.size)) * blocks.size
    for at in range(start, end, step) if step else ():
        data = window.take(at, min(step, end - at))
        for place, allowed in blocks.allowed:
            heads = data[place :: blocks.size]
            if odd := heads.translate(None, allowed):
                return at + heads.index(odd[:1]) * blocks.size
    return None
