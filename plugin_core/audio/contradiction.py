"""Headers that contradict themselves: programs read such files differently, and each says that it read them whole."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, NamedTuple

from plugin_core.audio.envelope import find_start, list_packets
from plugin_core.audio.frames import BlockHeads
from plugin_core.audio.movie import DAMAGE, Boxes, OddBoxError, find_track, list_boxes, list_places, read_index
from plugin_core.audio.source_file import AGAIN, LEAP, Window, damaged
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_WIDTHS: Final = {b"alaw": 8, b"fl32": 32, b"fl64": 64, b"in24": 24, b"in32": 32, b"ulaw": 8}
"""QuickTime's kinds of samples, and the bits of each, whatever else is said."""
_SAID: Final = (b"NONE", b"raw ", b"sowt", b"twos")
"""Those whose bits are told."""
_BOXED: Final = (b"ipcm", b"fpcm")
"""Those whose bits are told in a box of their own."""
_WIDE: Final = 2
"""The version that has room for any rate and number of channels."""
_ENTRY: Final = 36
"""Bytes of what describes sound, in its first version."""
_ANEW: Final = f"{AGAIN}, or save it anew with the program that wrote it"

EXTENSIBLE: Final = 0xFFFE
SAMPLE_TAGS: Final = (1, 3, 6, 7, EXTENSIBLE)
"""Of a WAV's codes, those of which each sample has bytes of its own."""
_LAW_TAGS: Final = (6, 7)
"""Those of which a sample has one byte, whatever else is said."""
MS_ADPCM: Final = 2
IMA_ADPCM: Final = 0x11
GSM: Final = 0x31
GSM_BYTES: Final = 65
"""Of a block of it in a WAV."""
_G721: Final = 0x40
_PADDED_BITS: Final = 24
_SSND_HEAD: Final = 8
"""Bytes in front of an AIFF's samples."""
_AIFF_SIZES: Final = {
    b"fl32": 4,
    b"FL32": 4,
    b"fl64": 8,
    b"FL64": 8,
    b"in24": 3,
    b"in32": 4,
    **dict.fromkeys((b"alaw", b"ALAW", b"ulaw", b"ULAW"), 1),
}
"""Kinds of an AIFF's samples, and the bytes of each, whatever else is said."""
_AIFF_SAID: Final = (b"", b"NONE", b"sowt", b"twos", b"raw ")
AIFF_GSM: Final = (b"GSM ", b"agsm")
_QUICKTIME_IMA: Final = 34, 64
GSM_FRAME: Final = 33, 160
"""Bytes of a block of one channel, and its samples; of QuickTime's IMA as well."""
_ODD_WIDTHS: Final = range(1, 65)
"""Bytes that a sample of each channel may take: of others the count of samples is wrong, and not their sizes."""
_MOST_INDEX: Final = 88
"""The highest step of IMA's table."""
_INDICES: Final = bytes(range(_MOST_INDEX + 1))
_MS_BITS: Final = 4
_PREDICTORS: Final = bytes(range(7))
"""Microsoft's."""
_GSM_MARKS: Final = bytes(range(0xD0, 0xE0))
_KUKI: Final = 24
"""Bytes of what an ALAC says of itself (ALACMagicCookieDescription)."""
_CAF_HEAD: Final = 4
"""Bytes in front of its sound, an edit count."""
_TUNED: Final = bytes((40, 10, 14))
"""How all encoders of ALAC tune its Rice codes."""


class _Samples(NamedTuple):
    channels: int
    bits: int
    told: int = 0
    """Bytes that a packet takes, as is said; 0 where it is not."""
    packed: int = 1
    """Samples of each channel in a packet."""

    @property
    def size(self) -> int:
        """Bytes that one of each channel takes."""
        return self.channels * -(-self.bits // 8)


class _Tables(NamedTuple):
    """What an index says of a track of plain samples."""

    samples: _Samples
    size: int
    """Bytes that one of each channel takes; 0 or 1 for not told."""
    told: int
    """Samples in each channel."""
    chunks: tuple[tuple[int, int], ...]
    """Where each chunk lies, and how many samples of each channel are in it."""


def refuse_odd_tables(path: Path, descriptor: int) -> None:
    """Refuse an MP4 or QuickTime file of plain samples whose tables contradict each other, or lead to other bytes.

    Raises:
        SourceError: they do.
        TransientError: the disk or share does not answer.
    """
    with suppress(*DAMAGE):
        index = read_index(path, descriptor)
        if (tables := _read_tables(index)) is None:
            return
        samples = tables.samples
        if samples.told and samples.told != samples.size * samples.packed:
            raise explain_sizes(path, samples.channels * samples.packed, samples.bits, samples.told)
        if tables.size > 1 and tables.size != samples.size:
            raise explain_sizes(path, samples.channels, samples.bits, tables.size)
        held = sum(number for _, number in tables.chunks)
        if held != tables.told:
            raise explain(path, f"it has {tables.told} samples, and {held} by its chunks")
        if not _are_places_right(path, descriptor, tables, index):
            raise damaged(path, None, "its index leads to other places than its sound")


def explain_sizes(path: Path, channels: int, bits: int, width: int) -> SourceError:
    """Say of samples that they take more or fewer bytes than they have."""
    if bits == _PADDED_BITS and width == 4 * channels:
        return SourceError(
            f"{show_path(path)} says that its samples have 24 bits and take 32, which programs read differently",
            remedy="save it as 24 or 32 bits with the program that wrote it",
        )
    return explain(path, f"{channels} samples of {bits} bits take {width} bytes")


def explain(path: Path, says: str) -> SourceError:
    """Say of a file that what it says is read differently."""
    return SourceError(f"{show_path(path)} says that {says}, which programs read differently", remedy=_ANEW)


class SoundHeader(NamedTuple):
    """What the header of a WAV, W64, AIFF or CAF says of its sound."""

    order: Literal["little", "big"]
    chunks: Mapping[bytes, bytes]
    """The beginnings of those that describe it, by name."""
    size: int
    """Bytes of the sound."""

    def read(self, name: bytes, at: int, width: int = 2) -> int:
        return int.from_bytes(self.chunks[name][at : at + width], self.order)

    @property
    def tag(self) -> int:
        """The code of a WAV's sound: what is meant where that is told further behind."""
        code = self.read(b"fmt ", 0)
        return self.read(b"fmt ", 24) if code == EXTENSIBLE else code

    @property
    def head(self) -> int:
        """Bytes in front of the samples."""
        if b"COMM" in self.chunks:
            return _SSND_HEAD + self.read(b"SSND", 0, 4)
        return _CAF_HEAD if b"desc" in self.chunks else 0


class _Sizes(NamedTuple):
    """What a header says of a sample of each channel."""

    channels: int
    bits: int
    width: int
    """Bytes that they take together."""
    size: int
    """Bytes of one."""


def refuse_odd_header(path: Path, said: SoundHeader) -> None:
    """Refuse sound whose sizes by channels and bits are others than by blocks: what programs read then differs.

    Raises:
        SourceError: they are.
    """
    if b"fmt " in said.chunks:
        _refuse_odd_blocks(path, said)
    elif b"COMM" in said.chunks:
        _refuse_odd_aiff(path, said)
    elif said.chunks.get(b"desc", b"")[8:12] == b"alac":
        _refuse_odd_alac(path, said)
    sizes = _read_sizes(said)
    if sizes is not None and sizes.width not in (0, sizes.channels * sizes.size):
        raise explain_sizes(path, sizes.channels, sizes.bits, sizes.width)


def describe_rate(path: Path, said: SoundHeader) -> str:
    """Say of plain samples in a WAV that they have another rate by the bytes of a second."""
    (rate, second), width = (said.read(b"fmt ", at, 4) for at in (4, 8)), measure_sample(said)
    is_told = 0 < width <= second and said.tag in SAMPLE_TAGS and not said.read(b"fmt ", 14) % 8
    if not is_told or abs(second - rate * width) < width:  # Less than a sample is no other rate.
        return ""
    return f"{path.name} says {rate} Hz, and {second / width:.0f} Hz by its bytes a second: the first may be wrong"


def measure_sample(said: SoundHeader) -> int:
    """Return the bytes of a sample of each channel, or of what is coded together; 0 where that is not told."""
    if b"fmt " in said.chunks:
        code, (channels, width, bits) = said.tag, (said.read(b"fmt ", at) for at in (2, 12, 14))
        if code in SAMPLE_TAGS:
            return channels * (1 if code in _LAW_TAGS else -(-bits // 8))
        return width if code in (MS_ADPCM, IMA_ADPCM, GSM, _G721) else 0
    if b"COMM" in said.chunks:
        blocks = dict.fromkeys(AIFF_GSM, GSM_FRAME[0]) | {b"ima4": _QUICKTIME_IMA[0]}
        return said.read(b"COMM", 0) * (blocks.get(said.chunks[b"COMM"][18:22]) or _read_aiff_size(said))
    return said.read(b"desc", 16, 4) if b"desc" in said.chunks else 0


def _read_aiff_size(said: SoundHeader) -> int:
    code = said.chunks[b"COMM"][18:22]
    return _AIFF_SIZES.get(code, -(-said.read(b"COMM", 6) // 8) if code in _AIFF_SAID else 0)


def _read_sizes(said: SoundHeader) -> _Sizes | None:
    """Return what is said of samples of which each has bytes of its own; None where nothing can contradict it."""
    if b"fmt " in said.chunks:
        code, (channels, width, bits) = said.tag, (said.read(b"fmt ", at) for at in (2, 12, 14))
        rate, second = (said.read(b"fmt ", at, 4) for at in (4, 8))
        size = 1 if code in _LAW_TAGS else -(-bits // 8)
        # Where all but one of the numbers agree, decoders do as well.
        is_agreed = second == rate * channels * size and second != rate * width
        return _Sizes(channels, bits, width, size) if code in SAMPLE_TAGS and not is_agreed else None
    if (about := said.chunks.get(b"desc", b""))[8:12] in (b"lpcm", b"alaw", b"ulaw"):
        width, frames, channels, bits = (said.read(b"desc", at, 4) for at in (16, 20, 24, 28))
        size = -(-bits // 8) if about[8:12] == b"lpcm" else 1
        return _Sizes(channels, bits, width, size) if frames == 1 else None
    return None


def _refuse_odd_blocks(path: Path, said: SoundHeader) -> None:
    """Refuse ADPCM whose blocks cannot hold as many samples as is said."""
    code, channels, width, bits = (said.read(b"fmt ", at) for at in (0, 2, 12, 14))
    head = {IMA_ADPCM: 4, MS_ADPCM: 7}.get(code, 0) * channels
    if not head:
        return
    first = 1 if code == IMA_ADPCM else 2
    # Of Microsoft's no decoder asks for the bits.
    bits = bits if code == IMA_ADPCM else _MS_BITS
    samples, rest = divmod(8 * (width - head), bits * channels) if bits else (0, 1)
    told = said.read(b"fmt ", 18)
    if width <= head or (rest and code == IMA_ADPCM) or told not in (0, samples + first):
        raise explain(path, f"blocks of {width} bytes hold {told} samples of {bits} bits in {channels} channels")


def _refuse_odd_aiff(path: Path, said: SoundHeader) -> None:
    """Refuse an AIFF of which the samples are no multiple of what is said, or begin too late."""
    channels, frames, bits = said.read(b"COMM", 0), said.read(b"COMM", 2, 4), said.read(b"COMM", 6)
    code, late, there = said.chunks[b"COMM"][18:22], said.read(b"SSND", 0, 4), said.size - _SSND_HEAD
    if not frames or there <= 0:
        return
    if code in AIFF_GSM:
        width, samples = GSM_FRAME
        held = there // width
        # The field counts packets by its specification, and samples by what libsndfile writes.
        if held and frames not in (held, *range((held - 1) * samples + 1, held * samples + 1)):
            raise explain(path, f"it has {frames} samples, and {held * samples} by its blocks")
        needed = held * width
    elif code == b"ima4":
        needed = frames * channels * _QUICKTIME_IMA[0]
    elif (size := _read_aiff_size(said)) or code in _AIFF_SAID:
        needed = frames * channels * size
        width, rest = divmod(there - late, frames)
        if not rest and width in _ODD_WIDTHS and width != channels * size:
            raise explain_sizes(path, channels, bits, width)
    else:
        return
    if late and needed == there:
        raise explain(path, f"its sound begins {late} bytes later than there is room for")


def _refuse_odd_alac(path: Path, said: SoundHeader) -> None:
    """Refuse ALAC in CAF whose two descriptions differ."""
    cookie = said.chunks.get(b"kuki", b"")
    # Some writers put it into two boxes, as in an MP4.
    cookie = cookie[cookie.find(b"alac\0\0\0\0") + 8 :] if cookie[4:8] == b"frma" else cookie
    if len(cookie) < _KUKI:
        return
    rate = struct.unpack_from(">d", said.chunks[b"desc"])[0]
    usual, channels = (said.read(b"desc", at, 4) for at in (20, 24))
    frames, clock = (int.from_bytes(cookie[at : at + 4], "big") for at in (0, 20))
    if (usual, channels) != (frames, cookie[9]) or clock not in (0, rate):
        raise explain(
            path,
            f"it has {channels} channels, {rate:.0f} Hz and {usual} samples in a packet, and {cookie[9]} channels,"
            f" {clock} Hz and {frames} samples by its codec",
        )
    if cookie[6:9] != _TUNED:
        raise damaged(path, None, "its magic cookie is none that an encoder writes")
    if table := said.chunks.get(b"pakt"):
        list_packets(path, table, said.size - _CAF_HEAD)


def read_blocks(said: SoundHeader, first: bytes) -> BlockHeads | None:
    """Return how blocks begin of what is coded in such; None for other sound. ``first`` is the beginning of it."""
    kind = said.chunks.get(b"COMM", b"")[18:22] or said.chunks.get(b"desc", b"")[8:12]
    if kind == b"ima4":
        return BlockHeads(_QUICKTIME_IMA[0], ((1, bytes(byte for byte in range(256) if byte & 0x7F <= _MOST_INDEX)),))
    if kind in AIFF_GSM:
        return BlockHeads(GSM_FRAME[0], ((0, _GSM_MARKS),))
    code, channels, width = (said.read(b"fmt ", at) for at in (0, 2, 12)) if b"fmt " in said.chunks else (0, 0, 0)
    if code == MS_ADPCM:
        return BlockHeads(width, tuple((at, _PREDICTORS) for at in range(channels)))
    if code == IMA_ADPCM:
        # Whoever writes other than 0 behind the index does so in all blocks.
        quiet = [at for at in range(3, 4 * channels, 4) if first[at : at + 1] == b"\0"]
        return BlockHeads(width, tuple((at, b"\0") for at in quiet) + tuple((at - 1, _INDICES) for at in quiet))
    return None


def _read_tables(index: memoryview) -> _Tables | None:
    """Read those of the first track with sound; None where it holds no plain samples, or the index is damaged."""
    track = find_track(index)
    if track is None:
        return None
    content = Boxes(track).inside(b"mdia", b"minf").only(b"stbl")
    tables = Boxes(content)
    samples = _read_samples(tables.only(b"stsd"))
    if samples is None:
        return None
    size, count = struct.unpack_from(">II", tables.only(b"stsz"), 4)
    return _Tables(samples, size, count, tuple(_list_chunks(content)))


def _list_chunks(content: memoryview) -> Iterator[tuple[int, int]]:
    """Give where each chunk of a track lies, and how many samples are in it, by its tables; none if one is cut."""
    tables, places = Boxes(content), list(list_places(content))
    if int.from_bytes(tables.only(b"stco", b"co64")[4:8], "big") == len(places):
        yield from zip(places, _list_numbers(tables.only(b"stsc"), len(places)), strict=True)


def _list_others(index: memoryview) -> Iterator[tuple[int, int]]:
    """Give where the chunks of other tracks begin and end, of which each sample has a size of its own."""
    for track in Boxes(index).all(b"trak"):
        with suppress(*DAMAGE):
            content = Boxes(track).inside(b"mdia", b"minf").only(b"stbl")
            table = Boxes(content).only(b"stsz")
            sizes = [size for (size,) in struct.iter_unpack(">I", table[12:])] if not any(table[4:8]) else []
            at = 0
            for start, number in _list_chunks(content) if sizes else ():
                yield start, start + sum(sizes[at : at + number])
                at += number


def _read_samples(described: memoryview) -> _Samples | None:
    """Read what describes plain samples (QuickTime File Format, ISO 23003-5); None where that is something else."""
    entry = described[8:]
    if len(entry) < _ENTRY:
        return None
    code = bytes(entry[4:8])
    version, channels, bits = (int.from_bytes(entry[at : at + 2], "big") for at in (16, 24, 26))
    if version == _WIDE:
        channels, _, bits, _, told, number = struct.unpack_from(">IIIIII", entry, _ENTRY + 12)
        return _Samples(channels, bits, told, number) if channels and bits else None
    if code in _BOXED:
        about = Boxes(entry[_ENTRY : int.from_bytes(entry[:4], "big")]).only(b"pcmC")
        return _Samples(channels, about[5]) if channels and about[5] else None
    bits = _WIDTHS.get(code, bits if code in _SAID else 0)
    packed, _, told, _ = struct.unpack_from(">IIII", entry, _ENTRY) if version == 1 else (0, 0, 0, 0)
    return _Samples(channels, bits, *((told, packed) if told and packed else ())) if channels and bits else None


def _list_numbers(table: memoryview, chunks: int) -> Iterator[int]:
    """Give how many samples are in each chunk: an entry counts up to the next one's first chunk."""
    (count,) = struct.unpack_from(">I", table, 4)
    entries = [entry[:2] for entry in struct.iter_unpack(">III", table[8 : 8 + 12 * count])]
    firsts = [first for first, _ in entries]
    if firsts[:1] != [1] or firsts != sorted(set(firsts)):
        entries = [(1, 0)]
    for (first, number), (following, _) in pairwise([*entries, (chunks + 1, 0)]):
        yield from [number] * (min(following, chunks + 1) - first)


def _are_places_right(path: Path, descriptor: int, tables: _Tables, index: memoryview) -> bool:
    """Tell whether chunks lie in the boxes of media, in no other's place, and without a gap if there is no other."""
    start, size, boxes = find_start(path, descriptor), tables.samples.size, []
    with suppress(OddBoxError):
        # A tag that somebody put behind them is none: those in front of it are.
        for box in list_boxes(path, descriptor):
            boxes += [(box.content - start, box.end - start)] if box.name == b"mdat" else []
    chunks = sorted((at, at + number * size) for at, number in tables.chunks if number)
    if not all(any(begin <= one[0] and one[1] <= end for begin, end in boxes) for one in chunks):
        return False
    own = set(chunks)
    everything = sorted(own.union(_list_others(index)))
    is_shared = any(one[1] > two[0] != one[0] and (one in own or two in own) for one, two in pairwise(everything))
    if is_shared or len(Boxes(index).all(b"trak")) > 1:
        return not is_shared
    window = Window(path, descriptor, room=LEAP, first=start)
    gaps = [(one[1], two[0]) for one, two in pairwise(chunks) if one[1] < two[0]]
    within = [gap for gap in gaps if any(begin <= gap[0] and gap[1] <= end for begin, end in boxes)]
    # Some programs begin each chunk at a round place.
    return all(window.is_silent(*gap) for gap in within)
