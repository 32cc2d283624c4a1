"""``separation/create``: everything that is checked before a job is taken, and paid."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from tests.simulators.forms import Upload
from tests.simulators.messages import Answer, Request, json_answer
from tests.simulators.mvsep import algorithms
from tests.simulators.mvsep.accounts import MEGABYTE, Account
from tests.simulators.mvsep.jobs import Job, Order, RemoteJob, slug
from tests.simulators.mvsep.media import NotAudioError, measure
from tests.simulators.mvsep.refusals import RefusedError
from tests.simulators.mvsep.results import FORMATS
from tests.simulators.mvsep.service import MvsepSimulator
from tests.simulators.mvsep.walks import Walker

REMOTE_TYPES = ("direct", "mega", "drive", "dropbox")
_SHORT = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_FIELDS = tuple(f"add_opt{number}" for number in range(1, 10))


def create(service: MvsepSimulator, request: Request) -> Answer:
    """Take a job, or say why not."""
    with service.lock:
        account = service.account(request)
    order = _read_order(service, request, account)
    with service.lock:
        # Asked again, so that a key a test took away while the upload was read buys nothing any more.
        account = service.account(request)
        _check_account(service, account, order)
        if order.url:
            return _take_link(service, request, account, order)
        job = take(service, account, order, request.node)
        service.created += 1
        delay = request.find_fault("late")
        if delay is not None:
            job.hidden_until, job.hidden_lists = service.clock() + delay.seconds, delay.requests
        data = {"link": f"{service.urls[job.node]}/api/separation/get?hash={job.hash}", "hash": job.hash}
    request.is_body_kept = True
    return json_answer({"success": order.behaviour.success, "data": data})


def take(service: MvsepSimulator, account: Account, order: Order, node: int) -> Job:
    """Make a job of an order, and charge it; the lock is held."""
    now = service.clock()
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H%M%S")
    job = Job(
        number=len(service.jobs) + 1,
        hash=f"{stamp}-{service.random_hash(10)}-{_cut(slug(order.filename), service.slug_length)}",
        order=order,
        node=node if order.behaviour.region is None else order.behaviour.region,
        created=now,
        walker=Walker(order.behaviour.walk, now),
        lifetime=order.behaviour.lifetime,
        credits=credits_for(order) if account.is_premium else 0,
    )
    if order.upload is not None and order.seconds is None:
        job.failure = "The file is corrupted or has no audio"
    service.add_job(job)
    account.credits -= job.credits
    if not account.is_premium:
        account.created.append(now)
    charge = {"hash": job.hash, "token": account.token, "credits": job.credits, "time": now, "refunded": False}
    service.charges.append(charge)
    service.count_active(account.token)
    return job


def credits_for(order: Order) -> int:
    """Return what an order costs: the minutes times the price, cut down, and at least 1."""
    price = float(order.model["price_coefficient"]) * algorithms.multiplier(order.model, order.options)
    return max(1, math.floor((order.seconds or 0.0) * price / 60))


def check_length(account: Account, seconds: float | None) -> None:
    if seconds is not None and seconds > account.second_limit:
        limit = f"{account.second_limit / 60:g} minutes {'premium' if account.is_premium else 'free'} limit"
        raise RefusedError(f"File exceeds the {limit}")


def _read_order(service: MvsepSimulator, request: Request, account: Account) -> Order:
    model = _read_model(service, request, account)
    options = _read_options(service, request, model)
    output_format = _read_format(service, request, account)
    is_demo = service.parameter(request, "is_demo", "0")
    if is_demo not in ("", "0", "1"):
        raise RefusedError("The is demo field must be true or false.")
    upload, url = _read_audio(service, request, model)
    filename = upload.filename if upload else unquote(urlsplit(url).path).rpartition("/")[2] if url else "text.wav"
    if upload is not None:
        _check_upload(account, upload)
    seconds = _measure(upload) if upload else None
    check_length(account, seconds)
    return Order(
        token=account.token,
        model=model,
        options=options,
        output_format=output_format,
        is_demo=is_demo == "1",
        filename=filename,
        upload=upload.blob if upload else None,
        digest=upload.sha256 if upload else "",
        seconds=seconds,
        behaviour=service.behaviour_of(filename),
        url=url,
    )


def _read_model(service: MvsepSimulator, request: Request, account: Account) -> algorithms.Model:
    number = service.parameter(request, "sep_type")
    if not number:
        raise RefusedError("Seperation type is not set")
    model = algorithms.models().get(number)
    if model is None or not model["is_active"]:
        raise RefusedError("Seperation type is unavailable")
    if model["orientation"] == 2 and not account.is_premium:
        raise RefusedError("Seperation type is unavailable until you purchase premium membership")
    if model["orientation"] == 1 and account.is_guest:
        raise RefusedError("Seperation type is available for registered users only")
    return model


def _read_options(service: MvsepSimulator, request: Request, model: algorithms.Model) -> dict[str, str]:
    chosen = {name: text for name in _FIELDS if (text := service.parameter(request, name))}
    named = {field["name"]: field for field in model["fields"]}
    for name, key in chosen.items():
        field = named.get(name)
        if field is None or not algorithms.is_visible(field, model, chosen):
            if service.is_strict:
                raise RefusedError(f"The {name} field does not belong to this separation type.")
        elif field["options"] and key not in field["options"]:
            raise RefusedError(f"The selected {name} is invalid.")
    for field in model["fields"]:
        if field["required"] and field["default"] is None and field["name"] not in chosen:
            raise RefusedError(f"The {field['name']} field is required.")
    return {name: key for name, key in chosen.items() if name in named}


def _read_format(service: MvsepSimulator, request: Request, account: Account) -> str:
    output_format = service.parameter(request, "output_format") or "0"
    if output_format not in FORMATS:
        raise RefusedError("The selected output format is invalid.")
    if output_format in "45" and not account.is_premium:
        raise RefusedError("Output format is unavailable until you purchase premium membership")
    if output_format != "0" and account.is_guest:
        raise RefusedError("Output format is available for registered users only")
    return output_format


def _read_audio(service: MvsepSimulator, request: Request, model: algorithms.Model) -> tuple[Upload | None, str]:
    """Return the upload, or the link, or neither, as the model wants it."""
    files, url = request.form.files, request.form.fields.get("url", "")
    wanted = {
        "no_upload": frozenset[str](),
        "matchering_upload": frozenset({"target_audiofile", "reference_audiofile"}),
    }.get(model["audio_widget"], frozenset({"audiofile"}))
    if wanted == {"audiofile"} and url:
        wanted = frozenset()
        _check_link(request, url)
    if set(files) != wanted:
        text = ", ".join(sorted(wanted)) or "none"
        raise RefusedError(
            f"The files do not fit the separation type: wanted {text}, got {', '.join(files) or 'none'}."
        )
    for name, file in files.items():
        if not file.length:
            raise RefusedError(f"The {name} is empty.")
    return files.get("target_audiofile", files.get("audiofile")), url


def _check_link(request: Request, url: str) -> None:
    if request.form.fields.get("remote_type", "direct") not in REMOTE_TYPES:
        raise RefusedError("The selected remote type is invalid.")
    if urlsplit(url).scheme not in ("http", "https"):
        raise RefusedError("The url format is invalid.")


def _check_upload(account: Account, upload: Upload) -> None:
    if upload.length > account.byte_limit:
        plan = "premium" if account.is_premium else "free"
        raise RefusedError(f"File exceeds the {account.byte_limit // MEGABYTE} MB {plan} limit")


def _measure(upload: Upload) -> float | None:
    try:
        return measure(upload.blob).seconds
    except NotAudioError:
        return None


def _check_account(service: MvsepSimulator, account: Account, order: Order) -> None:
    now = service.clock()
    if service.active_count(account.token) >= account.job_limit:
        text = "You already have an unprocessed file in queue. Please wait before adding a new one"
        raise RefusedError(text, service.queue_full_status)
    if account.quota is not None and account.used(now) >= account.quota:
        raise RefusedError("You have reached the limit of separations for today")
    if account.is_premium and account.credits < credits_for(order):
        raise RefusedError("Not enough credits for this separation")


def _take_link(service: MvsepSimulator, request: Request, account: Account, order: Order) -> Answer:
    short = service.random_hash(16, _SHORT)
    behaviour = order.behaviour
    now = service.clock()
    service.remotes[short] = RemoteJob(
        hash=short,
        order=order,
        node=request.node,
        created=now,
        walker=Walker(behaviour.remote_walk, now),
        misses=behaviour.remote_misses,
    )
    service.created += 1
    service.count_active(account.token)
    link = f"{service.urls[request.node]}/api/separation/get-remote?hash={short}"
    success = "true" if behaviour.success is True else behaviour.success
    return json_answer({"success": success, "data": {"link": link, "hash": short}})


def _cut(name: str, length: int | None) -> str:
    stem, dot, suffix = name.rpartition(".")
    return name if length is None or not dot else stem[:length].strip("-") + dot + suffix
