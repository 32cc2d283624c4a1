"""Where an answer points instead of answering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from plugin_core.errors import ServiceError
from plugin_core.settings import Secret
from plugin_core.transfer.addresses import is_same_origin, resolve
from plugin_core.transfer.calls import Answer, Call
from plugin_core.transfer.redaction import holds_secret, redact_url

MOST: Final = 5

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
