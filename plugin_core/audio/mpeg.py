"""An MP3's samples, counted by walking over its frames: its header may say less, more or nothing at all.

libsndfile stops where the header says; without one it guesses from the first frames and stops there, in the middle of
a song whose bit rate rises. Files joined end to end have one header each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.envelope import find_end, measure_tag
from plugin_core.audio.frames import (
    LENGTH_HEAD,
    MOST_SILENCE,
    USUAL_DELAY,
    LengthFrame,
    MpegFrame,
    has_length,
    holds_length,
    measure_free_frame,
    read_frame,
    read_length,
    read_sized,
)
from plugin_core.audio.info import ByteSpan, FileLayout, Structure, lay_out
from plugin_core.audio.source_file import FileReading, Window, damaged, joined

_UNSURE_FRAMES: Final = 2
"""Some encoders count the header itself, or a last frame that they did not write."""
_MOST_FREE: Final = 1 << 14
"""More than three frames of free format have."""
_CLAIM: Final = 64
"""The bit rate varies by less."""
_MOST_ODD: Final = 1024
"""Bytes that libmpg123 passes over in search of the next frame."""
_TAG: Final = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
"""Without one in front libsndfile takes a file ``._`` or a folder ``.AppleDouble``, as shares of Apple's have, in the
current folder for a part of the MP3."""
_SLACK_BYTES: Final = 32
"""Tags end in padding now and then."""
_SURE_FRAMES: Final = 3
"""So many headers in a row, each where the one before it says, are no chance."""
_FIRST_LAYER: Final = 384
"""Samples of its frames."""
_FIRST_FRAMES: Final = 32
_MOST_STRAY: Final = 4
"""Bytes in front of the sound that nobody misses."""
_FILLING: Final = bytes((*range(0x80), 0xFF))
"""Of padding, and of what programs and servers write in words; half of what is packed sound is none of these."""


class FrameStretch:
    """Frames of one kind in a row: a recording as one encoder wrote it, or what was joined to it without a header."""

    def __init__(self, start: int, frame: MpegFrame, header: LengthFrame | None) -> None:
        self.start = self.last = self.end = start
        self.frame = frame
        self.header = header
        self.frames = 0
        """Whole frames of music."""
        self.odd = self.torn = 0
        """The most bytes in a row that are neither frame nor tag, and how many frames are in front of them; at least 1
        behind a frame that is cut."""
        self.is_cut = False
        """Whether the file ends inside the frame that follows."""
        self.holes: list[ByteSpan] = []
        """What lies between frames and is none: libmpg123 may stop there."""

    @property
    def samples(self) -> int:
        """In each channel."""
        return self.frames * self.frame.samples

    @property
    def is_doubtful(self) -> bool:
        """Whether what its header says of silence is damaged."""
        return self.header is not None and self.header.is_doubtful(self.frames, self.end - self.start)

    def cut(self, size: int) -> int:
        """Let its last frame have only so many bytes, which are no sound; return where they end."""
        self.frames -= 1
        if not self.odd:
            self.torn, self.odd = self.frames, 1
        self.end = self.last
        return self.last + size

    def go_on(self, at: int, odd: int) -> None:
        """Let a frame follow at ``at``, with so many bytes in front of it that are neither frame nor tag."""
        if odd > self.odd:
            self.torn, self.odd = self.frames, odd
        if at > self.end:
            self.holes.append(ByteSpan(self.end, at))


def examine_mpeg(
    path: Path, descriptor: int, part: ByteSpan, *, is_file: bool = False, passage: FileReading | None = None
) -> Structure | None:
    """Hold an MP3's headers against its frames; None where these cannot be found.

    Args:
        path: the file.
        descriptor: of the file.
        part: where in the file the MP3 lies, perhaps with tags at its end.
        is_file: whether the decoder will find it there by itself, behind a tag.
        passage: hears what is read.

    Raises:
        SourceError: it ends before its sound is whole, or joins what cannot be read as one recording.
    """
    end = min(part.end, find_end(path, descriptor))
    window = Window(path, descriptor, passage)
    # Held from here on: what was gone through is not read again.
    data = window.take(part.start, _MOST_FREE)
    stretches, size = _find_stretches(window, data, part.start, end)
    if not stretches:
        return None
    _refuse_cut(path, stretches)
    return msgspec.structs.replace(
        _examine(path, stretches, is_file=is_file or size > 0),
        is_loose=_is_loose(window, part.start, stretches[0]) or _is_alone(data, part.start, stretches[0]),
        is_begun=_is_begun(data, part.start, stretches[0]),
        is_doubtful=any(one.is_doubtful for one in stretches) or _has_lost_length(data, part.start, stretches[0]),
    )


def _find_stretches(window: Window, data: bytes, start: int, end: int) -> tuple[list[FrameStretch], int]:
    """Return what there is of frames, and the size of those of free format, of which the first may be damaged."""
    size = measure_free_frame(data)
    stretches = list(walk(window, start, end, read_sized(data[:4], size) if size else read_frame))
    at = 0
    while not stretches and not size and (at := data.find(b"\xff", at + 1)) > 0:
        if size := measure_free_frame(data[at:]):
            stretches = list(walk(window, start + at, end, read_sized(data[at : at + 4], size)))
    return stretches, size


def _examine(path: Path, stretches: list[FrameStretch], *, is_file: bool) -> Structure:
    broken = _find_break(stretches)
    if len(stretches) > 1:
        _refuse_mixed(path, stretches)
        is_counted = all(one.header is not None and not one.header.is_played for one in stretches)
        return Structure(
            layouts=tuple(_lay_out(one) for one in stretches),
            samples=0 if is_counted else sum(one.samples for one in stretches),
            is_torn=stretches[-1].is_cut,
            broken=broken,
        )
    return msgspec.structs.replace(_examine_one(stretches[0], is_file=is_file), broken=broken)


def _has_lost_length(data: bytes, front: int, first: FrameStretch) -> bool:
    """Tell whether the first bytes of a frame that says the length are damaged, so that it is none, or music."""
    begin, end = 0, first.start + first.frame.size - front
    while tag := measure_tag(data[begin : begin + LENGTH_HEAD]):
        begin += tag
    return first.header is None and end < _MOST_FREE and holds_length(data[begin:end])


def _is_alone(data: bytes, front: int, first: FrameStretch) -> bool:
    """Tell whether the first frame has other channels than the second, so that nothing is heard of it."""
    end = first.start + first.frame.size - front
    following = read_frame(data[end : end + 4])
    return first.header is None and following is not None and following.is_mono != first.frame.is_mono


def _is_loose(window: Window, front: int, first: FrameStretch) -> bool:
    """Tell whether more precedes the first frame than tags, zeros, and the rest of one, as where a stream was cut."""
    # A damaged frame may lack the padding: of layer I, of four bytes.
    room = max(_SLACK_BYTES, first.frame.size - (4 if first.frame.samples == _FIRST_LAYER else 1))
    while first.start - front >= room and (tag := measure_tag(window.take(front, LENGTH_HEAD))):
        front += tag
    size = first.start - front
    if size < room or window.is_silent(front, first.start):
        return False
    # Where the bit rate varies, the rest may be longer than the frame that follows.
    sizes = _list_sizes(window, first)
    return not sizes or size > max(sizes) or size in sizes


def _is_begun(data: bytes, front: int, first: FrameStretch) -> bool:
    """Tell whether a file without a header begins with something else than tags, padding and words."""
    if front or first.header is not None or first.start > len(data):
        return False
    rest = data[: first.start].strip(b"\0\r\n")
    sound = len(rest.translate(None, _FILLING))
    return sound > max(_MOST_STRAY, len(rest) / 4) and not _measure_tag(rest)


def _list_sizes(window: Window, first: FrameStretch) -> set[int]:
    """Return the sizes that frames may have, where those of the first ones differ; nothing where they do not."""
    head, at, rates = window.take(first.start, 4), first.start, set()
    for _ in range(_FIRST_FRAMES if first.header is None else 0):
        if (frame := read_frame(following := window.take(at, 4))) is None:
            break
        rates.add(following[2] >> 4)
        at += frame.size
    codes = [rate << 4 | padding for rate in range(1, 15) for padding in (0, 2)] if len(rates) > 1 else []
    frames = [read_frame(bytes([*head[:2], head[2] & 0x0D | code, head[3]])) for code in codes]
    return {frame.size for frame in frames if frame is not None}


def _find_break(stretches: list[FrameStretch]) -> float | None:
    """Return the second at which a frame is cut or missing; None where each lies where the one before it says."""
    seconds = 0.0
    for one in stretches:
        if one.odd:
            return seconds + one.torn * one.frame.samples / one.frame.rate
        seconds += one.samples / one.frame.rate
    return None


def walk(
    window: Window, start: int, end: int, read: Callable[[bytes], MpegFrame | None] | None = None
) -> Iterator[FrameStretch]:
    """Walk over all frames from ``start`` to ``end``; tags between them, and what is no frame, are passed over.

    ``read`` says what a header says: ``read_frame`` unless the sizes of frames are known otherwise.
    """
    read = read or read_frame
    frames: dict[bytes, MpegFrame | None] = {}
    current: FrameStretch | None = None
    at, odd = start, 0
    while at + 4 <= end:
        head = window.take(at, LENGTH_HEAD)
        key = head[:4]
        if key not in frames:
            frames[key] = read(key)
        frame = frames[key]
        is_next = frame is not None and current is not None and at == current.end and frame.kind == current.frame.kind
        if frame is None or not (is_next or _is_confirmed(window, at + frame.size, frame, end, read)):
            if current is not None and (found := _find_inside(window, current, at, head, end, read)):
                # The frame is cut, and reaches into what was joined to it.
                at = current.cut(found)
                continue
            following = _resync(window, at, head, end)
            odd += 0 if _measure_tag(head) else following - at
            at = following
            continue
        if at + frame.size > end:
            if current is not None:
                current.is_cut = True
            break
        if is_next and current is not None and (half := _measure_half(window, current, at, frame, read)):
            odd, at = odd + half, at + half
            continue
        is_asked = current is None or has_length(head, frame)
        header = read_length(window.take(at, frame.size), at, frame) if is_asked else None
        if current is None or header is not None or frame.kind != current.frame.kind or _is_full(current, at):
            if current is not None:
                yield current
            current = FrameStretch(at, frame, header)
        else:
            current.go_on(at, odd)
        odd = 0
        current.frames += header is None
        current.last = at
        at += frame.size
        current.end = at
    if current is not None:
        yield current


def _is_full(stretch: FrameStretch, at: int) -> bool:
    """Tell whether a header's frames are all there, and something other than a frame lay between them and ``at``."""
    return stretch.header is not None and stretch.frames >= stretch.header.frames and at != stretch.end


def _is_confirmed(
    window: Window, at: int, frame: MpegFrame, end: int, read: Callable[[bytes], MpegFrame | None]
) -> bool:
    """Tell whether another frame of the kind follows: four bytes of a picture often look like one."""
    if at + 4 > end:
        return at <= end
    following = read(window.take(at, 4))
    return (following is not None and following.kind == frame.kind) or bool(_measure_tag(window.take(at, 32)))


def _resync(window: Window, at: int, head: bytes, end: int) -> int:
    size = _measure_tag(head)
    return at + size if size else window.find(b"\xff", at + 1, end)


def _find_inside(
    window: Window, current: FrameStretch, at: int, head: bytes, end: int, read: Callable[[bytes], MpegFrame | None]
) -> int:
    """Return where in the last frame, at the end of which none follows, something else begins; 0 if nothing does."""
    if at != current.end or not current.frames or _measure_tag(head):
        return 0
    last = window.take(current.last, at - current.last)
    if (found := last.find(b"ID3", 4)) > 0:
        return found
    while (found := last.find(b"\xff", found + 1)) >= 0:
        place, count = current.last + found, 0
        while count < _SURE_FRAMES and (frame := read(window.take(place, 4))) and frame.kind == current.frame.kind:
            place, count = place + frame.size, count + 1
        if found and count == _SURE_FRAMES and place <= end:
            return found
    return 0


def _measure_half(
    window: Window, current: FrameStretch, at: int, frame: MpegFrame, read: Callable[[bytes], MpegFrame | None]
) -> int:
    """Return how long a frame is that says twice its bit rate, so that the next one lies in it; 0 if it is right."""
    usual, slot = at - current.last, 4 if frame.samples == _FIRST_LAYER else 1
    if abs(frame.size - 2 * usual) > 2 * slot:
        return 0
    like = window.take(current.last, 4)
    for half in (usual - slot, usual, usual + slot):
        second = read(head := window.take(at + half, 4))
        # But for the padding, and how two channels are joined.
        is_alike = head[1] == like[1] and head[2] & 0xFC == like[2] & 0xFC and not (head[3] ^ like[3]) & 0xCF
        if second and is_alike and half + second.size == frame.size:
            return half
    return 0


def _measure_tag(head: bytes) -> int:
    """Return the size of the tag that begins with these 32 bytes or more; 0 where none does."""
    return measure_tag(head) or (128 if head.startswith(b"TAG") else 0)


def _refuse_cut(path: Path, stretches: list[FrameStretch]) -> None:
    seconds = 0.0
    for one in stretches:
        header = one.header
        is_lost = header is not None and one.frames < header.frames
        if one.odd > _MOST_ODD or (one.odd and is_lost):
            is_short = one.torn == one.frames
            seconds += one.torn * one.frame.samples / one.frame.rate
            raise damaged(path, seconds, "it ends before its header says" if is_short else "")
        seconds += one.samples / one.frame.rate
        if header is None or one.frames >= header.frames:
            continue
        missing_bytes = header.size - (one.end - one.start)
        is_cut = missing_bytes > _SLACK_BYTES if header.size else header.frames - one.frames > _UNSURE_FRAMES
        if is_cut:
            raise damaged(path, seconds, "it ends before its header says")


def _refuse_mixed(path: Path, stretches: list[FrameStretch]) -> None:
    if len({(one.frame.rate, one.frame.is_mono) for one in stretches}) > 1:
        raise joined(path, "differ in sample rate or channels")


def _examine_one(one: FrameStretch, *, is_file: bool) -> Structure:
    if one.header is None:
        return Structure(layouts=(_lay_out(one),), samples=one.samples, is_torn=one.is_cut)
    counted = one.header.frames
    told = counted / one.frames if one.frames != counted else None
    is_right = 0 <= counted - one.frames <= _UNSURE_FRAMES
    if is_right and is_file and one.frame.is_free:
        return Structure()
    if one.header.is_played:
        return Structure(layouts=(_lay_out(one),), samples=one.samples, told=None if is_right else told)
    is_sound = not (one.holes or one.header.mended or one.is_doubtful)
    if is_right and is_file and _says_its_size(one) and is_sound:
        return Structure()
    # Who counts his own frame as well, and all bytes right, lacks nothing.
    is_whole = is_right and one.header.size == one.end - one.start
    return Structure(layouts=(_lay_out(one),), told=None if is_whole or (is_right and is_file) else told)


def _says_its_size(one: FrameStretch) -> bool:
    """Tell whether the header knows the size in bytes; libmpg123 prints what it thinks where that is off."""
    assert one.header is not None
    size = one.end - one.start
    return not one.header.size or abs(one.header.size - size) < size / 200


def _lay_out(one: FrameStretch) -> FileLayout:
    header = one.header
    size = one.end - one.start
    if header is None or header.is_played:
        start = one.start if header is None else one.start + one.frame.size
        return FileLayout((_TAG, *_cut_out(one.holes, start, one.end)), claimed=size * _CLAIM)
    patches = {**header.mended, header.frames_at: one.frames.to_bytes(4, "big")}
    if header.size_at:
        patches[header.size_at] = size.to_bytes(4, "big")
    front, end = header.silence
    if max(front, end) > MOST_SILENCE and one.is_doubtful:
        front, end = USUAL_DELAY, 0
    if one.frames > header.frames and abs(header.size - size) > _SLACK_BYTES:
        # What was joined to the end has music where the header knows of silence.
        end = 0
    patches |= header.tell_silence(one.start, front, end)
    first = one.start + one.frame.size
    return FileLayout((_TAG, *lay_out(one.start, first, patches).pieces, *_cut_out(one.holes, first, one.end)))


def _cut_out(holes: list[ByteSpan], start: int, end: int) -> Iterator[ByteSpan]:
    for hole in holes:
        yield ByteSpan(start, hole.start)
        start = hole.end
    yield ByteSpan(start, end)
