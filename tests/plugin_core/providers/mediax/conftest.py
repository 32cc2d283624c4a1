"""A MediaX simulator and what a job of it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from plugin_core.errors import StembridgeError
from plugin_core.model import Source, Tagging, Ticket
from plugin_core.protocols import Order
from plugin_core.providers.mediax.adapter import MediaxTagger
from plugin_core.providers.mediax.client import MediaxClient, MediaxSettings
from plugin_core.providers.mediax.separator import MediaxSeparator
from plugin_core.settings import Secret
from plugin_core.transfer import Transfer
from tests.simulators.blobs import Blob
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator
from tests.simulators.mediax_stems import CONTENT_ID
from tests.simulators.messages import Answer, Request
from tests.simulators.server import Simulator
from tests.simulators.storage import serve

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


def separator_for(service: MediaxSimulator, **rest: Any) -> MediaxSeparator:
    usual = {"content_id": CONTENT_ID}
    return MediaxSeparator(settings_for(service, **(usual | rest)), client_for(service, **rest))


class Shelf:
    """A bucket in memory, shown by a server on loopback.

    Args:
        server: shows the objects.
    """

    name = "shelf"

    def __init__(self, server: Shown) -> None:
        self.server = server
        self.refusal: StembridgeError | None = None
        """Why nothing is listed."""
        self.removed: list[str] = []

    @property
    def objects(self) -> dict[str, Blob]:
        return self.server.objects

    async def link(self, key: str) -> Secret | None:
        return Secret(f"{self.server.url}/{quote(key)}?q-signature=s3cret") if key in self.objects else None

    async def find(self, beginning: str) -> Sequence[str]:
        if self.refusal is not None:
            raise self.refusal
        return [key for key in self.objects if key.startswith(beginning)]

    async def remove(self, key: str) -> None:
        self.removed.append(key)
        self.objects.pop(key, None)


class Shown(Simulator):
    """Objects that anybody may read."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, Blob] = {}

    def respond(self, request: Request) -> Answer:
        return serve(request, self.objects[request.path[1:]])


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shown() as server:
        yield Shelf(server)


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
