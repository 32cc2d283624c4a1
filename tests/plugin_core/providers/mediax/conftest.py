"""A MediaX simulator and what a job of it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_core.model import Source, Tagging, Ticket
from plugin_core.protocols import Order
from plugin_core.providers.mediax.adapter import MediaxTagger
from plugin_core.providers.mediax.client import MediaxClient
from plugin_core.providers.mediax.settings import MediaxSettings
from plugin_core.settings import Secret
from plugin_core.transfer import Transfer
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator

SONG = Secret("https://songs.example/song.mp3?sign=s3cret")


async def no_sleep(_seconds: float) -> None:
    return None


@pytest.fixture
def service() -> Iterator[MediaxSimulator]:
    with MediaxSimulator(fetches=False) as simulator:
        yield simulator


def settings_for(service: MediaxSimulator, **rest: Any) -> MediaxSettings:
    keys = {"secret_id": Secret(SECRET_ID), "secret_key": Secret(SECRET_KEY), "base_url": service.url}
    return MediaxSettings(**(keys | rest))


def client_for(service: MediaxSimulator, **rest: Any) -> MediaxClient:
    settings = settings_for(service, **rest)
    secrets = [secret for secret in (settings.secret_id, settings.secret_key) if secret]
    return MediaxClient(settings, Transfer("MediaX", secrets=secrets, sleep=no_sleep))


def tagger_for(service: MediaxSimulator, **rest: Any) -> MediaxTagger:
    return MediaxTagger(settings_for(service, **rest), client_for(service, **rest))


def source_at(path: Path) -> Source:
    return Source(
        path=path,
        device=1,
        inode=1,
        size=1,
        mtime_ns=1,
        content="c" * 64,
        duration=1.0,
        frames=44100,
        channels=2,
        sample_rate=44100,
        encoding="pcm_16",
    )


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., Order]:
    def make(key: str = "0192-key", *, ticket: str = "", dimensions: tuple[str, ...] = (), url: Secret = SONG) -> Order:
        return Order(
            key=key,
            attempt="a",
            source=source_at(tmp_path / "song.mp3"),
            operation=Tagging(provider="mediax", dimensions=dimensions),
            folder=tmp_path,
            url=url,
            ticket=Ticket(remote_id=ticket) if ticket else None,
        )

    return make
