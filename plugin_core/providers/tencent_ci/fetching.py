"""Bringing results into the job's folder, below names of our own: theirs are data."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from plugin_core.model import Part, Progress, RemoteFile, Source
from plugin_core.naming import canonical
from plugin_core.protocols import Order, Report
from plugin_core.providers.tencent_ci.following import object_of
from plugin_core.providers.tencent_ci.objects import CosObjects

AT_ONCE: Final = 3
"""Downloads at the same time."""


class _Tally:
    """How far all downloads are together."""

    def __init__(self, count: int, report: Report) -> None:
        self._there = [0] * count
        self._sizes: list[int | None] = [None] * count
        self._done = 0
        self._report = report

    def of(self, index: int) -> Callable[[int, int | None], None]:
        """Return what one download tells."""

        def tell(there: int, size: int | None) -> None:
            self._there[index], self._sizes[index] = there, size
            self._say()

        return tell

    def finish(self) -> None:
        """Count one as done."""
        self._done += 1
        self._say()

    def _say(self) -> None:
        known = [size for size in self._sizes if size]
        total = sum(known) if len(known) == len(self._sizes) else 0
        fraction = min(1.0, sum(self._there) / total) if total else None
        self._report(Progress(fraction=fraction, note="downloading", parts_done=self._done, parts_all=len(self._sizes)))


async def fetch_results(objects: CosObjects, order: Order, report: Report, *, limit: int) -> list[Part]:
    """Bring every result, some at a time; what is there already is not fetched again.

    Raises:
        ServiceError: a result is gone or too large.
        TransientError: network or disk; to be continued.
        RefusedError: keys or rights.
    """
    tally = _Tally(len(order.results), report)
    gate = asyncio.Semaphore(AT_ONCE)

    async def bring(index: int, file: RemoteFile) -> Part:
        path = order.folder / local_name(index, file)
        async with gate:
            if not path.is_file():
                await _download(objects, order, file, path, limit, tally.of(index))
        tally.finish()
        return Part(stem=canonical(file.stem), label=file.label, path=path)

    tasks = [asyncio.ensure_future(bring(index, file)) for index, file in enumerate(order.results)]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        # Nothing may write into the folder once the caller goes on.
        await asyncio.gather(*tasks, return_exceptions=True)


def local_name(index: int, file: RemoteFile) -> str:
    """Return the name a result has in the job's folder: none of it is the service's but a plain suffix."""
    mark = hashlib.sha256(file.url.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    suffix = re.search(r"\.([A-Za-z0-9]{1,5})$", file.name)
    return f"part-{index:03d}-{mark}" + (f".{suffix[1].lower()}" if suffix else "")


def size_limit(source: Source, most: int) -> int:
    """Return the most bytes one result of a source can sensibly have: eight channels of floats at 96 kHz and some."""
    return min(most, (64 << 20) + int(source.duration * 96_000 * 8 * 4))


async def _download(
    objects: CosObjects,
    order: Order,
    file: RemoteFile,
    path: Path,
    limit: int,
    tell: Callable[[int, int | None], None],
) -> None:
    part = order.folder / f"{path.name}.{order.attempt}.part"
    await objects.download(
        object_of(file), path, md5=file.md5, limit=limit, report=tell, part=part, earlier=_earlier(order, path, part)
    )


def _earlier(order: Order, path: Path, part: Path) -> Sequence[Path]:
    # A process that froze may go on writing its own part: it is copied, never written to.
    return [one for one in order.folder.glob(f"{path.name}.*.part") if one != part]
