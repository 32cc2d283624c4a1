"""Where a stream without a container ends, and whether something is missing in it: nothing but its frames can tell."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.envelope import measure_tag
from plugin_core.audio.ffmpeg import HEADERLESS, PROBE_SECONDS, name_container, name_input
from plugin_core.audio.frames import (
    AC3,
    DTS,
    FRAME_HEAD,
    GSM_START,
    FrameReader,
    choose_amr,
    choose_reader,
    is_gsm,
    read_gsm,
)
from plugin_core.audio.info import AudioInfo, ByteSpan
from plugin_core.audio.source_file import (
    LEAP,
    FileReading,
    Window,
    damaged,
    describe_break,
    describe_loose,
    describe_rest,
    describe_torn,
    joined,
)

_TS_FORMS: Final = ((188, 0), (192, 4), (204, 0))
"""Of MPEG-TS, of Blu-ray's, and of one with error correction: bytes of a packet, and the place of its mark."""
_PACK: Final = b"\0\0\1\xba"
_PS_END: Final = b"\0\0\1\xb9"
SHORTEN: Final = b"ajkg"
_SHORTEN_MARK: Final = 5
"""Bytes of its mark, with the version."""
_SHORTEN_HEAD: Final = 512
"""More bytes than a WAV's header takes in it."""
_SHORTEN_VERBATIM: Final = 9
_SHORTEN_END: Final = re.compile("01001?0*$")
"""The command that ends it, in front of the padding of a word."""
_SHORTEN_WORD: Final = 4
_SHORTEN_TABLE: Final = b"SHNAMPSK"
"""How a table of places ends, behind its size."""
_MLP: Final = (b"\xf8\x72\x6f\xba", b"\xf8\x72\x6f\xbb")
_MLP_WORDS: Final = 0xFFF
"""What in the first two bytes of a unit counts its words of 16 bits."""
_JUMPING: Final = frozenset({"MPEG", "TS"})
"""Containers whose times may begin anew in the middle of a file."""
_BACK_SECONDS: Final = 0.1
_LEAP_SECONDS: Final = 10.0
"""By so much times go back, or forward, where ffmpeg takes them for those of something else."""
_PACKET: Final = re.compile(rb"(-?[\d.]+|N/A),(-?[\d.]+|N/A)")
_TAIL: Final = 1 << 18
_UNIT_HEAD: Final = 16
_SURE_UNITS: Final = 3
_MOST_FRONT: Final = 1 << 16
"""Bytes of silence that may precede a stream."""


class Stream(NamedTuple):
    """What the frames of a stream say of it."""

    span: ByteSpan | None = None
    """Where they lie, where that is not the whole file."""
    seconds: float = 0.0
    """0 where they do not tell."""
    note: str = ""


class _Passed(NamedTuple):
    """How far frames lie end to end."""

    end: int
    seconds: float
    """0 where one of the first does not tell."""
    broken: float | None
    """The second at which one is cut or missing."""


def examine_stream(path: Path, descriptor: int, passage: FileReading | None, start: int, end: int) -> Stream:
    """Go through the frames between tags.

    Raises:
        SourceError: recordings are joined there that cannot be read as one.
    """
    window = Window(path, descriptor, room=LEAP, first=start)
    head = window.take(0, FRAME_HEAD)
    size = end - start
    is_cut = start > 0 or end < start + window.size
    if (measure := _choose_measure(window.take(0, 3 * 204))) is not None:
        room = min(size, _TAIL)
        return Stream(note=describe_torn(path) if ends_inside(window.take(size - room, room), measure) else "")
    if is_meridian(head):
        span = ByteSpan(start, end) if is_cut else None
        return Stream(span, note=describe_torn(path) if _ends_inside_unit(window, size) else "")
    front = _find_front(window, size)
    if not front and choose_reader(head) is None and (front := _find_second(window, size)):
        read = choose_reader(window.take(front, FRAME_HEAD))
        assert read is not None
        walk = _walk(path, Window(path, descriptor, passage, first=start), front, size, read)
        return Stream(ByteSpan(start + front, end), walk.seconds, describe_loose(path))
    amr = choose_amr(head)
    first, read = amr or (front, choose_reader(window.take(front, FRAME_HEAD)))
    if read is None and is_gsm(window.take(front, GSM_START)):
        read = read_gsm
    if read is None:
        return Stream()
    walk = _walk(path, Window(path, descriptor, passage, first=start), first, size, read)
    if amr is not None and window.take(walk.end, first) == head[:first]:
        raise joined(path)
    note = _describe_end(path, window, walk, size, read, window.take(first, 1))
    if (amr is not None or read is read_gsm) and note and not read(window.take(walk.end, FRAME_HEAD)):
        # Nothing marks its frames enough, so that what follows may as well be some.
        raise damaged(path, walk.seconds)
    is_cut |= walk.end < size or front > 0
    # Of a frame that is cut the decoder gives nothing, or refuses it.
    stop = size if walk.end < size and read(window.take(walk.end, FRAME_HEAD)) else walk.end
    return Stream(ByteSpan(start + front, start + stop) if is_cut else None, walk.seconds, note)


def is_meridian(head: bytes) -> bool:
    """Tell whether a stream that begins so is MLP or TrueHD."""
    return head[4:8] in _MLP


def _find_front(window: Window, size: int) -> int:
    """Return how many zeros precede the sound."""
    if any(window.take(0, FRAME_HEAD)):
        return 0
    front = window.take(0, min(size, _MOST_FRONT))
    return len(front) - len(front.lstrip(b"\0"))


def _find_second(window: Window, end: int) -> int:
    """Return where the second frame of a stream begins of which the first has a damaged header; 0 where none does."""
    for mark in (AC3, *DTS):
        at = window.find(mark, 1, min(end, _MOST_FRONT))
        place, count, read = at, 0, choose_reader(window.take(at, FRAME_HEAD))
        while read and (frame := read(window.take(place, FRAME_HEAD))) and count < _SURE_UNITS:
            # Frames of AC-3 at 44.1 kHz differ by a word.
            if place == at and abs(frame.size - at) > 2:
                break
            place, count = place + frame.size, count + 1
        if count == _SURE_UNITS:
            return at
    return 0


def _walk(path: Path, window: Window, start: int, end: int, read: FrameReader) -> _Passed:
    at, seconds = start, 0.0
    kind: tuple[int, ...] = ()
    broken: float | None = None
    while at < end:
        frame = read(window.take(at, FRAME_HEAD))
        if frame is None or at + frame.size > end:
            tag = measure_tag(window.take(at, 32))
            following = at + tag if tag else _find_next(window, start, at, end, read)
            if following >= end:
                break
            broken = seconds if broken is None and not tag else broken
            at = following
            continue
        if frame.kind and kind and frame.kind != kind:
            raise joined(path, "differ in sample rate or channels")
        kind = kind or frame.kind
        seconds += frame.seconds
        at += frame.size
    return _Passed(at, seconds, broken)


def _find_next(window: Window, start: int, at: int, end: int, read: FrameReader) -> int:
    """Return where frames go on behind something else; the end where they do not, or nothing marks them."""
    mark = window.take(start, 1)
    while read(mark.ljust(FRAME_HEAD, b"\0")) is None and (at := window.find(mark, at + 1, end)) < end:
        place, count = at, 0
        while count < _SURE_UNITS and (frame := read(window.take(place, FRAME_HEAD))) and place + frame.size <= end:
            place, count = place + frame.size, count + 1
        if count == _SURE_UNITS:
            return at
    return end


def _describe_end(path: Path, window: Window, walk: _Passed, end: int, read: FrameReader, mark: bytes) -> str:
    if walk.broken is not None:
        return describe_break(path, walk.broken)
    if walk.end + measure_tag(window.take(walk.end, 32)) == end or window.is_silent(walk.end, end):
        return ""
    rest = window.take(walk.end, end - walk.end if end - walk.end < FRAME_HEAD else FRAME_HEAD)
    is_begun = len(rest) < FRAME_HEAD and rest.startswith(mark)
    return describe_torn(path) if is_begun or read(rest) else describe_rest(path, end - walk.end)


def ends_inside(data: bytes, measure: Callable[[bytes], int]) -> bool:
    """Tell whether bytes end inside the last of units that lie end to end.

    ``measure`` returns the size of the unit that begins with these up to 16 bytes, 0 for none.
    """
    data = data[-_TAIL:]
    for start in range(len(data)):
        at, count = start, 0
        while at < len(data) and (size := measure(data[at : at + _UNIT_HEAD])):
            at, count = at + size, count + 1
        if count >= _SURE_UNITS and at > len(data) - _UNIT_HEAD:
            return at != len(data)
    return False


def _choose_measure(start: bytes) -> Callable[[bytes], int] | None:
    """Return what tells the size of the packets of a broadcast or a DVD."""
    if (form := _find_form(start)) is not None:
        size, place = form
        return lambda unit: size if unit[place : place + 1] == b"G" else 0
    return _measure_pack if start.startswith(_PACK) else None


def is_transport_stream(start: bytes) -> bool:
    """Tell whether a file that begins so is an MPEG-TS."""
    return _find_form(start) is not None


def _find_form(start: bytes) -> tuple[int, int] | None:
    marks = ((form, start[form[1] : 3 * form[0] : form[0]]) for form in _TS_FORMS)
    return next((form for form, mark in marks if mark == b"GGG"), None)


def _measure_pack(head: bytes) -> int:
    """Measure a pack's head, or a packet of an MPEG program stream (ISO 11172-1 and 13818-1)."""
    if head.startswith(_PACK) and len(head) >= 14:
        return 12 if head[4] >> 4 == 2 else 14 + (head[13] & 7) if head[4] >> 6 == 1 else 0
    if head.startswith(_PS_END):
        return len(_PS_END)
    is_packet = len(head) >= 6 and head.startswith(b"\0\0\1") and head[3] > _PACK[3]
    return 6 + int.from_bytes(head[4:6], "big") if is_packet else 0


def _ends_inside_unit(window: Window, end: int) -> bool:
    """Tell whether MLP or TrueHD ends inside a unit: of these only the first is sure to be known by how it begins."""
    at = 0
    while at < end and (size := int.from_bytes(window.take(at, 2), "big") & _MLP_WORDS):
        at += 2 * size
    return at > end


class Times(NamedTuple):
    """What the times of packets tell of a stream."""

    seconds: float = 0.0
    """How long it lasts; 0 where that is not told."""
    jump: float | None = None
    """The second at which they go back, as where another broadcast was joined; None where they do not."""


def measure_times(programs: tuple[str, str], path: Path, info: AudioInfo, pieces: Iterable[bytes]) -> Times:
    """Return what the packets of the first audio stream tell without decoding; nothing when ffmpeg fails.

    Args:
        programs: ffprobe and ffmpeg.
        path: the file.
        info: what ffprobe says of it.
        pieces: the whole file, to be taken of a bare stream; ffmpeg reads any other by itself.
    """
    ffprobe, ffmpeg = programs
    stream = next((one for one in HEADERLESS if name_container(one) == info.container), "")
    source = ("-protocol_whitelist", "pipe", "-f", stream, "-i", "pipe:0") if stream else name_input(path)
    if info.container in _JUMPING:
        entries = ("-show_entries", "packet=dts_time,duration_time", "-of", "csv=p=0:nk=1")
        late = info.timeline.pieces[0].silence / info.sample_rate if info.timeline else 0.0
        return _follow(_feed([ffprobe, "-v", "quiet", *source, "-select_streams", "a:0", *entries], pieces), late)
    command = [
        *(ffmpeg, "-nostdin", "-hide_banner", "-v", "error", *source),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-c", "copy", "-f", "null", "-progress", "pipe:1", "-"),
    ]
    times = re.findall(rb"^out_time_us=(\d+)$", _feed(command, pieces if stream else ()), re.MULTILINE)
    return Times(int(times[-1]) / 1e6 if times else 0.0)


def _follow(packets: bytes, late: float) -> Times:
    """Follow packets, of which each line tells the time and the length; times that leap are no length."""
    first = end = offset = 0.0
    jump: float | None = None
    is_begun = False
    for line in packets.splitlines():
        if (found := _PACKET.match(line)) is None:
            continue
        time = end if found[1] == b"N/A" else float(found[1]) + offset
        if not is_begun:
            first, is_begun = time - late, True
        elif time < end - _BACK_SECONDS or time > end + _LEAP_SECONDS:
            if time < end and jump is None:
                jump = end - first
            time, offset = end, offset + end - time
        end = time + (0.0 if found[2] == b"N/A" else float(found[2]))
    return Times(end - first if is_begun else 0.0, jump)


def _feed(command: list[str], pieces: Iterable[bytes]) -> bytes:
    """Return what a program writes that is given these pieces; nothing where it does not start, or does not end."""
    with tempfile.TemporaryFile() as written:
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=written, stderr=subprocess.DEVNULL)
        except OSError:
            return b""
        with process:
            assert process.stdin is not None
            try:
                for piece in pieces:
                    # It may have had enough.
                    with suppress(BrokenPipeError):
                        process.stdin.write(piece)
                with suppress(BrokenPipeError):
                    process.stdin.close()
                process.wait(PROBE_SECONDS)
            except subprocess.TimeoutExpired:
                return b""
            finally:
                process.kill()
        written.seek(0)
        return written.read()


class _Bits:
    """Numbers as Shorten codes them: zeros, a one, and as many bits as are said."""

    def __init__(self, data: bytes) -> None:
        self._left = "".join(f"{byte:08b}" for byte in data)

    def take(self, bits: int) -> int:
        zeros = self._left.index("1")
        end = zeros + 1 + bits
        number, self._left = int("0" + self._left[zeros + 1 : end], 2), self._left[end:]
        return zeros << bits | number

    def take_wide(self) -> int:
        """Return a number before which stands how many bits it has."""
        return self.take(self.take(2))


def check_shorten(path: Path, window: Window, end: int) -> int:
    """Return the samples in each channel of a Shorten that ends at ``end``; 0 where that is not told.

    Raises:
        SourceError: it is cut short, or several are joined.
    """
    if window.find(window.take(0, _SHORTEN_MARK), _SHORTEN_MARK, end) < end:
        raise joined(path)
    if not _is_closed(window, end):
        raise damaged(path, None, "it is cut short, or something else follows it")
    return _count_shorten(window)


def _is_closed(window: Window, end: int) -> bool:
    """Tell whether a Shorten ends with the command that ends it: ffmpeg reads zeros where bits are missing."""
    foot = window.take(max(0, end - 12), 12)
    if foot.endswith(_SHORTEN_TABLE):
        end -= int.from_bytes(foot[:4], "little")
    rest = (end - _SHORTEN_MARK) % _SHORTEN_WORD
    if not window.is_silent(end - rest, end):
        return False
    at = end = end - rest
    while at > LEAP and window.is_silent(at - LEAP, at):
        at -= LEAP
    last = window.take(max(0, at - LEAP), min(at, LEAP)).rstrip(b"\0")
    bits = "".join(f"{byte:08b}" for byte in last[-_SHORTEN_WORD:])
    return _SHORTEN_END.search(bits + "0" * 8 * min(_SHORTEN_WORD, end - max(0, at - LEAP) - len(last))) is not None


def _count_shorten(window: Window) -> int:
    """Return the samples in each channel by the header of the WAV that was packed; 0 where that is not told."""
    bits = _Bits(window.take(len(SHORTEN) + 1, _SHORTEN_HEAD))
    try:
        for _ in range(6):  # Kind, channels, block, predictor, means, bytes to skip
            bits.take_wide()
        if bits.take(2) != _SHORTEN_VERBATIM:
            return 0
        wave = bytes(bits.take(8) & 0xFF for _ in range(bits.take(5)))
        width, size = wave[wave.index(b"fmt ") + 20 :][:2], wave[wave.index(b"data") + 4 :][:4]
        return int.from_bytes(size, "little") // int.from_bytes(width, "little")
    except (ValueError, ZeroDivisionError):
        return 0
