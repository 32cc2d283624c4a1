"""Which addresses may be spoken to."""

from __future__ import annotations

import functools
import ipaddress
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from plugin_core.errors import ServiceError
from plugin_core.transfer.redaction import redact_url

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
