"""The size that the header of a WAV, AIFF, AU, CAF, W64 or RF64 gives its sound, held against the file.

A recorder that crashed leaves 0, or what it last wrote; sizes beyond 4 GiB wrap. What follows the sound is then neither
a chunk nor padding, but more of it; or another file, joined to this one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from plugin_core.audio.contradiction import (
    AIFF_GSM,
    EXTENSIBLE,
    GSM,
    GSM_BYTES,
    GSM_FRAME,
    IMA_ADPCM,
    MS_ADPCM,
    SAMPLE_TAGS,
    SoundHeader,
    describe_rate,
    explain,
    measure_sample,
    read_blocks,
    refuse_odd_header,
)
from plugin_core.audio.envelope import (
    ALIKE,
    CHUNKED,
    PLAIN,
    SAYING,
    SVX,
    SVX_FORMS,
    UNKNOWN_SIZES,
    Chunk,
    ChunkKind,
    find_end,
    find_next,
    holds_another,
    list_chunks,
    read_magic,
)
from plugin_core.audio.frames import find_odd_block
from plugin_core.audio.info import ByteSpan, FileLayout, Structure, lay_out
from plugin_core.audio.mpeg import examine_mpeg
from plugin_core.audio.source_file import LEAP, SLACK_BYTES, FileReading, Window, cut_short, damaged, joined

_TO_THE_END: Final = b"\xff\xff\xff\xff"
_SLOPPY_BYTES: Final = 64
"""Some programs count their own header among the sound; more than that is missing."""
_MOST_IN_WAV: Final = 0xFFFF0000
_MPEG_TAGS: Final = (0x50, 0x55)
_BLOCK_CODES: Final = (b"ima4", *AIFF_GSM, b"dwvw", b"DWVW", b"ADP4", b"MAC3", b"MAC6")
"""Of an AIFF's, those of which it has not."""
_ADPCM_TAGS: Final = (MS_ADPCM, IMA_ADPCM)
"""Of which a block may end early: of its part ffmpeg gives what there is, and libsndfile nothing."""
_FEW_BYTES: Final = 7
"""Less than a chunk has: where nothing says how long the whole is, more may be anything."""
_LINE_ENDS: Final = b"\r\n\x1a\4\0"
"""What text editors and old transfers leave behind a file."""
_SVX_STEREO: Final = 6
_AU_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
"""Bytes of a sample, by AU's codes."""


class _Recording(NamedTuple):
    """One file's sound, in what may be several files joined."""

    start: int
    magic: bytes
    kind: ChunkKind
    size_at: int
    body: int
    told: int
    """Bytes of sound that the header counts."""
    next: int
    """Where something else should follow."""
    chunks: dict[bytes, Chunk]

    @property
    def is_told(self) -> bool:
        return self.kind is SVX or not any(self.told in sizes for sizes in UNKNOWN_SIZES)


class _Behind(NamedTuple):
    """What follows the sound that a header counts."""

    seam: int | None = None
    """Where another file begins."""
    is_sound: bool = False


def examine_pcm(path: Path, descriptor: int, start: int, passage: FileReading | None = None) -> Structure | None:
    """Hold the size that a header at ``start`` gives the sound against the file; None where that is of another kind.

    Raises:
        SourceError: it ends before its sound is whole.
    """
    window = Window(path, descriptor, passage, room=LEAP)
    size, end = os.fstat(descriptor).st_size, find_end(path, descriptor)
    magic = window.take(start, 4)
    layouts: list[FileLayout] = []
    told, there, missing, is_tagged, is_wrong, note = 0, 0, 0, start > 0, False, ""
    while (one := _read_recording(window, start, size)) is not None:
        said = _read_said(window, one)
        is_mpeg = _holds_mpeg(window, one)
        behind = _look_behind(path, window, one, said, end) if one.is_told else _Behind()
        is_open = behind.is_sound or not one.is_told
        until = (end if is_open else size) if behind.seam is None else behind.seam
        has = until - one.body if is_open else min(one.told, until - one.body)
        missing = one.told - has if one.is_told and not behind.is_sound else 0
        is_blocked = _is_blocked(window, one)
        if missing > (0 if is_mpeg or is_blocked else _SLOPPY_BYTES) and not _is_as_long_as_it_says(window, one, until):
            raise cut_short(path, missing / one.told)
        refuse_odd_header(path, said._replace(size=has))
        note = note or (describe_rate(path, said) if b"fmt " in said.chunks else "")
        # Nothing else in an AU tells of other channels than it has.
        width = _measure_sample(window, one, said) if one.magic in PLAIN else 0
        part = has % width if width else 0
        if width and one.told % width and not is_open:
            raise explain(path, f"its sound has {one.told} bytes, of which {width} make a sample of each channel")
        if is_mpeg:
            found = examine_mpeg(path, descriptor, ByteSpan(one.body, one.body + has))
            if behind.seam is not None:
                raise joined(path)
            return found and msgspec.structs.replace(found, container="WAV")
        _refuse_odd_block(path, window, one, said, one.body + has)
        is_misread = _is_misread(one, said)
        is_joined = is_misread and (layouts or behind.seam is not None)
        if is_joined or (not one.is_told and holds_another(window, start)):
            raise joined(path)
        is_patched = behind.is_sound or one.magic == b"caff" or (one.magic == b"RIFF" and has >= _MOST_IN_WAV)
        is_patched |= one.magic == b"riff" and is_open
        is_gsm = _read_code(window, one) == GSM
        # sox counts the byte that makes a size even.
        filler = int(is_gsm and has == one.told and has % GSM_BYTES == 1)
        if is_gsm and (is_open or missing or filler):
            has, is_patched = has - has % GSM_BYTES, True
        is_odd = has & 1 and (is_open or has == one.told - filler) and _is_odd(window, one)
        # In W64, SVX, and AU that is not plain PCM, libsndfile takes for sound what follows it.
        is_closed = one.magic in (b"riff", *PLAIN) or one.kind is SVX or (is_patched and has < until - one.body)
        stop = one.body + has if is_closed or one.magic == b"caff" else until
        is_more = is_closed and stop < until
        is_wrong |= bool(_rename(window, one))
        is_wrong |= behind.is_sound or is_odd or is_more or (is_patched and (missing > 0 or not one.is_told))
        held = has - part - said.head
        told, there = told + (one.told - filler - said.head if one.is_told else held), there + held
        whole = _lay_out(window, one, stop, is_patched=is_patched)
        layouts.append(_lay_out_odd(one, one.body + has) if is_odd else whole)
        if behind.seam is None:
            if is_misread or (len(layouts) == 1 and not is_wrong and _needs_ffmpeg(window, one, has)):
                return Structure(needs_ffmpeg=True)
            break
        start = behind.seam
    # libsndfile looks behind a tag for an MP3 alone.
    is_wrong |= is_tagged
    if not layouts and (magic == b"riff" or window.take(start + 8, 4) in SVX_FORMS):
        # libsndfile finds sound in a damaged one, takes floats for integers, and padding for sound.
        return Structure(needs_ffmpeg=True)
    if not layouts or not (is_wrong or missing or told != there or note or len(layouts) > 1):
        return None
    return Structure(
        layouts=tuple(layouts) if is_wrong or len(layouts) > 1 else (),
        told=told / there if there and told != there else None,
        container="WAV" if magic == b"RIFF" else "",
        note=note,
    )


def _read_said(window: Window, one: _Recording) -> SoundHeader:
    saying = SAYING.get(one.kind, {})
    chunks = {
        name: window.take(chunk.body, min(saying[name], chunk.size))
        for name, chunk in one.chunks.items()
        if name in saying
    }
    return SoundHeader(one.kind.order, chunks, one.told)


def _read_recording(window: Window, start: int, size: int) -> _Recording | None:
    magic = read_magic(window, start)
    if (plain := PLAIN.get(magic)) is not None:
        head = window.take(start + 4, 8)
        body, told = (int.from_bytes(head[place : place + 4], plain.order) for place in (0, 4))
        return _Recording(start, magic, plain, start + 8, start + body, told, start + body + told, {})
    kind = SVX if window.take(start + 8, 4) in SVX_FORMS else CHUNKED.get(magic)
    if kind is None:
        return None
    chunks: dict[bytes, Chunk] = {}
    for chunk in list_chunks(window, kind, start + kind.first, size):
        name = chunk.name[:4]
        if name in SAYING.get(kind, {}) or name == b"ds64":
            chunks.setdefault(name, chunk)
        if name == kind.sound:
            wide = chunks.get(b"ds64") if magic == b"RF64" else None
            told = chunk.size if wide is None else int.from_bytes(window.take(wide.body + 8, 8), "little")
            after = chunk.next if wide is None else chunk.body + told + (told & 1)
            return _Recording(start, magic, kind, chunk.size_at, chunk.body, told, after, chunks)
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
    return _read_code(window, one) not in (*SAMPLE_TAGS, None)


def _is_odd(window: Window, one: _Recording) -> bool:
    """Tell whether libsndfile takes the byte that makes a size even for sound."""
    return one.kind.width == 4 and (_read_code(window, one) == GSM or one.kind is SVX)


def _needs_ffmpeg(window: Window, one: _Recording, size: int) -> bool:
    """Tell whether libsndfile would not give all that there is, or other samples."""
    if one.magic == b"FORM":
        # Each block of QuickTime's IMA goes on where the one before it ended.
        if (about := one.chunks.get(b"COMM")) is None:
            return False
        code, frames = window.take(about.body + 18, 4), _read_field(window, one, about.body + 2, 4)
        # GSM that is counted in packets libsndfile takes for as many samples.
        return code == b"ima4" or (code in AIFF_GSM and frames > 1 and 0 <= size - 8 - GSM_FRAME[0] * frames < 2)
    if _read_code(window, one) not in _ADPCM_TAGS:
        return False
    width = _read_field(window, one, one.chunks[b"fmt "].body + 12)
    return width > 0 and size % width > 0


def _is_misread(one: _Recording, said: SoundHeader) -> bool:
    """Tell whether libsndfile would take channels that follow each other for samples in turn, or ADPCM for samples."""
    if one.magic != b"riff" or b"fmt " not in said.chunks:
        return b"CHAN" in said.chunks and said.read(b"CHAN", 0, 4) == _SVX_STEREO
    return said.read(b"fmt ", 0) == EXTENSIBLE and said.tag not in SAMPLE_TAGS


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
    return one.magic not in (b"caff", *PLAIN) and until - one.start - size in (0, 1)


def _look_behind(path: Path, window: Window, one: _Recording, said: SoundHeader, end: int) -> _Behind:
    has_size = one.magic not in (b"caff", *PLAIN)
    is_counted = not has_size or _is_as_long_as_it_says(window, one, end)
    if is_counted and _lacks_a_little(window, one, said, end, _SLOPPY_BYTES if has_size else _FEW_BYTES):
        return _Behind(is_sound=True)
    if one.next >= end:
        return _Behind()
    for at in dict.fromkeys((one.next, one.body + one.told)):
        seam = _find_seam(window, one, at, end)
        if seam is not None and seam > one.start:
            return _Behind(seam=seam) if seam < end else _Behind()
    if one.told and window.is_silent(one.next, end):
        return _Behind()
    # What goes on for so long that its size began to count anew is one recording.
    if (end - one.body - one.told) % (1 << 32) and holds_another(window, one.start):
        raise joined(path)
    is_sound = end - one.next > (_SLOPPY_BYTES if is_counted else SLACK_BYTES)
    return _Behind(is_sound=is_sound and (not one.told or _find_odd_block(window, one, said, end, one.told) is None))


def _lacks_a_little(window: Window, one: _Recording, said: SoundHeader, end: int, most: int) -> bool:
    """Tell whether up to ``most`` bytes behind the sound are more of it: no chunk, no padding, and a sample."""
    begin, width, sound = one.body + one.told, _measure_sample(window, one, said), one.told - said.head
    rest = end - begin
    if not width or not 0 < rest <= most or (not sound % width and window.is_silent(begin, end)):
        return False
    names = [window.take(at, 4) for at in (begin, one.next) if end - at >= _FEW_BYTES + 1]
    last = [chunk.body + chunk.size for chunk in list_chunks(window, one.kind, one.next, end)][-1:]
    is_chunk = last == [end] or any(len(name) == 4 and all(32 <= byte < 127 for byte in name) for name in names)
    is_zero = most > _FEW_BYTES and window.is_silent(begin, end)
    is_counted = b"COMM" in said.chunks and said.read(b"COMM", 2, 4) * width == sound + rest
    is_padding = rest == 1 and sound & 1 and not is_counted and (is_zero or not sound % width)
    is_line_end = not (sound % width or window.take(begin, rest).strip(_LINE_ENDS))
    return (sound + rest) // width > sound // width and not (is_chunk or is_padding or is_line_end)


def _measure_sample(window: Window, one: _Recording, said: SoundHeader) -> int:
    """Return the bytes of a sample of each channel, or of what is coded together; 0 where that is not told."""
    if one.magic in PLAIN:
        coding, channels = (_read_field(window, one, one.start + at, 4) for at in (12, 20))
        return _AU_SIZES.get(coding, 0) * channels
    return measure_sample(said) if one.kind is not SVX else 1 + (window.take(one.start + 8, 2) == b"16")


def _find_seam(window: Window, one: _Recording, at: int, end: int) -> int | None:
    """Follow the chunks behind the sound to where another file begins, or to the end; None if they are no chunks."""
    following = find_next(window, at, end)
    if read_magic(window, following) == one.magic:
        return following
    if one.magic in PLAIN:
        return None
    for chunk in list_chunks(window, one.kind, at, end):
        name = chunk.name[:4]
        begin = chunk.size_at - len(chunk.name)
        if ALIKE.get(name, name) == one.magic:
            return begin
        if not all(32 <= byte < 127 for byte in name) or chunk.body + chunk.size > end + 1:
            # Zeros after the last chunk are padding.
            following = find_next(window, begin, end)
            is_another = following < end and read_magic(window, following) == one.magic
            return following if is_another or following == end else None
    return end


def _find_odd_block(window: Window, one: _Recording, said: SoundHeader, end: int, told: int = 0) -> int | None:
    """Look at blocks up to ``end``, from the first on that is not whole in the first ``told`` bytes."""
    start = one.body + said.head
    if (blocks := read_blocks(said, window.take(start, LEAP))) is None:
        return None
    start += max(0, told - said.head) // max(1, blocks.size) * blocks.size
    # The byte that makes a size even may be counted.
    return find_odd_block(window, start, end - ((end - start) % max(1, blocks.size) == 1), blocks)


def _refuse_odd_block(path: Path, window: Window, one: _Recording, said: SoundHeader, end: int) -> None:
    odd = _find_odd_block(window, one, said, end)
    if odd is not None:
        if holds_another(window, one.start):
            raise joined(path)
        raise damaged(path, None, f"what is at byte {odd} is no block of its codec")


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
        is_exact = _read_code(window, one) == GSM
        patches[one.size_at] = rest.to_bytes(4, one.kind.order) if is_exact else _TO_THE_END
    return lay_out(one.start, until, patches)


def _rename(window: Window, one: _Recording) -> dict[int, bytes]:
    """Return what libsndfile is told instead: the name of a kind, and in a W64 what an extensible header means."""
    patches = {one.start: one.magic} if window.take(one.start, 4) != one.magic else {}
    about = one.chunks.get(b"fmt ")
    if one.magic == b"riff" and about is not None and _read_code(window, one) == EXTENSIBLE:
        meant = window.take(about.body + 24, 2)
        # It takes all of them for integers.
        patches |= {about.body: meant} if int.from_bytes(meant, "little") in SAMPLE_TAGS[1:-1] else {}
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
