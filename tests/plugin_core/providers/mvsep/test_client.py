"""Every endpoint against the simulated service: what is sent, to the byte, and what comes back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from plugin_core.errors import (
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    SettingsError,
    SourceError,
    StembridgeError,
    TransientError,
    UsageError,
)
from plugin_core.providers.mvsep.catalogue import read_algorithms
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.job_calls import Created, Creation, Phase
from plugin_core.settings import Secret
from plugin_core.transfer import Bytes, Transfer
from tests.audio_files import write_song
from tests.simulators.faults import bad_gateway, html_page, rate_limited, refuse, reset_after, reset_before
from tests.simulators.messages import LogEntry
from tests.simulators.mvsep import FREE_TOKEN, PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.budgets import Budget
from tests.simulators.mvsep.walks import FOREVER, INSTANT, LONG, waiting

T = TypeVar("T")
Do = Callable[[MvsepClient], Awaitable[Any]]


@pytest.fixture
def service() -> Iterator[MvsepSimulator]:
    with MvsepSimulator(audio="echo", nodes=2) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_song(tmp_path_factory.mktemp("song") / "Song.wav", 1.0)


def client_of(service: MvsepSimulator, token: str = PREMIUM_TOKEN) -> MvsepClient:
    async def sleep(seconds: float) -> None:
        service.clock.advance(seconds)

    return MvsepClient(
        service.api,
        Secret(token),
        trusted=["127.0.0.1"],
        transfer=Transfer("MVSEP", clock=service.clock, sleep=sleep, rng=lambda: 0.0),
    )


def ask(service: MvsepSimulator, do: Callable[[MvsepClient], Awaitable[T]], token: str = PREMIUM_TOKEN) -> T:
    async def go() -> T:
        client = client_of(service, token)
        async with client.transfer:
            return await do(client)

    return asyncio.run(go())


def create(song: Path, report: Bytes | None = None, **values: Any) -> Callable[[MvsepClient], Awaitable[Created]]:
    creation = Creation(**{"model": "40", "output_format": 1, "audio": song, **values})
    return lambda client: client.create(creation, report=report)


ENDPOINTS: dict[str, tuple[Do, str, str, dict[str, str]]] = {
    "get": (lambda c: c.get("h-1"), "GET", "separation/get", {"hash": "h-1", "mirror": "0"}),
    "get-mirror": (
        lambda c: c.get("h-1", mirror=True),
        "GET",
        "separation/get",
        {"api_token": PREMIUM_TOKEN, "hash": "h-1", "mirror": "1"},
    ),
    "get-remote": (lambda c: c.get_remote("short"), "GET", "separation/get-remote", {"hash": "short"}),
    "algorithms": (
        lambda c: c.algorithms(),
        "GET",
        "app/algorithms",
        {"scopes": "single_upload,no_upload,matchering_upload"},
    ),
    "news": (lambda c: c.news(start=3), "GET", "app/news", {"lang": "en", "start": "3", "limit": "10"}),
    "queue": (lambda c: c.queue(), "GET", "app/queue", {"api_token": PREMIUM_TOKEN}),
    "queue-summary": (lambda c: c.queue_summary(), "GET", "app/queue/summary", {"api_token": PREMIUM_TOKEN}),
    "demo": (lambda c: c.demo(), "GET", "app/demo", {"start": "0", "limit": "10"}),
    "demo-of-model": (
        lambda c: c.demo(algorithm_id=40, options={"add_opt1": "81"}),
        "GET",
        "app/demo",
        {"start": "0", "limit": "10", "algorithm_id": "40", "options[add_opt1]": "81"},
    ),
    "login": (
        lambda c: c.login("free@example.org", Secret("secret")),
        "POST",
        "app/login",
        {"email": "free@example.org", "password": "secret"},
    ),
    "register": (
        lambda c: c.register("N", "new@example.org", Secret("p&ss=ü")),
        "POST",
        "app/register",
        {"name": "N", "email": "new@example.org", "password": "p&ss=ü", "password_confirmation": "p&ss=ü"},
    ),
    "user": (lambda c: c.user(), "GET", "app/user", {"api_token": PREMIUM_TOKEN}),
    "history": (
        lambda c: c.history(start=20),
        "GET",
        "app/separation_history",
        {"api_token": PREMIUM_TOKEN, "start": "20", "limit": "20"},
    ),
    "enable-premium": (lambda c: c.set_premium(True), "POST", "app/enable_premium", {"api_token": PREMIUM_TOKEN}),
    "disable-premium": (lambda c: c.set_premium(False), "POST", "app/disable_premium", {"api_token": PREMIUM_TOKEN}),
    "enable-long-names": (
        lambda c: c.set_long_filenames(True),
        "POST",
        "app/enable_long_filenames",
        {"api_token": PREMIUM_TOKEN},
    ),
    "disable-long-names": (
        lambda c: c.set_long_filenames(False),
        "POST",
        "app/disable_long_filenames",
        {"api_token": PREMIUM_TOKEN},
    ),
    "quality-queue": (lambda c: c.quality_queue(), "GET", "quality_checker/queue", {"start": "0", "limit": "10"}),
    "quality-leaderboard": (
        lambda c: c.quality_leaderboard(dataset_type=1, name_filter="bs", sort="sdr_vocals"),
        "GET",
        "quality_checker/leaderboard",
        {"dataset_type": "1", "start": "0", "limit": "10", "algo_name_filter": "bs", "sort": "sdr_vocals"},
    ),
}


@pytest.mark.parametrize(("do", "method", "path", "sent"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_sends_exactly_what_an_endpoint_takes(
    service: MvsepSimulator, do: Do, method: str, path: str, sent: dict[str, str]
) -> None:
    ask(service, do)
    (entry,) = service.log
    assert (entry.method, entry.path) == (method, f"/api/{path}")
    if method == "GET":
        assert (entry.query, entry.length) == (sent, 0)
    else:
        assert (entry.query, dict(httpx.QueryParams(entry.body.decode()))) == ({}, sent)
        assert entry.headers["content-type"] == "application/x-www-form-urlencoded"


def form_of(entry: LogEntry) -> dict[str, str]:
    assert entry.query == {}
    assert entry.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert int(entry.headers["content-length"]) == entry.length
    return entry.form


def test_creates_from_a_file(service: MvsepSimulator, song: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    options = {"add_opt1": "81", "add_opt2": ""}
    do = create(song, name='näme "x".wav', options=options, report=lambda *at: seen.append(at))
    created = ask(service, do)
    (entry,) = service.log
    assert form_of(entry) == {
        "api_token": PREMIUM_TOKEN,
        "sep_type": "40",
        "output_format": "1",
        "is_demo": "0",
        "add_opt1": "81",
    }
    data = song.read_bytes()
    assert entry.files == {
        "audiofile": {
            "filename": 'näme "x".wav',
            "length": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    }
    assert seen[-1] == (entry.length, entry.length)
    assert created.hash == service.jobs[0].hash
    assert created.link.endswith(f"/api/separation/get?hash={created.hash}")


def test_creates_from_a_link_and_follows_it(service: MvsepSimulator, song: Path) -> None:
    service.behave(Behaviour(remote_walk=(waiting(2),)))
    source = ask(service, create(song))
    link = f"{service.url}/storage/temp/{source.hash}"
    short = ask(service, create(song, audio=None, url=Secret(link), remote_type="direct"))
    assert form_of(service.log[1]) == {
        "api_token": PREMIUM_TOKEN,
        "sep_type": "40",
        "output_format": "1",
        "is_demo": "0",
        "url": link,
        "remote_type": "direct",
    }
    polls = [ask(service, lambda c: c.get_remote(short.hash)) for _ in range(4)]
    assert [poll.phase for poll in polls] == [Phase.MISSING, Phase.MISSING, Phase.WAITING, Phase.DONE]
    assert (polls[2].current_order, polls[2].queue_count) == (2, 3)
    assert "please wait" in polls[0].message
    assert polls[3].hash == service.jobs[1].hash
    assert ask(service, lambda c: c.get(short.hash)).phase is Phase.MISSING


def test_creates_from_a_pair_and_from_nothing(service: MvsepSimulator, song: Path) -> None:
    ask(service, create(song, audio=None, model="68", target_audio=song, reference_audio=song))
    ask(service, create(song, audio=None, model="115", options={"add_opt1": "la la"}, is_demo=True))
    assert set(service.log[0].files) == {"target_audiofile", "reference_audiofile"}
    assert service.log[1].files == {}
    assert service.log[1].form["is_demo"] == "1"


@pytest.mark.parametrize(
    "values",
    [{"url": "https://x.example/a"}, {"target_audio": Path("a")}, {"remote_type": "ftp"}, {"options": {"sep": "1"}}],
    ids=["two-inputs", "half-a-pair", "kind-of-link", "option"],
)
def test_what_no_create_can_be_is_not_sent(service: MvsepSimulator, song: Path, values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ask(service, create(song, **values))
    assert service.log == []


def test_an_empty_or_absent_file_is_not_sent(service: MvsepSimulator, tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    for path, words in ((empty, "is empty"), (tmp_path / "absent.wav", "cannot be read")):
        with pytest.raises(SourceError, match=words):
            ask(service, create(path))
    assert service.log == []


def test_without_a_token_nothing_is_sent(service: MvsepSimulator, song: Path) -> None:
    for do in (create(song), lambda c: c.user(), lambda c: c.cancel("h")):
        with pytest.raises(RefusedError, match="stembridge login mvsep"):
            ask(service, do, token="")
    assert ask(service, lambda c: c.queue(), token="").plan == "free"
    assert service.log[0].query == {}


def test_follows_a_job_to_its_files(service: MvsepSimulator, song: Path, tmp_path: Path) -> None:
    service.behave(Behaviour(walk=LONG, has_bytes="text"))
    job = ask(service, create(song)).hash
    polls = [ask(service, lambda c: c.get(job)) for _ in range(len(LONG) + 1)]
    assert [poll.current_order for poll in polls[:3]] == [3, 2, 1]
    assert [(poll.finished_chunks, poll.all_chunks) for poll in polls[4:8]] == [(done, 3) for done in range(4)]
    assert [poll.phase for poll in polls[2:4]] == [Phase.WAITING, Phase.RUNNING]
    assert (polls[-1].phase, polls[-1].status) == (Phase.DONE, "done")
    file = polls[-1].files[0]
    length = ask(service, lambda c: c.download(file.url, tmp_path / "stem", size=file.bytes))
    assert length == file.bytes == (tmp_path / "stem").stat().st_size
    downloaded = service.requests("GET", "/storage/*")[0]
    assert PREMIUM_TOKEN not in json.dumps(downloaded.as_json())


def test_cancels_and_deletes_where_the_job_lives(service: MvsepSimulator, song: Path) -> None:
    service.behave(Behaviour(region=1, walk=(waiting(1, seconds=60),)))

    async def go(client: MvsepClient) -> None:
        created = await client.create(Creation(model="40", output_format=1, audio=song))
        origin = client.origin_of(created.link)
        assert origin == f"{service.urls[1]}/api"
        with pytest.raises(ServiceError, match=r"File or File Hash not found \(HTTP 400\)"):
            await client.cancel(created.hash)
        assert (await client.cancel(created.hash, origin=origin)).success
        with pytest.raises(ServiceError):
            await client.cancel(created.hash, origin=origin)
        second = await client.create(Creation(model="40", output_format=1, audio=song))
        service.clock.advance(100)
        assert (await client.delete(second.hash, origin=origin)).success
        assert (await client.get(second.hash, origin=origin)).phase is Phase.MISSING

    ask(service, go)
    posted = [entry for entry in service.requests("POST") if not entry.path.endswith("create")]
    assert [entry.node for entry in posted] == [0, 1, 1, 1]
    assert posted[1].form == {"api_token": PREMIUM_TOKEN, "hash": service.jobs[0].hash}
    assert service.charges[0]["refunded"]


def test_the_token_goes_to_no_stranger(service: MvsepSimulator) -> None:
    for origin in ("https://evil.example/api", "https://mvsep.com.evil.example/api", "http://mvsep.com/api"):
        for do in (
            lambda c, at=origin: c.cancel("h", origin=at),
            lambda c, at=origin: c.get("h", origin=at, mirror=True),
        ):
            with pytest.raises(ServiceError, match="the token is not sent there"):
                ask(service, do)
    assert service.log == []


def test_reads_account_and_history(service: MvsepSimulator, song: Path) -> None:
    service.behave(Behaviour(walk=FOREVER, time_left=-2031))
    job = ask(service, create(song)).hash
    for is_drifting in (False, True):
        service.is_drifting = is_drifting
        user = ask(service, lambda c: c.user())
        assert (user.premium_minutes, user.premium_enabled, user.long_filenames_enabled) == (99_999, True, False)
        assert [one.hash for one in user.current_queue] == [job]
        assert user.api_token.reveal() == ("" if is_drifting else PREMIUM_TOKEN)
        (entry,) = ask(service, lambda c: c.history())
        assert (entry.hash, entry.time_left, entry.job_exists, entry.credits) == (job, -2031, True, 1)
        assert (entry.algorithm.render_id, entry.algorithm.group) != (None, "")
        summary = ask(service, lambda c: c.queue_summary())
        assert (summary.ahead, summary.estimated_wait_seconds) == (1, 60)
    free = ask(service, lambda c: c.queue(), token=FREE_TOKEN)
    assert (free.plan, free.plan_queue, free.free_left, free.free_max) == ("registered", 1, 50, 50)


def test_reads_models_news_and_demos(service: MvsepSimulator, song: Path) -> None:
    models = read_algorithms(ask(service, lambda c: c.algorithms()))
    assert len(models) == 123
    news = ask(service, lambda c: c.news(limit=2))
    assert [item.id for item in news] == [25, 24]
    ask(service, create(song, is_demo=True))
    (demo,) = ask(service, lambda c: c.demo())
    assert (demo.input_audio, demo.algorithm.render_id) == ("Song.wav", 40)


def test_logs_in_or_says_why_not(service: MvsepSimulator) -> None:
    user = ask(service, lambda c: c.login("free@example.org", Secret("secret")), token="")
    assert user.api_token.reveal() == FREE_TOKEN
    with pytest.raises(RefusedError, match=r"These credentials do not match our records\. \(HTTP 400\)"):
        ask(service, lambda c: c.login("free@example.org", Secret("wrong")), token="")
    with pytest.raises(RefusedError, match="The email has already been taken"):
        ask(service, lambda c: c.register("n", "free@example.org", Secret("longer")), token="")


def test_switches_settings(service: MvsepSimulator) -> None:
    assert ask(service, lambda c: c.set_premium(False)).message == "successfully disabled"
    assert not service.accounts[PREMIUM_TOKEN].is_premium
    assert ask(service, lambda c: c.set_long_filenames(True)).success
    assert service.accounts[PREMIUM_TOKEN].long_filenames


def test_the_quality_checker(service: MvsepSimulator, tmp_path: Path) -> None:
    archive = tmp_path / "stems.zip"
    archive.write_bytes(b"PK" * 1000)

    async def go(client: MvsepClient) -> None:
        added = await client.quality_add(
            archive, algo_name="Mine", main_text="text", password=Secret("pass word"), dataset_type=1, ensemble=True
        )
        assert added.id == 7772
        assert added.link.endswith("entry?id=7772")
        entry = await client.quality_entry(7772)
        assert (entry.algo_name, entry.sdr, entry.is_ensemble) == ("Mine", {"vocals": 11.72}, True)
        assert entry.metrics == ("Metric sdr for vocals: 11.72", "Metric sdr for instrum: 17.01")
        assert await client.quality_queue() == (entry,)
        board = await client.quality_leaderboard(dataset_type=1)
        assert (board.entries, board.dataset_type, board.sort) == ((entry,), 1, "sdr_vocals")
        assert board.sortables == ("sdr_vocals", "sdr_instrum")
        with pytest.raises(ServiceError, match="Wrong password"):
            await client.quality_delete(7772, Secret("wrong"))
        assert (await client.quality_delete(7772, Secret("pass word"))).message == "successfully deleted"
        with pytest.raises(ServiceError, match=r"Job not found \(HTTP 400\)"):
            await client.quality_entry(7772)

    ask(service, go)
    form = {"algo_name": "Mine", "main_text": "text", "password": "pass word", "dataset_type": "1", "ensemble": "1"}
    assert form_of(service.log[0]) == {"api_token": PREMIUM_TOKEN, **form}
    assert service.log[0].files["zipfile"]["length"] == 2000
    assert service.log[-2].form == {"id": "7772", "password": "pass word"}


REFUSALS: dict[str, tuple[dict[str, Any], dict[str, Any], type[StembridgeError], str]] = {
    "premium-model": ({"model": "28"}, {}, RefusedError, "until you purchase premium membership"),
    "no-type": ({"model": ""}, {}, ServiceError, "Seperation type is not set"),
    "unknown-model": ({"model": "99999"}, {}, ServiceError, "Seperation type is unavailable"),
    "unknown-option": ({"options": {"add_opt1": "x"}}, {}, ServiceError, "The selected add_opt1 is invalid"),
    "quota": ({}, {"daily_limit": 0}, RefusedError, "You have reached the limit of separations for today"),
    "queued": ({}, {"max_jobs": 0}, TransientError, "unprocessed file in queue"),
    "too-large": ({}, {"max_bytes": 1_000}, SourceError, "File exceeds the 0 MB free limit"),
    "too-long": ({}, {"max_seconds": 0.5}, SourceError, "File exceeds the"),
    "no-credits": ({}, {"is_premium": True}, RefusedError, "Not enough credits"),
}


@pytest.mark.parametrize(("values", "account", "kind", "words"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize(
    "family", ["errors", "errors_objects", "errors_text", "data", "message", "message_objects", "error"]
)
def test_a_refused_create_says_why_in_the_service_s_words(
    service: MvsepSimulator,
    song: Path,
    family: str,
    values: dict[str, Any],
    account: dict[str, Any],
    kind: type[StembridgeError],
    words: str,
) -> None:
    service.error_family = family
    for name, value in account.items():
        setattr(service.accounts[FREE_TOKEN], name, value)
    with pytest.raises(StembridgeError, match=words) as caught:
        ask(service, create(song, **values), token=FREE_TOKEN)
    assert type(caught.value) is kind
    assert "(HTTP 400)" in caught.value.message
    assert len(service.log) == 1


@pytest.mark.parametrize("do", [lambda c: c.user(), lambda c: c.history(), lambda c: c.cancel("h")])
def test_a_wrong_token_is_refused(service: MvsepSimulator, do: Do) -> None:
    with pytest.raises(RefusedError, match=r"invalid token \(HTTP 400\); use `stembridge login mvsep`"):
        ask(service, do, token="wrong" * 6)


def test_a_wrong_token_is_refused_when_creating(service: MvsepSimulator, song: Path) -> None:
    with pytest.raises(RefusedError, match=r"Invalid API key \(HTTP 401\); use `stembridge login mvsep`"):
        ask(service, create(song), token="wrong" * 6)


def test_a_full_queue_with_429_comes_back(service: MvsepSimulator, song: Path) -> None:
    service.queue_full_status = 429
    service.accounts[FREE_TOKEN].max_jobs = 0
    with pytest.raises(TransientError, match="unprocessed file in queue"):
        ask(service, create(song), token=FREE_TOKEN)


@pytest.mark.parametrize("fault", [reset_after, reset_before, bad_gateway, html_page])
def test_a_create_whose_answer_is_lost_is_sent_once(service: MvsepSimulator, song: Path, fault: Any) -> None:
    service.faults.add(fault("POST", "*/separation/create"))
    with pytest.raises(OutcomeUnknownError, match="may have been accepted"):
        ask(service, create(song))
    assert len(service.log) == 1
    assert service.created == (1 if fault is reset_after else 0)


@pytest.mark.parametrize("body", ["[]", '{"success":true}', '{"success":true,"data":null}', '"yes"', "null"])
def test_a_create_that_names_no_job_is_unknown(service: MvsepSimulator, song: Path, body: str) -> None:
    service.faults.add(refuse("POST", "*/separation/create", 200, body))
    with pytest.raises(OutcomeUnknownError, match="names no job"):
        ask(service, create(song))


def test_a_create_that_is_refused_for_now_is_transient(service: MvsepSimulator, song: Path) -> None:
    service.faults.add(rate_limited("POST", "*/separation/create", seconds=12))
    with pytest.raises(TransientError) as caught:
        ask(service, create(song))
    assert caught.value.retry_after == pytest.approx(12)


@pytest.mark.parametrize("success", ["true", 1, True])
def test_success_has_many_spellings(service: MvsepSimulator, song: Path, success: Any) -> None:
    service.behave(Behaviour(walk=INSTANT, success=success))
    job = ask(service, create(song)).hash
    answer = ask(service, lambda c: c.get(job))
    assert (answer.success, answer.phase) == (True, Phase.DONE)


def test_polls_outlive_bad_weather(service: MvsepSimulator) -> None:
    for fault in (bad_gateway, html_page, reset_before):
        service.faults.add(fault("GET", "*/separation/get"))
    assert ask(service, lambda c: c.get("none")).phase is Phase.MISSING
    assert len(service.log) == 4


@pytest.mark.parametrize("says_date", [False, True], ids=["seconds", "date"])
def test_keeps_to_the_service_s_rate(says_date: bool) -> None:
    with MvsepSimulator(audio="echo") as service:
        service.budget = Budget(5, says_date=says_date)

        async def go(client: MvsepClient) -> None:
            for _ in range(12):
                await client.user()

        ask(service, go)
        assert len(service.log) == 12


def test_a_base_that_is_not_safe_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"base_url: http://mvsep\.example/api is not encrypted"):
        MvsepClient("http://mvsep.example/api")


def test_a_base_that_is_no_api_is_said(service: MvsepSimulator) -> None:
    service.faults.add(refuse("*", "*", 404, "<html>nothing</html>", headers={"Content-Type": "text/html"}, times=None))
    with pytest.raises(ServiceError, match=r"check \[mvsep\] base_url"):
        ask(service, lambda c: c.user())


def test_no_log_and_no_error_shows_the_token(
    service: MvsepSimulator, song: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.faults.add(refuse("POST", "*", 400, f'{{"errors":["no such token: {PREMIUM_TOKEN}"]}}', times=1))
    with pytest.raises(RefusedError, match=r"no such token: \*+ ") as caught:
        ask(service, create(song))
    ask(service, lambda c: c.user())
    client = client_of(service)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=False).format())
    assert PREMIUM_TOKEN in service.log[1].target
    assert "api_token=********" in caplog.text
    assert PREMIUM_TOKEN not in caplog.text + shown + repr(client) + repr(vars(client))
