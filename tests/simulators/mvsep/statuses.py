"""``separation/get``, ``cancel`` and ``delete``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.simulators.messages import Answer, Request, json_answer
from tests.simulators.mvsep import algorithms
from tests.simulators.mvsep.jobs import Job, human_size, slug
from tests.simulators.mvsep.media import NotAudioError
from tests.simulators.mvsep.refusals import RefusedError
from tests.simulators.mvsep.results import FORMATS, Result, Wanted
from tests.simulators.mvsep.service import MvsepSimulator


def get(service: MvsepSimulator, request: Request) -> Answer:
    """Say how far a job is, with its files at the end; this is the poll that drives it."""
    with service.lock:
        if request.query.get("mirror", "0") == "1":
            _pay_mirror(service, request)
        now = service.clock()
        job = service.find_job(request.query.get("hash", ""), request.node)
        if job is None or job.status(now) == "not_found":
            return _missing()
        step = None if job.failure else job.walker.poll(now)
    success = job.order.behaviour.success
    if step is not None and step.status == "done":
        make_results(service, job)
    if job.failure:
        return json_answer({"success": success, "status": "failed", "data": {"message": job.failure}})
    if step is not None and step.status != "done":
        data = {name: str(value) if service.is_drifting else value for name, value in step.data.items()}
        return json_answer({"success": success, "status": step.status, "data": data})
    return json_answer({"success": success, "status": "done", "data": _describe(service, job)})


def cancel(service: MvsepSimulator, request: Request) -> Answer:
    """Cancel a job that waits, and give back what it cost; later it is too late."""
    with service.lock:
        job = _own_job(service, request)
        if job.status(service.clock()) != "waiting":
            raise RefusedError("The separation can not be cancelled", 400, "data")
        job.is_cancelled = True
        _refund(service, job)
    return json_answer({"success": True})


def delete(service: MvsepSimulator, request: Request) -> Answer:
    """Remove a job that has ended, and its files."""
    with service.lock:
        job = _own_job(service, request)
        if job.is_active(service.clock()):
            raise RefusedError("The separation is being processed", 400, "data")
        job.is_deleted = True
    return json_answer({"success": True})


def make_results(service: MvsepSimulator, job: Job) -> None:
    """Compute the files of a job, once; a job whose upload is no audio fails."""
    behaviour = job.order.behaviour
    labels = algorithms.labels(job.order.model)
    if job.order.model["render_id"] == algorithms.MATCHERING:
        labels = ["Mastered"]
    elif job.order.upload is None:
        labels = ["Audio"]
    wanted = Wanted(
        number=str(job.order.model["render_id"]),
        digest=job.order.digest,
        output_format=job.order.output_format,
        labels=tuple(labels),
        delay=behaviour.delay,
        sample_rate=behaviour.sample_rate,
    )
    if job.results is None:
        try:
            job.results = service.results.make(wanted, job.order.upload)
        except NotAudioError as error:
            job.failure = f"The file has no audio: {error}"


def file_name(job: Job, result: Result) -> str:
    """Return the name a result has on the storage."""
    number = job.order.model["render_id"]
    return f"{_stem(job.hash)}_{_short_model(job)}_{number}_{result.label.lower()}.{result.suffix}"


def _describe(service: MvsepSimulator, job: Job) -> dict[str, Any]:
    order = job.order
    results = [] if order.behaviour.is_empty else job.results or []
    size = human_size(order.upload.length if order.upload else 0)
    url = f"{service.urls[job.node]}/storage/temp/{job.hash}"
    data: dict[str, Any] = {
        "algorithm": order.model["name"],
        "algorithm_description": f"<p>{order.model['name']}</p>",
        "size": size,
        "output_format": FORMATS[order.output_format][1],
        "tags": [] if service.is_drifting else {"audio": {"dataformat": "wav", "channels": 2}, "tags": {"id3v2": {}}},
        "input_file": {"url": url, "size": size, "download": order.filename} if order.upload else None,
        "files": [_describe_file(service, job, result) for result in results],
        "date": datetime.fromtimestamp(job.created, UTC).strftime("%Y-%m-%d %H:%M:%S"),
    }
    if order.model["render_id"] in algorithms.TEXT:
        data["transcription"] = [{"start": 0.0, "end": 1.0, "text": "la la la"}]
    return data


def _describe_file(service: MvsepSimulator, job: Job, result: Result) -> dict[str, Any]:
    behaviour = job.order.behaviour
    name = f"{_stem(slug(job.order.filename))}_{_short_model(job)}_{result.label.lower()}.{result.suffix}"
    described: dict[str, Any] = {
        "url": f"{service.urls[job.node]}/storage/processed/{file_name(job, result)}",
        "download": behaviour.download.format(name=name),
        "size": human_size(result.content.length),
    }
    if behaviour.has_type:
        is_other = behaviour.says_other and result.label.startswith(("Instrum", "Music"))
        described["type"] = "Other" if is_other else result.label
    if behaviour.has_bytes:
        length = result.content.length
        described["bytes"] = str(length) if behaviour.has_bytes == "text" else length
    return described


def _own_job(service: MvsepSimulator, request: Request) -> Job:
    account = service.account(request)
    job = service.find_job(service.parameter(request, "hash"), request.node)
    if job is None or job.token != account.token or job.status(service.clock()) == "not_found":
        raise RefusedError("File or File Hash not found", 400, "data")
    return job


def _refund(service: MvsepSimulator, job: Job) -> None:
    account = service.accounts[job.token]
    account.credits += job.credits
    if job.created in account.created:
        account.created.remove(job.created)
    charge = next(one for one in service.charges if one["hash"] == job.hash)
    charge["refunded"] = True


def _pay_mirror(service: MvsepSimulator, request: Request) -> None:
    account = service.account(request)
    if not account.credits:
        raise RefusedError("Not enough credits for the mirror")
    account.credits -= 1
    service.charges.append(
        {"hash": "mirror", "token": account.token, "credits": 1, "time": service.clock(), "refunded": False}
    )


def _missing() -> Answer:
    data = {"message": "File or File Hash not found"}
    return json_answer({"success": False, "status": "not_found", "data": data})


def _short_model(job: Job) -> str:
    return "".join(letter for letter in job.order.model["name"].partition("(")[0].lower() if letter.isalnum())


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name
