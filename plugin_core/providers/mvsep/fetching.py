"""Bringing results into the job's folder, below names of our own: theirs are data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from plugin_core.errors import ServiceError
from plugin_core.model import Part, RemoteFile
from plugin_core.protocols import Order, Report
from plugin_core.providers.mvsep.following import TRANSCRIPTION, base_name
from plugin_core.service.results import bring_all, name_result, part_files, plain_suffix
from plugin_core.transfer.calls import Bytes

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
        report: Bytes | None = None,
        part: Path | None = None,
        earlier: Sequence[Path] = (),
    ) -> int:
        """Bring a file."""
        ...


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

    async def bring(index: int, file: RemoteFile, tell: Bytes) -> Part:
        path = order.folder / local_name(index, file)
        if not file.url:
            await asyncio.to_thread(_write_json, path, order.attempt, await transcription())
        elif not _is_there(path, file):
            await _download(client, order, file, path, limit, tell)
        return Part(stem=file.stem, label=file.label, path=path, is_audio=await _is_audio(path))

    return await bring_all(order, report, bring)


def local_name(index: int, file: RemoteFile) -> str:
    """Return the name a result has in the job's folder."""
    return name_result(index, file.url, suffix_of(file))


def suffix_of(file: RemoteFile) -> str:
    """Return the lower-case suffix of the suggested name, else of the link; "" for anything odd."""
    return plain_suffix(file.name) or plain_suffix(base_name(file.url))


def is_audio(path: Path) -> bool:
    """Tell whether a fetched file is to be treated as a stem; MIDI, text and archives are placed as they are."""
    if path.suffix:
        return path.suffix in AUDIO
    with path.open("rb") as opened:
        return opened.read(12).startswith(_AUDIO_MARKS)


async def _is_audio(path: Path) -> bool:
    # Only the content of a file without a suffix is worth a thread.
    return is_audio(path) if path.suffix else await asyncio.to_thread(is_audio, path)


async def _download(client: Downloads, order: Order, file: RemoteFile, path: Path, limit: int, tell: Bytes) -> None:
    if file.size is not None and file.size > limit:
        raise ServiceError(f"MVSEP's {file.stem} has {file.size} bytes, more than the {limit} that make sense")
    part, earlier = part_files(order, path)
    await client.download(file.url, path, size=file.size, limit=limit, report=tell, part=part, earlier=earlier)


def _is_there(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and file.size in (None, path.stat().st_size)


def _write_json(path: Path, attempt: str, value: Sequence[Any]) -> None:
    scratch = path.with_name(f"{attempt}.{TRANSCRIPTION}")
    scratch.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
    scratch.replace(path)
