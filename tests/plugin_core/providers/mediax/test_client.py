"""The three actions, as they are sent and as they are answered."""

from __future__ import annotations

import json
import logging
from asyncio import run
from typing import Any

import pytest

from plugin_core.errors import (
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    StembridgeError,
    TransientError,
    UnclearAnswerError,
    UsageError,
)
from plugin_core.providers.mediax.answers import DIMENSIONS, read_job
from plugin_core.providers.mediax.client import MediaxClient, descriptor, gateway_headers
from plugin_core.settings import Secret
from tests.plugin_core.providers.mediax.conftest import SONG, client_for
from tests.simulators import faults
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator

JSON = {"Content-Type": "application/json"}


def create(client: MediaxClient, custom_id: str = "key-1", **rest: Any) -> Any:
    return run(client.create_job({"url": SONG.reveal()}, [descriptor(["mood", "genre"])], custom_id=custom_id, **rest))


def test_create_sends_what_the_documentation_says(service: MediaxSimulator) -> None:
    job = create(client_for(service, timeout=99), callback="https://me.example/hook")
    sent = json.loads(service.requests("POST", "/job")[0].body)
    assert sent["requestId"]
    assert {name: sent[name] for name in ("action", "secretId", "secretKey")} == {
        "action": "CreateJob",
        "secretId": SECRET_ID,
        "secretKey": SECRET_KEY,
    }
    assert sent["createJobRequest"] == {
        "customId": "key-1",
        "callback": "https://me.example/hook",
        "timeout": 99,
        "inputs": [{"url": SONG.reveal()}],
        "outputs": [{"inputSelectors": [0], "smartContentDescriptor": {"musicTagV2": {"tagType": ["mood", "genre"]}}}],
    }
    assert (job.id in service.jobs, job.state, job.custom_id) == (True, 1, "key-1")


def test_get_walks_with_the_job(service: MediaxSimulator) -> None:
    client = client_for(service)
    job_id = create(client).id
    assert [run(client.get_job(job_id)).state for _ in range(3)] == [1, 2, 3]


def test_list_finds_every_job_of_a_custom_id(service: MediaxSimulator) -> None:
    client = client_for(service)
    jobs = {create(client, "twice").id, create(client, "twice").id}
    create(client, "other")
    assert {job.id for job in run(client.list_jobs("twice"))} == jobs
    assert run(client.list_jobs("never")) == ()


@pytest.mark.parametrize(
    ("dimensions", "types"),
    [(DIMENSIONS, ["all"]), (("genre", "mood"), ["mood", "genre"]), (("bgm",), ["bgm"])],
    ids=["all alone", "in their order", "one"],
)
def test_dimensions_are_asked_for_as_the_service_wants(dimensions: tuple[str, ...], types: list[str]) -> None:
    assert descriptor(dimensions)["smartContentDescriptor"]["musicTagV2"]["tagType"] == types


@pytest.mark.parametrize("dimensions", [("moods",), (), ("all", "mood")], ids=["unknown", "none", "all and more"])
def test_wrong_dimensions_are_refused_before_anything_is_sent(dimensions: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        descriptor(dimensions)


@pytest.mark.parametrize("length", [0, 64])
def test_a_custom_id_the_service_would_refuse_is_not_sent(service: MediaxSimulator, length: int) -> None:
    with pytest.raises(UsageError, match="customId"):
        create(client_for(service), "x" * length)
    assert service.log == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.reset_before, OutcomeUnknownError),
        (faults.reset_after, OutcomeUnknownError),
        (faults.server_error, OutcomeUnknownError),
        (faults.bad_gateway, OutcomeUnknownError),
        (faults.html_page, OutcomeUnknownError),
        (faults.rate_limited, TransientError),
    ],
)
def test_a_create_is_sent_once_whatever_comes_back(
    service: MediaxSimulator, fault: Any, kind: type[StembridgeError]
) -> None:
    service.faults.add(fault("POST", "/job", times=None))
    with pytest.raises(kind):
        create(client_for(service))
    assert len(service.requests("POST", "/job")) == 1


@pytest.mark.parametrize(
    "fault", [faults.reset_before, faults.server_error, faults.bad_gateway, faults.html_page, faults.rate_limited]
)
def test_asking_is_repeated(service: MediaxSimulator, fault: Any) -> None:
    client = client_for(service)
    job_id = create(client).id
    service.faults.add(fault("POST", "/job", times=2))
    assert run(client.get_job(job_id)).id == job_id


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("secretId or secretKey is wrong", RefusedError),
        ("账户欠费", RefusedError),
        ("download of the input failed: 403 Forbidden", ServiceError),
        ("the url says AccessDenied: Request has expired", ServiceError),
        ("invalid input: secretId is unregistered", RefusedError),
        ("request frequency limit exceeded", TransientError),
        ("job not found", ServiceError),
        ("unsupported audio", ServiceError),
    ],
)
def test_errors_come_with_status_200_and_are_told_apart(
    service: MediaxSimulator, message: str, kind: type[StembridgeError]
) -> None:
    body = json.dumps({"errorResponse": {"message": message}})
    service.faults.add(faults.refuse("POST", "/job", 200, body, headers=JSON, times=9))
    with pytest.raises(StembridgeError, match=message) as raised:
        run(client_for(service).get_job("x"))
    assert type(raised.value) is kind


@pytest.mark.parametrize("filled", [None, {}, {"job": None}], ids=repr)
def test_an_error_outweighs_an_object_without_content(service: MediaxSimulator, filled: object) -> None:
    error = {"errorResponse": {"message": "unsupported audio"}}
    body = json.dumps({f"{action}Response": filled for action in ("createJob", "getJob", "listJobs")} | error)
    service.faults.add(faults.refuse("POST", "/job", 200, body, headers=JSON, times=None))
    client = client_for(service)
    for ask in (lambda: create(client), lambda: run(client.get_job("x")), lambda: run(client.list_jobs("x"))):
        with pytest.raises(ServiceError, match="unsupported audio"):
            ask()


def test_an_answer_that_names_no_job_does_not_mean_that_there_is_none(service: MediaxSimulator) -> None:
    service.faults.add(faults.refuse("POST", "/job", 200, '{"getJobResponse": {}}', headers=JSON))
    with pytest.raises(UnclearAnswerError):
        run(client_for(service).get_job("x"))


@pytest.mark.parametrize("status", [404, 405])
def test_an_address_where_nothing_answers_took_no_job(service: MediaxSimulator, status: int) -> None:
    service.faults.add(
        faults.refuse("POST", "/job", status, "<html>Not here</html>", headers={"Content-Type": "text/html"})
    )
    with pytest.raises(ServiceError, match="base_url"):
        create(client_for(service))


def test_a_refused_create_made_nothing(service: MediaxSimulator) -> None:
    with pytest.raises(RefusedError, match="secretId or secretKey is wrong"):
        create(client_for(service, secret_key=Secret("not-the-key")))
    assert service.created == 0


@pytest.mark.parametrize("body", ["{}", '{"createJobResponse": {}}', '{"createJobResponse": {"job": {}}}', "[]"])
def test_an_answer_without_a_job_leaves_the_outcome_open(service: MediaxSimulator, body: str) -> None:
    service.faults.add(faults.refuse("POST", "/job", 200, body, headers=JSON))
    with pytest.raises(OutcomeUnknownError):
        create(client_for(service))


def test_gateway_headers_reproduce_the_worked_vector() -> None:
    headers = gateway_headers(Secret("gw-id"), Secret("gw-key"), "uin_demo", 1700000060.0)
    assert headers["Date"] == "Tue, 14 Nov 2023 22:14:20 GMT"
    assert 'signature="ctzxnOlfVPVznbtx3zRUOI8Y/tE="' in str.__str__(headers["Authorization"])


def test_gateway_headers_are_sent_only_when_configured() -> None:
    gateway = ("gw-id", "gw-key", "uin_demo")
    with MediaxSimulator(fetches=False, gateway=gateway) as service:
        rest = {"gateway_id": Secret("gw-id"), "gateway_key": Secret("gw-key"), "gateway_source": "uin_demo"}
        assert create(client_for(service, **rest)).state == 1
        with pytest.raises(RefusedError, match="HMAC"):
            create(client_for(service))


def test_no_secret_reaches_a_log_or_an_error(service: MediaxSimulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f'{{"errorResponse": {{"message": "bad request {SECRET_KEY} {SONG.reveal()}"}}}}'
    client = client_for(service)
    create(client)
    service.faults.add(faults.refuse("POST", "/job", 200, echo, headers=JSON, times=9))
    with pytest.raises(StembridgeError) as raised:
        create(client)
    for text in (caplog.text, str(raised.value), repr(client)):
        assert SECRET_KEY not in text
        assert "s3cret" not in text


@pytest.mark.parametrize("message", ["internal error", "request timeout", "too many requests", ""])
def test_a_busy_service_may_have_taken_a_create(service: MediaxSimulator, message: str) -> None:
    body = json.dumps({"errorResponse": {"message": message}})
    service.faults.add(faults.refuse("POST", "/job", 200, body, headers=JSON, after=True))
    with pytest.raises(OutcomeUnknownError, match="may have been accepted"):
        create(client_for(service))
    assert service.created == 1


@pytest.mark.parametrize(
    "listed", [{"jobs": [], "total": 1}, {"total": "2"}, {"jobs": [{"id": "x", "customId": "other"}], "total": 2}]
)
def test_a_list_that_names_fewer_jobs_than_it_counts_proves_nothing(
    service: MediaxSimulator, listed: dict[str, Any]
) -> None:
    body = json.dumps({"listJobsResponse": listed})
    service.faults.add(faults.refuse("POST", "/job", 200, body, headers=JSON))
    with pytest.raises(TransientError, match="counts more jobs than it names"):
        run(client_for(service).list_jobs("key"))


@pytest.mark.parametrize("total", [0, "0", None, "many"])
def test_a_list_of_nothing_is_empty(service: MediaxSimulator, total: object) -> None:
    body = json.dumps({"listJobsResponse": {"total": total}})
    service.faults.add(faults.refuse("POST", "/job", 200, body, headers=JSON))
    assert run(client_for(service).list_jobs("key")) == ()


@pytest.mark.parametrize("padding", [0, 40, 120, 200])
def test_a_link_that_a_failed_job_repeats_is_masked(service: MediaxSimulator, padding: int) -> None:
    link = "https://b.cos.example.com/song.mp3?q-ak=AKIDEXAMPLE00&q-sign-time=1%3B2&q-signature=0123456789abcdef"
    client = client_for(service)
    job_id = create(client).id
    service.walk, service.jobs[job_id].states = (4,), [4]
    service.jobs[job_id].reason = f"cannot read {'x' * padding} {link} \x1b[31m"
    reason = run(client.get_job(job_id)).reason
    assert reason.startswith("cannot read")
    for hidden in ("AKIDEXAMPLE", "0123", "\x1b"):
        assert hidden not in reason


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"message": "no audio"}, "no audio"),
        ({"error": "no audio"}, "no audio"),
        ({"error": {"code": 7, "message": "no audio"}}, "no audio"),
        ({"message": "", "error": "no audio"}, "no audio"),
        ({"message": "no audio", "error": "E7"}, "no audio"),
        ({}, ""),
    ],
    ids=["message", "error", "nested", "empty message", "both", "none"],
)
def test_why_a_job_failed_is_said_in_one_of_several_places(words: dict[str, Any], reason: str) -> None:
    job = read_job({"id": "x", "state": "4", **words})
    assert job is not None
    assert (job.state, job.reason) == (4, reason)


@pytest.mark.parametrize("state", ["1e400", "NaN", "true", '"x"', "null", "[]"])
def test_a_state_that_is_no_number_counts_as_work(service: MediaxSimulator, state: str) -> None:
    body = f'{{"getJobResponse": {{"job": {{"id": "x", "state": {state}}}}}}}'
    service.faults.add(faults.refuse("POST", "/job", 200, body, headers=JSON))
    assert run(client_for(service).get_job("x")).is_working
