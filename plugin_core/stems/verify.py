"""Whether fetched parts are whole and belong to their source, by decoding every one to its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from plugin_core.audio.info import AudioInfo
from plugin_core.audio.reader import Reader, open_reader
from plugin_core.audio.samples import Samples, to_integers
from plugin_core.errors import ResultError, SourceError
from plugin_core.model import Part, show_path
from plugin_core.stems.align import Alignment, Listener
from plugin_core.stems.conform import BLOCK, Shape, can_match_channels
from plugin_core.threads import Stopper

LENGTH_TOLERANCE: Final = 0.5
"""Seconds a service's part may be longer or shorter: encoders pad, resamplers round."""

BITS: Final = {"pcm_u8": 8, "pcm_s8": 8, "pcm_16": 16, "pcm_24": 24, "pcm_32": 32}
_FLOAT_STEP: Final = 2.0**-23


class Checked(msgspec.Struct, frozen=True):
    """What decoding found."""

    source: Shape
    frames: tuple[int, ...]
    """Samples in each channel of each part, at the part's own rate."""
    infos: tuple[AudioInfo, ...]
    note: str = ""
    """What people should know of how the source was read."""
    alignment: Alignment | None = None
    """How inexact parts lie against the source, heard on the way where all have its sample rate."""


def verify_parts(source: Path, parts: Sequence[Part], stopper: Stopper) -> Checked:
    """Decode the source and every part to their ends and compare them.

    Exact parts must sum to the source within one step of their format; others must have its length within half a
    second.

    Args:
        source: the source.
        parts: fetched parts.
        stopper: checked for each block.

    Raises:
        ResultError: a part is damaged, of another length, or the sum is wrong.
        SourceError: the source cannot be decoded.
    """
    if not parts:
        raise ResultError("the provider gave no stems", remedy="try again, or choose another model")
    exact = [part.path for part in parts] if all(part.exact for part in parts) else []
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(source))
        partners = [stack.enter_context(open_part(path)) for path in exact]
        for partner in partners:
            _check_same_shape(reader, partner)
        listener = Listener(reader.info.sample_rate)
        _read_together(reader, partners, stopper, listener if not exact else None)
        shape = Shape(reader.info.sample_rate, reader.info.channels, reader.position)
        note = reader.note
    found = {partner.path: (partner.position, partner.info) for partner in partners}
    for part in parts:
        if part.path not in found:
            found[part.path] = _measure(part, shape, stopper, listener)
    frames, infos = zip(*(found[part.path] for part in parts), strict=True)
    is_heard = not exact and all(info.sample_rate == shape.sample_rate for info in infos)
    return Checked(shape, frames, infos, note, listener.conclude() if is_heard else None)


@contextmanager
def open_part(path: Path) -> Iterator[Reader]:
    """Open a part; what is wrong with it is the provider's fault and not the source's.

    Raises:
        ResultError: it is damaged or no audio.
    """
    with blame_part(), open_reader(path) as reader:
        yield reader


@contextmanager
def blame_part() -> Iterator[None]:
    """Turn "this source is damaged" into "this result is damaged"."""
    try:
        yield
    except SourceError as error:
        raise ResultError(f"a fetched part is unusable: {error.message}", remedy="fetch it again") from error


def _check_same_shape(reader: Reader, part: Reader) -> None:
    for what, unit in (("sample_rate", "Hz"), ("channels", "channels")):
        has, wants = getattr(part.info, what), getattr(reader.info, what)
        if has != wants:
            raise ResultError(f"{show_path(part.path)} has {has} {unit} and its source {wants}")


def _read_together(reader: Reader, parts: Sequence[Reader], stopper: Stopper, listener: Listener | None) -> None:
    while True:
        stopper.check()
        block = reader.read(BLOCK, dtype="float64")
        if listener is not None:
            listener.hear_source(block)
        with blame_part():
            blocks = [part.read(BLOCK, dtype="float64") for part in parts]
        for part, given in zip(parts, blocks, strict=True):
            if len(given) != len(block):
                raise ResultError(f"{show_path(part.path)} is not as long as its source", remedy="try again")
        if not len(block):
            return
        if parts:
            _check_sum(block, blocks, parts, reader.position - len(block))


def _check_sum(block: Samples, blocks: Sequence[Samples], parts: Sequence[Reader], start: int) -> None:
    bits = min((BITS.get(part.info.encoding, 32) for part in parts), default=32)
    if all(part.info.encoding in BITS for part in parts):
        total = np.sum([to_integers(one, bits) for one in blocks], axis=0, dtype=np.int64)
        is_wrong = np.abs(total - to_integers(block, bits)) > 1
    else:
        is_wrong = np.abs(np.sum(blocks, axis=0) - block) > _FLOAT_STEP * max(1.0, float(np.abs(block).max()))
    if is_wrong.any():
        frame = start + int(np.argmax(is_wrong.any(axis=1)))
        names = ", ".join(show_path(part.path) for part in parts)
        raise ResultError(f"the stems do not sum to the source at sample {frame}: {names}", remedy="try again")


def _measure(part: Part, shape: Shape, stopper: Stopper, listener: Listener) -> tuple[int, AudioInfo]:
    with blame_part(), open_reader(part.path) as reader:
        info = reader.info
        is_heard = info.sample_rate == listener.sample_rate and can_match_channels(info.channels, shape.channels)
        while len(block := reader.read(BLOCK)):
            stopper.check()
            if is_heard:
                listener.hear_part(block, reader.position - len(block))
        seconds = reader.position / reader.info.sample_rate - shape.frames / shape.sample_rate
        if abs(seconds) > LENGTH_TOLERANCE:
            word = "longer" if seconds > 0 else "shorter"
            raise ResultError(
                f"{show_path(part.path)} is {abs(seconds):.2f} s {word} than its source", remedy="fetch it again"
            )
        return reader.position, reader.info
