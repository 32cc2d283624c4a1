"""Bringing stems out of the bucket, below names of our own: theirs are data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from plugin_core.errors import ServiceError, SettingsError
from plugin_core.model import Part, RemoteFile, disarm
from plugin_core.protocols import Bucket, Order, Report
from plugin_core.providers.mediax.client import MediaxClient
from plugin_core.providers.mediax.objects import candidates, find_left
from plugin_core.providers.mediax.separation import Place
from plugin_core.providers.mediax.stems import is_address, object_name
from plugin_core.service.results import bring_all, name_result, part_files, plain_suffix, size_limit
from plugin_core.settings import Secret
from plugin_core.transfer.calls import Bytes
from plugin_core.transfer.redaction import redact, register

Address = Callable[[RemoteFile], Awaitable[str]]
"""Ask the service for the whole URL of a result that has one: it may be signed, and is never kept."""

_SIGNING: Final = 8
"""Characters from which on a value in a URL may be a secret."""

_ELSEWHERE: Final = "let [mediax] bucket_stager name the stager of the bucket that is registered with MediaX"


async def fetch_stems(
    client: MediaxClient, bucket: Bucket, place: Place, order: Order, report: Report, address: Address
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


async def find_link(bucket: Bucket, place: Place, file: RemoteFile, address: Address) -> Secret:
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
