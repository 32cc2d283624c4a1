"""Following a job: which hash and node it has now, and what an answer about it means."""

from __future__ import annotations

from typing import Final

import msgspec

from plugin_core.errors import ServiceError, UnchargedError
from plugin_core.model import Progress, RemoteFile
from plugin_core.protocols import Finished, Order, Waiting
from plugin_core.providers.mvsep.algorithms import Algorithm
from plugin_core.providers.mvsep.answers import JobAnswer, Phase
from plugin_core.providers.mvsep.labels import stems_of_files
from plugin_core.remote.patience import bear, end_vagueness

GRACE: Final = 180.0
"""Seconds after its creation in which a job may be unknown: nodes learn of it late, and links are fetched first."""

TRANSCRIPTION: Final = "transcription.json"
"""Name of the result that stands in the answer itself."""

_DIVISOR: Final = 10
_NAME_LENGTH: Final = 200


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How often a job is looked at, and how long for."""

    first: float
    longest: float
    unknown_hours: float

    def wait(self, elapsed: float) -> float:
        """Return the seconds to the next look at a job of that age: growing, and the same in every process."""
        return min(self.longest, max(self.first, elapsed / _DIVISOR))


def read_answer(
    order: Order,
    job: str,
    answer: JobAnswer,
    pace: Pace,
    algorithm: Algorithm | None,
    now: float,
) -> Waiting | Finished:
    """Return what an answer means for a job.

    Raises:
        UnchargedError: it failed.
        ServiceError: it is gone, or it has no results.
        UnresolvedError: nothing known was said of it for too long.
    """
    elapsed = elapsed_of(order, now)
    if answer.phase is not Phase.UNCLEAR:
        end_vagueness(order.folder)
    match answer.phase:
        case Phase.DONE:
            return Finished(files=describe_files(job, answer, algorithm))
        case Phase.FAILED:
            reason = answer.message or f"no reason given (status {answer.status!r})"
            raise UnchargedError(f"MVSEP failed the separation: {reason}", remedy="try again, or choose another model")
        case Phase.MISSING if elapsed >= GRACE:
            raise _gone(job)
        case Phase.UNCLEAR:
            said = repr(answer.status or answer.message or "nothing")
            bear(order.folder, "MVSEP", said, now, hours=pace.unknown_hours)
    return Waiting(seconds=pace.wait(elapsed), progress=describe_progress(answer))


def describe_progress(answer: JobAnswer) -> Progress:
    """Return queue position and parts as the core shows them."""
    note = {Phase.WAITING: "waiting at MVSEP", Phase.MISSING: "not listed yet"}.get(
        answer.phase, " ".join(answer.status.split())[:40] or "working"
    )
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


def elapsed_of(order: Order, now: float) -> float:
    """Return the seconds since a job was submitted or found; a clock set back does not make it young again."""
    try:
        submitted = float(order.ticket.data.get("submitted", "")) if order.ticket else 0.0
    except ValueError:
        submitted = 0.0
    return abs(now - submitted)


def _gone(job: str) -> ServiceError:
    return ServiceError(
        f"MVSEP does not know job {job} any more: it expired or was deleted",
        remedy="results are kept for about three days; the separation has to be bought again",
    )
