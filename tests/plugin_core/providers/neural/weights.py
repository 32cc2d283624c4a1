"""Random networks of Open-Unmix, as files that torch would have written."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]
_STORAGES = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<f2": "HalfStorage", "<i8": "LongStorage"}


def random_target(seed: int, *, bins: int = 129, crop: int = 80, hidden: int = 32, layers: int = 3) -> Tensors:
    """Return the tensors of one stem; buffers that are one or zero at the start of a training would hide mistakes."""
    random = np.random.RandomState(seed)  # whose numbers are the same in every version of numpy

    def normal(*shape: int, scale: float = 1.0) -> NDArray[np.float32]:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    def around(middle: float, *shape: int) -> NDArray[np.float32]:
        return (middle + random.uniform(-0.4, 0.4, shape) * middle).astype(np.float32)

    state = hidden // 2
    tensors: Tensors = {
        "input_mean": normal(crop, scale=0.3),
        "input_scale": around(0.6, crop),
        "output_scale": around(0.5, bins),
        "output_mean": around(0.4, bins),
        "fc1.weight": normal(hidden, 2 * crop, scale=(2 * crop) ** -0.5),
        "fc2.weight": normal(hidden, 2 * hidden, scale=(2 * hidden) ** -0.5),
        "fc3.weight": normal(2 * bins, hidden, scale=hidden**-0.5),
    }
    for index, size in ((1, hidden), (2, hidden), (3, 2 * bins)):
        tensors[f"bn{index}.weight"] = around(1.0, size)
        tensors[f"bn{index}.bias"] = normal(size, scale=0.2)
        tensors[f"bn{index}.running_mean"] = normal(size, scale=0.2)
        tensors[f"bn{index}.running_var"] = around(1.0, size)
        tensors[f"bn{index}.num_batches_tracked"] = np.array(1234, dtype=np.int64)
    for layer in range(layers):
        for end in ("", "_reverse"):
            tensors[f"lstm.weight_ih_l{layer}{end}"] = normal(4 * state, hidden, scale=hidden**-0.5)
            tensors[f"lstm.weight_hh_l{layer}{end}"] = normal(4 * state, state, scale=state**-0.5)
            tensors[f"lstm.bias_ih_l{layer}{end}"] = normal(4 * state, scale=0.2)
            tensors[f"lstm.bias_hh_l{layer}{end}"] = normal(4 * state, scale=0.2)
    return tensors


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def whole(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def tensor(key: str, array: NDArray[Any], **changes: Any) -> bytes:
    """Return the instructions that name one tensor; ``changes`` of what it says of itself make it wrong."""
    kind = changes.get("kind", _STORAGES[array.dtype.str])
    steps = changes.get("strides", tuple(step // array.itemsize for step in array.strides))
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu")
    storage += whole(changes.get("count", max(1, array.size))) + b"tQ"
    shape, strides = ([whole(each) for each in numbers] for numbers in (changes.get("shape", array.shape), steps))
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + whole(changes.get("offset", 0))
        + (b"(" + b"".join(shape) + b"t")
        + (b"(" + b"".join(strides) + b"t")
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def index_of(tensors: Mapping[str, NDArray[Any]], **changes: Any) -> bytes:
    """Return the index of a table of tensors."""
    items = b"".join(text(name) + tensor(str(key), one, **changes) for key, (name, one) in enumerate(tensors.items()))
    return b"\x80\x02ccollections\nOrderedDict\n)Rq\x00(" + items + b"u."


def write_zip(
    path: Path, tensors: Mapping[str, NDArray[Any]], index: bytes | None = None, how: int = zipfile.ZIP_STORED
) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr("archive/data.pkl", index_of(tensors) if index is None else index)
        archive.writestr("archive/byteorder", "little")
        for key, array in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def write_legacy(path: Path, tensors: Mapping[str, NDArray[Any]], index: bytes | None = None) -> Path:
    magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + b"\x80\x02M\xe9\x03."
    system = b"\x80\x02}q\x00(" + text("protocol_version") + b"M\xe9\x03" + text("little_endian") + b"\x88u."
    keys = b"\x80\x02]q\x00(" + b"".join(text(str(key)) for key in range(len(tensors))) + b"e."
    data = b"".join(struct.pack("<q", max(1, one.size)) + one.tobytes() for one in tensors.values())
    path.write_bytes(magic + system + (index_of(tensors) if index is None else index) + keys + data)
    return path


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Path:
    kinds = {"<f4": "F32", "<i8": "I64"}
    head, at = {"__metadata__": {"format": "pt"}}, 0
    entries: dict[str, Any] = dict(head)
    for name, one in tensors.items():
        entries[name] = {"dtype": kinds[one.dtype.str], "shape": one.shape, "data_offsets": [at, at + one.nbytes]}
        at += one.nbytes
    said = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(said)) + said + b"".join(one.tobytes() for one in tensors.values()))
    return path
