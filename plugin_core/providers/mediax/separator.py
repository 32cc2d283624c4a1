"""MediaX as a separator of the core's, experimental: stems come to the bucket that is registered with the service."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from plugin_core.audio.formats import usual_format
from plugin_core.audio.overload import CLIPPED, exceeds
from plugin_core.errors import RefusedError, ServiceError, TransientError, UsageError
from plugin_core.model import Model, Part, Plan, RemoteFile, Separation, Source, Ticket
from plugin_core.protocols import Bucket, Finished, Order, Report, Waiting
from plugin_core.providers.mediax.adapter import MediaxJobs, advise, kept_answer, not_understood, ticket_of
from plugin_core.providers.mediax.answers import State, keep_results
from plugin_core.providers.mediax.objects import fetch_stems, remove_stems
from plugin_core.providers.mediax.stems import (
    DEFAULT,
    NAME,
    Method,
    StemPlace,
    find_address,
    find_method,
    list_models,
    make_place,
    output,
    read_stems,
)

DESTINATION: Final = "destination"
"""In the note, and in tickets of older versions: the setting as it was when the job was made."""

_log = logging.getLogger(__name__)


class MediaxSeparator(MediaxJobs):
    """Stems by MediaX."""

    name = NAME
    title = "Tencent MediaX: two, four or five stems, through your COS bucket (experimental)"
    doing = "separating"
    check_first = "check that the service can read the staged file and write to the bucket registered with it"

    @property
    def bucket(self) -> str:
        """Name of the stager that is the bucket registered with the service."""
        return self._settings.bucket_stager or self._settings.stager

    async def models(self) -> Sequence[Model]:
        """List the three methods."""
        return list_models()

    async def plan(self, source: Source, wish: Separation) -> Plan:
        """Check the wish and fill in its defaults.

        Raises:
            RefusedError: there are no keys.
            SettingsError: a setting is missing or malformed.
            UsageError: an unknown model or option.
        """
        self._settings.check()
        self._settings.check_bucket()
        if wish.options:
            raise UsageError(f"unknown option {min(wish.options)!r} of {NAME}", remedy="it has none: leave it out")
        model = wish.model or DEFAULT
        method = find_method(model)
        operation = msgspec.structs.replace(wish, model=model, format=wish.format or usual_format(source))
        notes = advise(source)
        if await exceeds(source):
            notes = (*notes, f"{CLIPPED}: MediaX writes no floats")
        return Plan(operation=operation, stems=method.stems, notes=notes)

    async def submit(self, order: Order, report: Report) -> Ticket:
        """Make the job for the staged file.

        Raises:
            OutcomeUnknownError: it may have been made.
            TransientError: surely not made.
            ServiceError: refused.
        """
        order.write_note(DESTINATION, self._settings.destination)
        place = make_place(self._settings.destination, order.key)
        return await self._create(order, report, output(_method(order), self._settings.content_id, place))

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:  # noqa: ARG002
        """Ask how far the job is.

        Raises:
            UnchargedError: it failed or was cancelled.
            UnresolvedError: it is complete and names no stems that anybody understands.
            ServiceError: it is not known any more.
            TransientError: no answer now.
        """
        if files := read_stems(kept_answer(order), _method(order)):
            return Finished(files=files)
        found = await self._follow(order)
        if isinstance(found, Waiting):
            return found
        if not (files := read_stems(found.raw, _method(order))):
            raise not_understood(order, found)
        return Finished(files=files, answer=keep_results(found.raw))

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:
        """Download every stem, resuming what is there.

        Raises:
            SettingsError: nothing of the job is in the bucket: it is another one.
            ServiceError: a stem is nowhere, or too large.
            TransientError: the network or the disk.
            RefusedError: the bucket's keys or rights.
        """

        async def address(file: RemoteFile) -> str:
            found = find_address((await self._describe(ticket_of(order))).raw, file)
            return found and self._client.resolve(found)

        return await fetch_stems(self._client, _bucket(order), self._place(order), order, report, address)

    async def release(self, order: Order) -> None:
        """Remove the job's stems from the bucket, if the setting says so.

        Raises:
            TransientError: no answer now, or the job still runs and would leave more.
        """
        if not self._settings.cleanup:
            return
        # A job that named its stems is over; of any other the service is asked.
        files = order.results or await self._left_files(order)
        await remove_stems(_bucket(order), self._place(order), files)

    async def _left_files(self, order: Order) -> Sequence[RemoteFile]:
        """Return what the service names of a job that was not followed to its end.

        Raises:
            TransientError: it still runs.
            RefusedError: the keys.
        """
        if order.ticket is None:
            return ()
        try:
            job = await self._describe(order.ticket)
            if job.state == State.COMPLETED:
                return read_stems(job.raw, _method(order))
        except RefusedError:
            raise
        except ServiceError as error:
            _log.info("job %s names nothing to remove: %s", order.key, error)
            return ()
        if job.is_working:
            raise TransientError("the job still runs at MediaX", remedy="its stems are removed once it is over")
        return ()

    def _place(self, order: Order) -> StemPlace:
        """Return where the stems are, also when the setting names another folder by now."""
        kept = order.ticket.data if order.ticket is not None else {}
        noted = order.note.get(DESTINATION, kept.get(DESTINATION, self._settings.destination))
        return make_place(noted, order.key)


def _method(order: Order) -> Method:
    return find_method(order.separation.model)


def _bucket(order: Order) -> Bucket:
    if order.bucket is None:
        raise UsageError(f"{NAME} was handed no bucket", remedy="set up the stager that MediaX's stems come to")
    return order.bucket
