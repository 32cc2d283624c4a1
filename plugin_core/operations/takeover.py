"""Taking over what a service has made: a purchase of ours, or a job that was made on its website."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.abilities import FindsModels, TakesLinks, TakesOver
from plugin_core.audio.formats import resolve_format
from plugin_core.errors import UsageError, blame
from plugin_core.files.database import new_id
from plugin_core.model import Job, JobState, Quote, Separation, Source, show_path
from plugin_core.operations.song import Song
from plugin_core.protocols import Separator
from plugin_core.purchases.purchase import Purchase, PurchaseState, purchase_key
from plugin_core.tasks import run_stoppable

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore

_MODEL = "model"
_OPTION = "option."


class TakeOver:
    """Makes jobs of what services have.

    Args:
        store: the job store.
        look: looks at a song.
        clock: seconds since the epoch.
    """

    def __init__(self, store: JobStore, look: Callable[[Path], Awaitable[Source]], clock: Callable[[], float]) -> None:
        self._store = store
        self._look = look
        self._clock = clock

    async def take(self, remote_id: str, song: Path | None, wish: Separation, separator: Separator) -> Job:
        """Store a job that goes on from what the service has; nothing is bought.

        Args:
            remote_id: the service's id of it, or a purchase's.
            song: what was separated; None for that of a purchase.
            wish: the provider, and the form of the stems.
            separator: that provider.

        Raises:
            UsageError: nothing of this id is known and there is no song, or the provider cannot take jobs over.
            SourceError: the song cannot be read.
            StembridgeError: the service's own.
        """
        known = self._known(remote_id, wish.provider)
        path = song
        if path is None and known is not None:
            path = await run_stoppable(lambda stopper: self._find_song(known, stopper.check))
        if path is None:
            raise UsageError(
                f"{wish.provider} {remote_id} was not bought here, so that its song is not known",
                remedy=f"name it: stembridge fetch {wish.provider} {remote_id} SONG",
            )
        source = await self._look(path)
        purchase = known or await self._foreign(remote_id, source, separator)
        model = purchase.quote.sent.get(_MODEL, "")
        options = {name.removeprefix(_OPTION): value for name, value in purchase.quote.sent.items() if name != _MODEL}
        chosen = resolve_format(wish.format, source)
        made_by = model or (purchase.ticket.data.get(_MODEL, "") if purchase.ticket is not None else "")
        stands_in = isinstance(separator, TakesLinks) and separator.stands_in(path)
        as_is = wish.as_is or stands_in or await _gives_no_stems(separator, made_by)
        wish = msgspec.structs.replace(wish, model=model, options=options, format=chosen.name, as_is=as_is)
        notes = () if known is None else await self._compare(source, known)
        return self._add(source, wish, purchase, notes)

    def _find_song(self, purchase: Purchase, check: Callable[[], None]) -> Path:
        """Return where the song of a purchase lies, also when it was renamed and nobody told of it."""
        path = self._store.song_of(purchase)
        if os.path.lexists(path) and self._holds(path, purchase, check):
            return path
        sources = (job.source for job in self._store.placed_of(purchase))
        found = (Song(source).search(check) for source in sources)
        return next((source.path for source in found if source is not None), path)

    def _holds(self, path: Path, purchase: Purchase, check: Callable[[], None]) -> bool:
        """Tell whether a file is the song of a purchase; another one may have got its name."""
        heard = self._store.recordings.enter(path, check=check)
        return heard.recording in self._store.recordings_of(purchase.recording)

    async def _compare(self, source: Source, purchase: Purchase) -> tuple[str, ...]:
        """Say so where the stems of one song are placed beside another: a remaster, or a mistake."""
        if await run_stoppable(lambda stopper: self._holds(source.path, purchase, stopper.check)):
            return ()
        return (f"these stems were made of {show_path(purchase.song)}, which is another recording",)

    def _known(self, remote_id: str, provider: str) -> Purchase | None:
        try:
            purchase = self._store.purchases.get(remote_id)
        except UsageError:
            return None
        if purchase.provider != provider:
            raise UsageError(
                f"{remote_id} was bought from {purchase.provider}, not {provider}",
                remedy=f"`stembridge fetch {purchase.provider} {remote_id}`",
            )
        if purchase.ticket is None or purchase.state is PurchaseState.CANCELLED:
            # A job of it would buy what is not to be had.
            raise UsageError(
                f"the service has nothing of {remote_id}, as far as is known; it is {purchase.state.value}",
                remedy="`stembridge separate` looks for it, or buys it",
            )
        return purchase

    async def _foreign(self, remote_id: str, source: Source, separator: Separator) -> Purchase:
        """Return a purchase that was made elsewhere, by its owner."""
        if not isinstance(separator, TakesOver):
            raise UsageError(f"{separator.name} cannot take over jobs that were not made here")
        with blame(separator.name):
            ticket, account = await separator.take_over(remote_id), separator.account()
        book = self._store.recordings
        recording = (await run_stoppable(lambda stopper: book.enter(source.path, check=stopper.check))).recording
        now, quote = self._clock(), Quote(title="made elsewhere", credits=0.0)
        purchase = Purchase(
            id=new_id(self._clock),
            key=purchase_key(separator.name, account, recording, msgspec.structs.replace(quote, sent={"": remote_id})),
            state=PurchaseState.RUNNING,
            provider=separator.name,
            account=account,
            recording=recording,
            quote=quote,
            song=source.path,
            created=now,
            updated=now,
            ticket=ticket,
            sent=now,
        )
        self._store.purchases.put(purchase)
        return purchase

    def _add(self, source: Source, wish: Separation, purchase: Purchase, notes: tuple[str, ...]) -> Job:
        now = self._clock()
        job = Job(
            id=new_id(self._clock),
            state=JobState.QUEUED,
            operation=wish,
            source=source,
            account=purchase.account,
            dedupe=purchase.key,
            recording=purchase.recording,
            quote=purchase.quote,
            purchase=purchase.id,
            notes=notes,
            created=now,
            updated=now,
        )
        return self._store.add(job)[0]


async def _gives_no_stems(separator: Separator, model: str) -> bool:
    """Tell whether a model's results are no stems of the song by nature."""
    if not model:
        return False
    with blame(separator.name), contextlib.suppress(UsageError):
        if isinstance(separator, FindsModels):
            # Its list may leave out those that take no song.
            return bool((await separator.model(model)).results)
        return any(one.results for one in await separator.models() if one.id == model)
    return False
