"""A simulated account at Tencent Cloud, and what speaks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_core.model import Separation, Source
from plugin_core.operations.song import inspect
from plugin_core.protocols import Order
from plugin_core.providers.tencent_ci.adapter import CiSeparator
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.settings import Secret
from plugin_core.transfer import Transfer
from tests.audio_files import write_song
from tests.simulators.tencent import TencentSimulator
from tests.simulators.tencent.service import BUCKET, REGION

KEY = "01890000-0000-7000-8000-000000000001"


async def no_sleep(seconds: float) -> None:
    """Wait for nothing."""


def transfer() -> Transfer:
    """Return a way to the simulator that never waits."""
    return Transfer("Tencent", sleep=no_sleep)


@pytest.fixture
def cloud() -> Iterator[TencentSimulator]:
    with TencentSimulator() as simulator:
        yield simulator


@pytest.fixture
def settings_for(cloud: TencentSimulator) -> Callable[..., TencentSettings]:
    def make(**other: Any) -> TencentSettings:
        usual: dict[str, Any] = {
            "secret_id": Secret(cloud.keys.secret_id),
            "secret_key": Secret(cloud.keys.secret_key),
            "bucket": BUCKET,
            "region": REGION,
            "cos_base_url": cloud.cos_url,
            "ci_base_url": cloud.ci_url,
            "register_seconds": 0.0,
            "poll_first": 0.01,
        }
        return TencentSettings(**(usual | other))

    return make


@pytest.fixture
def settings(settings_for: Callable[..., TencentSettings]) -> TencentSettings:
    return settings_for()


@pytest.fixture
def service(settings: TencentSettings) -> Service:
    return Service(settings, transfer())


@pytest.fixture
def separator(settings: TencentSettings) -> CiSeparator:
    return CiSeparator(settings, transfer=transfer())


@pytest.fixture
def song(tmp_path: Path) -> Source:
    return inspect(write_song(tmp_path / "Sóng.wav", 1.0))


@pytest.fixture
def order(song: Source, tmp_path: Path) -> Order:
    """A planned job of the default mode."""
    return make_order(song, tmp_path)


def make_order(song: Source, tmp_path: Path, key: str = KEY, **wish: Any) -> Order:
    folder = tmp_path / f"parts-{key}"
    folder.mkdir(exist_ok=True)
    operation = Separation(
        provider="tencent_ci", **{"model": "AudioAndBackground", "options": {"codec": "flac"}, **wish}
    )
    return Order(key=key, attempt="a1", source=song, operation=operation, folder=folder)
