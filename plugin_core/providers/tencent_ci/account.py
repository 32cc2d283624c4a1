"""An account: its keys, what CI is enabled to do in its bucket, and whether all is well with both."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from plugin_core.errors import RefusedError, StembridgeError, UsageError
from plugin_core.model import Finding, Question, Verdict
from plugin_core.providers.tencent_ci.caller import ENABLE, NoRightError
from plugin_core.providers.tencent_ci.client import CiClient, JobFilter
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import LOGIN, NAME, SECTION, TencentSettings
from plugin_core.settings import Secret
from plugin_core.transfer import Data


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
    """Ask what the bucket is enabled for.

    Raises:
        StembridgeError: as ``Caller.read``.
    """
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
    """Tell whether media processing is enabled; keys that may not ask have none.

    Raises:
        StembridgeError: as ``Caller.read``, but no RefusedError.
    """
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
