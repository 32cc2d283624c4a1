"""What was bought: how much by day, each purchase, and its stems placed once more for nothing."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from plugin_core import JobSet, PurchaseState
from plugin_core.console.phrases import clean
from plugin_core.errors import UsageError
from plugin_core.model import Separation
from plugin_core.session import Session
from plugin_core.wishes import SEPARATE
from stembridge_ui.jobs import MOST_ROWS, Json, Row, read_number, row_of, show_name

DAY: Final = 86400.0


class Till:
    """The purchases of a store.

    Args:
        session: the store, and what can be done with its purchases.
        work: the jobs that this process works on.
    """

    def __init__(self, session: Session, work: JobSet) -> None:
        self._session = session
        self._work = work

    def routes(self) -> list[Route]:
        """Return where it is asked."""
        return [
            Route("/api/spending", self._spending),
            Route("/api/purchases", self._list_purchases),
            Route("/api/purchases/{id}/fetch", self._fetch, methods=["POST"]),
        ]

    async def _spending(self, request: Request) -> Response:
        days = min(366, max(1, read_number(request.query_params.get("days", ""), 30)))
        since = self._session.store.clock() - days * DAY
        purchases = await asyncio.to_thread(self._session.store.purchases.list, since=since)
        found: dict[tuple[str, str], Row] = {}
        for purchase in purchases:
            if purchase.state is PurchaseState.CANCELLED:
                continue
            day = datetime.fromtimestamp(purchase.created).astimezone().date().isoformat()
            row = found.setdefault(
                (day, purchase.provider),
                {"day": day, "provider": purchase.provider, "tracks": 0, "credits": 0.0, "unpriced": 0},
            )
            row["tracks"] += 1
            row["credits"] += purchase.quote.credits or 0.0
            row["unpriced"] += purchase.quote.credits is None
        return Json({"days": days, "rows": sorted(found.values(), key=lambda row: (row["day"], row["provider"]))})

    async def _list_purchases(self, _request: Request) -> Response:
        store = self._session.store
        purchases = await asyncio.to_thread(store.purchases.list, limit=MOST_ROWS)
        songs = await asyncio.to_thread(store.songs_of, purchases)
        return Json(
            [
                {
                    "id": one.id,
                    "created": one.created,
                    "provider": one.provider,
                    "song": show_name(song),
                    "what": clean(one.quote.title or one.quote.sent.get("model", ""))
                    or ("labels" if one.quote.dimensions else ""),
                    "state": one.state,
                    "credits": one.quote.credits,
                    "can_fetch": one.state.is_held and not one.quote.dimensions,
                }
                for one, song in zip(purchases, songs, strict=True)
            ]
        )

    async def _fetch(self, request: Request) -> Response:
        """Place once more what was bought; nothing is bought."""
        purchase = self._session.store.purchases.find(request.path_params["id"])
        if purchase is None:
            raise UsageError("no such purchase")
        usual = self._session.settings.section("separate", SEPARATE).as_operation().on_overload
        wish = Separation(provider=purchase.provider, on_overload=usual)
        job = await self._session.take_over(purchase.id, None, wish)
        self._work.add(job.id)
        return Json(row_of(job))
