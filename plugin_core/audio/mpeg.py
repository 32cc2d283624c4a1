"""Counting an MP3's samples by walking over its frames, for files whose header does not say how many there are.

libsndfile then guesses from the first frames and stops reading there, in the middle of a song whose bit rate rises.
"""

from __future__ import annotations

import mmap
import os
from typing import Final, NamedTuple

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


class _Frame(NamedTuple):
    kind: tuple[int, int]
    """Version, layer and sample rate: the same in every frame of a stream."""
    size: int
    samples: int


def count_samples(descriptor: int, start: int) -> int:
    """Return the samples in each channel of all frames from ``start`` on; what is no frame is passed over."""
    if os.fstat(descriptor).st_size <= start:
        return 0
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        return _walk(data, start)


def _walk(data: mmap.mmap, start: int) -> int:
    total, at, kind = 0, start, None
    while 0 <= at <= len(data) - 4:
        frame = _read_frame(data[at : at + 4])
        if frame is None or kind not in (None, frame.kind):
            at = data.find(b"\xff", at + 1)
            continue
        kind = frame.kind
        total += frame.samples
        at += frame.size
    return total


def _read_frame(header: bytes) -> _Frame | None:
    version, layer = _VERSIONS.get(header[1] >> 3 & 3), _LAYERS.get(header[1] >> 1 & 3)
    rate, bits = header[2] >> 2 & 3, header[2] >> 4
    if header[0] != 0xFF or header[1] < 0xE0 or version is None or layer is None or rate == 3 or not 0 < bits < 15:
        return None
    samples = 384 if layer == 1 else 576 if layer == 3 and version else 1152
    # Layer I counts in slots of four bytes.
    slot = 4 if layer == 1 else 1
    bytes_a_second = _KILOBITS[version == 0, layer][bits - 1] * 125
    size = (samples * bytes_a_second // ((_RATES[rate] >> version) * slot) + (header[2] >> 1 & 1)) * slot
    return _Frame((header[1] & 0xFE, rate), size, samples)
