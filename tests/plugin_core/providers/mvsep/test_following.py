from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugin_core.errors import ServiceError, UnresolvedError
from plugin_core.model import Ticket
from plugin_core.protocols import Finished, Order, Waiting
from plugin_core.providers.mvsep.answers.jobs import parse_job
from plugin_core.providers.mvsep.following import GRACE, Pace, base_name, read_answer
from tests.plugin_core.providers.mvsep.fakes import NOW, algorithm, make_order

JOB = "20260101101500-0a1b2c3d4e-song.flac"
PACE = Pace(first=5.0, longest=30.0, unknown_hours=24.0)
HOUR = 3600.0


def order_of(folder: Path) -> Order:
    return make_order(folder, ticket=Ticket(remote_id=JOB, data={"submitted": repr(NOW)}))


def read(folder: Path, payload: dict[str, Any], after: float = 0.0, number: int = 40) -> Waiting | Finished:
    return read_answer(order_of(folder), JOB, parse_job(payload), PACE, algorithm(number), NOW + after)


def waiting(folder: Path, payload: dict[str, Any], after: float = 0.0) -> Waiting:
    answer = read(folder, payload, after)
    assert isinstance(answer, Waiting)
    return answer


@pytest.mark.parametrize(
    ("after", "seconds"), [(0, 5), (49, 5), (100, 10), (299, 29.9), (300, 30), (86_400, 30), (-100, 10)]
)
def test_looks_become_rarer(tmp_path: Path, after: float, seconds: float) -> None:
    assert waiting(tmp_path, {"success": True, "status": "waiting"}, after).seconds == pytest.approx(seconds)


def test_queue_position(tmp_path: Path) -> None:
    progress = waiting(tmp_path, {"status": "waiting", "data": {"queue_count": "3", "current_order": 2}}).progress
    assert (progress.queue_position, progress.queue_length, progress.note) == (2, 3, "waiting at MVSEP")


def test_parts(tmp_path: Path) -> None:
    data = {"finished_chunks": 2, "all_chunks": "5", "message": "large"}
    progress = waiting(tmp_path, {"status": "distributing", "data": data}).progress
    assert (progress.parts_done, progress.parts_all, progress.fraction) == (2, 5, 0.4)
    assert progress.note == "distributing"


@pytest.mark.parametrize("status", ["processing", "merging", "converting", "Submitted"])
def test_known_states_may_last(tmp_path: Path, status: str) -> None:
    assert waiting(tmp_path, {"status": status}, 100 * HOUR).seconds == 30


@pytest.mark.parametrize("status", ["failed", "error", "cancelled"])
def test_failure_has_the_services_words(tmp_path: Path, status: str) -> None:
    with pytest.raises(ServiceError, match="GPU on fire"):
        read(tmp_path, {"success": True, "status": status, "data": {"message": "GPU on fire"}})


def test_failure_without_words(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="no reason given"):
        read(tmp_path, {"status": "failed", "data": {}})


MISSING = {"success": False, "status": "not_found", "data": {"message": "File or File Hash not found"}}


def test_new_job_may_be_unknown_for_a_while(tmp_path: Path) -> None:
    assert waiting(tmp_path, MISSING, GRACE - 1).progress.note == "not listed yet"


def test_expired(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="expired or was deleted") as caught:
        read(tmp_path, MISSING, GRACE + 1)
    assert JOB in caught.value.message


@pytest.mark.parametrize("payload", [{"status": "dancing"}, {}, {"success": False}, {"status": None}])
def test_unknown_state_ends_after_a_day(tmp_path: Path, payload: dict[str, Any]) -> None:
    assert waiting(tmp_path, payload, 0).seconds == 5
    assert waiting(tmp_path, payload, 23 * HOUR).seconds == 30
    # No ServiceError: the job is paid for, and a retry must look again instead of buying another.
    with pytest.raises(UnresolvedError, match="nothing of the job that can be understood for 24 hours"):
        read(tmp_path, payload, 24 * HOUR)
    assert waiting(tmp_path, payload, 25 * HOUR)


def test_known_state_between_starts_the_day_anew(tmp_path: Path) -> None:
    waiting(tmp_path, {"status": "dancing"}, 0)
    waiting(tmp_path, {"status": "processing"}, 20 * HOUR)
    waiting(tmp_path, {"status": "dancing"}, 25 * HOUR)
    waiting(tmp_path, {"status": "dancing"}, 40 * HOUR)
    assert [path.name for path in tmp_path.iterdir()] == ["unclear-since"]


def done(*files: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"success": True, "status": "done", "data": {"files": list(files), **data}}


def test_results(tmp_path: Path) -> None:
    vocals = {"type": "Vocals", "url": "https://a.example/x/1.flac", "download": "s_vocals.flac", "bytes": "12"}
    other = {"url": "https://a.example/x/song_other.flac?x=1", "bytes": 0, "peaks": [1, 2]}
    answer = read(tmp_path, done(vocals, other, {"type": "no link"}))
    assert isinstance(answer, Finished)
    assert [(one.label, one.stem, one.name, one.size) for one in answer.files] == [
        ("Vocals", "vocals", "s_vocals.flac", 12),
        ("instrumental", "instrumental", "song_other.flac", None),
    ]


def test_hostile_results(tmp_path: Path) -> None:
    file = {"type": "Vo\ncals\x1b[2J" + "x" * 999, "url": "https://a.example/1", "download": "../../" + "y" * 999}
    answer = read(tmp_path, done(file))
    assert isinstance(answer, Finished)
    assert len(answer.files[0].label) <= 200
    assert len(answer.files[0].name) <= 200


def test_transcription(tmp_path: Path) -> None:
    answer = read(tmp_path, done(transcription=[{"text": "la"}]), number=39)
    assert isinstance(answer, Finished)
    assert [(one.stem, one.url) for one in answer.files] == [("transcription", "")]


@pytest.mark.parametrize("payload", [done(), done({"type": "Vocals"}), {"status": "done", "data": {"files": None}}])
def test_done_without_files(tmp_path: Path, payload: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match="lists no files") as caught:
        read(tmp_path, payload)
    assert JOB in caught.value.message


@pytest.mark.parametrize(
    ("url", "name"), [("https://a/b/c.flac?x=/y", "c.flac"), ("https://a/b/", "b"), ("", ""), ("c#/d", "c")]
)
def test_base_name(url: str, name: str) -> None:
    assert base_name(url) == name
