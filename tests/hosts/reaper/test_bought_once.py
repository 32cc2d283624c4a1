"""What is bought is bought once: items of parts that are bought, and what people do to them; songs of two minutes.

Real workers over the simulated REAPER, and MVSEP's simulator, which counts the paid creates.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import mutagen.flac
import numpy as np
import pytest
import soundfile

from plugin_core.purchases.purchase import PurchaseState
from tests.audio_files import write_song
from tests.end_to_end import hasty
from tests.end_to_end.sharing import SHARED, kept_of, share_jobs, store_of, working
from tests.hosts.reaper.builders import add_item, add_track, stems_of
from tests.hosts.reaper.conftest import Desk
from tests.postgresql import postgresql
from tests.simulators.mvsep import FREE_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.walks import processing
from tests.simulators.reaper.objects import Project
from tests.simulators.reaper.rendering import render

__all__ = ["postgresql"]

SECONDS = 120.0
PRESETS = """
[presets.all]
operations = [{ kind = "separation", model = "40" }]
[presets.wav]
operations = [{ kind = "separation", model = "40", format = "wav24" }]
[presets.fewer]
operations = [{ kind = "separation", model = "40", stems = ["vocals"] }]
[presets.two]
operations = [
    { kind = "separation", model = "40" },
    { kind = "separation", model = "40", options = { add_opt2 = "8" } },
]
"""


class Studio:
    """A desk whose separations are MVSEP's."""

    def __init__(self, desk: Desk, service: MvsepSimulator, home: Path) -> None:
        self.desk, self.service, self.home = desk, service, home

    def play(self, song: Path, offset: float, length: float) -> Project:
        """Open a project with one item."""
        project = self.desk.reaper.open_project(f"/music/{len(self.desk.reaper.projects)}.rpp")
        self.add(song, offset, length)
        return project

    def add(self, song: Path, offset: float, length: float) -> None:
        """Add an item behind those of the project."""
        project = self.desk.reaper.active
        add_item(add_track(project), song, end_of(project), length, offset=offset)
        project.remember("arranged")

    def separate(self, preset: str = "all") -> None:
        """Separate the selected items, and hear the stems sound as the items did, at -200 dB."""
        project = self.desk.reaper.active
        before = render(project, end_of(project) + 1)
        self.press(preset)
        self.desk.host.run(seconds=90)
        assert self.desk.host.errors == [], self.desk.messages
        assert self.desk.status()["state"] == "done", self.desk.status()
        assert stems_of(project) != []
        if preset in ("all", "wav"):
            assert 20 * np.log10(np.abs(render(project, end_of(project) + 1) - before).max() + 1e-12) < -200

    def press(self, preset: str = "all") -> None:
        """Start separating by a preset."""
        self.desk.reaper.inputs = [preset]
        self.desk.press("separate_choose")

    @property
    def parts(self) -> list[tuple[float, float | None]]:
        """Where the parts of the only file of the newest run begin and end, in seconds."""
        (file,) = self.desk.status()["files"]
        return [(part["start"], part["end"]) for part in file["parts"]]

    @property
    def created(self) -> int:
        """What was paid for."""
        return self.service.created


def end_of(project: Project) -> float:
    """Return where the last item ends, in seconds."""
    return max((item.values["D_POSITION"] + item.values["D_LENGTH"] for item in project.items), default=0.0)


@pytest.fixture
def service() -> Iterator[MvsepSimulator]:
    with MvsepSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_song(tmp_path_factory.mktemp("recording") / "Song.flac", SECONDS, 11025, subtype="PCM_16")


@pytest.fixture
def song(recording: Path, tmp_path: Path) -> Path:
    (tmp_path / "Media").mkdir()
    return Path(shutil.copy(recording, tmp_path / "Media" / "Song.flac"))


@pytest.fixture
def is_shared() -> bool:
    return SHARED


@pytest.fixture
def studio(
    service: MvsepSimulator,
    home: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    is_shared: bool,
) -> Iterator[Studio]:
    for name, value in {
        "PLUGINS": "mvsep,reaper",
        "MVSEP_API_TOKEN": FREE_TOKEN,
        "MVSEP_BASE_URL": service.api,
        "MVSEP_POLL_FIRST": "0.05",
        "MVSEP_POLL_LONGEST": "0.1",
        "MVSEP_REGISTER_SECONDS": "0.5",
        "SEPARATE_PROVIDER": "mvsep",
    }.items():
        monkeypatch.setenv(f"STEMBRIDGE_{name}", value)
    (home / "config.toml").write_text(PRESETS, encoding="utf-8")
    desk: Desk = request.getfixturevalue("desk")
    desk.configure(
        presets=[{"name": name, "title": ""} for name in ("all", "wav", "fewer", "two")],
        arguments=["-m", hasty.__name__],
        launch=["-m", "stembridge_reaper", hasty.__name__],
    )
    if not is_shared:
        yield Studio(desk, service, home)
        return
    share_jobs(home, request.getfixturevalue("postgresql"), tmp_path)
    with working({}, home):
        yield Studio(desk, service, home)


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_trimmed_item_inside_the_bought_slice(studio: Studio, song: Path) -> None:
    studio.play(song, 30.0, 15.0)
    studio.separate()
    assert studio.parts == [(29.0, 46.0)]
    studio.play(song, 36.5, 4.25)
    studio.separate()
    assert (studio.created, studio.parts) == (1, [(29.0, 46.0)])


def test_an_item_that_was_drawn_out_into_its_handles(studio: Studio, song: Path) -> None:
    studio.play(song, 30.0, 10.0)
    studio.separate()
    studio.play(song, 29.2, 11.7)
    studio.separate()
    assert studio.created == 1


def test_the_whole_files_stems_exist_already(studio: Studio, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_REAPER_USED_PART_ONLY", "no")
    studio.play(song, 30.0, 10.0)
    studio.separate()
    assert studio.parts == [(0.0, None)]
    monkeypatch.delenv("STEMBRIDGE_REAPER_USED_PART_ONLY")
    studio.play(song, 80.0, 5.0)
    studio.separate()
    assert (studio.created, studio.parts) == (1, [(0.0, None)])
    shutil.rmtree(song.with_suffix(".stems"))
    studio.play(song, 100.0, 5.0)
    studio.separate()
    assert (studio.created, [path.name for path in song.parent.glob("*.stems")]) == (1, ["Song.stems"])


def test_the_smallest_bought_slice_that_covers_is_taken_and_only_the_rest_is_bought(studio: Studio, song: Path) -> None:
    for offset, length in ((20.0, 18.0), (24.0, 5.0), (60.0, 5.0)):
        studio.play(song, offset, length)
        studio.separate()
    # The second lay within the first.
    assert studio.created == 2
    studio.play(song, 25.0, 2.0)
    for offset, length in ((61.0, 2.0), (90.0, 3.0), (96.0, 2.0)):
        studio.add(song, offset, length)
    studio.separate()
    assert sorted(studio.parts) == [(19.0, 39.0), (59.0, 66.0), (89.0, 94.0), (95.0, 99.0)]
    assert studio.created == 4


def delete_stems(song: Path) -> Path:
    for folder in song.parent.glob("*.stems"):
        shutil.rmtree(folder)
    return song


def retitle(song: Path) -> Path:
    tags = mutagen.flac.FLAC(song)
    tags["title"], tags["comment"] = "Another Title", "x" * 9000
    tags.save()
    return song


def rename(song: Path) -> Path:
    return song.rename(song.with_name("Renamed.flac"))


def move(song: Path) -> Path:
    (song.parent / "Album").mkdir()
    return song.rename(song.parent / "Album" / song.name)


def convert_losslessly(song: Path) -> Path:
    samples, rate = soundfile.read(song, dtype="int16")
    soundfile.write(song.with_suffix(".wav"), samples, rate, subtype="PCM_16")
    song.unlink()
    return song.with_suffix(".wav")


@pytest.mark.parametrize("act", [delete_stems, retitle, rename, move, convert_losslessly])
def test_the_same_item_separated_again_after(studio: Studio, song: Path, act: Callable[[Path], Path]) -> None:
    studio.play(song, 30.0, 6.0)
    studio.separate()
    kept = kept_of(studio.home) / "reaper" / "slices"
    slices = sorted(kept.rglob("*.flac"))
    there = act(song)
    studio.play(there, 30.0, 6.0)
    studio.separate()
    assert studio.created == 1
    if there == song:
        assert sorted(kept.rglob("*.flac")) == slices
        assert [path.name for path in song.parent.glob("*.stems")] == ["Song 29.000-37.000.stems"]
    # A part of it, of which the slice has to be cut anew.
    shutil.rmtree(kept)
    studio.play(there, 31.0, 2.0)
    studio.separate()
    assert (studio.created, studio.parts) == (1, [(29.0, 37.0)])


def test_other_formats_and_fewer_stems(studio: Studio, song: Path) -> None:
    studio.play(song, 30.0, 6.0)
    studio.separate()
    for preset in ("wav", "fewer"):
        studio.play(song, 32.0, 3.0)
        studio.separate(preset)
    assert studio.created == 1
    folders = {path.name for path in song.parent.glob("*.stems")}
    assert folders == {f"Song 29.000-37.000{number}.stems" for number in ("", " (2)", " (3)")}


def test_a_part_of_what_is_under_way_waits_for_that(studio: Studio, song: Path) -> None:
    studio.service.behave(Behaviour(walk=(processing(seconds=1e5),)))
    first = studio.play(song, 30.0, 10.0)
    studio.press()
    studio.desk.host.run(lambda: studio.service.requests("GET", "*/separation/get") != [], seconds=60)
    second = studio.play(song, 33.0, 4.0)
    studio.press()
    studio.desk.wait_for("working")
    studio.service.clock.advance(1.1e5)
    for project in (first, second):
        studio.desk.reaper.active = project
        # In the middle of it, an insertion would wait for its project to be active again.
        studio.desk.host.run(lambda project=project: project.history[-1][0] != "arranged", seconds=60)  # type: ignore[misc]
    studio.desk.host.run(seconds=90)
    assert stems_of(first) != [] and stems_of(second) != []
    assert studio.created == 1


@pytest.mark.usefixtures("launcher")
@pytest.mark.parametrize("launcher", ["lua", "python"], indirect=True)
def test_what_is_undone_while_the_rest_of_a_run_is_at_work_does_not_come_again(studio: Studio, tmp_path: Path) -> None:
    had, waits = (write_song(tmp_path / f"{number}.wav", 2.0, 11025, seed=number) for number in (1, 2))
    studio.play(had, 0.0, 2.0)
    studio.desk.do("separate_last")
    studio.service.behave(Behaviour(walk=(processing(seconds=1e5),)))
    project = studio.play(had, 0.0, 2.0)
    studio.add(waits, 0.0, 2.0)
    studio.desk.press("separate_last")
    studio.desk.host.run(lambda: stems_of(project) != [] and project.history[-1][0] != "arranged", seconds=60)
    # Only what the service was asked for ends with its time.
    studio.desk.host.run(lambda: studio.created == 2, seconds=60)
    project.undo()
    studio.service.clock.advance(1.1e5)
    studio.desk.host.run(seconds=90)
    assert {item.take.source.path[: len(str(tmp_path)) + 2] for item in stems_of(project)} == {f"{tmp_path}/2"}  # type: ignore[union-attr]


def test_each_wish_of_a_preset_goes_on_from_what_is_bought_of_it(
    studio: Studio, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two separations is bought of the whole file, the other of nothing: its stems begin elsewhere."""
    monkeypatch.setenv("STEMBRIDGE_REAPER_USED_PART_ONLY", "no")
    studio.play(song, 30.0, 6.0)
    studio.separate()
    monkeypatch.setenv("STEMBRIDGE_REAPER_USED_PART_ONLY", "yes")
    project = studio.play(song, 30.0, 6.0)
    before = render(project, 10.0)
    studio.separate("two")
    assert (studio.created, studio.parts) == (2, [(29.0, 37.0)])
    (part,) = studio.desk.status()["files"][0]["parts"]
    assert {stem["start"] for stem in part["stems"]} == {0.0, 29.0}
    # Both models gave all of the song, and one of them is heard.
    assert 20 * np.log10(np.abs(render(project, 10.0) - before).max() + 1e-12) < -200
    for track in project.tracks:
        track.values["B_MUTE"] = 0.0
    assert 20 * np.log10(np.abs(render(project, 10.0) - 2 * before).max() + 1e-12) < -200


def lose_everything(studio: Studio, song: Path) -> None:
    """Let nobody have the results any more, which the last look at the service told."""
    delete_stems(song)
    shutil.rmtree(kept_of(studio.home) / "purchases")
    with store_of(studio.home) as store:
        (purchase,) = store.purchases.list()
        store.purchases.change(purchase.id, state=PurchaseState.EXPIRED, reason="MVSEP keeps it no longer", kept=())


def test_what_is_gone_everywhere_is_bought_again_only_at_the_users_word(studio: Studio, song: Path) -> None:
    studio.play(song, 30.0, 6.0)
    studio.separate()
    lose_everything(studio, song)
    for answer, created in ((2, 1), (1, 2)):
        studio.desk.reaper.answers = [answer]
        studio.play(song, 30.0, 6.0)
        studio.press()
        studio.desk.host.run(seconds=90)
        assert any("bought before, and their results are gone" in one for one in studio.desk.messages)
        assert studio.created == created
    assert stems_of(studio.desk.reaper.active) != []


def test_an_answer_to_an_earlier_worker_is_no_word_for_buying_again(studio: Studio, song: Path) -> None:
    studio.play(song, 30.0, 6.0)
    studio.separate()
    request = json.loads((studio.desk.run_folder / "request.json").read_bytes())
    lose_everything(studio, song)
    folder = studio.desk.runs / "earlier"
    folder.mkdir()
    (folder / "go").touch()
    (folder / "request.json").write_text(json.dumps(request | {"id": "earlier"}), encoding="ascii")
    os.utime(folder / "request.json", (0, 0))
    studio.desk.do("insert")
    assert studio.created == 1 and "--force" in studio.desk.messages[-1]
