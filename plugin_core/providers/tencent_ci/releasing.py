"""Removing what a job left in the bucket: all in its own folder, listed or not, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from plugin_core.errors import ServiceError
from plugin_core.model import Separation
from plugin_core.protocols import Order
from plugin_core.providers.tencent_ci.begun import FILE_NAME, BegunFile
from plugin_core.providers.tencent_ci.following import object_of
from plugin_core.providers.tencent_ci.jobs import JobDetail
from plugin_core.providers.tencent_ci.names import expected_keys, job_folder, source_keys
from plugin_core.providers.tencent_ci.planning import codec_of
from plugin_core.providers.tencent_ci.service import Service

_log = logging.getLogger(__name__)


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
    keys = _keys(service.settings.folder, order, job, stems) | await _left(service, folder)
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


def _keys(prefix: str, order: Order, job: JobDetail | None, stems: Sequence[str]) -> set[str]:
    keys = set(source_keys(prefix, order.key))
    keys |= {object_of(file) for file in order.results}
    if job is not None:
        keys |= {result.key for result in job.results}
    if order.ticket is not None and isinstance(order.operation, Separation):
        codec = codec_of(order.operation.options)
        keys |= set(expected_keys(prefix, order.key, stems, order.ticket.remote_id, codec))
    return keys
