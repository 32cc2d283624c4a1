"""Which finished stems another form of the same purchase can be made of."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import mutagen.flac
import pytest
import soundfile

from plugin_core import Job, JobState, Separation, Session, Settings
from plugin_core.model import Plan, Quote, Source, Stem
from plugin_core.operations.reuse import derivable
from plugin_core.plugins import Plugins
from plugin_core.purchases.purchase import Offer
from plugin_core.session import STORE_NAME
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song
from tests.plugin_core.jobs.fakes import make_job

SECONDS = 10.0


class Choosing(FakeSeparator):
    """A separator with an option."""

    def __init__(self) -> None:
        super().__init__()
        self.price = 2.0

    async def plan(self, source: Source, wish: Separation) -> Plan:
        plan = await super().plan(source, msgspec.structs.replace(wish, options={}))
        options = {"overlap": "8", **wish.options}
        operation = msgspec.structs.replace(plan.operation, options=options)
        return msgspec.structs.replace(plan, operation=operation, defaults={"overlap": "8"})


@pytest.fixture
def fake() -> Choosing:
    return Choosing()


@pytest.fixture
def plugins(fake: Choosing) -> Plugins:
    return load_fakes(FakePoint("fake", FakePlugin(fake)))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_song(tmp_path_factory.mktemp("recording") / "Song.flac", SECONDS)


@pytest.fixture
def song(recording: Path, tmp_path: Path, plugins: Plugins, fake: Choosing) -> Path:
    """Return a song with stems beside it that were bought from another home."""
    (tmp_path / "music").mkdir()
    (tmp_path / "other").mkdir()
    path = Path(shutil.copy(recording, tmp_path / "music"))
    with Session(Settings(tmp_path / "other"), plugins) as session:
        assert separate(session, path).state is JobState.DONE
    assert len(fake.submitted) == 1
    return path


def separate(session: Session, song: Path, *, force: bool = False, **wish: Any) -> Job:
    async def work() -> Job:
        source = session.inspect(song)
        plan = await session.plan(source, Separation(provider="fake", **wish))
        job, _ = await session.add(source, plan, force=force)
        await session.run([job.id])
        return session.store.get(job.id)

    return asyncio.run(work())


def offer(session: Session, song: Path) -> Offer:
    return asyncio.run(session.offer(session.inspect(song), Separation(provider="fake")))


def leave(_song: Path) -> None:
    """Change nothing."""


def retag(song: Path) -> None:
    tags = mutagen.flac.FLAC(song)
    tags["comment"] = "x" * 9000
    tags.save()


@pytest.mark.parametrize("change", [leave, retag])
@pytest.mark.parametrize("has_store", [False, True], ids=["fresh", "in use"])
def test_stems_beside_a_song_are_not_bought_on_a_fresh_home(
    home: Path, plugins: Plugins, fake: Choosing, song: Path, change: Callable[[Path], None], has_store: bool
) -> None:
    change(song)
    with Session(Settings(home), plugins) as session:
        if has_store:
            assert session.store.list() == []
        looked = offer(session, song)
        assert not looked.is_paid and looked.standing is not None
        assert (home / STORE_NAME).exists() == has_store
        job = separate(session, song)
        assert (job.state, [stem.name for stem in job.stems]) == (JobState.DONE, ["instrumental", "vocals"])
        assert session.store.leftovers() == []
        assert separate(session, song).id == job.id
        elsewhere = Path(shutil.copy(song, song.with_name("Copy.flac")))
        assert separate(session, elsewhere).state is JobState.DONE
        some = separate(session, song, stems=("vocals",))
        assert [stem.name for stem in some.stems] == ["vocals"]
    assert len(fake.submitted) == 1


def spoil(song: Path) -> None:
    """Leave one stem out."""
    next(song.with_suffix(".stems").iterdir()).unlink()


def shorten(song: Path) -> None:
    """Cut one stem, which keeps its tags."""
    stem = song.with_suffix(".stems") / "Song - Vocals.flac"
    tags = dict(mutagen.flac.FLAC(stem))
    samples, rate = soundfile.read(stem, dtype="int16")
    soundfile.write(stem, samples[:-1], rate, subtype="PCM_16")
    audio = mutagen.flac.FLAC(stem)
    audio.update(tags)
    audio.save()


def remix(song: Path) -> None:
    """Put another mix of equal length in the place of the song."""
    write_song(song, SECONDS, seed=1)


def untag(song: Path) -> None:
    for stem in song.with_suffix(".stems").iterdir():
        mutagen.flac.FLAC(stem).delete()


@pytest.mark.parametrize("change", [spoil, shorten, remix, untag])
def test_what_is_not_whole_or_of_another_song_is_bought(
    home: Path, plugins: Plugins, fake: Choosing, song: Path, change: Callable[[Path], None]
) -> None:
    change(song)
    with Session(Settings(home), plugins) as session:
        assert offer(session, song).is_paid
        separate(session, song)
    assert len(fake.submitted) == 2
    assert song.with_name("Song (2).stems").is_dir()


@pytest.mark.parametrize(
    "wish",
    [{"options": {"overlap": "2"}}, {"format": "flac24"}, {"format": "wav16"}, {"minus": ("vocals",)}, {"as_is": True}],
)
def test_stems_of_other_options_or_another_form_are_asked_for_as_usual(
    home: Path, plugins: Plugins, fake: Choosing, song: Path, wish: dict[str, Any]
) -> None:
    with Session(Settings(home), plugins) as session:
        separate(session, song, **wish)
    assert len(fake.submitted) == 2


def test_stems_that_were_changed_since_are_not_taken_for_ours(
    home: Path, plugins: Plugins, fake: Choosing, song: Path
) -> None:
    """The job store knows them, and how they were."""
    with Session(Settings(home), plugins) as session:
        separate(session, song)
        stem = mutagen.flac.FLAC(song.with_suffix(".stems") / "Song - Vocals.flac")
        stem["comment"] = "mine"
        stem.save()
        separate(session, song)
    assert len(fake.submitted) == 2


def test_found_stems_are_never_swapped(home: Path, plugins: Plugins, song: Path) -> None:
    """Nobody knows whether they are as they were made: their user may have worked on them since."""
    stem = song.with_suffix(".stems") / "Song - Vocals.flac"
    tags = dict(mutagen.flac.FLAC(stem))
    samples, rate = soundfile.read(stem, dtype="int16")
    soundfile.write(stem, samples // 2, rate, subtype="PCM_16")
    audio = mutagen.flac.FLAC(stem)
    audio.update(tags)
    audio.save()
    edited = stem.read_bytes()
    with Session(Settings(home), plugins) as session:
        assert separate(session, song).state is JobState.DONE
        assert separate(session, song, force=True).state is JobState.DONE
    assert stem.read_bytes() == edited
    assert song.with_name("Song (2).stems").is_dir()


def test_scaled_stems_are_known_to_be_scaled(home: Path, plugins: Plugins, song: Path) -> None:
    for stem in song.with_suffix(".stems").iterdir():
        audio = mutagen.flac.FLAC(stem)
        audio["STEMBRIDGE"] = json.dumps(json.loads(audio["STEMBRIDGE"][0]) | {"gain": "-6.0"})
        audio.save()
    with Session(Settings(home), plugins) as session:
        assert offer(session, song).is_paid
        scaled = Separation(provider="fake", on_overload="scale")
        standing = asyncio.run(session.offer(session.inspect(song), scaled)).standing
        assert standing is not None
        assert {round(stem.gain, 6) for stem in standing.stems} == {0.501187}


LOSSLESS = Quote(sent={"model": "1"}, output="flac16")


def make(quote: Quote | None, **wish: object) -> Job:
    operation = Separation(provider="fake", model="1", **wish)  # type: ignore[arg-type]
    return msgspec.structs.replace(make_job(), operation=operation, quote=quote)


@pytest.mark.parametrize(
    ("bought", "is_derivable"),
    [
        (LOSSLESS, True),
        (Quote(sent={"model": "1"}, output="wav32f"), True),
        (Quote(sent={"model": "1"}, output="mp3"), False),
        (Quote(sent={"model": "1", "option.add_opt1": "2"}, output="flac16"), False),
        (None, False),
    ],
    ids=["equal", "deeper", "lossy", "another default", "unknown"],
)
def test_stems_are_no_better_than_what_was_bought(bought: Quote | None, is_derivable: bool) -> None:
    """A lossy purchase that was written as FLAC would pass for a lossless one."""
    stem = Stem(name="vocals", label="Vocals", path=Path("/music/Song - Vocals.flac"), size=1, sha256="0")
    twin = msgspec.structs.replace(make(bought, format="flac16"), stems=(stem,))
    quote = msgspec.structs.replace(LOSSLESS, sent={"model": "1", "option.add_opt1": "1"})
    job = make(quote, format="wav16", stems=("vocals",))
    assert bool(derivable(job, twin)) is is_derivable


@pytest.mark.parametrize(
    ("had", "wish", "is_derivable"),
    [
        ({}, {"stems": ("vocals", "instrumental")}, True),
        ({"stems": ("vocals",)}, {"stems": ("instrumental",)}, True),
        ({"stems": ("drums",)}, {"stems": ("instrumental",)}, False),
        ({"stems": ("vocals",)}, {"minus": ("instrumental",)}, False),
        ({}, {"as_is": True}, False),
        ({"as_is": True}, {}, False),
    ],
    ids=["all stems", "the vocals", "the drums", "no part of its own", "wanted as it came", "as it came"],
)
def test_another_form_is_made_of_what_holds_it(
    had: dict[str, object], wish: dict[str, object], is_derivable: bool
) -> None:
    names = had.get("stems", ("vocals", "drums", "bass", "other"))
    assert isinstance(names, tuple)
    stems = [Stem(name=name, label=name, path=Path(f"/music/{name}.flac"), size=1, sha256="0") for name in names]
    twin = msgspec.structs.replace(make(LOSSLESS, format="flac16", **had), stems=tuple(stems))
    assert bool(derivable(make(LOSSLESS, format="flac16", **wish), twin)) is is_derivable


def test_scaled_stems_are_parts_of_their_own_level() -> None:
    stem = Stem(name="vocals", label="Vocals", path=Path("/music/Song - Vocals.flac"), size=1, sha256="0", gain=0.5)
    twin = msgspec.structs.replace(make(LOSSLESS, format="flac16", on_overload="scale"), stems=(stem,))
    (part,) = derivable(make(LOSSLESS, format="wav16", stems=("vocals",)), twin)
    assert part.gain == 0.5


def test_stems_that_were_written_as_floats_are_audio() -> None:
    stem = Stem(name="vocals", label="Vocals", path=Path("/music/Song - Vocals.wav"), size=1, sha256="0")
    twin = msgspec.structs.replace(make(LOSSLESS, format="flac16", on_overload="float"), stems=(stem,))
    (part,) = derivable(make(LOSSLESS, format="wav16", stems=("vocals",)), twin)
    assert part.is_audio
