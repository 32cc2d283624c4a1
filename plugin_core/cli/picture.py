"""A song and its stems as a picture: waveforms, spectrograms, what their sum lacks, levels and labels.

Files are read side by side in slices, one a column of the picture, so that memory stays flat however long they are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from plugin_core.audio.reader import Reader, open_reader
from plugin_core.console.phrases import plural
from plugin_core.model import Label, disarm
from plugin_core.stem_names import colour_of, title

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Floats = npt.NDArray[np.float64]

COLUMNS: Final = 600
_FFT: Final = 2048
_FRAMES_A_COLUMN: Final = 4
_BANDS: Final = 96
_FLOOR: Final = -90.0
"""Decibels of what is drawn black."""
_MARGIN, _NAME, _ROW, _GAP = 12, 190, 96, 14
_BACK, _INK, _DIM = (18, 20, 24), (230, 232, 236), (130, 136, 146)
_SOURCE: Final = (200, 204, 210)
_ERROR: Final = (255, 90, 90)


class PictureRow(msgspec.Struct):
    """One file, a slice a column."""

    name: str
    colour: tuple[int, int, int]
    low: Floats
    high: Floats
    bands: Floats
    """Decibels, (bands, columns), the deepest first."""
    peak: float = 0.0
    squares: float = 0.0
    count: int = 0

    @property
    def rms(self) -> float:
        return math.sqrt(self.squares / self.count) if self.count else 0.0


class Measured(msgspec.Struct):
    """What is drawn."""

    tracks: list[PictureRow]
    error: Floats | None
    """How far the sum of the stems is from the source, the most in each column; None where it cannot be told."""
    seconds: float
    untold: str = ""
    """Why it cannot, in words for people."""


def measure(source: Path, stems: Mapping[str, Path]) -> Measured:
    """Read a song and its stems.

    Raises:
        SourceError: a file cannot be read.
        TransientError: a disk or share does not answer.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(open_reader(path)) for path in (source, *stems.values())]
        info = readers[0].info
        length = info.frames or round(info.duration * info.sample_rate)
        colours = [_SOURCE, *map(colour_of, stems)]
        tracks = [_blank(name, colour) for name, colour in zip(("source", *stems), colours, strict=True)]
        parts = _parts(list(stems))
        untold = _why_untold(readers, len(parts))
        error: Floats | None = None if untold else np.zeros(COLUMNS)
        for column in range(COLUMNS):
            end = round((column + 1) * length / COLUMNS)
            blocks = [_read(reader, round(end * reader.info.sample_rate / info.sample_rate)) for reader in readers]
            for track, block, reader in zip(tracks, blocks, readers, strict=True):
                _note(track, column, block, reader.info.sample_rate)
            if error is not None:
                error[column] = _difference(blocks[0], [blocks[1 + list(stems).index(name)] for name in parts])
        return Measured(tracks=tracks, error=error, seconds=info.duration, untold=untold)


def _why_untold(readers: Sequence[Reader], parts: int) -> str:
    """Return why nothing can be said of a sum of so many stems, of a song and them; "" where it can be."""
    song, *stems = (each.info for each in readers)
    if rate := next((one.sample_rate for one in stems if one.sample_rate != song.sample_rate), 0):
        return f"a stem has {rate} Hz, the song {song.sample_rate} Hz"
    if channels := next((one.channels for one in stems if one.channels != song.channels), 0):
        return f"a stem has {plural(channels, 'channel')}, the song {song.channels}"
    return "" if parts > 1 else "one stem is no whole song"


def _blank(name: str, colour: tuple[int, int, int]) -> PictureRow:
    zero = np.zeros(COLUMNS)
    return PictureRow(name, colour, zero.copy(), zero.copy(), np.full((_BANDS, COLUMNS), _FLOOR))


def _parts(names: Sequence[str]) -> list[str]:
    """Return the stems whose sum should be the song: no "minus one", and no part beside what holds it."""
    names = [name for name in names if not name.startswith("no-")]
    return ["vocals", "instrumental"] if {"vocals", "instrumental"} <= set(names) else names


def _read(reader: Reader, end: int) -> Floats:
    """Read a file up to a frame; nothing beyond its end."""
    frames = end - reader.position
    if reader.is_over or frames <= 0:
        return np.zeros((0, 1))
    return np.asarray(reader.read(frames, "float64"), dtype=np.float64)


def _note(track: PictureRow, column: int, block: Floats, rate: int) -> None:
    if not len(block):
        return
    track.low[column], track.high[column] = block.min(), block.max()
    track.peak = max(track.peak, float(np.abs(block).max()))
    track.squares += float((block**2).sum())
    track.count += block.size
    track.bands[:, column] = _spectrum(block.mean(axis=1), rate)


def _spectrum(mono: Floats, rate: int) -> Floats:
    """Return the level of each band of a slice in decibels, by a few windows of it."""
    size = min(len(mono), _FFT)
    starts = np.unique(np.linspace(0, len(mono) - size, _FRAMES_A_COLUMN).astype(int))
    window = _window(size)
    frames = np.stack([mono[start : start + size] for start in starts]) * window
    power = np.mean(np.abs(np.fft.rfft(frames, _FFT)) ** 2, axis=0)
    loudest = np.maximum.reduceat(np.append(power, 0.0), _edges(rate))[::2]
    level: Floats = np.maximum(10 * np.log10(loudest / (window.sum() / 2) ** 2 + 1e-12), _FLOOR)
    return level


@functools.lru_cache(maxsize=8)
def _window(size: int) -> Floats:
    window: Floats = np.hanning(size + 2)[1:-1]
    return window


@functools.cache
def _edges(rate: int) -> npt.NDArray[np.intp]:
    """Return the first bin of each band and the one after its last, in turn."""
    count = _FFT // 2 + 1
    edges = np.geomspace(40.0, rate / 2, _BANDS + 1) * _FFT / rate
    first = np.minimum(edges[:-1].astype(int), count - 1)
    last = np.maximum(np.minimum(edges[1:].astype(int), count), first + 1)
    return np.column_stack((first, last)).ravel()


def _difference(source: Floats, parts: Sequence[Floats]) -> float:
    size = max(len(source), *map(len, parts))

    def whole(block: Floats) -> Floats:
        return np.pad(block, ((0, size - len(block)), (0, 0))) if len(block) else np.zeros((size, 1))

    left = whole(source) - sum(whole(part) for part in parts)
    return float(np.abs(left).max()) if left.size else 0.0


def decibels(value: float) -> str:
    """Write a level: -3.2 dBFS, or silent."""
    return "silent" if value <= 0 else f"{20 * math.log10(value):.1f} dBFS"


def describe_error(measured: Measured) -> str:
    """Say how far the sum of the stems is from the song."""
    if measured.error is None:
        return f"not told: {measured.untold}"
    worst = float(measured.error.max())
    if worst == 0:
        return "none, sample for sample"
    # What a lossy song decodes to has more digits than its stems can hold.
    return "none that 24 bits could hold" if worst <= 2.0**-24 else f"at most {decibels(worst)}"


def draw(measured: Measured, heading: str, labels: Sequence[Label]) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    rows = len(measured.tracks)
    label_height = 24 * math.ceil(len(labels) / 2) + 30 if labels else 0
    height = 44 + rows * (_ROW + _GAP) + 84 + label_height
    width = _MARGIN * 3 + _NAME + 2 * COLUMNS
    image = Image.new("RGB", (width, height), _BACK)
    pen = ImageDraw.Draw(image)
    big, small = ImageFont.load_default(18), ImageFont.load_default(13)
    pen.text((_MARGIN, 10), disarm(heading), fill=_INK, font=big)
    wave_left = _MARGIN + _NAME
    spectrum_left = wave_left + COLUMNS + _MARGIN
    top = 44
    for track in measured.tracks:
        pen.text((_MARGIN, top + 8), title(track.name), fill=track.colour, font=big)
        pen.text((_MARGIN, top + 36), f"peak {decibels(track.peak)}", fill=_DIM, font=small)
        pen.text((_MARGIN, top + 54), f"RMS {decibels(track.rms)}", fill=_DIM, font=small)
        _draw_level(pen, top + 76, track)
        _draw_wave(pen, wave_left, top, track)
        image.paste(_paint_bands(track), (spectrum_left, top))
        top += _ROW + _GAP
    pen.text((_MARGIN, top + 8), "Sum error", fill=_INK, font=big)
    _draw_error(pen, wave_left, top, measured.error)
    # Why it cannot be told is longer than the names, and there is nothing to draw then.
    place = (wave_left + _MARGIN if measured.untold else _MARGIN, top + 34)
    pen.text(place, describe_error(measured), fill=_DIM, font=small)
    pen.text((spectrum_left, top), f"spectrum: 40 Hz below, {_FLOOR:.0f} to 0 dB", fill=_DIM, font=small)
    top += 84
    for number, label in enumerate(labels):
        left, line = _MARGIN + (number % 2) * (width // 2), top + 24 * (number // 2)
        _draw_label(pen, left, line, label, small)
    return image


def _draw_level(pen: ImageDraw, top: int, track: PictureRow) -> None:
    """Draw the peak as an outline and RMS as a bar, from -60 dB to full scale."""
    size = _NAME - 24
    pen.rectangle((_MARGIN, top, _MARGIN + size, top + 10), outline=_DIM)
    for value, fill in ((track.peak, tuple(part // 2 for part in track.colour)), (track.rms, track.colour)):
        share = max(0.0, min(1.0, 1 + 20 * math.log10(value) / 60)) if value > 0 else 0.0
        if share:
            pen.rectangle((_MARGIN + 1, top + 1, _MARGIN + 1 + share * (size - 2), top + 9), fill=fill)


def _draw_wave(pen: ImageDraw, left: int, top: int, track: PictureRow) -> None:
    middle, half = top + _ROW / 2, _ROW / 2
    pen.rectangle((left, top, left + COLUMNS - 1, top + _ROW - 1), fill=(26, 29, 34))
    for column, (low, high) in enumerate(zip(track.low, track.high, strict=True)):
        ends = [middle - max(-1.0, min(1.0, float(each))) * half for each in (high, low)]
        pen.line((left + column, ends[0], left + column, ends[1]), fill=track.colour)


def _paint_bands(track: PictureRow) -> Image:
    """Return the spectrogram, from black through the stem's colour to white."""
    from PIL import Image

    share = np.clip(1 - track.bands[::-1] / _FLOOR, 0.0, 1.0)[:, :, None]
    colour = np.array(track.colour, dtype=np.float64)
    pixels = np.where(share < 0.6, share / 0.6 * colour, colour + (share - 0.6) / 0.4 * (255 - colour))
    return Image.fromarray(pixels.astype(np.uint8)).resize((COLUMNS, _ROW))


def _draw_error(pen: ImageDraw, left: int, top: int, error: Floats | None) -> None:
    """Draw how far the sum is away, from -120 dB below to full scale above."""
    size = 60
    pen.rectangle((left, top, left + COLUMNS - 1, top + size), fill=(26, 29, 34))
    for column, value in enumerate(() if error is None else error):
        if value > 0:
            share = max(0.0, min(1.0, 1 + 20 * math.log10(float(value)) / 120))
            pen.line((left + column, top + size, left + column, top + size * (1 - share)), fill=_ERROR)


def _draw_label(pen: ImageDraw, left: int, top: int, label: Label, font: Any) -> None:
    words = f"{label.dimension}: {label.english or label.value}"
    pen.text((left, top), disarm(words), fill=_INK, font=font)
    if label.probability is not None:
        share = max(0.0, min(1.0, label.probability))
        pen.rectangle((left + 250, top + 3, left + 450, top + 13), outline=_DIM)
        pen.rectangle((left + 250, top + 3, left + 250 + 200 * share, top + 13), fill=(100, 200, 255))
        pen.text((left + 460, top), f"{round(share * 100)} %", fill=_DIM, font=font)
