"""Bringing results into the job's folder, below names of our own: theirs are data."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from plugin_core.errors import ServiceError
from plugin_core.model import Part, Progress, RemoteFile, Source
from plugin_core.protocols import Order, Report
from plugin_core.providers.mvsep.following import TRANSCRIPTION, base_name

AT_ONCE: Final = 3
"""Downloads at the same time."""

AUDIO: Final = frozenset({".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".mp4", ".ogg", ".opus", ".w64", ".wav"})
_AUDIO_MARKS: Final = (b"RIFF", b"fLaC", b"ID3", b"OggS", b"FORM", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")

Transcription = Callable[[], Awaitable[Sequence[Any]]]
"""Ask for the transcription that stands in the job's answer."""


class Downloads(Protocol):
    """What of the client fetching needs."""

    async def download(
        self,
        url: str,
        target: Path,
        *,
        size: int | None = None,
        limit: int = ...,
        report: Callable[[int, int | None], None] | None = None,
        part: Path | None = None,
        earlier: Sequence[Path] = (),
    ) -> int:
        """Bring a file."""
        ...


class _Tally:
    """How far all downloads are together."""

    def __init__(self, files: Sequence[RemoteFile], report: Report) -> None:
        self._sizes: list[int | None] = [file.size for file in files]
        self._there = [0] * len(files)
        self._done = 0
        self._report = report

    def of(self, index: int) -> Callable[[int, int | None], None]:
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


async def fetch_results(
    client: Downloads, order: Order, report: Report, transcription: Transcription, *, limit: int
) -> list[Part]:
    """Bring every result, three at a time; what is there already is not fetched again.

    Args:
        client: downloads, resuming what this or another process left.
        order: the job, with its results.
        report: hears how far all are together.
        transcription: asked where a result stands in the answer itself.
        limit: most bytes of one file.

    Raises:
        ServiceError: a file is gone, too large or not as long as announced.
        TransientError: the network or the disk; to be continued.
    """
    tally = _Tally(order.results, report)
    gate = asyncio.Semaphore(AT_ONCE)

    async def bring(index: int, file: RemoteFile) -> Part:
        path = order.folder / local_name(index, file)
        async with gate:
            if not file.url:
                await asyncio.to_thread(_write_json, path, order.attempt, await transcription())
            elif not _is_there(path, file):
                await _download(client, order, file, path, limit, tally.of(index))
        tally.finish()
        return Part(stem=file.stem, label=file.label, path=path, is_audio=await _is_audio(path))

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
    return f"part-{index:03d}-{mark}{suffix_of(file)}"


def suffix_of(file: RemoteFile) -> str:
    """Return the lower-case suffix of the suggested name, else of the link; "" for anything odd."""
    for name in (file.name, base_name(file.url)):
        found = re.search(r"\.([A-Za-z0-9]{1,5})$", name)
        if found:
            return f".{found[1].lower()}"
    return ""


def is_audio(path: Path) -> bool:
    """Tell whether a fetched file is to be treated as a stem; MIDI, text and archives are placed as they are."""
    if path.suffix:
        return path.suffix in AUDIO
    with path.open("rb") as opened:
        return opened.read(12).startswith(_AUDIO_MARKS)


async def _is_audio(path: Path) -> bool:
    # Only the content of a file without a suffix is worth a thread.
    return is_audio(path) if path.suffix else await asyncio.to_thread(is_audio, path)


def size_limit(source: Source, most: int) -> int:
    """Return the most bytes one result of a source can sensibly have: eight channels of floats at 192 kHz and some."""
    return min(most, (64 << 20) + int(source.duration * 192_000 * 8 * 4))


async def _download(
    client: Downloads, order: Order, file: RemoteFile, path: Path, limit: int, tell: Callable[[int, int | None], None]
) -> None:
    if file.size is not None and file.size > limit:
        raise ServiceError(f"MVSEP's {file.stem} has {file.size} bytes, more than the {limit} that make sense")
    part = order.folder / f"{path.name}.{order.attempt}.part"
    # A process that froze may go on writing its own part: it is copied, never written to.
    earlier = [one for one in _parts_of(path) if one != part]
    await client.download(file.url, path, size=file.size, limit=limit, report=tell, part=part, earlier=earlier)


def _parts_of(path: Path) -> list[Path]:
    """Return what downloads of a file have left; a glob would compile an expression for each file."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(f"{path.name}.")]
    except FileNotFoundError:
        return []
    return [path.with_name(name) for name in names if name.endswith(".part")]


def _is_there(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and file.size in (None, path.stat().st_size)


def _write_json(path: Path, attempt: str, value: Sequence[Any]) -> None:
    scratch = path.with_name(f"{attempt}.{TRANSCRIPTION}")
    scratch.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
    scratch.replace(path)
