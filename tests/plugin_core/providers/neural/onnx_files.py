"""Small ONNX files for tests, which are skipped where ``onnx`` or ``onnxruntime`` is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugin_core.providers.neural.networks import WeightFile, Weights

Nodes = Callable[[Any, str, str], tuple[list[Any], list[Any]]]
"""Make nodes from an input to an output, and the tensors that they need."""


def scale(gain: float) -> Nodes:
    """Return a network that multiplies by a number."""

    def make(onnx: Any, inputs: str, outputs: str) -> tuple[list[Any], list[Any]]:
        factor = onnx.numpy_helper.from_array(np.array(gain, dtype=np.float32), "factor")
        return [onnx.helper.make_node("Mul", [inputs, "factor"], [outputs])], [factor]

    return make


def stack(gains: Sequence[float]) -> Nodes:
    """Return a network from (1, 2, samples) to (1, stems, 2, samples), each the input times a number."""

    def make(onnx: Any, inputs: str, outputs: str) -> tuple[list[Any], list[Any]]:
        factors = onnx.numpy_helper.from_array(np.array(gains, dtype=np.float32).reshape(1, -1, 1, 1), "factors")
        axes = onnx.numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")
        wide = onnx.helper.make_node("Unsqueeze", [inputs, "axes"], ["wide"])
        return [wide, onnx.helper.make_node("Mul", ["wide", "factors"], [outputs])], [factors, axes]

    return make


def save_graph(
    path: Path,
    inputs: Sequence[int | str],
    nodes: Nodes,
    outputs: Sequence[int | str] = (),
    *,
    names: tuple[str, str] = ("", ""),
    extra: str = "",
    **options: Any,
) -> Path:
    """Write a model; its names are those of its kind unless said, by the number of its inputs' dimensions."""
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    takes, gives = names if names[0] else ("mix", "stems") if len(inputs) == 3 else ("input", "output")
    declared = [onnx.helper.make_tensor_value_info(name, 1, list(inputs)) for name in filter(None, (takes, extra))]
    result = onnx.helper.make_tensor_value_info(gives, 1, list(outputs or inputs))
    made, tensors = nodes(onnx, takes, gives)
    graph = onnx.helper.make_graph(made, "graph", declared, [result], tensors)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save_model(model, str(path), **options)
    return path


def weigh(path: Path, stem: str = "", parameters: Mapping[str, float] | None = None) -> Weights:
    """Describe a file as if its author had published it."""
    data = path.read_bytes()
    file = WeightFile(
        name=path.name,
        stem=stem,
        addresses=(f"https://example.org/{path.name}",),
        bytes=max(1, len(data)),
        sha256=hashlib.sha256(data).hexdigest(),
        parameters=dict(parameters or {}),
    )
    return Weights(file=file, path=path)
