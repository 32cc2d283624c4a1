"""MediaX as a separator of the core's, experimental: stems come to the bucket that is registered with the service."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from plugin_core.audio.formats import usual_format
from plugin_core.audio.overload import CLIPPED, exceeds
from plugin_core.errors import RefusedError, ServiceError, SettingsError, TransientError, UsageError, refusal_of
from plugin_core.model import Model, Part, Plan, RemoteFile, Separation, Source, Ticket, disarm
from plugin_core.protocols import Bucket, Finished, Order, Report, Waiting
from plugin_core.providers.mediax.adapter import MediaxJobs, advise, kept_answer, not_understood
from plugin_core.providers.mediax.answers import State, keep_results
from plugin_core.providers.mediax.client import MediaxClient
from plugin_core.providers.mediax.stems import (
    DEFAULT,
    NAME,
    Method,
    StemPlace,
    find_address,
    find_method,
    is_address,
    list_models,
    make_place,
    object_name,
    output,
    read_stems,
)
from plugin_core.service import bring_all, name_result, part_files, plain_suffix, size_limit
from plugin_core.settings import Secret
from plugin_core.transfer.calls import Bytes, MissingError
from plugin_core.transfer.redaction import redact, register

_log = logging.getLogger(__name__)


def candidates(place: StemPlace, name: str) -> list[str]:
    """Return what an object may be called, the job's own first.

    Args:
        place: where the job's objects are.
        name: whole, or as it begins below the folder, or below the prefix.
    """
    start = name.find(f"{place.folder}/")
    own = [
        # The path of a URL can begin with the bucket.
        name[start:] if start >= 0 else f"{place.folder}/{name}",
        *([] if place.owns(name) else [f"{place.folder}/{place.prefix}{name}"]),
    ]
    return list(dict.fromkeys([*own, name]))


async def find_left(bucket: Bucket, place: StemPlace) -> Sequence[str]:
    """Return the job's objects that the bucket lists; none when it may not be listed.

    Raises:
        TransientError: no answer now.
    """
    try:
        return await bucket.find(place.folder)
    except ServiceError as error:
        _log.info("%s is not listed: %s", place.folder, error)
        return ()


async def remove_stems(bucket: Bucket, place: StemPlace, files: Sequence[RemoteFile]) -> None:
    """Remove every object of a job's.

    Args:
        bucket: where they are.
        place: whose objects go; what the service names besides is data, and may be the user's.
        files: as far as the service named them.

    Raises:
        TransientError: no answer now.
        StembridgeError: the bucket's own.
    """
    named = {name for file in files for name in candidates(place, object_name(file))}
    for name in sorted(named | set(await find_left(bucket, place))):
        if place.owns(name):
            await bucket.remove(name)


Address = Callable[[RemoteFile], Awaitable[str]]
"""Ask the service for the whole URL of a result that has one: it may be signed, and is never kept."""

_SIGNING: Final = 8
"""Characters from which on a value in a URL may be a secret."""

_ELSEWHERE: Final = "let [mediax] bucket_stager name the stager of the bucket that is registered with MediaX"


async def fetch_stems(
    client: MediaxClient, bucket: Bucket, place: StemPlace, order: Order, report: Report, address: Address
) -> list[Part]:
    """Bring every stem, some at a time; what is there already is not fetched again.

    Raises:
        SettingsError: nothing of the job is in the bucket.
        ServiceError: the stems are nowhere, or one is too large.
        TransientError: the network or the disk; to be continued.
        RefusedError: the bucket's keys or rights.
    """
    limit = size_limit(order.source)

    async def bring(index: int, file: RemoteFile, tell: Bytes) -> Part:
        path = order.folder / name_result(index, file.url, plain_suffix(file.name))
        if not path.is_file():
            link = await find_link(bucket, place, file, address)
            part, earlier = part_files(order, path)
            await client.download(link, path, limit=limit, report=tell, part=part, earlier=earlier)
        return Part(stem=file.stem, label=file.label, path=path)

    return await bring_all(order, report, bring)


async def find_link(bucket: Bucket, place: StemPlace, file: RemoteFile, address: Address) -> Secret:
    """Return where a stem can be read: in the bucket, else at the URL that the service names.

    Raises:
        SettingsError: nothing of the job is in the bucket.
        MissingError: it is nowhere.
        StembridgeError: the bucket's own.
    """
    for name in candidates(place, object_name(file)):
        link = await bucket.link(name)
        if link is not None:
            return link
    left = await find_left(bucket, place)
    alike = [name for name in left if name.endswith(file.name)]
    link = await bucket.link(alike[0]) if len(alike) == 1 else None
    if link is not None:
        return link
    url = await address(file) if is_address(file.url) else ""
    if url:
        return _guard(url)
    what = f"MediaX names {disarm(redact(file.url))} as {file.label}, which is not in the bucket of {bucket.name}"
    if left:
        raise MissingError(what, remedy="the separation has to be made again")
    # The stems are paid for: they must not be given up because the settings name another bucket.
    raise SettingsError(what, remedy=_ELSEWHERE)


def _guard(url: str) -> Secret:
    """Return a URL of the service's whose query is never shown: how it is signed is not known."""
    for _, value in parse_qsl(urlsplit(url).query):
        if len(value) >= _SIGNING:
            register(value)
    return Secret(url)


DESTINATION: Final = "destination"
"""In the note, and in tickets of older versions: the setting as it was when the job was made."""


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
        return list_models()

    async def plan(self, source: Source, wish: Separation) -> Plan:
        if wish.options:
            raise UsageError(f"unknown option {min(wish.options)!r} of {NAME}", remedy="it has none: leave it out")
        model = wish.model or DEFAULT
        method = find_method(model)
        operation = msgspec.structs.replace(wish, model=model, format=wish.format or usual_format(source))
        notes = advise(source)
        if await exceeds(source):
            notes = (*notes, f"{CLIPPED}: MediaX writes no floats")
        refusal = refusal_of(self._settings.check, self._settings.check_bucket)
        return Plan(operation=operation, stems=method.stems, notes=notes, refusal=refusal)

    async def submit(self, order: Order, report: Report) -> Ticket:
        order.write_note(DESTINATION, self._settings.destination)
        place = make_place(self._settings.destination, order.key)
        return await self._create(order, report, output(_method(order), self._settings.content_id, place))

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:  # noqa: ARG002
        """Ask how far the job is.

        Raises:
            UnresolvedError: it is complete and names no stems that anybody understands.
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
        """

        async def address(file: RemoteFile) -> str:
            found = find_address((await self._describe(order.known_ticket)).raw, file)
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
