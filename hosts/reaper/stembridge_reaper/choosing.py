"""Which stretch of a file is separated for what items play: one that is bought already, else a new slice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from plugin_core.errors import StembridgeError
from plugin_core.model import Separation, Source, show_path
from plugin_core.operations.history import slack_of
from plugin_core.purchases.purchase import Offer
from plugin_core.recordings.slices import Slice
from plugin_core.session import Session
from stembridge_reaper.slicing import SLICES, cut_slice, plan_slices, slice_of

Span = tuple[float, float]

log = logging.getLogger(__name__)


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A slice of a file, or all of it, and what its separation would be."""

    place: Slice | None
    """None for the whole file."""
    offer: Offer


class Chooser:
    """Chooses the stretches of one file for one wish.

    Args:
        session: the core.
        source: the file.
        recording: what it holds.
        wish: what is done to each stretch.
        handles: seconds to keep on both sides of what is cut out.
    """

    def __init__(self, session: Session, source: Source, recording: str, wish: Separation, handles: float) -> None:
        self._session = session
        self._source = source
        self._recording = recording
        self._wish = wish
        self._handles = handles
        self._had: dict[Slice | None, Stretch | None] = {}

    async def choose(self, spans: Sequence[Span]) -> list[Stretch | None]:
        """Return the stretch for each of the spans that items play; None for one behind the file's end.

        The smallest that holds a span and needs not be bought any more serves it, which may be the whole file. For the
        rest slices are planned.

        Raises:
            StembridgeError: the file cannot be read or cut, or the wish not be done to it.
        """
        places = [slice_of(self._source, *span) for span in spans]
        found = [await self._find_had(place) for place in places]
        rest = [span for span, stretch in zip(spans, found, strict=True) if stretch is None]
        new = await self._plan_new(rest) if rest else []
        return [stretch or self._find_new(new, place) for stretch, place in zip(found, places, strict=True)]

    async def _find_had(self, wanted: Slice) -> Stretch | None:
        covering = self._session.slices.covering(self._source, self._recording, wanted)
        for place in (*covering, None):
            if place not in self._had:
                self._had[place] = await self._look(place)
            if (stretch := self._had[place]) is not None:
                return stretch
        return None

    async def _look(self, place: Slice | None) -> Stretch | None:
        """Return a stretch unless it would have to be bought."""
        try:
            stretch = await self._stretch(place)
            return stretch if await self._session.is_had(stretch.offer) else None
        except StembridgeError as error:
            # Too long for its service, perhaps, which is no matter: what is wanted is shorter.
            log.info("%s, %s, serves none of its parts: %s", show_path(self._source.path), place or "whole", error)
            return None

    async def _plan_new(self, spans: Sequence[Span]) -> list[Stretch]:
        places = plan_slices(self._source, spans, self._handles)
        return [await self._stretch(place) for place in places or (None,)]

    def _find_new(self, new: Sequence[Stretch], wanted: Slice) -> Stretch | None:
        slack = slack_of(self._source)
        return next((one for one in new if one.place is None or one.place.covers(wanted, slack)), None)

    async def _stretch(self, place: Slice | None) -> Stretch:
        if place is None:
            return Stretch(place=None, offer=await self._session.offer(self._source, self._wish))
        cut = await self._cut(place)
        # The stems of a slice belong beside the song, not beside the slice.
        here = self._wish if self._wish.to else msgspec.structs.replace(self._wish, to=self._source.path.parent)
        return Stretch(place=place, offer=await self._session.offer(cut, here))

    async def _cut(self, place: Slice) -> Source:
        folder = self._session.settings.home / SLICES
        path = await asyncio.to_thread(cut_slice, self._source, self._recording, place, folder)
        cut = await self._session.look(path)
        # Before it is bought: whoever comes after a crash must know what it is a part of.
        await self._session.slices.note(cut, self._recording, place)
        return cut
