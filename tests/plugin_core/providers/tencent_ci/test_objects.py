from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plugin_core.errors import RefusedError, ServiceError, SettingsError, SourceError, TransientError
from plugin_core.providers.tencent_ci.multipart import part_size, upload_file
from plugin_core.providers.tencent_ci.objects import Begun, BegunFile, CosObjects, ObjectHead
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.settings import Secret
from plugin_core.transfer import Data
from plugin_core.transfer.calls import MissingError
from tests.plugin_core.providers.tencent_ci.conftest import transfer
from tests.simulators.blobs import Blob
from tests.simulators.faults import HTML, Fault, bad_gateway, refuse, reset_after, reset_before, reset_upload, truncate
from tests.simulators.tencent import TencentSimulator

MIB = 1 << 20
SLOW_DOWN = "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message><RequestId>s1</RequestId></Error>"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "song.flac"
    path.write_bytes(os.urandom(3 * MIB + MIB // 2))
    return path


@pytest.fixture
def objects(service: Service) -> CosObjects:
    return service.objects


@pytest.fixture
def in_parts(settings_for: Callable[..., TencentSettings]) -> CosObjects:
    """A bucket to which anything above one MiB goes in parts of one MiB."""
    return Service(settings_for(multipart_above_mb=1, part_mb=1), transfer()).objects


def stored(cloud: TencentSimulator, key: str) -> str:
    return cloud.store.objects[key].content.sha256()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("key", ["a.flac", "音乐/周 杰伦+%.flac", "a/./b", "x~(1)!*'.flac", "a//b"])
def test_a_file_goes_up_and_comes_back_under_any_name(
    cloud: TencentSimulator, objects: CosObjects, file: Path, tmp_path: Path, key: str
) -> None:
    told: list[int] = []
    size = file.stat().st_size

    async def run() -> None:
        await upload_file(objects, file, key, lambda sent, _total: told.append(sent))
        head = await objects.head(key)
        assert head is not None
        assert head.size == size
        await objects.download(key, tmp_path / "back", md5=head.etag, limit=1 << 30)
        await objects.delete(key)
        await objects.delete(key)
        assert await objects.head(key) is None

    asyncio.run(run())
    assert sha256(tmp_path / "back") == sha256(file)
    assert told[-1] == file.stat().st_size
    assert cloud.store.objects == {}


def test_an_upload_that_is_there_is_not_sent_again(cloud: TencentSimulator, objects: CosObjects, file: Path) -> None:
    async def run() -> None:
        await upload_file(objects, file, "k")
        await upload_file(objects, file, "k")

    asyncio.run(run())
    assert len(cloud.requests("PUT")) == 1


def test_temporary_keys_send_their_token(
    file: Path, settings_for: Callable[..., TencentSettings], tmp_path: Path
) -> None:
    with TencentSimulator(token="session/token==") as cloud:
        settings = settings_for(token=Secret(cloud.keys.token), cos_base_url=cloud.cos_url, ci_base_url=cloud.ci_url)
        service = Service(settings, transfer())

        async def run() -> None:
            await upload_file(service.objects, file, "k")
            await service.objects.download("k", tmp_path / "back", limit=1 << 30)
            await service.ci.status()

        asyncio.run(run())
        assert sha256(tmp_path / "back") == sha256(file)


@pytest.mark.parametrize(
    "fault",
    [
        reset_before("PUT", times=2),
        reset_after("PUT", times=2),
        bad_gateway("PUT", times=2),
        refuse("PUT", "*", 503, SLOW_DOWN, times=2),
        reset_upload("PUT", at=100_000, times=2),
    ],
    ids=["reset", "lost", "gateway", "slow-down", "cut"],
)
@pytest.mark.parametrize("parts", [False, True], ids=["whole", "in-parts"])
def test_an_upload_survives_a_bad_line(
    cloud: TencentSimulator, objects: CosObjects, in_parts: CosObjects, file: Path, fault: Fault, parts: bool
) -> None:
    cloud.faults.add(fault)
    asyncio.run(upload_file(in_parts if parts else objects, file, "k"))
    assert stored(cloud, "k") == sha256(file)
    assert cloud.store.uploads == {}


def test_each_try_is_signed_anew(cloud: TencentSimulator, settings: TencentSettings, file: Path) -> None:
    times = iter(range(1_000_000))

    def clock() -> float:
        return cloud.clock() + next(times)

    cloud.faults.add(bad_gateway("PUT", times=1))
    asyncio.run(upload_file(Service(settings, transfer(), clock).objects, file, "k"))
    first, second = (entry.headers["authorization"] for entry in cloud.requests("PUT"))
    assert first != second


def test_a_service_that_stays_busy_is_told_with_its_words(
    cloud: TencentSimulator, objects: CosObjects, file: Path
) -> None:
    cloud.faults.add(refuse("PUT", "*", 503, SLOW_DOWN, times=None))
    with pytest.raises(TransientError, match=r"SlowDown: Reduce your request rate\. \(HTTP 503, request id s1\)"):
        asyncio.run(upload_file(objects, file, "k"))


def test_large_files_go_in_parts(cloud: TencentSimulator, in_parts: CosObjects, file: Path) -> None:
    told: list[int] = []
    asyncio.run(upload_file(in_parts, file, "k", lambda sent, _total: told.append(sent)))
    assert stored(cloud, "k") == sha256(file)
    numbers = [entry.query["partNumber"] for entry in cloud.requests("PUT")]
    assert sorted(numbers) == ["1", "2", "3", "4"]
    assert told[-1] == file.stat().st_size


def test_no_more_parts_are_on_their_way_than_allowed(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], tmp_path: Path
) -> None:
    path = tmp_path / "long"
    path.write_bytes(bytes(6 * MIB))
    settings = settings_for(multipart_above_mb=1, part_mb=1, parts_at_once=1)
    asyncio.run(upload_file(Service(settings, transfer()).objects, path, "k"))
    assert [entry.query["partNumber"] for entry in cloud.requests("PUT")] == list("123456")


def test_parts_that_are_there_are_not_sent_again(cloud: TencentSimulator, in_parts: CosObjects, file: Path) -> None:
    cloud.faults.add(refuse("PUT", "*", 400, "<Error><Code>InvalidArgument</Code></Error>", nth=3, times=None))
    with pytest.raises(ServiceError):
        asyncio.run(upload_file(in_parts, file, "k"))
    cloud.faults.clear()
    before = len(cloud.requests("PUT"))
    asyncio.run(upload_file(in_parts, file, "k"))
    assert stored(cloud, "k") == sha256(file)
    # The part on its way beside the refused one may have been given up with it.
    assert len(cloud.requests("PUT")) - before in (2, 3)
    assert cloud.store.uploads == {}


def test_parts_of_another_content_are_sent_again(cloud: TencentSimulator, in_parts: CosObjects, file: Path) -> None:
    cloud.faults.add(refuse("POST", "*", 400, "<Error><Code>InvalidPart</Code></Error>", query="uploadId=*"))
    cloud.faults.add(refuse("DELETE", "*", 403, "<Error><Code>AccessDenied</Code></Error>", query="uploadId=*"))
    with pytest.raises(RefusedError):
        asyncio.run(upload_file(in_parts, file, "k"))
    file.write_bytes(os.urandom(file.stat().st_size))
    asyncio.run(upload_file(in_parts, file, "k"))
    assert stored(cloud, "k") == sha256(file)


@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
def test_a_completion_that_fails_with_200_is_no_success(
    cloud: TencentSimulator, in_parts: CosObjects, file: Path, code: str
) -> None:
    cloud.store.completions_to_fail.append(code)
    with pytest.raises(TransientError, match=code):
        asyncio.run(upload_file(in_parts, file, "k"))
    assert "k" not in cloud.store.objects
    asyncio.run(upload_file(in_parts, file, "k"))
    assert stored(cloud, "k") == sha256(file)
    assert len(cloud.requests("PUT")) == 4


def test_a_completion_refused_for_good_leaves_no_parts(
    cloud: TencentSimulator, in_parts: CosObjects, file: Path
) -> None:
    cloud.store.completions_to_fail.append("EntityTooSmall")
    with pytest.raises(ServiceError, match="EntityTooSmall"):
        asyncio.run(upload_file(in_parts, file, "k"))
    assert cloud.store.uploads == {}


def test_a_completion_whose_answer_is_lost_is_one(cloud: TencentSimulator, in_parts: CosObjects, file: Path) -> None:
    cloud.faults.add(reset_after("POST", "*", query="uploadId=*", times=1))
    asyncio.run(upload_file(in_parts, file, "k"))
    assert stored(cloud, "k") == sha256(file)


def test_two_processes_on_one_upload_make_one_object(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], file: Path
) -> None:
    settings = settings_for(multipart_above_mb=1, part_mb=1)

    async def run() -> None:
        both = [upload_file(Service(settings, transfer()).objects, file, "k") for _ in range(3)]
        await asyncio.gather(*both)
        await Service(settings, transfer()).objects.abort_uploads("k")

    asyncio.run(run())
    assert stored(cloud, "k") == sha256(file)
    assert cloud.store.uploads == {}


def test_without_the_right_to_list_an_upload_begins_anew(
    cloud: TencentSimulator, in_parts: CosObjects, file: Path
) -> None:
    cloud.denied.add("GET /")
    asyncio.run(upload_file(in_parts, file, "k"))
    assert stored(cloud, "k") == sha256(file)


@pytest.fixture
def broken_off(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], file: Path, tmp_path: Path
) -> BegunFile:
    """What a job keeps of an upload that broke off at its third part; the account may not ask the service."""
    kept = BegunFile(tmp_path / "job" / "upload.json")
    one_by_one = Service(settings_for(multipart_above_mb=1, part_mb=1, parts_at_once=1), transfer()).objects
    cloud.denied |= {"GET /", "GET /k"}
    cloud.faults.add(refuse("PUT", "*", 400, "<Error><Code>InvalidArgument</Code></Error>", nth=3, times=None))
    with pytest.raises(ServiceError):
        asyncio.run(upload_file(one_by_one, file, "k", kept=kept))
    cloud.faults.clear()
    assert len(cloud.store.uploads) == 1
    return kept


def test_without_any_right_to_ask_the_job_knows_what_is_there(
    cloud: TencentSimulator, in_parts: CosObjects, file: Path, broken_off: BegunFile
) -> None:
    before = len(cloud.requests("PUT"))
    asyncio.run(upload_file(in_parts, file, "k", kept=broken_off))
    assert stored(cloud, "k") == sha256(file)
    assert len(cloud.requests("PUT")) - before == 2
    assert cloud.store.uploads == {}
    assert broken_off.read() == Begun()


def test_an_upload_that_the_job_knows_and_the_service_does_not_begins_anew(
    cloud: TencentSimulator, in_parts: CosObjects, file: Path, broken_off: BegunFile
) -> None:
    cloud.store.uploads.clear()
    asyncio.run(upload_file(in_parts, file, "k", kept=broken_off))
    assert stored(cloud, "k") == sha256(file)


def test_without_any_right_to_ask_no_parts_are_left(
    cloud: TencentSimulator, in_parts: CosObjects, broken_off: BegunFile
) -> None:
    with pytest.raises(RefusedError):
        asyncio.run(in_parts.abort_uploads("k", broken_off))
    assert cloud.store.uploads == {}
    with pytest.raises(RefusedError):
        asyncio.run(in_parts.abort_uploads("k", broken_off))


def test_a_file_that_grows_meanwhile_is_not_taken(cloud: TencentSimulator, in_parts: CosObjects, file: Path) -> None:
    def grow(sent: int, total: int | None) -> None:
        with file.open("ab") as opened:
            opened.write(b"more")

    with pytest.raises(SourceError, match="changed while it was uploaded"):
        asyncio.run(upload_file(in_parts, file, "k", grow))
    assert "k" not in cloud.store.objects


@pytest.mark.parametrize(
    ("size", "wanted", "expected"), [(5, MIB, MIB), (10_000 * MIB, MIB, MIB), (10_001 * MIB, MIB, 2 * MIB)]
)
def test_parts_are_never_too_many(size: int, wanted: int, expected: int) -> None:
    assert part_size(size, wanted) == expected


def test_a_download_goes_on_with_another_signature(
    cloud: TencentSimulator, settings: TencentSettings, file: Path, tmp_path: Path
) -> None:
    target, early, late = tmp_path / "t", cloud.clock() - 100, cloud.clock()
    asyncio.run(upload_file(Service(settings, transfer()).objects, file, "k"))
    for _ in range(4):
        cloud.faults.add(truncate("GET", "/k", at=2 * MIB, times=1))
        cloud.faults.add(reset_before("GET", "/k", times=8))
    with pytest.raises(TransientError):
        asyncio.run(Service(settings, transfer(), lambda: early).objects.download("k", target, limit=1 << 30))
    cloud.faults.clear()
    asyncio.run(Service(settings, transfer(), lambda: late).objects.download("k", target, limit=1 << 30))
    assert sha256(target) == sha256(file)
    assert cloud.requests("GET", "/k")[-1].headers["range"].startswith(f"bytes={2 * MIB}")


def test_a_link_that_is_refused_loses_nothing(
    cloud: TencentSimulator, objects: CosObjects, file: Path, tmp_path: Path
) -> None:
    asyncio.run(upload_file(objects, file, "k"))
    cloud.faults.add(refuse("GET", "/k", 403, "<Error><Code>AccessDenied</Code></Error>", times=None))
    with pytest.raises(TransientError):
        asyncio.run(objects.download("k", tmp_path / "t", limit=1 << 30))


@pytest.mark.parametrize(("bucket", "kind"), [(True, MissingError), (False, SettingsError)], ids=["object", "bucket"])
def test_what_is_gone_is_told_apart(
    cloud: TencentSimulator, objects: CosObjects, tmp_path: Path, bucket: bool, kind: type[Exception]
) -> None:
    cloud.has_bucket = bucket
    with pytest.raises(kind) as caught:
        asyncio.run(objects.download("k", tmp_path / "t", limit=1 << 30))
    assert type(caught.value) is kind


def test_a_result_too_large_to_make_sense_is_refused(
    cloud: TencentSimulator, objects: CosObjects, file: Path, tmp_path: Path
) -> None:
    asyncio.run(upload_file(objects, file, "k"))
    with pytest.raises(ServiceError, match="more than the 100 that make sense"):
        asyncio.run(objects.download("k", tmp_path / "t", limit=100))
    assert cloud.requests("GET") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda cloud: setattr(cloud.keys, "secret_id", "AKIDother"), "InvalidAccessKeyId"),
        (lambda cloud: setattr(cloud.keys, "secret_key", "other"), "SignatureDoesNotMatch"),
        (lambda cloud: cloud.denied.add("HEAD /k"), "AccessDenied|no reason given"),
        (lambda cloud: setattr(cloud.keys, "token", "t"), "ExpiredToken"),
    ],
    ids=["unknown-id", "wrong-key", "no-right", "no-token"],
)
def test_a_refused_account_is_told_why(
    cloud: TencentSimulator, objects: CosObjects, file: Path, change: Callable[[TencentSimulator], None], words: str
) -> None:
    change(cloud)
    with pytest.raises(RefusedError, match=words):
        asyncio.run(upload_file(objects, file, "k"))


@pytest.mark.parametrize("minutes", [-40, 40])
def test_a_wrong_clock_is_recognised(
    cloud: TencentSimulator, settings: TencentSettings, file: Path, minutes: int
) -> None:
    service = Service(settings, transfer(), lambda: cloud.clock() + minutes * 60)
    with pytest.raises(RefusedError, match=f"clock of this computer is 40 minutes {'fast' if minutes > 0 else 'slow'}"):
        asyncio.run(upload_file(service.objects, file, "k"))


def test_objects_are_listed_page_after_page(cloud: TencentSimulator, objects: CosObjects) -> None:
    from tests.simulators.blobs import Blob

    for number in range(1005):
        cloud.store.put(f"p/{number:04}", Blob.of(b"x"))
    cloud.store.put("q", Blob.of(b"x"))
    assert len(asyncio.run(objects.list_keys("p/"))) == 1005


def test_links_expire_and_are_secret(cloud: TencentSimulator, objects: CosObjects, file: Path) -> None:
    import urllib.error
    import urllib.request

    asyncio.run(upload_file(objects, file, "a b/ü.flac"))
    link = objects.link("a b/ü.flac", 60)
    assert "q-signature" not in f"{link} {link!r}"
    with urllib.request.urlopen(link.reveal()) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == sha256(file)
    cloud.clock.advance(3600)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(link.reveal())


def test_a_signed_call_is_not_sent_to_another_host(cloud: TencentSimulator, objects: CosObjects) -> None:
    headers = {"Location": "https://elsewhere.example/k"}
    cloud.faults.add(refuse("HEAD", "*", 302, HTML, headers=headers, times=None))
    with pytest.raises(ServiceError, match="points elsewhere"):
        asyncio.run(objects.head("k"))


@pytest.mark.parametrize(
    "headers", [{}, {"Location": "https://b.cos.ap-shanghai.myqcloud.com/k"}], ids=["bare", "location"]
)
def test_a_bucket_in_another_region_is_said_with_the_setting(
    cloud: TencentSimulator, objects: CosObjects, file: Path, headers: dict[str, str]
) -> None:
    body = "<Error><Code>PermanentRedirect</Code><Message>moved</Message></Error>"
    cloud.faults.add(refuse("*", "*", 301, body, headers=headers, times=None))
    remedy = r"the bucket is in another region: set \[tencent\] region"
    with pytest.raises(SettingsError, match=remedy):
        asyncio.run(objects.head_bucket())
    with pytest.raises(SettingsError, match=remedy):
        asyncio.run(upload_file(objects, file, "k"))


def test_heads_without_a_length_are_read() -> None:
    assert ObjectHead(None).etag == ""


def test_no_link_or_key_is_in_any_log(
    cloud: TencentSimulator, objects: CosObjects, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    asyncio.run(upload_file(objects, file, "k"))
    cloud.faults.add(truncate("GET", "/k", at=MIB, times=1))
    asyncio.run(objects.download("k", tmp_path / "t", limit=1 << 30))
    assert "/k" in caplog.text
    assert cloud.keys.secret_id not in caplog.text
    for entry in cloud.requests("GET", "/k"):
        assert entry.query["q-signature"] not in caplog.text
    for entry in cloud.requests("PUT"):
        assert entry.headers["authorization"].rpartition("=")[2] not in caplog.text


def test_the_simulator_copies_lists_folders_and_deletes_many_as_the_vendors_sdk_expects(
    cloud: TencentSimulator, objects: CosObjects
) -> None:
    for key in ("a/1.wav", "a/2.wav", "b.wav"):
        cloud.store.put(key, Blob.of(b"x"))
    copy = replace(objects.call("PUT", "c ü.wav", "copy"), headers={"x-cos-copy-source": "host/b.wav"})
    assert b"<ETag>" in asyncio.run(objects.caller.send(copy)).content
    page = asyncio.run(objects.caller.read(objects.call("GET", "", "list", {"delimiter": "/"})))
    assert [each["Key"] for each in page["Contents"]] == ["b.wav", "c ü.wav"]
    assert page["CommonPrefixes"] == {"Prefix": "a/"}
    assert {"LastModified", "ETag", "Size", "Owner", "StorageClass"} <= set(page["Contents"][0])
    content = b"<Delete><Object><Key>a/1.wav</Key></Object><Object><Key>b.wav</Key></Object></Delete>"
    digest = base64.b64encode(hashlib.md5(content).digest()).decode()
    call = objects.call("POST", "", "delete", {"delete": ""}, Data(content, "application/xml"))
    asyncio.run(objects.caller.send(replace(call, headers={"Content-MD5": digest})))
    assert sorted(cloud.store.objects) == ["a/2.wav", "c ü.wav"]
