"""COS and CI over one bucket: that of a job, wherever the settings point by now, and jobs whose answer was lost.

And the account: its keys, what CI is enabled to do in its bucket, and whether all is well with both.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Final

import msgspec

from plugin_core.errors import OutcomeUnknownError, RefusedError, StembridgeError, TransientError, UsageError
from plugin_core.model import Finding, Question, Verdict, from_json, to_json
from plugin_core.protocols import Order
from plugin_core.providers.tencent_ci.caller import ENABLE, NoRightError, nodes_of, open_ci, open_cos, text_of
from plugin_core.providers.tencent_ci.client import ROOT, CiClient, JobFilter
from plugin_core.providers.tencent_ci.jobs import CANCELLED, FAILED, SUCCESS, JobDetail
from plugin_core.providers.tencent_ci.objects import CosObjects, source_keys
from plugin_core.providers.tencent_ci.settings import LOGIN, NAME, SECTION, TencentSettings
from plugin_core.service import time_of_key
from plugin_core.settings import Secret
from plugin_core.transfer import Data, Transfer


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
    """Ask what sound there is in an object; https://cloud.tencent.com/document/product/436/55672."""
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


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """Whether songs can be separated in a bucket, and by which queues."""

    bucket: str
    region: str
    binding: str
    """``on``, ``off`` or ``unbinding``; "" when the service does not say."""
    smart_audio: bool
    media_processing: bool = False
    """How older accounts have it; asked only where Smart Audio is off."""
    queues: tuple[str, ...] = ()
    """Ids for the setting ``queue``."""
    remedy: str = ""
    """What to do before songs can be separated; "" when nothing is."""


async def read_abilities(client: CiClient) -> Abilities:
    """Ask what the bucket is enabled for."""
    settings = client.caller.settings
    binding = await client.status()
    has_audio = await client.is_asr_bucket()
    return Abilities(
        bucket=settings.bucket,
        region=settings.region,
        binding=binding,
        smart_audio=has_audio,
        media_processing=not has_audio and await has_media(client),
        queues=await client.queues() if has_audio else (),
        remedy="" if has_audio and binding in ("on", "") else ENABLE,
    )


async def has_media(client: CiClient) -> bool:
    """Tell whether media processing is enabled; keys that may not ask have none."""
    try:
        return await client.is_media_bucket()
    except RefusedError:
        return False


QUESTIONS: Final = (
    Question(name="secret_id", text="SecretId of your API key at Tencent Cloud", hidden=False),
    Question(name="secret_key", text="SecretKey"),
)

CONSOLE: Final = "https://console.cloud.tencent.com/ci"

_log = logging.getLogger(__name__)

TRIAL: Final = "stembridge-doctor"
"""Name of the object that is put and removed; always the same, so that one a killed process left goes the next time."""


async def login(
    settings: TencentSettings, service_with: Callable[[TencentSettings], Service], answers: Mapping[str, Secret]
) -> Mapping[str, Secret]:
    """Return the keys as settings to keep; tried at the bucket, since nothing is documented that tries them without.

    Raises:
        UsageError: an answer is missing.
        RefusedError: the service does not accept them.
        SettingsError: the bucket is not there.
        TransientError: no answer now.
    """
    keys = {question.name: Secret(_answer(answers, question.name)) for question in QUESTIONS}
    if not all(keys.values()):
        raise UsageError("Tencent Cloud wants a SecretId and a SecretKey", remedy="both are shown in the console")
    if settings.bucket and settings.region:
        tried = msgspec.structs.replace(settings, **keys, token=Secret(""))
        await service_with(tried).objects.head_bucket()
    else:
        _log.warning("the keys are kept untried, as no bucket is set; `stembridge doctor` tries them once one is")
    return keys


async def examine(settings: TencentSettings, service: Service) -> Sequence[Finding]:
    """Return what ``stembridge doctor`` says; without an account nothing is asked of the service."""
    if not (settings.secret_id or settings.secret_key or settings.bucket):
        found = "no account is set up"
        return [Finding(name=NAME, verdict=Verdict.OK, found=found, remedy=f"to have one: {LOGIN}")]
    bucket = await _examine("bucket", _read_bucket, service)
    if bucket.verdict is not Verdict.OK:
        return [bucket]
    writing = await _examine("writing", _try_writing, service)
    enabled = [
        await _examine("binding", _read_binding, service),
        await _examine("Smart Audio", _read_smart_audio, service),
    ]
    if any(finding.verdict is Verdict.WRONG for finding in enabled):
        return [bucket, writing, *enabled]
    return [bucket, writing, *enabled, await _examine("jobs", _try_listing, service)]


async def _read_bucket(service: Service) -> Finding:
    await service.objects.head_bucket()
    return _found(f"{service.settings.bucket} can be read")


async def _try_writing(service: Service) -> Finding:
    """Put a small object and remove it: a song would find out only once prepared, and its stems once paid for."""
    key = f"{service.settings.folder}{TRIAL}"
    await service.objects.put(key, Data(b"stembridge doctor was here\n", "text/plain"))
    await service.objects.delete(key)
    try:
        await service.objects.list_keys(key)
        await service.objects.list_uploads(key)
    except NoRightError as error:
        found = f"objects can be written and removed; what a lost answer leaves could not be found: {error.message}"
        return _found(found, Verdict.WARNING, error.remedy)
    return _found("objects can be written, listed and removed")


async def _read_binding(service: Service) -> Finding:
    try:
        status = await service.ci.status()
    except NoRightError as error:
        return _unasked(error)
    if status in ("on", ""):
        return _found("the bucket is bound to Cloud Infinite")
    said = "is being unbound from" if status == "unbinding" else "is not bound to"
    remedy = f"bind it at {CONSOLE}: Bucket management (存储桶管理)"
    return _found(f"the bucket {said} Cloud Infinite", Verdict.WRONG, remedy)


async def _read_smart_audio(service: Service) -> Finding:
    """Look whether Smart Audio is on; older accounts have it as media processing."""
    try:
        if await service.ci.is_asr_bucket():
            return _found("Smart Audio is enabled for the bucket")
    except NoRightError as error:
        return _unasked(error)
    found = "Smart Audio (智能语音) is not enabled for the bucket"
    if await has_media(service.ci):
        found = f"{found}, only media processing is: separations work in some regions"
        return _found(found, Verdict.WARNING, ENABLE)
    return _found(found, Verdict.WRONG, ENABLE)


async def _try_listing(service: Service) -> Finding:
    """Look for a job that is not there: without that right one whose answer was lost would wait for its user."""
    await service.ci.list_in_queues(JobFilter(source=TRIAL), service.settings.queue)
    return _found("jobs can be looked for")


async def _examine(name: str, look: Callable[[Service], Awaitable[Finding]], service: Service) -> Finding:
    try:
        finding = await look(service)
    except StembridgeError as error:
        remedy = error.remedy or f"see the message, and section [{SECTION}] of the settings"
        finding = _found(error.message, Verdict.WRONG, remedy)
    return msgspec.structs.replace(finding, name=f"{NAME} {name}")


def _unasked(error: NoRightError) -> Finding:
    """Return what is said where separations may work although these keys may not ask."""
    return _found(f"not known: {error.message}", Verdict.WARNING, error.remedy)


def _found(found: str, verdict: Verdict = Verdict.OK, remedy: str = "") -> Finding:
    return Finding(name=NAME, verdict=verdict, found=found, remedy=remedy)


def _answer(answers: Mapping[str, Secret], name: str) -> str:
    return answers.get(name, Secret("")).reveal().strip()
