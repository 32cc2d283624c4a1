"""Cases 5 to 20 from the side of versions: touched, labelled by us, replaced at any moment; none passes for another."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import soundfile
from stembridge_hot_folder import finish, queue
from stembridge_hot_folder.files import FileIdentity
from stembridge_hot_folder.ledger import LEDGER_NAME, SongLedger, SongState

from plugin_core.files import placement
from plugin_core.model import Job, JobState, Tagging
from plugin_core.session import Session
from plugin_core.tags import exchange
from plugin_core.tags.reader import read_tags
from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.hosts.hot_folder.labelling import LabellingDesk
from tests.plugin_core.cli.fakes import write_song


@pytest.fixture
def labels(desk: Desk) -> LabellingDesk:
    return LabellingDesk(desk)


def is_made_of(stems: Path, song: Path) -> bool:
    """Tell whether stems are as long as a song."""
    lengths = {soundfile.info(stem).frames for stem in stems.iterdir()}
    return lengths == {soundfile.info(song).frames}


def test_case_20_song_only_touched_while_it_is_worked_on_is_not_paid_twice(desk: Desk) -> None:
    desk.separator.hold = True
    with desk.running() as watch:
        song = desk.song()
        wait_for(lambda: desk.separator.paid)
        os.utime(song, (1e9, 1e9))
        desk.song("Other.wav", seed=2)
        wait_for(lambda: len(desk.separator.paid) == 2)
        desk.separator.hold = False
        watch.wait_done("Song.wav", "Other.wav")
        identity = desk.row(song)
    assert desk.separator.cancelled == []
    assert desk.separator.paid == ["Song.wav", "Other.wav"]
    assert identity is not None
    assert identity.identity.mtime_ns == song.stat().st_mtime_ns
    assert desk.once().of("taken") == []


@pytest.mark.parametrize("writes_tags", [False, True], ids=["separation", "separation and labels"])
def test_case_20_stems_of_one_version_never_stand_beside_the_next(labels: LabellingDesk, writes_tags: bool) -> None:
    labels.set(preset="both" if writes_tags else "")
    labels.separator.hold = True
    with labels.running() as watch:
        song = labels.song(seed=1, seconds=0.2)
        wait_for(lambda: labels.separator.paid)
        write_song(labels.home / "new.wav", 0.4, 2).replace(song)
        wait_for(lambda: labels.separator.cancelled)
        labels.separator.hold = False
        watch.wait_done("Song.wav")
    assert len(list(labels.root.glob("*.stems"))) == 1
    assert is_made_of(labels.root / "Song.stems", song)
    assert labels.separator.paid == ["Song.wav", "Song.wav"]


def test_case_20_new_version_that_comes_in_the_moment_the_labels_are_placed_is_the_one_that_stays(
    labels: LabellingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = exchange.require_same
    newer: list[Path] = []

    def look_and_replace(draft: exchange.Draft) -> None:
        look(draft)
        if not newer:
            wait_for(lambda: labels.separator.paid)
            newer.append(write_song(labels.home / "new.wav", 0.4, 2).replace(draft.file))

    monkeypatch.setattr(exchange, "require_same", look_and_replace)
    labels.separator.hold = True
    with labels.running() as watch:
        song = labels.song(seed=1, seconds=0.2)
        wait_for(lambda: labels.separator.cancelled)
        labels.separator.hold = False
        watch.wait_done("Song.wav")
    assert soundfile.info(song).duration == 0.4
    assert read_tags(song).fields["mood"] == ("Calm",)
    assert is_made_of(labels.root / "Song.stems", song)
    assert labels.separator.paid == ["Song.wav", "Song.wav"]


def test_case_20_song_replaced_at_the_last_moment_gets_no_stems_of_the_version_before(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither an event nor a look tells of it before the stems are made.
    desk.set(rescan_seconds=3600)
    replaced: list[Path] = []

    def replace() -> None:
        if not replaced:
            replaced.append(write_song(desk.home / "new.wav", 0.4, 2).replace(desk.root / "Song.wav"))

    desk.separator.fetched = replace
    with desk.running() as watch:
        monkeypatch.setattr(watch.watch._workers, "see", lambda path, identity: path in watch.watch._workers._tasks)
        desk.song(seed=1, seconds=0.2)
        wait_for(lambda: replaced)
        watch.wait("dropped", "Song.wav")
        monkeypatch.undo()
        watch.wait_done("Song.wav")
    assert is_made_of(desk.root / "Song.stems", desk.root / "Song.wav")


def make_move_fail(monkeypatch: pytest.MonkeyPatch, is_failing: Callable[[Path], bool]) -> None:
    rename = placement.rename_exclusive

    def fail(old: Path, new: Path) -> None:
        if is_failing(old):
            raise OSError(errno.EACCES, "Permission denied")
        rename(old, new)

    monkeypatch.setattr(finish, "rename_exclusive", fail)


@pytest.mark.parametrize("is_restarted", [False, True], ids=["at once", "after a restart"])
def test_case_20_half_moved_song_that_was_replaced_loses_and_overwrites_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, is_restarted: bool
) -> None:
    monkeypatch.setattr(queue, "FIRST_WAIT", 60 if is_restarted else 0.2)
    broken = {"is": True}
    make_move_fail(monkeypatch, lambda old: broken["is"] and old.suffix == ".wav")
    desk.set(done="done")
    first = desk.song(seed=1, seconds=0.2)
    if is_restarted:
        assert desk.once().of("waits") == ["Song.wav"]
        assert desk.state(first) is SongState.MOVING
        broken["is"] = False
        second = desk.song(seed=2, seconds=0.4).read_bytes()
        assert desk.once().of("done") == ["Song.wav", "Song.wav"]
    else:
        with desk.running() as watch:
            watch.wait("waits", "Song.wav")
            second = desk.song(seed=2, seconds=0.4).read_bytes()
            broken["is"] = False
            wait_for(lambda: (desk.root / "done" / "Song (2).wav").exists(), lambda: watch.listener.told)
    done = desk.root / "done"
    assert (done / "Song (2).wav").read_bytes() == second
    assert is_made_of(done / "Song (2).stems", done / "Song (2).wav")
    assert {soundfile.info(stem).duration for stem in (done / "Song.stems").iterdir()} == {0.2}
    assert not first.exists()
    assert desk.separator.paid == ["Song.wav", "Song.wav"]


@pytest.mark.parametrize("step", ["move_all", "rename_exclusive"])
def test_case_20_replaced_in_the_moment_of_the_move_stays_and_is_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    desk.set(done="done")
    song = desk.song(seed=1, seconds=0.2)
    real = getattr(finish, step)
    new = write_song(desk.home / "new.wav", 0.4, 2)

    def replace_first(*args: Any) -> None:
        # Before all that is moved; or the song alone, after the last look at it.
        if new.exists() and (step == "move_all" or args[0] == song):
            new.replace(song)
        real(*args)

    monkeypatch.setattr(finish, step, replace_first)
    told = desk.once()
    assert any("replaced meanwhile" in reason for reason in told.reasons("Song.wav"))
    desk.once()
    assert soundfile.info(desk.root / "done" / "Song (2).wav").duration == 0.4


def test_case_20_song_that_takes_the_name_of_a_failed_one_as_that_is_moved_away_is_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = desk.root / "Song.wav", write_song(desk.home / "good.wav", 0.2, 1)

    def replace_first(old: Path, new: Path) -> None:
        if old == bad and good.exists():
            good.replace(bad)
        placement.rename_exclusive(old, new)

    monkeypatch.setattr(finish, "rename_exclusive", replace_first)
    desk.set(failed="failed")
    bad.write_text("just words, no audio")
    told = [desk.once() for _ in range(2)]
    assert [name for one in told for name in one.of("done")] == ["Song.wav"]
    assert not (desk.root / "failed" / "Song.wav").exists()
    assert is_made_of(desk.root / "Song.stems", bad)


def test_song_is_moved_between_two_mounts_of_one_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(old: Path, new: Path) -> None:
        if old.parent != new.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        placement.rename_exclusive(old, new)

    monkeypatch.setattr(finish, "rename_exclusive", rename)
    desk.set(done="done")
    song = desk.song(seconds=0.2)
    told = desk.once()
    assert not any("cannot be moved" in reason for reason in told.reasons("Song.wav"))
    assert is_made_of(desk.root / "done" / "Song.stems", desk.root / "done" / "Song.wav")
    assert not song.exists()


def test_preset_with_labels_places_stems_and_writes_tags_once(labels: LabellingDesk) -> None:
    with labels.running() as watch:
        song = labels.song("Song.flac")
        watch.wait_done("Song.flac")
        labels.song("Other.flac", seed=2)
        watch.wait_done("Other.flac")
    assert read_tags(song).fields["mood"] == ("Calm",)
    assert len(labels.stems()) == 2
    assert watch.listener.of("done") == ["Song.flac", "Other.flac"]
    assert labels.separator.paid == ["Song.flac", "Other.flac"]
    assert len(labels.tagger.submitted) == 2
    assert labels.once().of("taken") == [], "the changed source is not taken again"


def test_preset_with_labels_goes_on_when_the_labels_come_first(labels: LabellingDesk) -> None:
    labels.separator.hold = True
    with labels.running() as watch:
        song = labels.song("Song.flac")
        wait_for(lambda: song.exists() and "mood" in read_tags(song).fields)
        # Looked at again and again meanwhile.
        labels.song("Other.flac", seed=2)
        wait_for(lambda: len(labels.separator.paid) == 2)
        labels.separator.hold = False
        watch.wait_done("Song.flac", "Other.flac")
    assert labels.separator.cancelled == []
    assert labels.separator.paid == ["Song.flac", "Other.flac"]


def test_preset_with_labels_moves_the_labelled_song_with_its_stems(labels: LabellingDesk) -> None:
    labels.set(done="done")
    song = labels.song("Song.flac")
    assert labels.once().of("done") == ["Song.flac"]
    assert not song.exists()
    done = labels.root / "done"
    assert read_tags(done / "Song.flac").fields["mood"] == ("Calm",)
    assert len(list((done / "Song.stems").iterdir())) == 2
    assert labels.once().of("taken") == []


def test_preset_with_labels_and_a_replaced_song_cancels_both(labels: LabellingDesk) -> None:
    labels.separator.hold = True
    with labels.running() as watch:
        song = labels.song("Song.flac")
        wait_for(lambda: "mood" in read_tags(song).fields)
        labels.song("Song.flac", seed=2, seconds=0.4)
        wait_for(lambda: labels.separator.cancelled)
        labels.separator.hold = False
        watch.wait_done("Song.flac")
    with Session(labels.context().settings, labels.context().plugins) as session:
        states = sorted(job.state for job in session.store.list())
    assert states == [JobState.CANCELLED, *[JobState.DONE] * 3]
    assert read_tags(song).fields["mood"] == ("Calm",)
    assert is_made_of(labels.root / "Song.stems", song)


def test_case_20_song_replaced_between_its_two_jobs_leaves_none_behind(
    labels: LabellingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Session.add
    replaced: list[Path] = []

    async def add_and_replace(self: Session, *args: Any, **options: Any) -> tuple[Job, bool]:
        answer = await add(self, *args, **options)
        if not replaced:
            replaced.append(write_song(labels.home / "new.wav", 0.4, 2).replace(labels.root / "Song.wav"))
        return answer

    monkeypatch.setattr(Session, "add", add_and_replace)
    labels.song(seed=1, seconds=0.2)
    labels.once()
    with labels.context().session() as session:
        states = sorted(job.state for job in session.store.list())
    assert states == [JobState.DONE, JobState.DONE, JobState.FAILED]
    assert is_made_of(labels.root / "Song.stems", labels.root / "Song.wav")
    assert labels.separator.paid == ["Song.wav"]


def test_labels_bought_before_are_taken_at_no_price(labels: LabellingDesk, tmp_path: Path) -> None:
    song = labels.song("Song.flac")
    copy = Path(shutil.copy(song, tmp_path / "Copy.flac"))

    async def buy(session: Session) -> None:
        source = await session.look(copy)
        job, _ = await session.add(source, await session.plan(source, Tagging(provider="ears")))
        await session.run([job.id])

    with labels.context().session() as session:
        asyncio.run(buy(session))
    told = labels.once()
    assert [one.text for one in told.told if one.word == "taken"] == [
        "both, 1 track with ears bought already, at no cost"
    ]
    assert read_tags(song).fields["mood"] == ("Calm",)
    assert len(labels.tagger.submitted) == 1
    with labels.context().session() as session:
        last = next(
            job for job in session.store.list() if job.source.path == song and isinstance(job.operation, Tagging)
        )
    assert ["bought before" in note for note in last.notes] == [True], "said once"


def test_case_16_song_rewritten_with_equal_size_and_time_is_noticed(desk: Desk) -> None:
    with desk.running() as watch:
        song = desk.song()
        watch.wait_done("Song.wav")
        before = song.stat()
        other = desk.song("other/Other.wav", seed=2)
        watch.wait_done("Other.wav")
        with song.open("r+b") as opened:
            opened.write(other.read_bytes())
        os.utime(song, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (song.stat().st_size, song.stat().st_ino) == (before.st_size, before.st_ino)
        wait_for(lambda: "Song.wav" in watch.listener.of("skipped"), lambda: watch.listener.told)
    assert any("the same song as" in one and "Other.wav" in one for one in watch.listener.reasons("Song.wav"))


def test_done_song_whose_permissions_change_is_told_of_once(desk: Desk) -> None:
    song = desk.song()
    assert desk.once().of("done") == ["Song.wav"]
    song.chmod(0o640)
    told = desk.once()
    assert [one for one in told.told if one.word in ("done", "skipped", "failed")] == []
    again = desk.once()
    assert again.of("settling") == []
    assert desk.separator.paid == ["Song.wav"]


def test_ledger_of_an_earlier_stembridge_is_believed(desk: Desk) -> None:
    song = desk.song()
    assert desk.once().of("done") == ["Song.wav"]
    row = desk.row(song)
    assert row is not None
    with SongLedger(desk.home / LEDGER_NAME) as ledger:
        ledger.put(msgspec.structs.replace(row, identity=row.identity._replace(ctime_ns=0)))
    assert desk.once().of("settling") == []
    assert FileIdentity.parse("1:2:3:4") == FileIdentity(1, 2, 3, 4, 5)
    assert FileIdentity(1, 2, 3, 4, 6) != FileIdentity(1, 2, 3, 4, 5)
