"""CI VoiceSeparate as the core sees it: a separator over a bucket, with what login and doctor need."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from plugin_core.abilities import RemoteJob
from plugin_core.audio.overload import exceeds
from plugin_core.errors import (
    GoneError,
    RefusedError,
    ServiceError,
    SettingsError,
    TransientError,
    UnclearAnswerError,
    UsageError,
    refusal_of,
)
from plugin_core.model import Finding, Model, Part, Plan, Question, Separation, Source, Ticket
from plugin_core.protocols import Finished, Order, Report, Waiting
from plugin_core.providers.tencent_ci.client import PAGE, PAGES, JobFilter
from plugin_core.providers.tencent_ci.jobs import FAILED, SUCCESS, JobDetail, pick_job, read_names, read_state
from plugin_core.providers.tencent_ci.orders import (
    fetch_results,
    find_results,
    list_models,
    make_plan,
    remove_objects,
    submit,
)
from plugin_core.providers.tencent_ci.rules import CiTemplate, load_rules
from plugin_core.providers.tencent_ci.service import (
    QUESTIONS,
    Service,
    examine,
    find_job,
    login,
    note_place,
    place_of,
    settings_of,
)
from plugin_core.providers.tencent_ci.settings import NAME, SECTION, TencentSettings
from plugin_core.service import Pace
from plugin_core.settings import Secret
from plugin_core.transfer import Transfer

TEMPLATE: Final = "template"
MOST_SHOWN: Final = 100


class CiSeparator:
    """Splits songs with Tencent Cloud CI VoiceSeparate, through a COS bucket of the user's.

    Args:
        settings: section ``[tencent]``.
        transfer: the way to both services; default one for each, with the network behind it.
        clock: seconds since the epoch.
    """

    name = NAME
    title = "Tencent Cloud CI VoiceSeparate, through your COS bucket"
    remote = True
    section = SECTION
    token = ""
    questions: Sequence[Question] = QUESTIONS

    def __init__(
        self,
        settings: TencentSettings,
        *,
        transfer: Transfer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.service = Service(settings, transfer, clock)
        self.register_seconds = settings.register_seconds
        self.forgets = settings.cleanup and not settings.results
        self._pace = Pace(settings.poll_first, settings.poll_longest)
        self._clock = clock

    def account(self) -> str:
        """Name the account: by its bucket, whose name holds the APPID and stays when keys change."""
        return f"{NAME}:{self.settings.bucket}" if self.settings.bucket else NAME

    async def slots(self) -> int:
        return self.settings.slots

    async def models(self) -> Sequence[Model]:
        return list_models()

    async def plan(self, source: Source, wish: Separation) -> Plan:
        """Check the wish and fill in its defaults; only a template has to be asked for."""
        refusal = refusal_of(self.settings.credentials, self.settings.cos_url, self.settings.ci_url)
        template = await self._template(wish.options.get(TEMPLATE, ""))
        plan = make_plan(source, wish, template, self.settings.model, is_over=await exceeds(source))
        return msgspec.structs.replace(plan, refusal=refusal)

    async def submit(self, order: Order, report: Report) -> Ticket:
        note_place(order, self.settings)
        job = await submit(self.service, order, order.separation, report)
        return _make_ticket(job, self.settings)

    async def find(self, order: Order) -> Ticket | None:
        service = self._service_of(order)
        queue = order.separation.options.get("queue", "") or self.settings.queue
        job = await find_job(service, order.key, queue)
        return None if job is None else _make_ticket(job, service.settings)

    async def take_over(self, remote_id: str) -> Ticket:
        """Return the ticket of a job of this bucket, made in the console or by another program.

        Raises:
            GoneError: CI knows no such job.
            StembridgeError: refused, or no answer now.
        """
        return _make_ticket(await self._known(remote_id), self.settings)

    async def _known(self, remote_id: str) -> JobDetail:
        job = pick_job(await self.service.ci.describe(remote_id), remote_id)
        if job is None:
            raise GoneError(f"Tencent CI knows no job {remote_id}", remedy="look for it in the console of the bucket")
        return job

    async def remote_jobs(self, name: str) -> Sequence[RemoteJob]:
        most = MOST_SHOWN if not name else PAGES * PAGE
        jobs = await self.service.ci.list_in_queues(JobFilter(), self.settings.queue, most)
        return [_remote(job) for job in jobs if name in ("", job.user_data)][:MOST_SHOWN]

    async def remote_job(self, remote_id: str) -> RemoteJob:
        return _remote(await self._known(remote_id))

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:  # noqa: ARG002
        ticket = order.known_ticket
        job = await self._describe(order, ticket)
        if job is not None and job.state == SUCCESS and not job.results:
            found = await find_results(self._service_of(order), order, job.id)
            job = msgspec.structs.replace(job, results=found)
        return read_state(job, self._pace.wait(order.age(self._clock())))

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:
        return await fetch_results(self._service_of(order).objects, order, report)

    async def cancel(self, order: Order) -> None:
        """Cancel at the service, which is possible until the job runs."""
        ticket = order.known_ticket
        job = await self._describe(order, ticket)
        if job is not None and job.state not in ("Submitted", "Pause"):
            raise ServiceError(f"Tencent CI cannot cancel a job that is {job.state}", remedy="it may be charged")
        await self._service_of(order).ci.cancel(ticket.remote_id)

    async def release(self, order: Order) -> None:
        """Remove the job's objects from the bucket, if the setting says so.

        Raises:
            TransientError: no answer now, or the job still runs and would leave more.
        """
        if not self.settings.cleanup:
            return
        service = self._service_of(order)
        if order.ticket is None:
            await remove_objects(service, order, None, ())
            return
        job = await self._describe(order, order.ticket)
        if job is not None and job.is_working:
            raise TransientError("the job still runs at Tencent CI", remedy="its objects are removed once it is over")
        wish = order.separation
        mode = load_rules().modes.get(wish.model)
        await remove_objects(service, order, job, mode.stems if mode else ())

    async def login(self, answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
        """Try the keys at the bucket, if one is set, and return them as the settings to keep."""
        return await login(self.settings, self.service.with_settings, answers)

    def read_callback(self, body: bytes, content_type: str) -> Collection[str]:  # noqa: ARG002 - CI mixes its types up
        """Return the names in CI's callback.

        Raises:
            ServiceError: it cannot be read.
        """
        return read_names(body)

    async def examine(self) -> Sequence[Finding]:
        return await examine(self.settings, self.service)

    async def _describe(self, order: Order, ticket: Ticket) -> JobDetail | None:
        """Return the job as CI describes it, None when CI knows none.

        Raises:
            UnclearAnswerError: no clear word about this job, which may pass.
            RefusedError: keys or rights.
            SettingsError: wrong bucket.
            TransientError: no answer now.
        """
        try:
            page = await self._service_of(order).ci.describe(ticket.remote_id)
        except RefusedError:
            raise
        except ServiceError as error:
            raise UnclearAnswerError(error.message, remedy=error.remedy) from error
        return pick_job(page, ticket.remote_id)

    async def _template(self, template_id: str) -> CiTemplate | None:
        if not template_id:
            return None
        try:
            found = await self.service.ci.list_templates([template_id])
        except (RefusedError, SettingsError):
            raise
        except ServiceError as error:
            raise UsageError(f"template {template_id!r}: {error.message}", remedy=error.remedy) from error
        for template in found:
            if template.id == template_id:
                return template
        remedy = "`stembridge tencent templates` lists those there are"
        raise UsageError(f"Tencent CI has no VoiceSeparate template {template_id!r}", remedy=remedy)

    def _service_of(self, order: Order) -> Service:
        """Return the way to where the job is, also when the settings name another place by now."""
        settings = settings_of(order, self.settings)
        return self.service if settings == self.settings else self.service.with_settings(settings)


def _remote(job: JobDetail) -> RemoteJob:
    return RemoteJob(
        id=job.id,
        state=job.state,
        name=job.user_data,
        song=job.source,
        created=job.created,
        reason=job.reason if job.state == FAILED else "",
        results=tuple(result.key for result in job.results) if job.state == SUCCESS else (),
    )


def _make_ticket(job: JobDetail, settings: TencentSettings) -> Ticket:
    return Ticket(remote_id=job.id, data=place_of(settings))
