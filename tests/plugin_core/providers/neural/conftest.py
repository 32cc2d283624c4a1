"""A small network of Open-Unmix as a model that is here: its catalogue, its files, its separator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from plugin_core.model import Separation
from plugin_core.protocols import Order
from plugin_core.providers.engine import SpeedBook
from plugin_core.providers.neural.adapter import NeuralSeparator, NeuralSettings
from plugin_core.providers.neural.library import Library, read_digest
from plugin_core.providers.neural.networks import NeuralModel, WeightFile
from tests.plugin_core.providers.local.conftest import make_source
from tests.plugin_core.providers.neural.oracle import recorded_targets
from tests.plugin_core.providers.neural.weights import write_legacy, write_zip

MakeNeuralOrder = Callable[..., Order]


def make_model(files: tuple[WeightFile, ...], **changes: object) -> NeuralModel:
    model = NeuralModel(
        id="small",
        kind="umx",
        name="Small Unmix",
        summary="a test",
        stems=("vocals", "drums", "bass", "other"),
        rest="other",
        files=files,
        licence="MIT",
        commerce="allowed",
        author="nobody",
        page="https://example.org/small",
    )
    return msgspec.structs.replace(model, **changes)


def describe_file(path: Path, stem: str, **changes: object) -> WeightFile:
    digest = read_digest(path)
    file = WeightFile(
        name=path.name,
        stem=stem,
        addresses=(f"https://example.org/{path.name}",),
        bytes=digest.size,
        sha256=digest.sha256,
        md5=digest.md5,
    )
    return msgspec.structs.replace(file, **changes)


@pytest.fixture
def models_folder(tmp_path: Path) -> Path:
    """Return our folder of models, with a small one in it, half of it of each layout."""
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    for index, (stem, tensors) in enumerate(recorded_targets().items()):
        (write_zip, write_legacy)[index % 2](folder / f"{stem}.pth", tensors)
    return folder


@pytest.fixture
def small(models_folder: Path) -> NeuralModel:
    files = [describe_file(models_folder / f"{stem}.pth", stem) for stem in recorded_targets()]
    return make_model(tuple(files))


@pytest.fixture
def neural(models_folder: Path, small: NeuralModel) -> NeuralSeparator:
    library = Library(models_folder, others=())
    speeds = SpeedBook(models_folder.parent)
    return NeuralSeparator(NeuralSettings(), library, speeds, catalogue={small.id: small})


@pytest.fixture
def make_neural_order(tmp_path: Path) -> MakeNeuralOrder:
    """Make an order for a file, its staging folder included."""

    def make(path: Path, **wish: object) -> Order:
        folder = tmp_path / "staging"
        folder.mkdir(exist_ok=True)
        operation = Separation(provider="neural", **{"model": "small", **wish})  # type: ignore[arg-type]
        return Order(key="job-1", attempt="attempt-1", source=make_source(path), operation=operation, folder=folder)

    return make
