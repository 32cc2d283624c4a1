"""What the page asks for and is answered: samples, mixes, songs, offers, labels, spending, folders, changes."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import mutagen
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import stembridge_ui.plugin
from stembridge_ui import commands
from stembridge_ui.commands import count_left
from stembridge_ui.jobs import Board
from stembridge_ui.lanes import ChangedError, _read_segment

from plugin_core import JobSet, is_own_work
from plugin_core.errors import install_hint
from plugin_core.jobs.queries import insert, to_row
from plugin_core.model import JobState, Separation
from plugin_core.session import Session
from plugin_core.settings import Settings, no_keyring
from tests import quick_start
from tests.audio_files import make_noise, read_samples, write_samples, write_song
from tests.hosts.ui.conftest import ROOT, Server, serving, wait_until
from tests.plugin_core.cli.conftest import run_here
from tests.plugin_core.cli.fakes import FakePoint
from tests.plugin_core.jobs.fakes import make_job

SEGMENT = 4


def segment(server: Server, job: str, lane: str, number: int) -> npt.NDArray[np.float32]:
    answer = server.client.get(f"/api/jobs/{job}/lanes/{lane}/pcm/{number}")
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<f4").reshape(int(answer.headers["x-channels"]), -1).T


def stem_path(song: Path, name: str) -> Path:
    return song.with_suffix(".stems") / f"{song.stem} - {name}.flac"


def test_segments_are_the_samples_in_any_order_and_peaks_are_their_ends(server: Server, job: str, song: Path) -> None:
    lanes = server.get(f"/api/jobs/{job}/lanes")
    assert [lane["name"] for lane in lanes] == ["source", "vocals", "drums", "bass", "other"]
    assert len({lane["colour"] for lane in lanes}) == 5
    for lane in lanes:
        path = song if lane["name"] == "source" else stem_path(song, lane["title"])
        whole, rate = soundfile.read(path, dtype="float32", always_2d=True)
        assert (lane["frames"], lane["rate"], lane["channels"]) == (len(whole), rate, whole.shape[1])
        for number in (1, 0, 2, 1, 3, 99):
            wanted = whole[number * SEGMENT * rate : (number + 1) * SEGMENT * rate]
            assert np.array_equal(segment(server, job, lane["name"], number), wanted)
        peaks = np.frombuffer(
            server.client.get(f"/api/jobs/{job}/lanes/{lane['name']}/peaks").content, np.int8
        ).reshape(-1, 2)
        each = rate // 20
        assert len(peaks) == -(-len(whole) // each)
        assert peaks[3, 1] == round(float(whole[3 * each : 4 * each].max()) * 127)
        assert peaks[3, 0] == round(float(whole[3 * each : 4 * each].min()) * 127)


def test_a_source_that_cannot_be_sought_in_plays_to_the_sample_too(server: Server) -> None:
    song = server.folder / "Lossy.ogg"
    write_song(server.folder / "Lossy.wav", 10.0)
    whole, rate = read_samples(server.folder / "Lossy.wav")
    soundfile.write(song, whole, rate, format="OGG", subtype="VORBIS")
    (job,) = server.do(song)
    decoded, _ = soundfile.read(song, dtype="float32", always_2d=True)
    for number in (0, 1, 1, 2, 0):
        wanted = decoded[number * SEGMENT * rate : (number + 1) * SEGMENT * rate]
        assert np.array_equal(segment(server, job, "source", number), wanted)


def test_a_song_that_is_renamed_while_it_plays_and_its_folder_too_is_followed(server: Server) -> None:
    folder = server.folder / "Before"
    folder.mkdir()
    song = folder / "Moved.flac"
    write_song(song, 5.0, seed=21)
    (job,) = server.do(song)
    source, bass = segment(server, job, "source", 1), segment(server, job, "bass", 1)
    song.rename(folder / "Elsewhere.flac")
    assert np.array_equal(segment(server, job, "source", 1), source)
    assert server.get(f"/api/jobs/{job}")["song"] == "Elsewhere.flac"
    folder.rename(server.folder / "After")
    assert np.array_equal(segment(server, job, "bass", 1), bass)
    assert np.array_equal(segment(server, job, "source", 1), source)
    (server.folder / "After" / "Elsewhere.flac").unlink()
    assert server.client.get(f"/api/jobs/{job}/lanes/source/pcm/0").status_code == 422
    lanes = server.get(f"/api/jobs/{job}/lanes")
    assert [lane["name"] for lane in lanes if "trouble" in lane] == ["source"]


def test_a_stem_that_is_replaced_while_it_plays_is_never_heard_as_what_was_listed(server: Server) -> None:
    song = server.folder / "Replaced.flac"
    write_song(song, 9.0, seed=23)
    (job,) = server.do(song)
    listed = {lane["name"]: lane["version"] for lane in server.get(f"/api/jobs/{job}/lanes")}
    path, bass = f"/api/jobs/{job}/lanes/bass/pcm", stem_path(song, "Bass")
    known = {"if-match": listed["bass"]}
    assert server.client.get(f"{path}/0", headers=known).status_code == 200
    # As any program saves: another file in its place, of the same length; the reader that stands there is of the old.
    shutil.copy(stem_path(song, "Drums"), bass.with_suffix(".new"))
    bass.with_suffix(".new").replace(bass)
    folder = sorted(bass.parent.iterdir())
    mix = {"bass": [1, listed["bass"]], "drums": [1, listed["drums"]]}
    for answer in (
        server.client.get(f"{path}/1", headers=known),
        server.client.post(f"/api/jobs/{job}/mix", json=mix),
    ):
        assert answer.status_code == 412
        assert answer.json()["message"] == "Replaced - Bass.flac was changed on the disk"
    assert sorted(bass.parent.iterdir()) == folder
    # Listed anew, it is heard as it is.
    (version,) = [lane["version"] for lane in server.get(f"/api/jobs/{job}/lanes") if lane["name"] == "bass"]
    assert server.client.get(f"{path}/1", headers={"if-match": version}).status_code == 200
    assert np.array_equal(segment(server, job, "bass", 1), segment(server, job, "drums", 1))
    assert server.post(f"/api/jobs/{job}/mix", {"bass": [1, version]})["name"] == "Replaced - Mix.flac"
    with pytest.raises(ChangedError):
        _read_segment(bass, listed["bass"], 0, None)
    bass.unlink()
    answer = server.client.get(f"{path}/2", headers={"if-match": version})
    assert (answer.status_code, answer.json()["message"]) == (422, "Replaced - Bass.flac: No such file or directory")


def test_a_mix_is_what_is_heard_and_overwrites_nothing(server: Server, job: str, song: Path) -> None:
    folder = song.with_suffix(".stems")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    everything = server.post(f"/api/jobs/{job}/mix", {name: [1] for name in ("vocals", "drums", "bass", "other")})
    assert (everything["name"], everything["clipped"]) == ("Small Hours - Mix.flac", 0)
    mixed, _ = soundfile.read(folder / everything["name"], dtype="int16")
    whole, _ = soundfile.read(song, dtype="int16")
    assert np.array_equal(mixed, whole)

    heard = server.post(f"/api/jobs/{job}/mix", {"source": [0], "vocals": [1], "drums": [0.5], "bass": [0]})
    assert heard["name"] == "Small Hours - Mix (2).flac"
    mixed, _ = soundfile.read(folder / heard["name"])
    parts = [soundfile.read(stem_path(song, name))[0] for name in ("Vocals", "Drums")]
    assert np.abs(mixed - (parts[0] + 0.5 * parts[1])).max() <= 0.5 / 2**15
    loud = server.post(f"/api/jobs/{job}/mix", {"source": [4], "drums": [4]})
    assert loud["clipped"] > 0
    # Nobody takes it for a song.
    assert is_own_work(folder / heard["name"])
    assert mutagen.File(folder / heard["name"])["title"] == ["Small Hours - Mix"]

    assert all(path.read_bytes() == content for path, content in before.items())
    assert {path.name for path in folder.iterdir()} - {path.name for path in before} == {
        *("Small Hours - Mix.flac", "Small Hours - Mix (2).flac", "Small Hours - Mix (3).flac")
    }


@pytest.mark.parametrize(
    "gains", [{}, {"vocals": [0]}, {"vocals": [4.1]}, {"vocals": [-1]}, {"vocals": [True]}, {"no": [1]}, []]
)
def test_a_mix_of_nothing_or_of_no_number_is_refused(server: Server, job: str, song: Path, gains: object) -> None:
    before = sorted(song.with_suffix(".stems").iterdir())
    assert server.client.post(f"/api/jobs/{job}/mix", json=gains).status_code == 409
    assert server.client.post(f"/api/jobs/{job}/mix", content=b'{"vocals": [NaN]}').status_code == 409
    assert sorted(song.with_suffix(".stems").iterdir()) == before


def test_a_dropped_song_is_copied_whole_under_a_name_of_its_own(server: Server, song: Path) -> None:
    content = song.read_bytes()
    folder = server.folder / "dropped"
    before = set(folder.iterdir()) if folder.exists() else set()

    def drop(name: str, body: bytes) -> Any:
        return server.client.post("/api/songs", params={"name": name}, content=body)

    assert drop("A song.flac", content).json()["path"] == str(folder / "A song.flac")
    assert drop("A song.flac", content).json()["path"] == str(folder / "A song.flac")
    write_song(server.folder / "Other.flac", 1.0)
    other = drop("A song.flac", (server.folder / "Other.flac").read_bytes())
    assert other.json()["path"] == str(folder / "A song (2).flac")
    outside = drop("../../.hidden/CON.flac", content).json()["path"]
    assert Path(outside).parent == folder
    for name, body in (("song.flac", b"not a song"), ("song.txt", content), ("", content)):
        assert drop(name, body).status_code == 422
    assert drop("song.flac", b"not a song").json()["message"] == "song.flac is not audio"
    assert (folder / "A song.flac").read_bytes() == content
    assert len(set(folder.iterdir()) - before) == 3


def test_a_song_that_does_not_arrive_whole_leaves_nothing(server: Server, song: Path) -> None:
    folder = server.folder / "dropped"
    before = set(folder.iterdir()) if folder.exists() else set()
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(
            f"POST /api/songs?name=cut.flac HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\norigin: {server.origin}\r\n"
            f"cookie: {server.cookie}\r\ncontent-length: 1000000\r\n\r\n".encode()
            + bytes(100_000)
        )
        wait_until(lambda: set(folder.glob(".stembridge-*")) != set())
    wait_until(lambda: set(folder.iterdir()) == before)
    assert list((server.home / "hidden").iterdir()) == []


def test_what_it_takes_is_said_before_and_nothing_is_paid_or_done_twice(server: Server) -> None:
    song = server.folder / "Paid.flac"
    write_song(song, 1.0, seed=7)
    wish = {"paths": [str(song)], "preset": "labels"}
    offer = server.post("/api/offers", wish)
    assert offer["price"] == "1 track with ears, about 2 credits"
    assert (offer["is_paid"], offer["count"], offer["again"]) == (True, 1, 0)
    assert "ears" not in [row["provider"] for row in server.get("/api/spending")["rows"]]
    (row,) = server.post(f"/api/offers/{offer['id']}")["rows"]
    assert row["host"] == "ui"
    assert server.client.post(f"/api/offers/{offer['id']}").status_code == 409
    wait_until(lambda: server.get(f"/api/jobs/{row['id']}")["state"] == "done")
    job = server.get(f"/api/jobs/{row['id']}")
    assert [(one["value"], one["probability"], one["is_written"]) for one in job["labels"]] == [
        *(("Rock", 0.8, True), ("Other", 0.95, False), ("Calm", 0.9, True), ("Aerial Footage", 0.2, False))
    ]
    tags = mutagen.File(song)
    assert tags["mood"] == ["Calm"]
    (spent,) = [row for row in server.get("/api/spending")["rows"] if row["provider"] == "ears"]
    assert (spent["provider"], spent["tracks"], spent["credits"]) == ("ears", 1, 2.0)

    assert server.post(f"/api/jobs/{row['id']}/undo")["told"] == "taken back: the file is what it was before"
    assert "mood" not in mutagen.File(song)
    assert not any(one["is_written"] for one in server.get(f"/api/jobs/{row['id']}")["labels"])
    folder = server.client.get("/api/labels", params={"folder": str(song.parent)}).json()
    (labelled,) = [one for one in folder["songs"] if one["song"] == "Paid.flac"]
    assert (labelled["id"], labelled["labels"]["mood"], folder["is_whole"]) == (row["id"], ["Calm", 0.9], True)
    assert server.client.get("/api/labels", params={"folder": "/nowhere"}).json()["songs"] == []
    assert server.client.get("/api/labels", params={"folder": "music"}).status_code == 409
    assert server.post("/api/labels/written", {"ids": [row["id"], "none"]}) == {row["id"]: False}
    again = server.post("/api/offers", wish)
    assert (again["is_paid"], again["price"]) == (False, "1 track with ears bought already, at no cost")
    once_more = server.post(f"/api/jobs/{row['id']}/again")
    assert (once_more["count"], once_more["is_paid"]) == (1, False)
    (second,) = server.post(f"/api/offers/{once_more['id']}")["rows"]
    wait_until(lambda: server.get(f"/api/jobs/{second['id']}")["state"] == "done")
    assert second["id"] != row["id"]
    assert mutagen.File(song)["mood"] == ["Calm"]
    assert server.post("/api/labels/written", {"ids": [second["id"]]}) == {second["id"]: True}
    # Somebody else's program takes one of them out.
    tags = mutagen.File(song)
    del tags["mood"]
    tags.save()
    labels = server.get(f"/api/jobs/{second['id']}")["labels"]
    assert [one["value"] for one in labels if one["is_written"]] == ["Rock"]
    assert [row["tracks"] for row in server.get("/api/spending")["rows"] if row["provider"] == "ears"] == [1]


def test_what_was_bought_is_fetched_again_for_nothing(server: Server) -> None:
    song = server.folder / "Bought.flac"
    write_song(song, 1.0, seed=11)
    assert [model["id"] for model in server.get("/api/models/fake")] == ["halves", "drumsep"]
    server.do(song, provider="fake", model="halves")
    shutil.rmtree(song.with_suffix(".stems"))
    (bought,) = [one for one in server.get("/api/purchases") if one["song"] == "Bought.flac"]
    assert (bought["provider"], bought["credits"], bought["can_fetch"]) == ("fake", 3.0, True)
    job = server.post(f"/api/purchases/{bought['id']}/fetch")["id"]
    wait_until(lambda: server.get(f"/api/jobs/{job}")["state"] == "done")
    assert stem_path(song, "Vocals").exists()
    assert [one["id"] for one in server.get("/api/purchases") if one["song"] == "Bought.flac"] == [bought["id"]]
    assert server.client.post("/api/purchases/nothing/fetch").status_code == 409


def test_an_offer_says_what_is_wrong_in_one_line(server: Server, song: Path) -> None:
    def refuse(**wish: Any) -> str:
        answer = server.client.post("/api/offers", json={"paths": [str(song)]} | wish)
        assert answer.status_code in (409, 422)
        told = answer.json()
        assert "\n" not in told["message"]
        return str(told["message"])

    assert "no preset 'karaokee'" in refuse(preset="karaokee")
    assert "nobody" in refuse(provider="nobody")
    assert "'Song.flac' is no whole path" in refuse(paths=["Song.flac"])
    assert "no whole path" in refuse(paths=["/a\0b.flac"])
    assert "0 songs" in refuse(paths=[])
    assert "cannot be read" in refuse(command="rm")
    (server.folder / "text.flac").write_text("words")
    offer = server.post("/api/offers", {"paths": [str(server.folder / "text.flac"), "/nowhere/Song.flac"]})
    assert (offer["count"], len(offer["refused"])) == (0, 2)


def test_a_folder_is_the_songs_in_it_without_their_stems(server: Server, song: Path, job: str) -> None:
    folder = server.folder / "album"
    (folder / "Done.stems").mkdir(parents=True)
    for name in ("One.flac", "Two.flac", "Done.stems/Done - Vocals.flac", "notes.txt", ".draft.flac"):
        shutil.copy(song, folder / name)
    # As a template of the user's places it.
    shutil.copy(stem_path(song, "Bass"), folder / "Done Bass.flac")
    # An ending that a film may have too: what is no sound alone is nobody's song.
    (folder / "Film.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
    offer = server.post("/api/offers", {"paths": [str(folder), str(folder / "Two.flac")]})
    lines = offer["lines"]
    assert offer["refused"] == []
    assert [line.split(" (")[0] for line in lines if "album/" in line and line[0] != " "] == [
        *(f"{folder}/One.flac", f"{folder}/Two.flac")
    ]


def test_the_stream_tells_of_what_other_processes_do_and_of_nothing_twice(server: Server, job: str) -> None:
    path = server.folder / "Elsewhere.flac"
    write_song(path, 1.0, seed=5)
    with server.client.stream("GET", "/api/events") as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))
        first = json.loads(next(lines).removeprefix("data: "))
        assert job in [row["id"] for row in first["rows"]]
        done = quick_start.run(
            [sys.executable, "-m", "plugin_core", "separate", str(path)],
            cwd=ROOT,
            env=server.environ,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        told: list[dict[str, Any]] = []
        while not told or told[-1]["state"] != "done":
            rows = json.loads(next(lines).removeprefix("data: "))["rows"]
            assert job not in [row["id"] for row in rows]
            told += [row for row in rows if row["song"] == "Elsewhere.flac"]
    assert {row["host"] for row in told} == {"cli"}
    assert len({json.dumps(row) for row in told}) == len(told)


def test_a_watcher_that_sleeps_has_only_itself_told_to_look_anew(tmp_path: Path) -> None:
    with Session(Settings(tmp_path, environ={}, keyring=no_keyring)) as session:
        board = Board(session, JobSet())
    asleep, awake = asyncio.Queue[bytes](1), asyncio.Queue[bytes](9)
    asleep.put_nowait(b"before")
    # A set that keeps its order: the one that sleeps is told first.
    board._watchers = dict.fromkeys((asleep, awake))  # type: ignore[assignment]
    board._send(b"after")
    assert (asleep.get_nowait(), awake.get_nowait()) == (b'{"anew":true}', b"after")


def test_a_done_job_is_not_left_and_one_that_was_pruned_leaves_the_list(tmp_path: Path) -> None:
    with Session(Settings(tmp_path, environ={}, keyring=no_keyring)) as session:
        job = msgspec.structs.replace(make_job(clock=lambda: 1.0), state=JobState.DONE)
        with session.store._database.write() as connection:
            row = {**to_row(job), "litter": 0}
            connection.execute(insert(row), row)
        board = Board(session, JobSet())
        assert [row["id"] for row in board._look()["rows"]] == [job.id]
        waiting, _ = session.store.add(make_job(2))
        work = JobSet()
        for one in (job, waiting):
            work.add(one.id)
        assert count_left(session, work) == 1
        assert session.prune(0.0) == 1
        assert board._look()["gone"] == [job.id]
        assert count_left(session, work) == 1


def test_jobs_are_listed_a_page_at_a_time_and_cancelled_and_retried(server: Server, song: Path, job: str) -> None:
    server.do(song)
    newest = server.get("/api/jobs?limit=1")
    (row,) = newest["rows"]
    assert row["id"] not in [one["id"] for one in server.get(f"/api/jobs?limit=1&before={row['id']}")["rows"]]
    done = server.get("/api/jobs?state=done&limit=200")["rows"]
    assert [one["id"] for one in done] == sorted((one["id"] for one in done), reverse=True)
    assert {one["state"] for one in done} == {"done"}
    assert len(done) == server.get("/api/jobs")["counts"]["done"]
    assert server.client.get("/api/jobs?state=nonsense").status_code == 409
    for act in ("cancel", "retry", "buy", "undo", "delete"):
        assert server.client.post(f"/api/jobs/{job}/{act}").status_code == 409

    waiting = server.folder / "Waiting.flac"
    write_song(waiting, 1.0, seed=3)
    settings = Settings(server.home, environ={}, keyring=no_keyring)
    with Session(settings) as session:
        # Nobody works on it.
        source = session.inspect(waiting)
        plan = asyncio.run(session.plan(source, Separation(provider="local")))
        queued, _ = asyncio.run(session.add(source, plan))
    assert server.post(f"/api/jobs/{queued.id}/cancel")["id"] == queued.id
    wait_until(lambda: server.get(f"/api/jobs/{queued.id}")["state"] == "cancelled")
    assert server.post(f"/api/jobs/{queued.id}/retry")["state"] == "queued"
    wait_until(lambda: server.get(f"/api/jobs/{queued.id}")["state"] == "done")


def test_hot_folders_are_shown_as_their_own_command_tells_of_them(server: Server) -> None:
    assert server.get("/api/folders") == []
    root = server.folder / "hot"
    root.mkdir()
    write_song(root / "Dropped.flac", 1.0, seed=9)
    watch = quick_start.run(
        [sys.executable, "-m", "plugin_core", "watch", str(root), "--once"],
        cwd=ROOT,
        env=server.environ | {"STEMBRIDGE_WATCH_SETTLE_SECONDS": "0.2"},
        capture_output=True,
        text=True,
    )
    (folder,) = server.get("/api/folders")
    assert (folder["path"], folder["is_watched"], folder["counts"]["done"]) == (str(root), False, 1), watch.stderr
    for wrong in (b'{"source": "relative"}', b'{"source": "/a\\u0000b"}', b'{"source": 1}', b"{"):
        assert server.client.post("/api/folders/retry", content=wrong).status_code == 409
    assert server.client.post("/api/folders/retry", json={"source": "/nowhere/Song.flac"}).status_code == 422
    assert server.post("/api/folders/retry", {"source": str(root / "Dropped.flac")}) == {}
    (folder,) = server.get("/api/folders")
    assert folder["counts"]["retry"] == 1
    assert folder["is_paused"] is False
    assert server.post("/api/folders/pause", {"path": str(root), "is_paused": True}) == {}
    assert server.get("/api/folders")[0]["is_paused"] is True
    assert server.post("/api/folders/pause", {"path": str(root), "is_paused": False}) == {}
    assert server.get("/api/folders")[0]["is_paused"] is False
    assert server.client.post("/api/folders/pause", json={"path": "--help", "is_paused": True}).status_code == 409
    assert server.client.post("/api/folders/pause", json={"path": "/nowhere", "is_paused": True}).status_code == 422


def test_what_workers_go_on_with_is_left_to_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(session: Session, *_: object, **__: object) -> int:
        monkeypatch.setattr(session.store.paths, "is_shared", True)
        return 2

    monkeypatch.setattr(commands, "_serve", serve)
    told = run_here(capsys, FakePoint("ui", stembridge_ui.plugin))("ui", "--no-browser")
    assert told.out.startswith("stopped looking on; 2 jobs left to the workers")


def test_it_ends_at_once_with_streams_open_and_the_next_one_goes_on(tmp_path: Path) -> None:
    song = tmp_path / "Song.flac"
    write_samples(song, make_noise(60 * 44100), 44100)
    with serving(tmp_path) as first:
        first.enter()
        offer = first.post("/api/offers", {"paths": [str(song)]})
        (row,) = first.post(f"/api/offers/{offer['id']}")["rows"]
        wait_until(lambda: first.get(f"/api/jobs/{row['id']}")["state"] == "running")
        with first.client.stream("GET", "/api/events"):
            code, out, err = first.stop(signal.SIGTERM)
        assert (code, err) == (0, "")
        assert out.splitlines()[-1] == "stopped; 1 job unfinished: stembridge jobs resume"
    with Session(Settings(first.home, environ={}, keyring=no_keyring)) as session:
        left = session.store.get(row["id"])
    assert left.state.is_active
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    told = f"echo \"$1\" > '{opened}.new' && mv '{opened}.new' '{opened}'"
    # One of the terminal, which stays until it is left.
    browser.write_text(f"#!/bin/sh\n{told}\nexec sleep 30 > /dev/null 2>&1\n")
    browser.chmod(0o700)
    with serving(tmp_path, "--port", "0", BROWSER=f"{browser} %s") as second:
        wait_until(opened.exists)
        assert opened.read_text().strip() == second.link
        second.enter()
        stood = left.progress.fraction if left.progress is not None else None
        wait_until(lambda: second.get(f"/api/jobs/{row['id']}")["progress"] != stood)
        assert second.stop(signal.SIGINT)[0] == 0


def test_without_the_extra_and_on_a_port_that_is_taken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stembridge = run_here(capsys, FakePoint("ui", stembridge_ui.plugin))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = stembridge("ui", "--no-browser", "--port", str(port))
    told = f"cannot listen on 127.0.0.1:{port}: Address already in use; give another --port"
    assert (result.code, result.err) == (2, f"stembridge: {told}\n")
    for name in [name for name in sys.modules if name.startswith(("stembridge_ui.", "plugin_core.web_server"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = stembridge("ui")
    assert (result.code, result.err) == (
        *(
            2,
            f"stembridge: the page needs starlette and uvicorn, which are not installed; {install_hint('ui')}\n",
        ),
    )
