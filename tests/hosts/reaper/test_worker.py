from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stembridge_reaper import worker
from stembridge_reaper.choices import list_choices
from stembridge_reaper.protocol import Status, read_request, read_status
from stembridge_reaper.queries import Query
from stembridge_reaper.runs import ReaperSettings, forget_old_runs, hold
from stembridge_reaper.status import StatusFile, in_reapers_words
from stembridge_reaper.worker import Worker

from plugin_core.errors import PlacementError, RefusedError, SettingsError, UsageError
from plugin_core.model import JobState
from plugin_core.session import Session
from plugin_core.settings import Settings
from tests.audio_files import encode
from tests.hosts.reaper.builders import facts_of
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song

Make = Callable[..., Path]


@pytest.fixture
def fake() -> FakeSeparator:
    return FakeSeparator()


@pytest.fixture
def session(fake: FakeSeparator, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("STEMBRIDGE_SEPARATE_PROVIDER", "fake")
    return Session(Settings(), load_fakes(FakePoint("fake", FakePlugin(fake))))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a request for files."""

    def write(*files: Path, preset: str = "vocals", **more: Any) -> Path:
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        items = [facts_of(path, markers=[[0.0, 0.0, 0.0]]) for path in files]
        request = {"version": 2, "id": "run", "created": 1.0, "kind": "separate", "preset": preset, "items": items}
        path = folder / "request.json"
        path.write_text(json.dumps(request | {"project": {"path": ""}} | more), encoding="ascii")
        return path

    return write


def work(session: Session, request: Path) -> dict[str, Any]:
    """Run a worker in this process and return its last word."""
    with session:
        asyncio.run(Worker(session, read_request(request), request.parent).run())
    status: dict[str, Any] = json.loads((request.parent / "status.json").read_bytes())
    return status


def test_done(session: Session, make: Make, tmp_path: Path) -> None:
    status = work(session, make(write_song(tmp_path / "A.flac"), write_song(tmp_path / "B.flac", seed=1)))
    assert status["state"] == "done"
    stems = [stem for file in status["files"] for stem in file["parts"][0]["stems"]]
    assert [Path(stem["path"]).name for stem in stems] == ["A - Vocals.flac", "B - Vocals.flac"]
    assert [file["progress"] for file in status["files"]] == [1.0, 1.0]


def test_choices_are_presets_and_models_with_their_stems(
    session: Session, fake: FakeSeparator, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices, faults = asyncio.run(list_choices(session))
    assert faults == []
    found = {choice.preset or choice.model: choice for choice in choices}
    assert [stem.title for stem in found["two-stems"].stems] == ["Vocals", "Instrumental"]
    assert (found["vocals"].stems, found["labels"].kind) == ((), "label")
    assert [stem.name for stem in found["practice"].stems[-2:]] == ["no-bass", "no-other"]
    assert found["halves"].note == "fake, 1.5 credits/min"
    drums = found["drumsep"]
    assert (drums.provider, drums.note, len(drums.stems)) == ("fake", "fake, free, premium", 2)

    async def fail() -> list[Any]:
        raise ValueError("broken")

    monkeypatch.setattr(fake, "models", fail)
    choices, faults = asyncio.run(list_choices(session))
    assert faults == ["fake: plugin fake failed: ValueError: broken; tell its author"]
    assert {choice.provider for choice in choices} == {""}


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ({"preset": "", "provider": "fake", "model": "halves"}, ["Vocals", "Instrumental"]),
        ({"preset": "", "provider": "fake", "model": "halves", "stems": ["vocals"]}, ["Vocals"]),
        ({"preset": "two-stems", "stems": ["instrumental"]}, ["Instrumental"]),
        ({"preset": "practice", "stems": ["vocals", "no-vocals"]}, ["Vocals", "No Vocals"]),
        ({"preset": "practice", "stems": ["no-vocals"]}, ["No Vocals"]),
    ],
)
def test_chosen_stems_are_made(
    session: Session, make: Make, tmp_path: Path, asked: dict[str, Any], made: list[str]
) -> None:
    (file,) = work(session, make(write_song(tmp_path / "A.flac"), **asked))["files"]
    assert sorted(stem["title"] for stem in file["parts"][0]["stems"]) == sorted(made), file


def test_time_left_follows_from_the_pace_since_this_worker_came(session: Session, make: Make, tmp_path: Path) -> None:
    request = make(write_song(tmp_path / "A.flac"))
    now = [100.0]
    with session:
        at_work = Worker(session, read_request(request), request.parent, clock=lambda: now[0])
        assert at_work._left(0.5) is None
        now[0] = 110.0
        assert at_work._left(0.52) is None
        assert at_work._left(0.75) == pytest.approx(10.0)


def test_one_file_fails_and_the_other_does_not(session: Session, make: Make, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    status = work(session, make(bad, write_song(tmp_path / "A.flac")))
    assert status["state"] == "failed"
    assert [file["state"] for file in status["files"]] == ["failed", "done"]
    assert "bad.wav" in status["files"][0]["message"]


def test_service_refuses(session: Session, fake: FakeSeparator, make: Make, tmp_path: Path) -> None:
    fake.plan_error = RefusedError("no credits are left", remedy="buy some")
    status = work(session, make(write_song(tmp_path / "A.flac")))
    assert (status["state"], status["files"][0]["message"]) == ("failed", "no credits are left; buy some")


@pytest.mark.parametrize(("price", "told"), [(3.0, "about 3 credits"), (None, "price not known")])
def test_price_is_asked_and_granted(
    session: Session, fake: FakeSeparator, make: Make, tmp_path: Path, price: float | None, told: str
) -> None:
    fake.price = price
    request = make(write_song(tmp_path / "A.flac"))
    seen = []

    async def answer(_seconds: float) -> None:
        status = json.loads((request.parent / "status.json").read_bytes())
        if status["state"] == "asking":
            seen.append(status["message"])
            (request.parent / "go").touch()
        await asyncio.sleep(0.01)

    with session:
        asyncio.run(Worker(session, read_request(request), request.parent, sleep=answer).run())
    assert set(seen) == {f"1 track with fake, {told}. Go on?"}
    assert len(fake.submitted) == 1


def test_price_is_refused(session: Session, fake: FakeSeparator, make: Make, tmp_path: Path) -> None:
    fake.price = 3.0
    request = make(write_song(tmp_path / "A.flac"))
    (request.parent / "cancel").touch()
    assert work(session, request)["state"] == "cancelled"
    assert fake.submitted == []


def test_cancel_reaches_the_service(
    session: Session, fake: FakeSeparator, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.hold = asyncio.Event()
    request = make(write_song(tmp_path / "A.flac"))
    cancelled = []

    async def cancel(order: Any) -> None:
        cancelled.append(order.key)

    async def look(_seconds: float) -> None:
        if fake.submitted:
            (request.parent / "cancel").touch()
        await asyncio.sleep(0.01)

    monkeypatch.setattr(fake, "cancel", cancel)
    with session:
        asyncio.run(Worker(session, read_request(request), request.parent, sleep=look).run())
    status = json.loads((request.parent / "status.json").read_bytes())
    assert status["state"] == "cancelled"
    assert status["files"][0]["state"] == "cancelled"
    assert cancelled == status["jobs"]


def test_cancel_of_what_no_worker_elsewhere_works_on_ends_the_run(
    session: Session, fake: FakeSeparator, make: Make, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when jobs lie in a database; whoever comes to work there does what was asked for."""
    (home / "config.toml").write_text(f'[paths]\nmusic = "{tmp_path}"\n')
    monkeypatch.setattr(worker, "_CANCELLING", 0.1)
    monkeypatch.setattr("plugin_core.workshop._SAID_AFTER", 0.01)
    request = make(write_song(tmp_path / "A.flac"), write_song(tmp_path / "B.flac", 1.5))

    async def look(_seconds: float) -> None:
        # The user is told why nothing happens.
        if len(session.store.list()) == 2 and b"no worker has touched" in (request.parent / "status.json").read_bytes():
            (request.parent / "cancel").touch()
        await asyncio.sleep(0.01)

    with session:
        monkeypatch.setattr(session.store.paths, "is_shared", True)
        asyncio.run(Worker(session, read_request(request), request.parent, sleep=look).run())
        assert [(job.state, job.cancel) for job in session.store.list()] == [(JobState.QUEUED, True)] * 2
    status = json.loads((request.parent / "status.json").read_bytes())
    assert (status["state"], [file["state"] for file in status["files"]]) == ("cancelled", ["cancelled"] * 2)
    assert fake.submitted == []


def test_cancel_after_a_crash_reaches_the_service(
    session: Session, fake: FakeSeparator, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.hold = asyncio.Event()
    request = make(write_song(tmp_path / "A.flac"))
    cancelled = []

    async def cancel(order: Any) -> None:
        cancelled.append(order.key)

    async def crash() -> None:
        worker = asyncio.create_task(Worker(session, read_request(request), request.parent).run())
        while not fake.submitted:  # noqa: ASYNC110 - the fake says it by a list
            await asyncio.sleep(0.01)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    monkeypatch.setattr(fake, "cancel", cancel)
    with session:
        asyncio.run(crash())
    (request.parent / "cancel").touch()
    status = work(Session(session.settings, session.plugins), request)
    assert status["state"] == "cancelled"
    assert cancelled == status["jobs"] == [order.key for order in fake.submitted]


def test_full_disk_costs_words_and_not_work(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    out = StatusFile(folder / "status.json", Status(id="run", pid=1, heartbeat=0.0))
    assert not out.write()
    with pytest.raises(PlacementError, match="cannot be written; make room"):
        out.close()
    assert out.status.heartbeat == 0.0
    folder.mkdir()
    out.touch()
    out.close()
    assert [path.name for path in folder.iterdir()] == ["status.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"jobs": 5}', '{"jobs": [5]}', "[" * 100_000])
def test_status_of_an_earlier_worker_that_is_broken(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content)
    assert read_status(tmp_path / "status.json") is read_status(tmp_path / "gone") is None


@pytest.mark.parametrize("line", ["keep_days = 0.0", "keep_days = -1.0", "handles = -1.0"])
def test_settings_that_would_harm(home: Path, line: str) -> None:
    (home / "config.toml").write_text(f"[reaper]\n{line}\n")
    with pytest.raises(SettingsError):
        Settings().section("reaper", ReaperSettings)


@pytest.mark.parametrize(
    ("is_remote", "said", "part"),
    [(True, "", [3.0, 7.0]), (False, "", [0.0, None]), (True, "no", [0.0, None]), (False, "yes", [3.0, 7.0])],
)
def test_only_the_used_part_is_separated_where_that_is_paid_for_or_the_user_says_so(
    session: Session,
    fake: FakeSeparator,
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_remote: bool,
    said: str,
    part: list[float | None],
) -> None:
    monkeypatch.setattr(fake, "remote", is_remote, raising=False)
    if said:
        monkeypatch.setenv("STEMBRIDGE_REAPER_USED_PART_ONLY", said)
    song = write_song(tmp_path / "A.flac", seconds=12.0)
    request = make(items=[facts_of(song, 4.0, 2.0)])
    (file,) = work(session, request)["files"]
    assert [[one["start"], one["end"]] for one in file["parts"]] == [part]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_what_was_clipped_where_the_used_part_was_cut_out_is_noted_with_its_job(
    session: Session, fake: FakeSeparator, make: Make, tmp_path: Path
) -> None:
    fake.remote = True
    song = encode(write_song(tmp_path / "A.wav", seconds=12.0), tmp_path / "A.mp3", "-af", "volume=30dB")
    request = make(items=[facts_of(song, 4.0, 2.0)])
    with session:
        asyncio.run(Worker(session, read_request(request), request.parent).run())
        (job,) = session.store.list()
    assert [note for note in job.notes if "were clipped where the used part was cut out" in note]


@pytest.mark.parametrize(("said", "is_locked"), [("project", False), ("source", True)])
def test_stems_go_into_the_projects_media_folder_where_they_shall_or_must(
    session: Session, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, is_locked: bool
) -> None:
    monkeypatch.setenv("STEMBRIDGE_REAPER_STEMS_IN", said)
    song, media = write_song(tmp_path / "Disk" / "A.flac"), tmp_path / "Song" / "Media"
    free = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not (is_locked and path == song.parent) and free(path, mode))
    status = work(session, make(song, project={"path": str(tmp_path / "Song" / "Song.rpp"), "media": str(media)}))
    (stem,) = status["files"][0]["parts"][0]["stems"]
    assert Path(stem["path"]) == media / "A.stems" / "A - Vocals.flac"
    assert [path.name for path in song.parent.iterdir()] == ["A.flac"]


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("nothing can be written in X; choose another place with --to FOLDER", "[reaper]"),
        (
            "X is damaged; retry the job, or separate it again with --as-is, which takes them as they came",
            "as_is = true",
        ),
        ("it failed; run `stembridge jobs retry 0190 --force`", "start the action again"),
    ],
)
def test_remedies_are_for_somebody_in_reaper(told: str, shown: str) -> None:
    words = in_reapers_words(told)
    assert shown in words
    assert "--" not in words


def test_second_worker_takes_up_the_same_job(session: Session, fake: FakeSeparator, make: Make, tmp_path: Path) -> None:
    request = make(write_song(tmp_path / "A.flac"))
    first = work(session, request)
    again = Session(session.settings, session.plugins)
    assert work(again, request)["jobs"] == first["jobs"]
    assert len(fake.submitted) == 1


def test_only_one_worker_holds_a_run(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as first, hold(tmp_path / "lock") as second:
        assert (first, second) == (True, False)
    with hold(tmp_path / "lock") as third:
        assert third


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no request"),
        (b"[]", "is no request"),
        (b'{"version": 1}', "version 1, not 2"),
        (b'{"version": 2}', "is no request"),
        (b"\xff", "is no request"),
        (b"[" * 100_000, "is no request"),
    ],
)
def test_request_that_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "request.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_request(path)


def test_unknown_kind_and_preset(session: Session, make: Make, tmp_path: Path) -> None:
    song = write_song(tmp_path / "A.flac")
    for more in ({"kind": "dance"}, {"preset": "nothing"}):
        with pytest.raises(UsageError):
            work(session, make(song, **more))


def test_old_runs_are_forgotten_and_new_ones_kept(home: Path) -> None:
    old, new, own = (home / "reaper" / "runs" / name for name in ("old", "new", "own"))
    for folder in (old, new, own):
        folder.mkdir(parents=True)
        (folder / "request.json").touch()
    now = new.stat().st_mtime
    assert forget_old_runs(Settings(), Settings().home, keep=own, now=now + 29 * 86400) == 0
    assert forget_old_runs(Settings(), Settings().home, keep=own, now=now + 31 * 86400) == 2
    assert [path.name for path in old.parent.iterdir()] == ["own"]


def again(session: Session) -> Session:
    """Return another session like a closed one."""
    return Session(session.settings, session.plugins)


def test_stems_bought_for_another_place_are_not_asked_about(
    session: Session, fake: FakeSeparator, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PATIENCE", 0.0)
    fake.price = 2.0
    request = make(write_song(tmp_path / "A.flac"))
    with pytest.raises(UsageError, match="nobody said whether to pay"):
        work(again(session), request)
    (request.parent / "go").touch()
    assert work(again(session), request)["state"] == "done"
    (request.parent / "go").unlink()
    (tmp_path / "elsewhere").mkdir()
    status = work(again(session), make(Path(shutil.copy(tmp_path / "A.flac", tmp_path / "elsewhere"))))
    assert (status["state"], status["message"]) == ("done", "")
    assert (tmp_path / "elsewhere" / "A.stems").is_dir()
    assert len(fake.submitted) == 1


def test_a_question_is_closed_before_its_answer_goes(session: Session, make: Make, tmp_path: Path) -> None:
    """A script that finds neither the answer nor the question closed would ask once more."""
    request = make(kind="insert")
    status, answer, open_then = request.with_name("status.json"), request.with_name("go"), []

    class Watched(type(answer)):  # type: ignore[misc]
        def unlink(self, missing_ok: bool = False) -> None:
            open_then.append(json.loads(status.read_bytes())["state"])
            super().unlink(missing_ok)

    query = Query(
        session.settings,
        read_request(request),
        Watched(request.parent),
        lambda: session,
        sleep=lambda _: answer.touch(),
    )
    assert query._ask("Go on?", 3) == ("go", [])
    assert open_then == ["working"]
    assert not answer.exists()
