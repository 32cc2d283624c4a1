from __future__ import annotations

import asyncio

import msgspec
import pytest

from plugin_core.errors import (
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    SettingsError,
    StembridgeError,
    TransientError,
)
from plugin_core.providers.tencent_ci.client import JobFilter
from plugin_core.providers.tencent_ci.jobs import JobDetail, JobRequest
from plugin_core.providers.tencent_ci.rules import AudioConfig, CiTemplate
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.transfer.addresses import RedirectError
from tests.simulators.blobs import Blob
from tests.simulators.faults import Fault, bad_gateway, hang, html_page, rate_limited, refuse, reset_after, reset_before
from tests.simulators.tencent import TencentSimulator
from tests.simulators.tencent.service import BUCKET, QUEUE, REGION

REQUEST = JobRequest(
    source="in.flac",
    bucket=BUCKET,
    region=REGION,
    outputs={"vocals": "out/${jobid}/vocals.${ext}"},
    mode="IsAudio",
    config=AudioConfig(codec="flac"),
    user_data="key",
)
TEMPLATE = CiTemplate(name="mine", mode="MusicMode", config=AudioConfig(codec="mp3"))


@pytest.fixture(autouse=True)
def source(cloud: TencentSimulator) -> None:
    cloud.store.put("in.flac", Blob.of(b"fLaC"))
    cloud.behaviour.echo = True


def test_a_job_is_made_described_and_ends(cloud: TencentSimulator, service: Service) -> None:
    async def run() -> list[JobDetail]:
        made = await service.ci.submit(REQUEST)
        seen = [made]
        for _ in range(3):
            seen += (await service.ci.describe(made.id)).jobs
        return seen

    seen = asyncio.run(run())
    assert [job.state for job in seen] == ["Submitted", "Running", "Success", "Success"]
    assert seen[0].queue == QUEUE
    assert [(each.stem, each.key) for each in seen[-1].results] == [("vocals", f"out/{seen[0].id}/vocals.flac")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mode": "Everything"}, "AudioMode"),
        ({"outputs": {}}, "Object and AuObject"),
        ({"source": "absent"}, "ResourceNotFound"),
        ({"source": ""}, "Input.Object"),
        ({"bucket": "other-1250000000"}, "Output"),
        ({"level": "7"}, "JobLevel"),
        ({"config": AudioConfig(codec="wav")}, "Codec"),
        ({"template": "t-none"}, "template"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_the_service_refuses_is_said_in_its_words(service: Service, change: dict[str, object], words: str) -> None:
    with pytest.raises(ServiceError, match=words) as caught:
        asyncio.run(service.ci.submit(msgspec.structs.replace(REQUEST, **change)))
    assert "request id" in caught.value.message


@pytest.mark.parametrize(
    ("fault", "kind", "jobs"),
    [
        (reset_after("POST", "/jobs"), OutcomeUnknownError, 1),
        (reset_before("POST", "/jobs"), OutcomeUnknownError, 0),
        (bad_gateway("POST", "/jobs"), OutcomeUnknownError, 0),
        (html_page("POST", "/jobs", after=True), OutcomeUnknownError, 1),
        (refuse("POST", "/jobs", 200, "<Response/>", after=True), OutcomeUnknownError, 1),
        (refuse("POST", "/jobs", 400, "<Error><Code>InternalError</Code></Error>", after=True), OutcomeUnknownError, 1),
        (rate_limited("POST", "/jobs"), TransientError, 0),
        (refuse("POST", "/jobs", 307, "", headers={"Location": "https://x.example/"}), RedirectError, 0),
        (refuse("POST", "/jobs", 301, "", headers={"Location": "https://x.example/"}), SettingsError, 0),
    ],
    ids=["lost", "reset", "gateway", "html", "no-id", "inner", "rate", "redirect", "moved"],
)
def test_a_paid_call_is_sent_once_and_its_end_told_apart(
    cloud: TencentSimulator, service: Service, fault: Fault, kind: type[StembridgeError], jobs: int
) -> None:
    cloud.faults.add(fault)
    with pytest.raises(kind) as caught:
        asyncio.run(service.ci.submit(REQUEST))
    assert type(caught.value) is kind
    assert len(cloud.requests("POST", "/jobs")) == 1
    assert len(cloud.jobs.all) == jobs


def test_questions_survive_a_bad_line(cloud: TencentSimulator, service: Service) -> None:
    made = asyncio.run(service.ci.submit(REQUEST))
    cloud.faults.add(bad_gateway("GET", "/jobs/*", times=1))
    cloud.faults.add(reset_before("GET", "/jobs/*", times=1))
    assert asyncio.run(service.ci.describe(made.id)).jobs[0].id == made.id


def test_several_jobs_are_asked_for_at_once_and_absent_ones_named(service: Service) -> None:
    async def run() -> None:
        one, two = await service.ci.submit(REQUEST), await service.ci.submit(REQUEST)
        page = await service.ci.describe(one.id, "jnone", two.id)
        assert [job.id for job in page.jobs] == [one.id, two.id]
        assert page.unknown == ("jnone",)

    asyncio.run(run())


def test_lists_are_read_to_their_end_and_filtered(cloud: TencentSimulator, service: Service) -> None:
    cloud.page_size = 2
    cloud.store.put("other.flac", Blob.of(b"fLaC"))

    async def run() -> tuple[list[JobDetail], list[JobDetail], list[JobDetail]]:
        for number in range(5):
            await service.ci.submit(msgspec.structs.replace(REQUEST, user_data=str(number)))
        await service.ci.submit(msgspec.structs.replace(REQUEST, source="other.flac"))
        now = cloud.clock()
        every = [job async for job in service.ci.list_jobs(JobFilter(source="in.flac", since=now - 100))]
        late = [job async for job in service.ci.list_jobs(JobFilter(since=now + 100))]
        queue = [job async for job in service.ci.list_jobs(JobFilter(queue="p-none"))]
        return every, late, queue

    every, late, queue = asyncio.run(run())
    assert sorted(job.user_data for job in every) == list("01234")
    assert late == queue == []


def test_a_job_is_cancelled_until_it_runs(cloud: TencentSimulator, service: Service) -> None:
    async def run() -> None:
        waiting = await service.ci.submit(REQUEST)
        await service.ci.cancel(waiting.id)
        assert (await service.ci.describe(waiting.id)).jobs[0].state == "Cancel"
        running = await service.ci.submit(REQUEST)
        await service.ci.describe(running.id)
        with pytest.raises(ServiceError, match="cannot be cancelled"):
            await service.ci.cancel(running.id)

    asyncio.run(run())


def test_templates_are_created_changed_listed_used_and_deleted(cloud: TencentSimulator, service: Service) -> None:
    async def run() -> None:
        made = await service.ci.create_template(TEMPLATE)
        assert (made.name, made.mode, made.config.codec) == ("mine", "MusicMode", "mp3")
        changed = await service.ci.update_template(msgspec.structs.replace(made, mode="IsAudio"))
        assert (changed.id, changed.mode) == (made.id, "IsAudio")
        assert await service.ci.list_templates([made.id]) == (changed,)
        assert [each.id for each in await service.ci.list_templates(name="mine", category="Custom")] == [made.id]
        job = await service.ci.submit(msgspec.structs.replace(REQUEST, template=made.id, config=None))
        assert cloud.jobs.all[job.id].request.template == made.id
        await service.ci.delete_template(made.id)
        assert await service.ci.list_templates([made.id]) == ()
        with pytest.raises(ServiceError):
            await service.ci.delete_template(made.id)

    asyncio.run(run())


def test_a_list_of_templates_that_repeats_itself_has_an_end(cloud: TencentSimulator, service: Service) -> None:
    node = "<TemplateList><TemplateId>t1</TemplateId><Tag>VoiceSeparate</Tag></TemplateList>"
    cloud.faults.add(refuse("GET", "/template", 200, f"<Response>{node * 100}</Response>", times=None))
    assert [each.id for each in asyncio.run(service.ci.list_templates())] == ["t1"]
    assert len(cloud.requests("GET", "/template")) == 2


@pytest.mark.parametrize(
    "fault", [reset_after("POST", "/template"), html_page("POST", "/template", after=True)], ids=["lost", "html"]
)
def test_a_template_is_posted_once(cloud: TencentSimulator, service: Service, fault: Fault) -> None:
    cloud.faults.add(fault)
    with pytest.raises(OutcomeUnknownError):
        asyncio.run(service.ci.create_template(TEMPLATE))
    assert len(cloud.requests("POST", "/template")) == 1


def test_what_a_bucket_is_enabled_for(cloud: TencentSimulator, service: Service) -> None:
    async def run() -> tuple[str, bool, bool, tuple[str, ...]]:
        ci = service.ci
        return await ci.status(), await ci.is_asr_bucket(), await ci.is_media_bucket(), await ci.queues()

    assert asyncio.run(run()) == ("on", True, False, (QUEUE,))
    cloud.faults.add(refuse("GET", "/", 200, "<R><CIStatus>off</CIStatus></R>"))
    assert asyncio.run(service.ci.status()) == "off"


def test_a_service_that_is_not_activated_is_said_with_what_to_do(cloud: TencentSimulator, service: Service) -> None:
    cloud.is_active = False
    with pytest.raises(RefusedError, match=r"not activated.*Smart Audio"):
        asyncio.run(service.ci.submit(REQUEST))


def test_a_hanging_answer_is_not_waited_for_after_cancelling(cloud: TencentSimulator, service: Service) -> None:
    armed = cloud.faults.add(hang("GET", "/jobs/*"))

    async def run() -> None:
        task = asyncio.ensure_future(service.ci.describe("j1"))
        await asyncio.to_thread(armed.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    cloud.release()


def test_no_secret_is_in_any_error_or_log(
    cloud: TencentSimulator, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    cloud.denied.add("GET /jobs/j1")
    with pytest.raises(RefusedError) as caught:
        asyncio.run(service.ci.describe("j1"))
    shown = f"{caught.value}{caught.value!r}{caplog.text}"
    assert cloud.keys.secret_id not in shown
    assert cloud.keys.secret_key not in shown
