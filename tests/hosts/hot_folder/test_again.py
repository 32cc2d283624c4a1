"""Cases 13, 16, 19, 20, 30, 31, 34 to 38: versions, duplicates, bad input, and what comes after."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import msgspec
import pytest
from stembridge_hot_folder import finish, queue, task
from stembridge_hot_folder.ledger import LEDGER_NAME, SongLedger, SongState
from stembridge_hot_folder.run import preview_folders

from plugin_core.audio.ffmpeg import find_encoder
from plugin_core.cli.app import run
from plugin_core.errors import MissingToolError, OutcomeUnknownError, ServiceError, SourceError, TransientError
from plugin_core.files import placement
from plugin_core.model import Plan, Separation, Source, Ticket
from plugin_core.protocols import Finished, Order, Report, Waiting
from tests.audio_files import encode
from tests.hosts.hot_folder.conftest import Desk, Listener, wait_for
from tests.hosts.hot_folder.labelling import PRESET, LabellingDesk
from tests.hosts.hot_folder.separator import CheapSeparator
from tests.plugin_core.cli.fakes import write_song
from tests.plugin_core.sessions.readers import read_rpp


def test_case_13_duplicate_events_make_one_job(desk: Desk) -> None:
    desk.separator.polls = 4
    with desk.running() as watch:
        song = desk.song()
        for _ in range(20):
            os.utime(song, ns=(song.stat().st_atime_ns, song.stat().st_mtime_ns))
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Song.wav"]
    assert watch.listener.of("queued") == watch.listener.of("taken") == ["Song.wav"]


def test_case_16_same_name_with_new_content_is_a_new_run_and_clobbers_nothing(desk: Desk) -> None:
    desk.song(seed=1)
    desk.once()
    before = {path.name: path.read_bytes() for path in (desk.root / "Song.stems").iterdir()}
    desk.song(seed=2)
    assert desk.once().of("done") == ["Song.wav"]
    assert desk.separator.paid == ["Song.wav", "Song.wav"]
    assert {path.name: path.read_bytes() for path in (desk.root / "Song.stems").iterdir()} == before
    assert len(list((desk.root / "Song (2).stems").iterdir())) == 2


def test_case_16_same_content_under_another_name_is_skipped_unless_wanted(desk: Desk) -> None:
    desk.song("One.wav")
    desk.once()
    desk.song("Two.wav")
    told = desk.once()
    assert told.of("skipped") == ["Two.wav"]
    assert "the same song as" in told.reasons("Two.wav")[-1]
    desk.song("Three.wav")
    desk.set(again="yes")
    assert desk.once().of("done") == ["Three.wav"]


def test_case_16_same_name_and_content_dropped_again(desk: Desk) -> None:
    desk.song()
    desk.once()
    desk.song()
    assert desk.once().of("skipped") == ["Song.wav"]
    shutil.rmtree(desk.root / "Song.stems")
    desk.song()
    assert desk.once().of("done") == ["Song.wav"]


def test_case_16_retry_does_a_finished_song_again(desk: Desk) -> None:
    song = desk.song()
    desk.once()
    context = desk.context()
    from stembridge_hot_folder.status import retry_songs

    assert retry_songs(context, [song], failed=False, as_json=True) == 0
    assert desk.once().of("done") == ["Song.wav"]
    assert desk.separator.paid == ["Song.wav", "Song.wav"]


def test_case_16_renamed_hot_folder_redoes_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.song("sub/Song.wav")
    desk.once()
    desk.root.rename(tmp_path / "renamed")
    told = desk.once(tmp_path / "renamed")
    assert told.of("skipped") == ["Song.wav"]
    assert desk.separator.paid == ["Song.wav"]


@pytest.mark.parametrize("takes_its_place", ["nothing", "a folder"])
def test_case_19_song_that_vanishes_while_it_is_worked_on_is_cancelled_quietly(
    desk: Desk, takes_its_place: str
) -> None:
    desk.separator.hold = True
    with desk.running() as watch:
        song = desk.song()
        wait_for(lambda: desk.separator.paid)
        song.unlink()
        if takes_its_place == "a folder":
            song.mkdir()
        watch.wait("dropped", "Song.wav")
        assert desk.separator.cancelled == ["Song.wav"]
        assert watch.listener.of("failed") == []
    assert not list(desk.root.glob("*.error.txt"))
    assert desk.state(song) is None


def test_case_19_song_that_vanishes_before_it_is_taken(desk: Desk) -> None:
    song = desk.root / "Song.wav"
    with desk.running() as watch:
        watch.listener.on["settling"] = lambda: song.unlink(missing_ok=True)
        desk.song(song.name)
        wait_for(lambda: not song.exists())
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")
    assert watch.listener.of("failed") == []
    assert desk.separator.paid == ["Other.wav"]


def test_case_19_song_whose_job_ends_without_it_is_told_with_what_was_bought_for_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is quicker than the look at its song's folder."""
    monkeypatch.setattr(task.SongTask, "vanish", lambda self: None)
    song = desk.song()
    desk.separator.fetched = lambda: song.unlink(missing_ok=True)
    listener = desk.once()
    (told,) = [one.text for one in listener.told if one.word == "dropped"]
    assert told == "it is gone or was replaced; what was bought for it is kept, and costs nothing should it come back"


@pytest.mark.parametrize("moment", ["queued", "taken"])
def test_case_19_song_that_vanishes_at_a_bad_moment_is_dropped_quietly(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    tell = Listener.tell

    def tell_and_remove(self: Listener, word: str, path: bytes, text: str = "", *, is_trouble: bool = False) -> None:
        tell(self, word, path, text, is_trouble=is_trouble)
        if word == moment and path.endswith(b"Song.wav"):
            os.unlink(path)  # noqa: PTH108 - bytes

    monkeypatch.setattr(Listener, "tell", tell_and_remove)
    with desk.running() as watch:
        song = desk.song()
        wait_for(lambda: not song.exists())
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")
        wait_for(lambda: watch.watch.counts().working == 0)
    assert watch.listener.of("failed") == []
    assert watch.listener.of("done") == ["Other.wav"]
    assert not list(desk.root.glob("Song*"))


def test_case_20_song_replaced_while_it_is_worked_on_is_done_anew(desk: Desk) -> None:
    desk.separator.hold = True
    with desk.running() as watch:
        desk.song(seed=1)
        wait_for(lambda: desk.separator.paid)
        desk.song(seed=2)
        wait_for(lambda: desk.separator.cancelled)
        desk.separator.hold = False
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Song.wav", "Song.wav"]
    assert len(list(desk.root.glob("*.stems"))) == 1


def test_case_30_song_over_the_services_limit_fails_before_upload(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(source: object, wish: object) -> object:
        raise SourceError("the song is longer than the service takes (10 min)", remedy="cut it")

    monkeypatch.setattr(desk.separator, "plan", refuse)
    song = desk.song()
    desk.once()
    assert desk.separator.paid == []
    text = (desk.root / "Song.wav.error.txt").read_text("utf-8")
    assert "longer than the service takes" in text
    assert "cut it" in text
    assert desk.state(song) is SongState.FAILED


def make_bad(kind: str, path: Path, tmp_path: Path) -> Path:
    if kind == "text":
        path.write_text("just words\n" * 100)
    elif kind == "zero-length audio":
        whole = write_song(tmp_path / "w.wav", 0.1).read_bytes()
        path.write_bytes(whole[:40] + (0).to_bytes(4, "little"))
        data = bytearray(path.read_bytes())
        data[4:8] = (36).to_bytes(4, "little")
        path.write_bytes(data)
    elif kind == "protected":
        # As the store sold them: an MP4 whose sound has "drms" in place of "mp4a" for its kind.
        whole = encode(write_song(tmp_path / "w.wav", 1.0), tmp_path / "w.m4a").read_bytes()
        path = path.with_suffix(".m4p")
        path.write_bytes(whole.replace(b"mp4a", b"drms").replace(b"ftypM4A ", b"ftypM4P "))
    else:
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5000))
    return path


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("text", "is not audio"),
        ("zero-length audio", "holds no samples"),
        ("protected", "is protected against copying"),
        ("picture", "holds no audio"),
    ],
)
def test_case_31_what_is_no_audio_fails_with_a_reason_and_the_rest_goes_on(
    desk: Desk, tmp_path: Path, kind: str, why: str
) -> None:
    desk.set(settle_seconds=0.05)
    bad = make_bad(kind, desk.root / "Bad.wav", tmp_path)
    desk.song(seed=3)
    told = desk.once()
    assert told.of("done") == ["Song.wav"]
    assert told.of("failed") == [bad.name]
    assert why in bad.with_name(f"{bad.name}.error.txt").read_text("utf-8")
    assert desk.once().reasons(bad.name)[-1].endswith("as before"), "no retry of what cannot change"


def test_case_31_video_container_is_told_or_done(desk: Desk, tmp_path: Path) -> None:
    song = write_song(tmp_path / "s.wav", 0.5)
    target = tmp_path / "Film.mka"
    encode(song, target)
    shutil.copy(target, desk.root / "Film.mka")
    told = desk.once()
    assert told.of("done") + told.of("failed") == ["Film.mka"]


def test_case_31_a_new_version_of_a_failed_song_is_a_new_attempt_and_its_error_file_goes(desk: Desk) -> None:
    (desk.root / "Song.wav").write_text("just words, no audio")
    desk.once()
    assert (desk.root / "Song.wav.error.txt").exists()
    desk.song()
    assert desk.once().of("done") == ["Song.wav"]
    assert not (desk.root / "Song.wav.error.txt").exists()


def test_case_31_an_error_file_of_the_users_is_never_overwritten(desk: Desk) -> None:
    (desk.root / "Song.wav").write_text("just words, no audio")
    (desk.root / "Song.wav.error.txt").write_text("my own notes")
    desk.once()
    assert (desk.root / "Song.wav.error.txt").read_text() == "my own notes"
    assert "What happened" in (desk.root / "Song.wav.error (2).txt").read_text()


def test_case_34_folder_config_edited_while_running(desk: Desk) -> None:
    config = desk.root / "stembridge.toml"
    config.write_text('[folders]\nmine = "karaoke"\n')
    with desk.running() as watch:
        desk.song("mine/One.wav", seed=1)
        watch.wait_done("One.wav")
        config.write_text('preset = "nonsense"\n')
        wait_for(lambda: any("nonsense" in one.text for one in watch.listener.told))
        desk.song("mine/Two.wav", seed=2)
        watch.wait_done("Two.wav")
        config.write_text('[folders]\nmine = "vocals"\n')
        recipes = watch.watch._tools.recipes[os.fsencode(desk.root)]
        wait_for(lambda: recipes.choose(os.fsencode(desk.root / "mine" / "x.wav")).preset == "vocals")
        desk.song("mine/Three.wav", seed=3)
        watch.wait_done("Three.wav")
    assert {path.name for path in (desk.root / "mine" / "Three.stems").iterdir()} == {"Three - Vocals.wav"}


def test_presets_by_folder(desk: Desk) -> None:
    desk.song("vocals/Song.wav", seed=1)
    desk.song("vocals/deep/Other.wav", seed=2)
    desk.song("holiday/Third.wav", seed=3)
    told = desk.once()
    assert sorted(told.of("done")) == ["Other.wav", "Song.wav", "Third.wav"]
    assert [path.name for path in (desk.root / "vocals" / "Song.stems").iterdir()] == ["Song - Vocals.wav"]
    assert [path.name for path in (desk.root / "vocals/deep/Other.stems").iterdir()] == ["Other - Vocals.wav"]
    assert len(list((desk.root / "holiday" / "Third.stems").iterdir())) == 2
    assert any("'holiday' names no preset" in one.text for one in told.told)


def test_case_35_permanent_failure_fails_at_once(desk: Desk) -> None:
    desk.separator.trouble = ServiceError("this song cannot be separated", remedy="ask the service")
    song = desk.song()
    assert desk.once().of("failed") == ["Song.wav"]
    assert "ask the service" in (desk.root / "Song.wav.error.txt").read_text()
    assert desk.state(song) is SongState.FAILED


def test_case_35_transient_trouble_makes_room_for_others_and_is_never_given_up(desk: Desk) -> None:
    desk.set(attempts=1, at_once=1)
    desk.separator.trouble = TransientError("the service is away", retry_after=0.01)
    with desk.running() as watch:
        desk.song("Bad.wav", seed=1)
        wait_for(lambda: (desk.root / "Bad.wav.error.txt").exists())
        assert "the service is away" in (desk.root / "Bad.wav.error.txt").read_text("utf-8")
        desk.separator.trouble = None
        desk.song("Good.wav", seed=2)
        watch.wait_done("Good.wav", "Bad.wav")
    assert not (desk.root / "Bad.wav.error.txt").exists()


def test_done_songs_move_with_their_stems(desk: Desk) -> None:
    desk.set(done="done")
    song = desk.song("vocals/Song.wav")
    assert desk.once().of("done") == ["Song.wav"]
    assert not song.exists()
    assert (desk.root / "done/vocals/Song.wav").exists()
    assert (desk.root / "done/vocals/Song.stems/Song - Vocals.wav").exists()
    assert desk.once().of("taken") == []


@pytest.mark.parametrize("is_beside", [True, False], ids=["beside", "elsewhere"])
def test_sessions_find_their_song_where_it_was_moved_to(desk: Desk, tmp_path: Path, is_beside: bool) -> None:
    """The song and the folder of its stems have another number there, or stems that stay elsewhere do not move."""
    (tmp_path / "stems").mkdir()
    to = "" if is_beside else f', to = "{tmp_path / "stems"}"'
    (desk.home / "config.toml").write_text(
        f'[presets.session]\noperations = [{{ kind = "separation", provider = "fake", project = "rpp"{to} }}]\n'
    )
    desk.set(done="done", preset="session")
    mine = desk.root / "done/Song.wav"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    desk.song()
    assert desk.once().of("done") == ["Song.wav"]
    song = desk.root / "done/Song (2).wav"
    folder = desk.root / "done/Song (2).stems" if is_beside else tmp_path / "stems/Song.stems"
    score = read_rpp(folder / "Song.rpp")
    assert score.played[0].file == ("../Song (2).wav" if is_beside else str(song))
    assert all((folder / one.file).exists() for one in score.played)
    assert song.exists() and mine.read_bytes() == b"mine"


def test_case_36_move_to_another_disk_copies_checks_and_removes(desk: Desk, other_disk: Path) -> None:
    desk.set(done=other_disk / "done")
    song = desk.song()
    content = song.read_bytes()
    desk.once()
    assert (other_disk / "done" / "Song.wav").read_bytes() == content
    assert len(list((other_disk / "done" / "Song.stems").iterdir())) == 2
    assert [path.name for path in desk.root.iterdir()] == [".stembridge.lock"]
    assert not list((other_disk / "done").glob(".*"))


def test_case_21_only_the_move_is_retried_after_a_finished_job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from stembridge_hot_folder import queue

    monkeypatch.setattr(queue, "FIRST_WAIT", 0.2)
    broken = {"is": True}
    rename = placement.rename_exclusive

    def fail(old: Path, new: Path) -> None:
        if broken["is"]:
            raise OSError(errno.EACCES, "Permission denied")
        rename(old, new)

    monkeypatch.setattr(finish, "rename_exclusive", fail)
    desk.set(done="done")
    with desk.running() as watch:
        desk.song()
        watch.wait("waits", "Song.wav")
        broken["is"] = False
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Song.wav"]
    assert (desk.root / "done" / "Song.stems").is_dir()
    assert not list(desk.root.glob("*.error.txt"))


def test_case_37_collision_in_done_is_numbered(desk: Desk) -> None:
    desk.set(done="done")
    for seed in (1, 2):
        desk.song(seed=seed)
        desk.once()
    names = sorted(path.name for path in (desk.root / "done").iterdir())
    assert names == ["Song (2).stems", "Song (2).wav", "Song.stems", "Song.wav"]


def test_case_38_apple_double_moves_with_its_file(desk: Desk) -> None:
    desk.set(done="done")
    desk.song()
    (desk.root / "._Song.wav").write_bytes(b"\0\5\x16\7")
    desk.once()
    assert (desk.root / "done" / "._Song.wav").exists()
    assert not (desk.root / "._Song.wav").exists()


def test_case_16_song_renamed_after_it_was_done_stays_done_and_is_no_duplicate(desk: Desk) -> None:
    desk.set(duplicates="duplicates")
    song = desk.song()
    desk.once()
    renamed = song.rename(desk.root / "Renamed.wav")
    listener = desk.once()
    why = f"done before it was renamed, as {song}; its stems stand in {desk.root / 'Song.stems'}; to do it all the same"
    assert [one.text.partition(": ")[0] for one in listener.told if one.word == "skipped"] == [why]
    assert renamed.exists() and not (desk.root / "duplicates").exists()
    assert (desk.state(song), desk.state(renamed)) == (None, SongState.DONE)
    assert desk.once().told[1:] == desk.once().told[1:], "told once"
    assert desk.separator.paid == ["Song.wav"]
    # One that is a duplicate is still told from one that is not.
    desk.song("Copy.wav")
    assert desk.once().of("moved") == ["Copy.wav"]


def test_new_version_of_a_failed_song_is_a_duplicate_of_one_that_is_gone_and_not_done_itself(
    desk: Desk, tmp_path: Path
) -> None:
    song = desk.song()
    bad = tmp_path / "other" / "Bad.wav"
    bad.parent.mkdir()
    bad.write_text("just words, no audio")
    assert desk.once(desk.root, bad.parent).of("failed") == ["Bad.wav"]
    song.replace(bad)
    told = desk.once(bad.parent)
    [why] = [one.text for one in told.told if one.word == "skipped"]
    assert why.startswith(f"the same song as {song}, which is done")
    row = desk.row(bad)
    assert row is not None and row.state is SongState.SKIPPED
    assert desk.separator.paid == ["Song.wav"]


def test_song_renamed_after_it_was_only_labelled_is_told_without_stems(desk: Desk, tmp_path: Path) -> None:
    labelling = LabellingDesk(desk)
    config = labelling.home / "config.toml"
    config.write_text(PRESET.replace('{ kind = "separation" }, ', ""))
    song = labelling.song()
    assert labelling.once().of("done") == ["Song.wav"]
    # Another host took it along and told the core; a copy of it comes here again.
    away = song.rename(tmp_path / "Away.wav")
    with labelling.context().session() as session:
        assert session.moved(song, away) == 1
    shutil.copy(away, labelling.root / "Renamed.wav")
    [why] = [one.text for one in labelling.once().told if one.word == "skipped"]
    assert why.startswith(f"done before it was renamed, as {song}; to do it all the same: ")


def test_dry_run_makes_nothing(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    import stembridge_hot_folder.plugin

    from plugin_core.console.context import Context
    from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, load_fakes

    desk.song()
    context = desk.context()
    plugins = load_fakes(
        FakePoint("fake", FakePlugin(desk.separator)), FakePoint("hot_folder", stembridge_hot_folder.plugin)
    )
    before = sorted(desk.root.rglob("*"))
    assert run(["watch", str(desk.root), "--dry-run"], Context(context.settings, plugins)) == 0
    assert "Song.wav" in capsys.readouterr().out
    assert sorted(desk.root.rglob("*")) == before
    assert not (desk.home / "hot_folder.sqlite3").exists()


def test_what_was_bought_before_is_taken_at_no_price(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.separator.price = 2.0
    desk.song("One.wav")
    assert [one.text for one in desk.once().told if one.word == "taken"] == [
        "separate, 1 track with fake, about 2 credits"
    ]
    desk.song("Two.wav")
    desk.set(again="yes")
    capsys.readouterr()
    preview_folders(desk.context(), [desk.root], again=True, as_json=False)
    assert "about 2 credits" not in capsys.readouterr().out
    told = desk.once()
    assert [one.text for one in told.told if one.word == "taken"] == [
        "separate, 1 track with fake bought already, at no cost"
    ]
    assert told.of("done") == ["Two.wav"]
    assert desk.separator.paid == ["One.wav"]


def test_a_service_without_a_price_is_announced(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.separator.price = None
    desk.song("One.wav")
    preview_folders(desk.context(), [desk.root], again=False, as_json=False)
    assert "1 track with fake, price not known" in capsys.readouterr().out
    told = [one.text for one in desk.once().told if one.word == "taken"]
    assert told == ["separate, 1 track with fake, price not known"]


def test_watch_retry_looks_first_and_buys_again_by_force_alone(desk: Desk) -> None:
    from stembridge_hot_folder.status import retry_songs

    separator, poll = desk.separator, desk.separator.poll

    async def expire(order: Order, report: Report) -> Waiting | Finished:
        if len(separator.paid) == 1:
            raise ServiceError("the result has expired")
        return await poll(order, report)

    separator.poll = expire  # type: ignore[method-assign]
    song = desk.song()
    assert desk.once().of("failed") == ["Song.wav"]
    retry_songs(desk.context(), [song], failed=False, as_json=True)
    assert desk.once().of("failed") == ["Song.wav"]
    assert separator.paid == ["Song.wav"]
    retry_songs(desk.context(), [], failed=True, as_json=True, force=True)
    assert desk.once().of("done") == ["Song.wav"]
    assert separator.paid == ["Song.wav", "Song.wav"]


def test_watch_retry_of_an_unconfirmed_song_takes_what_the_service_has(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stembridge_hot_folder.status import retry_songs

    from plugin_core.jobs import engine
    from plugin_core.jobs.policy import Backoff, Policy

    hasty = Policy(backoff=Backoff(first=0.05), search_for=0.2, settle=0.05)
    monkeypatch.setattr(engine, "Policy", lambda: hasty)
    separator, submit, find = desk.separator, desk.separator.submit, desk.separator.find

    async def lose(order: Order, report: Report) -> Ticket:
        await submit(order, report)
        raise OutcomeUnknownError("the answer was lost")

    async def shrug(order: Order) -> Ticket | None:
        raise OutcomeUnknownError("the service does not say")

    separator.submit, separator.find = lose, shrug  # type: ignore[method-assign]
    song = desk.song()
    assert desk.once().of("unconfirmed") == ["Song.wav"]
    separator.find = find  # type: ignore[method-assign]
    retry_songs(desk.context(), [song], failed=False, as_json=True)
    assert desk.once().of("done") == ["Song.wav"]
    assert separator.paid == ["Song.wav"]


def test_once_ends_with_the_same_code_for_the_same_failed_song_each_time(desk: Desk) -> None:
    bad = desk.root / "Bad.wav"
    bad.write_text("just words, no audio")
    for word in ("failed", "failed", "failed"):
        told = desk.once()
        assert told.code == 1  # type: ignore[attr-defined]
        assert told.of(word) == ["Bad.wav"]
    assert "as before" in told.reasons("Bad.wav")[-1]
    row = desk.row(bad)
    assert row is not None
    with SongLedger(desk.home / LEDGER_NAME) as ledger:
        ledger.put(msgspec.structs.replace(row, state=SongState.UNCONFIRMED))
    assert [desk.once().code for _ in range(2)] == [4, 4]  # type: ignore[attr-defined]
    bad.unlink()
    assert desk.once().code == 0  # type: ignore[attr-defined]


def test_failed_songs_and_duplicates_move_out_where_the_settings_say_so(desk: Desk) -> None:
    desk.set(failed="failed", duplicates="twice", done="done")
    (desk.root / "album").mkdir()
    (desk.root / "album" / "Bad.wav").write_text("just words, no audio")
    (desk.root / "album" / "._Bad.wav").write_bytes(b"side")
    desk.song("Song.wav", seed=1)
    first = desk.once()
    assert (first.of("failed"), first.of("done"), first.of("moved")) == (["Bad.wav"], ["Song.wav"], ["Bad.wav"])
    assert first.code == 1  # type: ignore[attr-defined]
    failed = desk.root / "failed" / "album"
    assert sorted(path.name for path in failed.iterdir()) == ["._Bad.wav", "Bad.wav", "Bad.wav.error.txt"]
    note = (failed / "Bad.wav.error.txt").read_text()
    assert "not audio" in note
    assert f"put it back into {desk.root}" in note
    assert "watch retry" not in note
    desk.set(at_once=1)
    desk.song("Again.wav", seed=1)
    # The first that is looked at: what was done under its name before must stay known.
    os.utime(desk.song("Song.wav", seed=1), (1e9, 1e9))
    second = desk.once()
    assert second.code == 0  # type: ignore[attr-defined]
    assert second.of("failed") == []
    assert sorted(second.of("moved")) == ["Again.wav", "Song.wav"]
    assert sorted(path.name for path in (desk.root / "twice").iterdir()) == ["Again.wav", "Song.wav"]
    # A song whose own stems lie beside it has nowhere better to be.
    third = desk.root / "Third.wav"
    (desk.root / "done" / "Song.stems").rename(desk.root / "Third.stems")
    (desk.root / "done" / "Song.wav").rename(third)
    (desk.root / "Third.stems" / "Song - Vocals.wav.reapeaks").write_text("what a DAW leaves beside what it plays")
    assert desk.once().of("skipped") == ["Third.wav"]
    assert third.exists()
    assert desk.separator.paid == ["Song.wav"]


def test_failed_song_that_cannot_be_moved_stays_with_its_note(desk: Desk) -> None:
    (desk.root / "failed").write_text("a file of the user's")
    desk.set(failed="failed")
    (desk.root / "Bad.wav").write_text("just words, no audio")
    told = desk.once()
    assert any("stays where it is" in one.text for one in told.told if one.word == "warning")
    assert "put it back" in (desk.root / "Bad.wav.error.txt").read_text()
    (desk.root / "failed").unlink()
    write_song(desk.root / "Bad.wav", 0.2, 1)
    assert desk.once().of("done") == ["Bad.wav"]
    assert not list(desk.root.glob("*.error*"))


def test_song_that_needs_ffmpeg_is_taken_once_it_is_there(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it gives back of such a song the cheap separator cannot make.
    desk.separator.hold = True
    monkeypatch.setattr(queue, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(queue, "LONGEST_WAIT", 0.4)
    song = encode(write_song(tmp_path / "s.wav", 0.5, 1), tmp_path / "Song.wma")
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with desk.running() as watch:
        shutil.copy(song, desk.root / "Song.wma")
        watch.wait("waits", "Song.wma")
        assert desk.state(desk.root / "Song.wma") is SongState.WAITING
        assert "ffmpeg" in (desk.root / "Song.wma.error.txt").read_text("utf-8")
        assert desk.separator.paid == []
        monkeypatch.setenv("PATH", path)
        wait_for(lambda: desk.separator.paid == ["Song.wma"], lambda: watch.listener.told)
    assert watch.listener.of("failed") == []


def test_song_whose_stems_need_ffmpeg_is_tried_more_often_than_one_in_other_trouble(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(queue, "LONGEST_WAIT", 0.1)
    desk.set(attempts=1)

    def need() -> None:
        raise MissingToolError("ffmpeg is needed", remedy="install it")

    desk.separator.fetched = need
    with desk.running() as watch:
        desk.song()
        wait_for(lambda: len(watch.listener.of("waits")) >= 3, lambda: watch.listener.told)
        desk.separator.fetched = lambda: None
        watch.wait_done("Song.wav")
    assert watch.listener.of("failed") == []
    assert desk.separator.paid == ["Song.wav"]


def test_preset_that_needs_ffmpeg_waits_with_one_warning(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(queue, "LONGEST_WAIT", 0.4)
    plan = CheapSeparator.plan

    async def need(self: CheapSeparator, source: Source, wish: Separation) -> Plan:
        find_encoder("mp3")
        return await plan(self, source, wish)

    monkeypatch.setattr(CheapSeparator, "plan", need)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(desk.home))
    with desk.running() as watch:
        for number in range(3):
            desk.song(f"{number}.wav", seed=number)
        wait_for(lambda: len(watch.listener.of("waits")) >= 4)
        monkeypatch.setenv("PATH", path)
        watch.wait_done("0.wav", "1.wav", "2.wav")
    assert len(watch.listener.of("warning")) == 1
    assert watch.listener.of("failed") == []
