"""``stembridge mvsep``: every command against the simulated service, for people and for programs."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core.providers.mvsep import plugin
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.job_calls import Creation
from plugin_core.settings import Secret
from tests.audio_files import write_song
from tests.plugin_core.cli.conftest import Run, run_here
from tests.plugin_core.cli.fakes import FakePoint
from tests.simulators.faults import refuse
from tests.simulators.mvsep import PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.walks import INSTANT, processing


@pytest.fixture
def stembridge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return run_here(capsys, FakePoint("mvsep", plugin))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[MvsepSimulator]:
    with MvsepSimulator(audio="echo") as simulator:
        monkeypatch.setenv("STEMBRIDGE_MVSEP_BASE_URL", simulator.api)
        monkeypatch.setenv("STEMBRIDGE_MVSEP_API_TOKEN", PREMIUM_TOKEN)
        yield simulator


@pytest.mark.parametrize("words", ["history", "queue", "news", "demo", "quality list", "quality leaderboard"])
def test_lists_work_for_people_and_programs(stembridge: Run, service: MvsepSimulator, words: str) -> None:
    people = stembridge("mvsep", *words.split())
    programs = stembridge("mvsep", *words.split(), "--json")
    assert (people.code, programs.code, people.err, programs.err) == (0, 0, "", "")
    assert people.out.strip()
    assert programs.events[-1]["event"] == "summary"
    assert PREMIUM_TOKEN not in people.out + programs.out


def test_a_model_that_takes_no_song_is_found_by_its_name(stembridge: Run, service: MvsepSimulator) -> None:
    found = stembridge("models", "bark", "--json").of("model")
    assert [(one["id"], one["takes"]) for one in found] == [("115", "no song")]


UNSAID = ["{}", '{"success":"maybe"}', '"maybe"', "[]", '{"data":{}}']


@pytest.mark.parametrize("status", [404, 405, 410, 400, 503])
@pytest.mark.parametrize("body", ["<h1>gone</h1>", '{"message":"The route could not be found."}', "", '"maybe"'])
def test_queue_is_shown_where_its_undocumented_part_is_gone(
    stembridge: Run, service: MvsepSimulator, status: int, body: str
) -> None:
    headers = {"Content-Type": "text/html" if body[:1] == "<" else "application/json"}
    service.faults.add(refuse("GET", "*/app/queue/summary", status, body, headers=headers, times=None))
    people = stembridge("mvsep", "queue")
    assert (people.code, people.err) == (0, "")
    assert "your plan        premium" in people.out
    assert "wait             unknown: MVSEP app/queue/summary" in people.out
    programs = stembridge("mvsep", "queue", "--json")
    assert (programs.code, programs.err) == (0, "")
    assert programs.of("queue")[0]["wait"] == {"ahead": None, "estimated_wait_seconds": None}
    assert len(service.requests("GET", "*/app/queue/summary")) == 2


@pytest.mark.parametrize("words", ["premium on", "long-filenames off"])
@pytest.mark.parametrize("body", UNSAID)
def test_a_switch_that_was_not_confirmed_is_not_said_to_be_set(
    stembridge: Run, service: MvsepSimulator, words: str, body: str
) -> None:
    json_type = {"Content-Type": "application/json"}
    service.faults.add(refuse("POST", "*/app/*able_*", 200, body, headers=json_type, times=None))
    result = stembridge("mvsep", *words.split())
    assert (result.code, result.out, len(result.err.splitlines())) == (1, "", 1)
    assert "the answer does not say that it was done" in result.err


@pytest.mark.parametrize(
    ("command", "path"), [("premium", "premium"), ("long-filenames", "long_filenames")], ids=["premium", "names"]
)
def test_switches_reach_the_service(stembridge: Run, service: MvsepSimulator, command: str, path: str) -> None:
    for switch, verb in (("on", "enable"), ("off", "disable")):
        result = stembridge("mvsep", command, switch)
        assert (result.code, switch in result.out) == (0, True)
        assert len(service.requests("POST", f"*/app/{verb}_{path}")) == 1


def test_a_job_that_is_not_there_has_a_status_and_cannot_be_cancelled(stembridge: Run, service: MvsepSimulator) -> None:
    status = stembridge("mvsep", "status", "20260101101500-0a1b2c3d4e-song.wav")
    assert (status.code, status.out, "does not know job" in status.err) == (1, "", True)
    told = stembridge("mvsep", "status", "20260101101500-0a1b2c3d4e-song.wav", "--json")
    assert (told.code, told.of("mvsep_job")[0]["status"]) == (1, "not_found")
    cancel = stembridge("mvsep", "cancel", "20260101101500-0a1b2c3d4e-song.wav")
    assert cancel.code == 1
    assert cancel.err.startswith("stembridge: MVSEP separation/cancel")
    assert len(cancel.err.splitlines()) == 1


def test_the_status_of_a_link_is_that_of_what_became_of_it_and_the_mirror_is_paid_on_ones_word(
    stembridge: Run, service: MvsepSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.behave(Behaviour(walk=INSTANT, remote_walk=(processing(),), remote_misses=0))

    async def create() -> tuple[str, str]:
        client = MvsepClient(service.api, Secret(PREMIUM_TOKEN))
        song = write_song(tmp_path / "Song.flac", 0.2)
        first = await client.create(Creation(model="40", output_format=2, audio=song))
        link = f"{service.url}/storage/temp/{first.hash}"
        second = await client.create(Creation(model="40", output_format=2, url=link))
        await client.transfer.close()
        return first.hash, second.hash

    job, short = asyncio.run(create())
    assert "processing" in stembridge("mvsep", "status", short).out
    (told,) = stembridge("mvsep", "status", short, "--json").of("mvsep_job")
    assert (told["status"], told["hash"]) == ("done", service.jobs[-1].hash)
    assert told["hash"] != job
    assert len(told["files"]) == 2
    before = service.accounts[PREMIUM_TOKEN].credits
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert stembridge("mvsep", "status", job, "--mirror").code == 2
    assert service.accounts[PREMIUM_TOKEN].credits == before
    assert stembridge("mvsep", "status", job, "--mirror", "--yes").code == 0
    assert service.accounts[PREMIUM_TOKEN].credits == before - 1


def test_published_separations_of_one_model_are_listed(stembridge: Run, service: MvsepSimulator) -> None:
    assert stembridge("mvsep", "demo", "--model", "40", "--option", "add_opt1=81").code == 0
    (request,) = service.requests("GET", "*/app/demo")
    assert {"algorithm_id": "40", "options[add_opt1]": "81"}.items() <= request.query.items()


def test_deleting_asks_first(stembridge: Run, service: MvsepSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    result = stembridge("mvsep", "delete", "20260101101500-0a1b2c3d4e-song.wav")
    assert (result.code, "--yes" in result.err) == (2, True)
    assert service.requests("POST", "*/delete") == []


def test_an_entry_of_the_quality_checker_lives_and_dies(
    stembridge: Run, service: MvsepSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "parts.zip"
    archive.write_bytes(b"PK\x05\x06" + bytes(18))
    monkeypatch.setattr("sys.stdin", io.StringIO("pass-word\n"))
    added = stembridge("mvsep", "quality", "add", archive, "--name", "mine", "--text", "made by hand", "--json")
    assert added.code == 0
    number = str(added.of("quality_added")[0]["id"])
    assert "mine" in stembridge("mvsep", "quality", "entry", number).out
    monkeypatch.setattr("sys.stdin", io.StringIO("pass-word\n"))
    assert stembridge("mvsep", "quality", "delete", number, "--yes").code == 0
    gone = stembridge("mvsep", "quality", "entry", number)
    assert (gone.code, "Job not found" in gone.err) == (1, True)


def test_a_zip_that_is_not_there_is_named(stembridge: Run, service: MvsepSimulator) -> None:
    result = stembridge("mvsep", "quality", "add", "none.zip", "--name", "n", "--text", "t")
    assert (result.code, "none.zip is no file" in result.err) == (2, True)


def test_without_a_token_the_way_in_is_told(
    stembridge: Run, service: MvsepSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMBRIDGE_MVSEP_API_TOKEN", "")
    result = stembridge("mvsep", "history")
    assert (result.code, "stembridge login mvsep" in result.err) == (3, True)


def test_a_wrong_token_is_refused_in_the_services_words(
    stembridge: Run, service: MvsepSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMBRIDGE_MVSEP_API_TOKEN", "x" * 30)
    result = stembridge("mvsep", "history")
    assert result.code == 3
    assert len(result.err.splitlines()) == 1
    assert "x" * 30 not in result.err


def test_registering_from_a_pipe_writes_nothing_but_json(
    stembridge: Run, service: MvsepSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Me\nme@example.org\npass-word\n"))
    result = stembridge("mvsep", "register", "--yes", "--json")
    assert (result.code, result.err) == (0, "")
    assert [event["event"] for event in result.events] == ["registered", "summary"]


def test_registering_without_answers_asks_nobody(
    stembridge: Run, service: MvsepSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    result = stembridge("mvsep", "register", "--json")
    assert (result.code, [event["event"] for event in result.events]) == (2, ["error", "summary"])
    assert result.err == "stembridge: no answer to: Name; run it on a terminal, or pipe one line an answer\n"


@pytest.mark.parametrize("words", ["mvsep", "mvsep quality"])
def test_a_group_without_its_command_names_those_there_are(stembridge: Run, words: str) -> None:
    result = stembridge(*words.split())
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert result.err.startswith("stembridge: name a command: ")
    assert result.err.endswith(f"; try 'stembridge {words} --help'\n")
