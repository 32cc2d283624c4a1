from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from plugin_core import Job, JobState, Session, Settings
from plugin_core.abilities import HasAccount, HasDiagnostics, HasLogin
from plugin_core.errors import (
    GoneError,
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    SettingsError,
    TransientError,
    UnclearAnswerError,
    UsageError,
)
from plugin_core.model import Part, Progress, Separation, Source, Ticket
from plugin_core.operations.song import inspect
from plugin_core.protocols import TOLD, Finished, Order, ReadsFromUrl, Separator, Terms, Waiting, terms_of
from plugin_core.providers.tencent_ci import plugin
from plugin_core.providers.tencent_ci.adapter import CiSeparator
from plugin_core.providers.tencent_ci.caller import NoRightError
from plugin_core.providers.tencent_ci.rules import AudioConfig, CiTemplate
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.service import LOOKS
from plugin_core.settings import Secret
from tests.audio_files import make_song, read_samples, write_samples, write_song
from tests.plugin_core.cli.fakes import FakePoint, load_fakes
from tests.plugin_core.providers.plans import allow
from tests.plugin_core.providers.tencent_ci.conftest import KEY, make_order, transfer
from tests.simulators.clocks import SimulatorClock
from tests.simulators.faults import Fault, bad_gateway, html_page, late, refuse, reset_after
from tests.simulators.tencent import TencentSimulator


def ignore(progress: Progress) -> None:
    """Hear nothing."""


async def follow(separator: CiSeparator, order: Order) -> Order:
    """Poll until the job is finished and return it with its results."""
    for _ in range(20):
        answer = await separator.poll(order, ignore)
        if isinstance(answer, Finished):
            return msgspec.structs.replace(order, results=answer.files)
    raise AssertionError("never finished")


async def complete(separator: CiSeparator, order: Order) -> tuple[Order, list[Part]]:
    """Bring a job from its start to its parts."""
    order = msgspec.structs.replace(order, ticket=await separator.submit(order, ignore))
    order = await follow(separator, order)
    return order, list(await separator.fetch(order, ignore))


def test_it_keeps_every_promise(separator: CiSeparator) -> None:
    assert isinstance(separator, Separator)
    assert isinstance(separator, HasLogin)
    assert isinstance(separator, HasDiagnostics)
    assert not isinstance(separator, (ReadsFromUrl, HasAccount))
    assert separator.section == "tencent"
    assert separator.account() == "tencent_ci:songs-1250000000"


def test_a_song_becomes_stems_and_nothing_is_left(
    cloud: TencentSimulator, separator: CiSeparator, order: Order
) -> None:
    async def run() -> list[Part]:
        done, parts = await complete(separator, order)
        await separator.release(done)
        await separator.release(done)
        return parts

    parts = asyncio.run(run())
    assert {part.stem for part in parts} == {"vocals", "instrumental"}
    total = sum(read_samples(part.path)[0] for part in parts)
    np.testing.assert_allclose(total, read_samples(order.source.path)[0], atol=2**-15)
    assert cloud.store.objects == {}
    assert {path.suffix for path in order.folder.iterdir()} == {".flac"}


@pytest.mark.parametrize(
    ("mode", "options", "stems", "suffix"),
    [
        ("IsAudio", {}, {"vocals"}, ".flac"),
        ("IsBackground", {"codec": "mp3"}, {"instrumental"}, ".mp3"),
        ("MusicMode", {}, {"vocals", "instrumental", "bass", "drums"}, ".wav"),
        ("audioandbackground", {"samplerate": "22050", "channels": "1"}, {"vocals", "instrumental"}, ".flac"),
    ],
)
def test_every_mode_gives_its_stems(
    separator: CiSeparator,
    song: Source,
    tmp_path: Path,
    mode: str,
    options: dict[str, str],
    stems: set[str],
    suffix: str,
) -> None:
    async def run() -> list[Part]:
        planned = await separator.plan(song, make_order(song, tmp_path, model=mode, options=options).operation)  # type: ignore[arg-type]
        assert set(planned.stems) == stems
        order = msgspec.structs.replace(make_order(song, tmp_path), operation=planned.operation)
        return (await complete(separator, order))[1]

    parts = asyncio.run(run())
    assert {part.stem for part in parts} == stems
    assert {part.path.suffix for part in parts} == {suffix}


@pytest.mark.parametrize("first", [True, False], ids=["vocals-first", "background-first"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "not-named"])
def test_results_go_by_name_and_never_by_position(
    cloud: TencentSimulator, separator: CiSeparator, order: Order, first: bool, named: bool
) -> None:
    cloud.behaviour.vocals_first, cloud.behaviour.has_media_result = first, named
    done, parts = asyncio.run(complete(separator, order))
    for part, file in zip(parts, done.results, strict=True):
        assert part.stem in file.name
        held = cloud.store.objects[file.url.removeprefix("cos://songs-1250000000/")]
        assert part.path.read_bytes() == held.content.read()


@pytest.mark.parametrize("says", ["asked", ""], ids=["wildcards", "nothing"])
@pytest.mark.parametrize("may_list", [True, False], ids=["listed", "not-listed"])
def test_paid_results_that_nothing_names_are_where_they_were_asked_for(
    cloud: TencentSimulator, separator: CiSeparator, order: Order, says: str, may_list: bool
) -> None:
    cloud.behaviour.has_media_result, cloud.behaviour.names_outputs = False, says
    if not may_list:
        cloud.denied.add("GET /")
    done, parts = asyncio.run(complete(separator, order))
    assert {part.stem for part in parts} == {"vocals", "instrumental"}
    asyncio.run(separator.release(done))
    assert cloud.store.objects == {}


def test_a_success_without_any_results_is_told(cloud: TencentSimulator, separator: CiSeparator, order: Order) -> None:
    cloud.behaviour.has_media_result, cloud.behaviour.names_outputs = False, ""
    paid = msgspec.structs.replace(order, ticket=asyncio.run(separator.submit(order, ignore)))
    asyncio.run(separator.poll(paid, ignore))
    (job,) = cloud.jobs.all.values()
    cloud.jobs.look(job)
    cloud.store.objects.clear()
    with pytest.raises(ServiceError, match="its results are not in the bucket"):
        asyncio.run(separator.poll(paid, ignore))


@pytest.mark.parametrize("minutes", [-14, 14], ids=["fast", "slow"])
def test_a_clock_that_is_as_wrong_as_the_service_lets_it_be_works(
    cloud: TencentSimulator, settings: TencentSettings, order: Order, minutes: int
) -> None:
    ahead = SimulatorClock()
    ahead.advance(-minutes * 60)
    done, parts = asyncio.run(complete(CiSeparator(settings, transfer=transfer(), clock=ahead), order))
    assert len(parts) == len(done.results) == 2


@pytest.mark.parametrize("empty", [True, False])
def test_pause_is_not_the_end(cloud: TencentSimulator, separator: CiSeparator, order: Order, empty: bool) -> None:
    cloud.behaviour.walk, cloud.behaviour.empty_times = (
        ("Submitted", "Pause", "Running", "Pause", "Running", "Success"),
        empty,
    )
    cloud.behaviour.echo = True
    notes = []

    async def run() -> None:
        order_ = msgspec.structs.replace(order, ticket=await separator.submit(order, ignore))
        for _ in range(4):
            answer = await separator.poll(order_, ignore)
            assert isinstance(answer, Waiting)
            notes.append(answer.progress.note)
        assert isinstance(await separator.poll(order_, ignore), Finished)

    asyncio.run(run())
    assert "paused" in notes[0]
    assert notes[1] == "separating"


@pytest.mark.parametrize(("state", "words"), [("Failed", "the audio is broken"), ("Cancel", "cancelled at Tencent")])
def test_a_job_that_ends_badly_says_why(
    cloud: TencentSimulator, separator: CiSeparator, order: Order, state: str, words: str
) -> None:
    cloud.behaviour.walk = ("Submitted", state)

    async def run() -> None:
        ticket = await separator.submit(order, ignore)
        ended = msgspec.structs.replace(order, ticket=ticket)
        with pytest.raises(ServiceError, match=words):
            await separator.poll(ended, ignore)
        await separator.release(ended)

    asyncio.run(run())
    assert cloud.store.objects == {}


def test_a_job_that_is_not_known_is_gone(separator: CiSeparator, order: Order) -> None:
    """The core bears that while the job is new."""
    lost = msgspec.structs.replace(order, ticket=Ticket(remote_id="jnone"))
    with pytest.raises(GoneError, match="does not know the job"):
        asyncio.run(separator.poll(lost, ignore))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((400, "<Error><Code>InvalidArgument</Code></Error>"), UnclearAnswerError),
        ((200, "<html><body>busy</body></html>"), UnclearAnswerError),
        ((200, "{}"), UnclearAnswerError),
        ((403, "<Error><Code>AccessDenied</Code></Error>"), NoRightError),
        ((404, "<Error><Code>NoSuchBucket</Code></Error>"), SettingsError),
    ],
    ids=["argument", "html", "json", "denied", "bucket"],
)
def test_only_a_clear_word_about_the_job_ends_it(
    cloud: TencentSimulator, separator: CiSeparator, order: Order, answer: tuple[int, str], kind: type[Exception]
) -> None:
    paid = msgspec.structs.replace(order, ticket=asyncio.run(separator.submit(order, ignore)))
    cloud.faults.add(refuse("GET", "/jobs/*", *answer, times=1))
    with pytest.raises(kind) as caught:
        asyncio.run(separator.poll(paid, ignore))
    assert type(caught.value) is kind


def test_a_state_nobody_knows_is_named_and_a_known_one_is_not(
    cloud: TencentSimulator, separator: CiSeparator, order: Order
) -> None:
    cloud.behaviour.walk = ("Submitted", "Dancing", "Running", "Dancing")
    paid = msgspec.structs.replace(order, ticket=asyncio.run(separator.submit(order, ignore)))
    answers = [asyncio.run(separator.poll(paid, ignore)) for _ in range(3)]
    said = [answer.unclear for answer in answers if isinstance(answer, Waiting)]
    assert said == ["state 'Dancing'", "", "state 'Dancing'"]


def test_a_network_that_is_silent_for_days_ends_no_paid_job(
    cloud: TencentSimulator, settings: TencentSettings, order: Order
) -> None:
    separator = CiSeparator(settings, transfer=transfer(), clock=cloud.clock)
    paid = msgspec.structs.replace(order, ticket=asyncio.run(separator.submit(order, ignore)))
    cloud.faults.add(bad_gateway("GET", "/jobs/*", times=None))
    for _ in range(3):
        with pytest.raises(TransientError) as caught:
            asyncio.run(separator.poll(paid, ignore))
        assert type(caught.value) is TransientError
        cloud.clock.advance(48 * 3600)


def test_a_lost_answer_is_found_by_its_user_data(
    cloud: TencentSimulator, separator: CiSeparator, order: Order, song: Source, tmp_path: Path
) -> None:
    cloud.page_size = 1
    others = [make_order(song, tmp_path, f"other-{number}") for number in range(3)]

    async def run() -> Ticket | None:
        for other in others[:2]:
            await separator.submit(other, ignore)
        cloud.faults.add(reset_after("POST", "/jobs"))
        with pytest.raises(OutcomeUnknownError):
            await separator.submit(order, ignore)
        await separator.submit(others[2], ignore)
        return await separator.find(order)

    ticket = asyncio.run(run())
    assert ticket is not None
    assert cloud.jobs.all[ticket.remote_id].request.user_data == KEY


def test_a_job_that_is_listed_late_is_found_then(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], order: Order
) -> None:
    """When a job that is not listed is surely absent, the core says, by ``register_seconds``."""
    separator = CiSeparator(settings_for(register_seconds=10.0), transfer=transfer(), clock=cloud.clock)
    assert terms_of(separator) == Terms(register_seconds=10.0)
    cloud.faults.add(late("POST", "/jobs", seconds=5))
    cloud.faults.add(reset_after("POST", "/jobs"))
    with pytest.raises(OutcomeUnknownError):
        asyncio.run(separator.submit(order, ignore))
    assert asyncio.run(separator.find(order)) is None
    cloud.clock.advance(6)
    assert asyncio.run(separator.find(order)) is not None


@pytest.mark.parametrize("queue", ["", "p2242ab62c7c94486915508540933a2c6"], ids=["none", "configured"])
def test_lists_that_must_name_their_queue_are_read(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], order: Order, queue: str
) -> None:
    cloud.needs_queue = True
    separator = CiSeparator(settings_for(queue=queue), transfer=transfer())
    made = asyncio.run(separator.submit(order, ignore))
    found = asyncio.run(separator.find(order))
    assert found is not None
    assert found.remote_id == made.remote_id


@pytest.mark.parametrize(
    "fault",
    [
        html_page("GET", "/jobs", times=None),
        refuse("GET", "/jobs", 403, "<Error><Code>AccessDenied</Code></Error>", times=None),
        refuse("GET", "/jobs", 200, "", times=None),
    ],
    ids=["html", "denied", "empty"],
)
def test_a_list_that_cannot_be_read_proves_nothing(
    cloud: TencentSimulator, separator: CiSeparator, order: Order, fault: Fault
) -> None:
    cloud.faults.add(fault)
    with pytest.raises(OutcomeUnknownError):
        asyncio.run(separator.find(order))


def test_a_failed_job_or_one_whose_results_are_gone_is_not_taken_up(
    cloud: TencentSimulator, separator: CiSeparator, order: Order
) -> None:
    async def run() -> None:
        done, _ = await complete(separator, order)
        assert await separator.find(order) is not None
        await separator.release(done)
        assert await separator.find(order) is None
        cloud.behaviour.walk = ("Submitted", "Failed")
        failed = msgspec.structs.replace(order, ticket=await separator.submit(order, ignore))
        with pytest.raises(ServiceError):
            await separator.poll(failed, ignore)
        assert await separator.find(order) is None

    asyncio.run(run())


def test_a_digest_that_never_fits_is_passed_over_and_told(
    cloud: TencentSimulator, separator: CiSeparator, order: Order
) -> None:
    cloud.behaviour.wrong_md5 = True
    done, parts = asyncio.run(complete(separator, order))
    assert {part.stem for part in parts} == {"vocals", "instrumental"}
    assert done.note[TOLD].startswith("instrumental, vocals: the digest that Tencent CI names")
    # Four tries each that hope for it, and one that does not.
    assert len(cloud.requests("GET", "/stembridge/*")) == 10


def test_a_result_that_is_gone_costs_its_own_stem_alone_once_it_was_looked_for(
    cloud: TencentSimulator, separator: CiSeparator, order: Order
) -> None:
    async def run() -> None:
        paid = msgspec.structs.replace(order, ticket=await separator.submit(order, ignore))
        paid = await follow(separator, paid)
        (lost,) = (key for key in cloud.store.objects if "vocals" in key)
        kept = cloud.store.objects.pop(lost)
        for _ in range(LOOKS - 1):
            with pytest.raises(TransientError, match=r"vocals\.\w+ is gone from the bucket|NoSuchKey"):
                await separator.fetch(paid, ignore)
        before = len(cloud.requests("GET", "/stembridge/*"))
        assert [part.stem for part in await separator.fetch(paid, ignore)] == ["instrumental"]
        assert "vocals" in paid.note[TOLD]
        assert await separator.find(paid) is not None, "what is left of it is paid for"
        cloud.store.objects[lost] = kept
        assert {part.stem for part in await separator.fetch(paid, ignore)} == {"vocals", "instrumental"}
        assert len(cloud.requests("GET", "/stembridge/*")) == before + 2, "one to see that it is gone, one for itself"

    asyncio.run(run())


def test_the_stems_that_are_there_are_placed_by_a_job_that_says_what_is_missing(
    cloud: TencentSimulator, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.behaviour.lost_outputs = ("BassObject",)
    for name, value in (cloud.environment() | {"STEMBRIDGE_TENCENT_POLL_FIRST": "0.01"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("plugin_core.service.LOOKS", 2)

    async def run(session: Session) -> Job:
        source = session.inspect(write_song(tmp_path / "Song.wav", 1.0))
        plan = await session.plan(source, Separation(provider="tencent_ci", model="MusicMode"))
        job, _ = await session.add(source, plan)
        await session.run([job.id])
        return session.store.get(job.id)

    with Session(Settings(home), load_fakes(FakePoint("tencent_ci", plugin))) as session:
        job = asyncio.run(run(session))
    assert job.state is JobState.DONE
    assert {stem.name for stem in job.stems} == {"vocals", "instrumental", "drums"}
    assert any(note.startswith("bass: made by the service, and not to be had: ") for note in job.notes)
    assert len(cloud.jobs.all) == 1


def test_results_that_are_all_gone_end_the_job(cloud: TencentSimulator, separator: CiSeparator, order: Order) -> None:
    async def run() -> None:
        paid = msgspec.structs.replace(order, ticket=await separator.submit(order, ignore))
        paid = await follow(separator, paid)
        cloud.store.objects.clear()
        with pytest.raises(ServiceError) as caught:
            await separator.fetch(paid, ignore)
        assert "made again" in caught.value.remedy

    asyncio.run(run())


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "not-named"])
def test_results_have_names_of_the_users_own_and_stay(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], order: Order, is_named: bool
) -> None:
    cloud.behaviour.has_media_result, cloud.behaviour.names_outputs = is_named, "resolved" if is_named else ""
    separator = CiSeparator(settings_for(results="my stems/${jobid} ${stem}.${ext}"), transfer=transfer())
    assert terms_of(separator).forgets is False

    async def run() -> str:
        done, parts = await complete(separator, order)
        assert {part.stem for part in parts} == {"vocals", "instrumental"}
        # The setting may change while the job runs.
        later = CiSeparator(settings_for(), transfer=transfer())
        paid = msgspec.structs.replace(done, results=())
        assert {part.stem for part in await later.fetch(await follow(later, paid), ignore)} == {
            "vocals",
            "instrumental",
        }
        await later.release(done)
        assert done.ticket is not None
        return done.ticket.remote_id

    job = asyncio.run(run())
    assert sorted(cloud.store.objects) == [f"my stems/{job} instrumental.flac", f"my stems/{job} vocals.flac"]


def test_results_that_are_there_are_not_fetched_again(
    cloud: TencentSimulator, separator: CiSeparator, order: Order
) -> None:
    async def run() -> None:
        done, _ = await complete(separator, order)
        before = len(cloud.requests("GET", "/stembridge/*"))
        again = msgspec.structs.replace(done, attempt="a2")
        await CiSeparator(separator.settings, transfer=transfer()).fetch(again, ignore)
        assert len(cloud.requests("GET", "/stembridge/*")) == before

    asyncio.run(run())


def test_cancelling_reaches_the_service_and_leaves_nothing(
    cloud: TencentSimulator, separator: CiSeparator, order: Order
) -> None:
    async def run() -> None:
        cloud.behaviour.walk = ("Submitted", "Submitted", "Submitted", "Running")
        paid = msgspec.structs.replace(order, ticket=await separator.submit(order, ignore))
        await separator.cancel(paid)
        await separator.release(paid)

    asyncio.run(run())
    assert [job.state for job in cloud.jobs.all.values()] == ["Cancel"]
    assert cloud.store.objects == {}


def test_a_running_job_cannot_be_cancelled_and_is_cleaned_up_later(
    cloud: TencentSimulator, separator: CiSeparator, order: Order
) -> None:
    cloud.behaviour.walk = ("Submitted", "Running", "Running", "Running", "Success")

    async def run() -> None:
        paid = msgspec.structs.replace(order, ticket=await separator.submit(order, ignore))
        await separator.poll(paid, ignore)
        with pytest.raises(ServiceError, match="cannot cancel a job that is Running"):
            await separator.cancel(paid)
        with pytest.raises(TransientError, match="still runs"):
            await separator.release(paid)
        await separator.release(paid)

    asyncio.run(run())
    assert cloud.store.objects == {}


def test_cleaning_up_can_be_switched_off(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], order: Order
) -> None:
    separator = CiSeparator(settings_for(cleanup=False), transfer=transfer())

    async def run() -> None:
        done, _ = await complete(separator, order)
        await separator.release(done)

    asyncio.run(run())
    assert len(cloud.store.objects) == 3


def test_cleaning_up_touches_nothing_that_is_not_the_jobs(
    cloud: TencentSimulator, separator: CiSeparator, order: Order
) -> None:
    from plugin_core.model import RemoteFile
    from tests.simulators.blobs import Blob

    cloud.store.put("mine.flac", Blob.of(b"mine"))
    cloud.store.put(f"stembridge/{KEY}-other/source.flac", Blob.of(b"mine"))
    stray = (RemoteFile(label="x", stem="x", name="x", url="cos://songs-1250000000/mine.flac"),)
    ticket = asyncio.run(separator.submit(order, ignore))
    hostile = msgspec.structs.replace(order, results=stray, ticket=ticket)
    asyncio.run(follow(separator, hostile))
    asyncio.run(separator.release(hostile))
    assert sorted(cloud.store.objects) == ["mine.flac", f"stembridge/{KEY}-other/source.flac"]


def test_a_job_in_another_bucket_is_asked_for_there(settings_for: Callable[..., TencentSettings], order: Order) -> None:
    moved = CiSeparator(settings_for(bucket="new-1250000000"), transfer=transfer())
    ticket = Ticket(remote_id="j1", data={"bucket": "songs-1250000000", "region": "ap-guangzhou"})
    found = moved._service_of(msgspec.structs.replace(order, ticket=ticket))
    assert found.settings.bucket == "songs-1250000000"


@pytest.mark.parametrize(
    "change", [{"queue": "p-other"}, {"prefix": "elsewhere/"}, {"bucket": "new-1250000000"}], ids=str
)
def test_settings_that_change_meanwhile_hide_no_paid_job(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], order: Order, change: dict[str, str]
) -> None:
    cloud.faults.add(reset_after("POST", "/jobs"))
    with pytest.raises(OutcomeUnknownError):
        asyncio.run(CiSeparator(settings_for(queue="p-mine"), transfer=transfer()).submit(order, ignore))
    later = CiSeparator(settings_for(**{"queue": "p-mine", **change}), transfer=transfer())
    ticket = asyncio.run(later.find(order))
    assert ticket is not None
    assert ticket.data.items() >= {("bucket", "songs-1250000000"), ("prefix", "stembridge/")}


def test_a_key_of_a_clock_that_was_ahead_hides_no_paid_job(
    cloud: TencentSimulator, separator: CiSeparator, song: Source, tmp_path: Path
) -> None:
    order = make_order(song, tmp_path, key="09000000-0000-7000-8000-000000000001")
    cloud.faults.add(reset_after("POST", "/jobs"))
    with pytest.raises(OutcomeUnknownError):
        asyncio.run(separator.submit(order, ignore))
    assert asyncio.run(separator.find(order)) is not None


@pytest.mark.parametrize("is_found", [True, False], ids=["followed", "answer-lost"])
def test_everything_in_the_jobs_folder_is_removed_where_it_was_put(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], order: Order, is_found: bool
) -> None:
    made = asyncio.run(CiSeparator(settings_for(), transfer=transfer()).submit(order, ignore))
    (job,) = cloud.jobs.all.values()
    while job.state != "Success":
        cloud.jobs.look(job)
    assert len(cloud.store.objects) == 3
    done = msgspec.structs.replace(order, ticket=made) if is_found else order
    asyncio.run(CiSeparator(settings_for(prefix="elsewhere/"), transfer=transfer()).release(done))
    assert cloud.store.objects == {}


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"model": "Karaoke"}, "unknown model"),
        ({"options": {"codec": "wav"}}, "cannot give 'wav'"),
        ({"model": "MusicMode", "options": {"codec": "flac"}}, "cannot give 'flac'"),
        ({"options": {"speed": "9"}}, "unknown option"),
        ({"options": {"template": "t-none"}}, "no VoiceSeparate template"),
        ({"options": {"queue": "p\x01"}}, "option queue"),
        ({"options": {"level": "3"}}, "level='3'"),
    ],
)
def test_bad_wishes_are_refused_before_any_upload(
    cloud: TencentSimulator, separator: CiSeparator, song: Source, tmp_path: Path, wish: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        asyncio.run(separator.plan(song, make_order(song, tmp_path, **wish).operation))  # type: ignore[arg-type]
    assert cloud.requests("PUT") == []


def test_what_the_service_clips_is_said_before(separator: CiSeparator, tmp_path: Path) -> None:
    loud = inspect(write_samples(tmp_path / "Loud.wav", make_song(1.0) * 4, subtype="FLOAT"))
    plan = asyncio.run(separator.plan(loud, Separation(provider="tencent_ci", options={"codec": "flac"})))
    assert "what lies over full scale comes back clipped: flac cannot hold it" in plan.notes


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"secret_key": Secret("")}, RefusedError),
        ({"bucket": "songs"}, SettingsError),
        ({"region": ""}, SettingsError),
    ],
)
def test_without_an_account_nothing_is_planned(
    settings_for: Callable[..., TencentSettings], order: Order, change: dict[str, Any], kind: type[Exception]
) -> None:
    separator = CiSeparator(settings_for(**change), transfer=transfer())
    with pytest.raises(kind):
        allow(asyncio.run(separator.plan(order.source, order.operation)))  # type: ignore[arg-type]


def test_a_template_decides_and_is_used(
    cloud: TencentSimulator, separator: CiSeparator, song: Source, tmp_path: Path
) -> None:
    async def run() -> list[Part]:
        made = await separator.service.ci.create_template(
            CiTemplate(name="mp3s", mode="IsAudio", config=AudioConfig(codec="mp3"))
        )
        wish = make_order(song, tmp_path, model="", options={"template": made.id}).operation
        plan = await separator.plan(song, wish)  # type: ignore[arg-type]
        assert plan.operation.model == "IsAudio"  # type: ignore[union-attr]
        assert any("lossy" in note for note in plan.notes)
        clash = msgspec.structs.replace(wish, options={"template": made.id, "codec": "flac"})
        with pytest.raises(UsageError, match="the template decides about codec"):
            await separator.plan(song, clash)  # type: ignore[arg-type]
        other = msgspec.structs.replace(wish, model="MusicMode")
        with pytest.raises(UsageError, match="is for IsAudio"):
            await separator.plan(song, other)  # type: ignore[arg-type]
        order = msgspec.structs.replace(make_order(song, tmp_path), operation=plan.operation)
        done, parts = await complete(separator, order)
        await separator.release(done)
        return parts

    (part,) = asyncio.run(run())
    assert (part.stem, part.path.suffix) == ("vocals", ".mp3")
    assert cloud.store.objects == {}


def test_floats_over_full_scale_travel_as_wav(cloud: TencentSimulator, separator: CiSeparator, tmp_path: Path) -> None:
    path = write_samples(tmp_path / "hot.wav", np.full((4410, 2), 1.5), 44100, "FLOAT")
    order = make_order(inspect(path), tmp_path)
    asyncio.run(separator.submit(order, ignore))
    assert list(cloud.store.objects) == [f"stembridge/{KEY}/source.wav"]
    assert asyncio.run(separator.find(order)) is not None


def test_callbacks_are_asked_for_as_the_settings_say(
    cloud: TencentSimulator, settings_for: Callable[..., TencentSettings], order: Order
) -> None:
    separator = CiSeparator(settings_for(callback_url="https://hook.example/x"), transfer=transfer())
    ticket = asyncio.run(separator.submit(order, ignore))
    request = cloud.jobs.all[ticket.remote_id].request
    assert (request.callback, request.callback_format) == ("https://hook.example/x", "JSON")


def test_polling_survives_a_bad_line(cloud: TencentSimulator, separator: CiSeparator, order: Order) -> None:
    cloud.faults.add(bad_gateway("GET", "/jobs/*", times=3))
    done, _ = asyncio.run(complete(separator, order))
    assert len(done.results) == 2


def test_a_ticket_holds_no_secret(cloud: TencentSimulator, separator: CiSeparator, order: Order) -> None:
    from plugin_core.model import to_json

    done, _ = asyncio.run(complete(separator, order))
    text = to_json([done.ticket, done.results]).decode()
    assert cloud.keys.secret_id not in text
    assert "q-signature" not in text


def test_sources_of_many_rates_are_planned(separator: CiSeparator, tmp_path: Path) -> None:
    for number, rate in enumerate([8000, 44100, 192000]):
        source = inspect(write_song(tmp_path / f"{number}.wav", 0.3, rate))
        wish = make_order(source, tmp_path, options={}).operation
        plan = asyncio.run(separator.plan(source, wish))  # type: ignore[arg-type]
        assert plan.operation.options["samplerate"] in ("11025", "44100", "96000")  # type: ignore[union-attr]
