from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from plugin_core.errors import RefusedError, TransientError, UsageError
from plugin_core.model import Verdict
from plugin_core.providers.tencent_ci.adapter import CiSeparator
from plugin_core.providers.tencent_ci.service import TRIAL
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.settings import Secret
from tests.plugin_core.providers.tencent_ci.conftest import transfer
from tests.simulators.blobs import Blob
from tests.simulators.faults import refuse
from tests.simulators.tencent import TencentSimulator

TRIAL_PATH = f"/stembridge/{TRIAL}"


def test_keys_are_tried_at_the_bucket(cloud: TencentSimulator, settings_for: Callable[..., TencentSettings]) -> None:
    separator = CiSeparator(settings_for(secret_id=Secret(""), secret_key=Secret("")), transfer=transfer())
    answers = {"secret_id": Secret(f" {cloud.keys.secret_id}\n"), "secret_key": Secret(cloud.keys.secret_key)}
    kept = asyncio.run(separator.login(answers))
    assert {name: value.reveal() for name, value in kept.items()} == {
        "secret_id": cloud.keys.secret_id,
        "secret_key": cloud.keys.secret_key,
    }
    with pytest.raises(RefusedError, match="SignatureDoesNotMatch"):
        asyncio.run(separator.login({**answers, "secret_key": Secret("wrong")}))
    with pytest.raises(UsageError, match="SecretId"):
        asyncio.run(separator.login({"secret_id": Secret("x")}))


def test_keys_are_kept_untried_while_there_is_no_bucket_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    separator = CiSeparator(TencentSettings(), transfer=transfer())
    answers = {question.name: Secret("x") for question in separator.questions}
    assert set(asyncio.run(separator.login(answers))) == {"secret_id", "secret_key"}
    assert "the keys are kept untried" in caplog.text


@pytest.mark.parametrize("body", ["", "{}", "<html>Welcome to the hotel</html>"])
def test_keys_that_cos_never_confirmed_are_not_kept(cloud: TencentSimulator, separator: CiSeparator, body: str) -> None:
    """The login page of a network says 200 to everything."""
    cloud.faults.add(refuse("HEAD", "/", 200, body, times=None))
    answers = {"secret_id": Secret(cloud.keys.secret_id), "secret_key": Secret(cloud.keys.secret_key)}
    with pytest.raises(TransientError, match="what answers is not COS"):
        asyncio.run(separator.login(answers))
    bucket = asyncio.run(separator.examine())[0]
    assert (bucket.verdict, "not COS" in bucket.found) == (Verdict.WRONG, True)


def test_without_an_account_the_doctor_asks_nobody() -> None:
    (finding,) = asyncio.run(CiSeparator(TencentSettings()).examine())
    assert finding.verdict is Verdict.OK
    assert "login tencent_ci" in finding.remedy


@pytest.mark.parametrize(
    ("change", "verdicts", "words"),
    [
        (lambda cloud: None, "ok ok ok ok ok", "enabled for the bucket"),
        (lambda cloud: setattr(cloud, "needs_queue", True), "ok ok ok ok ok", "jobs can be looked for"),
        (lambda cloud: setattr(cloud, "ci_status", "off"), "ok ok wrong ok", "not bound to Cloud Infinite"),
        (lambda cloud: setattr(cloud, "ci_status", "unbinding"), "ok ok wrong ok", "being unbound"),
        (lambda cloud: setattr(cloud, "has_asr", False), "ok ok ok wrong", "is not enabled for the bucket"),
        (lambda cloud: setattr(cloud, "has_bucket", False), "wrong", "NoSuchBucket"),
        (lambda cloud: setattr(cloud.keys, "secret_key", "x"), "wrong", "login tencent_ci"),
        (lambda cloud: cloud.denied.update({"HEAD /", "GET /"}), "wrong", "list the bucket and its"),
        (lambda cloud: cloud.denied.add(f"PUT {TRIAL_PATH}"), "ok wrong ok ok ok", "put, get and delete its objects"),
        (lambda cloud: cloud.denied.add(f"DELETE {TRIAL_PATH}"), "ok wrong ok ok ok", "put, get and delete"),
        (lambda cloud: cloud.denied.add("GET /asrbucket"), "ok ok ok warning ok", "ci:DescribeAsrBuckets"),
        (lambda cloud: cloud.denied.add("GET /jobs"), "ok ok ok ok wrong", "ci:DescribeMediaJobs"),
        (lambda cloud: cloud.clock.advance(3600), "wrong", "clock"),
    ],
    ids=[
        "well",
        "queues",
        "unbound",
        "unbinding",
        "no-asr",
        "no-bucket",
        "wrong-key",
        "no-right",
        "no-writing",
        "no-removing",
        "no-query",
        "no-listing",
        "clock",
    ],
)
def test_the_doctor_says_what_is_missing(
    cloud: TencentSimulator,
    separator: CiSeparator,
    change: Callable[[TencentSimulator], None],
    verdicts: str,
    words: str,
) -> None:
    change(cloud)
    findings = asyncio.run(separator.examine())
    assert [finding.verdict.value for finding in findings] == verdicts.split()
    assert words in " ".join(f"{finding.found} {finding.remedy}" for finding in findings)
    assert all(finding.remedy for finding in findings if finding.verdict is not Verdict.OK)


def test_what_the_doctor_wrote_is_gone_also_that_of_an_earlier_killed_one(
    cloud: TencentSimulator, separator: CiSeparator
) -> None:
    cloud.store.put(TRIAL_PATH[1:], Blob.of(b"of a killed doctor"))
    asyncio.run(separator.examine())
    assert cloud.store.objects == {}
    assert cloud.jobs.all == {}


@pytest.mark.parametrize("query", ["prefix=*", "uploads*"], ids=["objects", "uploads"])
def test_a_bucket_that_may_not_be_listed_is_a_warning(
    cloud: TencentSimulator, separator: CiSeparator, query: str
) -> None:
    headers = {"Content-Type": "application/xml"}
    cloud.faults.add(refuse("GET", "/", 403, "<Error><Code>AccessDenied</Code></Error>", query=query, headers=headers))
    writing = asyncio.run(separator.examine())[1]
    assert (writing.verdict, "unfinished uploads" in writing.remedy) == (Verdict.WARNING, True)
    assert cloud.store.objects == {}


def test_a_bucket_that_may_not_be_asked_about_is_not_called_unbound(
    cloud: TencentSimulator, separator: CiSeparator
) -> None:
    headers = {"Content-Type": "application/xml"}
    cloud.faults.add(refuse("GET", "/", 403, "<Error><Code>AccessDenied</Code></Error>", query="", headers=headers))
    binding = asyncio.run(separator.examine())[2]
    assert (binding.verdict, binding.found[:9]) == (Verdict.WARNING, "not known")


def test_media_processing_alone_is_a_warning(cloud: TencentSimulator, separator: CiSeparator) -> None:
    cloud.has_asr, cloud.has_media = False, True
    findings = asyncio.run(separator.examine())
    assert [finding.verdict.value for finding in findings] == ["ok", "ok", "ok", "warning", "ok"]
