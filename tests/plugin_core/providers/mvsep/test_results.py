from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_core.errors import GoneError, ServiceError, TransientError
from plugin_core.model import Part, Progress, RemoteFile
from plugin_core.protocols import Finished, Order, Waiting
from plugin_core.providers.mvsep.job_calls import parse_job
from plugin_core.providers.mvsep.orders import base_name, fetch_results, local_name, read_answer, suffix_of
from plugin_core.service import AT_ONCE, size_limit
from tests.plugin_core.providers.mvsep.fakes import FakeClient, algorithm, make_order, make_source

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


def test_the_answer_is_kept_whole_but_for_the_song_and_signed_links() -> None:
    file = {"type": "Vocals", "url": "https://a.example/1.flac?signature=hush", "news": {"key": "B minor"}}
    answer = read(done(file, input_file={"url": "https://a.example/song.flac?signature=hush"}, bpm=98))
    assert isinstance(answer, Finished)
    assert json.loads(answer.answer) == {"files": [file | {"url": "https://a.example/1.flac"}], "bpm": 98}


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


URL = "https://a.example/storage/processed"


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


def file(name: str, *, size: int | None = None, url: str = "", stem: str = "vocals") -> RemoteFile:
    return RemoteFile(label=stem.title(), stem=stem, name=name, url=url or f"{URL}/{abs(hash(name))}", size=size)


async def no_transcription() -> Sequence[Any]:
    raise AssertionError("nobody asked for it")


def fetch(client: FakeClient, order: Order, said: list[Progress] | None = None, **more: Any) -> list[Part]:
    heard: list[Progress] = [] if said is None else said
    given: dict[str, Any] = {"transcription": no_transcription, "limit": 1 << 20} | more
    return asyncio.run(fetch_results(client, order, heard.append, **given))


def ordered(folder: Path, *files: RemoteFile) -> Order:
    return msgspec.structs.replace(make_order(folder), results=files)


def test_brings_everything(client: FakeClient, tmp_path: Path) -> None:
    files = [file("a_vocals.flac", size=3), file("b_other.mid", stem="midi"), file("c.WAV", stem="bass", size=4)]
    client.contents = {files[0].url: b"abc", files[1].url: b"MThd", files[2].url: b"RIFF"}
    said: list[Progress] = []
    parts = fetch(client, ordered(tmp_path, *files), said)
    assert [(part.stem, part.label, part.is_audio) for part in parts] == [
        ("vocals", "Vocals", True),
        ("midi", "Midi", False),
        ("bass", "Bass", True),
    ]
    assert [part.path.read_bytes() for part in parts] == [b"abc", b"MThd", b"RIFF"]
    assert [part.path.suffix for part in parts] == [".flac", ".mid", ".wav"]
    assert (said[-1].parts_done, said[-1].parts_all) == (3, 3)


def test_what_is_there_is_not_fetched_again(client: FakeClient, tmp_path: Path) -> None:
    one, two = file("a.flac", size=3), file("b.flac", size=4)
    client.contents = {one.url: b"abc", two.url: b"abcd"}
    order = ordered(tmp_path, one, two)
    (tmp_path / local_name(0, one)).write_bytes(b"abc")
    (tmp_path / local_name(1, two)).write_bytes(b"abc")
    assert [part.path.read_bytes() for part in fetch(client, order)] == [b"abc", b"abcd"]
    assert [call["url"] for name, call in client.asked if name == "download"] == [two.url]


def test_parts_of_other_processes_are_offered_and_ours_is_our_own(client: FakeClient, tmp_path: Path) -> None:
    one = file("a.flac")
    client.contents = {one.url: b"abc"}
    target = tmp_path / local_name(0, one)
    left = tmp_path / f"{target.name}.attempt-0.part"
    left.write_bytes(b"a")
    (tmp_path / "part-001-x.flac.attempt-0.part").write_bytes(b"other")
    fetch(client, ordered(tmp_path, one))
    call = client.asked[-1][1]
    assert call["earlier"] == [left]
    assert call["part"] == tmp_path / f"{target.name}.attempt-1.part"


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "/etc/cron.d/x.sh", "..", "", "a\0b.flac", "con.flac", "x" * 500 + ".flac", "a/b.fl ac"],
)
def test_hostile_names_stay_outside(client: FakeClient, tmp_path: Path, name: str) -> None:
    one = file(name, url=f"{URL}/1")
    client.contents = {one.url: b"fLaC"}
    folder = tmp_path / "deep" / "parts"
    folder.mkdir(parents=True)
    (part,) = fetch(client, ordered(folder, one))
    assert part.path.parent == folder
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")} == {"deep"}
    assert local_name(0, one).startswith("part-000-")
    assert len(local_name(0, one)) < 40


def test_same_name_twice(client: FakeClient, tmp_path: Path) -> None:
    one, two = file("a.flac", url=f"{URL}/1"), file("a.flac", url=f"{URL}/2")
    client.contents = {one.url: b"1", two.url: b"2"}
    assert [part.path.read_bytes() for part in fetch(client, ordered(tmp_path, one, two))] == [b"1", b"2"]


def test_announced_size_has_a_cap(client: FakeClient, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="more than"):
        fetch(client, ordered(tmp_path, file("a.flac", size=(1 << 20) + 1)))
    assert client.asked == []


def test_transcription_is_written(client: FakeClient, tmp_path: Path) -> None:
    one = RemoteFile(label="Transcription", stem="transcription", name="transcription.json")

    async def transcription() -> Sequence[Any]:
        return [{"text": "é"}]

    (part,) = fetch(client, ordered(tmp_path, one), transcription=transcription)
    assert not part.is_audio
    assert json.loads(part.path.read_text("utf-8")) == [{"text": "é"}]


def test_failure_waits_for_the_others_to_end(client: FakeClient, tmp_path: Path) -> None:
    running = 0
    most = 0

    async def download(url: str, target: Path, **_more: object) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0)
            if url.endswith("3"):
                raise TransientError("cut")
            await asyncio.Event().wait()
        finally:
            running -= 1
        return 0

    client.download = download  # type: ignore[method-assign]
    files = [file(f"{number}.flac", url=f"{URL}/{number}") for number in (1, 2, 3, 4, 5)]
    with pytest.raises(TransientError):
        fetch(client, ordered(tmp_path, *files))
    assert (running, most) == (0, AT_ONCE)


@pytest.mark.parametrize(
    ("name", "url", "suffix"),
    [
        ("a.FLAC", "", ".flac"),
        ("a", "https://x/b.mp3?c=d.wav", ".mp3"),
        ("a.fl/ac", "https://x/b", ""),
        ("a.toolong", "", ""),
    ],
)
def test_suffix(name: str, url: str, suffix: str) -> None:
    assert suffix_of(RemoteFile(label="", stem="", name=name, url=url)) == suffix


def test_limit_grows_with_the_song() -> None:
    assert size_limit(make_source(duration=1.0), 1 << 40) < 1 << 28
    assert size_limit(make_source(duration=3600.0), 1 << 30) == 1 << 30
