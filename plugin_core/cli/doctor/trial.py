"""A second of sound through the embedded separator, without a job: does this machine separate at all?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from plugin_core.demo import song
from plugin_core.demo.synth import RATE
from plugin_core.model import Progress, Separation
from plugin_core.protocols import Order, Waiting
from plugin_core.session import Session


async def separate_a_second(session: Session, folder: Path) -> list[str]:
    """Return the names of the stems made in the folder.

    Raises:
        StembridgeError: the separator failed.
    """
    path = folder / "second.flac"
    song.write_song(path, song.mix(song.compose())[:RATE])
    source = session.inspect(path)
    separator = session.separator("local")
    plan = await separator.plan(source, Separation(provider="local"))
    order = Order(key="doctor", attempt="doctor", source=source, operation=plan.operation, folder=folder)
    order = msgspec.structs.replace(order, ticket=await separator.submit(order, _ignore))
    while isinstance(answer := await separator.poll(order, _ignore), Waiting):  # noqa: ASYNC110 - a provider is asked
        await asyncio.sleep(answer.seconds)
    order = msgspec.structs.replace(order, results=answer.files)
    return [part.stem for part in await separator.fetch(order, _ignore)]


def _ignore(progress: Progress) -> None:
    """Tell nobody: a second takes no time worth showing."""
