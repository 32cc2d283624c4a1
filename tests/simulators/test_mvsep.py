"""The simulated MVSEP is as strict and as odd as the service is said to be."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from tests.audio_files import write_samples, write_song
from tests.simulators.clocks import SimulatorClock
from tests.simulators.faults import late, reset_after
from tests.simulators.mvsep import FREE_TOKEN, PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.budgets import Budget
from tests.simulators.mvsep.walks import FOREVER, INSTANT, LONG, failed, processing, waiting
from tests.simulators.process import run_process

CREATE = "/api/separation/create"


@pytest.fixture
def service() -> Iterator[MvsepSimulator]:
    with MvsepSimulator(nodes=2, clock=SimulatorClock(start=1_800_000_000.0)) as simulator:
        yield simulator


@pytest.fixture
def client(service: MvsepSimulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as made:
        yield made


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "My Söng_1.wav", 1.0)


def create(client: httpx.Client, song: Path, name: str = "", token: str = PREMIUM_TOKEN, **form: str) -> httpx.Response:
    fields = {"api_token": token, "sep_type": "40", "output_format": "1", "is_demo": "0"} | form
    return client.post(CREATE, data=fields, files={"audiofile": (name or song.name, song.read_bytes())})


def hash_of(answer: httpx.Response) -> str:
    value: str = answer.json()["data"]["hash"]
    return value


def ask(client: httpx.Client, job: str, call: str = "get") -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/api/separation/{call}", params={"hash": job}).json()
    return answer


def walk(client: httpx.Client, job: str, call: str = "get") -> tuple[list[str], dict[str, Any]]:
    """Poll to the end; return the statuses met and the last answer."""
    met = []
    for _ in range(50):
        answer = ask(client, job, call)
        met.append(answer["status"])
        if met[-1] in ("done", "failed"):
            return met, answer["data"]
    raise AssertionError(met)


def history(client: httpx.Client, token: str = PREMIUM_TOKEN) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get("/api/app/separation_history", params={"api_token": token}).json()["data"]
    return items


@pytest.mark.parametrize("output_format", ["1", "2", "4", "5"], ids=["wav", "flac", "wav 32", "flac 24"])
@pytest.mark.parametrize("model", ["40", "63"], ids=["two", "six and a mix"])
def test_stems_sum_to_the_source(client: httpx.Client, song: Path, output_format: str, model: str) -> None:
    job = hash_of(create(client, song, sep_type=model, output_format=output_format))
    assert re.fullmatch(r"\d{14}-[0-9a-f]{10}-my-song-1\.wav", job)
    met, data = walk(client, job)
    assert met == ["waiting", "processing", "done"]
    parts = [file for file in data["files"] if file["type"] != "Instrum"]
    assert len(parts) == (2 if model == "40" else 6)
    source, rate = soundfile.read(song, always_2d=True)
    total = np.zeros_like(source)
    for part in parts:
        samples, part_rate = soundfile.read(io.BytesIO(client.get(part["url"]).content), always_2d=True)
        assert part_rate == rate
        assert np.abs(samples).max() > 0
        total += samples
    assert np.abs(total - source).max() <= (0 if output_format != "4" else 1e-6)


@pytest.mark.parametrize(("output_format", "suffix"), [("0", "mp3"), ("3", "m4a")])
def test_lossy_formats_are_whole(client: httpx.Client, song: Path, output_format: str, suffix: str) -> None:
    data = walk(client, hash_of(create(client, song, output_format=output_format)))[1]
    assert all(file["url"].endswith(suffix) for file in data["files"])
    assert len(client.get(data["files"][0]["url"]).content) > 5000


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"sep_type": ""}, "Seperation type is not set"),
        ({"sep_type": "11"}, "Seperation type is unavailable"),
        ({"sep_type": "35"}, "Seperation type is unavailable"),
        ({"sep_type": "26"}, "Seperation type is unavailable until you purchase premium membership"),
        ({"output_format": "5"}, "Output format is unavailable until you purchase premium membership"),
        ({"output_format": "6"}, "The selected output format is invalid."),
        ({"add_opt1": "1000"}, "The selected add_opt1 is invalid."),
        ({"add_opt4": "1"}, "The add_opt4 field does not belong to this separation type."),
        ({"add_opt3": "0"}, "The add_opt3 field does not belong to this separation type."),
        ({"sep_type": "17"}, "The add_opt1 field is required."),
        ({"is_demo": "yes"}, "The is demo field must be true or false."),
        ({"sep_type": "68"}, "The files do not fit the separation type"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_create_is_refused(
    service: MvsepSimulator, client: httpx.Client, song: Path, form: dict[str, str], text: str
) -> None:
    answer = create(client, song, token=FREE_TOKEN, **form)
    assert answer.status_code == 400
    assert answer.json()["errors"][0].startswith(text)
    assert "data" not in answer.json()
    assert service.created == 0


def test_empty_upload_and_wrong_tokens(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    wrong = create(client, song, token="wrong")
    assert (wrong.status_code, wrong.json()["data"]) == (401, {"message": "Invalid API key"})
    assert client.get("/api/app/user", params={"api_token": "wrong"}).status_code == 400
    song.write_bytes(b"")
    answer = create(client, song)
    assert (answer.status_code, answer.json()["errors"]) == (400, ["The audiofile is empty."])
    assert service.requests("POST", CREATE)[1].files["audiofile"]["length"] == 0


def test_empty_options_are_defaults(client: httpx.Client, song: Path) -> None:
    assert create(client, song, add_opt1="", add_opt2="", add_opt3="").status_code == 200


def test_free_account_has_one_job_and_a_quota(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    service.accounts[FREE_TOKEN].daily_limit = 2
    first = hash_of(create(client, song, token=FREE_TOKEN))
    assert "unprocessed" in create(client, song, token=FREE_TOKEN).json()["errors"][0]
    walk(client, first)
    walk(client, hash_of(create(client, song, token=FREE_TOKEN)))
    assert "limit of separations for today" in create(client, song, token=FREE_TOKEN).text
    assert (service.created, service.max_active) == (2, {FREE_TOKEN: 1})


def test_size_and_length_are_limited(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    service.accounts[FREE_TOKEN].max_seconds = 0.5
    assert "File exceeds the" in create(client, song, token=FREE_TOKEN).text
    service.accounts[FREE_TOKEN].max_bytes = 1000
    assert "MB free limit" in create(client, song, token=FREE_TOKEN).text


def test_credits_are_charged_and_refunded(service: MvsepSimulator, client: httpx.Client, tmp_path: Path) -> None:
    long = write_samples(tmp_path / "long.wav", np.zeros((8000 * 380, 1)), 8000)
    before = service.accounts[PREMIUM_TOKEN].credits
    job = hash_of(create(client, long, sep_type="28"))
    create(client, long, sep_type="40", add_opt2="8")
    assert [charge["credits"] for charge in service.charges] == [25, 12]
    assert client.post("/api/separation/cancel", data={"api_token": PREMIUM_TOKEN, "hash": job}).json()["success"]
    assert service.accounts[PREMIUM_TOKEN].credits == before - 12
    assert ask(client, job)["status"] == "not_found"
    service.accounts[PREMIUM_TOKEN].credits = 3
    assert "credits" in create(client, long).text


def test_cancel_comes_too_late_and_delete_too_early(client: httpx.Client, song: Path) -> None:
    job = hash_of(create(client, song))
    form = {"api_token": PREMIUM_TOKEN, "hash": job}
    ask(client, job)
    assert client.post("/api/separation/cancel", data=form).status_code == 400
    assert "message" in client.post("/api/separation/delete", data=form).json()["data"]
    data = walk(client, job)[1]
    assert client.post("/api/separation/delete", data=form).json() == {"success": True}
    assert client.get(data["files"][0]["url"]).status_code == 404
    assert history(client) == []


def test_long_walk(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    service.behave(Behaviour(walk=LONG))
    met = walk(client, hash_of(create(client, song)))[0]
    assert met == ["waiting"] * 3 + ["processing"] + ["distributing"] * 4 + ["merging", "done"]


def test_walk_by_the_clock(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    service.behave(Behaviour(walk=(waiting(1, seconds=10), processing(seconds=20), failed("reason"))))
    job = hash_of(create(client, song))
    assert [ask(client, job)["status"] for _ in range(3)] == ["waiting"] * 3
    service.clock.advance(15)
    assert ask(client, job)["status"] == "processing"
    service.clock.advance(15)
    assert ask(client, job) == {"success": True, "status": "failed", "data": {"message": "reason"}}


def test_lost_answer_leaves_a_paid_job_that_shows_late(
    service: MvsepSimulator, client: httpx.Client, song: Path
) -> None:
    service.faults.add(late("POST", CREATE, requests=2))
    service.faults.add(reset_after("POST", CREATE))
    with pytest.raises(httpx.TransportError):
        create(client, song)
    assert (service.created, len(service.charges)) == (1, 1)
    assert [len(history(client)) for _ in range(3)] == [0, 0, 1]
    user = client.get("/api/app/user", params={"api_token": PREMIUM_TOKEN}).json()["data"]
    assert user["current_queue"][0]["hash"] == history(client)[0]["hash"]


def test_url_job(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    with _serving(song.parent) as origin:
        form = {"api_token": PREMIUM_TOKEN, "sep_type": "40", "url": f"{origin}/{song.name}", "remote_type": "direct"}
        created = client.post(CREATE, data=form)
        assert created.json()["success"] == "true"
        short = hash_of(created)
        assert ask(client, short)["status"] == "not_found"
        met, data = walk(client, short, "get-remote")
    assert met == ["not_found", "not_found", "waiting", "processing", "done"]
    assert ask(client, short)["status"] == "not_found"
    assert walk(client, data["hash"])[0][-1] == "done"
    assert (service.created, len(service.charges)) == (1, 1)


def test_jobs_live_on_one_node(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    service.behave(Behaviour(region=1, walk=INSTANT))
    data = create(client, song).json()["data"]
    assert data["link"].startswith(service.urls[1])
    assert ask(client, data["hash"])["status"] == "not_found"
    files = client.get(data["link"]).json()["data"]["files"]
    assert client.get(files[0]["url"]).status_code == 200
    assert client.get(files[0]["url"].replace(service.urls[1], service.url)).status_code == 404


def test_odd_results(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    odd = Behaviour(walk=INSTANT, has_type=False, has_bytes="text", download="../../{name}", delay=1105)
    service.behave(odd, "odd*")
    service.behave(Behaviour(walk=INSTANT, is_empty=True), "empty*")
    file = walk(client, hash_of(create(client, song, "odd.wav")))[1]["files"][0]
    assert "type" not in file
    assert file["download"].startswith("../../odd_")
    content = client.get(file["url"]).content
    assert file["bytes"] == str(len(content))
    assert soundfile.info(io.BytesIO(content)).frames == 44100 + 1105
    assert walk(client, hash_of(create(client, song, "empty.wav")))[1]["files"] == []


def test_midi_text_and_noise(client: httpx.Client, song: Path, tmp_path: Path) -> None:
    midi = walk(client, hash_of(create(client, song, sep_type="114")))[1]["files"][0]
    assert client.get(midi["url"]).content.startswith(b"MThd")
    assert walk(client, hash_of(create(client, song, sep_type="39")))[1]["transcription"]
    (tmp_path / "noise.wav").write_bytes(b"no audio" * 1000)
    assert walk(client, hash_of(create(client, tmp_path / "noise.wav")))[0] == ["failed"]


def test_speech_and_matchering(client: httpx.Client, song: Path) -> None:
    form = {"api_token": PREMIUM_TOKEN, "sep_type": "119", "add_opt1": "hello", "add_opt2": "a calm voice"}
    assert len(walk(client, hash_of(client.post(CREATE, data=form)))[1]["files"]) == 1
    files = {"target_audiofile": ("t.wav", song.read_bytes()), "reference_audiofile": ("r.wav", song.read_bytes())}
    answer = client.post(CREATE, data={"api_token": PREMIUM_TOKEN, "sep_type": "68"}, files=files)
    assert walk(client, hash_of(answer))[1]["files"][0]["type"] == "Mastered"


def test_expired_jobs_stay_in_the_history(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    job = hash_of(create(client, song))
    url = walk(client, job)[1]["files"][0]["url"]
    service.clock.advance(80 * 3600)
    assert ask(client, job)["status"] == "not_found"
    assert client.get(url).status_code == 404
    assert (history(client)[0]["time_left"], history(client)[0]["job_exists"]) == (-8, True)


def test_rate_limit(service: MvsepSimulator, client: httpx.Client) -> None:
    service.budget = Budget(2)
    answers = [client.get("/api/app/news") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    service.clock.advance(float(answers[2].headers["Retry-After"]))
    assert client.get("/api/app/news").status_code == 200
    service.budget = Budget(0, says_date=True)
    assert client.get("/api/app/news").headers["Retry-After"].endswith("GMT")


def test_algorithms(client: httpx.Client) -> None:
    default = client.get("/api/app/algorithms").json()
    every = client.get("/api/app/algorithms", params={"scopes": "single_upload,no_upload,matchering_upload"}).json()
    assert (len(default), len(every)) == (117, 123)
    assert all(isinstance(json.loads(field["options"]), dict) for one in every for field in one["algorithm_fields"])
    assert client.get("/api/app/algorithms", params={"scopes": "all"}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("GET", "app/news", {"lang": "en", "limit": "3"}),
        ("GET", "app/queue", {}),
        ("GET", "app/queue/summary", {}),
        ("GET", "app/demo", {"start": "0"}),
        ("POST", "app/login", {"email": "free@example.org", "password": "secret"}),
        ("POST", "app/register", {"name": "a", "email": "b@c.d", "password": "e", "password_confirmation": "e"}),
        ("GET", "app/user", {}),
        ("POST", "app/enable_premium", {}),
        ("POST", "app/disable_long_filenames", {}),
        ("GET", "app/purchases", {"status": "paid"}),
        ("POST", "app/credit_alert", {"credit_threshold": "5"}),
        ("GET", "quality_checker/queue", {}),
        ("GET", "quality_checker/leaderboard", {"dataset_type": "0"}),
    ],
)
def test_endpoint_answers(client: httpx.Client, method: str, path: str, form: dict[str, str]) -> None:
    form = form | {"api_token": FREE_TOKEN}
    answer = client.request(method, f"/api/{path}", **{"params" if method == "GET" else "data": form})  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert answer.json() is not None
    wrong = client.request("POST" if method == "GET" and path != "app/register" else "PUT", f"/api/{path}", data=form)
    assert wrong.status_code in (405, 200 if path == "app/credit_alert" else 405)


def test_quality_entry_comes_and_goes(client: httpx.Client) -> None:
    form = {"api_token": FREE_TOKEN, "algo_name": "Mine", "main_text": "text", "password": "p"}
    assert client.post("/api/quality_checker/add", data=form).status_code == 400
    added = client.post("/api/quality_checker/add", data=form, files={"zipfile": ("a.zip", b"PK")}).json()["data"]
    assert client.get(added["link"]).json()["data"]["algo_name"] == "Mine"
    gone = client.post("/api/quality_checker/delete", data={"id": added["id"], "password": "p"})
    assert gone.json()["data"]["message"] == "successfully deleted"
    missing = client.get(added["link"])
    assert (missing.status_code, missing.json()["data"]["message"]) == (400, "Job not found")


@pytest.mark.parametrize("family", ["errors_objects", "errors_text", "data", "message", "message_objects", "error"])
def test_every_error_can_have_any_shape(service: MvsepSimulator, client: httpx.Client, song: Path, family: str) -> None:
    service.error_family = family
    assert "type is not set" in create(client, song, sep_type="").text


def test_echo_as_a_process(song: Path) -> None:
    with run_process("tests.simulators.mvsep", "--audio", "echo") as (url, control), httpx.Client(base_url=url) as own:
        control.command("behave", behaviour={"walk": [{"status": "strange", "polls": 2}]})
        met, data = walk(own, hash_of(create(own, song)))
        assert met == ["strange", "strange", "done"]
        assert own.get(data["files"][0]["url"]).content == song.read_bytes()
        assert control.state()["created"] == 1


def test_unfinished_jobs_count_as_active(service: MvsepSimulator, client: httpx.Client, song: Path) -> None:
    service.behave(Behaviour(walk=FOREVER))
    statuses = [create(client, song).status_code for _ in range(11)]
    assert statuses == [200] * 10 + [400]
    assert service.max_active == {PREMIUM_TOKEN: 10}


class _serving:  # noqa: N801 - used as a function
    """Serve a folder over HTTP for as long as the block lasts."""

    def __init__(self, folder: Path) -> None:
        class Quiet(SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by http.server
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
