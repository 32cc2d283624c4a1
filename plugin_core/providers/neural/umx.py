"""Open-Unmix in numpy: masks of a song's spectrogram by one recurrent network a stem.

The whole song is heard, as by the original, and memory stays flat: what the network keeps of each frame lies in files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.neural.networks import RATE, Computing, NeuralModel, StereoMix, Told, Weights
from plugin_core.providers.neural.spectra import BLOCK, Complex64, Sound, Spectrogram, filter_stems
from plugin_core.providers.neural.tensors import Tensors, read_tensors, spoilt

Float32 = NDArray[np.float32]

STRIDE: Final = 1024
"""Frames of a network's memory in work at once."""
_EPSILON: Final = 1e-5
"""Of torch's batch norms."""
_MOST_LAYERS: Final = 8
_LISTENING, _REMEMBERING = 0.1, 0.75
"""Share of the work that is done after the first pass over the song, and after the recurrent layers."""


class Affine(NamedTuple):
    """A matrix, transposed, and what is added."""

    weight: Float32
    bias: Float32

    def apply(self, rows: Float32) -> Float32:
        result = rows @ self.weight
        result += self.bias
        return result


class Recurrence(NamedTuple):
    """One direction of one LSTM layer: input, forget and output gates at half their size, then the cell."""

    of_input: Affine
    of_state: Float32
    """Not transposed: a row for each gate goes a quarter faster through one state at a time."""


class Target:
    """The network of one stem; scalings and batch norms are folded into three affine maps.

    Args:
        tensors: as Open-Unmix names them; what it does not know is left alone.

    Raises:
        ValueError: one is missing, or of another shape than the others ask for, or holds no numbers.
    """

    def __init__(self, tensors: Tensors) -> None:
        known = _Shaped(tensors)
        self.hidden = known.any("fc1.weight", 2).shape[0]
        self.crop, self.bins = len(known.any("input_mean", 1)), len(known.any("output_mean", 1))
        if not (0 < self.crop <= self.bins and self.hidden % 2 == 0 and self.bins % 2):
            raise ValueError("its sizes do not fit each other")
        hidden, crop, bins = self.hidden, self.crop, self.bins
        scale, mean = known.take("input_scale", crop), known.take("input_mean", crop)
        first = known.take("fc1.weight", hidden, 2 * crop)
        scaled = first * np.tile(scale, 2)
        self.encode = _affine(*_normalise(known, 1, hidden, scaled, scaled @ np.tile(mean, 2)))
        second = known.take("fc2.weight", hidden, 2 * hidden)
        self.decode = _affine(*_normalise(known, 2, hidden, second, np.zeros(hidden)))
        third = known.take("fc3.weight", 2 * bins, hidden)
        weight, bias = _normalise(known, 3, 2 * bins, third, np.zeros(2 * bins))
        scale, mean = np.tile(known.take("output_scale", bins), 2), np.tile(known.take("output_mean", bins), 2)
        self.mask = _affine(weight * scale[:, None], bias * scale + mean)
        self.layers = [self._read_layer(known, layer) for layer in range(_count_layers(tensors))]

    def _read_layer(self, known: _Shaped, layer: int) -> tuple[Recurrence, Recurrence]:
        """Return both directions."""
        hidden, state = self.hidden, self.hidden // 2

        def order(gates: NDArray[np.float64]) -> NDArray[np.float64]:
            """Halve what goes through sigmoids, which then is a tangent like the cell's, and put the cell last."""
            first, forget, cell, last = np.split(gates, 4)
            return np.concatenate((first / 2, forget / 2, last / 2, cell))

        def read(suffix: str) -> Recurrence:
            bias = known.take(f"lstm.bias_ih_{suffix}", 4 * state) + known.take(f"lstm.bias_hh_{suffix}", 4 * state)
            of_input = _affine(order(known.take(f"lstm.weight_ih_{suffix}", 4 * state, hidden)), order(bias))
            of_state = order(known.take(f"lstm.weight_hh_{suffix}", 4 * state, state))
            return Recurrence(of_input, _plain(of_state))

        return read(f"l{layer}"), read(f"l{layer}_reverse")

    def listen(self, magnitudes: Float32) -> Float32:
        """Return what is remembered of frames before any knows of another: (frames, 2, bins) to (frames, hidden)."""
        heard = np.ascontiguousarray(magnitudes[:, :, : self.crop]).reshape(len(magnitudes), -1)
        return np.tanh(self.encode.apply(heard))

    def join(self, heard: Float32, remembered: Float32) -> Float32:
        """Return what a mask is made of."""
        return np.maximum(self.decode.apply(np.concatenate((heard, remembered), axis=1)), 0)

    def draw(self, joined: Float32) -> Float32:
        """Return the masks of frames, (frames, 2, bins): not negative, above 1 perhaps."""
        return np.maximum(self.mask.apply(joined), 0).reshape(len(joined), 2, self.bins)


class _Shaped:
    """Tensors that are taken by name and shape."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def any(self, name: str, dimensions: int) -> NDArray[Any]:
        found = self._tensors.get(name)
        if found is None:
            raise ValueError(f"it has no {name}: it is no model of Open-Unmix")
        if found.dtype != np.float32 or found.ndim != dimensions or not np.isfinite(found).all():
            raise ValueError(f"its {name} is no table of {dimensions} dimensions of 32-bit numbers")
        return found

    def take(self, name: str, *shape: int) -> NDArray[np.float64]:
        found = self.any(name, len(shape))
        if found.shape != shape:
            raise ValueError(f"its {name} is {' x '.join(map(str, found.shape))}, not {' x '.join(map(str, shape))}")
        return found.astype(np.float64)


def _count_layers(tensors: Tensors) -> int:
    count = next(layer for layer in range(_MOST_LAYERS + 1) if f"lstm.weight_ih_l{layer}" not in tensors)
    if not count:
        raise ValueError("it has no lstm: it is no model of Open-Unmix")
    return count


def _normalise(
    known: _Shaped, index: int, size: int, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return an affine map with the batch norm that follows it."""
    variance = known.take(f"bn{index}.running_var", size)
    if (variance < 0).any():
        raise ValueError(f"its bn{index}.running_var is below zero")
    gain = known.take(f"bn{index}.weight", size) / np.sqrt(variance + _EPSILON)
    mean, offset = known.take(f"bn{index}.running_mean", size), known.take(f"bn{index}.bias", size)
    return weight * gain[:, None], (bias - mean) * gain + offset


def _affine(weight: NDArray[np.float64], bias: NDArray[np.float64]) -> Affine:
    return Affine(_plain(weight.T), _plain(bias))


def _plain(values: NDArray[np.float64]) -> Float32:
    return np.ascontiguousarray(values, dtype=np.float32)


class FrameFile:
    """What is remembered of each frame of a song, in a file: read and written in runs.

    Args:
        path: of the file, which is made.
        width: numbers a frame.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._file = path.open("w+b")
        self._bytes = 4 * width

    def read(self, start: int, end: int) -> Float32:
        self._file.seek(start * self._bytes)
        data = self._file.read((end - start) * self._bytes)
        return np.frombuffer(data, dtype=np.float32).reshape(end - start, -1)

    def write(self, start: int, values: Float32) -> None:
        self._file.seek(start * self._bytes)
        self._file.write(values.tobytes())

    def close(self) -> None:
        self._file.close()


def recur(one: Recurrence, rows: Float32, state: tuple[Float32, Float32], *, is_backward: bool) -> Float32:
    """Return a direction's outputs over some frames, and leave its state after them in ``state``."""
    given = one.of_input.apply(rows)
    size = one.of_state.shape[1]
    out, cell = state
    result = np.empty((len(rows), size), dtype=np.float32)
    gates = np.empty(4 * size, dtype=np.float32)
    opened, (taken, kept, shown), fresh = gates[: 3 * size], gates[: 3 * size].reshape(3, size), gates[3 * size :]
    for index in range(len(rows) - 1, -1, -1) if is_backward else range(len(rows)):
        np.dot(one.of_state, out, out=gates)
        gates += given[index]
        np.tanh(gates, out=gates)
        opened += np.float32(1)
        opened *= np.float32(0.5)
        cell *= kept
        fresh *= taken
        cell += fresh
        np.tanh(cell, out=out)
        out *= shown
        result[index] = out
    return result


class OpenUnmix:
    """Networks that are loaded, one a stem.

    Args:
        targets: by stem.
        rest: the stem that is not given, since whoever asks takes what the others leave.
        is_whole: whether these are all the stems there are; else what they leave is filtered as a stem of its own.
        seconds: of sound that are filtered together; default 300 frames.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self, targets: Mapping[str, Target], rest: str, *, is_whole: bool, seconds: float | None = None
    ) -> None:
        self._targets = dict(targets)
        self._seconds = seconds
        self._is_whole = is_whole
        self._size = 2 * (next(iter(targets.values())).bins - 1)
        self.stems = tuple(stem for stem in targets if stem != rest)

    def separate(self, mix: StereoMix, scratch: Path, tell: Told) -> Iterator[Mapping[str, Float32]]:
        if not mix.frames:
            return
        block = BLOCK if self._seconds is None else max(1, round(self._seconds * RATE / (self._size // 4)))
        spectrogram = Spectrogram(mix, self._size, block)
        files = {stem: FrameFile(scratch / stem, target.hidden) for stem, target in self._targets.items()}
        try:
            for start, spectra in spectrogram.blocks():
                magnitudes = np.abs(spectra)
                for stem, target in self._targets.items():
                    files[stem].write(start, target.listen(magnitudes))
                tell(_LISTENING * (start + len(spectra)) / spectrogram.frames)
            for index, (stem, target) in enumerate(self._targets.items()):
                _remember(target, files[stem], spectrogram.frames, scratch, _share(tell, index, len(files)))
            sounds = {stem: Sound(spectrogram, mix.frames) for stem in self.stems}
            for start, spectra in spectrogram.blocks():
                masks = {
                    stem: target.draw(files[stem].read(start, start + len(spectra)))
                    for stem, target in self._targets.items()
                }
                filtered = self._filter(spectra, masks)
                yield {stem: sound.push(filtered[stem]) for stem, sound in sounds.items()}
                tell(_REMEMBERING + (1 - _REMEMBERING) * (start + len(spectra)) / spectrogram.frames)
        finally:
            for file in files.values():
                file.close()

    def _filter(self, spectra: Complex64, masks: Mapping[str, Float32]) -> dict[str, Complex64]:
        claims = [masks[stem] for stem in sorted(masks, key=lambda stem: stem not in self.stems)]
        if not self._is_whole:
            claims.append(np.float32(1) - sum(claims[1:], claims[0]))
        return dict(zip(self.stems, filter_stems(spectra, claims, len(self.stems)), strict=True))


def _share(tell: Told, index: int, count: int) -> Told:
    span = (_REMEMBERING - _LISTENING) / count
    return lambda done: tell(_LISTENING + span * (index + done))


def _remember(target: Target, heard: FrameFile, frames: int, scratch: Path, tell: Told) -> None:
    """Let the recurrent layers go over the song; afterwards ``heard`` holds what masks are made of."""
    half = target.hidden // 2
    starts = range(0, frames, STRIDE)
    steps, step = 2 * len(target.layers) * len(starts), 0
    with ExitStack() as stack:
        # Of each layer the file of one direction, and of the other; those of the layer before, and those of this one.
        spares = [[_spare(stack, scratch / f"{layer}-{one}", half) for one in range(2)] for layer in range(2)]
        source = [heard]
        for layer, directions in enumerate(target.layers):
            goal = spares[layer % 2]
            for index, one in enumerate(directions):
                state = np.zeros(half, dtype=np.float32), np.zeros(half, dtype=np.float32)
                for start in reversed(starts) if index else starts:
                    rows = _read(source, start, min(frames, start + STRIDE))
                    goal[index].write(start, recur(one, rows, state, is_backward=bool(index)))
                    step += 1
                    tell(step / steps)
            source = goal
        for start in starts:
            end = min(frames, start + STRIDE)
            heard.write(start, target.join(heard.read(start, end), _read(source, start, end)))


def _spare(stack: ExitStack, path: Path, width: int) -> FrameFile:
    spare = FrameFile(path, width)
    stack.callback(spare.close)
    return spare


def _read(files: Sequence[FrameFile], start: int, end: int) -> Float32:
    return np.concatenate([file.read(start, end) for file in files], axis=1)


def load(model: NeuralModel, weights: Sequence[Weights], computing: Computing) -> OpenUnmix:
    """Read the networks of some of a model's stems, or of all.

    Raises:
        SettingsError: a file is damaged, or no network of Open-Unmix.
    """
    targets: dict[str, Target] = {}
    for each in weights:
        try:
            target = Target(read_tensors(each.path))
        except ValueError as error:
            raise spoilt(each.path, str(error)) from error
        if any(other.bins != target.bins for other in targets.values()):
            raise spoilt(each.path, "it hears in another resolution than the model's other files")
        targets[each.file.stem] = target
    is_whole = targets.keys() >= set(model.stems)
    return OpenUnmix(targets, model.rest, is_whole=is_whole, seconds=computing.segment_seconds)
