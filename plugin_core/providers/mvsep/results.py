"""Results: what an answer about a job means, and its files, brought into the job's folder below names of our own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from plugin_core.errors import GoneError, ServiceError, UnchargedError
from plugin_core.model import Part, Progress, RemoteFile
from plugin_core.protocols import Finished, Order, Report, Waiting
from plugin_core.providers.mvsep.catalogue import Algorithm
from plugin_core.providers.mvsep.job_calls import JobAnswer, Phase
from plugin_core.providers.mvsep.models import stems_of_files
from plugin_core.service import bring_all, name_result, part_files, plain_suffix
from plugin_core.transfer.calls import Bytes

TRANSCRIPTION: Final = "transcription.json"
"""Name of the result that stands in the answer itself."""

_NAME_LENGTH: Final = 200


def read_answer(job: str, answer: JobAnswer, algorithm: Algorithm | None, seconds: float) -> Waiting | Finished:
    """Return what an answer means for a job.

    Args:
        job: its hash.
        answer: what the service said.
        algorithm: what was asked for, where it is known.
        seconds: until the next look.

    Raises:
        UnchargedError: it failed.
        GoneError: it is not known any more.
        ServiceError: it has no results.
    """
    unclear = ""
    match answer.phase:
        case Phase.DONE:
            return Finished(files=describe_files(job, answer, algorithm), answer=answer.kept)
        case Phase.FAILED:
            reason = answer.message or f"no reason given (status {answer.status!r})"
            raise UnchargedError(f"MVSEP failed the separation: {reason}", remedy="try again, or choose another model")
        case Phase.MISSING:
            raise _gone(job)
        case Phase.UNCLEAR:
            unclear = repr(answer.status or answer.message or "nothing")
    return Waiting(seconds=seconds, progress=describe_progress(answer), unclear=unclear)


def describe_progress(answer: JobAnswer) -> Progress:
    """Return queue position and parts as the core shows them."""
    word = " ".join(answer.status.split())[:40] or "working"
    note = "waiting at MVSEP" if answer.phase is Phase.WAITING else word
    done, every = answer.finished_chunks, answer.all_chunks
    return Progress(
        note=note,
        fraction=min(1.0, max(0.0, done / every)) if done is not None and every else None,
        queue_position=answer.current_order,
        queue_length=answer.queue_count,
        parts_done=done,
        parts_all=every,
    )


def describe_files(job: str, answer: JobAnswer, algorithm: Algorithm | None) -> tuple[RemoteFile, ...]:
    """Return the results of a job that is done.

    Raises:
        ServiceError: there are none.
    """
    files = [file for file in answer.files if file.url]
    stems = stems_of_files(algorithm, [(file.type, file.download or base_name(file.url)) for file in files])
    found = [
        RemoteFile(
            label=" ".join(file.type.split())[:_NAME_LENGTH] or stem,
            stem=stem,
            name=(file.download or base_name(file.url))[-_NAME_LENGTH:],
            url=file.url,
            size=file.bytes if file.bytes and file.bytes > 0 else None,
        )
        for file, stem in zip(files, stems, strict=True)
    ]
    if answer.transcription:
        found.append(RemoteFile(label="Transcription", stem="transcription", name=TRANSCRIPTION))
    if not found:
        raise ServiceError(
            f"MVSEP says job {job} is done and lists no files", remedy="look at the history on https://mvsep.com"
        )
    return tuple(found)


def base_name(url: str) -> str:
    """Return the last component of a link's path."""
    return url.split("?", 1)[0].split("#", 1)[0].rstrip("/").rpartition("/")[2]


def _gone(job: str) -> GoneError:
    return GoneError(
        f"MVSEP does not know job {job} any more: it expired or was deleted",
        remedy="results are kept for about three days; the separation has to be bought again",
    )


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
