"""The check of S3's signatures reproduces the worked examples of Amazon's documentation, and refuses anything else."""

from __future__ import annotations

from calendar import timegm
from dataclasses import replace
from hashlib import sha256
from urllib.parse import parse_qsl

import pytest

from tests.simulators.blobs import Blob
from tests.simulators.messages import LogEntry, Request
from tests.simulators.sigv4 import Keys, verify
from tests.simulators.tencent.errors import RefusedRequestError

HOST = "examplebucket.s3.amazonaws.com"
KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
NOW = timegm((2013, 5, 24, 0, 0, 0))
MOMENT = "20130524T000000Z"
SCOPE = f"{KEYS.access_key}/20130524/us-east-1/s3/aws4_request"

PUT_BODY = b"Welcome to Amazon S3."
PUT_HEADERS = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
PRESIGNED = (
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
    "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&"
    "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def make(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Request:
    entry = LogEntry(0, 0.0, 0, method, target, "", {}, headers)
    return Request(0, 0, "", method, target, {"host": HOST, **headers}, Blob.of(body), "", 0.0, entry)


def signed(method: str, target: str, signature: str, headers: dict[str, str], body: bytes = b"") -> Request:
    headers = {**headers, "x-amz-content-sha256": sha256(body).hexdigest(), "x-amz-date": MOMENT}
    names = ";".join(sorted(["host", *headers]))
    claim = f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={names},Signature={signature}"
    return make(method, target, {**headers, "authorization": claim}, body)


EXAMPLES = {
    "get": signed(
        "GET",
        "/test.txt",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        {"range": "bytes=0-9"},
    ),
    "put": signed(
        "PUT",
        "/test%24file.text",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        PUT_HEADERS,
        PUT_BODY,
    ),
    "sub-resource": signed(
        "GET", "/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", {}
    ),
    "list": signed(
        "GET", "/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", {}
    ),
    "presigned": make("GET", PRESIGNED, {}),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_worked_examples_are_accepted(name: str) -> None:
    verify(EXAMPLES[name], KEYS, NOW + 1)


@pytest.mark.parametrize("name", EXAMPLES)
def test_anything_changed_is_refused(name: str) -> None:
    good = EXAMPLES[name]
    for request, keys, words in (
        (good, replace(KEYS, secret_key="other"), "does not match"),
        (replace(good, method="DELETE"), KEYS, "does not match"),
        (replace(good, target=good.target.replace("/", "/x", 1)), KEYS, "does not match"),
        (replace(good, target=f"{good.target}{'&' if '?' in good.target else '?'}acl"), KEYS, "does not match"),
        (replace(good, headers=good.headers | {"host": "other"}), KEYS, "does not match"),
        (replace(good, headers=good.headers | {"x-amz-acl": "public-read"}), KEYS, "not signed"),
        (good, replace(KEYS, access_key="AKIAother"), "does not exist"),
        (good, replace(KEYS, region="eu-central-1"), "scope"),
        (good, replace(KEYS, token="token"), "token"),
    ):
        with pytest.raises(RefusedRequestError, match=words):
            verify(request, keys, NOW + 1)


def test_another_body_is_refused() -> None:
    with pytest.raises(RefusedRequestError, match="another one"):
        verify(replace(EXAMPLES["put"], body=Blob.of(b"Welcome to Amazon S4.")), KEYS, NOW)


@pytest.mark.parametrize(
    ("name", "seconds", "words"),
    [
        ("get", 901, "too large"),
        ("get", -901, "too large"),
        ("presigned", 86401, "expired"),
        ("presigned", -901, "exp"),
    ],
)
def test_time_runs_out(name: str, seconds: float, words: str) -> None:
    with pytest.raises(RefusedRequestError, match=words):
        verify(EXAMPLES[name], KEYS, NOW + seconds)


@pytest.mark.parametrize("missing", [name for name, _ in parse_qsl(PRESIGNED.partition("?")[2])])
def test_a_presigned_link_needs_each_of_its_parts(missing: str) -> None:
    parts = [part for part in PRESIGNED.partition("?")[2].split("&") if not part.startswith(f"{missing}=")]
    with pytest.raises(RefusedRequestError):
        verify(make("GET", f"/test.txt?{'&'.join(parts)}", {}), KEYS, NOW)


def test_what_is_not_signed_at_all_is_refused() -> None:
    with pytest.raises(RefusedRequestError, match=r"Access Denied\."):
        verify(make("GET", "/test.txt", {}), KEYS, NOW)
    with pytest.raises(RefusedRequestError, match="malformed"):
        verify(make("GET", "/test.txt", {"authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}"}), KEYS, NOW)
