"""A job at a service: when its key was made, how often it is looked at, what it said, and its results in its folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.errors import TransientError
from plugin_core.files.disk import named
from plugin_core.model import Part, Progress, RemoteFile, Source, show_path
from plugin_core.protocols import TOLD, Order, Report
from plugin_core.stem_names import canonical, title
from plugin_core.tasks import start
from plugin_core.transfer.calls import Bytes, MissingError
from plugin_core.transfer.redaction import redact

if TYPE_CHECKING:
    from plugin_core.audio.upload import Upload

_DIVISOR: Final = 10
_QUERY: Final = re.compile(r"""(://[^\s"'\\?#]*)[?#][^\s"'\\]*""")
"""The address of a link behind its scheme, and the query that may give access to what it names."""


def time_of_key(key: str) -> float | None:
    """Return when a submission key was made, seconds since the epoch, if it is a UUIDv7."""
    try:
        found = uuid.UUID(key)
    except ValueError:
        return None
    return (found.int >> 80) / 1000 if found.version == 7 else None


class Pace(msgspec.Struct, frozen=True):
    """Seconds between two looks, at a new job and at an old one."""

    first: float
    longest: float

    def wait(self, age: float) -> float:
        """Return the seconds to the next look at a job of that age: growing, and the same in every process."""
        return min(self.longest, max(self.first, age / _DIVISOR))


@asynccontextmanager
async def prepared(order: Order, report: Report) -> AsyncIterator[tuple[Upload, Bytes]]:
    """Give what a service is sent of an order's song, and who hears how much is sent; sent, a copy of ours goes.

    Raises:
        SourceError: the song cannot be read.
        TransientError: the disk is full or away.
    """
    # Imports what only work needs.
    from plugin_core.audio.upload import prepare_upload

    def tell_share(share: float) -> None:
        report(Progress(fraction=share, note="preparing the upload"))

    upload = await prepare_upload(order.source.path, order.folder, order.attempt, tell_share)
    note = f"uploading; {upload.note}" if upload.note else "uploading"
    if upload.note:
        tell_people(order, upload.note)

    def tell(sent: int, total: int | None) -> None:
        report(Progress(fraction=min(1.0, sent / total) if total else None, note=note))

    yield upload, tell
    if upload.is_own:
        # The core removes the folder in the end; the space is given back now.
        with suppress(OSError):
            upload.path.unlink()


AT_ONCE: Final = 3
"""Downloads at the same time."""
LOOKS: Final = 4
"""How often a result that is missing is looked for, with growing pauses."""
_LOOKS: Final = "looks"

Bring = Callable[[int, RemoteFile, Bytes], Awaitable[Part]]
"""Bring one result, by its index; the last argument hears of bytes."""


class Tally:
    """How far all downloads are together."""

    def __init__(self, files: Sequence[RemoteFile], report: Report) -> None:
        self._sizes: list[int | None] = [file.size for file in files]
        self._there = [0] * len(files)
        self._done = 0
        self._report = report

    def of(self, index: int) -> Bytes:
        """Return what one download tells."""

        def tell(there: int, size: int | None) -> None:
            self._there[index] = there
            self._sizes[index] = size or self._sizes[index]
            self._say()

        return tell

    def finish(self) -> None:
        """Count one as done."""
        self._done += 1
        self._say()

    def _say(self) -> None:
        known = [size for size in self._sizes if size is not None]
        total = sum(known) if len(known) == len(self._sizes) else 0
        self._report(
            Progress(
                fraction=min(1.0, sum(self._there) / total) if total else None,
                note="downloading",
                parts_done=self._done,
                parts_all=len(self._sizes),
            )
        )


async def bring_all(order: Order, report: Report, bring: Bring) -> list[Part]:
    """Bring every result, some at a time; when one fails the others are stopped before it is told, by its stem.

    One that is missing is looked for a few times, and in the end left out and told of: the others are paid for as well.

    Raises:
        MissingError: none of them is to be had.
        TransientError: some are missing, for now.
    """
    missing: dict[str, MissingError] = {}
    files, song = order.results, show_path(Path(order.source.path.name))
    tally = Tally(files, report)
    gate = asyncio.Semaphore(AT_ONCE)

    async def bring_one(index: int, file: RemoteFile) -> Part | None:
        async with gate:
            with named({order.folder: f"{title(canonical(file.stem))} of {song}"}):
                try:
                    part = await bring(index, file, tally.of(index))
                except MissingError as error:
                    missing[file.stem] = error
                    return None
        tally.finish()
        return part

    tasks = [start(bring_one(index, file)) for index, file in enumerate(files)]
    try:
        parts = [part for part in await asyncio.gather(*tasks) if part is not None]
    finally:
        for task in tasks:
            task.cancel()
        # Nothing may write into the folder once the caller goes on.
        await asyncio.gather(*tasks, return_exceptions=True)
    if missing:
        _bear(order, missing, is_all=not parts)
    return parts


def _bear(order: Order, missing: Mapping[str, MissingError], *, is_all: bool) -> None:
    """Go on without what is missing once it was looked for often enough; without anything there is nothing to go on."""
    first = next(iter(missing.values()))
    if is_all:
        raise first
    looks = int(order.note.get(_LOOKS, "0")) + 1
    order.write_note(_LOOKS, str(looks))
    if looks < LOOKS:
        raise TransientError(first.message, remedy="it is looked for again")
    for stem in sorted(missing):
        tell_people(order, f"{stem}: made by the service, and not to be had: {missing[stem].message}")


def tell_people(order: Order, note: str) -> None:
    """Note something that people read beside the results, once."""
    told = order.note.get(TOLD, "")
    if note not in told:
        order.write_note(TOLD, f"{told}; {note}" if told else note)


def name_result(index: int, url: str, suffix: str) -> str:
    """Return the name a result has in the job's folder: none of it is the service's but a plain suffix."""
    mark = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"part-{index:03d}-{mark}{suffix}"


def plain_suffix(name: str) -> str:
    """Return the lower-case suffix of a name; "" for anything odd."""
    found = re.search(r"\.([A-Za-z0-9]{1,5})$", name)
    return f".{found[1].lower()}" if found else ""


def size_limit(source: Source, most: int = sys.maxsize) -> int:
    """Return the most bytes one result of a source can sensibly have: eight channels of floats at 192 kHz and some.

    Args:
        source: what was separated.
        most: what the user allows.
    """
    return min(most, (64 << 20) + int(source.duration * 192_000 * 8 * 4))


def part_files(order: Order, path: Path) -> tuple[Path, list[Path]]:
    """Return where this step downloads a result to, and what others have left of it.

    A process that froze may go on writing its own part: it is copied, never written to.
    """
    part = order.folder / f"{path.name}.{order.attempt}.part"
    return part, [one for one in _left_of(path) if one != part]


def _left_of(path: Path) -> list[Path]:
    """Return what downloads of a file have left; a glob would compile an expression for each file."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(f"{path.name}.")]
    except FileNotFoundError:
        return []
    return [path.with_name(name) for name in names if name.endswith(".part")]


def without_secrets(value: object) -> str:
    """Return an answer as JSON whose links have no query: how a service signs them may not be known."""
    return redact(_QUERY.sub(r"\1", json.dumps(value, ensure_ascii=False)))
