"""MediaX's job API, as strict as its documentation and as odd as its answers.

``MediaxSimulator(form="...")`` answers finished jobs in one of ``FORMS``; ``labels`` says what it hears. The input URL
is fetched for real when ``fetches`` is set: what cannot be read ends in state 4. Each GetJob moves a job one state on.
``created`` counts jobs that were made (and billed). A job that ends calls its ``callback`` once, as one of
``WRAPPINGS``. ``stems`` says how songs are separated; they are put where its ``put`` puts them when the job becomes
complete. ``bucket`` reads an object of the bucket that is registered, for jobs with a ``source``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulators.calling_back import call_back
from tests.simulators.mediax_stems import StemMaker, check_separation
from tests.simulators.messages import Answer, Request, json_answer
from tests.simulators.process import serve_process
from tests.simulators.server import Simulator

DIMENSIONS = ("vocal", "language", "mood", "genre", "scene", "bgm", "intensity")
FORMS = ("misspelt", "spelt", "flat", "older", "numbers", "lists", "text")
UNHEARD = "unheard"
"""A form that nobody knows, which holds the labels all the same."""
WRAPPINGS = ("bare", "job", "getJobResponse")
SECRET_ID, SECRET_KEY = "mx-id", "mx-secret-key"
LABELS = {
    "vocal": ("声乐", "1.0000"),
    "language": ("国语", "0.9321"),
    "mood": ("安静", "0.8710"),
    "genre": ("摇滚", "0.7710"),
    "scene": ("开车", "0.6886"),
    "bgm": ("非BGM", "0.5500"),
    "intensity": ("兴奋", "0.9100"),
}
RESULTS = {"CreateJob": "createJobRequest", "GetJob": "getJobRequest", "ListJobs": "listJobsRequest"}


@dataclass
class Job:
    """One job at the service."""

    id: str
    custom_id: str
    url: str
    outputs: list[dict[str, Any]]
    callback: str
    created: float
    states: list[int]
    reason: str = ""
    hidden_until: float = 0.0
    polls: int = 0
    song: bytes = b""
    results: list[dict[str, Any]] | None = None
    told: bool = False


@dataclass
class Refusal(Exception):  # noqa: N818 - it is an answer, not a defect
    """An ``errorResponse``; its status is 200 unless a proxy would say otherwise."""

    message: str
    status: int = field(default=200)


class MediaxSimulator(Simulator):
    """MediaX for one account."""

    def __init__(
        self,
        *,
        form: str = "misspelt",
        labels: dict[str, tuple[str, Any]] | None = None,
        walk: tuple[int, ...] = (1, 2, 3),
        fetches: bool = True,
        gateway: tuple[str, str, str] | None = None,
        stems: StemMaker | None = None,
        bucket: Callable[[str], bytes] | None = None,
        wrapping: str = "bare",
        folder: Path | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(folder=folder, ports=(port,))
        self.form = form
        self.labels = LABELS if labels is None else labels
        self.walk = walk
        self.fetches = fetches
        self.gateway = gateway
        self.wrapping = wrapping
        self.stems = stems or StemMaker()
        self.bucket = bucket
        self.jobs: dict[str, Job] = {}

    @property
    def created(self) -> int:
        return len(self.jobs)

    def state(self) -> dict[str, Any]:
        with self.lock:
            return {"created": self.created, "custom_ids": [job.custom_id for job in self.jobs.values()]}

    def respond(self, request: Request) -> Answer:
        if request.method == "GET" and request.path.startswith("/files/"):
            return self.stems.serve(request)
        if request.method != "POST" or request.path != "/job":
            return json_answer({"message": "no such path"}, 404)
        try:
            return json_answer({"requestId": str(uuid.uuid4())} | self._act(request))
        except Refusal as refusal:
            body = {"requestId": "r", "errorResponse": {"message": refusal.message}}
            return json_answer(body, refusal.status)

    def _act(self, request: Request) -> dict[str, Any]:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise Refusal("Content-Type must be application/json")
        self._check_gateway(request)
        body = request.json()
        if body.get("secretId") != SECRET_ID or body.get("secretKey") != SECRET_KEY:
            raise Refusal("secretId or secretKey is wrong")
        action = body.get("action")
        if action not in RESULTS or not isinstance(body.get(RESULTS[action]), dict):
            raise Refusal(f"unknown action {action}")
        asked = body[RESULTS[action]]
        if action == "CreateJob":
            return {"createJobResponse": {"job": self._create(request, asked)}}
        if action == "GetJob":
            return {"getJobResponse": {"job": self._describe(self._job(asked.get("id")), moves=True)}}
        found = [job for job in self._listed() if job.custom_id == asked.get("customId", job.custom_id)]
        return {"listJobsResponse": {"jobs": [self._describe(job) for job in found], "total": len(found)}}

    def _create(self, request: Request, asked: dict[str, Any]) -> dict[str, Any]:
        custom_id, inputs, outputs = asked.get("customId", ""), asked.get("inputs"), asked.get("outputs")
        if len(custom_id) >= 64:
            raise Refusal("customId is too long")
        if not isinstance(inputs, list) or len(inputs) != 1 or set(inputs[0]) not in ({"url"}, {"source"}):
            raise Refusal("inputs: exactly one of url, source")
        if not isinstance(outputs, list) or not outputs:
            raise Refusal("outputs is missing")
        for output in outputs:
            _check_output(output, len(inputs), self.stems.content_id)
        late = request.find_fault("late")
        job = Job(
            id=str(uuid.uuid4()),
            custom_id=custom_id,
            url=inputs[0].get("url", ""),
            outputs=outputs,
            callback=asked.get("callback", ""),
            created=self.clock(),
            states=list(self.walk),
            hidden_until=self.clock() + (late.seconds if late else 0.0),
        )
        if "source" in inputs[0]:
            job.song = self._read_source(inputs[0]["source"])
        elif self.fetches:
            job.song = _read(job.url)
        if self.fetches and not job.song:
            job.states, job.reason = [1, 4], "download input failed"
        with self.lock:
            self.jobs[job.id] = job
        return self._describe(job)

    def _read_source(self, source: dict[str, Any]) -> bytes:
        if set(source) != {"contentId", "path"} or source["contentId"] != self.stems.content_id:
            raise Refusal("source: contentId or path is wrong")
        return self.bucket(source["path"]) if self.bucket is not None else b""

    def _job(self, job_id: object) -> Job:
        with self.lock:
            if job_id not in self.jobs:
                raise Refusal("job not found")
            return self.jobs[str(job_id)]

    def _listed(self) -> list[Job]:
        with self.lock:
            return [job for job in self.jobs.values() if job.hidden_until <= self.clock()]

    def _describe(self, job: Job, *, moves: bool = False) -> dict[str, Any]:
        with self.lock:
            state = job.states[min(job.polls, len(job.states) - 1)]
            job.polls += moves
        moment = str(int(job.created * 1000))
        described: dict[str, Any] = {
            "id": job.id,
            "state": str(state) if self.form == "numbers" else state,
            "customId": job.custom_id,
            "callback": job.callback,
            "inputs": [{"url": job.url}] if job.url else [{"source": {"contentId": self.stems.content_id}}],
            "outputs": [dict(output) for output in job.outputs],
            "timing": {"createdAt": moment, "startedAt": "0", "completedAt": moment if state > 2 else "0"},
        }
        if state == 4:
            described["message"] = job.reason or "internal failure of the model"
        if state == 3:
            for output in described["outputs"]:
                output["smartContentResult"] = self._find(job, output)
        if moves and state in (3, 4) and job.callback and not job.told:
            job.told = True
            call_back(job.callback, json.dumps(self._wrap(described)).encode(), "application/json")
        return described

    def _wrap(self, described: dict[str, Any]) -> dict[str, Any]:
        if self.wrapping == "bare":
            return described
        return {"job": described} if self.wrapping == "job" else {"getJobResponse": {"job": described}}

    def _find(self, job: Job, output: dict[str, Any]) -> dict[str, Any]:
        asked = output["smartContentDescriptor"]
        if "musicSeperate" in asked:
            with self.lock:
                if job.results is None:
                    job.results = self.stems.separate(job.song, output, self.url)
            return self.stems.wrap(job.results)
        types = asked["musicTagV2"]["tagType"]
        return self._result(DIMENSIONS if types == ["all"] else types)

    def _result(self, types: tuple[str, ...] | list[str]) -> dict[str, Any]:
        """Spell a result; what it heard nothing of is absent, and ``intensity`` comes unasked."""
        if self.form == "older":
            return {
                "audioTagger": [
                    {"tagType": each, "tag": self.labels[each][0], "probility": self.labels[each][1]}
                    for each in types
                    if each in self.labels
                ]
            }
        found: dict[str, Any] = {each: self._answer(each) for each in types if each in self.labels}
        found.setdefault("intensity", {})
        if self.form == "flat":
            return {"musicTagV2": found}
        if self.form == "text":
            return {"musicTagV2": json.dumps(found)}
        if self.form == UNHEARD:
            heard = {each: self.labels[each] for each in types if each in self.labels}
            return {"songProfile": {each: {"guess": label, "prob": share} for each, (label, share) in heard.items()}}
        return {"musicTagV2" if self.form == "spelt" else "musigTagV2": {"musicTagV2": found}}

    def _answer(self, dimension: str) -> Any:
        label, probability = self.labels[dimension]
        if self.form == "numbers":
            return {"label": label, "prob": float(probability)}
        if self.form == "lists":
            return [{"label": "其他", "prob": "0.0100"}, {"label": label, "prob": probability}]
        return {"label": label, "prob": probability}

    def _check_gateway(self, request: Request) -> None:
        if self.gateway is None:
            return
        gateway_id, key, source = self.gateway
        date = request.headers.get("date", "")
        text = f"date: {date}\nsource: {source}".encode()
        signature = base64.b64encode(hmac.new(key.encode(), text, hashlib.sha1).digest()).decode()
        expected = f'hmac id="{gateway_id}", algorithm="hmac-sha1", headers="date source", signature="{signature}"'
        if request.headers.get("authorization") != expected or request.headers.get("source") != source:
            raise Refusal("HMAC signature does not match", 401)


def _check_output(output: dict[str, Any], inputs: int, content_id: str) -> None:
    if any(index not in range(inputs) for index in output.get("inputSelectors", [None])):
        raise Refusal("inputSelectors point at no input")
    if "musicSeperate" in output.get("smartContentDescriptor", {}):
        wrong = check_separation(output, content_id)
        if wrong:
            raise Refusal(wrong)
        return
    types = output.get("smartContentDescriptor", {}).get("musicTagV2", {}).get("tagType")
    if not isinstance(types, list) or not types:
        raise Refusal("tagType is missing")
    if "all" in types and types != ["all"]:
        raise Refusal("all excludes every other tagType")
    if any(each not in (*DIMENSIONS, "all") for each in types):
        raise Refusal(f"unknown tagType in {types}")


def _read(url: str) -> bytes:
    """Return what is at an input's URL; nothing when it cannot be read."""
    if not url.startswith("http://127.0.0.1:"):
        return b""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError):
        return b""


def main() -> None:
    """Run as a process; see ``process``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--form", choices=(*FORMS, UNHEARD), default="misspelt")
    parser.add_argument("--no-fetch", action="store_true")
    parser.add_argument("--walk", default="[1, 2, 3]")
    asked = parser.parse_args()
    walk = tuple(json.loads(asked.walk))
    serve_process(MediaxSimulator(form=asked.form, fetches=not asked.no_fetch, walk=walk, port=asked.port))


if __name__ == "__main__":
    main()
