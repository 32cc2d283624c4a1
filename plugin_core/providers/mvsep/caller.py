"""Calling the API, by section ``[mvsep]``: where the token goes, what may be sent twice, and what a refusal becomes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec

from plugin_core.errors import RefusedError, ServiceError, SettingsError, SourceError, StembridgeError, TransientError
from plugin_core.providers.mvsep.loose_json import as_flag, as_mapping, read_words
from plugin_core.settings import Secret
from plugin_core.transfer import Answer, Body, Call, Form, Transfer
from plugin_core.transfer.addresses import check_url, is_loopback
from plugin_core.transfer.pauses import shared_budget
from plugin_core.transfer.redaction import redact, redact_url, register

NAME = "mvsep"

BASE_URL = "https://mvsep.com/api"


class MvsepSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose account at MVSEP is used, and how."""

    api_token: Secret = Secret("")
    """From https://mvsep.com/user-api, or kept in the keyring by ``stembridge login mvsep``."""
    base_url: str = BASE_URL
    """Where requests go; jobs made at a regional host stay there."""
    nodes: tuple[str, ...] = ()
    """Further APIs of the service, trusted with the token; empty means those known of mvsep.com."""
    model: str = "63"
    """Id or name of the model used when none is asked for."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    """Jobs alive at once with premium; without it the service takes one."""
    stager: str = ""
    """Name of the stager through which MVSEP fetches sources from a link; empty uploads them."""
    delete_after: bool = False
    """Whether the job and its files are removed from the service once the stems are placed."""
    poll_first: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 5.0
    """Seconds between two looks at a new job."""
    poll_longest: Annotated[float, msgspec.Meta(ge=0.01, le=600)] = 30.0
    """Seconds between two looks at an old job."""
    unknown_hours: Annotated[float, msgspec.Meta(gt=0, le=720)] = 24.0
    """Hours a job may stay in a state that is not documented."""
    register_seconds: Annotated[float, msgspec.Meta(ge=0, le=110)] = 30.0
    """Seconds the service may need to list a job whose answer was lost; only then it counts as absent."""
    catalogue_hours: Annotated[float, msgspec.Meta(ge=0, le=720)] = 24.0
    """Hours the list of models is kept."""
    max_file_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 8192
    """Largest file taken from the service, in MiB."""


DOMAIN = "mvsep.com"

_ENDPOINT = re.compile(r"/separation/(get|get-remote)/?\Z")


class Nodes:
    """The hosts of the service: a job lives on one of them, and the token goes to no other.

    Args:
        base_url: the configured API.
        trusted: further hosts the token may go to.

    Raises:
        SettingsError: the base may not be spoken to.
    """

    def __init__(self, base_url: str, trusted: Collection[str] = ()) -> None:
        self.base = base_url.rstrip("/")
        try:
            parts = check_url(self.base)
        except ServiceError as error:
            raise SettingsError(f"[mvsep] base_url: {error.message}", remedy=error.remedy) from None
        self._origin = (parts.scheme, parts.netloc.lower())
        self._trusted = {host.lower() for host in trusted}

    def is_trusted(self, url: str) -> bool:
        """Tell whether the token may go to a URL: the base itself, an https host of the service, an injected one."""
        try:
            parts = check_url(url)
        except ServiceError:
            return False
        host = (parts.hostname or "").lower().rstrip(".")
        if (parts.scheme, parts.netloc.lower()) == self._origin or host in self._trusted:
            return True
        return parts.scheme == "https" and not is_loopback(host) and (host == DOMAIN or host.endswith(f".{DOMAIN}"))

    def origin_of(self, link: str) -> str:
        """Return the API base a link to a job points at; the configured one where the link may not be followed."""
        try:
            parts = urlsplit(link)
        except ValueError:
            return self.base
        path, found = _ENDPOINT.subn("", parts.path)
        origin = f"{parts.scheme}://{parts.netloc}{path}"
        return origin if found and self.is_trusted(origin) else self.base

    def pick(self, origin: str, *, with_token: bool) -> str:
        """Return the API base to call for a job.

        Raises:
            ServiceError: it is not the service's, and the call carries the token.
        """
        picked = origin.rstrip("/") or self.base
        if with_token and not self.is_trusted(picked):
            raise ServiceError(f"{redact_url(picked)} is no host of MVSEP: the token is not sent there")
        return picked


QUEUE_PAUSE: Final = 30.0
"""Seconds until a full queue is tried again, when the service names none."""

_LOGIN: Final = "use `stembridge login mvsep`"
_TOKEN: Final = re.compile(r"token|api.?key|unauth|credential|log.?in|sign.?in")
_SONG: Final = re.compile(
    r"(file|audio|song|track|upload|size|length|duration)s?\b.*\bexceed|exceed.*\b(size|length|duration|\d+ ?[mg]i?b)\b"
    r"|too (large|big|long)|larger than|longer than|maximum (file )?(size|length|duration)"
    r"|(over|above|up to|limit of|limited to) \d+ ?([mg]i?b|min(ute)?s?)\b"
    r"|not (an? )?(valid |supported )?audio|unsupported (file|audio|format)|corrupt|is empty|empty file"
)
"""What is said of one song, also where another plan would take it; all else that is refused is refused to all songs."""
_QUOTA: Final = re.compile(r"limit of separations|for today|daily|per day")
_CREDITS: Final = re.compile(r"credit|balance|premium minutes|not enough")
_PREMIUM: Final = re.compile(r"premium|membership|subscri|registered (user|account)|upgrade")
_QUEUED: Final = re.compile(r"queue|unprocessed|wait before adding")
_UNPACKED: Final = re.compile(r"<[^>]*>")


def refusal(what: str, answer: Answer, *, pause: float | None = None) -> StembridgeError | None:
    """Return the error an answer amounts to, with the service's words; None when it is no refusal.

    Args:
        what: the call's name.
        answer: below 500.
        pause: seconds of its ``Retry-After``.
    """
    if answer.is_success and answer.is_json and as_flag(as_mapping(answer.data).get("success")) is not False:
        return None
    words = "; ".join(read_words(answer.data)) if answer.is_json else ""
    shown = redact(f"{what}: {words or _without_words(answer)} (HTTP {answer.status})")
    return _by_status(answer, shown, words.lower(), pause) or _by_words(shown, words.lower(), pause)


def _by_status(answer: Answer, shown: str, words: str, pause: float | None) -> StembridgeError | None:
    if answer.status == 429:
        return TransientError(shown, retry_after=pause)
    if answer.status == 401:
        # Without a word about the token it comes from the guard against robots, and a later try passes.
        return RefusedError(shown, remedy=_LOGIN) if _TOKEN.search(words) else TransientError(shown, retry_after=pause)
    if answer.status == 413:
        return SourceError(shown, remedy="use a smaller file")
    if answer.status in (404, 405, 410) and (not answer.is_json or words.startswith("the route ")):
        return ServiceError(shown, remedy="check [mvsep] base_url")
    if answer.status == 403 and not answer.is_json:
        return TransientError(shown, retry_after=pause)
    return None


def _by_words(shown: str, words: str, pause: float | None) -> StembridgeError:
    if _SONG.search(words):
        return SourceError(shown)
    if _QUOTA.search(words):
        return RefusedError(shown, remedy="try again tomorrow, or use another account")
    if _QUEUED.search(words):
        return TransientError(shown, retry_after=pause or QUEUE_PAUSE)
    if _CREDITS.search(words) or _PREMIUM.search(words):
        return RefusedError(shown, remedy="`stembridge account mvsep` shows what the account may do")
    if _TOKEN.search(words):
        return RefusedError(shown, remedy=_LOGIN)
    return ServiceError(shown)


def _without_words(answer: Answer) -> str:
    if answer.is_json:
        return "refused without a reason"
    text = " ".join(_UNPACKED.sub(" ", answer.text[:2000]).split())
    return f"no answer of the API, but {text[:120]!r}" if text else "no answer of the API"


NO_TOKEN: Final = Secret("")

Fields = Mapping[str, str]


class Caller:
    """One account at MVSEP, or none.

    Args:
        base_url: the configured API, https (or loopback).
        token: the account's; "" for the calls that need none.
        trusted: further hosts the token may go to; https hosts under mvsep.com and the base's own always may.
        transfer: the way there; default one with the network behind it.

    Raises:
        SettingsError: the base may not be spoken to.
    """

    def __init__(
        self,
        base_url: str = BASE_URL,
        token: Secret = NO_TOKEN,
        *,
        trusted: Collection[str] = (),
        transfer: Transfer | None = None,
    ) -> None:
        register(token)
        self._nodes = Nodes(base_url, trusted)
        self._token = token
        self.base_url = self._nodes.base
        self.transfer = transfer or Transfer("MVSEP", budget=shared_budget(f"mvsep:{_fingerprint(token)}"))

    def origin_of(self, link: str) -> str:
        """Return the API base of the node that ``Created.link`` or ``JobAnswer.link`` points at.

        The configured base where the link is empty, odd, or leads to a host the token may not go to.
        """
        return self._nodes.origin_of(link)

    def _with_token(self, fields: Fields) -> dict[str, str]:
        if not self._token:
            raise RefusedError("MVSEP wants an API token and none is set", remedy="use `stembridge login mvsep`")
        return {"api_token": self._token, **fields}

    async def _get(self, path: str, query: Fields, *, with_token: bool = False, once: bool = False) -> Any:
        answer = await self._fetch(path, query, with_token=with_token, once=once)
        self._check(path, answer)
        return answer.data

    async def _fetch(
        self, path: str, query: Fields, *, origin: str = "", with_token: bool = False, once: bool = False
    ) -> Answer:
        sent = self._with_token(query) if with_token else query
        call = self._call("GET", path, origin=origin, with_token=with_token)
        return await (self.transfer.send_once if once else self.transfer.send)(replace(call, query=sent))

    async def _post(self, path: str, fields: Fields, *, origin: str = "", with_token: bool = True) -> Any:
        """Post what may be posted twice."""
        sent = self._with_token(fields) if with_token else fields
        call = self._call("POST", path, origin=origin, with_token=with_token)
        answer = await self.transfer.send(replace(call, body=Form(sent)))
        self._check(path, answer)
        return answer.data

    async def _post_once(self, path: str, body: Body, **extra: Any) -> Any:
        call = self._call("POST", path, with_token=True)
        answer = await self.transfer.send_once(replace(call, body=body, **extra))
        self._check(path, answer)
        return answer.data

    def _call(self, method: str, path: str, *, origin: str = "", with_token: bool = False) -> Call:
        base = self._nodes.pick(origin, with_token=with_token)
        return Call(method=method, url=f"{base}/{path}", what=f"MVSEP {path}")

    def _check(self, path: str, answer: Answer) -> None:
        error = refusal(f"MVSEP {path}", answer, pause=self.transfer.asked_pause(answer) or None)
        if error is not None:
            raise error


def page(start: int, limit: int) -> dict[str, str]:
    """Return the parameters of one page of a list."""
    return {"start": str(start), "limit": str(limit)}


def _fingerprint(token: Secret) -> str:
    return hashlib.sha256(token.reveal().encode("utf-8", "surrogatepass")).hexdigest()[:16] if token else "guest"
