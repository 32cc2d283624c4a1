"""The simulator itself: as strict about signatures as the service, checked with what the vendor's own SDK signed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from plugin_core.providers.tencent_ci.jobs import read_names
from plugin_core.providers.tencent_ci.signature import Credentials, sign
from plugin_core.settings import Secret
from tests.simulators.blobs import Blob
from tests.simulators.calling_back import listen
from tests.simulators.messages import LogEntry, Request
from tests.simulators.tencent import TencentSimulator
from tests.simulators.tencent.errors import RefusedRequestError
from tests.simulators.tencent.service import BUCKET, REGION
from tests.simulators.tencent.signatures import Keys, verify

FILE = Path(__file__).parents[1] / "plugin_core" / "providers" / "tencent_ci" / "cos_sign_vectors.json"
VECTORS = json.loads(FILE.read_text(encoding="utf-8"))["vectors"]

JOB = f"""<Request><Tag>VoiceSeparate</Tag><Input><Object>in.flac</Object></Input><Operation>
<VoiceSeparate><AudioMode>IsAudio</AudioMode><AudioConfig><Codec>flac</Codec></AudioConfig></VoiceSeparate>
<Output><Region>{REGION}</Region><Bucket>{BUCKET}</Bucket><AuObject>o/${{jobid}}/v.${{ext}}</AuObject></Output>
<UserData>k</UserData></Operation>%s</Request>"""


@pytest.fixture
def cloud() -> Iterator[TencentSimulator]:
    with TencentSimulator() as simulator:
        simulator.behaviour.echo = True
        simulator.store.put("in.flac", Blob.of(b"fLaC"))
        yield simulator


def request_of(vector: dict[str, Any]) -> Request:
    """Return what a server sees of a vector's request."""
    parts = urlsplit(vector["url"])
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    headers = {name.lower(): value for name, value in vector["signed_headers"].items()}
    if "presigned" in vector["name"]:
        presigned = urlsplit(vector["presigned_url"])
        target = f"{presigned.path}?{presigned.query}"
    else:
        headers["authorization"] = vector["authorization"]
    entry = LogEntry(0, 0.0, 0, vector["method"], target, parts.path, {}, headers)
    return Request(0, 0, "", vector["method"].upper(), target, headers, Blob.of(b""), "", 0.0, entry)


def keys_of(vector: dict[str, Any]) -> Keys:
    headers = vector["signed_headers"]
    token = headers.get("x-cos-security-token") or headers.get("x-ci-security-token") or ""
    return Keys(vector["secret_id"], vector["secret_key"], token)


def header_of(vector: dict[str, Any]) -> str:
    return "x-ci-security-token" if ".ci." in vector["url"] else "x-cos-security-token"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_what_the_vendors_sdk_signed_is_accepted(vector: dict[str, Any]) -> None:
    verify(request_of(vector), keys_of(vector), vector["start"] + 1, header_of(vector))


@pytest.mark.parametrize("vector", VECTORS[::3], ids=lambda vector: vector["name"])
def test_anything_changed_is_refused(vector: dict[str, Any]) -> None:
    good, now = keys_of(vector), vector["start"] + 1
    with pytest.raises(RefusedRequestError, match="Signature"):
        verify(request_of(vector), Keys(good.secret_id, "other", good.token), now, header_of(vector))
    moved = request_of(vector)
    moved.target = moved.target.replace("/", "/x", 1)
    with pytest.raises(RefusedRequestError, match="Signature"):
        verify(moved, good, now, header_of(vector))
    with pytest.raises(RefusedRequestError, match=r"expired|difference"):
        verify(request_of(vector), good, vector["end"] + 5000, header_of(vector))


def ask(cloud: TencentSimulator, method: str, path: str, body: str = "", **params: str) -> str:
    """Ask CI with a signature; return what it says."""
    keys = Credentials(Secret(cloud.keys.secret_id), Secret(cloud.keys.secret_key))
    now = int(cloud.clock())
    signature = sign(keys, method, path, start=now - 1, end=now + 600, params=params)
    query = "?" + "&".join(f"{name}={value}" for name, value in params.items()) if params else ""
    headers = {"Authorization": signature.header, "Content-Type": "application/xml"}
    data = body.encode() if method in ("POST", "PUT") else None
    request = urllib.request.Request(cloud.ci_url + path + query, data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode()}"


def test_a_job_walks_and_unknown_ids_are_named(cloud: TencentSimulator) -> None:
    ask(cloud, "POST", "/jobs", JOB % "")
    (job,) = cloud.jobs.all
    assert "<StartTime>-</StartTime>" in ask(cloud, "GET", "/jobs", tag="VoiceSeparate")
    assert "<State>Running" in ask(cloud, "GET", f"/jobs/{job},jnone")
    done = ask(cloud, "GET", f"/jobs/{job},jnone")
    assert f"<ObjectName>o/{job}/v.flac</ObjectName>" in done
    assert "<NonExistJobIds>jnone</NonExistJobIds>" in done


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<Request><CallBackFormat>JSON<CallBackFormat></Request>", "MalformedXML"),
        ((JOB % "").replace("VoiceSeparate</Tag>", "Transcode</Tag>"), "Tag"),
        ((JOB % "").replace("in.flac", "none.flac"), "ResourceNotFound"),
        ((JOB % "").replace("AuObject>", "Other>"), "both|Object and AuObject"),
    ],
    ids=["unclosed", "tag", "source", "outputs"],
)
def test_bad_requests_are_refused(cloud: TencentSimulator, body: str, words: str) -> None:
    answer = ask(cloud, "POST", "/jobs", body)
    assert answer.startswith("400")
    assert any(word in answer for word in words.split("|"))


def test_unsigned_requests_are_refused(cloud: TencentSimulator) -> None:
    for url in (cloud.cos_url + "/in.flac", cloud.ci_url + "/jobs"):
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(url)
        caught.value.close()


@pytest.mark.parametrize(
    ("form", "tells_object", "start"),
    [("", False, b"<Response>"), ("JSON", False, b"{"), ("JSON", True, b"{")],
    ids=["xml", "json-list", "json-object"],
)
def test_the_end_is_called_back(cloud: TencentSimulator, form: str, tells_object: bool, start: bytes) -> None:
    cloud.behaviour.tells_object = tells_object
    with listen() as ear:
        where = f"<CallBack>{ear.url}</CallBack>"
        ask(cloud, "POST", "/jobs", JOB % (where + (f"<CallBackFormat>{form}</CallBackFormat>" if form else "")))
        (job,) = cloud.jobs.all
        ask(cloud, "GET", f"/jobs/{job}")
        ask(cloud, "GET", f"/jobs/{job}")
        assert ear.heard.wait(300)
    (body,) = ear.bodies
    assert body.startswith(start)
    assert (b'"JobsDetail": [' in body) == (form == "JSON" and not tells_object)
    assert job in read_names(body)
