"""What an answer about a job means."""

from __future__ import annotations

from typing import Final

from plugin_core.errors import GoneError, ServiceError, UnchargedError
from plugin_core.model import Progress, RemoteFile
from plugin_core.protocols import Finished, Waiting
from plugin_core.providers.mvsep.algorithms import Algorithm
from plugin_core.providers.mvsep.job_calls import JobAnswer, Phase
from plugin_core.providers.mvsep.labels import stems_of_files

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
            return Finished(files=describe_files(job, answer, algorithm))
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
