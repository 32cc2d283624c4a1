"""The digest of exact samples: their values, whatever depth, type or container held them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from plugin_core.audio.samples import Samples

_FULL_SCALE: Final = 2.0**31

Lane = Literal["i", "f"]
"""How samples are hashed: as int32 of which 1.0 is 2^31, or as float64."""


class OffGridError(ValueError):
    """A sample is no integer of 32 bits: the recording is hashed as floats, from its beginning."""


class Pcm1:
    """The text ``pcm1:<lane>:<rate>:<channels>:<frames>:<sha256>``, fed from a decode that happens anyway.

    Lane ``i`` is for all recordings whose values it holds, ``f`` for the others; both little endian and interleaved,
    -0.0 as 0.0. Channels that are equal throughout count as one. The text holds for a decode that reached the end
    without complaint, and does not depend on how it is cut into blocks.

    Args:
        rate: hertz.
        channels: as they come in the blocks.
        lane: as above.
        is_integer: whether the source is known to hold integers of up to 32 bits, which are not looked at then.
    """

    def __init__(self, rate: int, channels: int, lane: Lane = "i", *, is_integer: bool = False) -> None:
        self.rate, self.channels, self.frames = rate, channels, 0
        self._lane = lane
        self._is_integer = is_integer
        self._hashes = {width: hashlib.sha256() for width in sorted({1, channels})}
        """By channels: of the first one for as long as they were equal, and of all."""

    def feed(self, block: Samples) -> None:
        """Take the next samples: (n, channels), floats of which 1.0 is full scale, or left-justified int32.

        Raises:
            OffGridError: lane ``i`` does not hold them.
        """
        self.frames += len(block)
        if 1 in self._hashes and (block[:, 1:] != block[:, :1]).any():
            del self._hashes[1]
        samples = self._to_integers(block) if self._lane == "i" else _to_floats(block)
        for width, digest in self._hashes.items():
            digest.update(np.ascontiguousarray(samples[:, :width]).data)

    def __str__(self) -> str:
        width, digest = next(iter(self._hashes.items()))
        return f"pcm1:{self._lane}:{self.rate}:{width}:{self.frames}:{digest.hexdigest()}"

    def _to_integers(self, block: Samples) -> Samples:
        if block.dtype.kind == "i":
            return block.astype("<i4", copy=False)
        # What is too large becomes some integer, which it does not equal.
        with np.errstate(over="ignore", invalid="ignore"):
            scaled: Samples = block * block.dtype.type(_FULL_SCALE)
            whole: Samples = scaled.astype("<i4")
        if not self._is_integer and (whole != scaled).any():
            raise OffGridError
        return whole


def _to_floats(block: Samples) -> Samples:
    values: Samples = block / _FULL_SCALE if block.dtype.kind == "i" else block
    # Adding makes 0.0 of -0.0.
    return np.add(values, 0.0, dtype="<f8")
