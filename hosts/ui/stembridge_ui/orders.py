"""What the user wants done: songs dropped or named, their price, the click that begins it; and what was bought."""

from __future__ import annotations

import asyncio
import filecmp
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from plugin_core import AUDIO_SUFFIXES, Asker, JobSet, PurchaseState, Ready, Reply, Run, Want, find_songs
from plugin_core.console.options import choose_operations
from plugin_core.console.phrases import clean, describe_offer, describe_price, has_price
from plugin_core.errors import SourceError, StembridgeError, UsageError, blame
from plugin_core.files.hidden import HiddenNotes
from plugin_core.files.names import HIDDEN_PREFIX, clean_component
from plugin_core.files.placement import explain_os_error, rename_numbered
from plugin_core.model import Job, Separation, show_path
from plugin_core.presets import find_preset, load_presets
from plugin_core.session import Session
from plugin_core.settings import expand_user
from plugin_core.wishes import SEPARATE
from stembridge_ui.jobs import MOST_ROWS, Json, Row, read_number, read_wish, row_of, show_name

LARGEST_SONG: Final = 1 << 30
"""Bytes of a song that is dropped; one that is named by its path may have any size."""
MOST_SONGS: Final = 500
_OFFERS: Final = 20
"""Offers that wait for a click."""


class UiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Section ``ui``."""

    folder: Path | None = None
    """Where songs go that are dropped into the page; default ``stembridge`` in the user's music folder."""


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page asks for."""

    paths: tuple[str, ...]
    preset: str = ""
    provider: str = ""
    model: str = ""
    options: dict[str, str] = {}


class Visitor(Asker[Want]):
    """Who asks by the page, which asks for the user's word by itself."""

    host = "ui"

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.added: list[Job] = []

    def refuse(self, want: Want, error: StembridgeError) -> None:
        self.refused.append(clean(f"{want.path.name}: {error}"))

    def add(self, want: Want, job: Job) -> None:  # noqa: ARG002 - others read it
        self.added.append(job)


class Offered(msgspec.Struct):
    """What can be done at a click."""

    run: Run[Want]
    visitor: Visitor
    ready: list[Ready[Want]]


class Counter:
    """Where the user orders.

    Args:
        session: the core.
        work: the jobs that this process works on.
        find: the job that a request names.
    """

    def __init__(self, session: Session, work: JobSet, find: Callable[[Request], Job]) -> None:
        self._session = session
        self._work = work
        self._find = find
        self._offers: OrderedDict[str, Offered] = OrderedDict()

    def routes(self) -> list[Route]:
        """Return where it is asked."""
        return [
            Route("/api/choices", self._list_choices),
            Route("/api/models/{provider}", self._list_models),
            Route("/api/songs", self._take_song, methods=["POST"]),
            Route("/api/offers", self._offer, methods=["POST"]),
            Route("/api/offers/{id}", self._begin, methods=["POST"]),
            Route("/api/jobs/{id}/again", self._offer_again, methods=["POST"]),
        ]

    async def _list_choices(self, _request: Request) -> Response:
        self._session.reread()
        presets = load_presets(self._session.settings).values()
        separators = self._session.registry.separators.values()
        return Json(
            {
                "presets": [{"name": one.name, "title": one.title or one.name} for one in presets],
                "usual": self._session.settings.section("separate", SEPARATE).as_operation().provider,
                "providers": [{"name": one.name, "title": one.title, "is_remote": one.remote} for one in separators],
                "folder": show_path(self._folder()),
            }
        )

    async def _list_models(self, request: Request) -> Response:
        name = request.path_params["provider"]
        separator = self._session.separator(name)
        with blame(name):
            models = [one for one in await separator.models() if one.takes == "song" and one.is_ready]
        return Json(models)

    # Songs

    def _folder(self) -> Path:
        chosen = self._session.settings.section("ui", UiSettings).folder
        if chosen is not None:
            return chosen
        import platformdirs

        return Path(platformdirs.user_music_dir()) / "stembridge"

    async def _take_song(self, request: Request) -> Response:
        name = clean_component(request.query_params.get("name", ""))
        if Path(name).suffix.lower() not in AUDIO_SUFFIXES:
            raise SourceError(f"{clean(name)} has no name of a sound file", remedy="drop a song, such as Song.flac")
        folder = self._folder()
        notes = HiddenNotes(self._session.settings.home)
        draft = folder / f"{HIDDEN_PREFIX}song-{secrets.token_hex(8)}{Path(name).suffix}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with notes.noted(draft):
                try:
                    await _receive(request, draft)
                    await self._session.look(draft)
                    path = await asyncio.to_thread(_place, draft, folder, name)
                except SourceError as error:
                    # By the name that its owner knows.
                    raise SourceError(error.message.replace(show_path(draft), name), remedy=error.remedy) from error
                finally:
                    draft.unlink(missing_ok=True)
        except OSError as error:
            raise explain_os_error(error, folder) from error
        return Json({"path": str(path), "shown": show_path(path)})

    # Offers

    async def _offer(self, request: Request) -> Response:
        wish = await read_wish(request, Wish)
        settings = self._session.settings
        self._session.reread()
        preset = find_preset(settings, wish.preset) if wish.preset else None
        said: Mapping[str, Any] = {
            name: value
            for name, value in (("provider", wish.provider), ("model", wish.model), ("options", wish.options))
            if value
        }
        operations = choose_operations(said, preset, settings.section("separate", SEPARATE).as_operation())
        passed: list[str] = []
        # One that is named beside its folder is one song.
        paths = await asyncio.to_thread(
            lambda: {os.path.realpath(one): one for it in wish.paths for one in _expand(it, passed.append)}
        )
        if not paths or len(paths) > MOST_SONGS:
            raise UsageError(f"{len(paths)} songs", remedy=f"name one to {MOST_SONGS}, or use a hot folder for more")
        return await self._quote(
            [Want(path=path, operation=one) for path in paths.values() for one in operations], wish.preset, passed
        )

    async def _offer_again(self, request: Request) -> Response:
        """Offer what a job did once more: its labels were taken out, or its stems thrown away."""
        job = self._find(request)
        return await self._quote([Want(path=job.source.path, operation=job.operation)], job.preset)

    async def _quote(self, wants: Sequence[Want], preset: str, passed: Sequence[str] = ()) -> Response:
        visitor = Visitor()
        visitor.refused += map(clean, passed)
        run = Run(self._session, visitor, preset=preset, lanes=2, foresees=True)
        ready = await run.offer(wants)
        offers = [one.offer for one in ready]
        mark = secrets.token_urlsafe(16)
        self._offers[mark] = Offered(run, visitor, ready)
        while len(self._offers) > _OFFERS:
            self._offers.popitem(last=False)
        return Json(
            {
                "id": mark,
                "count": len(ready),
                "lines": [clean(line) for offer in offers for line in describe_offer(offer)],
                "refused": visitor.refused,
                "price": describe_price(offers),
                "is_paid": has_price(offers),
                "again": sum(offer.is_bought_again for offer in offers),
            }
        )

    async def _begin(self, request: Request) -> Response:
        # Taken away, so that a second click begins nothing.
        offered = self._offers.pop(request.path_params["id"], None)
        if offered is None:
            raise UsageError("this offer was taken, or is too old", remedy="ask for the price again")
        may_buy_again = any(one.offer.is_bought_again for one in offered.ready)
        jobs = await offered.run.add(offered.ready, Reply.AGAIN if may_buy_again else Reply.YES)
        for job in jobs:
            self._work.add(job.id)
        return Json({"rows": [row_of(job) for job in offered.visitor.added], "refused": offered.visitor.refused})


async def _receive(request: Request, draft: Path) -> None:
    """Write a body as it comes; never more of it in memory than the network gave at once."""
    try:
        with draft.open("xb") as opened:
            async for chunk in request.stream():
                await asyncio.to_thread(opened.write, chunk)
    except ClientDisconnect as error:
        raise SourceError("the song did not arrive whole") from error


def _place(draft: Path, folder: Path, name: str) -> Path:
    """Give a song its name, or the next that is free; the same bytes under that name are the same song."""

    def is_same(path: Path) -> bool:
        return path.is_file() and filecmp.cmp(draft, path, shallow=False)

    return rename_numbered(draft, folder, Path(name).stem, Path(name).suffix, will_do=is_same)


def _expand(word: str, tell: Callable[[str], None]) -> Iterator[Path]:
    """Yield the song of a path, or those of a folder, without the stems that lie there."""
    try:
        path = expand_user(word.strip())
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not path.is_absolute() or "\0" in word:
        raise UsageError(f"{clean(word)!r} is no whole path", remedy="begin with / or ~")
    if path.is_dir():
        yield from find_songs(path, tell=tell)
    else:
        yield path


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
