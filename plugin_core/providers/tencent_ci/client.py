"""Every call of CI VoiceSeparate: jobs, templates, and what a bucket is enabled for.

Sources: https://cloud.tencent.com/document/product/460/89151 (jobs), 460/84757 (templates), 1045/33702 and 436/98018
(buckets).
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from plugin_core.errors import OutcomeUnknownError, RefusedError, ServiceError, TransientError
from plugin_core.providers.tencent_ci.caller import CosCaller, Query, nodes_of, read_xml, text_of, xml_body
from plugin_core.providers.tencent_ci.jobs import JobDetail, JobPage, JobRequest, read_page
from plugin_core.providers.tencent_ci.rules import TAG, CiTemplate, read_templates
from plugin_core.providers.tencent_ci.signature import quote_text
from plugin_core.transfer import Answer, Body, Call

T = TypeVar("T")

_log = logging.getLogger(__name__)

ROOT: Final = "Response"
"""The root of every answer of CI that is no error: a page of a proxy is no list without jobs."""

PAGE: Final = 100
PAGES: Final = 100
"""Pages of a list read at most."""


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are listed; "" and None ask for all."""

    queue: str = ""
    state: str = ""
    source: str = ""
    """Key of the source."""
    since: float | None = None
    """Seconds since the epoch."""
    until: float | None = None

    def query(self) -> dict[str, str]:
        """Return the parameters of the request."""
        asked = {
            "tag": TAG,
            "queueId": self.queue,
            "orderByTime": "Desc",
            "size": str(PAGE),
            "states": self.state or "All",
            "inputObject": self.source,
            "startCreationTime": _moment(self.since),
            "endCreationTime": _moment(self.until),
        }
        return {name: value for name, value in asked.items() if value}


class CiClient:
    """The jobs and templates of one bucket; every call raises what ``CosCaller.send`` does.

    Args:
        caller: the way to CI.
    """

    def __init__(self, caller: CosCaller) -> None:
        self.caller = caller

    async def submit(self, request: JobRequest) -> JobDetail:
        """Make a job: the one call that costs money.

        Raises:
            OutcomeUnknownError: it may have been made.
            TransientError: surely not made.
        """
        jobs = (await self._post_once("/jobs", request.to_xml(), read_page)).jobs
        if not jobs or not jobs[0].id:
            raise OutcomeUnknownError("Tencent CI took the job and did not say its id", remedy="it is looked for")
        return jobs[0]

    async def describe(self, *ids: str) -> JobPage:
        """Ask about jobs."""
        return read_page(await self._read("GET", f"/jobs/{quote_text(','.join(ids))}", "GET /jobs/<id>"))

    async def list_page(self, wanted: JobFilter, token: str = "") -> JobPage:
        """Return one page of jobs, newest first."""
        query = wanted.query() | ({"nextToken": token} if token else {})
        return read_page(await self._read("GET", "/jobs", "GET /jobs", query))

    async def list_jobs(self, wanted: JobFilter) -> AsyncGenerator[JobDetail]:
        """Give every job of a list, newest first, page after page.

        Raises:
            ServiceError: the list has no end.
        """
        token = ""
        for _ in range(PAGES):
            page = await self.list_page(wanted, token)
            for job in page.jobs:
                yield job
            if not page.next_token or page.next_token == token:
                return
            token = page.next_token
        raise ServiceError(f"Tencent CI lists more than {PAGES * PAGE} jobs")

    async def list_in_queues(self, wanted: JobFilter, queue: str, most: int = PAGES * PAGE) -> list[JobDetail]:
        """Return the jobs of a list, also where the service wants to be told each queue.

        Args:
            wanted: which.
            queue: that is set.
            most: how many of a queue are looked at.
        """
        try:
            return await self._newest(wanted, most)
        except RefusedError:
            raise
        except ServiceError as error:
            # Documentation and clients differ in whether a list must name its queue.
            _log.info("jobs are listed queue by queue: %s", error)
            each = [msgspec.structs.replace(wanted, queue=name) for name in await self._queues_and(queue)]
            return [job for one in each for job in await self._newest(one, most)]

    async def _newest(self, wanted: JobFilter, most: int) -> list[JobDetail]:
        found = []
        async with aclosing(self.list_jobs(wanted)) as jobs:
            async for job in jobs:
                found.append(job)
                if len(found) >= most:
                    break
        return found

    async def _queues_and(self, queue: str) -> list[str]:
        try:
            found = await self.queues()
        except ServiceError:
            if not queue:
                raise
            found = ()
        return list(dict.fromkeys([queue, *found] if queue else found))

    async def cancel(self, job: str) -> None:
        """Cancel a job that does not run yet."""
        await self._send("PUT", f"/jobs/{quote_text(job)}", "PUT /jobs/<id>?cancel", {"cancel": ""}, xml_body(b""))

    async def create_template(self, template: CiTemplate) -> CiTemplate:
        """Create a template; return it with its id.

        Raises:
            OutcomeUnknownError: it may have been made.
            TransientError: surely not made.
        """
        return await self._post_once("/template", template.to_xml(), _only)

    async def update_template(self, template: CiTemplate) -> CiTemplate:
        """Replace what a template holds."""
        path = f"/template/{quote_text(template.id)}"
        return _only(await self._read("PUT", path, "PUT /template/<id>", body=xml_body(template.to_xml())))

    async def list_templates(
        self, ids: Sequence[str] = (), *, name: str = "", category: str = ""
    ) -> tuple[CiTemplate, ...]:
        """List templates, page after page: those of some ids, of a name's beginning, or all.

        Args:
            ids: none for any.
            name: how their names begin.
            category: ``Custom``, which the service takes for granted, or ``Official``.

        Raises:
            ServiceError: the list has no end.
        """
        asked = {"tag": TAG, "ids": ",".join(ids), "name": name, "category": category, "pageSize": str(PAGE)}
        query = {key: value for key, value in asked.items() if value}
        found: dict[str, CiTemplate] = {}
        for page in range(1, PAGES + 1):
            document = await self._read("GET", "/template", "GET /template", query | {"pageNumber": str(page)})
            new = {each.id: each for each in read_templates(document) if each.id not in found}
            found |= new
            if not new or len(nodes_of(document, "TemplateList")) < PAGE:
                return tuple(found.values())
        raise ServiceError(f"Tencent CI lists more than {PAGES * PAGE} templates")

    async def delete_template(self, template_id: str) -> None:
        """Delete a template."""
        await self._send("DELETE", f"/template/{quote_text(template_id)}", "DELETE /template/<id>")

    async def status(self) -> str:
        """Return whether the bucket is bound: ``on``, ``off`` or ``unbinding``, "" when the service does not say."""
        answer = await self._send("GET", "/", "CIStatus")
        return _read_status(answer).lower()

    async def is_asr_bucket(self) -> bool:
        """Tell whether Smart Audio is enabled for the bucket."""
        return await self._is_listed("/asrbucket", "AsrBucketList")

    async def is_media_bucket(self) -> bool:
        """Tell whether media processing is enabled for the bucket, as older accounts have it."""
        return await self._is_listed("/mediabucket", "MediaBucketList")

    async def queues(self) -> tuple[str, ...]:
        """Return the ids of the bucket's queues for audio."""
        page = await self._read("GET", "/asrqueue", "GET /asrqueue", {"pageNumber": "1", "pageSize": str(PAGE)})
        ids = (text_of(node.get("QueueId")) for node in nodes_of(page, "QueueList"))
        return tuple(queue for queue in ids if queue)

    async def _is_listed(self, path: str, node: str) -> bool:
        settings = self.caller.settings
        query = {"bucketNames": settings.bucket, "regions": settings.region, "pageNumber": "1", "pageSize": "10"}
        call = self.caller.call("GET", settings.ci_account_url() + path, f"Tencent CI GET {path}", query)
        page = await self.caller.read(call, ROOT)
        return settings.bucket in (text_of(each.get("BucketId")) for each in nodes_of(page, node))

    async def _read(
        self, method: str, path: str, what: str, query: Query | None = None, body: Body | None = None
    ) -> dict[str, Any]:
        return await self.caller.read(self._call(method, path, what, query, body), ROOT)

    async def _post_once(self, path: str, body: bytes, read: Callable[[dict[str, Any]], T]) -> T:
        """Post what must not be posted twice; an answer that cannot be read may be a yes."""
        call = self._call("POST", path, f"POST {path}", body=xml_body(body))
        answer = await self.caller.exchange_once(call)
        try:
            self.caller.check(call, answer)
        except TransientError as error:
            # A trouble of its own inside: it may have come after the job was made.
            raise OutcomeUnknownError(f"{error.message}; it may have been accepted") from error
        try:
            return read(read_xml(answer.content, call.what, ROOT))
        except ServiceError as error:
            raise OutcomeUnknownError(f"{error.message}; it may have been accepted") from error

    async def _send(
        self, method: str, path: str, what: str, query: Query | None = None, body: Body | None = None
    ) -> Answer:
        return await self.caller.send(self._call(method, path, what, query, body))

    def _call(self, method: str, path: str, what: str, query: Query | None = None, body: Body | None = None) -> Call:
        return self.caller.call(method, self.caller.settings.ci_url() + path, f"Tencent CI {what}", query, body)


def _only(document: dict[str, Any]) -> CiTemplate:
    templates = read_templates(document)
    if not templates:
        raise ServiceError("Tencent CI answered without a template")
    return templates[0]


def _read_status(answer: Answer) -> str:
    """Read what comes as JSON today and came as XML before."""
    if answer.is_json:
        data = json.loads(answer.content)
        return text_of(data.get("CIStatus")) if isinstance(data, dict) else ""
    document = read_xml(answer.content, "Tencent CI CIStatus")
    return text_of(document.get("CIStatus"))


def _moment(time: float | None) -> str:
    return "" if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S%z")
