"""The q-sign signature that COS and CI share.

The rules are those of https://cloud.tencent.com/document/product/436/7778: a key derived from the key time signs a
digest of method, decoded path, and the query parameters and headers that the two lists name.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from plugin_core.settings import Secret

CALL_LIFETIME: Final = 900
"""Seconds a signed call may be under way; the service refuses clocks that are more than 15 minutes off anyway."""

CLOCK_SLACK: Final = 900
"""Seconds by which our clock may be ahead of the service's: as far off as the service lets clocks be."""

COS_SESSION_HEADER: Final = "x-cos-security-token"
CI_SESSION_HEADER: Final = "x-ci-security-token"
"""The headers that carry a temporary token."""

_SIGNED_HEADERS: Final = frozenset({"host", "content-type", "content-md5", "range", "if-match", "if-range"})
_SIGNED_PREFIXES: Final = ("x-cos-", "x-ci-")
_SAFE: Final = "-_.~"


class Credentials(NamedTuple):
    """A key pair, and the token that belongs to a temporary one."""

    secret_id: Secret
    secret_key: Secret
    token: Secret = Secret("")


class Signature(NamedTuple):
    """A signature and what it was made of; the parts between are kept for tests and for telling people what differs."""

    http_string: str
    string_to_sign: str
    fields: dict[str, str]
    """The ``q-`` fields in the order the service wants them."""

    @property
    def header(self) -> str:
        """The value of the ``Authorization`` header."""
        return "&".join(f"{name}={value}" for name, value in self.fields.items())

    @property
    def query(self) -> str:
        """The fields as the query of a presigned URL."""
        return "&".join(f"{name}={quote_text(value)}" for name, value in self.fields.items())


def sign(
    credentials: Credentials,
    method: str,
    path: str,
    *,
    start: int,
    end: int,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Signature:
    """Sign one request.

    Args:
        credentials: the key pair.
        method: in any case.
        path: decoded, with its leading slash; for COS the key, never the bucket.
        start: first second of validity, since the epoch.
        end: last second of validity.
        params: the query parameters to protect, decoded.
        headers: the headers to protect, as they are sent.
    """
    key_time = f"{start};{end}"
    names, query = _canonical(params or {})
    header_names, lines = _canonical(headers or {})
    http_string = f"{method.lower()}\n{path}\n{query}\n{lines}\n"
    string_to_sign = f"sha1\n{key_time}\n{hashlib.sha1(http_string.encode()).hexdigest()}\n"  # noqa: S324 - theirs
    sign_key = _hmac(credentials.secret_key.reveal(), key_time)
    fields = {
        "q-sign-algorithm": "sha1",
        "q-ak": credentials.secret_id.reveal(),
        "q-sign-time": key_time,
        "q-key-time": key_time,
        "q-header-list": header_names,
        "q-url-param-list": names,
        "q-signature": _hmac(sign_key, string_to_sign),
    }
    return Signature(http_string, string_to_sign, fields)


def presign(
    credentials: Credentials,
    method: str,
    url: str,
    *,
    now: float,
    seconds: int,
    headers: Mapping[str, str] | None = None,
) -> Secret:
    """Return a URL that lets whoever holds it make this one request for some time; host and query are protected.

    Args:
        credentials: the key pair; a temporary one's token becomes part of the URL.
        method: the only one that the URL allows.
        url: percent-encoded, with the parameters to protect.
        now: seconds since the epoch.
        seconds: how long the URL is good for.
        headers: headers that the request must then send with these values.
    """
    parts = urlsplit(url)
    if token := credentials.token.reveal():
        url += ("&" if parts.query else "?") + f"{COS_SESSION_HEADER}={quote_text(token)}"
        parts = urlsplit(url)
    protected = {"host": host_of(url), **{name.lower(): value for name, value in (headers or {}).items()}}
    start = int(now) - CLOCK_SLACK
    signature = sign(
        credentials,
        method,
        unquote(parts.path),
        start=start,
        end=int(now) + seconds,
        params=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers=protected,
    )
    bare = url.partition("?")[0]
    return Secret(f"{bare}?{signature.query}" + (f"&{parts.query}" if parts.query else ""))


def host_of(url: str) -> str:
    """Return the host as an HTTP client sends it: without the port that belongs to the scheme."""
    parts = urlsplit(url)
    standard = {"https": 443, "http": 80}.get(parts.scheme)
    name = parts.hostname or ""
    return name if parts.port in (None, standard) else f"{name}:{parts.port}"


class QSign:
    """Sign every request as it is sent, so that a retry is signed anew.

    Args:
        credentials: the key pair.
        clock: seconds since the epoch.
        token_header: ``COS_SESSION_HEADER`` or ``CI_SESSION_HEADER``.
    """

    def __init__(
        self, credentials: Credentials, clock: Callable[[], float], token_header: str = COS_SESSION_HEADER
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._token_header = token_header

    def __call__(self, method: str, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers to add: the token of temporary keys, and the signature."""
        token = self._credentials.token.reveal()
        added = {self._token_header: token} if token else {}
        parts = urlsplit(url)
        now = int(self._clock())
        signature = sign(
            self._credentials,
            method,
            unquote(parts.path),
            start=now - CLOCK_SLACK,
            end=now + CALL_LIFETIME,
            params=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in {**headers, **added}.items() if _is_signed(name.lower())},
        )
        return {**added, "authorization": signature.header}


def quote_path(key: str) -> str:
    """Return an object's key as the path of its URL, with no segment that a client would resolve away."""
    path = "/" + quote(key, safe="/" + _SAFE).replace("./", ".%2F")
    return f"{path[:-1]}%2E" if path.endswith(("/.", "/..")) else path


def quote_text(text: str) -> str:
    """Return a text as it stands in a query or in a segment of a path, and in what is signed."""
    return quote(text, safe=_SAFE)


def _is_signed(name: str) -> bool:
    return name in _SIGNED_HEADERS or name.startswith(_SIGNED_PREFIXES)


def _canonical(entries: Mapping[str, str]) -> tuple[str, str]:
    """Return the list of names, and the sorted ``name=value`` text."""
    encoded = sorted((quote_text(name).lower(), quote_text(value)) for name, value in entries.items())
    return ";".join(name for name, _ in encoded), "&".join(f"{name}={value}" for name, value in encoded)


def _hmac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha1).hexdigest()
