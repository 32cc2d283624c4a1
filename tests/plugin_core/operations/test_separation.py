from __future__ import annotations

import asyncio
import errno
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import PlacementError, ResultError, SourceError, TransientError, UsageError
from plugin_core.files.disk import explain_write_error
from plugin_core.files.hidden import HiddenNotes
from plugin_core.jobs.work import Staged, Work
from plugin_core.model import Job, JobState, Model, Part, Plan, Progress, Separation, Source, Ticket
from plugin_core.operations.projects import Projects
from plugin_core.operations.separation import SeparationWork
from plugin_core.operations.song import inspect
from plugin_core.protocols import Finished, Order, Report, Separator, Waiting
from plugin_core.purchases.shelf import Shelf
from plugin_core.sessions.arrangement import SessionFormat
from plugin_core.sessions.dawproject import DawProject
from plugin_core.sessions.rpp import ReaperProject
from plugin_core.stems import staging_folder
from plugin_core.stems.publication import Published
from plugin_core.tags.reader import read_tags
from plugin_core.wishes import StemsKeys
from tests.audio_files import make_song, write_samples
from tests.plugin_core.stems.builders import make_exact_song, tree


class CopyingSeparator:
    """A separator whose parts are ready: it copies them into the order's folder."""

    name = "copying"
    title = "Copies prepared parts"
    remote = False

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.called: list[str] = []

    def account(self) -> str:
        return self.name

    async def slots(self) -> int:
        return 3

    async def models(self) -> Sequence[Model]:
        return [Model(id="four", name="Four", stems=("vocals", "drums", "bass", "other"))]

    async def plan(self, source: Source, wish: Separation) -> Plan:
        return Plan(operation=wish)

    async def submit(self, order: Order, report: Report) -> Ticket:
        return Ticket(remote_id=order.key)

    async def find(self, order: Order) -> Ticket | None:
        return Ticket(remote_id=order.key)

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:
        return Finished()

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:
        return [
            msgspec.structs.replace(part, path=Path(shutil.copy(part.path, order.folder / part.path.name)))
            for part in self.parts
        ]

    async def cancel(self, order: Order) -> None:
        self.called.append(f"cancel {order.key} {order.attempt}")

    async def release(self, order: Order) -> None:
        self.called.append(f"release {order.key}")


class Scene:
    """A song in a music folder, and a separation of it."""

    def __init__(self, folder: Path) -> None:
        self.source, self.parts = make_exact_song(folder / "music")
        shutil.move(folder / "music/parts", folder / "parts")
        self.parts = [msgspec.structs.replace(one, path=folder / "parts" / one.path.name) for one in self.parts]
        self.music = folder / "music"
        self.separator = CopyingSeparator(self.parts)
        self.earlier: list[Job] = []
        self.reported: list[Progress] = []
        self.work = SeparationWork(
            self.separator,
            shelf=Shelf(folder / "home"),
            projects=Projects(lambda: FORMATS, StemsKeys, HiddenNotes(folder / "home")),
            earlier=lambda job: self.earlier,
        )

    def job(self, name: str = "id1", **wish: object) -> Job:
        return Job(
            id=name,
            state=JobState.QUEUED,
            operation=msgspec.structs.replace(Separation(provider="copying", model="four"), **wish),
            source=self.source,
            account="copying",
            dedupe="key",
            created=0.0,
            updated=0.0,
        )

    async def stage(self, job: Job) -> Job:
        await self.work.prepare(job, "try", self.reported.append)
        staged = await self.work.fetch(job, "try", self.reported.append, None)
        job = msgspec.structs.replace(job, staged=staged.stems, notes=staged.notes)
        return msgspec.structs.replace(job, target=await self.work.target(job))

    async def finish(self, job: Job) -> Job:
        job = await self.stage(job)
        placed = await self.work.publish(job, "try")
        job = msgspec.structs.replace(
            job,
            stems=placed.stems,
            projects=placed.projects,
            notes=(*job.notes, *placed.notes),
            state=JobState.DONE,
        )
        await self.work.discard(job)
        return job


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(tree(folder))


FORMATS: dict[str, SessionFormat] = {"rpp": ReaperProject(), "dawproject": DawProject()}
DEFAULT = ["Song.flac"] + [f"Song.stems/Song - {one}.flac" for one in ("Bass", "Drums", "Other", "Vocals")]


def test_is_work_over_a_separator(scene: Scene) -> None:
    work: Work = scene.work
    separator: Separator = scene.separator
    assert isinstance(separator, Separator)
    assert asyncio.run(work.slots(scene.job())) == 3
    assert not work.occupies(scene.job())


def test_whole_life(scene: Scene, tmp_path: Path) -> None:
    job = asyncio.run(scene.finish(scene.job(stems=("vocals", "drums", "bass", "other"), minus=("drums",))))
    assert job.target == scene.music / "Song.stems"
    assert [stem.name for stem in job.stems] == ["vocals", "drums", "bass", "other", "no-drums"]
    assert names(scene.music) == sorted([*DEFAULT, "Song.stems/Song - No Drums.flac"])
    assert names(tmp_path / "home") == []
    assert scene.separator.called == ["release id1"]
    assert scene.reported[-1].note == "writing stems"


def test_stems_carry_provenance(scene: Scene) -> None:
    job = asyncio.run(scene.finish(scene.job()))
    fields = read_tags(job.stems[0].path).fields
    assert fields["title"] == ("Song - Vocals",)
    provenance = json.loads(fields["provenance"][0])
    assert provenance.pop("stembridge")
    assert provenance == {
        "provider": "copying",
        "model": "four",
        "job": "id1",
        "source_sha256": scene.source.content,
        "stem": "vocals",
    }


def test_nothing_shows_before_publishing(scene: Scene) -> None:
    asyncio.run(scene.stage(scene.job()))
    assert names(scene.music) == ["Song.flac"]


def test_publish_again_after_a_crash(scene: Scene) -> None:
    async def live() -> None:
        job = await scene.stage(scene.job())
        assert await scene.work.publish(job, "one") == await scene.work.publish(job, "two")

    asyncio.run(live())
    assert names(scene.music) == DEFAULT


def test_second_run_gets_a_neighbour_or_swaps_what_it_made(scene: Scene) -> None:
    first = asyncio.run(scene.finish(scene.job("id1")))
    second = asyncio.run(scene.finish(scene.job("id2")))
    assert second.target == scene.music / "Song (2).stems"
    scene.earlier = [first]
    third = asyncio.run(scene.finish(scene.job("id3")))
    assert third.target == first.target
    assert third.stems[0].sha256 != first.stems[0].sha256
    assert len(names(scene.music)) == 9


def test_twin_in_the_same_place_is_taken_as_it_stands(scene: Scene) -> None:
    async def live() -> Job:
        twin = await scene.finish(scene.job("id1"))
        staged = await scene.work.reuse(scene.job("id2"), [twin])
        assert staged == Staged(stems=twin.stems)
        job = msgspec.structs.replace(scene.job("id2"), staged=staged.stems)
        assert await scene.work.target(job) == twin.target
        assert await scene.work.publish(job, "try") == Published(stems=twin.stems)
        return job

    job = asyncio.run(live())
    asyncio.run(scene.work.discard(job))
    assert names(scene.music) == DEFAULT


def test_twin_elsewhere_is_copied_under_the_new_name(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    async def live() -> None:
        twin = await scene.finish(scene.job("id1"))
        job = scene.job("id2", to=tmp_path / "out", template="{name}/{stem}.{ext}")
        await scene.work.prepare(job, "try", scene.reported.append)
        staged = await scene.work.reuse(job, [twin])
        assert staged is not None
        job = msgspec.structs.replace(job, staged=staged.stems)
        job = msgspec.structs.replace(job, target=await scene.work.target(job))
        stems = (await scene.work.publish(job, "try")).stems
        assert [stem.sha256 for stem in stems] == [stem.sha256 for stem in twin.stems]
        assert all(one.path.stat().st_nlink == 1 for one in stems)

    asyncio.run(live())
    assert names(tmp_path / "out") == [f"Song/{one}.flac" for one in ("Bass", "Drums", "Other", "Vocals")]
    assert names(scene.music) == DEFAULT


def test_edited_twin_is_not_reused(scene: Scene) -> None:
    async def live() -> Staged | None:
        twin = await scene.finish(scene.job("id1"))
        twin.stems[2].path.write_bytes(b"edited")
        return await scene.work.reuse(scene.job("id2"), [twin])

    assert asyncio.run(live()) is None


def prepare(scene: Scene, **wish: object) -> None:
    asyncio.run(scene.work.prepare(scene.job("id1", **wish), "try", scene.reported.append))


@pytest.mark.parametrize("name", ["flac", "wav24", "mp3", "m4a"])
def test_a_float_source_over_full_scale_is_refused_before_anything_is_sent(scene: Scene, name: str) -> None:
    samples = make_song(1.0)
    loud = write_samples(scene.music / "Loud.wav", samples * 2 / abs(samples).max(), subtype="FLOAT")
    scene.source = inspect(loud)
    with pytest.raises(SourceError, match=r"Loud\.wav: peaks 6\.0 dB over full scale do not fit"):
        prepare(scene, format=name)
    assert not (scene.music.parent / "home").exists()
    prepare(scene, format="wav32f")


@pytest.mark.parametrize("on_overload", ["scale", "float"])
def test_a_source_over_full_scale_is_taken_where_its_user_says_what_becomes_of_it(
    scene: Scene, on_overload: str
) -> None:
    scene.source = inspect(write_samples(scene.music / "Loud.wav", make_song(1.0) * 4, subtype="FLOAT"))
    prepare(scene, format="flac", on_overload=on_overload)


def test_a_service_is_refused_a_loud_source_but_not_what_was_bought_of_it(scene: Scene) -> None:
    samples, rate = make_song(1.0) * 4, 44100
    scene.source = inspect(write_samples(scene.music / "Loud.wav", samples, rate, "FLOAT"))
    path = write_samples(scene.music.parent / "parts" / "loud.wav", samples, rate, "FLOAT")
    scene.separator.parts = [Part(stem="vocals", label="Vocals", path=path)]
    scene.separator.remote = True

    async def live() -> Job:
        with pytest.raises(SourceError, match=r"Loud\.wav: peaks .* dB over full scale do not fit FLAC"):
            await scene.work.submit(scene.job(format="flac16"), "try", scene.reported.append)
        await scene.work.submit(scene.job(format="flac16", on_overload="scale"), "try", scene.reported.append)
        return await scene.finish(scene.job(format="flac16"))

    job = asyncio.run(live())
    assert [note for note in job.notes if "samples were clipped at 16 bits" in note]


def test_what_a_provider_cannot_write_is_told_by_the_song(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill(order: Order, _report: Report) -> None:
        raise explain_write_error(order.folder / "x.part", OSError(errno.ENOSPC, "full"))

    monkeypatch.setattr(scene.separator, "fetch", fill)
    monkeypatch.setattr(scene.separator, "submit", fill)
    for effect, what in (
        (scene.work.submit(scene.job(), "try", scene.reported.append), "the upload"),
        (scene.work.bring(scene.job(), "try", scene.reported.append), "a result"),
        (scene.work.fetch(scene.job(), "try", scene.reported.append, None), "a result"),
    ):
        with pytest.raises(TransientError) as caught:
            asyncio.run(effect)
        assert caught.value.message == f"{what} of Song.flac cannot be written: no space left on the disk"


def test_scaled_stems_say_so_in_their_tags(scene: Scene) -> None:
    scene.source = inspect(write_samples(scene.music / "Loud.wav", make_song(1.0) * 4, subtype="FLOAT"))
    path = write_samples(scene.music.parent / "parts" / "loud.wav", make_song(1.0) * 4, subtype="FLOAT")
    scene.separator.parts = [Part(stem="vocals", label="Vocals", path=path)]
    job = asyncio.run(scene.finish(scene.job(format="flac16", on_overload="scale")))
    made = json.loads(read_tags(job.stems[0].path).fields["provenance"][0])
    assert 10 ** (float(made["gain"]) / 20) == pytest.approx(job.stems[0].gain)
    assert job.stems[0].gain < 0.6


def test_prepare_refuses_before_anything_is_written(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PlacementError, match="--to FOLDER"):
        prepare(scene, to=tmp_path / "gone")
    with pytest.raises(UsageError, match="stm"):
        prepare(scene, template="{stm}.{ext}")
    with monkeypatch.context() as patch:
        patch.setattr(staging_folder.check_space, "__kwdefaults__", {"free": lambda folder: 10})
        with pytest.raises(PlacementError, match="10 B free"):
            prepare(scene)
    scene.source.path.write_bytes(b"other")
    with pytest.raises(SourceError, match="changed since"):
        prepare(scene)
    scene.source.path.unlink()
    with pytest.raises(SourceError, match="does not exist"):
        prepare(scene)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("remote", "wish", "expected"),
    [
        (False, {}, (4 + 4) * 2),
        (False, {"stems": ("bass",)}, (4 + 1) * 2),
        (False, {"minus": ("drums", "bass"), "residual": True}, (4 + 3) * 2),
        (False, {"stems": ("bass",), "minus": ("drums",)}, (4 + 2) * 2),
        (False, {"format": "flac24"}, (4 + 4) * 3),
        (False, {"format": "flac24", "on_overload": "scale"}, (4 + 4) * 3),
        (False, {"format": "flac24", "on_overload": "float"}, 4 * 3 + 4 * 4),
        (True, {}, (1 + 4 + 4) * 2),
    ],
    ids=["all", "one stem", "minus", "stem and minus", "deeper", "scaled", "floats", "service"],
)
def test_space_is_asked_for_what_will_exist(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, remote: bool, wish: dict[str, object], expected: int
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(staging_folder, "check_space", lambda folder, needed: asked.append(needed))
    scene.separator.remote = remote
    prepare(scene, **wish)
    source = scene.source
    assert asked == [expected * source.frames * source.channels + staging_folder.HEAD_ROOM]


def test_space_of_lossy_stems_is_that_of_their_lossless_parts_and_little_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(staging_folder, "check_space", lambda folder, needed: asked.append(needed))
    prepare(scene, format="mp3")
    parts = 4 * scene.source.frames * scene.source.channels * 2
    assert parts < asked[0] - staging_folder.HEAD_ROOM < 1.5 * parts


def test_estimate_is_an_upper_bound_and_close(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(staging_folder, "check_space", lambda folder, needed: asked.append(needed))
    asyncio.run(scene.stage(scene.job(format="wav16", minus=("drums",), stems=("vocals",))))
    taken = sum(path.stat().st_size for path in (tmp_path / "home").rglob("*.*") if path.is_file())
    # The fetched parts are FLAC, about half as large as what they hold.
    assert taken < asked[0] - staging_folder.HEAD_ROOM < 2.5 * taken


def test_destination_that_is_away_is_not_made_up_for(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()

    async def live() -> None:
        job = await scene.stage(scene.job(to=out))
        out.rename(tmp_path / "away")
        for effect in (scene.work.target(job), scene.work.publish(job, "try")):
            with pytest.raises(PlacementError, match="does not exist, or cannot be reached") as caught:
                await effect
            assert not isinstance(caught.value, ResultError)
        assert not out.exists()
        (tmp_path / "away").rename(out)
        await scene.work.publish(job, "try")

    asyncio.run(live())
    assert len(names(out)) == 4


def test_staged_stems_are_found_where_they_were_put(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(staging_folder, "device_of", hash)
            job = await scene.stage(scene.job())
        assert (scene.music / ".stembridge-id1").is_dir()
        shutil.rmtree(scene.music / ".stembridge-id1")
        with pytest.raises(ResultError, match="neither in staging nor in its place"):
            await scene.work.publish(job, "try")

    asyncio.run(live())


def test_fetching_goes_on_when_staging_is_gone(scene: Scene, tmp_path: Path) -> None:
    async def live() -> Staged:
        await scene.stage(scene.job())
        shutil.rmtree(tmp_path / "home")
        return await scene.work.fetch(scene.job(), "try", scene.reported.append, None)

    assert len(asyncio.run(live()).stems) == 4


def test_staging_that_cannot_be_removed_is_tried_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live() -> None:
        job = await scene.stage(scene.job())
        with monkeypatch.context() as patch, pytest.raises(PlacementError, match="cannot be removed"):
            patch.setattr(shutil, "rmtree", lambda folder, ignore_errors: None)
            await scene.work.discard(job)
        assert scene.separator.called == ["release id1"]
        await scene.work.discard(job)

    asyncio.run(live())


def test_hidden_folders_of_nested_places_are_removed_with_the_job(scene: Scene) -> None:
    async def live() -> None:
        job = await scene.stage(scene.job(template="{artist}/{name}/{stem}.{ext}"))
        (scene.music / "Unknown Artist/.stembridge-id1/copy").mkdir(parents=True)
        await scene.work.discard(job)

    asyncio.run(live())
    assert list((scene.music / "Unknown Artist").iterdir()) == []


def test_template_from_tags_has_a_place_for_untagged_songs(scene: Scene) -> None:
    asyncio.run(scene.finish(scene.job(template="{artist}/{title}/{name} {stem}.{ext}", stems=("bass",))))
    assert names(scene.music) == ["Song.flac", "Unknown Artist/Song/Song Bass.flac"]


def test_a_provider_finds_its_notes_when_it_cleans_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    async def release(order: Order) -> None:
        seen.append(order.folder.is_dir())

    async def live() -> None:
        job = await scene.stage(scene.job())
        monkeypatch.setattr(scene.separator, "release", release)
        await scene.work.discard(job)

    asyncio.run(live())
    assert seen == [True]


def test_cancel_reaches_the_provider(scene: Scene) -> None:
    asyncio.run(scene.work.cancel(scene.job(), "try"))
    assert scene.separator.called == ["cancel id1 try"]


def test_discarding_a_cancelled_job_leaves_nothing(scene: Scene, tmp_path: Path) -> None:
    async def live() -> None:
        job = await scene.stage(scene.job())
        await scene.work.discard(job)
        await scene.work.discard(job)

    asyncio.run(live())
    assert names(scene.music) == ["Song.flac"]
    assert names(tmp_path / "home") == []
