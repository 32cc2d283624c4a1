"""Session files stand with their stems, are had at any time for nothing, follow them, and are never the user's loss."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from plugin_core import Job, JobState, Separation, Session, Settings, hookimpl
from plugin_core.errors import PlacementError, SettingsError, UsageError
from plugin_core.jobs.keys import dedupe_key, is_same_wish
from plugin_core.model import Plan
from plugin_core.purchases.purchase import Offer, make_quote, purchase_key
from plugin_core.sessions import register_session_formats
from plugin_core.sessions.arrangement import Arrangement, SessionFormat
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song
from tests.plugin_core.sessions.readers import READERS, play
from tests.plugin_core.stems.builders import tree

BOTH = "rpp,dawproject"


class Listing:
    """A format of somebody's own, with a word that it cannot take."""

    name, title = "list", "A list"

    def render(self, arrangement: Arrangement) -> bytes:
        if "bad" in arrangement.name:
            raise KeyError("bad")
        if "Unwritable" in arrangement.name:
            raise PlacementError("a path holds a word that is not taken")
        return "\n".join(track.path for track in arrangement.stems).encode()


class Plugin(FakePlugin):
    """The fake separator, with session formats."""

    @hookimpl
    def register_session_formats(self, register: Callable[[SessionFormat], None]) -> None:
        register_session_formats(register)
        register(Listing())


@pytest.fixture
def fake() -> FakeSeparator:
    separator = FakeSeparator()
    separator.price = 2.0
    return separator


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "music" / "Song.flac", 0.5)


@pytest.fixture
def session(home: Path, fake: FakeSeparator) -> Iterator[Session]:
    with open_session(home, fake) as opened:
        yield opened


def open_session(home: Path, fake: FakeSeparator, config: str = "") -> Session:
    (home / "config.toml").write_text(config)
    return Session(Settings(home, environ={}), load_fakes(FakePoint("fake", Plugin(fake))))


def offer(session: Session, song: Path, project: str = "", **wish: Any) -> Offer:
    wanted = Separation(provider="fake", project=project, **wish)
    return asyncio.run(session.offer(session.inspect(song), wanted))


def separate(session: Session, song: Path, project: str = "", *, force: bool = False, **wish: Any) -> Job:
    async def work() -> Job:
        source = session.inspect(song)
        plan = await session.plan(source, Separation(provider="fake", project=project, **wish))
        job, _ = await session.add(source, plan, force=force)
        if not job.state.is_settled:
            (job,) = await session.run([job.id])
        assert job.state is JobState.DONE, job.problem
        return job

    return asyncio.run(work())


def is_whole(place: Path, song: Path) -> bool:
    """Tell whether a session finds song and stems, and plays what the song is."""
    score = READERS[place.suffix[1:]](place)
    samples, _ = soundfile.read(song, always_2d=True)
    silent, heard = play(score, place.parent, only_muted=True), play(score, place.parent)
    return np.array_equal(silent, samples) and float(np.abs(heard - samples).max()) <= 2 / 32768


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


STEMS = ["Song - Instrumental.flac", "Song - Vocals.flac"]


def test_a_setting_places_sessions_with_the_stems_and_a_wish_wins_over_it(
    home: Path, fake: FakeSeparator, song: Path
) -> None:
    with open_session(home, fake, f'[stems]\nproject = "{BOTH}"\n') as session:
        job = separate(session, song)
        assert job.operation == Separation(provider="fake", model="halves", format="flac16", project=BOTH)
        assert [(one.name, one.path.name) for one in job.projects] == [
            ("rpp", "Song.rpp"),
            ("dawproject", "Song.dawproject"),
        ]
        folder = song.with_suffix(".stems")
        assert names(folder) == [*STEMS, "Song.dawproject", "Song.rpp"]
        assert all(is_whole(one.path, song) for one in job.projects)
        other = Path(shutil.copy(song, song.with_name("Other.flac")))
        assert separate(session, other, "none").projects == ()
        assert names(other.with_suffix(".stems")) == ["Other - Instrumental.flac", "Other - Vocals.flac"]


@pytest.mark.parametrize(
    ("project", "config", "kind", "said"),
    [
        ("rppp", "", UsageError, "no session format 'rppp'; did you mean 'rpp'?"),
        ("none,rpp", "", UsageError, "none stands alone"),
        ("", "pro-tools", SettingsError, r"\[stems\] project: no session format 'pro-tools'"),
    ],
)
def test_what_nobody_makes_is_refused_before_anything_is_done(
    home: Path, fake: FakeSeparator, song: Path, project: str, config: str, kind: type[Exception], said: str
) -> None:
    with open_session(home, fake, f'[stems]\nproject = "{config}"\n') as session, pytest.raises(kind, match=said):
        offer(session, song, project)


def test_sessions_are_no_part_of_what_is_bought(session: Session, song: Path) -> None:
    source = session.inspect(song)
    plain, with_session = (
        asyncio.run(session.plan(source, Separation(provider="fake", project=project))) for project in ("", BOTH)
    )
    assert isinstance(with_session.operation, Separation) and with_session.operation.projects == ("rpp", "dawproject")
    assert key_of(plain, source) == key_of(with_session, source)
    assert dedupe_key("a", plain.operation, "b") == dedupe_key("a", with_session.operation, "b")
    assert is_same_wish(plain.operation, with_session.operation)


def key_of(plan: Plan, source: Any) -> str:
    return purchase_key("fake", "fake:1", "recording", make_quote(plan, source))


def test_asked_for_later_a_session_is_added_to_stems_that_stand_and_nothing_is_bought(
    session: Session, song: Path, fake: FakeSeparator
) -> None:
    folder = song.with_suffix(".stems")
    first = separate(session, song)
    before = tree(folder)
    looked = offer(session, song, "rpp")
    assert (looked.standing, looked.has_price, looked.is_paid) == (None, False, False)
    assert "its stems stand already, only rpp is added" in looked.plan.notes
    added = separate(session, song, "rpp")
    assert added.stems == first.stems
    assert is_whole(folder / "Song.rpp", song)
    standing = offer(session, song, "rpp").standing
    assert standing is not None and standing.id == added.id
    both = separate(session, song, BOTH)
    assert [one.name for one in both.projects] == ["rpp", "dawproject"]
    assert before.items() <= tree(folder).items()
    assert names(song.parent) == ["Song.flac", "Song.stems"]
    (folder / "Song.rpp").unlink()
    again = separate(session, song, "rpp")
    assert again.id not in {first.id, added.id, both.id}
    assert is_whole(folder / "Song.rpp", song)
    assert len(fake.submitted) == 1
    assert session.leftovers() == []


def test_what_a_plan_said_of_earlier_stems_is_no_note_of_those_made_from_them(
    session: Session, song: Path, fake: FakeSeparator, tmp_path: Path
) -> None:
    fake.price = 1.0
    separate(session, song)
    looked = offer(session, song, "rpp")
    job, _ = asyncio.run(session.add(looked.source, looked.plan))
    asyncio.run(session.run([job.id]))
    assert "its stems stand already, only rpp is added" in session.store.get(job.id).notes
    copy = Path(shutil.copy(song, tmp_path / "Copy.flac"))
    found = offer(session, copy)
    assert found.plan.notes[-1].startswith("bought before, on 20") and " for 1 credit: " in found.plan.notes[-1]
    assert separate(session, copy).notes == ()
    assert len(fake.submitted) == 1


def test_what_the_user_saved_under_the_name_is_never_overwritten_and_said(
    session: Session, song: Path, fake: FakeSeparator
) -> None:
    place = separate(session, song, "rpp").projects[0].path
    place.write_bytes(b"mine")
    standing = offer(session, song, "rpp").standing
    assert standing is not None and [one.sha256 for one in standing.projects] == [""]
    job = separate(session, song, BOTH)
    assert [one.path.name for one in job.projects] == ["Song.rpp", "Song.dawproject"]
    forced = separate(session, song, BOTH, force=True)
    assert {one.path.parent.name for one in forced.projects} == {"Song (2).stems"}
    assert is_whole(forced.projects[0].path, song)
    assert place.read_bytes() == b"mine"
    # Nor what was there before any session of ours.
    other = Path(shutil.copy(song, song.with_name("Other.flac")))
    folder = separate(session, other).stems[0].path.parent
    (folder / "Other.rpp").write_bytes(b"mine too")
    standing = offer(session, other, "rpp").standing
    assert standing is not None and [one.sha256 for one in standing.projects] == [""]
    assert (folder / "Other.rpp").read_bytes() == b"mine too"


def test_force_swaps_a_session_with_its_stems(session: Session, song: Path) -> None:
    separate(session, song)
    folders = {separate(session, song, BOTH, force=True).projects[0].path.parent for _ in range(3)}
    assert folders == {song.with_suffix(".stems")}
    assert names(song.parent) == ["Song.flac", "Song.stems"]
    assert is_whole(song.with_suffix(".stems") / "Song.rpp", song)


def test_stems_of_another_home_are_found_and_a_session_is_added(
    home: Path, tmp_path: Path, fake: FakeSeparator, song: Path
) -> None:
    (tmp_path / "other").mkdir()
    with open_session(tmp_path / "other", fake) as session:
        separate(session, song)
    assert (looked := offer_on(home, fake, song)).standing is None and not looked.is_paid
    with open_session(home, fake) as session:
        job = separate(session, song, "rpp")
        assert is_whole(job.projects[0].path, song)
        assert separate(session, song, "rpp").id == job.id
        # What was only found may have been worked on: another one stays.
        forced = separate(session, song, "rpp", force=True)
    assert forced.projects[0].path.parent.name == "Song (2).stems"
    assert offer_on(tmp_path / "fresh", fake, song).standing is not None
    assert len(fake.submitted) == 2


def offer_on(home: Path, fake: FakeSeparator, song: Path) -> Offer:
    home.mkdir(exist_ok=True)
    with open_session(home, fake) as session:
        return offer(session, song, "rpp")


def test_in_a_folder_that_is_shared_a_session_has_the_number_of_its_stems(session: Session, song: Path) -> None:
    (song.parent / "Song.rpp").write_bytes(b"mine")
    flat = "{name} - {stem}.{ext}"
    job = separate(session, song, "rpp", template=flat)
    assert {one.path.name for one in (*job.stems, *job.projects)} == {
        "Song (2).rpp",
        "Song - Instrumental (2).flac",
        "Song - Vocals (2).flac",
    }
    assert is_whole(song.parent / "Song (2).rpp", song)
    later = separate(session, song, BOTH, template=flat)
    assert is_whole(song.parent / "Song (2).dawproject", song)
    assert [one.path.name for one in later.projects] == ["Song (2).rpp", "Song (2).dawproject"]
    deep = separate(session, song, "rpp", template="{stem}/{name}.{ext}")
    assert deep.projects[0].path == song.parent / "Song (3).rpp"
    assert is_whole(deep.projects[0].path, song)
    assert (song.parent / "Song.rpp").read_bytes() == b"mine"


def test_moved_as_a_whole_a_session_stays_right_though_nobody_is_told(session: Session, song: Path) -> None:
    separate(session, song, BOTH)
    album = song.parent.rename(song.parent.with_name("album"))
    assert all(is_whole(album / "Song.stems" / f"Song.{name}", album / "Song.flac") for name in READERS)


def test_a_session_follows_what_a_host_moves_and_renames(session: Session, song: Path) -> None:
    job = separate(session, song, BOTH)
    folder = song.with_suffix(".stems")
    new = song.with_name("Neu.flac")
    moves = [(song, new), (folder, new.with_suffix(".stems"))]
    there = new.with_suffix(".stems")
    moves += [(there / one, there / one.replace("Song", "Neu")) for one in (*STEMS, "Song.rpp", "Song.dawproject")]
    for old, target in moves:
        old.rename(target)
        assert session.moved(old, target) == 1
    known = session.store.get(job.id)
    assert [one.path.name for one in known.projects] == ["Neu.rpp", "Neu.dawproject"]
    assert all(is_whole(one.path, new) for one in known.projects)
    assert names(new.with_suffix(".stems"))[2:] == ["Neu.dawproject", "Neu.rpp"]
    # By its record, it is still ours: the next result swaps it.
    assert separate(session, new, BOTH, force=True).projects[0].path == new.with_suffix(".stems") / "Neu.rpp"


def test_stems_elsewhere_name_their_song_wherever_it_goes(session: Session, song: Path, tmp_path: Path) -> None:
    (tmp_path / "stems").mkdir()
    job = separate(session, song, "rpp", to=tmp_path / "stems")
    place = tmp_path / "stems/Song.stems/Song.rpp"
    assert is_whole(place, song)
    assert str(song) in place.read_text()
    (tmp_path / "done").mkdir()
    gone = song.rename(tmp_path / "done" / "Song.flac")
    assert session.moved(song, gone) == 1
    assert is_whole(place, gone)
    assert session.store.get(job.id).projects[0].sha256 != job.projects[0].sha256
    # Once it is the user's, it is left alone.
    place.write_bytes(place.read_bytes() + b"mine\n")
    edited = place.read_bytes()
    session.moved(gone, gone.rename(song))
    assert place.read_bytes() == edited
    assert names(place.parent) == [*STEMS, "Song.rpp"]


def test_a_copy_of_the_song_gets_a_session_of_its_own(session: Session, song: Path, fake: FakeSeparator) -> None:
    separate(session, song, "rpp")
    (song.parent / "again").mkdir()
    copy = Path(shutil.copy(song, song.parent / "again" / "Copy.flac"))
    job = separate(session, copy, "rpp")
    assert job.projects[0].path == copy.with_suffix(".stems") / "Copy.rpp"
    assert is_whole(job.projects[0].path, copy)
    assert len(fake.submitted) == 1


@pytest.mark.parametrize(
    ("name", "project", "said"),
    [
        ("\"all' three`", "rpp", "is without the song, whose path rpp cannot hold"),
        ("Unwritable", "list", "no Unwritable.list was made: a path holds a word that is not taken"),
        ("bad", "list", "no bad.list was made: plugin list failed: KeyError: 'bad'"),
    ],
)
def test_a_name_that_a_format_cannot_hold_costs_no_stems(
    session: Session, song: Path, name: str, project: str, said: str
) -> None:
    song = song.rename(song.with_name(f"{name}.flac"))
    job = separate(session, song, project)
    assert len(job.stems) == 2
    assert any(said in note for note in job.notes), job.notes
    assert len(job.projects) == (project == "rpp")
    for one in job.projects:
        assert [played.is_muted for played in READERS["rpp"](one.path).played] == [False, False]


def test_only_what_sounds_is_on_a_track(session: Session, song: Path, fake: FakeSeparator) -> None:
    real = fake.fetch

    async def fetch(order: Any, report: Any) -> Any:
        first, second = await real(order, report)
        notes = first.path.with_suffix(".mid")
        notes.write_bytes(b"MThd")
        return [first, msgspec.structs.replace(second, path=notes, is_audio=False)]

    fake.fetch = fetch  # type: ignore[method-assign]
    (project,) = separate(session, song, "rpp").projects
    assert [one.track for one in READERS["rpp"](project.path).played] == ["Song", "Song - Vocals"]


def test_a_dry_run_names_the_session(session: Session, song: Path) -> None:
    from plugin_core.operations.plans import foresee_files

    plan = asyncio.run(session.plan(session.inspect(song), Separation(provider="fake", project=BOTH)))
    files = foresee_files(session.settings, session.inspect(song), plan)
    assert [files[name].name for name in ("rpp", "dawproject")] == ["Song.rpp", "Song.dawproject"]
