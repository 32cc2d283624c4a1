"""What kinds in ONNX share: a file opened with care, segments joined, files worked through one after the other."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from plugin_core.errors import ServiceError, UsageError, install_hint
from plugin_core.files.disk import explain_read_error, explain_write_error
from plugin_core.providers.neural.networks import Computing, Device, StereoMix, Told, Weights
from plugin_core.providers.neural.tensors import spoilt

Float32 = NDArray[np.float32]

LARGEST: Final = 2 << 30
"""Bytes of a file; protocol buffers, of which ONNX is made, hold no more."""
_CPU: Final = "CPUExecutionProvider"
_PROVIDERS: Final[dict[Device, str]] = {
    "cpu": _CPU,
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_OWNERS: Final = {
    "cuda": "onnxruntime-gpu",
    "coreml": "onnxruntime for Apple silicon",
    "directml": "onnxruntime-directml",
}
"""Which distribution computes on a device; of those that are called onnxruntime, one alone may be installed."""


def find_runtime() -> Any:
    """Import ONNX Runtime.

    Raises:
        UsageError: it is not installed, or does not load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime"
        why = "is not installed" if is_missing else f"does not load: {' '.join(str(error).split())}"
        raise UsageError(f"this model needs onnxruntime, which {why}", remedy=install_hint("neural")) from error
    return onnxruntime


class Graph:
    """A file that ONNX Runtime has loaded: one array in, one array out.

    Args:
        weights: the file.
        computing: how the machine is used.
        is_folded: whether what never changes is worked out once, which is quicker and may take memory.
    """

    def __init__(self, weights: Weights, computing: Computing, *, is_folded: bool = True) -> None:
        check_file(weights.path)
        self._weights = weights
        self.note = ""
        """Why another device computes than was wished; "" where none does."""
        self._device: Device = computing.device
        self._session = self._open(find_runtime(), computing, is_folded)
        self.inputs = {each.name: tuple(each.shape) for each in self._session.get_inputs()}
        """Shapes by name; what may be any number is text or None."""
        self.outputs = tuple(each.name for each in self._session.get_outputs())
        """Names; of their shapes not every file says what they are."""

    @property
    def path(self) -> Path:
        return self._weights.path

    def run(self, values: Float32) -> Float32:
        """Compute.

        Raises:
            ServiceError: the device gave up, or what it gives are no numbers.
            MemoryError: there is not enough.
        """
        try:
            result: Float32 = self._session.run(None, {next(iter(self.inputs)): values})[0]
        except Exception as error:  # ONNX Runtime has no class of its own above its errors
            said = _first_line(error)
            if self._device == "cpu" and "alloc" in said.lower():
                raise MemoryError(said) from error
            raise self._blame(f"gave up: {said}") from error
        if not np.isfinite(result).all():
            raise self._blame("gave values that are no numbers")
        return result

    def _blame(self, what: str) -> ServiceError:
        remedy = "please report this" if self._device == "cpu" else 'set device = "cpu" in [neural]'
        return ServiceError(f"{self._weights.file.name} on {self._device} {what}", remedy=remedy)

    def _open(self, runtime: Any, computing: Computing, is_folded: bool) -> Any:
        provider = _PROVIDERS[computing.device]
        if provider != _CPU and provider not in runtime.get_available_providers():
            return self._fall_back(runtime, computing, is_folded, f"that needs {_OWNERS[computing.device]}")
        options = runtime.SessionOptions()
        # Memory that is asked for anew each time is given back: a third of the peak, and flat, for a tenth of the time.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.intra_op_num_threads = computing.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.load_model_format", "ONNX")  # whatever the file is called
        options.log_severity_level = 4
        if not is_folded:
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        chosen = [] if provider == _CPU else [(provider, _options_of(computing.device))]
        try:
            session = runtime.InferenceSession(
                os.fspath(self.path),
                options,
                providers=[*chosen, _CPU],
                disabled_optimizers=None if is_folded else ["ConstantFolding"],
                enable_fallback=0,
                read_config_from_model=0,
            )
        except Exception as error:  # ONNX Runtime has no class of its own above its errors
            if provider != _CPU:
                return self._fall_back(runtime, computing, is_folded, _first_line(error))
            raise self._explain(error) from error
        if session.get_providers()[0] != provider:  # a library of the device's maker is missing
            self.note = _tell_fallback(computing.device, "it could not be started")
            self._device = "cpu"
        return session

    def _fall_back(self, runtime: Any, computing: Computing, is_folded: bool, why: str) -> Any:
        self.note = _tell_fallback(computing.device, why)
        self._device = "cpu"
        return self._open(runtime, Computing(threads=computing.threads), is_folded)

    def _explain(self, error: Exception) -> BaseException:
        said = _first_line(error)
        if "alloc" in said.lower():
            return MemoryError(said)
        if "Protobuf" in said or "No graph" in said:
            return spoilt(self.path, "it is no whole ONNX model: cut short, damaged or something else")
        return spoilt(self.path, f"ONNX Runtime does not take it: {said}")


def check_file(path: Path) -> None:
    """Look at a file before anything is loaded of it.

    Raises:
        SettingsError: it is empty, a web page, too large, or names further files, whose content nobody checked.
        SourceError: it cannot be read.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise spoilt(path, "it is empty")
        if size >= LARGEST:
            raise spoilt(path, f"it has {size / 1e9:.1f} GB, and an ONNX model has at most 2")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:64].lstrip()[:1] == b"<":
                raise spoilt(path, "it is a web page, no model")
            if _names_files(data):
                raise spoilt(path, "it keeps weights in other files, which nobody can vouch for")
    except OSError as error:
        raise explain_read_error(path, error) from error


def _names_files(data: mmap.mmap) -> bool:
    """Tell whether a tensor's data lie in another file: then this word is a text of eight bytes somewhere."""
    word = b"location"
    place = data.find(word)
    while place >= 0:
        # The byte before is the last of the text's length; zero where somebody wrote the eight in a longer way.
        if data[place - 1 : place] in (b"\x08", b"\x00"):
            return True
        place = data.find(word, place + 1)
    return False


def _first_line(error: Exception) -> str:
    """Return what ONNX Runtime says, without its stack, prefix and the path, which is named anyway."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    return re.sub(r"^(\[ONNXRuntimeError\] : \d+ : \w+ : )?(Load model from .* failed: ?)?", "", said)


def _tell_fallback(device: Device, why: str) -> str:
    return f'computed on the processor, not with device = "{device}": {why}'


def _options_of(device: Device) -> Mapping[str, str]:
    if device != "coreml":
        return {}
    import platformdirs

    # Without it the model is compiled anew for each song, which takes minutes.
    folder = Path(platformdirs.user_cache_dir("stembridge", appauthor=False)) / "coreml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # what it would have saved is time
        return {}
    return {"ModelCacheDirectory": str(folder)}


class Segment(NamedTuple):
    """What a network gives of a stretch of the song."""

    start: int
    """Sample of the song that it begins with, which may lie before the song."""
    weight: Float32
    """How much each of its samples counts, where segments overlap."""
    stems: Float32
    """(stems, samples, 2)."""


def join(segments: Iterable[Segment], length: int) -> Iterator[Float32]:
    """Yield a song in blocks (stems, samples, 2), the mean of segments where they overlap; each is let go in its turn.

    Args:
        segments: in the order of their beginnings, which together cover the song.
        length: of the song, in samples.
    """
    at = 0
    sums: Float32 | None = None
    weights: Float32 = np.zeros(0, dtype=np.float32)
    for start, weight, stems in segments:
        if sums is None:
            sums = np.zeros((len(stems), 0, 2), dtype=np.float32)
        begin, end = max(0, start), min(length, start + len(weight))
        if begin > at:  # nothing that follows begins before
            yield sums[:, : begin - at] / weights[: begin - at, None]
            sums, weights, at = sums[:, begin - at :], weights[begin - at :], begin
        more = max(0, end - at - len(weights))
        sums = np.concatenate((sums, np.zeros((len(stems), more, 2), np.float32)), axis=1)
        weights = np.concatenate((weights, np.zeros(more, np.float32)))
        here, there = slice(begin - at, end - at), slice(begin - start, end - start)
        sums[:, here] += stems[:, there] * weight[there, None]
        weights[here] += weight[there]
    if sums is not None and len(weights):
        yield sums / weights[:, None]


class Pass(Protocol):
    """One file of a model, run through a song."""

    @property
    def stems(self) -> tuple[str, ...]:
        """What it gives."""

    def run(self, mix: StereoMix, tell: Told) -> Iterator[Float32]:
        """Yield blocks (stems, samples, 2), as long as the song; the file is in memory as long as this runs."""

    note: str


class OnnxNetwork:
    """The files of a model, one after the other, so that a single one is in memory.

    Args:
        passes: what each file does.
    """

    def __init__(self, passes: Sequence[Pass]) -> None:
        find_runtime()
        self._passes = passes
        self.stems = tuple(stem for each in passes for stem in each.stems)

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of how it was computed, once it was."""
        return tuple({each.note: None for each in self._passes if each.note})

    def separate(self, mix: StereoMix, scratch: Path, tell: Told) -> Iterator[Mapping[str, Float32]]:
        """Yield blocks by stem; those of all files but the last lie in ``scratch`` meanwhile.

        Raises:
            SettingsError: a file is not what its kind is.
            ServiceError: the device gave up.
            TransientError: the disk of ``scratch`` is full.
        """
        *early, last = self._passes
        with ExitStack() as stack:
            kept = []
            for number, each in enumerate(early):
                path = scratch / f"{number}.f32"
                file = stack.enter_context(path.open("w+b"))
                for block in each.run(mix, self._share(number, tell)):
                    try:
                        file.write(np.ascontiguousarray(block.transpose(1, 0, 2)).data)
                    except OSError as error:
                        raise explain_write_error(path, error) from error
                file.seek(0)
                kept.append((each.stems, file))
            for block in last.run(mix, self._share(len(early), tell)):
                found = dict(zip(last.stems, block, strict=True))
                for stems, file in kept:
                    count = block.shape[1]
                    values = np.fromfile(file, np.float32, count * len(stems) * 2).reshape(count, len(stems), 2)
                    found.update(zip(stems, values.transpose(1, 0, 2), strict=True))
                yield found

    def _share(self, number: int, tell: Told) -> Told:
        return lambda share: tell((number + share) / len(self._passes))
