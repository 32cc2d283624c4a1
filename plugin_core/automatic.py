"""The best engine of this machine that can do a wish: ``--provider auto``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from plugin_core.abilities import MayBeChosen
from plugin_core.errors import SourceError, StembridgeError, UsageError
from plugin_core.model import Model, Plan, Separation, Source
from plugin_core.protocols import Separator

AUTO: Final = "auto"
ANY_SONG: Final = Source(
    path=Path("song.flac"),
    device=0,
    inode=0,
    size=0,
    mtime_ns=0,
    content="",
    duration=60.0,
    frames=60 * 44_100,
    channels=2,
    sample_rate=44_100,
    encoding="pcm_16",
)
"""What is planned to see which engine is taken."""


class BestSeparator:
    """Stands for the engines on this machine until a plan says which of them does the work.

    Args:
        separators: returns all there are, by name.
    """

    name = AUTO
    title = "The best engine on this machine that gives the wanted stems"
    remote = False

    def __init__(self, separators: Callable[[], Mapping[str, Separator]]) -> None:
        self._separators = separators

    @property
    def engines(self) -> list[Separator]:
        """The engines that may be chosen, the best first."""
        found = [each for each in self._separators().values() if isinstance(each, MayBeChosen) and not each.remote]
        return sorted(found, key=lambda each: -getattr(each, "preference", 0.0))

    def account(self) -> str:
        """Name no account: plans are of the engine that does the work."""
        return AUTO

    async def slots(self) -> int:
        return 1

    async def models(self) -> Sequence[Model]:
        """Return the one that a wish for no stems in particular would get, and how fast it was on this machine.

        Raises:
            UsageError: no engine is ready.
        """
        wish = (await self.plan(ANY_SONG, Separation(provider=AUTO))).operation
        engine = self._separators()[wish.provider]
        assert isinstance(wish, Separation)
        speed = engine.speed(wish.model) if isinstance(engine, MayBeChosen) else None
        told = f", {speed:.1f} x as fast as songs play on this machine" if speed else ""
        return [
            msgspec.structs.replace(model, summary=f"what auto takes of {engine.name}{told}")
            for model in await engine.models()
            if model.id == wish.model
        ]

    async def plan(self, source: Source, wish: Separation) -> Plan:
        """Return the plan of the best engine that has one; it is of that engine.

        Raises:
            UsageError: none gives what is wanted; the last one's reason.
        """
        refused: StembridgeError = UsageError("no engine on this machine may be chosen", remedy="stembridge plugins")
        for engine in self.engines:
            try:
                return await engine.plan(source, msgspec.structs.replace(wish, provider=engine.name))
            except (UsageError, SourceError) as error:
                refused = error
        raise refused

    async def _nobody(self, *_: Any, **__: Any) -> NoReturn:
        """Do nothing: jobs are of the engine that the plan names."""
        raise UsageError("'auto' is no separator of its own", remedy="plan first: the plan names the engine")

    submit = find = poll = fetch = cancel = release = _nobody
