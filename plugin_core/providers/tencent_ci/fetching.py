"""Bringing results into the job's folder, below names of our own: theirs are data."""

from __future__ import annotations

from pathlib import Path

from plugin_core.model import Part, RemoteFile
from plugin_core.protocols import Order, Report
from plugin_core.providers.tencent_ci.following import object_of
from plugin_core.providers.tencent_ci.objects import CosObjects
from plugin_core.service.results import bring_all, name_result, part_files, plain_suffix, size_limit
from plugin_core.stem_names import canonical
from plugin_core.transfer.calls import Bytes


async def fetch_results(objects: CosObjects, order: Order, report: Report) -> list[Part]:
    """Bring every result, some at a time; what is there already is not fetched again.

    Raises:
        ServiceError: a result is gone or too large.
        TransientError: network or disk; to be continued.
        RefusedError: keys or rights.
    """
    limit = size_limit(order.source, objects.caller.settings.max_file_mb << 20)

    async def bring(index: int, file: RemoteFile, tell: Bytes) -> Part:
        path = order.folder / local_name(index, file)
        if not path.is_file():
            await _download(objects, order, file, path, limit, tell)
        return Part(stem=canonical(file.stem), label=file.label, path=path)

    return await bring_all(order, report, bring)


def local_name(index: int, file: RemoteFile) -> str:
    """Return the name a result has in the job's folder."""
    return name_result(index, file.url, plain_suffix(file.name))


async def _download(objects: CosObjects, order: Order, file: RemoteFile, path: Path, limit: int, tell: Bytes) -> None:
    part, earlier = part_files(order, path)
    await objects.download(object_of(file), path, md5=file.md5, limit=limit, report=tell, part=part, earlier=earlier)
