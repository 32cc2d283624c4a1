"""Which addresses may be spoken to, and where an answer points instead of answering."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from plugin_core.errors import ServiceError
from plugin_core.settings import Secret
from plugin_core.transfer.calls import Answer, Call
from plugin_core.transfer.redaction import holds_secret, redact_url

_PORTS: Final = {"http": 80, "https": 443}


def check_url(url: str) -> SplitResult:
    """Return the parts of a URL that may be opened: https, or http on this machine, and no user in it.

    Raises:
        ServiceError: it may not.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ServiceError(f"{redact_url(url)} is no address") from None
    if parts.scheme not in _PORTS or not host or port == 0:
        raise ServiceError(f"{redact_url(url)} is no address of a service")
    if parts.username is not None or parts.password is not None:
        raise ServiceError(f"{redact_url(url)} names a user, which is not sent")
    if parts.scheme == "http" and not is_loopback(host):
        raise ServiceError(f"{redact_url(url)} is not encrypted", remedy="use https")
    return parts


def resolve(start: str, location: str) -> str:
    """Return the absolute URL that one points to; the outside may not send us to services of this machine.

    Raises:
        ServiceError: it may not be opened.
    """
    try:
        url = urljoin(start, location)
    except ValueError:
        raise ServiceError(f"{redact_url(start)} points to what is no address") from None
    if is_loopback(check_url(url).hostname or "") and not is_loopback(check_url(start).hostname or ""):
        raise ServiceError(f"{redact_url(start)} points into this machine, to {redact_url(url)}")
    return url


@functools.lru_cache
def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine itself."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_same_origin(one: str, other: str) -> bool:
    """Tell whether two URLs that may be opened lead to one scheme, host and port."""
    return origin_of(one) == origin_of(other)


def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL that may be opened.

    Raises:
        ServiceError: it may not.
    """
    parts = check_url(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]


MOST_REDIRECTS: Final = 5

_CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


class RedirectError(ServiceError):
    """An answer that points to where the request is not sent."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, remedy="correct the address")
        self.status = status


def is_redirect(answer: Answer) -> bool:
    """Tell whether an answer sends us elsewhere."""
    return answer.status in (301, 302, 303, 307, 308) and "location" in answer.headers


def follow(call: Call, answer: Answer) -> Call:
    """Return the call to make instead; another host gets it without credentials.

    Raises:
        RedirectError: the call is not one that may be repeated elsewhere.
        ServiceError: the place may not be spoken to.
    """
    url = resolve(call.url, answer.headers["location"])
    if call.method not in ("GET", "HEAD"):
        raise RedirectError(f"{call.what} points elsewhere, to {redact_url(url)} (HTTP {answer.status})", answer.status)
    if is_same_origin(call.url, url):
        return replace(call, url=url, query={})
    if call.signer is not None:
        raise RedirectError(
            f"{call.what} points elsewhere, to {redact_url(url)}, where a signed call is not sent", answer.status
        )
    return replace(call, url=_without_secrets(url), query={}, headers=_harmless(call.headers))


def _without_secrets(url: str) -> str:
    if not holds_secret(url):
        return url
    parts = urlsplit(url)
    if holds_secret(parts.path):
        raise ServiceError(f"{redact_url(url)} would show a secret to another host")
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not holds_secret("=".join(pair))]
    return urlunsplit(parts._replace(query=urlencode(kept), fragment=""))


def _harmless(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in _CREDENTIALS and not isinstance(value, Secret)
    }
