"""Taggings as the engine drives them: labels come from a tagger, and are written into the song's own tags here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.abilities import ReadsAgain
from plugin_core.errors import StembridgeError, UsageError
from plugin_core.files.hidden import HiddenNotes
from plugin_core.jobs.work import Staged
from plugin_core.model import Job, Label, Tagging, Ticket, Written, from_json, to_json
from plugin_core.operations.orders import NO_LINKS, JobFolders, Links, Orders, ProviderWork
from plugin_core.operations.song import Hear, hear_nothing
from plugin_core.protocols import ANSWER, Report, Tagger
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.purchases.purchase import BEFORE, KeptPart, Purchase
from plugin_core.purchases.shelf import Shelf
from plugin_core.stems.publication import Published
from plugin_core.tasks import Stopper, run_stoppable

if TYPE_CHECKING:
    from plugin_core.tags.exchange import ReplaceOptions
    from plugin_core.tags.labels import Decision


log = logging.getLogger(__name__)

_RECORD = "written.json"

Know = Callable[[str, Sequence[str]], None]
"""Note of a recording by which hashes (SHA-256) of whole files it is known as well."""


class TaggingWork(ProviderWork):
    """The life of a tagging over one tagger.

    Args:
        tagger: the provider.
        shelf: in whose home, or bucket, lies what must outlive a process.
        notes: of what lies hidden beside songs, on this machine.
        options: how files are replaced.
        links: the stagers, for a tagger that reads by link.
        hear: tells what files sound like.
        know: notes what the file became of which only tags were written.
        purchases: what was bought, and what providers noted of it.
    """

    def __init__(
        self,
        tagger: Tagger,
        *,
        shelf: Shelf,
        notes: HiddenNotes,
        options: ReplaceOptions,
        links: Links = NO_LINKS,
        hear: Hear = hear_nothing,
        know: Know = lambda _recording, _hashes: None,
        purchases: PurchaseLedger | None = None,
    ) -> None:
        orders = Orders(tagger, shelf.home, purchases)
        super().__init__(tagger, orders, JobFolders(shelf.home, orders), links=links, hear=hear)
        self._tagger = tagger
        self._purchases = purchases
        self._depot = shelf.depot
        self._notes = notes
        self._options = options
        self._know = know

    async def prepare(self, job: Job, attempt: str, report: Report) -> None:  # noqa: ARG002
        """Check that the song is still there and can be tagged, and make staging."""
        await run_stoppable(lambda stopper: self._check(job, stopper.check))
        await asyncio.to_thread(self._folders.make, job)

    def _check(self, job: Job, check: Callable[[], None]) -> None:
        from plugin_core.tags.tagger import check_taggable

        self._song(job).require(check)
        if _wish(job).write:
            check_taggable(job.source.path, self._options)

    async def reuse(self, job: Job, twins: Sequence[Job]) -> Staged | None:
        """Take the labels of a finished job that asked for as much; they hold whatever happened to its file."""
        from plugin_core.tags.labels import BOUGHT_BEFORE, covers

        serving = [one for one in twins if isinstance(one.operation, Tagging) and covers(one.operation, _wish(job))]
        if not serving:
            return None

        def read_all(stopper: Stopper) -> list[Staged]:
            self._check(job, stopper.check)
            ledger = self._purchases
            return [self._read_again(one, ledger.find(one.purchase) if ledger else None) for one in serving]

        read = await run_stoppable(read_all)
        # The first of those that say the most.
        found = max(read, key=lambda one: len(one.labels))
        is_said = any(note.startswith(BEFORE) for note in job.notes)
        return msgspec.structs.replace(found, notes=(*(() if is_said else (BOUGHT_BEFORE,)), *found.notes))

    async def submit(self, job: Job, attempt: str, report: Report) -> Ticket:
        url = await self._links.stage(self._tagger, job)
        order = await self._order_with_folder(job, attempt)
        return await self._tagger.submit(msgspec.structs.replace(order, url=url), report)

    def has_kept(self, job: Job, purchase: Purchase) -> bool:  # noqa: ARG002
        return bool(purchase.labels)

    async def bring(self, job: Job, attempt: str, report: Report) -> tuple[KeptPart, ...]:  # noqa: ARG002
        return ()

    async def fetch(self, job: Job, attempt: str, report: Report, purchase: Purchase | None) -> Staged:  # noqa: ARG002
        """Return the labels: they came with the tagger's last answer, of which this version may read more."""
        return self._read_again(job, purchase)

    def _read_again(self, job: Job, purchase: Purchase | None) -> Staged:
        labels, notes = read_again(self._tagger, job, purchase)
        return Staged(labels=tuple(labels), notes=tuple(notes))

    async def drop_fetched(self, job: Job) -> None:
        """Do nothing: labels come with an answer, which is not fetched."""

    async def target(self, job: Job) -> Path:
        """Return the file that gets the tags."""
        from plugin_core.tags.exchange import real_file

        return await asyncio.to_thread(real_file, job.source.path)

    async def publish(self, job: Job, attempt: str) -> Published | Written:
        """Write the labels, unless they are only asked for; what a process before this one wrote counts as done."""
        if not _wish(job).write:
            return Published(stems=())
        await self._unstage_early(job)
        # Half of an exchange is no place to stop: a cancelled task waits for its end.
        written = await run_stoppable(lambda _stopper: self._publish(job, attempt))
        self._know(job.recording, (written.before, written.after))
        return written

    async def _unstage_early(self, job: Job) -> None:
        """Take the link back before the song is written: a hard link would pass for a name that the user gave it."""
        try:
            await self._links.unstage(self._tagger, job)
        except StembridgeError as error:
            # The labels need no link; `discard` tries again, and tells.
            log.debug("the link of job %s is still there: %s", job.id, error)

    def _publish(self, job: Job, attempt: str) -> Written:
        from plugin_core.tags.tagger import Writing, write_labels

        recorded = self._recorded(job)
        if recorded is not None and _stands(recorded):
            return recorded
        self._song(job).require()
        self._folders.make(job)
        # Of attempts before this one that were killed.
        self._notes.sweep()
        writing = Writing(job.source.path, f"{job.id}.{attempt}", self._options, job.source, self._notes, _names(job))
        return write_labels(writing, lambda existing: _decide(job, existing), lambda written: self._keep(job, written))

    async def discard(self, job: Job, *, release: bool = True) -> None:
        """Remove what the job left: copies beside the song, staging, the link and, if so, what lies at the tagger."""
        try:
            await asyncio.to_thread(self._discard, job)
        finally:
            try:
                await self._links.unstage(self._tagger, job)
            finally:
                if release:
                    await self._tagger.release(self._order(job, ""))

    def _discard(self, job: Job) -> None:
        self._notes.sweep()
        self._folders.remove(job)
        if self._depot is not None and _wish(job).write:
            self._depot.remove(_record_folder(job))

    def _keep(self, job: Job, written: Written) -> None:
        """Make what is about to be done durable: a crash right after the rename must not cost the way back.

        Raises:
            SourceError: another song came to its path just before it was read; the exchange sees to what comes later.
        """
        from plugin_core.files.placement import write_durably

        self._song(job).require()
        if self._depot is not None:
            self._depot.write(f"{_record_folder(job)}/{_RECORD}", to_json(written))
            return
        write_durably(self._folders.staging(job) / _RECORD, to_json(written))

    def _recorded(self, job: Job) -> Written | None:
        if self._depot is not None:
            data = self._depot.read(f"{_record_folder(job)}/{_RECORD}")
            return None if data is None else from_json(data, Written)
        try:
            return from_json((self._folders.staging(job) / _RECORD).read_bytes(), Written)
        except FileNotFoundError:
            return None


def read_again(tagger: Tagger, job: Job, purchase: Purchase | None) -> tuple[Sequence[Label], Sequence[str]]:
    """Return the labels of a job, with what this version reads besides in what was bought, and notes of the rest."""
    answer = purchase.note.get(ANSWER) if purchase is not None else None
    if not answer or not isinstance(tagger, ReadsAgain):
        return job.labels, ()
    labels, notes = tagger.read_again(answer, _wish(job))
    return (labels if len(labels) >= len(job.labels) else job.labels), notes


def _record_folder(job: Job) -> str:
    """Return the folder in a bucket of what all machines must know of a job."""
    return f"jobs/{job.id}"


def _decide(job: Job, existing: Mapping[str, tuple[str, ...]]) -> Decision:
    from plugin_core.tags.labels import PROVENANCE, decide, provenance

    wish = _wish(job)
    decision = decide(job.labels, wish, existing)
    if wish.provenance and decision.fields:
        date = time.strftime("%Y-%m-%d", time.gmtime(job.created))
        decision.fields[PROVENANCE] = (provenance(job.labels, wish, job.id, date),)
    return decision


def _stands(written: Written) -> bool:
    """Tell whether a file is what it was to become, or holds at least all that was written into it."""
    from plugin_core.files.checksum import hash_file
    from plugin_core.operations.undo import take_apart
    from plugin_core.tags.reader import read_labels

    if not written.path.is_file():
        return False
    content = hash_file(written.path).sha256
    if content in (written.before, written.after):
        return content == written.after
    found = take_apart(read_labels(written.path, written.fields), [written])
    return all(found.get(name) == values for name, values in written.fields.items())


def _names(job: Job) -> tuple[str, ...]:
    """Return the fields that the labels of a job may go to."""
    from plugin_core.tags.labels import field_name, field_names

    wish = _wish(job)
    found = (field_name(wish, label.dimension) for label in job.labels)
    return tuple(dict.fromkeys((*field_names(wish), *found)))


def _wish(job: Job) -> Tagging:
    if not isinstance(job.operation, Tagging):
        raise UsageError(f"job {job.id} is no tagging")
    return job.operation
