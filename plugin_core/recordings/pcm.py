"""The digest of exact samples: their values, whatever depth, type or container held them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from plugin_core.audio.samples import Samples

_FULL_SCALE: Final = 2.0**31


class Pcm1:
    """The text ``pcm1:<lane>:<rate>:<channels>:<frames>:<sha256>``, fed from a decode that happens anyway.

    Lane ``i`` hashes int32 (1.0 is 2^31), lane ``f`` float64 where a value is no such integer; both little endian and
    interleaved, -0.0 as 0.0. Channels that are equal throughout count as one. The text holds for a decode that reached
    the end without complaint, and does not depend on how it is cut into blocks.

    Args:
        rate: hertz.
        channels: as they come in the blocks.
        is_integer: whether the source is known to hold integers of up to 32 bits, which spares half the work.
    """

    def __init__(self, rate: int, channels: int, *, is_integer: bool = False) -> None:
        self.rate, self.channels, self.frames = rate, channels, 0
        self._is_single = True
        """Whether the channels were equal so far."""
        kinds = "i" if is_integer else "if"
        widths = (1,) if channels == 1 else (1, channels)
        self._lanes = {(kind, width): hashlib.sha256() for kind in kinds for width in widths}
        """By type and channels, the narrowest first; those that cannot hold the samples are dropped."""

    def feed(self, block: Samples) -> None:
        """Take the next samples: (n, channels), floats of which 1.0 is full scale, or left-justified int32."""
        self.frames += len(block)
        if self._is_single and (block[:, 1:] != block[:, :1]).any():
            self._is_single = False
            self._drop(lambda _kind, width: width == 1)
        for kind, samples in self._forms(block):
            for (its_kind, width), lane in self._lanes.items():
                if its_kind == kind:
                    lane.update(np.ascontiguousarray(samples[:, :width]).data)

    def __str__(self) -> str:
        (kind, width), lane = next(iter(self._lanes.items()))
        return f"pcm1:{kind}:{self.rate}:{width}:{self.frames}:{lane.hexdigest()}"

    def _forms(self, block: Samples) -> Iterator[tuple[str, Samples]]:
        """Give the block as each of the types that hold all samples so far."""
        if self._has("i"):
            whole = self._to_integers(block)
            if whole is None:
                self._drop(lambda kind, _width: kind == "i")
            else:
                yield "i", whole
        if self._has("f"):
            scale = 1 / _FULL_SCALE if block.dtype.kind == "i" else 1.0
            # Adding makes 0.0 of -0.0.
            yield "f", np.add(block if scale == 1.0 else block * scale, 0.0, dtype="<f8")

    def _to_integers(self, block: Samples) -> Samples | None:
        if block.dtype.kind == "i":
            return block.astype("<i4", copy=False)
        with np.errstate(over="ignore"):
            scaled: Samples = block * block.dtype.type(_FULL_SCALE)
        if self._has("f") and not _is_whole(scaled):
            return None
        return scaled.astype("<i4")

    def _has(self, kind: str) -> bool:
        return any(its_kind == kind for its_kind, _ in self._lanes)

    def _drop(self, is_out: Callable[[str, int], bool]) -> None:
        self._lanes = {key: lane for key, lane in self._lanes.items() if not is_out(*key)}


def _is_whole(scaled: Samples) -> bool:
    return bool(((scaled == np.rint(scaled)) & (scaled >= -_FULL_SCALE) & (scaled < _FULL_SCALE)).all())
