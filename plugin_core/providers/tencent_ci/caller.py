"""Calling COS and CI: the XML they speak, signed anew for each try, and why they refuse in words and errors of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple
from xml.parsers.expat import ExpatError

import xmltodict

from plugin_core.errors import RefusedError, ServiceError, SettingsError, StembridgeError, TransientError
from plugin_core.model import disarm
from plugin_core.providers.tencent_ci.settings import LOGIN, SECTION, TencentSettings
from plugin_core.providers.tencent_ci.signature import CI_SESSION_HEADER, COS_SESSION_HEADER, QSign, quote_text
from plugin_core.transfer import Answer, Body, Call, Data, Transfer
from plugin_core.transfer.addresses import RedirectError

LARGEST: Final = 16 << 20
"""Bytes an XML answer may have; a page of a hundred jobs has far less than one million."""

_LISTS: Final = (
    "JobsDetail",
    "ObjectName",
    "Md5Info",
    "Audio",
    "Video",
    "Subtitle",
    "CosHeaders",
    "NonExistJobIds",
    "TemplateList",
    "Part",
    "Upload",
    "Contents",
    "AsrBucketList",
    "MediaBucketList",
)
"""Nodes that may come once or many times, and are lists either way."""


def read_xml(content: bytes, what: str, root: str = "") -> dict[str, Any]:
    """Return the document below its root node.

    Args:
        content: what the service sent.
        what: whose answer it is, for the message.
        root: name the root must have; "" for any but that of a web page.

    Raises:
        ServiceError: it is no XML, too large, something else than expected, or holds a document type or entities.
    """
    if len(content) > LARGEST:
        raise ServiceError(f"{what}: an answer of {len(content) >> 20} MiB is no answer")
    # In an encoding of two or four bytes a declaration would not be seen; the services write UTF-8.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\0" in content:
        raise ServiceError(f"{what}: the answer declares a document type or is no UTF-8, which is not believed")
    try:
        # While it still works, COS may send white space ahead of its answer.
        document = xmltodict.parse(content.strip(), force_list=_LISTS, disable_entities=True)
    except (ExpatError, ValueError, LookupError, RecursionError) as error:
        raise ServiceError(f"{what}: the answer is no XML") from error
    name, below = next(iter(document.items()))
    if name.lower() == "html" or (root and name != root):
        raise ServiceError(f"{what}: the answer is {name!r:.40} and not what was asked for")
    return below if isinstance(below, dict) else {}


def write_xml(root: str, nodes: Mapping[str, Any]) -> bytes:
    """Return a document; nodes that hold nothing are left out."""
    text = xmltodict.unparse({root: _filled(nodes)}, full_document=False)
    return str(text).encode()


def _filled(nodes: Mapping[str, Any]) -> dict[str, Any]:
    filled = {name: _filled(value) if isinstance(value, Mapping) else value for name, value in nodes.items()}
    return {name: value for name, value in filled.items() if value not in (None, "", {}, [])}


def text_of(node: object) -> str:
    """Return a node's text; "" for one that is absent, empty or no text."""
    return node.strip() if isinstance(node, str) else ""


def nodes_of(parent: object, *path: str) -> list[dict[str, Any]]:
    """Return every node with content at a path, whether it came once, often or never."""
    node: object = parent
    for name in path:
        node = node.get(name) if isinstance(node, Mapping) else None
    each = node if isinstance(node, list) else [node]
    return [one for one in each if isinstance(one, dict)]


SLOW_DOWN: Final = "SlowDown"
SLOW_SECONDS: Final = 5.0

_PASSING: Final = frozenset({"InternalError", "ServiceUnavailable", SLOW_DOWN, "RequestTimeout", "UserNetworkTooSlow"})
"""What says nothing of the request, whatever the status: it may go well the next time."""
_KEYS: Final = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"})
_WRONG_PLACE: Final = frozenset({"NoSuchBucket", "TemporaryRedirect", "InvalidHost"})
_WRONG_REGION: Final = "PermanentRedirect"
_SKEWED: Final = "RequestTimeTooSkewed"
_EXPIRED: Final = re.compile(r"request has expired|not yet valid|time.*skew", re.IGNORECASE)
_INACTIVE: Final = re.compile(
    r"not (?:been )?(?:activat|enabl|open|bound|bind)\w*|(?:un|in)activated|未开通|未绑定|NotBind|NotActivated|NotOpen",
    re.IGNORECASE,
)
_OF_OBJECT: Final = "Resource"
"""How codes begin that speak of the song's object; nothing of the account."""
_LONGEST: Final = 200

_RIGHTS: Final = {
    "Tencent COS": "the rights to list the bucket and its unfinished uploads, and to put, get and delete its objects",
    "/template": (
        "the rights ci:DescribeMediaTemplates, ci:CreateMediaTemplate, ci:UpdateMediaTemplate and "
        "ci:DeleteMediaTemplate"
    ),
    "/jobs": (
        "the rights ci:CreateMediaJobs, ci:DescribeMediaJob, ci:DescribeMediaJobs, ci:CancelMediaJob and cam:PassRole"
    ),
    "": "the rights ci:DescribeAsrBuckets and ci:DescribeMediaBuckets, or look in the console",
}
"""What is wanted for a call, by a part of its name."""

_QUEUE: Final = f"set [{SECTION}] queue to one that `stembridge tencent bucket` shows"

MOVED: Final = 301
OTHER_REGION: Final = f"the bucket is in another region: set [{SECTION}] region"

ENABLE: Final = (
    "in the console of Cloud Infinite (数据万象), bind the bucket and switch on Smart Audio (智能语音) for it, "
    "then ask `stembridge doctor`"
)


REQUEST_ID: Final = "x-cos-request-id"
"""Header of every answer of COS, and of nobody else's."""


class NoRightError(RefusedError):
    """The keys are good, and their user may not do this."""


class Words(NamedTuple):
    """What an answer says of a failure."""

    code: str
    message: str
    request_id: str


def read_words(answer: Answer) -> Words:
    """Read code, message and request id from the XML and the headers; a page of a proxy has none."""
    headers = answer.headers
    request_id = headers.get(REQUEST_ID) or headers.get("x-ci-request-id") or ""
    node = {}
    if answer.content.lstrip().startswith(b"<"):
        try:
            node = read_xml(answer.content, "")
        except ServiceError:
            # HTML of a proxy, or no answer at all: the status is all there is.
            node = {}
    code, message = text_of(node.get("Code")), text_of(node.get("Message"))
    if not code:
        return Words("", "", _plain(request_id))
    return Words(_plain(code), _plain(message), _plain(text_of(node.get("RequestId")) or request_id))


class XmlDialect:
    """How COS and CI speak of failures."""

    def describe(self, answer: Answer) -> str:
        words = read_words(answer)
        said = ": ".join(part for part in (words.code, words.message) if part)
        if not said:
            kind = answer.headers.get("content-type", "")
            said = "a web page instead of an answer" if "html" in kind else "no reason given"
        status = f"HTTP {answer.status}"
        return f"{said} ({status}, request id {words.request_id})" if words.request_id else f"{said} ({status})"

    def pause(self, answer: Answer) -> float:
        """Return some seconds for ``SlowDown``, which names none."""
        return SLOW_SECONDS if answer.status == 503 and read_words(answer).code == SLOW_DOWN else 0.0


DIALECT: Final = XmlDialect()


def refusal(what: str, answer: Answer, now: float) -> StembridgeError:
    """Return the error of an answer that is no success.

    Returns:
        SettingsError for the wrong bucket or region, NoRightError for rights, RefusedError for keys, clock and services
        that are not enabled, TransientError for what passes, else ServiceError.
    """
    words = read_words(answer)
    said = f"{what}: {DIALECT.describe(answer)}"
    if words.code in _PASSING:
        return TransientError(said, remedy="it is tried again")
    if words.code == _SKEWED or (answer.status == 403 and _EXPIRED.search(words.message)):
        return RefusedError(f"{said}: {_describe_skew(answer, now)}", remedy="set this computer's clock right")
    if words.code == _WRONG_REGION or answer.status == MOVED:
        return SettingsError(said, remedy=OTHER_REGION)
    if words.code in _WRONG_PLACE or answer.status in (302, 307, 308):
        return SettingsError(said, remedy=f"correct [{SECTION}] bucket and region")
    if _INACTIVE.search(f"{words.code} {words.message}") and not words.code.startswith(_OF_OBJECT):
        return RefusedError(said, remedy=ENABLE)
    if words.code in _KEYS or answer.status == 401:
        remedy = "get a new token" if "Token" in words.code else f"give the keys anew: {LOGIN}"
        return RefusedError(said, remedy=remedy)
    if answer.status == 402:
        return RefusedError(said, remedy="the account at Tencent Cloud is in arrears: top it up")
    if answer.status == 403 and words.code in ("", "AccessDenied"):
        rights = next(rights for part, rights in _RIGHTS.items() if part in what)
        return NoRightError(said, remedy=f"give the keys' user {rights}")
    if words.code in ("NoSuchKey", "ResourceNotFound") and "/template" not in what:
        is_question = "videoinfo" in what
        return ServiceError(said, remedy="" if is_question else "the separation has to be made again")
    wants_queue = "POST /jobs" in what and "queue" in words.message.lower()
    return ServiceError(said, remedy=_QUEUE if wants_queue else "")


def _describe_skew(answer: Answer, now: float) -> str:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return "the clock of this computer is wrong"
    minutes = round((now - theirs) / 60)
    if not minutes:
        return "the clock of this computer, or the key's lifetime, is wrong"
    return f"the clock of this computer is {abs(minutes)} minutes {'fast' if minutes > 0 else 'slow'}"


def _plain(text: str) -> str:
    return disarm(" ".join(text.split()))[:_LONGEST]


XML: Final = "application/xml"

Query = Mapping[str, str]


class CosCaller:
    """One service of Tencent Cloud over one bucket.

    Args:
        settings: section ``[tencent]``.
        token_header: how the service calls the header of a temporary token.
        transfer: the way there.
        clock: seconds since the epoch.
    """

    def __init__(
        self, settings: TencentSettings, token_header: str, transfer: Transfer, clock: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.transfer = transfer
        self.clock = clock
        self._token_header = token_header

    def call(self, method: str, url: str, what: str, query: Query | None = None, body: Body | None = None) -> Call:
        """Return a signed call; the query is quoted as the signature wants it.

        Raises:
            RefusedError: there are no keys.
        """
        return Call(
            method=method,
            url=url + _quote_query(query or {}),
            what=what,
            body=body,
            wants_json=False,
            signer=QSign(self.settings.credentials(), self.clock, self._token_header),
            dialect=DIALECT,
        )

    async def send(self, call: Call) -> Answer:
        """Send what may be sent twice; return a success.

        Raises:
            TransientError: no answer now.
            RefusedError: keys, rights, clock, or a service that is not enabled.
            SettingsError: wrong bucket or region.
            ServiceError: refused for another reason.
        """
        return self.check(call, await self.exchange(call))

    async def exchange(self, call: Call) -> Answer:
        """Send what may be sent twice; return any answer below 500.

        Raises:
            SettingsError: the bucket is in another region.
            StembridgeError: as ``Transfer.send``.
        """
        with _region_named():
            return await self.transfer.send(call)

    async def exchange_once(self, call: Call) -> Answer:
        """Send what must not be sent twice; return any answer below 500.

        Raises:
            SettingsError: the bucket is in another region.
            StembridgeError: as ``Transfer.send_once``.
        """
        with _region_named():
            return await self.transfer.send_once(call)

    async def read(self, call: Call, root: str = "") -> dict[str, Any]:
        """Send what may be sent twice; return the XML of a success, whose root has this name if one is given.

        Raises:
            StembridgeError: as ``send``; ServiceError also for what is no XML.
        """
        return read_xml((await self.send(call)).content, call.what, root)

    def check(self, call: Call, answer: Answer) -> Answer:
        """Return an answer that is a success, raise what any other one means."""
        if answer.is_success:
            return answer
        raise refusal(call.what, answer, self.clock())


def open_cos(settings: TencentSettings, transfer: Transfer | None, clock: Callable[[], float]) -> CosCaller:
    """Return the way to the objects."""
    return CosCaller(settings, COS_SESSION_HEADER, transfer or _transfer("Tencent COS", settings), clock)


def open_ci(settings: TencentSettings, transfer: Transfer | None, clock: Callable[[], float]) -> CosCaller:
    """Return the way to the jobs."""
    return CosCaller(settings, CI_SESSION_HEADER, transfer or _transfer("Tencent CI", settings), clock)


def xml_body(content: bytes) -> Data:
    return Data(content, XML)


@contextmanager
def _region_named() -> Iterator[None]:
    """Say of an answer that points to another host for good what it means here."""
    try:
        yield
    except RedirectError as error:
        if error.status != MOVED:
            raise
        raise SettingsError(error.message, remedy=OTHER_REGION) from error


def _transfer(service: str, settings: TencentSettings) -> Transfer:
    return Transfer(service, secrets=(settings.secret_id, settings.secret_key, settings.token))


def _quote_query(query: Query) -> str:
    pairs = [f"{quote_text(name)}={quote_text(value)}" if value else quote_text(name) for name, value in query.items()]
    return "?" + "&".join(pairs) if pairs else ""
