from __future__ import annotations

import re
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_core.errors import RefusedError, ServiceError, SettingsError, StembridgeError, TransientError
from plugin_core.providers.tencent_ci import caller
from plugin_core.providers.tencent_ci.caller import (
    DIALECT,
    NoRightError,
    nodes_of,
    read_xml,
    refusal,
    text_of,
    write_xml,
)
from plugin_core.transfer import Answer

BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY c "&a;&a;&a;">]><b>&c;</b>"""


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        b"<!DOCTYPE html><html><body>502</body></html>",
        b"",
        b"no xml",
        b"<a><b></a>",
        b"\xff\xfe\x00",
        b"<?xml version='1.0' encoding='bogus'?><a/>",
    ],
    ids=["bomb", "html", "empty", "text", "unclosed", "binary", "encoding"],
)
def test_what_is_no_plain_xml_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(ServiceError, match=r"^Tencent CI: .*answer") as caught:
        read_xml(content, "Tencent CI")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "text",
    ['<!DOCTYPE b [<!ENTITY a "x">]><b><c>&a;</c></b>', '<!DOCTYPE b SYSTEM "file:///etc/passwd"><b><c>a</c></b>'],
    ids=["entity", "external"],
)
def test_a_document_type_is_refused_in_any_encoding(encoding: str, text: str) -> None:
    with pytest.raises(ServiceError):
        read_xml(text.encode(encoding), "x")


def test_one_child_and_many_are_both_lists() -> None:
    one = read_xml(b"<Response><JobsDetail><JobId>a</JobId></JobsDetail></Response>", "x")
    two = read_xml(b"<Response><JobsDetail><JobId>a</JobId></JobsDetail><JobsDetail/></Response>", "x")
    assert [node["JobId"] for node in nodes_of(one, "JobsDetail")] == ["a"]
    assert len(nodes_of(two, "JobsDetail")) == 1


def test_white_space_ahead_of_the_declaration_is_skipped() -> None:
    assert read_xml(b'\n \n<?xml version="1.0"?><R><ETag>x</ETag></R>', "x") == {"ETag": "x"}


def test_empty_nodes_are_left_out_and_the_rest_is_escaped() -> None:
    nodes = {"Name": "a<&>ü", "Nothing": "", "None": None, "Inner": {"Empty": ""}, "Zero": "0"}
    assert write_xml("R", nodes) == "<R><Name>a&lt;&amp;&gt;ü</Name><Zero>0</Zero></R>".encode()


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).map(str.strip))
def test_any_text_survives_writing_and_reading(text: str) -> None:
    if text and "\ufffe" not in text and "\uffff" not in text:
        assert text_of(read_xml(write_xml("R", {"T": text}), "x").get("T")) == text


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        assert isinstance(read_xml(content, "x"), dict)
    except ServiceError as error:
        assert "\n" not in str(error)


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


def codes_of(row: str) -> list[str]:
    """Return the errors that a row of the README is about."""
    readme = (Path(caller.__file__).parent / "README.md").read_text("utf-8")
    (line,) = [line for line in readme.splitlines() if f"`{row}`" in line and line.startswith("| `")]
    return re.findall(r"`(\w+)`", line.split(" | ")[0])


def test_what_is_said_of_the_request_ends_the_job_in_the_services_words() -> None:
    codes = codes_of("test_what_is_said_of_the_request_ends_the_job_in_the_services_words")
    assert len(codes) > 15
    for code in codes:
        error = refusal("Tencent COS PUT Object", answer(400, code, "why it is wrong"), NOW)
        assert type(error) is ServiceError, code
        assert all(word in error.message for word in (code, "why it is wrong", "request id r-1"))


def test_what_passes_is_tried_again_whatever_its_status() -> None:
    codes = codes_of("test_what_passes_is_tried_again_whatever_its_status")
    assert {"RequestTimeout", "UserNetworkTooSlow"} < set(codes)
    for code in codes:
        assert type(refusal("Tencent COS PUT Object", answer(400, code), NOW)) is TransientError, code


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
