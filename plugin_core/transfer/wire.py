"""One request as httpx sends it, and what comes of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from plugin_core.errors import OutcomeUnknownError, ServiceError, SourceError, StembridgeError, TransientError
from plugin_core.settings import Secret
from plugin_core.transfer.addresses import RedirectError, check_url
from plugin_core.transfer.calls import Answer, Bytes, Call, Dialect, Opened
from plugin_core.transfer.clients import STALL_SECONDS
from plugin_core.transfer.pauses import read_retry_after
from plugin_core.transfer.redaction import holds_secret, redact, redact_url, register

LARGEST_ANSWER: Final = 64 << 20
"""Bytes an answer may have that is no download; the longest known, the list of models, has about one million."""

ANSWER_SECONDS: Final = 60.0
"""Seconds for all that a call has to do besides waiting for its answer to begin."""
SLOWEST: Final = 512
"""Bytes a second with which a body must leave at least."""

_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)


@dataclass(frozen=True)
class Failure:
    """Why no answer came."""

    words: str
    is_unsent: bool = False
    """Whether surely no byte of the request reached the service."""
    remedy: str = ""
    is_lasting: bool = False
    """Whether another try at once would end alike."""


_KINDS: Final[Mapping[type[Exception], str]] = {
    httpx.ConnectTimeout: "no connection in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.WriteTimeout: "the upload stalled",
    httpx.PoolTimeout: "too many transfers at once",
    httpx.RemoteProtocolError: "the connection ended within the answer",
    httpx.ReadError: "the connection was lost",
    httpx.WriteError: "the connection was lost",
}


_PROXY: Final = "see to the proxy, or correct or unset it: HTTPS_PROXY, ALL_PROXY, NO_PROXY"


def describe(error: Exception, url: str) -> Failure:
    """Put a failure of httpx into words, without what it holds of the request.

    Args:
        error: the failure.
        url: what was asked for; tells which proxy stood between.
    """
    detail = " ".join(str(error).split())
    is_unsent = isinstance(error, _UNSENT)
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return _mistrusted(detail)
    proxy = _proxy_of(url)
    if proxy and isinstance(error, httpx.ProxyError):
        return Failure(redact(f"the proxy {proxy} answers {detail}"), is_unsent, _PROXY)
    if proxy and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Failure(
            redact(f"no connection through the proxy {proxy} ({detail or type(error).__name__})"), is_unsent, _PROXY
        )
    words = next((text for kind, text in _KINDS.items() if isinstance(error, kind)), "")
    if not words:
        words = f"no connection ({detail})" if isinstance(error, httpx.ConnectError) else detail or type(error).__name__
    return Failure(redact(words), is_unsent)


def _mistrusted(detail: str) -> Failure:
    """Say whom nobody vouches for: what OpenSSL says of it differs by its version."""
    if "expired" in detail or "not yet valid" in detail:
        words, remedy = "its certificate is not valid today", "look at this computer's clock"
    elif "match" in detail or "not valid for" in detail:
        words = "what answers is another server, as its certificate says"
        remedy = "look at the network: a login page or a proxy may stand between"
    else:
        words = "its certificate is from an authority that this computer does not know"
        remedy = (
            "where a company's proxy or a virus scanner stands between, add its CA to the system's certificates, "
            "or name a file with it in SSL_CERT_FILE"
        )
    return Failure(words, is_unsent=True, remedy=remedy, is_lasting=True)


def _proxy_of(url: str) -> str:
    """Return the proxy that the environment, or the system, puts before an address; "" for none. No user is in it."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all", "")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return ""
    return redact_url(proxy if "://" in proxy else f"http://{proxy}")


def seconds_for(call: Call, length: int) -> float:
    """Return how long one try of a call may take as a whole, whatever comes bit by bit meanwhile.

    Args:
        call: with its own patience, or none.
        length: bytes of its body.
    """
    return (call.patience or STALL_SECONDS) + ANSWER_SECONDS + length / SLOWEST


async def attempt(client: httpx.AsyncClient, call: Call, most: float = math.inf) -> Answer | Failure:
    """Send a request once and read its whole answer.

    Args:
        client: sends it.
        call: the request.
        most: seconds it may take at most, if that is less than ``seconds_for``.

    Raises:
        ServiceError: the address may not be spoken to, or the answer is too large.
        SourceError: a file of the body cannot be read.
        TransientError: the disk of such a file is away.
    """
    check_url(call.url)
    opened = await call.body.open() if call.body is not None else None
    content = _told(opened, call.report) if opened is not None else None
    try:
        request = build(client, call, opened, content)
        async with asyncio.timeout(min(most, seconds_for(call, opened.length if opened is not None else 0))):
            return await _exchange(client, request, call)
    except TimeoutError:
        return Failure("no whole answer in time", is_lasting=True)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
        # Returned, not raised: the exception holds the request, and with it the token.
        return describe(error, call.url)
    except TransientError as error:
        # The disk of the upload went away half-way: to the service a broken connection.
        return Failure(error.message)
    except Exception as error:
        if not holds_secret(str(error)):
            raise
        # A defect of the library that tells what it sent: raised again without that, and without its cause.
        raise RuntimeError(redact(f"{type(error).__name__}: {error}")) from None
    finally:
        if content is not None:
            await content.aclose()
        if opened is not None:
            await opened.close()


def build(
    client: httpx.AsyncClient, call: Call, opened: Opened | None = None, content: AsyncGenerator[bytes] | None = None
) -> httpx.Request:
    """Turn a call into what httpx sends, secrets revealed."""
    url = call.url
    if call.query:
        url += ("&" if "?" in url else "?") + urlencode({name: _reveal(value) for name, value in call.query.items()})
    headers = {"Accept": "application/json"} if call.wants_json else {}
    headers |= {name: _reveal(value) for name, value in call.headers.items()}
    if opened is not None and call.body is not None:
        headers["Content-Length"] = str(opened.length)
        if call.body.content_type:
            headers.setdefault("Content-Type", call.body.content_type)
    request = client.build_request(call.method, url, headers=headers, content=content)
    if call.signer is not None:
        request.headers.update(call.signer(request.method, str(request.url), request.headers))
    if call.patience is not None:
        request.extensions["timeout"] = {**request.extensions["timeout"], "read": call.patience}
    return request


async def _exchange(client: httpx.AsyncClient, request: httpx.Request, call: Call) -> Answer:
    response = await client.send(request, stream=True)
    try:
        content = bytearray()
        async for block in response.aiter_bytes():
            content += block
            if len(content) > LARGEST_ANSWER:
                raise ServiceError(f"{call.what} answered with more than {LARGEST_ANSWER >> 20} MiB")
        return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(content))
    finally:
        # Closing a connection that is already broken may say so; the answer, or the reason for none, is known.
        with suppress(httpx.HTTPError, OSError):
            await response.aclose()


async def _told(opened: Opened, report: Bytes | None) -> AsyncGenerator[bytes]:
    sent, length = 0, opened.length
    async with aclosing(opened.blocks()) as blocks:
        async for block in blocks:
            sent += len(block)
            if sent > length:
                raise SourceError("what is uploaded is longer than it was said to be")
            yield block
            if report is not None:
                report(sent, length)
    if sent < length:
        raise SourceError("what is uploaded is shorter than it was said to be")


def _reveal(value: str) -> str:
    if isinstance(value, Secret):
        register(value)
        return value.reveal()
    return value


TOO_MANY: Final = 429

_AGAIN: Final = frozenset({408, 425, TOO_MANY})
_GUARDS: Final = frozenset({401, 403})
"""What gateways answer, without JSON, to a request they take for a robot's; a later one may pass."""


def is_worth_another_try(call: Call, answer: Answer) -> bool:
    """Tell whether a request that may be repeated should be: this answer passes by itself."""
    if answer.status >= 500 or answer.status in _AGAIN:
        return True
    if not call.wants_json or answer.is_json:
        return False
    return answer.is_success or answer.status in _GUARDS


def failed(call: Call, outcome: Answer | Failure, now: float) -> StembridgeError:
    """Return the error of a repeatable request whose last try ended like this."""
    if isinstance(outcome, Failure):
        return TransientError(f"{call.what}: {outcome.words}", remedy=outcome.remedy)
    return TransientError(
        f"{call.what}: {describe_answer(outcome, call.dialect)}",
        retry_after=read_retry_after(outcome.headers.get("retry-after"), now),
    )


def judge_paid(call: Call, outcome: Answer | Failure, now: float) -> StembridgeError | None:
    """Return the error of a request that may have cost money; None when the answer is the caller's to read."""
    if isinstance(outcome, Failure):
        if outcome.is_unsent:
            return TransientError(f"{call.what}: {outcome.words}", remedy=outcome.remedy)
        return OutcomeUnknownError(f"{call.what}: {outcome.words}; it may have been accepted")
    if outcome.status == TOO_MANY:
        return failed(call, outcome, now)
    if 300 <= outcome.status < 400:
        return RedirectError(f"{call.what}: {describe_answer(outcome, call.dialect)}", outcome.status)
    is_unreadable = outcome.is_success and call.wants_json and not outcome.is_json
    if outcome.status >= 500 or outcome.status in _AGAIN or outcome.status < 200 or is_unreadable:
        return OutcomeUnknownError(f"{call.what}: {describe_answer(outcome, call.dialect)}; it may have been accepted")
    return None


def describe_answer(answer: Answer, dialect: Dialect | None) -> str:
    """Describe an answer that is not the expected one, in one line and with the service's own words if they are few."""
    if dialect is not None:
        return redact(dialect.describe(answer))
    status = f"HTTP {answer.status}"
    if answer.status == TOO_MANY:
        status = f"too many requests ({status})"
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    if "html" in kind or answer.text.lstrip()[:1] == "<":
        return f"{status} with a web page instead of an answer"
    words = " ".join(answer.text[:2000].split())
    return redact(f"{status}: {words[:200]}") if words else f"{status} without content"
