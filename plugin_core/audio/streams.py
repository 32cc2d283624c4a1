"""Where a stream without a container ends, and whether something is missing in it: nothing but its frames can tell."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.envelope import (
    MOST_FRONT,
    MOST_TAIL,
    PACKETS_HEAD,
    SURE_FRAMES,
    choose_measure,
    ends_inside,
    find_beginning,
    measure_tag,
)
from plugin_core.audio.ffmpeg import HEADERLESS, PROBE_SECONDS, copy_stream, name_container, name_input
from plugin_core.audio.frames import (
    FRAME_HEAD,
    GSM_START,
    FrameReader,
    StreamFrame,
    choose_amr,
    choose_reader,
    is_gsm,
    read_ac3,
    read_frame,
    read_gsm,
)
from plugin_core.audio.info import AudioInfo, ByteSpan
from plugin_core.audio.source_file import (
    LEAP,
    FileReading,
    Window,
    damaged,
    describe_begun,
    describe_break,
    describe_loose,
    describe_rest,
    describe_torn,
    joined,
)

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
_FIRST_BYTES: Final = 1 << 22
"""Enough of a film to hold some frames of its sound."""
_MOST_TORN: Final = 1 << 12
"""No frame of what a DVD holds is larger."""


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
    if (measure := choose_measure(window.take(0, PACKETS_HEAD))) is not None:
        room = min(size, MOST_TAIL)
        return Stream(note=describe_torn(path) if ends_inside(window.take(size - room, room), measure) else "")
    if is_meridian(head):
        span = ByteSpan(start, end) if is_cut else None
        return Stream(span, note=describe_torn(path) if _ends_inside_unit(window, size) else "")
    front = _find_front(window, size)
    amr, note = choose_amr(head), ""
    first, read = amr or (front, choose_reader(window.take(front, FRAME_HEAD)))
    if read is None and is_gsm(window.take(front, GSM_START)):
        read = read_gsm
    if read is None and not front and (beginning := find_beginning(window, size)) is not None:
        first = front = beginning.at
        read = choose_reader(window.take(front, FRAME_HEAD))
        note = describe_begun(path) if beginning.is_torn else describe_loose(path)
    if read is None:
        return Stream()
    walk = _walk(path, Window(path, descriptor, passage, first=start), first, size, read)
    if amr is not None and window.take(walk.end, first) == head[:first]:
        raise joined(path)
    note = note or _describe_end(path, window, walk, size, read, window.take(first, 1))
    if (amr is not None or read is read_gsm) and note and not read(window.take(walk.end, FRAME_HEAD)):
        # Nothing marks its frames enough, so that what follows may as well be some.
        raise damaged(path, walk.seconds)
    is_cut |= walk.end < size or front > 0
    # Of a frame that is cut the decoder gives nothing, or refuses it.
    stop = size if walk.end < size and read(window.take(walk.end, FRAME_HEAD)) else walk.end
    return Stream(ByteSpan(start + front, start + stop) if is_cut else None, walk.seconds, note)


def begins_inside(program: str, path: Path, codec: str) -> bool:
    """Tell whether the sound of a DVD begins inside a frame, and all frames behind that are whole at the beginning.

    Args:
        program: ffmpeg.
        path: the file.
        codec: of its sound.
    """
    read, form = (read_ac3, codec) if codec in ("ac3", "eac3") else (_read_mpeg, "mp3")
    data = copy_stream(program, path, ByteSpan(0, _FIRST_BYTES))
    torn = next((at for at in range(1, min(len(data), _MOST_TORN)) if _are_frames(data[at:], read)), 0)
    frame = read(data[torn : torn + FRAME_HEAD])
    if not torn or frame is None or torn >= frame.size:
        return False
    command = [
        *(program, "-hide_banner", "-v", "quiet", "-xerror", "-err_detect", "crccheck"),
        *("-protocol_whitelist", "pipe", "-f", form, "-i", "pipe:0", "-frames:a", "1", "-f", "s16le", "pipe:1"),
    ]
    return bool(_feed(command, [data[torn:]]))


def _read_mpeg(head: bytes) -> StreamFrame | None:
    frame = read_frame(head)
    return frame and StreamFrame(frame.size, frame.samples / frame.rate, frame.kind)


def _are_frames(data: bytes, read: FrameReader) -> bool:
    at, kinds = 0, set()
    for _ in range(SURE_FRAMES):
        if (frame := read(data[at : at + FRAME_HEAD])) is None:
            return False
        kinds.add(frame.kind)
        at += frame.size
    return len(kinds) == 1


def is_meridian(head: bytes) -> bool:
    """Tell whether a stream that begins so is MLP or TrueHD."""
    return head[4:8] in _MLP


def _find_front(window: Window, size: int) -> int:
    """Return how many zeros precede the sound."""
    if any(window.take(0, FRAME_HEAD)):
        return 0
    front = window.take(0, min(size, MOST_FRONT))
    return len(front) - len(front.lstrip(b"\0"))


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
        while count < SURE_FRAMES and (frame := read(window.take(place, FRAME_HEAD))) and place + frame.size <= end:
            place, count = place + frame.size, count + 1
        if count == SURE_FRAMES:
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
