"""A job's objects in the bucket: what they may be called, and which of them are surely its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from plugin_core.errors import ServiceError
from plugin_core.model import RemoteFile
from plugin_core.protocols import Bucket
from plugin_core.providers.mediax.separation import Place
from plugin_core.providers.mediax.stems import object_name

_log = logging.getLogger(__name__)


def candidates(place: Place, name: str) -> list[str]:
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


async def find_left(bucket: Bucket, place: Place) -> Sequence[str]:
    """Return the job's objects that the bucket lists; none when it may not be listed.

    Raises:
        TransientError: no answer now.
    """
    try:
        return await bucket.find(place.folder)
    except ServiceError as error:
        _log.info("%s is not listed: %s", place.folder, error)
        return ()


async def remove_stems(bucket: Bucket, place: Place, files: Sequence[RemoteFile]) -> None:
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
