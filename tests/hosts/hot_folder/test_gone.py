"""Failed songs that are taken away: their notes go, and nothing of them stays in the ledger."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from stembridge_hot_folder.ledger import SongState
from stembridge_hot_folder.task import come_back

from plugin_core import JobState, Session, Settings
from plugin_core.errors import OutcomeUnknownError
from plugin_core.model import Stem
from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.plugin_core.jobs.fakes import make_job


def note(song: Path) -> Path:
    return song.with_name(f"{song.name}.error.txt")


def fail(desk: Desk) -> Path:
    song = desk.root / "Bad.wav"
    song.write_text("just words, no audio")
    return song


@pytest.mark.parametrize("hears", [True, False], ids=["told by the system", "found by a look"])
def test_failed_song_that_is_removed_is_forgotten_with_its_note(desk: Desk, hears: bool) -> None:
    desk.set(rescan_seconds=3600 if hears else 0.3)
    with desk.running() as watch:
        song = fail(desk)
        watch.wait("failed", "Bad.wav")
        wait_for(note(song).exists)
        song.unlink()
        wait_for(lambda: not note(song).exists())
        wait_for(lambda: desk.state(song) is None)


def test_failed_song_that_was_removed_while_nobody_watched(desk: Desk) -> None:
    song = fail(desk)
    desk.once()
    assert note(song).exists()
    song.unlink()
    desk.once()
    assert not note(song).exists()
    assert desk.state(song) is None


def test_note_that_the_user_changed_stays(desk: Desk) -> None:
    song = fail(desk)
    desk.once()
    note(song).write_text(note(song).read_text() + "asked Anna\n")
    song.unlink()
    desk.once()
    assert note(song).read_text().endswith("asked Anna\n")
    assert desk.state(song) is None


def test_unconfirmed_song_that_is_removed_is_forgotten_here_and_never_paid_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plugin_core.jobs import policy

    monkeypatch.setattr(policy.Policy, "__init__", lambda self, **values: _hurry(self, values))
    desk.separator.trouble = OutcomeUnknownError("the answer was lost")

    async def unknowable(order: object) -> object:
        raise OutcomeUnknownError("the service does not say")

    desk.separator.find = unknowable  # type: ignore[method-assign, assignment]
    song = desk.song()
    assert desk.once().of("unconfirmed") == ["Song.wav"]
    assert desk.state(song) is SongState.UNCONFIRMED
    song.unlink()
    desk.once()
    assert desk.state(song) is None
    assert not note(song).exists()
    desk.separator.trouble = None
    desk.song()
    assert desk.once().of("unconfirmed") == ["Song.wav"], "the job is joined, not made anew"
    assert desk.separator.paid == []


def _hurry(policy: object, values: dict[str, object]) -> None:
    from plugin_core.jobs.policy import Backoff

    plain = {"backoff": Backoff(first=0.05), "search_for": 0.2, "settle": 0.05, "grace": 1.0, "stop_within": 5.0}
    for name, value in (plain | {"progress_every": 0.25, "slots_for": 60.0} | values).items():
        object.__setattr__(policy, name, value)


def test_of_a_song_that_comes_back_alone_the_others_are_known_where_they_are(tmp_path: Path) -> None:
    home, away, root = (tmp_path / name for name in ("home", "Away", "Drop"))
    home.mkdir()
    with Session(Settings(home)) as session:
        for number, folder in enumerate((root, away)):
            vocals = folder / f"{number}.stems" / "vocals.flac"
            vocals.parent.mkdir(parents=True)
            vocals.touch()
            stem = Stem(name="vocals", label="Vocals", path=away / vocals.relative_to(folder), size=0, sha256="")
            job = make_job(number, path=away / f"{number}.flac")
            session.store.add(msgspec.structs.replace(job, state=JobState.DONE, stems=(stem,)))
        one, other = reversed(session.store.list())
        assert come_back(session, [one.id], root / "0.flac")
        assert session.store.get(one.id).stems[0].path == root / "0.stems" / "vocals.flac"
        assert session.store.get(other.id) == other
