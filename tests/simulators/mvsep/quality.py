"""``quality_checker/*``: entries of a contest, in memory."""

from __future__ import annotations

from typing import Any

from tests.simulators.messages import Answer, Request, json_answer
from tests.simulators.mvsep.application import page
from tests.simulators.mvsep.refusals import RefusedError
from tests.simulators.mvsep.service import MvsepSimulator

_FIRST = 7772
_DATASETS = 13


def list_queue(service: MvsepSimulator, request: Request) -> Answer:
    return json_answer(page(request, [_shown(entry) for entry in service.entries.values() if not entry["proc"]]))


def list_leaders(service: MvsepSimulator, request: Request) -> Answer:
    dataset = int(request.query.get("dataset_type", "0"))
    wanted = request.query.get("algo_name_filter", "").lower()
    sort = request.query.get("sort", "sdr_vocals")
    entries = [
        _shown(entry)
        for entry in service.entries.values()
        if entry["dataset_type"] == dataset and wanted in entry["algo_name"].lower()
    ]
    entries.sort(key=lambda entry: -float(entry.get(sort, 0)))
    sortables = ["sdr_vocals", "sdr_instrum"]
    return json_answer({"data": page(request, entries), "dataset_type": dataset, "sortables": sortables, "sort": sort})


def show_entry(service: MvsepSimulator, request: Request) -> Answer:
    return json_answer({"success": True, "data": _shown(_find(service, request))})


def add_entry(service: MvsepSimulator, request: Request) -> Answer:
    service.account(request)
    form = request.form
    values = {name: form.fields.get(name, "") for name in ("algo_name", "main_text", "password")}
    missing = [name for name, value in values.items() if not value]
    if missing or not form.files.get("zipfile") or not form.files["zipfile"].length:
        raise RefusedError(f"The {', '.join(missing) or 'zipfile'} field is required.")
    dataset, ensemble = form.fields.get("dataset_type", "0"), form.fields.get("ensemble", "0")
    if not dataset.isdigit() or int(dataset) >= _DATASETS or ensemble not in ("0", "1"):
        raise RefusedError("The selected dataset type is invalid.")
    with service.lock:
        number = _FIRST + len(service.entries)
        service.entries[number] = {
            "id": number,
            "dataset_type": int(dataset),
            "date": "2026-01-01 10:00:00",
            **values,
            "proc": 0,
            "proc_remote_date": None,
            "msg": "OK",
            "metrics": "Metric sdr for vocals: 11.72\nMetric sdr for instrum: 17.01",
            "is_ensemble": int(ensemble),
            "sdr_vocals": 11.72,
            "sdr_instrum": -1000,
            "dataset_name": "Synth",
        }
    link = f"{request.origin}/api/quality_checker/entry?id={number}"
    return json_answer({"success": True, "data": {"id": number, "link": link}})


def delete_entry(service: MvsepSimulator, request: Request) -> Answer:
    with service.lock:
        entry = _find(service, request)
        if service.parameter(request, "password") != entry["password"]:
            raise RefusedError("Wrong password", 400, "data")
        del service.entries[entry["id"]]
    return json_answer({"success": True, "data": {"message": "successfully deleted"}})


def _find(service: MvsepSimulator, request: Request) -> dict[str, Any]:
    number = service.parameter(request, "id")
    entry = service.entries.get(int(number)) if number.isdigit() else None
    if entry is None:
        raise RefusedError("Job not found", 400, "data")
    return entry


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "password"}
