from __future__ import annotations

from typing import Any

import pytest

from plugin_core.errors import GoneError, ServiceError
from plugin_core.protocols import Finished, Waiting
from plugin_core.providers.mvsep.job_calls import parse_job
from plugin_core.providers.mvsep.results import base_name, read_answer
from tests.plugin_core.providers.mvsep.fakes import algorithm

JOB = "20260101101500-0a1b2c3d4e-song.flac"


def read(payload: dict[str, Any], number: int = 40) -> Waiting | Finished:
    return read_answer(JOB, parse_job(payload), algorithm(number), 5.0)


def waiting(payload: dict[str, Any]) -> Waiting:
    answer = read(payload)
    assert isinstance(answer, Waiting)
    return answer


def test_queue_position() -> None:
    progress = waiting({"status": "waiting", "data": {"queue_count": "3", "current_order": 2}}).progress
    assert (progress.queue_position, progress.queue_length, progress.note) == (2, 3, "waiting at MVSEP")


def test_parts() -> None:
    data = {"finished_chunks": 2, "all_chunks": "5", "message": "large"}
    progress = waiting({"status": "distributing", "data": data}).progress
    assert (progress.parts_done, progress.parts_all, progress.fraction) == (2, 5, 0.4)
    assert progress.note == "distributing"


@pytest.mark.parametrize("status", ["processing", "merging", "converting", "Submitted"])
def test_known_states_may_last(status: str) -> None:
    answer = waiting({"status": status})
    assert (answer.seconds, answer.unclear) == (5.0, "")


@pytest.mark.parametrize("status", ["failed", "error", "cancelled"])
def test_failure_has_the_services_words(status: str) -> None:
    with pytest.raises(ServiceError, match="GPU on fire"):
        read({"success": True, "status": status, "data": {"message": "GPU on fire"}})


def test_failure_without_words() -> None:
    with pytest.raises(ServiceError, match="no reason given"):
        read({"status": "failed", "data": {}})


MISSING = {"success": False, "status": "not_found", "data": {"message": "File or File Hash not found"}}


def test_expired() -> None:
    with pytest.raises(GoneError, match="expired or was deleted") as caught:
        read(MISSING)
    assert JOB in caught.value.message


@pytest.mark.parametrize("payload", [{"status": "dancing"}, {}, {"success": False}, {"status": None}])
def test_unknown_state_is_named(payload: dict[str, Any]) -> None:
    """How long it is borne is for the core to say; the job is paid for."""
    assert waiting(payload).unclear


def done(*files: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"success": True, "status": "done", "data": {"files": list(files), **data}}


def test_results() -> None:
    vocals = {"type": "Vocals", "url": "https://a.example/x/1.flac", "download": "s_vocals.flac", "bytes": "12"}
    other = {"url": "https://a.example/x/song_other.flac?x=1", "bytes": 0, "peaks": [1, 2]}
    answer = read(done(vocals, other, {"type": "no link"}))
    assert isinstance(answer, Finished)
    assert [(one.label, one.stem, one.name, one.size) for one in answer.files] == [
        ("Vocals", "vocals", "s_vocals.flac", 12),
        ("instrumental", "instrumental", "song_other.flac", None),
    ]


def test_hostile_results() -> None:
    file = {"type": "Vo\ncals\x1b[2J" + "x" * 999, "url": "https://a.example/1", "download": "../../" + "y" * 999}
    answer = read(done(file))
    assert isinstance(answer, Finished)
    assert len(answer.files[0].label) <= 200
    assert len(answer.files[0].name) <= 200


def test_transcription() -> None:
    answer = read(done(transcription=[{"text": "la"}]), number=39)
    assert isinstance(answer, Finished)
    assert [(one.stem, one.url) for one in answer.files] == [("transcription", "")]


@pytest.mark.parametrize("payload", [done(), done({"type": "Vocals"}), {"status": "done", "data": {"files": None}}])
def test_done_without_files(payload: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match="lists no files") as caught:
        read(payload)
    assert JOB in caught.value.message


@pytest.mark.parametrize(
    ("url", "name"), [("https://a/b/c.flac?x=/y", "c.flac"), ("https://a/b/", "b"), ("", ""), ("c#/d", "c")]
)
def test_base_name(url: str, name: str) -> None:
    assert base_name(url) == name
