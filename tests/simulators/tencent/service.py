"""The service as tests use it."""

from __future__ import annotations

import calendar
import json
import time
import uuid
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from tests.simulators.calling_back import call_back
from tests.simulators.clocks import SimulatorClock
from tests.simulators.messages import Answer, Request, json_answer
from tests.simulators.server import Simulator
from tests.simulators.tencent.errors import RefusedRequestError, error_body, xml_answer
from tests.simulators.tencent.jobs import TERMINAL, Behaviour, Job, Jobs
from tests.simulators.tencent.objects import ObjectStore
from tests.simulators.tencent.requests import read_job, read_template
from tests.simulators.tencent.signatures import Keys, verify

BUCKET = "songs-1250000000"
REGION = "ap-guangzhou"
QUEUE = "p2242ab62c7c94486915508540933a2c6"


class TencentSimulator(Simulator):
    """COS at ``cos_url``, CI at ``ci_url``, over one bucket of one account.

    Attributes:
        keys: the only ones that are accepted.
        behaviour: what is switchable about jobs.
        denied: actions the keys may not do: ``POST /jobs``, ``HEAD /``, ...
        ci_status: ``on``, ``off`` or ``unbinding``.
        is_active: whether jobs are taken at all.
        has_asr, has_media: what the bucket is enabled for.
        needs_queue: whether a list must name its queue.
        has_bucket: whether the bucket exists.
    """

    def __init__(
        self, *, folder: Path | None = None, clock: SimulatorClock | None = None, seed: int = 1, token: str = ""
    ) -> None:
        super().__init__(folder=folder, ports=(0, 0), clock=clock, seed=seed, needs_length=True)
        self.keys = Keys(token=token)
        self.behaviour = Behaviour()
        self.store = ObjectStore(BUCKET)
        self.jobs = Jobs(self.store, self.behaviour, self.clock)
        self.templates: dict[str, dict[str, str]] = {}
        self.denied: set[str] = set()
        self.ci_status = "on"
        self.is_active = True
        self.has_asr = True
        self.has_media = False
        self.needs_queue = False
        self.has_bucket = True
        self.page_size = 100

    @property
    def cos_url(self) -> str:
        return self.urls[0]

    @property
    def ci_url(self) -> str:
        return self.urls[1]

    def start(self) -> None:
        super().start()
        self.store.folder = self.folder

    def environment(self) -> dict[str, str]:
        """Return the variables with which stembridge uses this account."""
        return {
            "STEMBRIDGE_TENCENT_SECRET_ID": self.keys.secret_id,
            "STEMBRIDGE_TENCENT_SECRET_KEY": self.keys.secret_key,
            "STEMBRIDGE_TENCENT_BUCKET": BUCKET,
            "STEMBRIDGE_TENCENT_REGION": REGION,
            "STEMBRIDGE_TENCENT_COS_BASE_URL": self.cos_url,
            "STEMBRIDGE_TENCENT_CI_BASE_URL": self.ci_url,
        }

    def state(self) -> dict[str, Any]:
        with self.lock:
            return {
                "objects": sorted(self.store.objects),
                "uploads": sorted(upload.key for upload in self.store.uploads.values()),
                "jobs": [[job.id, job.request.user_data, job.state] for job in self.jobs.all.values()],
            }

    def command(self, name: str, arguments: dict[str, Any]) -> Any:
        if name == "behave":
            for key, value in arguments.items():
                setattr(self.behaviour, key, tuple(value) if isinstance(value, list) else value)
            return None
        raise KeyError(name)

    def respond(self, request: Request) -> Answer:
        """Answer one request; everything happens under one lock, so that it is one moment's truth."""
        request_id = uuid.uuid4().hex[:16]
        is_cos = request.node == 0
        with self.lock:
            try:
                answer = self._answer(request, is_cos=is_cos)
            except RefusedRequestError as error:
                answer = xml_answer(error_body(error, request_id, request.path if is_cos else ""), error.status)
        answer.headers["x-cos-request-id" if is_cos else "x-ci-request-id"] = request_id
        return answer

    def _answer(self, request: Request, *, is_cos: bool) -> Answer:
        if not self.has_bucket:
            raise RefusedRequestError(404, "NoSuchBucket", "The specified bucket does not exist.")
        verify(request, self.keys, self.clock(), "x-cos-security-token" if is_cos else "x-ci-security-token")
        if f"{request.method} {request.path}" in self.denied:
            raise RefusedRequestError(403, "AccessDenied", "Access Denied.")
        return self.store.respond(request) if is_cos else self._ci(request)

    def _ci(self, request: Request) -> Answer:
        first, _, rest = request.path[1:].partition("/")
        match request.method, first:
            case "POST", "jobs" if not rest:
                return self._submit(request)
            case "GET", "jobs":
                return self._describe(rest) if rest else self._list(request)
            case "PUT", "jobs" if "cancel" in request.query:
                return self._cancel(rest)
            case _, "template":
                return self._template(request, rest)
            case "GET", "asrbucket" | "mediabucket" | "asrqueue":
                return self._account(first)
            case "GET", "":
                return json_answer({"CIStatus": self.ci_status})
        raise RefusedRequestError(405, "MethodNotAllowed", "The specified method is not allowed.")

    def _submit(self, request: Request) -> Answer:
        if not self.is_active:
            raise RefusedRequestError(403, "AccessDenied", "The media processing service is not activated.")
        if request.headers.get("content-type") != "application/xml":
            raise RefusedRequestError(400, "InvalidArgument", "Content-Type is wrong.")
        wanted = read_job(request.body.read(), BUCKET, REGION, self.templates)
        wanted.fields = {"bucket": BUCKET, "region": REGION}
        if wanted.source not in self.store.objects:
            raise RefusedRequestError(400, "ResourceNotFound", "The input object does not exist.")
        job = self.jobs.add(wanted, wanted.queue or QUEUE)
        late = request.find_fault("late")
        if late is not None:
            job.hidden_until, job.hidden_lists = self.clock() + late.seconds, late.requests
        return xml_answer(f"<Response>{self.jobs.describe(job)}</Response>")

    def _describe(self, ids: str) -> Answer:
        named = ids.split(",")
        known = [self.jobs.all[one] for one in named if one in self.jobs.all]
        missing = "".join(
            f"<NonExistJobIds>{escape(one)}</NonExistJobIds>" for one in named if one not in self.jobs.all
        )
        for job in known:
            self._look(job)
        return xml_answer(f"<Response>{''.join(map(self.jobs.describe, known))}{missing}</Response>")

    def _list(self, request: Request) -> Answer:
        asked = request.query
        if asked.get("tag") != "VoiceSeparate" or (self.needs_queue and not asked.get("queueId")):
            raise RefusedRequestError(400, "InvalidArgument", "tag or queueId is missing.")
        found = [job for job in self.jobs.all.values() if self._is_listed(job, asked)]
        found.sort(key=lambda job: job.created, reverse=asked.get("orderByTime", "Desc") == "Desc")
        start, size = int(asked.get("nextToken") or 0), min(int(asked.get("size", "10")), self.page_size)
        page = found[start : start + size]
        token = str(start + size) if start + size < len(found) else ""
        return xml_answer(
            f"<Response>{''.join(map(self.jobs.describe, page))}<NextToken>{token}</NextToken></Response>"
        )

    def _is_listed(self, job: Job, asked: dict[str, str]) -> bool:
        if job.hidden_lists > 0:
            job.hidden_lists -= 1
            return False
        wanted = asked.get("states", "All")
        return (
            job.hidden_until <= self.clock()
            and wanted in ("All", job.state)
            and asked.get("inputObject", "") in ("", job.request.source)
            and asked.get("queueId", "") in ("", job.queue)
            and _seconds(asked.get("startCreationTime", ""), 0.0) <= job.created
            and job.created <= _seconds(asked.get("endCreationTime", ""), 1e12)
        )

    def _cancel(self, job_id: str) -> Answer:
        job = self.jobs.all.get(job_id)
        if job is None:
            raise RefusedRequestError(400, "ResourceNotFound", "The job does not exist.")
        if job.state not in ("Submitted", "Pause"):
            raise RefusedRequestError(400, "InvalidArgument", "The job cannot be cancelled in this state.")
        job.cancelled = True
        return Answer(200)

    def _template(self, request: Request, template_id: str) -> Answer:
        match request.method:
            case "POST":
                template_id = f"t1{uuid.uuid4().hex}"
                self.templates[template_id] = read_template(request.body.read())
                return xml_answer(f"<Response>{self._show_template(template_id, 'Template')}</Response>")
            case "GET":
                return self._list_templates(request.query)
        if template_id not in self.templates:
            raise RefusedRequestError(400, "ResourceNotFound", "The template does not exist.")
        if request.method == "PUT":
            self.templates[template_id] = read_template(request.body.read())
            return xml_answer(f"<Response>{self._show_template(template_id, 'Template')}</Response>")
        del self.templates[template_id]
        return xml_answer(f"<Response><TemplateId>{template_id}</TemplateId></Response>")

    def _list_templates(self, asked: dict[str, str]) -> Answer:
        if asked.get("tag", "All") not in ("All", "VoiceSeparate"):
            raise RefusedRequestError(400, "InvalidArgument", "The parameter tag is wrong.")
        wanted = [one for one in asked.get("ids", "").split(",") if one] or list(self.templates)
        beginning = asked.get("name", "")
        known = [one for one in wanted if one in self.templates]
        known = [one for one in known if self.templates[one]["Name"].startswith(beginning)]
        page, size = int(asked.get("pageNumber", "1")), min(int(asked.get("pageSize", "10")), 100)
        shown = "".join(self._show_template(one, "TemplateList") for one in known[(page - 1) * size : page * size])
        return xml_answer(f"<Response><TotalCount>{len(known)}</TotalCount>{shown}</Response>")

    def _show_template(self, template_id: str, node: str) -> str:
        held = self.templates[template_id]
        config = "".join(f"<{name}>{held[name]}</{name}>" for name in held if name not in ("Name", "AudioMode"))
        return (
            f"<{node}><TemplateId>{template_id}</TemplateId><Name>{escape(held['Name'])}</Name><Tag>VoiceSeparate</Tag>"
            f"<Category>Custom</Category><VoiceSeparate><AudioMode>{held['AudioMode']}</AudioMode>"
            f"<AudioConfig>{config}</AudioConfig></VoiceSeparate></{node}>"
        )

    def _account(self, what: str) -> Answer:
        if what == "asrqueue":
            return xml_answer(f"<Response><QueueList><QueueId>{QUEUE}</QueueId></QueueList></Response>")
        has = self.has_asr if what == "asrbucket" else self.has_media
        node = "AsrBucketList" if what == "asrbucket" else "MediaBucketList"
        item = f"<{node}><BucketId>{BUCKET}</BucketId><Region>{REGION}</Region></{node}>" if has else ""
        return xml_answer(f"<Response><TotalCount>{int(has)}</TotalCount>{item}</Response>")

    def _look(self, job: Job) -> None:
        self.jobs.look(job)
        if job.state in TERMINAL and job.request.callback.startswith("http") and not job.told:
            job.told = True
            call_back(job.request.callback, *_tell(job, self.jobs.describe(job), self.behaviour))


def _tell(job: Job, description: str, behaviour: Behaviour) -> tuple[bytes, str]:
    """Return what a callback says, and its type."""
    if job.request.callback_format == "JSON":
        detail = {"Code": "Success", "JobId": job.id, "State": job.state, "Tag": "VoiceSeparate"}
        told = {"EventName": "TaskFinish", "JobsDetail": detail if behaviour.tells_object else [detail]}
        return json.dumps(told).encode(), "application/json"
    return f"<Response><EventName>TaskFinish</EventName>{description}</Response>".encode(), "application/xml"


def _seconds(text: str, default: float) -> float:
    if not text:
        return default
    stamp = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    sign = -1 if text[19] == "-" else 1
    return stamp - sign * (int(text[20:22]) * 3600 + int(text[22:24]) * 60)
