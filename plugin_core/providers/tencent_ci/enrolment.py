"""Getting the keys of an account, and looking whether all is well with it and its bucket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from plugin_core.errors import StembridgeError, UsageError
from plugin_core.model import Finding, Question, Verdict
from plugin_core.providers.tencent_ci.abilities import has_media
from plugin_core.providers.tencent_ci.refusals import ENABLE
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import LOGIN, NAME, SECTION, TencentSettings
from plugin_core.settings import Secret

QUESTIONS: Final = (
    Question(name="secret_id", text="SecretId of your API key at Tencent Cloud", hidden=False),
    Question(name="secret_key", text="SecretKey"),
)

CONSOLE: Final = "https://console.cloud.tencent.com/ci"


async def login(
    settings: TencentSettings, service_with: Callable[[TencentSettings], Service], answers: Mapping[str, Secret]
) -> Mapping[str, Secret]:
    """Return the keys as settings to keep; they are tried at the bucket if one is set.

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
    return keys


async def examine(settings: TencentSettings, service: Service) -> Sequence[Finding]:
    """Return what ``stembridge doctor`` says; without an account nothing is asked of the service."""
    if not (settings.secret_id or settings.secret_key or settings.bucket):
        found = "no account is set up"
        return [Finding(name=NAME, verdict=Verdict.OK, found=found, remedy=f"to have one: {LOGIN}")]
    bucket = await _examine(f"{NAME} bucket", service.objects.head_bucket, lambda _: f"{settings.bucket} can be read")
    if bucket.verdict is not Verdict.OK:
        return [bucket]
    return [bucket, await _examine_binding(service), await _examine_abilities(service)]


async def _examine_binding(service: Service) -> Finding:
    name = f"{NAME} binding"
    try:
        status = await service.ci.status()
    except StembridgeError as error:
        return _wrong(name, error)
    if status in ("on", ""):
        return Finding(name=name, verdict=Verdict.OK, found="the bucket is bound to Cloud Infinite")
    said = "is being unbound from" if status == "unbinding" else "is not bound to"
    remedy = f"bind it at {CONSOLE}: Bucket management (存储桶管理)"
    return Finding(name=name, verdict=Verdict.WRONG, found=f"the bucket {said} Cloud Infinite", remedy=remedy)


async def _examine_abilities(service: Service) -> Finding:
    """Look whether Smart Audio is on; older accounts have it as media processing."""
    name = f"{NAME} Smart Audio"
    try:
        if await service.ci.is_asr_bucket():
            return Finding(name=name, verdict=Verdict.OK, found="Smart Audio is enabled for the bucket")
    except StembridgeError as error:
        return _wrong(name, error)
    found = "Smart Audio (智能语音) is not enabled for the bucket"
    try:
        is_media = await has_media(service.ci)
    except StembridgeError as error:
        return _wrong(name, error)
    if is_media:
        found = f"{found}, only media processing is: separations work in some regions"
        return Finding(name=name, verdict=Verdict.WARNING, found=found, remedy=ENABLE)
    return Finding(name=name, verdict=Verdict.WRONG, found=found, remedy=ENABLE)


async def _examine(name: str, ask: Callable[[], Awaitable[object]], say: Callable[[object], str]) -> Finding:
    try:
        answer = await ask()
    except StembridgeError as error:
        return _wrong(name, error)
    return Finding(name=name, verdict=Verdict.OK, found=say(answer))


def _wrong(name: str, error: StembridgeError) -> Finding:
    remedy = error.remedy or f"see the message, and section [{SECTION}] of the settings"
    return Finding(name=name, verdict=Verdict.WRONG, found=error.message, remedy=remedy)


def _answer(answers: Mapping[str, Secret], name: str) -> str:
    return answers.get(name, Secret("")).reveal().strip()
