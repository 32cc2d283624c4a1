"""The size that the header of a WAV, AIFF, AU, CAF, W64 or RF64 gives its sound, held against the file.

A recorder that crashed leaves 0, or what it last wrote; sizes beyond 4 GiB wrap. What follows the sound is then neither
a chunk nor padding, but more of it; or another file, joined to this one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from plugin_core.audio.envelope import find_end
from plugin_core.audio.info import ByteSpan, FileLayout, Structure, lay_out
from plugin_core.audio.mpeg import examine_mpeg
from plugin_core.audio.source_file import AGAIN, LEAP, SLACK_BYTES, Window, cut_short, joined
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_UNKNOWN: Final = (
    range(0x7FFF0000, 0x80000000),
    range(0xFFFF0000, 0x100000000),
    range(0x7FFFFFFFFFFF0000, 0x8000000000000000),
    range(0xFFFFFFFFFFFF0000, 0x10000000000000000),
)
"""Sizes written by programs that could not go back to fill in the true one (ffmpeg, sox into a pipe)."""
_TO_THE_END: Final = b"\xff\xff\xff\xff"
_SLOPPY_BYTES: Final = 64
"""Some programs count their own header among the sound; more than that is missing."""
_MOST_IN_WAV: Final = 0xFFFF0000
_MPEG_TAGS: Final = (0x50, 0x55)
_EXTENSIBLE: Final = 0xFFFE
_SAMPLE_TAGS: Final = (1, 3, 6, 7, _EXTENSIBLE)
"""Of a WAV's codes, those of which each sample has bytes of its own."""
_BLOCK_CODES: Final = (b"ima4", b"GSM ", b"agsm", b"dwvw", b"DWVW", b"ADP4", b"MAC3", b"MAC6")
"""Of an AIFF's, those of which it has not."""
_LAW_TAGS: Final = (6, 7)
"""Those of which a sample has one byte, whatever else is said."""
_GSM: Final = 0x31
_ADPCM_TAGS: Final = (2, 0x11)
"""Of which a block may end early: of its part ffmpeg gives what there is, and libsndfile nothing."""
_SSND_HEAD: Final = 8
"""Bytes in front of an AIFF's samples."""
_PCM: Final = 1
_PADDED_BITS: Final = 24
_MOST_CHUNKS: Final = 10_000


class _Kind(NamedTuple):
    order: Literal["little", "big"]
    first: int
    """Where the first chunk is."""
    sound: bytes
    name: int = 4
    """Bytes of a chunk's name, and of its size."""
    width: int = 4
    align: int = 2


_KINDS: Final = {
    b"RIFF": _Kind("little", 12, b"data"),
    b"RF64": _Kind("little", 12, b"data"),
    b"RIFX": _Kind("big", 12, b"data"),
    b"FORM": _Kind("big", 12, b"SSND"),
    b"caff": _Kind("big", 8, b"data", width=8, align=1),
    b"riff": _Kind("little", 40, b"data", name=16, width=8, align=8),
}
_ALIKE: Final = {b"BW64": b"RF64"}
"""Kinds that are another by another name, which libsndfile does not know."""
_SVX: Final = _Kind("big", 12, b"BODY")
_SVX_FORMS: Final = (b"8SVX", b"16SV")
"""The Amiga's kinds of a FORM."""
_PLAIN: Final = {b".snd": _Kind("big", 0, b""), b"dns.": _Kind("little", 0, b"")}
"""AU has a head and no chunks."""


class _Chunk(NamedTuple):
    name: bytes
    size_at: int
    body: int
    size: int
    next: int


class _Recording(NamedTuple):
    """One file's sound, in what may be several files joined."""

    start: int
    magic: bytes
    kind: _Kind
    size_at: int
    body: int
    told: int
    """Bytes of sound that the header counts."""
    next: int
    """Where something else should follow."""
    chunks: dict[bytes, _Chunk]

    @property
    def is_told(self) -> bool:
        return not any(self.told in sizes for sizes in _UNKNOWN)


class _Behind(NamedTuple):
    """What follows the sound that a header counts."""

    seam: int | None = None
    """Where another file begins."""
    is_sound: bool = False


def examine_pcm(path: Path, descriptor: int, start: int) -> Structure | None:
    """Hold the size that a header at ``start`` gives the sound against the file; None where that is of another kind.

    Raises:
        SourceError: it ends before its sound is whole.
    """
    window = Window(path, descriptor, room=LEAP)
    size, end = os.fstat(descriptor).st_size, find_end(path, descriptor)
    magic = window.take(start, 4)
    layouts: list[FileLayout] = []
    told = there = missing = 0
    is_tagged, is_wrong = start > 0, False
    while (one := _read_recording(window, start, size)) is not None:
        _refuse_contradiction(path, window, one)
        is_mpeg = _holds_mpeg(window, one)
        behind = _look_behind(window, one, end) if one.is_told else _Behind()
        until = size if behind.seam is None else behind.seam
        has = until - one.body if behind.is_sound or not one.is_told else min(one.told, until - one.body)
        missing = one.told - has if one.is_told and not behind.is_sound else 0
        is_blocked = _is_blocked(window, one)
        if missing > (0 if is_mpeg or is_blocked else _SLOPPY_BYTES) and not _is_as_long_as_it_says(window, one, until):
            raise cut_short(path, missing / one.told)
        if is_mpeg:
            found = examine_mpeg(path, descriptor, ByteSpan(one.body, one.body + has))
            if behind.seam is not None:
                raise joined(path)
            return found and msgspec.structs.replace(found, container="WAV")
        is_patched = behind.is_sound or one.magic == b"caff" or (one.magic == b"RIFF" and has >= _MOST_IN_WAV)
        is_odd = has & 1 and has == one.told and _is_odd(window, one)
        # In W64, SVX, and AU that is not plain PCM, libsndfile takes for sound what follows it.
        is_closed = one.magic in (b"riff", *_PLAIN) or one.kind is _SVX
        stop = one.body + has if is_closed or one.magic == b"caff" else until
        is_more = is_closed and stop < until
        is_wrong |= bool(_rename(window, one))
        is_wrong |= behind.is_sound or is_odd or is_more or (is_patched and (missing > 0 or not one.is_told))
        told, there = told + (one.told if one.is_told else has), there + has
        layouts.append(
            _lay_out_odd(one, one.body + has) if is_odd else _lay_out(window, one, stop, is_patched=is_patched)
        )
        if behind.seam is None:
            if len(layouts) == 1 and not is_wrong and _needs_ffmpeg(window, one, has):
                return Structure(needs_ffmpeg=True)
            break
        start = behind.seam
    # libsndfile looks behind a tag for an MP3 alone.
    is_wrong |= is_tagged
    if not layouts and magic == b"riff":
        # libsndfile finds sound in a damaged one, and takes floats for integers.
        return Structure(needs_ffmpeg=True)
    if not layouts or not (is_wrong or missing or len(layouts) > 1):
        return None
    return Structure(
        layouts=tuple(layouts) if is_wrong or len(layouts) > 1 else (),
        told=told / there if told != there else None,
        container="WAV" if magic == b"RIFF" else "",
    )


def holds_another(path: Path, descriptor: int) -> bool:
    """Tell whether a WAV begins inside a file: it was joined to one that is cut, whose size leads into its sound."""
    window = Window(path, descriptor)
    return window.find(b"WAVEfmt ", 16, window.size) < window.size


def _read_recording(window: Window, start: int, size: int) -> _Recording | None:
    magic = _read_magic(window, start)
    if (plain := _PLAIN.get(magic)) is not None:
        head = window.take(start + 4, 8)
        body, told = (int.from_bytes(head[place : place + 4], plain.order) for place in (0, 4))
        return _Recording(start, magic, plain, start + 8, start + body, told, start + body + told, {})
    kind = _SVX if window.take(start + 8, 4) in _SVX_FORMS else _KINDS.get(magic)
    if kind is None:
        return None
    chunks: dict[bytes, _Chunk] = {}
    for chunk in _list_chunks(window, kind, start + kind.first, size):
        name = chunk.name[:4]
        chunks.setdefault(name, chunk)
        if name == kind.sound:
            wide = chunks.get(b"ds64") if magic == b"RF64" else None
            told = chunk.size if wide is None else int.from_bytes(window.take(wide.body + 8, 8), "little")
            after = chunk.next if wide is None else chunk.body + told + (told & 1)
            return _Recording(start, magic, kind, chunk.size_at, chunk.body, told, after, chunks)
    return None


def _read_magic(window: Window, start: int) -> bytes:
    magic = window.take(start, 4)
    return _ALIKE.get(magic, magic)


def _list_chunks(window: Window, kind: _Kind, start: int, end: int) -> Iterator[_Chunk]:
    at = start
    for _ in range(_MOST_CHUNKS):
        data = window.take(at, kind.name + kind.width)
        if at >= end or len(data) < kind.name + kind.width:
            return
        size_at, body = at + kind.name, at + len(data)
        size = int.from_bytes(data[kind.name :], kind.order)
        if kind.name > 4:
            # The names that are not four letters count themselves.
            size = max(0, size - len(data))
        following = body + size + -size % kind.align
        yield _Chunk(data[: kind.name], size_at, body, size, following)
        at = following


class _Sizes(NamedTuple):
    """What a header says of a sample of each channel."""

    channels: int
    bits: int
    width: int
    """Bytes that they take together."""
    size: int
    """Bytes of one."""


def _refuse_contradiction(path: Path, window: Window, one: _Recording) -> None:
    """Refuse samples that by channels and bits have other sizes than by blocks: what programs read then differs."""
    sizes = _read_sizes(window, one)
    if sizes is None or sizes.width in (0, sizes.channels * sizes.size):
        return
    shown = show_path(path)
    if sizes.bits == _PADDED_BITS and sizes.width == 4 * sizes.channels:
        raise SourceError(
            f"{shown} says that its samples have 24 bits and take 32, which programs read differently",
            remedy="save it as 24 or 32 bits with the program that wrote it",
        )
    raise SourceError(
        f"{shown} says that {sizes.channels} samples of {sizes.bits} bits take {sizes.width} bytes, which programs read"
        " differently",
        remedy=f"{AGAIN}, or save it anew with the program that wrote it",
    )


def _read_sizes(window: Window, one: _Recording) -> _Sizes | None:
    """Return what is said of samples of which each has bytes of its own; None where nothing can contradict it."""
    if (about := one.chunks.get(b"fmt ")) is not None:
        code, channels, width, bits = (_read_field(window, one, about.body + at) for at in (0, 2, 12, 14))
        rate, second = (_read_field(window, one, about.body + at, 4) for at in (4, 8))
        size = 1 if code in _LAW_TAGS else -(-bits // 8)
        # Where all but one of the numbers agree, decoders do as well.
        is_agreed = second == rate * channels * size and second != rate * width
        return _Sizes(channels, bits, width, size) if code in _SAMPLE_TAGS and not is_agreed else None
    if (about := one.chunks.get(b"desc")) is not None and window.take(about.body + 8, 4) == b"lpcm":
        width, frames, channels, bits = (_read_field(window, one, about.body + at, 4) for at in (16, 20, 24, 28))
        return _Sizes(channels, bits, width, -(-bits // 8)) if frames == 1 else None
    if (about := one.chunks.get(b"COMM")) is not None and window.take(about.body + 18, 4) == b"sowt":
        # ffmpeg takes them for 16 bits.
        channels, bits = (_read_field(window, one, about.body + at) for at in (0, 6))
        frames, size = _read_field(window, one, about.body + 2, 4), -(-bits // 8)
        width = (one.told - _SSND_HEAD) // frames if frames else 0
        return _Sizes(channels, bits, width, size) if size != 2 else None
    return None


def _read_field(window: Window, one: _Recording, at: int, width: int = 2) -> int:
    return int.from_bytes(window.take(at, width), one.kind.order)


def _holds_mpeg(window: Window, one: _Recording) -> bool:
    return _read_code(window, one) in _MPEG_TAGS


def _is_blocked(window: Window, one: _Recording) -> bool:
    """Tell whether samples are coded together, so that of a part of the last block's bytes the decoder makes noise."""
    if one.magic == b"FORM":
        about = one.chunks.get(b"COMM")
        return about is not None and window.take(about.body + 18, 4) in _BLOCK_CODES
    return _read_code(window, one) not in (*_SAMPLE_TAGS, None)


def _is_odd(window: Window, one: _Recording) -> bool:
    """Tell whether libsndfile takes the byte that makes a size even for sound."""
    return one.kind.width == 4 and (_read_code(window, one) == _GSM or one.kind is _SVX)


def _needs_ffmpeg(window: Window, one: _Recording, size: int) -> bool:
    """Tell whether libsndfile would not give all that there is, or other samples."""
    if one.magic == b"FORM":
        # Each block of QuickTime's IMA goes on where the one before it ended.
        about = one.chunks.get(b"COMM")
        return about is not None and window.take(about.body + 18, 4) == b"ima4"
    if _read_code(window, one) not in _ADPCM_TAGS:
        return False
    width = _read_field(window, one, one.chunks[b"fmt "].body + 12)
    return width > 0 and size % width > 0


def _read_code(window: Window, one: _Recording) -> int | None:
    """Return the code of what a WAV or W64 holds; None for other kinds of files."""
    about = one.chunks.get(b"fmt ")
    return None if about is None or one.kind.sound != b"data" else _read_field(window, one, about.body)


def _is_as_long_as_it_says(window: Window, one: _Recording, until: int) -> bool:
    """Tell whether the size of the whole is right, so that what is wrong can only be that of the sound."""
    at = {b"RF64": one.chunks[b"ds64"].body if b"ds64" in one.chunks else 0, b"riff": one.start + 16}.get(one.magic)
    if at is None:
        size = int.from_bytes(window.take(one.start + 4, 4), one.kind.order) + 8
    else:
        size = int.from_bytes(window.take(at, 8), one.kind.order) + (8 if one.magic == b"RF64" else 0)
    return one.magic not in (b"caff", *_PLAIN) and until - one.start - size in (0, 1)


def _look_behind(window: Window, one: _Recording, end: int) -> _Behind:
    is_counted = one.magic in (b"caff", *_PLAIN) or _is_as_long_as_it_says(window, one, end)
    if end - one.next <= (_SLOPPY_BYTES if is_counted else SLACK_BYTES):
        return _Behind()
    for at in dict.fromkeys((one.next, one.body + one.told)):
        seam = _find_seam(window, one, at, end)
        if seam is not None:
            return _Behind(seam=seam) if seam < end else _Behind()
    return _Behind(is_sound=not one.told or not window.is_silent(one.next, end))


def _find_seam(window: Window, one: _Recording, at: int, end: int) -> int | None:
    """Follow the chunks behind the sound to where another file begins, or to the end; None if they are no chunks."""
    if _read_magic(window, at) == one.magic:
        return at
    if one.magic in _PLAIN:
        return None
    for chunk in _list_chunks(window, one.kind, at, end):
        name = chunk.name[:4]
        begin = chunk.size_at - len(chunk.name)
        if _ALIKE.get(name, name) == one.magic:
            return begin
        if not all(32 <= byte < 127 for byte in name) or chunk.body + chunk.size > end + 1:
            # Zeros after the last chunk are padding.
            return end if window.is_silent(begin, end) else None
    return end


def _lay_out(window: Window, one: _Recording, until: int, *, is_patched: bool) -> FileLayout:
    rest = until - one.body
    patches = _rename(window, one)
    if not is_patched:
        pass
    elif one.magic == b"RF64":
        if (wide := one.chunks.get(b"ds64")) is not None:
            patches |= {wide.body: _write_sizes(window, one, until, 0)}
    elif one.magic == b"RIFF" and rest >= _MOST_IN_WAV:
        return _lay_out_wide(window, one, until)
    elif one.magic == b"FORM":
        patches |= {one.start + 4: (until - one.start - 8).to_bytes(4, "big"), one.size_at: rest.to_bytes(4, "big")}
    elif one.kind.width == 8:
        counted = rest + (one.kind.name + one.kind.width if one.magic == b"riff" else 0)
        patches[one.size_at] = counted.to_bytes(8, one.kind.order)
    else:
        patches[one.size_at] = _TO_THE_END
    return lay_out(one.start, until, patches)


def _rename(window: Window, one: _Recording) -> dict[int, bytes]:
    """Return what libsndfile is told instead: the name of a kind, and in a W64 what an extensible header means."""
    patches = {one.start: one.magic} if window.take(one.start, 4) != one.magic else {}
    about = one.chunks.get(b"fmt ")
    if one.magic == b"riff" and about is not None and _read_code(window, one) == _EXTENSIBLE:
        meant = window.take(about.body + 24, 2)
        # It takes all of them for integers.
        patches |= {about.body: meant} if int.from_bytes(meant, "little") in _SAMPLE_TAGS[1:-1] else {}
    return patches


def _lay_out_odd(one: _Recording, until: int) -> FileLayout:
    """Leave out the byte that makes the size even, which libsndfile takes for sound, or for a block that is begun."""
    size = until - one.body - (one.magic == b"RIFF")
    return lay_out(one.start, until, {one.size_at: size.to_bytes(4, one.kind.order)})


def _lay_out_wide(window: Window, one: _Recording, until: int) -> FileLayout:
    """Lay out a WAV of more than its 4 GiB as what it should be, an RF64."""
    added = b"ds64" + (28).to_bytes(4, "little")
    added += _write_sizes(window, one, until, len(added) + 28) + bytes(4)
    head = b"RF64" + _TO_THE_END + b"WAVE" + added
    first = one.start + one.kind.first
    return FileLayout((head, ByteSpan(first, one.size_at), _TO_THE_END, ByteSpan(one.body, until)))


def _write_sizes(window: Window, one: _Recording, until: int, added: int) -> bytes:
    """Return the three sizes of a ds64: all, the sound, and its samples in each channel."""
    about, rest = one.chunks.get(b"fmt "), until - one.body
    width = int.from_bytes(window.take(about.body + 12, 2), "little") if about else 1
    numbers = (until - one.start - 8 + added, rest, rest // max(1, width))
    return b"".join(number.to_bytes(8, "little") for number in numbers)
