from __future__ import annotations

from email.utils import formatdate

import pytest

from plugin_core.errors import RefusedError, ServiceError, SettingsError, StembridgeError
from plugin_core.providers.tencent_ci.refusals import DIALECT, NoRightError, refusal
from plugin_core.transfer import Answer

NOW = 1_700_000_000.0


def answer(status: int, code: str = "", message: str = "words", **headers: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>r-1</RequestId></Error>" if code else ""
    return Answer(status, {"x-cos-request-id": "r-1", **headers}, body.encode())


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "words"),
    [
        (403, "InvalidAccessKeyId", "no", RefusedError, "stembridge login tencent_ci"),
        (403, "SignatureDoesNotMatch", "no", RefusedError, "stembridge login tencent_ci"),
        (400, "ExpiredToken", "no", RefusedError, "new token"),
        (403, "AccessDenied", "Access Denied.", NoRightError, "rights"),
        (403, "", "", NoRightError, "rights"),
        (402, "PaymentRequired", "", RefusedError, "arrears"),
        (403, "AccessDenied", "media processing service is not activated", RefusedError, "Smart Audio"),
        (400, "InvalidArgument", "bucket not bind ci", RefusedError, "Smart Audio"),
        (400, "ResourceDownloadFailed", "the object could not open", ServiceError, "could not open"),
        (404, "NoSuchBucket", "no", SettingsError, "bucket and region"),
        (301, "PermanentRedirect", "no", SettingsError, "the bucket is in another region: set [tencent] region"),
        (301, "", "", SettingsError, "the bucket is in another region: set [tencent] region"),
        (307, "TemporaryRedirect", "no", SettingsError, "bucket and region"),
        (400, "InvalidArgument", "The parameter Tag is wrong.", ServiceError, "Tag is wrong"),
        (404, "NoSuchKey", "no", ServiceError, "made again"),
    ],
)
def test_each_refusal_says_what_happened_and_what_to_do(
    status: int, code: str, message: str, kind: type[StembridgeError], words: str
) -> None:
    error = refusal("Tencent CI GET", answer(status, code, message), NOW)
    assert type(error) is kind
    assert words in str(error)
    assert "request id r-1" in error.message


@pytest.mark.parametrize(
    ("what", "right"),
    [
        ("Tencent CI POST /jobs", "ci:CreateMediaJobs"),
        ("Tencent CI GET /jobs/<id>", "ci:DescribeMediaJob,"),
        ("Tencent CI GET /jobs", "ci:DescribeMediaJobs"),
        ("Tencent CI PUT /jobs/<id>?cancel", "ci:CancelMediaJob"),
        ("Tencent CI DELETE /template/<id>", "ci:DeleteMediaTemplate"),
        ("Tencent CI GET /asrbucket", "ci:DescribeAsrBuckets"),
        ("Tencent CI CIStatus", "console"),
        ("Tencent COS PUT", "put, get and delete its objects"),
    ],
)
def test_the_right_that_is_missing_is_named(what: str, right: str) -> None:
    assert right in refusal(what, answer(403, "AccessDenied"), NOW).remedy


@pytest.mark.parametrize(
    ("what", "code", "message", "remedy"),
    [
        ("POST /jobs", "InvalidArgument", "The parameter QueueId is required.", "`stembridge tencent bucket` shows"),
        ("PUT /jobs/<id>?cancel", "InvalidArgument", "The job left its queue.", ""),
        ("POST /jobs", "ResourceNotFound", "The input object does not exist.", "has to be made again"),
        ("DELETE /template/<id>", "ResourceNotFound", "The template does not exist.", ""),
    ],
    ids=["queue", "cancel", "object", "template"],
)
def test_the_remedy_fits_the_call(what: str, code: str, message: str, remedy: str) -> None:
    error = refusal(f"Tencent CI {what}", answer(400, code, message), NOW)
    assert type(error) is ServiceError
    assert remedy in error.remedy
    assert bool(remedy) == bool(error.remedy)


@pytest.mark.parametrize(("offset", "words"), [(1800, "30 minutes fast"), (-1800, "30 minutes slow")])
def test_a_wrong_clock_is_said_in_plain_words(offset: float, words: str) -> None:
    date = formatdate(NOW - offset, usegmt=True)
    for code, message in [("RequestTimeTooSkewed", "x"), ("AccessDenied", "Request has expired")]:
        error = refusal("Tencent COS PUT", answer(403, code, message, date=date), NOW)
        assert isinstance(error, RefusedError)
        assert words in error.message
        assert "clock" in error.remedy


@pytest.mark.parametrize("content", [b"", b"<html><body>502 Bad Gateway</body></html>", b"<Error><Code>", b"{}"])
def test_what_is_no_xml_leaves_the_status(content: bytes) -> None:
    text = DIALECT.describe(Answer(502, {"x-ci-request-id": "r-2"}, content))
    assert "HTTP 502" in text
    assert "request id r-2" in text


def test_the_services_words_cannot_steer_a_terminal() -> None:
    hostile = answer(400, "InvalidArgument", "a&#10;b\u202e&#133;" + "x" * 1000)
    text = DIALECT.describe(hostile)
    assert "\n" not in text
    assert "\u202e" not in text
    assert len(text) < 400


def test_slow_down_is_slower() -> None:
    assert DIALECT.pause(answer(503, "SlowDown")) > DIALECT.pause(answer(503, "ServiceUnavailable")) == 0.0
