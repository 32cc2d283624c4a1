"""What a job made: found where nobody named it, brought into the job's folder, and removed from the bucket."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from plugin_core.errors import ServiceError
from plugin_core.model import Part, RemoteFile, Separation
from plugin_core.protocols import Order, Report
from plugin_core.providers.tencent_ci.jobs import JobDetail, Result, object_of
from plugin_core.providers.tencent_ci.objects import (
    FILE_NAME,
    BegunFile,
    CosObjects,
    expected_keys,
    job_folder,
    source_keys,
)
from plugin_core.providers.tencent_ci.rules import load_rules
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.providers.tencent_ci.submission import codec_of
from plugin_core.service import bring_all, name_result, part_files, plain_suffix, size_limit, tell_people
from plugin_core.stem_names import canonical
from plugin_core.transfer.calls import Bytes, DigestError

_UNLIKE: Final = "the digest that Tencent CI names of it is another one: length and decoding are right"
_log = logging.getLogger(__name__)


async def find_results(service: Service, order: Order, job: str) -> tuple[Result, ...]:
    """Return the results of a job whose description names none: what lies where they were asked for.

    Raises:
        TransientError: no answer now.
        StembridgeError: refused.
    """
    settings, wish = service.settings, order.separation
    expected = expected_keys(settings, order.key, load_rules().modes[wish.model].stems, job, codec_of(wish.options))
    # Names of the user's own share no folder that could be listed.
    keys = set() if settings.results else await _left(service, f"{job_folder(settings.folder, order.key)}{job}/")
    listed = [Result(stem, key) for key in sorted(keys) if (stem := PurePosixPath(key).stem) in expected]
    return tuple(listed or [Result(stem, key) for stem, key in expected.items() if await service.objects.head(key)])


async def fetch_results(objects: CosObjects, order: Order, report: Report) -> list[Part]:
    """Bring every result, some at a time; what is there already is not fetched again.

    A digest that never fits is passed over in the end: what CI means by it is documented nowhere, and the core decodes
    what came.

    Raises:
        ServiceError: all results are gone, or one is too large.
        TransientError: network or disk; to be continued.
        RefusedError: keys or rights.
    """
    limit = size_limit(order.source, objects.caller.settings.max_file_mb << 20)
    unlike: list[str] = []

    async def bring(index: int, file: RemoteFile, tell: Bytes) -> Part:
        path = order.folder / local_name(index, file)
        if not path.is_file() and not await _download(objects, order, file, path, limit, tell):
            unlike.append(file.stem)
        return Part(stem=canonical(file.stem), label=file.label, path=path)

    parts = await bring_all(order, report, bring)
    if unlike:
        tell_people(order, f"{', '.join(sorted(unlike))}: {_UNLIKE}")
    return parts


def local_name(index: int, file: RemoteFile) -> str:
    """Return the name a result has in the job's folder."""
    return name_result(index, file.url, plain_suffix(file.name))


async def _download(objects: CosObjects, order: Order, file: RemoteFile, path: Path, limit: int, tell: Bytes) -> bool:
    """Download a result; tell whether its digest fits, as far as one is named."""
    part, earlier = part_files(order, path)
    bring = partial(objects.download, object_of(file), path, limit=limit, report=tell, part=part, earlier=earlier)
    try:
        await bring(md5=file.md5)
    except DigestError as error:
        _log.warning("job %s: %s", order.key, error)
        await bring()
        return False
    return True


async def remove_objects(service: Service, order: Order, job: JobDetail | None, stems: Sequence[str]) -> None:
    """Remove the uploaded source, the results, and an upload that was not finished.

    Args:
        service: the bucket.
        order: the job, with ticket and results as far as there are any.
        job: as CI describes it.
        stems: that were asked for.

    Raises:
        TransientError: no answer now.
        StembridgeError: refused.
    """
    folder = job_folder(service.settings.folder, order.key)
    keys = _keys(service.settings, order, job, stems) | await _left(service, folder)
    for key in sorted(keys):
        # What the service names is data: only what lies in the job's own folder is the job's.
        if key.startswith(folder):
            await service.objects.delete(key)
    try:
        await service.objects.abort_uploads(folder, BegunFile(order.folder / FILE_NAME))
    except ServiceError as error:
        _log.info("unfinished uploads of job %s are not looked for: %s", order.key, error)


async def _left(service: Service, folder: str) -> set[str]:
    """Return what the bucket lists: a job whose answer was lost may have made results that nobody named."""
    try:
        return set(await service.objects.list_keys(folder))
    except ServiceError as error:
        _log.info("%s is not listed: %s", folder, error)
        return set()


def _keys(settings: TencentSettings, order: Order, job: JobDetail | None, stems: Sequence[str]) -> set[str]:
    keys = set(source_keys(settings.folder, order.key))
    keys |= {object_of(file) for file in order.results}
    if job is not None:
        keys |= {result.key for result in job.results}
    if order.ticket is not None and isinstance(order.operation, Separation):
        codec = codec_of(order.operation.options)
        keys |= set(expected_keys(settings, order.key, stems, order.ticket.remote_id, codec).values())
    return keys
