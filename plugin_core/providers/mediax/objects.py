"""A job's objects in the bucket: what they may be called, brought home below names of our own, and removed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from plugin_core.errors import ServiceError, SettingsError
from plugin_core.model import Part, RemoteFile, disarm
from plugin_core.protocols import Bucket, Order, Report
from plugin_core.providers.mediax.client import MediaxClient
from plugin_core.providers.mediax.stems import StemPlace, is_address, object_name
from plugin_core.service.results import bring_all, name_result, part_files, plain_suffix, size_limit
from plugin_core.settings import Secret
from plugin_core.transfer.calls import Bytes
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
        ServiceError: a stem is nowhere, or too large.
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
        ServiceError: it is nowhere.
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
        raise ServiceError(what, remedy="the separation has to be made again")
    # The stems are paid for: they must not be given up because the settings name another bucket.
    raise SettingsError(what, remedy=_ELSEWHERE)


def _guard(url: str) -> Secret:
    """Return a URL of the service's whose query is never shown: how it is signed is not known."""
    for _, value in parse_qsl(urlsplit(url).query):
        if len(value) >= _SIGNING:
            register(value)
    return Secret(url)
