"""MediaX as the core drives it."""

from __future__ import annotations

from asyncio import run
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from plugin_core.abilities import HasDiagnostics, HasLogin
from plugin_core.errors import (
    GoneError,
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    SettingsError,
    StembridgeError,
    UnclearAnswerError,
    UsageError,
)
from plugin_core.model import Progress, Tagging, Verdict
from plugin_core.protocols import Finished, Order, ReadsFromUrl, Tagger, Terms, Waiting, terms_of
from plugin_core.providers.mediax.adapter import MediaxTagger
from plugin_core.providers.mediax.answers import DIMENSIONS
from plugin_core.settings import Secret
from tests.plugin_core.providers.mediax.conftest import client_for, settings_for, source_at, tagger_for
from tests.plugin_core.providers.plans import allow
from tests.simulators import faults
from tests.simulators.mediax import FORMS, LABELS, SECRET_ID, SECRET_KEY, MediaxSimulator
from tests.simulators.mediax_stems import CONTENT_ID

Make = Callable[..., Order]


def silent(_progress: Progress) -> None:
    return None


def test_it_keeps_every_promise_it_needs(service: MediaxSimulator) -> None:
    tagger = tagger_for(service)
    assert isinstance(tagger, Tagger)
    assert isinstance(tagger, ReadsFromUrl)
    assert isinstance(tagger, HasLogin)
    assert isinstance(tagger, HasDiagnostics)


def test_plan_fills_in_every_dimension_in_one_order(service: MediaxSimulator, tmp_path: Path) -> None:
    source = source_at(tmp_path / "song.mp3")
    tagger = tagger_for(service)
    everything = run(tagger.plan(source, Tagging(provider="mediax"))).operation
    some = run(tagger.plan(source, Tagging(provider="mediax", dimensions=("genre", "mood")))).operation
    assert isinstance(everything, Tagging)
    assert isinstance(some, Tagging)
    assert (everything.dimensions, some.dimensions) == (DIMENSIONS, ("mood", "genre"))


def test_plan_notes_a_format_the_service_does_not_advise(service: MediaxSimulator, tmp_path: Path) -> None:
    plan = run(tagger_for(service).plan(source_at(tmp_path / "song.ogg"), Tagging(provider="mediax")))
    assert "mp3 and wav" in plan.notes[0]


def test_plan_refuses_without_keys_and_says_how_to_get_in(service: MediaxSimulator, tmp_path: Path) -> None:
    tagger = tagger_for(service, secret_key=Secret(""))
    with pytest.raises(RefusedError, match="stembridge login mediax"):
        allow(run(tagger.plan(source_at(tmp_path / "song.mp3"), Tagging(provider="mediax"))))
    assert service.log == []


@pytest.mark.parametrize("url", ["listen.example.org/mediax/0a", "no", "https://", "https://x y"])
def test_plan_refuses_a_callback_that_is_no_address(service: MediaxSimulator, tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"\[mediax\] callback_url"):
        tagger = tagger_for(service, callback_url=url)
        allow(run(tagger.plan(source_at(tmp_path / "a.mp3"), Tagging(provider="mediax"))))


def test_plan_refuses_an_unknown_dimension(service: MediaxSimulator, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'moods'"):
        run(tagger_for(service).plan(source_at(tmp_path / "a.mp3"), Tagging(provider="mediax", dimensions=("moods",))))


@pytest.mark.parametrize("form", FORMS)
def test_a_job_walks_to_its_labels(form: str, order: Make) -> None:
    with MediaxSimulator(fetches=False, form=form) as service:
        tagger = tagger_for(service)
        ticket = run(tagger.submit(order(), silent))
        answers = [run(tagger.poll(order(ticket=ticket.remote_id), silent)) for _ in range(3)]
    assert [type(answer) for answer in answers] == [Waiting, Waiting, Finished]
    assert isinstance(answers[2], Finished)
    found = {label.dimension: (label.value, label.probability) for label in answers[2].labels}
    assert found == {dimension: (text, float(number)) for dimension, (text, number) in LABELS.items()}


def test_waits_grow_to_half_a_minute(order: Make) -> None:
    """By the age of the job, so that they are the same in every process."""
    with MediaxSimulator(fetches=False, walk=(2,) * 20) as service:
        tagger = MediaxTagger(settings_for(service), client_for(service), clock=lambda: 1000.0)
        paid = order(ticket=run(tagger.submit(order(), silent)).remote_id)
        ages = (0, 100, 1000)
        waits = [run(tagger.poll(msgspec.structs.replace(paid, sent=1000.0 - age), silent)) for age in ages]
    assert [wait.seconds for wait in waits if isinstance(wait, Waiting)] == [5.0, 10.0, 30.0]


@pytest.mark.parametrize(("state", "words"), [(4, "internal failure of the model"), (5, "was cancelled")])
def test_a_bad_end_has_the_services_words(state: int, words: str, order: Make) -> None:
    with MediaxSimulator(fetches=False, walk=(1, state)) as service:
        tagger = tagger_for(service)
        ticket = order(ticket=run(tagger.submit(order(), silent)).remote_id)
        run(tagger.poll(ticket, silent))
        with pytest.raises(ServiceError, match=words):
            run(tagger.poll(ticket, silent))


def test_an_input_the_service_cannot_read_fails_clearly(order: Make) -> None:
    with MediaxSimulator() as service:
        tagger = tagger_for(service)
        ticket = order(ticket=run(tagger.submit(order(), silent)).remote_id)
        run(tagger.poll(ticket, silent))
        with pytest.raises(ServiceError, match="download input failed; check that the service can read"):
            run(tagger.poll(ticket, silent))


def test_a_job_the_service_does_not_know_is_gone(service: MediaxSimulator, order: Make) -> None:
    """The core bears that while the job is new."""
    with pytest.raises(GoneError, match="job not found"):
        run(tagger_for(service).poll(order(ticket="gone"), silent))


def test_words_nobody_knows_do_not_end_a_paid_job(service: MediaxSimulator, order: Make) -> None:
    tagger = tagger_for(service)
    ticket = order(ticket=run(tagger.submit(order(), silent)).remote_id)
    body = '{"errorResponse": {"message": "E1047"}}'
    service.faults.add(faults.refuse("POST", "/job", 200, body, headers={"Content-Type": "application/json"}))
    with pytest.raises(UnclearAnswerError, match="E1047"):
        run(tagger.poll(ticket, silent))
    assert isinstance(run(tagger.poll(ticket, silent)), Waiting)


def test_a_job_whose_answer_was_lost_is_found(service: MediaxSimulator, order: Make) -> None:
    tagger = tagger_for(service)
    service.faults.add(faults.reset_after("POST", "/job"))
    with pytest.raises(OutcomeUnknownError):
        run(tagger.submit(order(), silent))
    ticket = run(tagger.find(order()))
    assert ticket is not None
    assert ticket.remote_id in service.jobs


def test_of_several_jobs_one_that_still_works_is_found(order: Make) -> None:
    with MediaxSimulator(fetches=False) as service:
        tagger = tagger_for(service)
        first = run(tagger.submit(order(), silent))
        service.jobs[first.remote_id].states = [4]
        second = run(tagger.submit(order(), silent))
        found = run(tagger.find(order()))
        assert found is not None
        assert found.remote_id == second.remote_id


def test_a_failed_job_is_taken_only_once_a_later_one_would_be_listed(order: Make) -> None:
    now = 1000.0
    with MediaxSimulator(fetches=False, walk=(4,)) as service:
        tagger = MediaxTagger(settings_for(service, register_seconds=15), client_for(service), clock=lambda: now)
        failed = run(tagger.submit(order(), silent))
        lost = msgspec.structs.replace(order(), looked_since=now)
        assert run(tagger.find(lost)) is None
        now += 15
        found = run(tagger.find(lost))
        assert found is not None
        assert found.remote_id == failed.remote_id


def test_what_is_not_listed_is_none(service: MediaxSimulator, order: Make) -> None:
    """When that is surely absent, the core says, by ``register_seconds``."""
    tagger = tagger_for(service, register_seconds=15)
    assert run(tagger.find(order())) is None
    assert terms_of(tagger) == Terms(register_seconds=15)


def test_a_refused_list_does_not_mean_absent(service: MediaxSimulator, order: Make) -> None:
    with pytest.raises(OutcomeUnknownError):
        run(tagger_for(service, secret_key=Secret("not-the-key")).find(order()))


def test_without_a_url_nothing_is_sent(service: MediaxSimulator, order: Make) -> None:
    with pytest.raises(ServiceError, match="stager"):
        run(tagger_for(service).submit(order(url=Secret("")), silent))
    assert service.log == []


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"success":true}',
        '"maybe"',
        "[]",
        '{"listJobsResponse":null}',
        '{"listJobsResponse":{}}',
        '{"listJobsResponse":[]}',
        '{"listJobsResponse":"ok"}',
        '{"getJobResponse":{"job":{"id":"x"}}}',
    ],
)
def test_keys_that_the_service_never_confirmed_are_not_kept(service: MediaxSimulator, body: str) -> None:
    tagger = tagger_for(service, secret_id=Secret(""), secret_key=Secret(""))
    json_type = {"Content-Type": "application/json"}
    service.faults.add(faults.refuse("POST", "/job", 200, body, headers=json_type, times=None))
    with pytest.raises(StembridgeError, match="MediaX ListJobs"):
        run(tagger.login({"secret_id": Secret(SECRET_ID), "secret_key": Secret(SECRET_KEY)}))


def test_login_tries_the_keys(service: MediaxSimulator) -> None:
    tagger = tagger_for(service, secret_id=Secret(""), secret_key=Secret(""))
    good = {"secret_id": Secret(SECRET_ID), "secret_key": Secret(SECRET_KEY)}
    assert dict(run(tagger.login(good))) == good
    with pytest.raises(RefusedError):
        run(tagger.login(good | {"secret_key": Secret("not-the-key")}))
    assert service.created == 0


@pytest.mark.parametrize(
    ("rest", "verdicts"),
    [
        ({}, [Verdict.OK]),
        ({"secret_key": Secret("not-the-key")}, [Verdict.WRONG]),
        ({"secret_id": Secret("")}, [Verdict.WRONG]),
        ({"secret_id": Secret(""), "secret_key": Secret("")}, [Verdict.OK]),
    ],
    ids=["well", "wrong key", "half", "not used"],
)
def test_the_doctor_tries_the_keys(service: MediaxSimulator, rest: dict[str, Secret], verdicts: list[Verdict]) -> None:
    assert [finding.verdict for finding in run(tagger_for(service, **rest).examine())] == verdicts


def test_an_account_is_named_without_its_id(service: MediaxSimulator) -> None:
    one, other = tagger_for(service), tagger_for(service, secret_id=Secret("other"))
    assert one.account() != other.account()
    assert SECRET_ID not in one.account()
    assert settings_for(service).slots == run(one.slots())


def test_a_state_nobody_knows_is_named(order: Make) -> None:
    """How long it is borne is for the core to say; the job is paid for."""
    with MediaxSimulator(fetches=False, walk=(1, 9, 2)) as service:
        tagger = tagger_for(service)
        paid = order(ticket=run(tagger.submit(order(), silent)).remote_id)
        said = [run(tagger.poll(paid, silent)) for _ in range(3)]
    assert [bool(answer.unclear) for answer in said if isinstance(answer, Waiting)] == [False, True, False]


def test_a_song_may_be_named_by_its_place_in_the_bucket(service: MediaxSimulator, order: Make, tmp_path: Path) -> None:
    read: list[str] = []
    service.bucket = lambda path: read.append(path) or b"song"  # type: ignore[func-returns-value]
    tagger = tagger_for(service, input="source", content_id=CONTENT_ID)
    run(tagger.plan(source_at(tmp_path / "song.mp3"), Tagging(provider="mediax")))
    url = Secret("https://songs-1250000000.cos.x.example/my%20music/S%C3%B3ng.mp3?q-signature=s3cret")
    ticket = run(tagger.submit(order(url=url), silent))
    assert read == ["my music/Sóng.mp3"]
    (made,) = service.log
    assert "s3cret" not in made.body.decode()
    answer = Waiting(seconds=0, progress=Progress())
    while isinstance(answer, Waiting):
        answer = run(tagger.poll(order(ticket=ticket.remote_id), silent))  # type: ignore[assignment]
    assert isinstance(answer, Finished)
    assert answer.labels


def test_a_place_in_the_bucket_wants_to_know_which(service: MediaxSimulator, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="content_id is not set"):
        tagger = tagger_for(service, input="source")
        allow(run(tagger.plan(source_at(tmp_path / "s.mp3"), Tagging(provider="mediax"))))
