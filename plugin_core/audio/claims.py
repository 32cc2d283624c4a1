"""How long files of rarely met kinds say that they are: ffmpeg plays what is there, and does not look.

PAF, IRCAM and PVF say nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plugin_core.audio.source_file import Window, cut_short
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_ODD: Final = -1
_VOC_KINDS: Final = range(1, 10)
"""Of blocks; 0 is the last one, and has no size."""
_ADX_SAMPLES: Final = 32
"""In each channel of a block."""
_WVE_HEAD: Final = 32
_REAL_SURPLUS: Final = 10
"""Bytes that ffmpeg counts and does not write."""


def check_claim(path: Path, window: Window, size: int) -> None:
    """Make sure that a file is as long as it says, where we know how it does.

    Raises:
        SourceError: it is cut short, or does not end where it says.
    """
    head = window.take(0, 16)
    measure = next((one for mark, one in _KINDS.items() if head.startswith(mark)), None)
    claimed = 0 if measure is None else measure(window)
    if claimed > size:
        raise cut_short(path, 1 - size / claimed)
    if claimed == _ODD:
        raise SourceError(f"{show_path(path)} goes on after it says that it ends", remedy="convert it to WAV first")


def _measure_voc(window: Window) -> int:
    """Go through the blocks; sox counts too little of the last one, of which the rest looks like a block."""
    at = int.from_bytes(window.take(20, 2), "little")
    while len(head := window.take(at, 4)) == 4 and head[0]:
        if head[0] not in _VOC_KINDS:
            return _ODD
        at += 4 + int.from_bytes(head[1:], "little")
    return at


def _measure_sox(window: Window) -> int:
    form = "<IQ" if window.take(0, 4) == b".SoX" else ">IQ"
    head, samples = struct.unpack(form, window.take(4, 12).ljust(12, b"\0"))
    return int(4 + head + 4 * samples)


def _measure_wve(window: Window) -> int:
    """Measure a recording of Psion's."""
    return _WVE_HEAD + int.from_bytes(window.take(18, 4), "big")


def _measure_adx(window: Window) -> int:
    head = window.take(0, 16).ljust(16, b"\0")
    start, samples = int.from_bytes(head[2:4], "big"), int.from_bytes(head[12:16], "big")
    if window.take(start - 2, 6) != b"(c)CRI":
        return 0
    return 4 + start + -(-samples // _ADX_SAMPLES) * head[5] * head[7]


def _measure_real(window: Window) -> int:
    """Go through RealMedia's chunks; 0 is the size of sound whose writer could not go back to say it."""
    at = 0
    while len(head := window.take(at, 8)) == 8 and (length := int.from_bytes(head[4:], "big")) >= 8:
        at += length
    return at - _REAL_SURPLUS


_KINDS: Final[dict[bytes, Callable[[Window], int]]] = {
    b"Creative Voice ": _measure_voc,
    b".SoX": _measure_sox,
    b"XoS.": _measure_sox,
    b"ALawSoundFile**": _measure_wve,
    b"\x80\x00": _measure_adx,
    b".RMF": _measure_real,
}
