"""The q-sign signature checked as a server does: written from the rules, not from the client's code."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from urllib.parse import unquote, unquote_plus

from tests.simulators.messages import Request
from tests.simulators.tencent.errors import RefusedRequestError

SKEW = 15 * 60
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


@dataclass
class Keys:
    """One key pair, and the token without which temporary keys are worth nothing."""

    secret_id: str = "AKIDsimulated0000000000000000000000"
    secret_key: str = "simulatedSecretKey00000000000000"
    token: str = ""


def verify(request: Request, keys: Keys, now: float, token_header: str) -> None:
    """Check a request signed in its header or in its query.

    Raises:
        RefusedRequestError: as the service answers.
    """
    header = request.headers.get("authorization", "")
    given = _split(header) if header else {name: value for name, value in _query(request) if name.startswith("q-")}
    if not given:
        raise RefusedRequestError(403, "AccessDenied", "Access Denied.")
    names = [
        "q-sign-algorithm",
        "q-ak",
        "q-sign-time",
        "q-key-time",
        "q-header-list",
        "q-url-param-list",
        "q-signature",
    ]
    if (header and list(given) != names) or set(given) != set(names) or given["q-sign-algorithm"] != "sha1":
        raise RefusedRequestError(400, "InvalidArgument", "The authorization format is wrong.")
    if given["q-ak"] != keys.secret_id:
        raise RefusedRequestError(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist.")
    _check_times(given, now, is_presigned=not header)
    # The vendor's SDK signs a host without its port where it names none itself: the real one has no port.
    plain = {**request.headers, "host": request.headers.get("host", "").partition(":")[0]}
    if given["q-signature"] not in (_compute(request, each, given, keys) for each in (request.headers, plain)):
        raise RefusedRequestError(403, "SignatureDoesNotMatch", "The Signature you specified is invalid.")
    sent = request.headers.get(token_header) or dict(_query(request)).get("x-cos-security-token", "")
    if sent != keys.token:
        raise RefusedRequestError(400, "ExpiredToken", "The security token is missing, wrong or expired.")


def _check_times(given: dict[str, str], now: float, *, is_presigned: bool) -> None:
    start, end = (int(part) for part in given["q-sign-time"].split(";"))
    if end < start:
        raise RefusedRequestError(400, "InvalidArgument", "The time of the signature is wrong.")
    if not is_presigned and (start - now > SKEW or now - end > SKEW):
        raise RefusedRequestError(403, "RequestTimeTooSkewed", "The difference between the times is too large.")
    if not start <= now <= end:
        raise RefusedRequestError(403, "AccessDenied", "Request has expired")


def _compute(request: Request, headers: Mapping[str, str], given: dict[str, str], keys: Keys) -> str:
    parameters = {name.lower(): (name, value) for name, value in _query(request) if not name.startswith("q-")}
    wanted = [name for name in given["q-url-param-list"].split(";") if name]
    listed = [name for name in given["q-header-list"].split(";") if name]
    if wanted != sorted(wanted) or listed != sorted(listed):
        raise RefusedRequestError(403, "SignatureDoesNotMatch", "The lists of the signature are not sorted.")
    try:
        query = "&".join(f"{name}={_escape(parameters[unquote(name)][1])}" for name in wanted)
        lines = "&".join(f"{name}={_escape(headers[unquote(name)])}" for name in listed)
    except KeyError as error:
        raise RefusedRequestError(403, "SignatureDoesNotMatch", f"{error} is signed and was not sent.") from error
    text = f"{request.method.lower()}\n{unquote(request.raw_path)}\n{query}\n{lines}\n"
    signed = f"sha1\n{given['q-sign-time']}\n{sha1(text.encode()).hexdigest()}\n"
    key = hmac.new(keys.secret_key.encode(), given["q-key-time"].encode(), sha1).hexdigest()
    return hmac.new(key.encode(), signed.encode(), sha1).hexdigest()


def _split(header: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in header.split("&"))


def _query(request: Request) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in request.raw_query.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def _escape(text: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())
