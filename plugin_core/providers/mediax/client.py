"""The three actions of MediaX's job API, signed as the older gateway wants it where an account stands behind it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from plugin_core.errors import (
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    SettingsError,
    TransientError,
    UnclearAnswerError,
    UsageError,
)
from plugin_core.providers.mediax.answers import DIMENSIONS, MediaxJob, explain, find_job, read_answer, read_job
from plugin_core.settings import Secret
from plugin_core.transfer import Answer, Bytes, Call, Data, Transfer
from plugin_core.transfer.addresses import resolve

LOGIN = "run `stembridge login mediax`, or set STEMBRIDGE_MEDIAX_SECRET_ID and STEMBRIDGE_MEDIAX_SECRET_KEY"

_CONTENT_ID: Final = "set it to tmpContentId of your registration, or STEMBRIDGE_MEDIAX_CONTENT_ID"
_CALLBACK: Final = re.compile(r"https?://[^\s/?#]+(?:[/?#]\S*)?\Z")


class MediaxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How MediaX is reached; its keys come with the registration and are no CAM keys."""

    secret_id: Secret = Secret("")
    """``tmpSecretId`` of the registration."""
    secret_key: Secret = Secret("")
    """``tmpSecretKey`` of the registration."""
    base_url: str = "https://api.mediax.tencent.com"
    stager: str = ""
    """Which stager makes files reachable for the service; empty for the only one there is."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    """Jobs that may be alive at once: the service names no limit."""
    timeout: Annotated[int, msgspec.Meta(ge=1, le=604_800)] = 1800
    """Seconds after which the service gives a job up."""
    callback_url: str = ""
    """Where the service tells that a job ended; it only makes us ask at once."""
    poll_first: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 5.0
    """Seconds between the first two looks at a job."""
    poll_longest: Annotated[float, msgspec.Meta(ge=0.01, le=600)] = 30.0
    """Seconds between two looks at an old job."""
    register_seconds: Annotated[float, msgspec.Meta(ge=0, le=110)] = 15.0
    """Seconds the service may need to list a job whose answer was lost; only then it counts as absent."""
    input: Literal["url", "source"] = "url"
    """How the service is told of a song: by a link, or by its name in the bucket that is registered."""
    content_id: str = ""
    """For stems and ``source``: id of the bucket registered with the service, ``tmpContentId`` of the registration."""
    destination: str = "stembridge"
    """For stems: folder in that bucket that the service writes into; empty for its root."""
    bucket_stager: str = ""
    """For stems: the stager that is that bucket; empty for ``stager``, or the only one that can be one."""
    cleanup: bool = True
    """For stems: whether they are removed from the bucket once the job is over."""
    gateway_id: Secret = Secret("")
    gateway_key: Secret = Secret("")
    gateway_source: str = ""
    """``<uin>_<userName>``: with the two above, for accounts that stand behind the older gateway."""

    def check(self) -> None:
        """Refuse what no request can be made of.

        Raises:
            RefusedError: there are no keys.
            SettingsError: a value is malformed.
        """
        if not (self.secret_id and self.secret_key):
            raise RefusedError("MediaX needs an account", remedy=LOGIN)
        for name, value in msgspec.structs.asdict(self).items():
            if isinstance(value, str) and not value.isprintable():
                raise SettingsError(f"[mediax] {name} holds what no request can", remedy="copy it anew")
        gateway = {"gateway_id": self.gateway_id.reveal(), "gateway_source": self.gateway_source}
        for name, text in gateway.items():
            if not text.isascii() or '"' in text:
                raise SettingsError(
                    f"[mediax] {name} holds what no header can", remedy="copy it from the registration again"
                )
        if any(gateway.values()) and not (all(gateway.values()) and self.gateway_key):
            raise SettingsError(
                "[mediax] gateway_id, gateway_key and gateway_source go together", remedy="set all three or none"
            )
        if self.input == "source" and not self.content_id:
            raise SettingsError("[mediax] input is source, and content_id is not set", remedy=_CONTENT_ID)
        if self.callback_url and not _CALLBACK.match(self.callback_url):
            raise SettingsError("[mediax] callback_url is no address", remedy="`stembridge listen` shows one")
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise SettingsError(
                "[mediax] base_url is no address", remedy="it looks like https://api.mediax.tencent.com"
            )

    def check_bucket(self) -> None:
        """Refuse settings with which no stems could come back.

        Raises:
            SettingsError: there is no content id, or the destination is no folder.
        """
        if not self.content_id:
            raise SettingsError(
                "[mediax] content_id is not set, and MediaX leaves stems in the bucket that it names",
                remedy=_CONTENT_ID,
            )
        parts = self.destination.strip("/").split("/")
        if {".", ".."} & set(parts):
            raise SettingsError("[mediax] destination is no folder", remedy="it looks like stembridge")


def gateway_headers(gateway_id: Secret, gateway_key: Secret, source: str, now: float) -> dict[str, str]:
    """Return the headers that sign a request; none when the account has no gateway keys.

    Args:
        gateway_id: ``apiGateSecretId`` of the registration.
        gateway_key: ``apiGateSecretKey``.
        source: ``<uin>_<userName>``.
        now: seconds since the epoch.
    """
    if not (gateway_id and gateway_key and source):
        return {}
    date = formatdate(now, usegmt=True)
    text = f"date: {date}\nsource: {source}"
    digest = hmac.new(gateway_key.reveal().encode(), text.encode(), hashlib.sha1).digest()
    signature = base64.b64encode(digest).decode()
    header = f'hmac id="{gateway_id.reveal()}", algorithm="hmac-sha1", headers="date source", signature="{signature}"'
    return {"Date": date, "Source": source, "Authorization": Secret(header)}


LONGEST_CUSTOM_ID = 63

_NO_ADDRESS = (404, 405, 410)
_ADDRESS = "correct [mediax] base_url"


class MediaxClient:
    """MediaX for one account.

    Args:
        settings: keys and address.
        transfer: the way out; default one of its own.
    """

    def __init__(self, settings: MediaxSettings, transfer: Transfer | None = None) -> None:
        self._settings = settings
        self._secrets = (settings.secret_id, settings.secret_key, settings.gateway_id, settings.gateway_key)
        self._transfer = transfer or Transfer("MediaX", secrets=[secret for secret in self._secrets if secret])

    async def create_job(
        self, song: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], *, custom_id: str, callback: str = ""
    ) -> MediaxJob:
        """Make a job: the one call that is billed.

        Args:
            song: where the service reads it: its ``url``, or its ``source`` in the bucket that is registered.
            outputs: what is wanted, each with ``smartContentDescriptor``.
            custom_id: our own name of it, shorter than 64 characters.
            callback: where the service tells that it ended.

        Raises:
            OutcomeUnknownError: it may have been made.
            TransientError: surely not made; try again later.
            ServiceError: refused, in the service's words.
        """
        if not 0 < len(custom_id) <= LONGEST_CUSTOM_ID:
            raise UsageError(f"customId {custom_id!r} must have 1 to {LONGEST_CUSTOM_ID} characters")
        request = {
            "customId": custom_id,
            **({"callback": callback} if callback else {}),
            "timeout": self._settings.timeout,
            "inputs": [song],
            "outputs": [{"inputSelectors": [0], **output} for output in outputs],
        }
        call = self._call("CreateJob", "createJobRequest", request)
        answer = await self._transfer.send_once(call)
        return self._created(answer, call.what)

    def _created(self, answer: Answer, what: str) -> MediaxJob:
        data = answer.data if isinstance(answer.data, dict) else {}
        job = find_job(data.get("createJobResponse"))
        if job is not None:
            return job
        if answer.is_success and not data.get("errorResponse"):
            raise OutcomeUnknownError(f"{what}: the answer names no job; it may have been made")
        error = explain(answer, what)
        if answer.status in _NO_ADDRESS and isinstance(error, UnclearAnswerError):
            raise ServiceError(f"{what}: nothing answers there (HTTP {answer.status})", remedy=_ADDRESS)
        if isinstance(error, TransientError):
            # "internal error" does not say that nothing was made: the list does.
            raise OutcomeUnknownError(f"{error.message}; it may have been accepted")
        raise error

    async def get_job(self, job_id: str) -> MediaxJob:
        """Ask for one job.

        Raises:
            ServiceError: it is not known, or refused.
            UnclearAnswerError: an answer that names no job.
            TransientError: no usable answer now.
        """
        call = self._call("GetJob", "getJobRequest", {"id": job_id})
        data = read_answer(await self._transfer.send(call), "getJobResponse", call.what)
        job = find_job(data)
        if job is None:
            raise UnclearAnswerError(f"{call.what}: the answer names no job")
        return job

    async def list_jobs(self, custom_id: str) -> tuple[MediaxJob, ...]:
        """Ask for every job with one ``customId``, "" for any; there may be none, one or several.

        Raises:
            ServiceError: refused.
            UnclearAnswerError: an answer that holds no list.
            TransientError: no usable answer now.
        """
        call = self._call("ListJobs", "listJobsRequest", {"customId": custom_id} if custom_id else {})
        data = read_answer(await self._transfer.send(call), "listJobsResponse", call.what)
        if not data.keys() & {"jobs", "total"}:
            # Neither that the keys are good nor that there is no job.
            raise UnclearAnswerError(f"{call.what}: the answer lists nothing")
        listed = data.get("jobs")
        each = listed if isinstance(listed, list) else []
        found = [read_job(one) for one in each if isinstance(one, Mapping)]
        jobs = tuple(job for job in found if job is not None and (not custom_id or job.custom_id in ("", custom_id)))
        if not jobs and _total(data) > len(found):
            raise TransientError(f"{call.what}: the answer counts more jobs than it names")
        return jobs

    async def download(
        self, url: Secret, target: Path, *, limit: int, report: Bytes, part: Path, earlier: Sequence[Path]
    ) -> None:
        """Bring a result; see ``Transfer.download``.

        Raises:
            ServiceError: gone, refused or too large.
            TransientError: the network or the disk; to be continued.
            PlacementError: it cannot be written.
        """
        await self._transfer.download(url.reveal(), target, limit=limit, report=report, part=part, earlier=earlier)

    def resolve(self, url: str) -> str:
        """Return a URL that the service names, if it may be opened; it may not lead into this machine.

        Raises:
            ServiceError: it may not be opened.
        """
        return resolve(self._settings.base_url, url)

    def _call(self, action: str, key: str, request: Mapping[str, Any]) -> Call:
        body = {
            "requestId": str(uuid.uuid4()),
            "action": action,
            "secretId": self._settings.secret_id.reveal(),
            "secretKey": self._settings.secret_key.reveal(),
            key: request,
        }
        return Call(
            "POST",
            f"{self._settings.base_url.rstrip('/')}/job",
            f"MediaX {action}",
            headers=gateway_headers(
                self._settings.gateway_id, self._settings.gateway_key, self._settings.gateway_source, time.time()
            ),
            body=Data(json.dumps(body, ensure_ascii=False).encode(), "application/json"),
        )


def _total(data: Mapping[str, Any]) -> int:
    try:
        return int(data.get("total") or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def descriptor(dimensions: Sequence[str]) -> dict[str, Any]:
    """Return the output that asks for labels; all dimensions are asked for by the word ``all``, alone.

    Raises:
        UsageError: an unknown dimension, or none.
    """
    unknown = [dimension for dimension in dimensions if dimension not in DIMENSIONS]
    if unknown or not dimensions:
        raise UsageError(
            f"unknown dimension {', '.join(map(repr, unknown))}" if unknown else "no dimension asked for",
            remedy=f"there are {', '.join(DIMENSIONS)}",
        )
    types = ["all"] if set(dimensions) == set(DIMENSIONS) else [each for each in DIMENSIONS if each in dimensions]
    return {"smartContentDescriptor": {"musicTagV2": {"tagType": types}}}
