from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_core.abilities import HasAccount, HasDiagnostics, HasLogin, PricesAnew
from plugin_core.errors import (
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    SourceError,
    StembridgeError,
    TransientError,
    UsageError,
)
from plugin_core.model import Progress, RemoteFile, Separation, Tagging, Ticket
from plugin_core.protocols import Finished, ReadsFromUrl, Separator, Terms, Waiting, terms_of
from plugin_core.providers.mvsep.account_calls import HistoryEntry
from plugin_core.providers.mvsep.adapter import MvsepSeparator
from plugin_core.providers.mvsep.caller import MvsepSettings
from plugin_core.providers.mvsep.hashes import job_key
from plugin_core.providers.mvsep.job_calls import Created, parse_job
from plugin_core.settings import Secret
from tests.audio_files import write_song
from tests.plugin_core.providers.mvsep.fakes import (
    BASE,
    FREE,
    KEY,
    PREMIUM,
    TOKEN,
    Clock,
    FakeClient,
    make_order,
    make_source,
)
from tests.plugin_core.providers.plans import allow

REAL = f"20260101101500-0a1b2c3d4e-{job_key(KEY)}-song.flac"
NODE = "https://de2.mvsep.com/api"


class Case:
    """A separator over a client that answers from lists."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.client = FakeClient()
        self.clock = Clock()
        values = {"api_token": TOKEN, "base_url": BASE} | settings
        self.client.base_url = values["base_url"]
        self.separator = MvsepSeparator(MvsepSettings(**values), home, client=self.client, clock=self.clock)


@pytest.fixture
def case(home: Path) -> Case:
    return Case(home)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Déjà Vu.wav", 0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "parts"
    path.mkdir()
    return path


def ignore(progress: Progress) -> None:
    pass


def ticket(remote_id: str = REAL, origin: str = NODE) -> Ticket:
    return Ticket(remote_id=remote_id, origin=origin)


def test_keeps_its_promises(case: Case) -> None:
    separator = case.separator
    for protocol in (Separator, ReadsFromUrl, HasAccount, HasLogin, HasDiagnostics):
        assert isinstance(separator, protocol)
    assert (separator.name, separator.remote, separator.stager) == ("mvsep", True, None)
    assert separator.account().startswith("mvsep:")
    assert [question.hidden for question in separator.questions] == [False, True]


@pytest.mark.parametrize(("setting", "stager"), [("", None), ("any", ""), ("cos", "cos")])
def test_stager(home: Path, setting: str, stager: str | None) -> None:
    assert Case(home, stager=setting).separator.stager == stager


def test_a_job_that_was_planned_for_nothing_costs_what_it_costs_when_it_is_sent(case: Case) -> None:
    source = make_source(duration=240.0)
    plan = asyncio.run(case.separator.plan(source, Separation(provider="mvsep", model="40")))
    assert plan.credits == 0.0
    assert isinstance(case.separator, PricesAnew)
    assert asyncio.run(case.separator.price_now(source, plan.operation)) == 0.0
    case.client.account, case.clock.now = PREMIUM, case.clock.now + 3600
    paid = asyncio.run(case.separator.plan(source, Separation(provider="mvsep", model="40"))).credits
    assert paid and asyncio.run(case.separator.price_now(source, plan.operation)) == paid


def test_slots_follow_the_account(case: Case) -> None:
    assert asyncio.run(case.separator.slots()) == 1
    case.client.account = PREMIUM
    case.clock.now += 3600
    assert asyncio.run(case.separator.slots()) == 10


def test_models_need_no_account(home: Path) -> None:
    case = Case(home, api_token=Secret(""), base_url="https://mvsep.com/api")
    assert len(asyncio.run(case.separator.models())) == 116
    assert case.client.asked == []


def test_plan(case: Case) -> None:
    case.client.account = PREMIUM
    wish = Separation(provider="mvsep", model="bs roformer", options={"Overlap": "87.5%"})
    plan = asyncio.run(case.separator.plan(make_source(), wish))
    assert isinstance(plan.operation, Separation)
    assert plan.operation.options == {"add_opt1": "81", "add_opt2": "8", "output_format": "2"}
    assert (plan.operation.model, plan.credits, plan.notes) == ("40", 8.0, ())


def test_default_model(home: Path) -> None:
    for setting, model in (("63", "63"), ("MelBand Roformer", "48")):
        plan = asyncio.run(Case(home, model=setting).separator.plan(make_source(), Separation(provider="mvsep")))
        assert isinstance(plan.operation, Separation)
        assert plan.operation.model == model


def test_plan_says_that_the_list_is_old(case: Case, home: Path) -> None:
    case.client.failing["algorithms"] = TransientError("down")
    plan = asyncio.run(case.separator.plan(make_source(), Separation(provider="mvsep")))
    assert "2026-08" in plan.notes[0]


def test_no_token_is_refused_and_no_account_asked_for(home: Path) -> None:
    case = Case(home, api_token=Secret(""))
    plan = asyncio.run(case.separator.plan(make_source(), Separation(provider="mvsep")))
    with pytest.raises(RefusedError, match="stembridge login mvsep"):
        allow(plan)
    assert [name for name, _ in case.client.asked] == ["algorithms"]


@pytest.mark.parametrize("error", [RefusedError("Invalid API key"), TransientError("down")])
def test_plan_has_the_services_own_reason(case: Case, error: StembridgeError) -> None:
    case.client.failing["user"] = error
    plan = asyncio.run(case.separator.plan(make_source(encoding="pcm_24"), Separation(provider="mvsep")))
    with pytest.raises(type(error), match=error.message):
        allow(plan)
    # What premium gave is known for what is wished.
    assert plan.output == "flac24"


def test_submit_sends_flac_with_the_key_in_its_name(case: Case, song: Path, folder: Path) -> None:
    case.client.created = Created(hash=REAL, link=f"{NODE}/separation/get?hash={REAL}")
    said: list[Progress] = []
    found = asyncio.run(case.separator.submit(make_order(folder, song), said.append))
    assert found == ticket()
    ((_, sent),) = [call for call in case.client.asked if call[0] == "create"]
    assert sent["name"] == f"{job_key(KEY)}-deja-vu.flac"
    assert sent["content"].startswith(b"fLaC")
    assert (sent["model"], sent["output_format"], sent["is_demo"]) == ("40", 2, False)
    assert sent["options"] == {"add_opt1": "81", "add_opt2": "2"}
    assert list(folder.iterdir()) == []
    assert TOKEN.reveal() not in repr(found)


def test_demo_only_when_asked(case: Case, song: Path, folder: Path) -> None:
    order = make_order(folder, song, options={"output_format": "5", "is_demo": "1"})
    asyncio.run(case.separator.submit(order, ignore))
    sent = case.client.asked[-1][1]
    assert (sent["is_demo"], sent["options"], sent["output_format"]) == (True, {}, 5)


@pytest.mark.parametrize(
    "error", [TransientError("busy"), OutcomeUnknownError("lost"), ServiceError("no"), SourceError("changed")]
)
def test_a_failed_create_keeps_the_encoded_file(case: Case, song: Path, folder: Path, error: StembridgeError) -> None:
    case.client.failing["create"] = error
    with pytest.raises(type(error)):
        asyncio.run(case.separator.submit(make_order(folder, song), ignore))
    assert [path.name for path in folder.iterdir()] == ["upload.flac"]


def test_yes_without_a_hash_is_looked_for(case: Case, song: Path, folder: Path) -> None:
    case.client.created = Created()
    with pytest.raises(OutcomeUnknownError):
        asyncio.run(case.separator.submit(make_order(folder, song), ignore))


def test_job_by_link(case: Case, folder: Path) -> None:
    case.client.created = Created(hash="n2AwBjy4KsFZfqqR", link=f"{NODE}/separation/get-remote?hash=n2AwBjy4KsFZfqqR")
    url = Secret(f"https://bucket.example/{KEY}.flac?signature=s3cret")
    order = msgspec.structs.replace(make_order(folder), url=url)
    found = asyncio.run(case.separator.submit(order, ignore))
    assert found == ticket("n2AwBjy4KsFZfqqR")
    sent = case.client.asked[-1][1]
    assert (sent["url"].reveal(), sent["remote_type"]) == (url.reveal(), "direct")
    assert "s3cret" not in repr(found)


def test_link_without_the_key_is_refused(case: Case, folder: Path) -> None:
    order = msgspec.structs.replace(make_order(folder), url=Secret("https://bucket.example/song.flac?s=s3cret"))
    with pytest.raises(UsageError, match="stager") as caught:
        asyncio.run(case.separator.submit(order, ignore))
    assert case.client.asked == []
    assert "s3cret" not in str(caught.value)


def test_find_continues_a_job(case: Case, folder: Path) -> None:
    case.client.entries = [HistoryEntry(hash=REAL)]
    case.client.answers = [parse_job({"status": "waiting"})]
    assert asyncio.run(case.separator.find(make_order(folder))) == ticket(origin=BASE)


def test_found_job_may_live_on_another_node(home: Path, folder: Path) -> None:
    case = Case(home, nodes=(NODE,))
    case.client.entries = [HistoryEntry(hash=REAL)]
    case.client.answers = [parse_job({"success": False, "status": "not_found"}), parse_job({"status": "waiting"})]
    assert asyncio.run(case.separator.find(make_order(folder))) == ticket()
    assert [call["origin"] for name, call in case.client.asked if name == "get"] == [BASE, NODE]


def test_what_is_not_listed_is_none(case: Case, folder: Path) -> None:
    """When that is surely absent, the core says."""
    assert asyncio.run(case.separator.find(make_order(folder))) is None


@pytest.mark.parametrize(("stager", "seconds"), [("", 30), ("any", 180)], ids=["uploaded", "by link"])
def test_a_job_by_link_may_be_missed_for_longer(home: Path, stager: str, seconds: float) -> None:
    said = terms_of(Case(home, stager=stager, unknown_hours=12.0).separator)
    assert said == Terms(register_seconds=seconds, keeps_seconds=3 * 86_400, forgets=False, unclear_hours=12)


def test_results_are_gone_there_only_if_the_setting_says_so(home: Path) -> None:
    assert terms_of(Case(home, delete_after=True).separator).forgets


def test_unreadable_history_is_unknown(case: Case, folder: Path) -> None:
    case.client.failing["history"] = TransientError("down")
    with pytest.raises(OutcomeUnknownError):
        asyncio.run(case.separator.find(make_order(folder)))


def test_poll_keeps_to_the_jobs_node(case: Case, folder: Path) -> None:
    file = {"type": "Other", "url": f"{NODE}/storage/x_other.flac", "download": "x_other.flac"}
    case.client.answers = [
        parse_job({"status": "waiting", "data": {"queue_count": 3, "current_order": 2}}),
        parse_job({"status": "done", "data": {"files": [file]}}),
    ]
    order = make_order(folder, ticket=ticket())
    waiting = asyncio.run(case.separator.poll(order, ignore))
    assert isinstance(waiting, Waiting)
    assert (waiting.seconds, waiting.progress.queue_position) == (5, 2)
    finished = asyncio.run(case.separator.poll(order, ignore))
    assert isinstance(finished, Finished)
    assert [file.stem for file in finished.files] == ["instrumental"]
    asked = [call for name, call in case.client.asked if name == "get"]
    assert asked == [{"job": REAL, "origin": NODE}] * 2


def test_poll_follows_a_link(case: Case, folder: Path) -> None:
    done = {"status": "done", "data": {"hash": REAL, "link": f"{NODE}/separation/get?hash={REAL}"}}
    case.client.remote_answers = [parse_job({"success": False, "status": "not_found"}), parse_job(done)]
    case.client.answers = [parse_job({"status": "processing"})]
    order = make_order(folder, ticket=ticket("short", BASE))
    assert isinstance(asyncio.run(case.separator.poll(order, ignore)), Waiting)
    assert case.client.names() == ["get_remote"]
    assert isinstance(asyncio.run(case.separator.poll(order, ignore)), Waiting)
    asked = case.client.names()
    assert case.client.asked[asked.index("get")][1] == {"job": REAL, "origin": NODE}
    asyncio.run(case.separator.cancel(order))
    assert case.client.asked[-1] == ("cancel", {"job": REAL, "origin": NODE})


def test_a_model_that_is_gone_does_not_lose_its_job(case: Case, folder: Path) -> None:
    file = {"type": "Instrum", "url": f"{NODE}/x"}
    case.client.answers = [parse_job({"status": "done", "data": {"files": [file]}})]
    finished = asyncio.run(case.separator.poll(make_order(folder, ticket=ticket(), model="9999"), ignore))
    assert isinstance(finished, Finished)
    assert finished.files[0].stem == "instrumental"


def test_fetch(case: Case, folder: Path) -> None:
    url = "https://x.example/a.flac"
    case.client.contents[url] = b"fLaC"
    case.client.answers = [parse_job({"status": "done", "data": {"transcription": [1]}})]
    results = (
        RemoteFile(label="Vocals", stem="vocals", name="a.flac", url=url, size=4),
        RemoteFile(label="Transcription", stem="transcription", name="transcription.json"),
    )
    order = msgspec.structs.replace(make_order(folder, ticket=ticket()), results=results)
    parts = asyncio.run(case.separator.fetch(order, ignore))
    assert [(part.stem, part.is_audio) for part in parts] == [("vocals", True), ("transcription", False)]


@pytest.mark.parametrize(
    ("settings", "has_results", "is_deleted"),
    [({}, True, False), ({"delete_after": True}, True, True), ({"delete_after": True}, False, False)],
)
def test_release(home: Path, folder: Path, settings: dict[str, Any], has_results: bool, is_deleted: bool) -> None:
    case = Case(home, **settings)
    results = (RemoteFile(label="a", stem="a", name="a"),) if has_results else ()
    order = msgspec.structs.replace(make_order(folder, ticket=ticket()), results=results)
    asyncio.run(case.separator.release(order))
    assert [name for name in case.client.names() if name == "delete"] == (["delete"] if is_deleted else [])


def test_release_of_what_is_gone_already(home: Path, folder: Path) -> None:
    case = Case(home, delete_after=True)
    order = msgspec.structs.replace(
        make_order(folder, ticket=ticket()), results=(RemoteFile(label="a", stem="a", name="a"),)
    )
    case.client.failing["delete"] = ServiceError("no such job")
    asyncio.run(case.separator.release(order))
    case.client.failing["delete"] = TransientError("down")
    with pytest.raises(TransientError):
        asyncio.run(case.separator.release(order))


def test_taggings_are_none_of_its_business(case: Case, folder: Path, song: Path) -> None:
    order = msgspec.structs.replace(make_order(folder, song), operation=Tagging(provider="mvsep"))
    with pytest.raises(UsageError):
        asyncio.run(case.separator.submit(order, ignore))


def test_account_and_login(case: Case) -> None:
    assert asyncio.run(case.separator.account_state()).plan == "free"
    assert [finding.name for finding in asyncio.run(case.separator.examine())] == ["mvsep", "mvsep models"]
    assert FREE.api_token == ""
