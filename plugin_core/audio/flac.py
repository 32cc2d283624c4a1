"""A FLAC's frames: each says where it stands, and the last one how long the sound is, whatever the header says.

libsndfile stops where the header says, also in the middle of a song (RFC 9639).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plugin_core.audio.envelope import find_end
from plugin_core.audio.flac_frame import Frame
from plugin_core.audio.flac_stream import LONGEST_FRAME, StreamInfo, find_frames, find_last, read_stream_info
from plugin_core.audio.layout import Finding, Layout, lay_out
from plugin_core.audio.source_file import Window, read_at

_MARKER: Final = b"fLaC"
_INFO_AT: Final = 8
"""Where the first block's body is."""
_INFO: Final = 34
_SHORTEST_BLOCK: Final = 16
_PLACES: Final = 8
_LONG_FRAME: Final = 1 << 16


def examine_flac(path: Path, descriptor: int, start: int) -> Finding | None:
    """Hold the header of a FLAC that begins at ``start`` against its last frame; None where it is no FLAC.

    A header that counts too much is put right only if the last frame is shorter than the others: then it ends a
    whole stream; a file cut between two frames is left to the decoder, which misses what the header promises.
    """
    window, end = Window(path, descriptor), find_end(path, descriptor)
    info = _read_info(window, start)
    if info is None:
        return None
    last = _read_last(path, descriptor, start, end, info)
    if last is not None and last.end == info.samples and _is_one(window, start, end, info):
        return Finding()
    seams = list(_find_seams(window, start, end))
    if seams:
        return Finding(layouts=tuple(_lay_out_joined(path, descriptor, start, end, seams)))
    if last is None:
        return _examine_torn(window, start, end, info)
    if last.end > info.samples or (last.is_fixed and last.block < info.block):
        told = info.samples / last.end if info.samples else None
        return Finding(layouts=(_lay_out(start, end, info, last.end),), told=told)
    return Finding()


def _read_info(window: Window, start: int) -> StreamInfo | None:
    head = window.take(start, _INFO_AT + _INFO)
    if len(head) < _INFO_AT + _INFO or not head.startswith(_MARKER) or head[4] & 0x7F:
        return None
    return read_stream_info(head[_INFO_AT:])


def _read_last(path: Path, descriptor: int, start: int, end: int, info: StreamInfo) -> Frame | None:
    length = min(end - start, info.longest)
    return find_last(read_at(path, descriptor, end - length, length), info)


def _examine_torn(window: Window, start: int, end: int, info: StreamInfo) -> Finding:
    """Let a file that does not end with a whole frame be decoded to where it is damaged, whatever its header says."""
    length = min(end - start, 2 * LONGEST_FRAME)
    furthest = max((frame.end for _, frame in find_frames(window.take(end - length, length), info)), default=0)
    if not info.samples or furthest <= info.samples:
        return Finding()
    return Finding(layouts=(_lay_out(start, end, info, furthest),), told=info.samples / furthest)


def _is_one(window: Window, start: int, end: int, info: StreamInfo) -> bool:
    """Tell whether frames looked at here and there follow each other; in files joined of equal length they do not."""
    before = -1
    for number in range(1, _PLACES):
        data = window.take(start + (end - start) * number // _PLACES, min(info.longest, _LONG_FRAME) * 2)
        if found := find_frames(data, info):
            if found[0][1].first < before:
                return False
            before = found[0][1].first
    return True


def _find_seams(window: Window, start: int, end: int) -> Iterator[int]:
    """Give where further streams begin."""
    at = start
    while (at := window.find(_MARKER, at + 1, end)) < end:
        info = _read_info(window, at)
        if info is not None and window.take(at + 5, 3) == b"\0\0\x22" and info.block >= _SHORTEST_BLOCK:
            yield at


def _lay_out_joined(path: Path, descriptor: int, start: int, end: int, seams: list[int]) -> Iterator[Layout]:
    window = Window(path, descriptor)
    starts = [start, *seams]
    for begin, until in zip(starts, [*seams, end], strict=True):
        info = _read_info(window, begin)
        assert info is not None
        last = _read_last(path, descriptor, begin, until, info)
        yield _lay_out(begin, until, info, info.samples if last is None else max(last.end, info.samples))


def _lay_out(start: int, end: int, info: StreamInfo, samples: int) -> Layout:
    return lay_out(start, end, {start + _INFO_AT + 10: info.count(samples)})
