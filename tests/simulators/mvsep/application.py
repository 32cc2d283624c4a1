"""``app/*``: models, news, queues, accounts, history."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from tests.simulators.messages import Answer, Request, json_answer
from tests.simulators.mvsep import algorithms
from tests.simulators.mvsep.accounts import Account
from tests.simulators.mvsep.jobs import Job, human_size
from tests.simulators.mvsep.refusals import RefusedError
from tests.simulators.mvsep.remotes import advance_remotes
from tests.simulators.mvsep.service import Endpoint, MvsepSimulator

LONGEST_PAGE = 20


def list_algorithms(service: MvsepSimulator, request: Request) -> Answer:
    try:
        return json_answer(algorithms.in_scopes(request.query.get("scopes", "")))
    except KeyError as error:
        raise RefusedError(f"The selected scopes is invalid: {error}", 400, "message") from error


def list_news(service: MvsepSimulator, request: Request) -> Answer:
    lang = request.query.get("lang", "en")
    items = [
        {
            "id": number,
            "title": f"News {number}",
            "lang": lang,
            "text": f"<p>Model <b>{number}</b> was added &amp; tested</p>",
            "created_at": "2026-01-01T10:00:00.000000Z",
            "updated_at": None,
        }
        for number in range(25, 0, -1)
    ]
    return json_answer(page(request, items))


def show_queue(service: MvsepSimulator, request: Request) -> Answer:
    """Answer in the older shape without a token, in the newer one with it."""
    with service.lock:
        now = service.clock()
        waiting = sum(1 for job in service.jobs if job.is_active(now))
        queue = {"in_process": min(waiting, 1), "premium": 0, "registered": waiting, "unregistered": 0}
        if not service.parameter(request, "api_token"):
            return json_answer({"queue": queue, "plan": {"plan": "free", "queue": waiting}})
        account = service.account(request)
        answer: dict[str, Any] = {"queue": queue, "current": {"plan": account.plan, "queue": waiting}}
        if account.quota is not None:
            answer["free_separations"] = {"left": account.quota - account.used(now), "max": account.quota}
        return json_answer(answer)


def summarise_queue(service: MvsepSimulator, request: Request) -> Answer:
    with service.lock:
        ahead = service.active_count(service.account(request).token)
    data = {"ahead": ahead, "estimated_wait_seconds": ahead * 60}
    return json_answer(data if service.is_drifting else {"success": True, "data": data})


def list_demos(service: MvsepSimulator, request: Request) -> Answer:
    number = request.query.get("algorithm_id", "")
    with service.lock:
        demos = [
            {
                "hash": job.hash,
                "date": date_of(job),
                "input_audio": job.order.filename,
                "size": human_size(job.order.upload.length if job.order.upload else 0),
                "algorithm": {"name": job.order.model["name"], "render_id": job.order.model["render_id"]},
            }
            for job in reversed(service.jobs)
            if job.order.is_demo and number in ("", str(job.order.model["render_id"]))
        ]
    return json_answer(page(request, demos))


def log_in(service: MvsepSimulator, request: Request) -> Answer:
    email, password = _required(service, request, "email", "password")
    with service.lock:
        account = next(
            (one for one in service.accounts.values() if (one.email, one.password) == (email, password)), None
        )
    if account is None:
        return _form_error("email", "These credentials do not match our records.")
    return json_answer({"success": True, "data": _profile(service, account)})


def register(service: MvsepSimulator, request: Request) -> Answer:
    names = ("name", "email", "password", "password_confirmation")
    name, email, password, again = _required(service, request, *names)
    if password != again:
        return _form_error("password", "The password confirmation does not match.")
    with service.lock:
        if any(account.email == email for account in service.accounts.values()):
            return _form_error("email", "The email has already been taken.")
        service.add_account(service.random_hash(30), name=name, email=email, password=password)
    return json_answer({"success": True, "message": "Please confirm your email"})


def show_user(service: MvsepSimulator, request: Request) -> Answer:
    account = _known(service, request)
    with service.lock:
        now = service.clock()
        mine = [job for job in _shown_jobs(service, account.token) if job.is_active(now)]
        queue = [{"hash": job.hash, "status": job.status(now), "algorithm": job.order.model["name"]} for job in mine]
        profile = _profile(service, account) | {"current_queue": queue or None, "copy_metadata": 0}
    return json_answer({"success": True, "data": profile})


def list_history(service: MvsepSimulator, request: Request) -> Answer:
    """List the jobs of an account, newest first; expired ones too, deleted ones not."""
    account = _known(service, request)
    with service.lock:
        items = [_describe(service, job) for job in reversed(_shown_jobs(service, account.token))]
    return json_answer({"success": True, "data": page(request, items)})


def switch(field: str, value: bool) -> Endpoint:
    """Return the endpoint that switches something of an account on or off."""

    def answer(service: MvsepSimulator, request: Request) -> Answer:
        with service.lock:
            setattr(service.account(request), field, value)
        return json_answer({"success": True, "message": f"successfully {'enabled' if value else 'disabled'}"})

    return answer


def list_purchases(service: MvsepSimulator, request: Request) -> Answer:
    _known(service, request)
    items = [{"id": 1, "status": "paid", "credits": 1000, "created_at": "2026-01-01 10:00:00"}]
    status = request.query.get("status", "")
    return json_answer({"success": True, "data": [one for one in items if status in ("", one["status"])]})


def show_credit_alert(service: MvsepSimulator, request: Request) -> Answer:
    account = _known(service, request)
    return json_answer({"success": True, "data": {"credit_threshold": account.credit_threshold}})


def set_credit_alert(service: MvsepSimulator, request: Request) -> Answer:
    account = _known(service, request)
    text = service.parameter(request, "credit_threshold")
    if not text.isdigit():
        return _form_error("credit_threshold", "The credit threshold must be an integer.")
    account.credit_threshold = int(text)
    return show_credit_alert(service, request)


def page(request: Request, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the page of ``start`` and ``limit``, at most 20 long."""
    start, limit = (_whole(request.query.get(name, ""), default) for name, default in (("start", 0), ("limit", 10)))
    return items[start : start + min(limit, LONGEST_PAGE)]


def date_of(job: Job) -> str:
    return datetime.fromtimestamp(job.created, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _whole(text: str, default: int) -> int:
    if text and not text.isdigit():
        raise RefusedError(f"{text} is no whole number", 400, "message")
    return int(text) if text else default


def _known(service: MvsepSimulator, request: Request) -> Account:
    """Return whose request it is, links of theirs come further on the way."""
    with service.lock:
        account = service.account(request)
    advance_remotes(service, account.token)
    return account


def _shown_jobs(service: MvsepSimulator, token: str) -> list[Job]:
    """Return the jobs of an account that lists show; each list brings late ones nearer."""
    now = service.clock()
    mine = [job for job in service.jobs if job.token == token and not job.is_deleted]
    shown = [job for job in mine if not job.is_hidden(now)]
    for job in mine:
        job.hidden_lists = max(0, job.hidden_lists - 1)
    return shown


def _describe(service: MvsepSimulator, job: Job) -> dict[str, Any]:
    now = service.clock()
    model = job.order.model
    left = job.order.behaviour.time_left
    return {
        "id": job.number,
        "hash": job.hash,
        "created_at": date_of(job),
        "job_exists": int(not job.is_cancelled) if service.is_drifting else not job.is_cancelled,
        "credits": job.credits or (None if service.is_drifting else 0),
        "time_left": math.floor((job.expires - now) / 3600) if left is None else left,
        "algorithm": {
            "name": model["name"],
            "render_id": model["render_id"],
            "algorithm_group": {"name": model["group"]},
        },
    }


def _profile(service: MvsepSimulator, account: Account) -> dict[str, Any]:
    is_odd = service.is_drifting
    return {
        "name": account.name,
        "email": account.email,
        "api_token": None if is_odd else account.token,
        "premium_minutes": f"{account.credits}.00" if is_odd else account.credits,
        "premium_enabled": account.is_premium if is_odd else int(account.is_premium),
        "long_filenames_enabled": account.long_filenames if is_odd else int(account.long_filenames),
    }


def _required(service: MvsepSimulator, request: Request, *names: str) -> list[str]:
    values = {name: service.parameter(request, name) for name in names}
    missing = {name: [f"The {name} field is required."] for name, value in values.items() if not value}
    if missing:
        raise FormRefusedError(missing)
    return list(values.values())


class FormRefusedError(Exception):
    """A form with fields missing."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        super().__init__(str(fields))
        self.fields = fields


def _form_error(field: str, text: str) -> Answer:
    return json_answer({"success": False, "message": {field: [text]}}, 400)


def checked(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint that answers forms with fields missing as the service does."""

    def answer(service: MvsepSimulator, request: Request) -> Answer:
        try:
            return endpoint(service, request)
        except FormRefusedError as error:
            return json_answer({"success": False, "message": error.fields}, 400)

    return answer
