from __future__ import annotations

import asyncio
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from plugin_core.errors import RefusedError, SettingsError, SourceError, StembridgeError, TransientError
from plugin_core.files.depot import S3Settings
from plugin_core.model import Verdict
from plugin_core.protocols import Bucket, Stager
from plugin_core.settings import Secret
from plugin_core.stagers.s3 import S3Stager
from tests.plugin_core.transfer.test_trust import CERTIFICATE
from tests.simulators.blobs import Blob
from tests.simulators.faults import Fault, reset_before, server_error
from tests.simulators.s3 import BUCKET, S3Simulator

pytest.importorskip("boto3")

KEY = "01890000-0000-7000-8000-000000000001"


@pytest.fixture
def bucket() -> Iterator[S3Simulator]:
    with S3Simulator() as simulator:
        yield simulator


@pytest.fixture
def settings(bucket: S3Simulator) -> S3Settings:
    return S3Settings(
        bucket=BUCKET,
        endpoint_url=bucket.url,
        region=bucket.keys.region,
        access_key_id=Secret(bucket.keys.access_key),
        secret_access_key=Secret(bucket.keys.secret_key),
        addressing="path",
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Größe 1.flac"
    path.write_bytes(b"fLaC song")
    return path


def test_a_staged_file_is_read_by_link_and_removed_by_another_process(
    bucket: S3Simulator, settings: S3Settings, file: Path, tmp_path: Path
) -> None:
    stager = S3Stager(settings, tmp_path / "home")
    assert isinstance(stager, Stager)
    url = asyncio.run(stager.stage(file, KEY))
    assert isinstance(url, Secret)
    assert f"{KEY}-Groe-1.flac?" in url.reveal()
    assert "Signature" not in f"{url}{url!r}"
    with urllib.request.urlopen(url.reveal()) as answer:
        assert answer.read() == b"fLaC song"
        assert answer.headers["content-type"].startswith("audio/")
    later = S3Stager(settings, tmp_path / "home")
    asyncio.run(later.unstage(KEY))
    asyncio.run(later.unstage(KEY))
    assert bucket.store.objects == {}


def test_any_object_of_the_bucket_is_linked_found_and_removed(
    bucket: S3Simulator, settings: S3Settings, tmp_path: Path
) -> None:
    for key in ("stems/a b.wav", "stems/ü.wav", "other/c.wav"):
        bucket.store.put(key, Blob.of(key.encode()))
    stager = S3Stager(settings, tmp_path)
    assert isinstance(stager, Bucket)
    assert sorted(asyncio.run(stager.find("stems/"))) == ["stems/a b.wav", "stems/ü.wav"]
    for key in ("stems/a b.wav", "stems/ü.wav"):
        link = asyncio.run(stager.link(key))
        assert isinstance(link, Secret)
        with urllib.request.urlopen(link.reveal()) as answer:
            assert answer.read() == key.encode()
        for _ in range(2):
            asyncio.run(stager.remove(key))
    assert asyncio.run(stager.link("stems/a b.wav")) is None
    assert set(bucket.store.objects) == {"other/c.wav"}


def test_a_refused_link_is_no_absent_object(settings: S3Settings, tmp_path: Path) -> None:
    wrong = msgspec.structs.replace(settings, access_key_id=Secret("AKIAother"))
    with pytest.raises(RefusedError):
        asyncio.run(S3Stager(wrong, tmp_path).link("stems/a.wav"))


def test_large_files_go_up_without_amazons_checksums(bucket: S3Simulator, settings: S3Settings, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    path.write_bytes(os.urandom(20 << 20))
    asyncio.run(S3Stager(settings, tmp_path).stage(path, KEY))
    (stored,) = bucket.store.objects.values()
    assert stored.content.read() == path.read_bytes()


def test_what_a_killed_process_left_is_removed(
    bucket: S3Simulator, settings: S3Settings, file: Path, tmp_path: Path
) -> None:
    from tests.simulators.tencent.objects import Upload

    asyncio.run(S3Stager(settings, tmp_path / "home").stage(file, KEY))
    bucket.store.uploads["u1"] = Upload(f"stembridge/links/{KEY}/x", "u1", 0.0)
    asyncio.run(S3Stager(settings, tmp_path / "other").unstage(KEY))
    assert bucket.store.objects == {}
    assert bucket.store.uploads == {}


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"access_key_id": Secret("AKIAother")}, RefusedError, "InvalidAccessKeyId"),
        ({"secret_access_key": Secret("simulated/not+the=secret000000000")}, RefusedError, "SignatureDoesNotMatch"),
        ({"region": "us-east-1"}, SettingsError, r"AuthorizationHeaderMalformed.*correct \[s3\] region"),
        ({"session_token": Secret("FwoGZXIvYXdzEXAMPLE")}, RefusedError, "InvalidToken"),
        ({"bucket": "absent"}, SettingsError, "NoSuchBucket"),
        ({"endpoint_url": "no address"}, SettingsError, r"\[s3\]"),
        ({"endpoint_url": "http://127.0.0.1:1"}, TransientError, "no answer|the upload failed"),
    ],
    ids=["key", "secret", "region", "token", "bucket", "endpoint", "away"],
)
def test_a_refusal_is_one_line_without_secrets(
    bucket: S3Simulator,
    settings: S3Settings,
    file: Path,
    tmp_path: Path,
    change: dict[str, object],
    kind: type[StembridgeError],
    words: str,
) -> None:
    wrong = msgspec.structs.replace(settings, **change)
    with pytest.raises(kind, match=words) as caught:
        asyncio.run(S3Stager(wrong, tmp_path).stage(file, KEY))
    assert "\n" not in str(caught.value)
    secrets = [wrong.access_key_id, wrong.secret_access_key, wrong.session_token, settings.secret_access_key]
    assert not [secret for secret in secrets if secret and secret.reveal() in str(caught.value)]
    assert bucket.store.objects == {}


def reveal(url: str) -> str:
    assert isinstance(url, Secret)
    return url.reveal()


def test_a_clock_that_is_an_hour_wrong_is_said(
    bucket: S3Simulator, settings: S3Settings, file: Path, tmp_path: Path
) -> None:
    bucket.clock.advance(3600)
    with pytest.raises(RefusedError, match=r"RequestTimeTooSkewed.*this computer's clock"):
        asyncio.run(S3Stager(settings, tmp_path).stage(file, KEY))


def test_temporary_keys_sign_links_too(bucket: S3Simulator, settings: S3Settings, file: Path, tmp_path: Path) -> None:
    bucket.keys.token = "FwoGZXIvYXdz/EXAMPLE+token=="
    temporary = msgspec.structs.replace(settings, session_token=Secret(bucket.keys.token))
    url = asyncio.run(S3Stager(temporary, tmp_path).stage(file, KEY))
    with urllib.request.urlopen(reveal(url)) as answer:
        assert answer.read() == b"fLaC song"


def test_a_link_is_good_for_its_hours_and_its_object_alone(
    bucket: S3Simulator, settings: S3Settings, file: Path, tmp_path: Path
) -> None:
    bucket.store.put("other.flac", Blob.of(b"not meant"))
    brief = msgspec.structs.replace(settings, link_hours=2)
    url = reveal(asyncio.run(S3Stager(brief, tmp_path).stage(file, KEY)))
    path = urlsplit(url).path
    for target, seconds in ((url.replace(path, f"/{BUCKET}/other.flac"), 0), (url, 7201)):
        bucket.clock.advance(seconds)
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(target)
        caught.value.close()


@pytest.mark.parametrize("fault", [server_error("PUT", times=1), reset_before("PUT", times=1)])
def test_a_bad_line_is_survived(
    bucket: S3Simulator, settings: S3Settings, file: Path, tmp_path: Path, fault: Fault
) -> None:
    bucket.faults.add(fault)
    asyncio.run(S3Stager(settings, tmp_path).stage(file, KEY))
    assert len(bucket.store.objects) == 1


def test_a_file_that_cannot_be_read_is_named(settings: S3Settings, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.flac cannot be read"):
        asyncio.run(S3Stager(settings, tmp_path).stage(tmp_path / "absent.flac", KEY))


def test_without_the_extra_it_says_how_to_get_it(
    settings: S3Settings, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match=r"pip install 'stembridge\[s3\]'"):
        asyncio.run(S3Stager(settings, tmp_path).stage(file, KEY))


def test_a_dead_proxy_is_said_with_what_to_do(
    settings: S3Settings, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:pass-word@127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("botocore.retries.standard.StandardRetryConditions.is_retryable", lambda *_: False)
    with pytest.raises(TransientError) as caught:
        asyncio.run(S3Stager(settings, tmp_path / "home").stage(file, KEY))
    assert "HTTPS_PROXY" in caught.value.remedy
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "AWS_CA_BUNDLE", ""])
def test_whom_it_trusts_is_said_once_for_all_connections(
    bucket: S3Simulator,
    settings: S3Settings,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    (server,) = bucket._servers
    server.socket = context.wrap_socket(server.socket, server_side=True)
    encrypted = msgspec.structs.replace(settings, endpoint_url=f"https://localhost:{urlsplit(bucket.url).port}")
    monkeypatch.setattr("botocore.retries.standard.StandardRetryConditions.is_retryable", lambda *_: False)
    if variable:
        monkeypatch.setenv(variable, str(CERTIFICATE))
        asyncio.run(S3Stager(encrypted, tmp_path / "home").stage(file, KEY))
        assert len(bucket.store.objects) == 1
    else:
        with pytest.raises(TransientError, match="SSLError") as caught:
            asyncio.run(S3Stager(encrypted, tmp_path / "home").stage(file, KEY))
        assert "SSL_CERT_FILE" in caught.value.remedy


def test_doctor_tries_the_bucket_and_leaves_nothing(bucket: S3Simulator, settings: S3Settings, tmp_path: Path) -> None:
    (found,) = asyncio.run(S3Stager(settings, tmp_path).examine())
    assert (found.verdict, found.found) == (Verdict.OK, f"{BUCKET} can be written")
    assert bucket.store.objects == {}
    missing = msgspec.structs.replace(settings, bucket="missing")
    (found,) = asyncio.run(S3Stager(missing, tmp_path).examine())
    assert (found.verdict, found.remedy) == (Verdict.WRONG, "correct [s3] bucket")
    assert "NoSuchBucket" in found.found
