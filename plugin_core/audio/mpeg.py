"""An MP3's samples, counted by walking over its frames: its header may say less, more or nothing at all.

libsndfile stops where the header says; without one it guesses from the first frames and stops there, in the middle of
a song whose bit rate rises. Files joined end to end have one header each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.envelope import find_end, measure_tag
from plugin_core.audio.info import ByteSpan, FileLayout, Structure, lay_out
from plugin_core.audio.source_file import FileReading, Window, damaged, joined

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

_HEAD: Final = 44
"""Bytes that show whether a frame is one of music, or tells of those that follow."""

_VBRI_PLACE: Final = 36
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


class _Header(NamedTuple):
    """What a Xing, Info or VBRI frame says of the frames that follow, and where it says so."""

    frames: int
    frames_at: int
    size: int
    """In bytes, its own frame included; 0 where it does not say."""
    size_at: int
    padding_at: int
    """Where the encoder says how much silence it added at the end; 0 where it does not."""
    no_padding: bytes
    """What says there that it added none."""
    is_played: bool = False
    """Whether libmpg123 takes it for music, and guesses the length (VBRI)."""


class FrameStretch:
    """Frames of one kind in a row: a recording as one encoder wrote it, or what was joined to it without a header."""

    def __init__(self, start: int, frame: MpegFrame, header: _Header | None) -> None:
        self.start = self.last = self.end = start
        self.frame = frame
        self.header = header
        self.frames = 0
        """Whole frames of music."""
        self.odd = self.torn = 0
        """The most bytes in a row that are neither frame nor tag, and how many frames are in front of them."""
        self.is_cut = False
        """Whether the file ends inside the frame that follows."""

    @property
    def samples(self) -> int:
        """In each channel."""
        return self.frames * self.frame.samples


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
    if (size := measure_free_frame(window.take(part.start, _MOST_FREE))) != 0:
        return _examine_free(path, window, ByteSpan(part.start, end), size)
    stretches = list(walk(window, part.start, end))
    if not stretches:
        return None
    _refuse_cut(path, stretches)
    if len(stretches) > 1:
        _refuse_mixed(path, stretches)
        is_counted = all(one.header is not None and not one.header.is_played for one in stretches)
        return Structure(
            layouts=tuple(_lay_out(one) for one in stretches),
            samples=0 if is_counted else sum(one.samples for one in stretches),
        )
    return _examine_one(stretches[0], is_file=is_file)


def walk(window: Window, start: int, end: int) -> Iterator[FrameStretch]:
    """Walk over all frames from ``start`` to ``end``; tags between them, and what is no frame, are passed over."""
    frames: dict[bytes, MpegFrame | None] = {}
    current: FrameStretch | None = None
    at, odd = start, 0
    while at + 4 <= end:
        head = window.take(at, _HEAD)
        key = head[:4]
        if key not in frames:
            frames[key] = read_frame(key)
        frame = frames[key]
        is_next = frame is not None and current is not None and at == current.end and frame.kind == current.frame.kind
        if frame is None or not (is_next or _is_confirmed(window, at + frame.size, frame, end)):
            following = _resync(window, at, head, end) if current is None else _mend(window, current, at, head, end)
            odd += 0 if _measure_tag(head) else following - at
            at = following
            continue
        if at + frame.size > end:
            if current is not None:
                current.is_cut = True
            break
        header = _read_header(window, at, frame) if _has_mark(head, frame) else None
        if current is None or header is not None or frame.kind != current.frame.kind or _is_full(current, at):
            if current is not None:
                yield current
            current = FrameStretch(at, frame, header)
        elif odd > current.odd:
            current.torn, current.odd = current.frames, odd
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


def _is_confirmed(window: Window, at: int, frame: MpegFrame, end: int) -> bool:
    """Tell whether another frame of the kind follows: four bytes of a picture often look like one."""
    if at + 4 > end:
        return at <= end
    following = read_frame(window.take(at, 4))
    return (following is not None and following.kind == frame.kind) or bool(_measure_tag(window.take(at, 32)))


def _resync(window: Window, at: int, head: bytes, end: int) -> int:
    size = _measure_tag(head)
    return at + size if size else window.find(b"\xff", at + 1, end)


def _mend(window: Window, current: FrameStretch, at: int, head: bytes, end: int) -> int:
    """Go on after what is no frame; a frame that was cut reaches into the recording that was joined to it."""
    if at == current.end and current.frames:
        last = window.take(current.last, at - current.last)
        for mark, place in ((b"ID3", 0), (b"Xing", current.frame.mark), (b"Info", current.frame.mark)):
            found = last.find(mark, place + 4) - place
            if found > 0:
                current.frames -= 1
                current.end = current.last
                return current.last + found
    return _resync(window, at, head, end)


def _measure_tag(head: bytes) -> int:
    """Return the size of the tag that begins with these 32 bytes or more; 0 where none does."""
    return measure_tag(head) or (128 if head.startswith(b"TAG") else 0)


def _refuse_cut(path: Path, stretches: list[FrameStretch]) -> None:
    seconds = 0.0
    for one in stretches:
        header = one.header
        is_lost = header is not None and one.frames < header.frames
        if one.odd > _MOST_ODD or (one.odd and is_lost):
            raise damaged(path, seconds + one.torn * one.frame.samples / one.frame.rate)
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
    if one.header.is_played:
        return Structure(layouts=(_lay_out(one),), samples=one.samples, told=None if is_right else told)
    if is_right and is_file:
        return Structure() if _says_its_size(one) else Structure(layouts=(_lay_out(one),))
    return Structure(layouts=(_lay_out(one),), told=told)


def _examine_free(path: Path, window: Window, span: ByteSpan, size: int) -> Structure:
    """Let libmpg123 read frames of a bit rate that no header names, all of one size."""
    head, held = window.take(span.start, _HEAD), span.end - span.start
    frame = _read_free(head)
    assert frame is not None
    header = _read_header(window, span.start, frame._replace(size=size)) if _has_mark(head, frame) else None
    if header is None:
        layout = FileLayout((_TAG, span), claimed=held * _CLAIM)
        return Structure(layouts=(layout,), samples=held // size * frame.samples)
    if header.size - held > _SLACK_BYTES:
        raise damaged(path, held // size * frame.samples / frame.rate, "it ends before its header says")
    return Structure()


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
        return FileLayout((_TAG, ByteSpan(start, one.end)), claimed=size * _CLAIM)
    patches = {header.frames_at: one.frames.to_bytes(4, "big")}
    if header.size_at:
        patches[header.size_at] = size.to_bytes(4, "big")
    if header.padding_at and one.frames > header.frames and abs(header.size - size) > _SLACK_BYTES:
        # What was joined to the end has music where the header knows of silence.
        patches[header.padding_at] = header.no_padding
    return FileLayout((_TAG, *lay_out(one.start, one.end, patches).pieces))


def _has_mark(head: bytes, frame: MpegFrame) -> bool:
    return head[frame.mark : frame.mark + 4] in (b"Xing", b"Info") or head[_VBRI_PLACE : _VBRI_PLACE + 4] == b"VBRI"


def _read_header(window: Window, at: int, frame: MpegFrame) -> _Header | None:
    data = window.take(at, frame.size)

    def number(place: int) -> int:
        return int.from_bytes(data[place : place + 4], "big")

    if data[_VBRI_PLACE : _VBRI_PLACE + 4] == b"VBRI":
        place = _VBRI_PLACE + 10
        return _Header(number(place + 4), at + place + 4, number(place), at + place, 0, b"", is_played=True)
    flags = number(frame.mark + 4)
    if not flags & 1:
        return None
    place = frame.mark + 8
    has_size = flags & 2
    lame = place + 4 + (4 if has_size else 0) + (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    # Twelve bits of delay, twelve of padding.
    padding = lame + 22
    has_padding = data[lame : lame + 4] in (b"LAME", b"Lavf", b"Lavc")
    return _Header(
        number(place),
        at + place,
        number(place + 4) if has_size else 0,
        at + place + 4 if has_size else 0,
        at + padding if has_padding else 0,
        bytes([data[padding] & 0xF0, 0]) if has_padding else b"",
    )


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
    return (
        read_frame(bytes([*header[:2], header[2] | 0x90, header[3]])) if len(header) > 3 and header[2] < 0x10 else None
    )


def _is_like(data: bytes, at: int) -> bool:
    """Tell whether a header like the first one is there, but for padding, and what may differ from frame to frame."""
    head = data[at : at + 4]
    return len(head) == 4 and head[:2] == data[:2] and head[2] & 0xFC == data[2] & 0xFC and (head[3] ^ data[3]) < 64
