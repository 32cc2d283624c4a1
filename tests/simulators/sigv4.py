"""AWS Signature Version 4 checked as S3 does: written from Amazon's documentation, not from a client's code.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html : in the header
(sigv4-header-based-auth) and in the query (sigv4-query-string-auth).
"""

from __future__ import annotations

import hmac
import re
from calendar import timegm
from dataclasses import dataclass
from hashlib import sha256
from time import strptime
from urllib.parse import parse_qsl, quote, unquote

from tests.simulators.messages import Request
from tests.simulators.tencent.errors import RefusedRequestError

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW = 15 * 60
LONGEST = 7 * 24 * 3600
"""Seconds a presigned URL may be good for."""

_HEADER = re.compile(ALGORITHM + r" Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})\Z")


@dataclass
class Keys:
    """One key pair, the token that belongs to a temporary one, and where its bucket is."""

    access_key: str
    secret_key: str
    region: str
    token: str = ""


@dataclass(frozen=True)
class Claim:
    """What a request says of its signature."""

    credential: str
    signed: tuple[str, ...]
    signature: str
    moment: str
    """``20130524T000000Z``."""
    payload: str
    query: tuple[tuple[str, str], ...]
    seconds: int | None = None
    """How long it is good for, if it is presigned."""


def verify(request: Request, keys: Keys, now: float) -> None:
    """Check a request signed in its header or in its query.

    Raises:
        RefusedRequestError: as the service answers.
    """
    pairs = parse_qsl(request.raw_query, keep_blank_values=True)
    claim = _read_header(request, pairs) if "authorization" in request.headers else _read_query(pairs)
    access_key, _, scope = claim.credential.partition("/")
    if access_key != keys.access_key:
        raise RefusedRequestError(403, "InvalidAccessKeyId", "The access key does not exist.")
    if scope != f"{claim.moment[:8]}/{keys.region}/s3/aws4_request":
        raise RefusedRequestError(400, "AuthorizationHeaderMalformed", f"The scope {scope} is wrong.")
    _check_time(claim, now)
    _check_signed(request, claim)
    if not hmac.compare_digest(compute(request, claim, keys), claim.signature):
        raise RefusedRequestError(403, "SignatureDoesNotMatch", "The signature we calculated does not match.")
    if claim.payload not in (UNSIGNED, request.body.sha256()):
        raise RefusedRequestError(400, "XAmzContentSHA256Mismatch", "The body is another one.")
    sent = request.headers.get("x-amz-security-token") or dict(pairs).get("X-Amz-Security-Token", "")
    if sent != keys.token:
        raise RefusedRequestError(400, "InvalidToken", "The token is missing or wrong.")


def compute(request: Request, claim: Claim, keys: Keys) -> str:
    """Return the signature that a request must have."""
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in claim.signed)
    canonical = "\n".join(
        [
            request.method,
            quote(unquote(request.raw_path), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in sorted((_quote(k), _quote(v)) for k, v in claim.query)),
            headers,
            ";".join(claim.signed),
            claim.payload,
        ]
    )
    scope = claim.credential.partition("/")[2]
    text = "\n".join([ALGORITHM, claim.moment, scope, sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), sha256)
    return hmac.new(key, text.encode(), sha256).hexdigest()


def _read_header(request: Request, pairs: list[tuple[str, str]]) -> Claim:
    found = _HEADER.match(request.headers["authorization"])
    if found is None:
        raise RefusedRequestError(400, "AuthorizationHeaderMalformed", "The authorization header is malformed.")
    payload = request.headers.get("x-amz-content-sha256", "")
    if not payload:
        raise RefusedRequestError(400, "InvalidRequest", "Missing required header: x-amz-content-sha256")
    moment = request.headers.get("x-amz-date", "")
    return Claim(found[1], tuple(found[2].split(";")), found[3], moment, payload, tuple(pairs))


def _read_query(pairs: list[tuple[str, str]]) -> Claim:
    given = dict(pairs)
    names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date", "X-Amz-Expires")
    if given.get("X-Amz-Algorithm") != ALGORITHM or not all(given.get(name) for name in names):
        raise RefusedRequestError(403, "AccessDenied", "Access Denied.")
    if not given["X-Amz-Expires"].isdecimal() or not 1 <= int(given["X-Amz-Expires"]) <= LONGEST:
        raise RefusedRequestError(400, "AuthorizationQueryParametersError", "X-Amz-Expires is out of range.")
    credential, signed, signature, moment, expires = (given[name] for name in names)
    query = tuple((name, value) for name, value in pairs if name != "X-Amz-Signature")
    return Claim(credential, tuple(signed.split(";")), signature, moment, UNSIGNED, query, int(expires))


def _check_time(claim: Claim, now: float) -> None:
    try:
        start = timegm(strptime(claim.moment, "%Y%m%dT%H%M%SZ"))
    except ValueError as error:
        raise RefusedRequestError(403, "AccessDenied", "There is no valid date.") from error
    if claim.seconds is None and abs(now - start) > SKEW:
        raise RefusedRequestError(403, "RequestTimeTooSkewed", "The difference between the times is too large.")
    if claim.seconds is not None and not start - SKEW <= now <= start + claim.seconds:
        raise RefusedRequestError(403, "AccessDenied", "Request has expired")


def _check_signed(request: Request, claim: Claim) -> None:
    """Host, and whatever Amazon's own headers say, must be signed; what is signed must be sent."""
    wanted = {"host", *(name for name in request.headers if name.startswith("x-amz-"))}
    is_sorted = list(claim.signed) == sorted(claim.signed)
    if not is_sorted or not wanted <= set(claim.signed) or not set(claim.signed) <= set(request.headers):
        raise RefusedRequestError(403, "AccessDenied", "There were headers present which were not signed.")


def _quote(text: str) -> str:
    return quote(text, safe="-_.~")
