"""COS and CI over one bucket: that of a job, wherever the settings point by now, and jobs whose answer was lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from functools import cached_property
from typing import Final

import msgspec

from plugin_core.errors import OutcomeUnknownError, StembridgeError, TransientError
from plugin_core.model import from_json, to_json
from plugin_core.protocols import Order
from plugin_core.providers.tencent_ci.caller import nodes_of, open_ci, open_cos, text_of
from plugin_core.providers.tencent_ci.client import ROOT, CiClient, JobFilter
from plugin_core.providers.tencent_ci.jobs import CANCELLED, FAILED, SUCCESS, JobDetail
from plugin_core.providers.tencent_ci.objects import CosObjects, source_keys
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.service import time_of_key
from plugin_core.transfer import Transfer


class Service:
    """The objects and the jobs of one bucket.

    Args:
        settings: section ``[tencent]``.
        transfer: the way to both; default one for each.
        clock: seconds since the epoch.
    """

    def __init__(
        self, settings: TencentSettings, transfer: Transfer | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._transfer = transfer

    @cached_property
    def objects(self) -> CosObjects:
        return CosObjects(open_cos(self.settings, self._transfer, self.clock))

    @cached_property
    def ci(self) -> CiClient:
        return CiClient(open_ci(self.settings, self._transfer, self.clock))

    def with_settings(self, settings: TencentSettings) -> Service:
        """Return the same for another bucket or other keys."""
        return Service(settings, self._transfer, self.clock)


class MediaInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What CI reads in an object."""

    object: str
    format: str = ""
    seconds: str = ""
    kilobits: str = ""
    """A second."""
    bytes: str = ""
    audio: tuple[dict[str, str], ...] = ()
    """Of each stream: codec, sample rate and channels."""


async def read_media(service: Service, key: str) -> MediaInfo:
    """Ask what sound there is in an object; https://cloud.tencent.com/document/product/436/55672.

    Raises:
        StembridgeError: as ``Caller.read``.
    """
    objects = service.objects
    page = await objects.caller.read(
        objects.call("GET", key, "GET Object videoinfo", {"ci-process": "videoinfo"}), ROOT
    )
    format_ = next(iter(nodes_of(page, "MediaInfo", "Format")), {})
    named = {"codec": "CodecName", "sample_rate": "SampleRate", "channels": "Channel", "seconds": "Duration"}
    streams = nodes_of(page, "MediaInfo", "Stream", "Audio")
    return MediaInfo(
        object=key,
        format=text_of(format_.get("FormatName")),
        seconds=text_of(format_.get("Duration")),
        kilobits=text_of(format_.get("Bitrate")),
        bytes=text_of(format_.get("Size")),
        audio=tuple({name: text_of(each.get(node)) for name, node in named.items()} for each in streams),
    )


PLACE: Final = "place"


def place_of(settings: TencentSettings) -> dict[str, str]:
    """Return what is kept of the settings: no secret, and all that names objects."""
    return {name: getattr(settings, name) for name in ("bucket", "region", "prefix", "results")}


def note_place(order: Order, settings: TencentSettings) -> None:
    """Keep the place of a job, whatever happens to the process."""
    order.write_note(PLACE, to_json(place_of(settings)).decode())


def settings_of(order: Order, settings: TencentSettings) -> TencentSettings:
    """Return the settings with the place of a job: its ticket's, else the noted one, else the present one."""
    noted = order.ticket.data if order.ticket is not None else _noted(order)
    place = {name: noted.get(name, present) for name, present in place_of(settings).items()}
    return msgspec.structs.replace(settings, **place) if place["bucket"] else settings


def _noted(order: Order) -> dict[str, str]:
    # What an older version noted may have been cut.
    with contextlib.suppress(msgspec.MsgspecError):
        return from_json(order.note.get(PLACE, "{}"), dict[str, str])
    return {}


SLACK: Final = 24 * 3600.0
"""Seconds a job may seem older than its key: clocks are wrong, and time zones mistaken."""


async def find_job(service: Service, key: str, queue: str) -> JobDetail | None:
    """Return the job that carries a submission key and can still be used; None when there surely is none.

    A job that failed or was cancelled is none: making it anew costs what it cost the first time, nothing. One whose
    results are all gone is an earlier one, of a try that is over.

    Args:
        service: the bucket where the job began.
        key: the submission key.
        queue: the queue that is set now; the job may be in another.

    Raises:
        OutcomeUnknownError: the list cannot be read.
        TransientError: no answer now.
    """
    try:
        found = [job async for job in _list_all(service, key, queue)]
        for job in sorted(found, key=lambda job: job.created, reverse=True):
            if job.state not in (FAILED, CANCELLED) and await _is_usable(service, job):
                return job
    except (TransientError, OutcomeUnknownError):
        raise
    except StembridgeError as error:
        raise OutcomeUnknownError(error.message, remedy=error.remedy or "it is tried again") from error
    return None


async def _list_all(service: Service, key: str, queue: str) -> AsyncGenerator[JobDetail]:
    for source in source_keys(service.settings.folder, key):
        for job in await service.ci.list_in_queues(_filter(key, source, service.clock()), queue):
            if job.user_data == key:
                yield job


def _filter(key: str, source: str, now: float) -> JobFilter:
    made = time_of_key(key)
    # A clock that was ahead when the key was made must not hide the job.
    return JobFilter(source=source, since=None if made is None else min(made, now) - SLACK)


async def _is_usable(service: Service, job: JobDetail) -> bool:
    if job.state != SUCCESS or not job.results:
        return True
    return any([await service.objects.head(result.key) is not None for result in job.results])
