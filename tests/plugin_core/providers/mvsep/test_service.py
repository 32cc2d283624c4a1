"""Songs through the core and a simulated service: what is sent, charged, found again and placed."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from plugin_core import Job, JobState, Separation, Session, Settings
from plugin_core.errors import OutcomeUnknownError, RefusedError, StembridgeError, UsageError
from plugin_core.model import Part, Plan, Ticket
from plugin_core.plugins import load_plugins
from plugin_core.protocols import Finished, Order, Separator
from plugin_core.providers.mvsep.adapter import MvsepSeparator
from plugin_core.providers.mvsep.caller import MvsepSettings
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.hashes import job_key
from plugin_core.purchases.purchase import Offer
from plugin_core.settings import Secret
from plugin_core.transfer import Transfer
from tests.audio_files import write_song
from tests.plugin_core.providers.mvsep.fakes import KEY, make_order
from tests.simulators.faults import (
    bad_gateway,
    html_page,
    late,
    rate_limited,
    refuse,
    reset_after,
    reset_before,
    truncate,
)
from tests.simulators.mvsep import FREE_TOKEN, PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.walks import LONG, Step, failed

CREATE = "*/separation/create"


@pytest.fixture
def service() -> Iterator[MvsepSimulator]:
    with MvsepSimulator(nodes=2) as simulator:
        yield simulator


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Déjà Vu.wav", 1.0, subtype="PCM_16")


class Bench:
    """A session of one account at the simulator."""

    def __init__(self, service: MvsepSimulator, home: Path, token: str = PREMIUM_TOKEN, **settings: object) -> None:
        values = {"api_token": token, "base_url": service.api, "poll_first": 0.01, "poll_longest": 0.02} | settings
        environ = {f"STEMBRIDGE_MVSEP_{name.upper()}": str(value) for name, value in values.items()}
        environ["STEMBRIDGE_PLUGINS"] = "mvsep"
        self.service = service
        self.changes: list[Job] = []
        self.session = Session(
            Settings(home, environ=environ, keyring=lambda _section, _key: None), load_plugins(environ=environ)
        )

    async def _separate(self, songs: Sequence[Path], wish: dict[str, Any], *, may_buy: bool) -> list[Job]:
        ids = []
        for song in songs:
            source = self.session.inspect(song)
            plan = await self.session.plan(source, Separation(provider="mvsep", **wish))
            job, _ = await self.session.add(source, plan, may_buy=may_buy)
            ids.append(job.id)
        return await self.session.run(ids, on_change=lambda job, _before: self.changes.append(job))

    def separate(self, *songs: Path, may_buy: bool = False, **wish: Any) -> list[Job]:
        with self.session:
            return asyncio.run(self._separate(songs, wish, may_buy=may_buy))

    async def _offer(self, song: Path, wish: dict[str, Any]) -> Offer:
        source = self.session.inspect(song)
        return await self.session.offer(source, Separation(provider="mvsep", **wish))

    def offer(self, song: Path, **wish: Any) -> Offer:
        with self.session:
            return asyncio.run(self._offer(song, wish))

    def plan(self, song: Path, **wish: Any) -> Plan:
        with self.session:
            source = self.session.inspect(song)
            return asyncio.run(self.session.plan(source, Separation(provider="mvsep", **wish)))


def names(job: Job) -> list[str]:
    return [stem.name for stem in job.stems]


def test_song_becomes_stems_that_sum_to_it(service: MvsepSimulator, home: Path, song: Path) -> None:
    (job,) = Bench(service, home).separate(song, model="BS Roformer", options={"Overlap": "87.5%"})
    assert (job.state, job.problem) == (JobState.DONE, None)
    assert names(job) == ["vocals", "instrumental"]
    assert [stem.path.name for stem in job.stems] == ["Déjà Vu - Vocals.flac", "Déjà Vu - Instrumental.flac"]
    total = sum(soundfile.read(stem.path, dtype="int32")[0] for stem in job.stems)
    assert np.array_equal(total, soundfile.read(song, dtype="int32")[0])
    (sent,) = service.requests("POST", CREATE)
    assert sent.form is not None
    form = {name: value for name, value in sent.form.items() if name != "api_token"}
    assert form == {"sep_type": "40", "add_opt1": "81", "add_opt2": "8", "output_format": "2", "is_demo": "0"}
    assert service.jobs[0].order.filename == f"{job_key(job.id)}-deja-vu.flac"
    assert service.created == 1


def test_keys_that_are_renewed_buy_nothing_again(service: MvsepSimulator, home: Path, song: Path) -> None:
    (first,) = Bench(service, home).separate(song, model="40")
    service.accounts["n" * 30] = service.accounts.pop(PREMIUM_TOKEN)
    assert [job.id for job in Bench(service, home, f" {'n' * 30}\n").separate(song, model="40")] == [first.id]
    assert service.created == 1
    # What was deleted or changed since is made of what is kept; what else is wished for is bought as usual.
    first.stems[0].path.unlink()
    first.stems[1].path.write_bytes(b"mine")
    (again,) = Bench(service, home, "n" * 30).separate(song, model="40")
    assert (again.state, service.created) == (JobState.DONE, 1)
    Bench(service, home, "n" * 30).separate(song, model="40", options={"Overlap": "8"})
    assert service.created == 2
    # Of what is kept no more it is only told, with the date, until its user says so.
    shutil.rmtree(home / "purchases")
    for stem in again.stems:
        stem.path.unlink()
    service.accounts["o" * 30] = service.accounts.pop("n" * 30)
    offer = Bench(service, home, "o" * 30).offer(song, model="40")
    assert offer.is_bought_again and "bought before, on 20" in offer.plan.notes[-1]
    assert "with other keys than those that are set now" in offer.plan.notes[-1]
    (asked,) = Bench(service, home, "o" * 30).separate(song, model="40")
    assert asked.problem is not None and asked.problem.needs_word and "other keys" in asked.problem.message
    assert service.created == 2
    (bought,) = Bench(service, home, "o" * 30).separate(song, model="40", may_buy=True)
    assert (bought.state, service.created) == (JobState.DONE, 3)


def test_a_result_that_is_gone_costs_itself_alone(
    service: MvsepSimulator, home: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin_core.service.LOOKS", 1)
    service.faults.add(refuse("GET", "*vocals*", 404, times=None))
    (job,) = Bench(service, home).separate(song, model="40")
    assert (job.state, names(job)) == (JobState.DONE, ["instrumental"])
    assert any("vocals: made by the service, and not to be had" in note for note in job.notes)


def test_depth_of_the_source_is_kept(service: MvsepSimulator, home: Path, tmp_path: Path) -> None:
    song = write_song(tmp_path / "Deep.wav", 0.5, subtype="PCM_24")
    (job,) = Bench(service, home).separate(song, model="63")
    assert job.state is JobState.DONE
    assert {soundfile.info(stem.path).subtype for stem in job.stems} == {"PCM_24"}
    assert service.jobs[0].order.output_format == "5"


def test_free_account_has_one_job_at_a_time(service: MvsepSimulator, home: Path, tmp_path: Path) -> None:
    songs = [write_song(tmp_path / f"{number}.wav", 0.3, seed=number) for number in range(4)]
    jobs = Bench(service, home, FREE_TOKEN).separate(*songs, model="40")
    assert [job.state for job in jobs] == [JobState.DONE] * 4
    assert (service.created, service.max_active[FREE_TOKEN]) == (4, 1)


def test_queue_and_parts_are_shown(service: MvsepSimulator, home: Path, song: Path) -> None:
    bench = Bench(service, home)
    service.behave(Behaviour(walk=LONG))
    (job,) = bench.separate(song, model="40")
    assert job.state is JobState.DONE
    seen = [job.progress for job in bench.changes if job.progress is not None and job.state is JobState.RUNNING]
    assert any(one.queue_position is not None for one in seen)
    assert any(one.parts_all for one in seen)


def test_job_stays_on_its_node(service: MvsepSimulator, home: Path, song: Path) -> None:
    service.behave(Behaviour(region=1))
    (job,) = Bench(service, home, nodes=f"{service.urls[1]}/api").separate(song, model="40")
    assert (job.state, service.created) == (JobState.DONE, 1)
    assert job.ticket is not None
    assert job.ticket.origin == f"{service.urls[1]}/api"


def test_lost_answer_of_another_node(service: MvsepSimulator, home: Path, song: Path) -> None:
    service.behave(Behaviour(region=1))
    service.faults.add(reset_after("POST", CREATE))
    (job,) = Bench(service, home, nodes=f"{service.urls[1]}/api").separate(song, model="40")
    assert (job.state, service.created) == (JobState.DONE, 1)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(Behaviour(has_type=False), id="no labels"),
        pytest.param(Behaviour(says_other=True), id="instrumental called other"),
        pytest.param(Behaviour(has_bytes="text"), id="bytes as text"),
        pytest.param(Behaviour(download="../../{name}"), id="hostile names"),
        pytest.param(Behaviour(success="true"), id="success as text"),
        pytest.param(Behaviour(walk=(Step("dancing"),)), id="unknown status"),
        pytest.param(Behaviour(delay=1105), id="delay"),
    ],
)
def test_odd_services(service: MvsepSimulator, home: Path, song: Path, behaviour: Behaviour) -> None:
    service.behave(behaviour)
    service.is_drifting = True
    (job,) = Bench(service, home).separate(song, model="40")
    assert (job.state, job.problem) == (JobState.DONE, None)
    assert sorted(names(job)) == ["instrumental", "vocals"]
    assert {stem.path.parent for stem in job.stems} == {song.parent / "Déjà Vu.stems"}


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        pytest.param(Behaviour(walk=(failed("GPU on fire"),)), "GPU on fire", id="failed"),
        pytest.param(Behaviour(is_empty=True), "lists no files", id="empty"),
    ],
)
def test_clear_ends(service: MvsepSimulator, home: Path, song: Path, behaviour: Behaviour, says: str) -> None:
    service.behave(behaviour)
    (job,) = Bench(service, home).separate(song, model="40")
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert says in job.problem.message


def test_lost_answer_is_found_and_not_paid_again(service: MvsepSimulator, home: Path, song: Path) -> None:
    service.faults.add(reset_after("POST", CREATE))
    (job,) = Bench(service, home).separate(song, model="40")
    assert (job.state, service.created) == (JobState.DONE, 1)
    assert len(service.requests("POST", CREATE)) == 1


def test_lost_answer_that_is_listed_late(service: MvsepSimulator, home: Path, song: Path) -> None:
    service.faults.add(reset_after("POST", CREATE))
    service.faults.add(late("POST", CREATE, requests=3))
    (job,) = Bench(service, home).separate(song, model="40")
    assert (job.state, service.created) == (JobState.DONE, 1)


def test_lost_request_is_sent_again(service: MvsepSimulator, home: Path, song: Path) -> None:
    service.faults.add(reset_before("POST", CREATE))
    (job,) = Bench(service, home, register_seconds=0).separate(song, model="40")
    assert (job.state, service.created) == (JobState.DONE, 1)
    assert len(service.requests("POST", CREATE)) == 2


def test_history_that_cannot_be_read_says_nothing(service: MvsepSimulator, home: Path, tmp_path: Path) -> None:
    service.faults.add(bad_gateway("GET", "*/app/separation_history", times=None))
    client = MvsepClient(service.api, Secret(PREMIUM_TOKEN), transfer=Transfer("MVSEP", tries=1))
    settings = MvsepSettings(api_token=Secret(PREMIUM_TOKEN), base_url=service.api, register_seconds=0)
    separator = MvsepSeparator(settings, home, client=client)
    with pytest.raises(OutcomeUnknownError, match="cannot be read"):
        asyncio.run(separator.find(make_order(tmp_path)))


def test_bad_weather(service: MvsepSimulator, home: Path, song: Path) -> None:
    service.faults.add(rate_limited("POST", CREATE, seconds=0))
    service.faults.add(html_page("GET", "*/separation/get"))
    service.faults.add(truncate("GET", "/storage/processed/*", at=1000))
    (job,) = Bench(service, home).separate(song, model="40")
    assert (job.state, service.created) == (JobState.DONE, 1)


@pytest.mark.parametrize(
    ("token", "wish", "kind", "says"),
    [
        pytest.param("x" * 30, {}, RefusedError, "HTTP 400", id="wrong token"),
        pytest.param("", {}, RefusedError, "stembridge login mvsep", id="no token"),
        pytest.param(FREE_TOKEN, {"model": "30"}, RefusedError, "premium", id="premium model"),
        pytest.param(FREE_TOKEN, {"options": {"output_format": "5"}}, RefusedError, "premium", id="premium format"),
        pytest.param(FREE_TOKEN, {"model": "BS Rofomer"}, UsageError, "did you mean", id="unknown model"),
        pytest.param(FREE_TOKEN, {"stems": ("tuba",)}, UsageError, "tuba", id="unknown stem"),
    ],
)
def test_nothing_is_uploaded_that_can_be_refused_before(
    service: MvsepSimulator,
    home: Path,
    song: Path,
    token: str,
    wish: dict[str, Any],
    kind: type[StembridgeError],
    says: str,
) -> None:
    with pytest.raises(kind, match=says):
        Bench(service, home, token).plan(song, **wish)
    assert service.requests("POST") == []


def test_quota_of_the_day(service: MvsepSimulator, home: Path, song: Path) -> None:
    service.accounts[FREE_TOKEN].daily_limit = 0
    with pytest.raises(RefusedError, match="today"):
        Bench(service, home, FREE_TOKEN).plan(song)


def test_credits(service: MvsepSimulator, home: Path, song: Path) -> None:
    bench = Bench(service, home)
    plan = bench.plan(song, model="28")
    assert plan.credits == 1.0
    bench.separate(song, model="28")
    assert [charge["credits"] for charge in service.charges] == [1]


def test_token_is_seen_nowhere(service: MvsepSimulator, home: Path, song: Path) -> None:
    bench = Bench(service, home)
    bench.separate(song, model="40")
    for path in home.rglob("*"):
        if path.is_file():
            assert PREMIUM_TOKEN.encode() not in path.read_bytes(), path
    assert PREMIUM_TOKEN not in repr(bench.changes)


def test_midi_and_text_are_results(service: MvsepSimulator, home: Path, song: Path, tmp_path: Path) -> None:
    bench = Bench(service, home)
    separator = bench.session.separator("mvsep")
    source = bench.session.inspect(song)

    async def run() -> list[bool]:
        plan = await separator.plan(source, Separation(provider="mvsep", model="80"))
        assert isinstance(plan.operation, Separation)
        order = make_order(tmp_path, song, model="80", options=plan.operation.options)
        ticket = await separator.submit(order, lambda _progress: None)
        return [part.is_audio for part in await fetch(separator, order, ticket)]

    assert asyncio.run(run()) == [False]


class Shelf(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Shelf, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("is_lost", [False, True], ids=["answered", "answer lost"])
def test_job_by_link(service: MvsepSimulator, home: Path, tmp_path: Path, shelf: str, is_lost: bool) -> None:
    separator = Bench(service, home).session.separator("mvsep")
    write_song(tmp_path / f"{KEY}.flac", 0.5)
    order = msgspec.structs.replace(make_order(tmp_path), url=Secret(f"{shelf}/{KEY}.flac?signature=s3cret"))
    if is_lost:
        service.faults.add(reset_after("POST", CREATE))

    async def submit() -> Ticket:
        try:
            return await separator.submit(order, lambda _progress: None)
        except OutcomeUnknownError:
            for _ in range(100):
                if found := await separator.find(order):
                    return found
        raise AssertionError("the job is not found again")

    async def run() -> Sequence[Part]:
        return await fetch(separator, order, await submit())

    assert [part.stem for part in asyncio.run(run())] == ["vocals", "instrumental"]
    assert service.created == 1


async def fetch(separator: Separator, order: Order, ticket: Ticket) -> Sequence[Part]:
    order = msgspec.structs.replace(order, ticket=ticket, sent=time.time())
    for _ in range(100):
        answer = await separator.poll(order, lambda _progress: None)
        if isinstance(answer, Finished):
            return await separator.fetch(msgspec.structs.replace(order, results=answer.files), lambda _progress: None)
    raise AssertionError("the job does not end")
