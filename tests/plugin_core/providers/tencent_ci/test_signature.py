"""The signature, against vectors that the vendor's own SDK produced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from plugin_core.providers.tencent_ci.signature import (
    CLOCK_SLACK,
    Credentials,
    QSign,
    host_of,
    presign,
    quote_path,
    sign,
)
from plugin_core.settings import Secret

VECTORS = json.loads(Path(__file__).with_name("cos_sign_vectors.json").read_text(encoding="utf-8"))["vectors"]
KEYS = Credentials(Secret("AKID"), Secret("key"))


def credentials_of(vector: dict[str, Any]) -> Credentials:
    return Credentials(Secret(vector["secret_id"]), Secret(vector["secret_key"]))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_string_of_a_vector_is_reproduced(vector: dict[str, Any]) -> None:
    signature = sign(
        credentials_of(vector),
        vector["method"],
        vector["path_signed"],
        start=vector["start"],
        end=vector["end"],
        params=vector["signed_params"],
        headers=vector["signed_headers"],
    )
    assert signature.http_string == vector["http_string"]
    assert signature.string_to_sign == vector["string_to_sign"]
    assert signature.fields["q-signature"] == vector["signature"]
    assert signature.header == vector["authorization"]


@pytest.mark.parametrize(
    "vector",
    [each for each in VECTORS if not each["name"].startswith("presigned") and "host" in each["header_list"]],
    ids=lambda vector: vector["name"],
)
def test_a_request_is_signed_as_it_is_sent(vector: dict[str, Any]) -> None:
    """Our list of headers is shorter than the SDK's, which also signs lengths: the method is what is compared."""
    token = vector["signed_headers"].get("x-ci-security-token") or vector["signed_headers"].get("x-cos-security-token")
    keys = credentials_of(vector)._replace(token=Secret(token or ""))
    header = "x-ci-security-token" if ".ci." in vector["url"] else "x-cos-security-token"
    extra = {name: value for name, value in vector["signed_headers"].items() if name not in ("host", "content-length")}
    request = httpx.Request(vector["method"], vector["url"], headers=extra)
    request.headers.update(QSign(keys, lambda: 1700000060.0, header)(request.method, str(request.url), request.headers))
    fields = dict(part.split("=", 1) for part in request.headers["authorization"].split("&"))
    names = fields["q-header-list"].split(";")
    assert "host" in names
    assert set(vector["header_list"]) - {"content-length", "cache-control"} <= set(names)
    assert set(vector["url_param_list"]) <= set(fields["q-url-param-list"].split(";"))
    start, end = (int(part) for part in fields["q-sign-time"].split(";"))
    expected = sign(
        keys,
        vector["method"],
        vector["path_signed"],
        start=start,
        end=end,
        params=dict(parse_qsl(urlsplit(vector["url"]).query, keep_blank_values=True)),
        headers={name: request.headers[name] for name in names},
    )
    assert expected.fields["q-signature"] == fields["q-signature"]


@pytest.mark.parametrize("name", ["presigned_get_plain", "presigned_put"])
def test_presigned_urls_hold_the_vectors_signature(name: str) -> None:
    vector = next(each for each in VECTORS if each["name"] == name)
    headers = {key: value for key, value in vector["signed_headers"].items() if key != "host"}
    url = presign(
        credentials_of(vector),
        vector["method"],
        vector["url"],
        now=vector["start"] + CLOCK_SLACK,
        seconds=vector["end"] - vector["start"] - CLOCK_SLACK,
        headers=headers,
    ).reveal()
    assert dict(parse_qsl(urlsplit(url).query))["q-signature"] == vector["signature"]


def test_parameters_of_a_presigned_url_are_protected_and_a_space_is_never_a_plus() -> None:
    url = presign(KEYS, "GET", "https://b.example/a?response-content-type=a%20b", now=1000, seconds=60).reveal()
    assert url.endswith("&response-content-type=a%20b")
    assert "q-url-param-list=response-content-type" in url


def test_a_temporary_token_travels_in_the_presigned_url_and_is_protected() -> None:
    keys = KEYS._replace(token=Secret("t=="))
    url = presign(keys, "GET", "https://b.example/a", now=1000, seconds=60).reveal()
    assert url.endswith("&x-cos-security-token=t%3D%3D")
    assert "q-url-param-list=x-cos-security-token" in url


def test_a_presigned_url_is_a_secret() -> None:
    url = presign(KEYS, "GET", "https://b.example/a", now=1000, seconds=60)
    assert "q-signature" not in f"{url} {url!r}"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://b.example/x", "b.example"),
        ("https://b.example:443/x", "b.example"),
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("http://b.example:80/x", "b.example"),
    ],
)
def test_host_has_no_port_of_its_scheme(url: str, host: str) -> None:
    assert host_of(url) == host == httpx.Request("GET", url).headers["host"]


@pytest.mark.parametrize("key", ["a b/ü+%.wav", "up/../x.wav", "./x", "a./b", "a/..", "a/.", "..", "音乐/周.mp3"])
def test_a_key_survives_the_client(key: str) -> None:
    request = httpx.Request("GET", "https://b.example" + quote_path(key))
    assert httpx.URL(str(request.url)).path == "/" + key
