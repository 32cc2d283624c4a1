"""What CI says of a job, as the core understands it."""

from __future__ import annotations

from typing import Final

from plugin_core.errors import GoneError, ServiceError, UnchargedError
from plugin_core.model import Progress, RemoteFile, disarm
from plugin_core.protocols import Finished, Waiting
from plugin_core.providers.tencent_ci.jobs import CANCELLED, FAILED, JobDetail, JobPage
from plugin_core.providers.tencent_ci.names import file_name

SCHEME: Final = "cos://"
"""What begins the address of a result: an object, which only our keys can read."""

_NOTES: Final = {
    "Submitted": "waiting at Tencent CI",
    "Running": "separating",
    "Pause": "paused: the queue at Tencent CI is stopped in the console",
}
_LONGEST: Final = 300


def pick_job(page: JobPage, job: str) -> JobDetail | None:
    """Return one job of an answer; None when CI does not know it."""
    return next((each for each in page.jobs if each.id == job), None)


def read_state(job: JobDetail | None, seconds: float) -> Waiting | Finished:
    """Return what an answer means.

    Args:
        job: as CI describes it; None when it knows none.
        seconds: until the next look.

    Raises:
        UnchargedError: it failed or was cancelled.
        GoneError: it is not known any more.
        ServiceError: it made nothing.
    """
    if job is None:
        raise GoneError("Tencent CI does not know the job any more", remedy="the separation has to be made again")
    if job.state == FAILED:
        raise UnchargedError(f"Tencent CI failed the separation: {_plain(job.reason)}")
    if job.state == CANCELLED:
        raise UnchargedError("the job was cancelled at Tencent CI", remedy="make it again if that was not meant")
    if job.is_working:
        note = _NOTES.get(job.state, _plain(job.state)[:40] or "working")
        unclear = f"state {job.state!r}" if job.is_unclear else ""
        return Waiting(seconds=seconds, progress=Progress(note=note, fraction=job.progress), unclear=unclear)
    if not job.results:
        raise ServiceError(
            "Tencent CI says the job succeeded, and its results are not in the bucket",
            remedy="the separation has to be made again",
        )
    return Finished(files=tuple(_describe(job.bucket, each.stem, each.key, each.md5) for each in job.results))


def object_of(file: RemoteFile) -> str:
    """Return the key of a result's object."""
    return file.url.removeprefix(SCHEME).partition("/")[2]


def _describe(bucket: str, stem: str, key: str, md5: str) -> RemoteFile:
    return RemoteFile(label=stem, stem=stem, name=file_name(key), url=f"{SCHEME}{bucket}/{key}", md5=md5.lower())


def _plain(text: str) -> str:
    return disarm(" ".join(text.split()))[:_LONGEST]
