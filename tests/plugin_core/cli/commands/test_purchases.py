"""``stembridge purchases`` and ``fetch``, limits of the user's own, and what a paid run says of itself."""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from plugin_core.errors import ServiceError
from plugin_core.files import database, sqlite
from plugin_core.files.checksum import hash_file
from plugin_core.protocols import Finished, Order, Report, Waiting
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakeSeparator, write_song

EXIT_CODE_3 = "3 refused by the service or by your own limit"


@pytest.fixture(autouse=True)
def _price(fake: FakeSeparator) -> None:
    fake.price = 3.0


def flat(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def test_purchases_say_what_was_bought_and_where_it_is(stembridge: Run, tmp_path: Path) -> None:
    assert stembridge("purchases").out == "nothing was bought yet\n"
    first = write_song(tmp_path / "Some Artist/An Album/01 First.flac", 0.2, seed=1)
    second = write_song(tmp_path / "Second.flac", 0.2, seed=2)
    stembridge("separate", first)
    stembridge("separate", second)
    head, *rows, empty, total = stembridge("purchases").out.splitlines()
    assert head.split("  ")[0] == "ID" and head.endswith("SONG: ITS STEMS")
    assert "Second.flac: Second.stems" in rows[0] and "fake halves  3 " in rows[0]
    # What stands beside its song is named without saying the album twice.
    assert "Some Artist/An Album/01 First.flac: 01 First.stems" in rows[1]
    assert (empty, total[10:]) == ("", "  fake: 2 purchases, 6 credits")
    # Ids are whole, or enough of them, to be handed to ``fetch``.
    for row in rows:
        begins, remote = row.split()[0], next(word for word in row.split() if word.startswith("remote-"))
        assert stembridge("purchases", begins).out == stembridge("purchases", remote).out


def test_purchases_for_programs(stembridge: Run, fake: FakeSeparator, song: Path) -> None:
    stembridge("separate", song)
    result = stembridge("purchases", "--json")
    purchase, spent, end = result.events
    assert (purchase["event"], purchase["state"], purchase["provider"]) == ("purchase", "kept", "fake")
    assert (purchase["model"], purchase["credits"], purchase["source"]) == ("halves", 3.0, str(song))
    assert purchase["remote_id"] == f"remote-{fake.submitted[0].key}"
    assert [Path(stem["path"]).name for stem in purchase["stems"]] == ["Song - Vocals.flac", "Song - Instrumental.flac"]
    assert (spent["provider"], spent["purchases"], spent["credits"]) == ("fake", 1, 3.0)
    assert end == {"event": "summary", "count": 1, "exit_code": 0}
    assert stembridge("purchases", "--provider", "other").out == "nothing was bought yet\n"
    assert stembridge("purchases", "nonsense").code == 2


def test_stems_that_later_jobs_took_from_those_of_a_purchase_are_told_with_it(
    stembridge: Run, fake: FakeSeparator, song: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    stembridge("separate", song)
    stembridge("separate", song, "--to", tmp_path / "there")
    stembridge("separate", song, "--force", "--yes")
    stembridge("separate", song, "--stems", "vocals", "--format", "wav24", "--to", tmp_path / "there")
    newer, older = stembridge("purchases", "--json").of("purchase")
    assert len(fake.submitted) == 2
    jobs = stembridge("jobs", "list", "--json").of("job")
    derived, forced, copied, first = (job["id"] for job in jobs)
    assert (newer["jobs"], older["jobs"]) == ([derived, forced], [copied, first])
    assert "there/Song.stems and Song.stems" in stembridge("purchases", older["id"]).out
    # The same song by the same model: what tells the rows apart is said.
    rows = stembridge("jobs", "list").out.splitlines()[1:]
    assert [" ".join(row.split()[4:-1]) for row in rows] == [
        "fake halves: vocals",
        "fake halves; flac16",
        "fake halves; flac16, to there",
        "fake halves; flac16",
    ]


def test_a_purchase_is_placed_again_by_its_id(stembridge: Run, fake: FakeSeparator, song: Path) -> None:
    stembridge("separate", song)
    shutil.rmtree(song.with_suffix(".stems"))
    (purchase,) = stembridge("purchases", "--json").of("purchase")
    assert purchase["stems"] == []
    song = song.rename(song.with_name("Renamed.flac"))
    assert stembridge("fetch", "fake", purchase["id"], "--format", "wav24").code == 0
    assert sorted(path.suffix for path in song.with_suffix(".stems").iterdir()) == [".wav", ".wav"]
    assert stembridge("purchases", "--json").of("purchase")[0]["source"] == str(song)
    assert len(fake.submitted) == 1
    result = stembridge("fetch", "fake", "of-the-website")
    assert result.code == 2 and "name it: stembridge fetch fake of-the-website SONG" in result.err


def test_what_one_purchase_serves_is_priced_once_and_a_forced_one_takes_the_place_of_its_like(
    stembridge: Run, fake: FakeSeparator, song: Path
) -> None:
    copy = shutil.copy(song, song.with_name("Copy.flac"))
    (price,) = stembridge("separate", song, copy, "--dry-run", "--json").of("price")
    assert (price["tracks"], price["credits"], price["bought"]) == (1, 3.0, 1)
    told = stembridge("separate", song, copy).out
    assert "1 track with fake, about 3 credits, and 1 from the same purchase, at no cost" in told
    assert len(fake.submitted) == 1
    forced = stembridge("separate", song, copy, "--force", "--dry-run").out
    assert "2 tracks with fake, about 6 credits" in forced and "Song.stems" in forced and "(2)" not in forced
    stembridge("separate", song, copy, "--force")
    assert len(fake.submitted) == 3 and not song.with_name("Song (2).stems").exists()


def test_what_was_gone_and_is_bought_again_counts_as_much_as_before(
    stembridge: Run, fake: FakeSeparator, song: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was to cost nothing, since its song was bought already, bought it anew for nothing on record."""
    stembridge("separate", song)
    shutil.rmtree(song.with_suffix(".stems"))
    shutil.rmtree(home / "purchases")

    poll = fake.poll

    async def forget_the_first(order: Order, report: Report) -> Waiting | Finished:
        if order.key == fake.submitted[0].key:
            raise ServiceError("expired")
        return await poll(order, report)

    monkeypatch.setattr(fake, "poll", forget_the_first)
    assert stembridge("separate", song).code == 1
    job, _ = stembridge("jobs", "list", "--json").of("job")
    assert "at no cost" in stembridge("separate", song, "--dry-run").out
    assert stembridge("jobs", "retry", job["id"], "--force").code == 0
    assert len(fake.submitted) == 2
    assert [one["credits"] for one in stembridge("purchases", "--json").of("purchase")] == [3.0, 3.0]


@pytest.mark.parametrize("word", ["run", "day", "month"])
def test_a_limit_ends_what_goes_beyond_it_with_exit_code_3(
    stembridge: Run, fake: FakeSeparator, home: Path, tmp_path: Path, word: str
) -> None:
    (home / "config.toml").write_text(f"[spend.fake]\n{word} = 7\n")
    songs = [write_song(tmp_path / f"Song {number}.flac", 0.2, seed=number) for number in range(3)]
    result = stembridge("separate", *songs)
    assert (result.code, len(fake.submitted)) == (3, 2)
    assert f"your own limit of 7 for fake ([spend.fake] {word}) would be passed: 6 is spent" in result.err
    # A run counts for itself, a day does not.
    again = stembridge("separate", *songs)
    assert (again.code, len(fake.submitted)) == ((0, 3) if word == "run" else (3, 2))


def test_tracks_count_where_no_price_is_known(stembridge: Run, fake: FakeSeparator, home: Path, tmp_path: Path) -> None:
    fake.price = None
    (home / "config.toml").write_text("[spend.fake]\nday = 1\n")
    songs = [write_song(tmp_path / f"Song {number}.flac", 0.2, seed=number) for number in range(2)]
    assert stembridge("separate", *songs).code == 3
    assert len(fake.submitted) == 1


@pytest.mark.parametrize("command", ["separate", "run", "tag"])
def test_help_says_that_a_limit_of_ones_own_is_a_refusal(stembridge: Run, command: str) -> None:
    assert EXIT_CODE_3 in flat(stembridge(command, "--help").out)
    assert EXIT_CODE_3 in flat((Path(__file__).parents[4] / "plugin_core/cli/README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("setting", ["keep_days", "keep_gb"])
def test_what_is_kept_of_purchases_is_tidied_after_a_run(
    stembridge: Run, fake: FakeSeparator, home: Path, tmp_path: Path, setting: str
) -> None:
    stembridge("separate", write_song(tmp_path / "First.flac", 0.2, seed=1))
    assert [one["state"] for one in stembridge("purchases", "--json").of("purchase")] == ["kept"]
    (home / "config.toml").write_text(f"[purchases]\n{setting} = 0\n")
    stembridge("separate", write_song(tmp_path / "Second.flac", 0.2, seed=2))
    told = stembridge("purchases", "--json").of("purchase")
    # The service was told to forget it once it was home.
    assert {(one["state"], one["kept"]) for one in told} == {("expired", 0)}
    assert not list((home / "purchases").glob("*/*.flac"))
    assert {one["reason"] for one in told} == {"its results are kept no longer"}


def test_verbose_shows_the_paid_life_of_a_job(stembridge: Run, song: Path, home: Path) -> None:
    result = stembridge("-v", "separate", song)
    life = [line for line in result.err.splitlines() if "job " in line]
    words = [
        r"planned, Song\.flac|planned, .*/Song\.flac with fake",
        r"sent to fake as [0-9a-f-]{36} for about 3 credits: .*'model': 'halves'",
        r"the service has it as 'remote-[0-9a-f-]{36}'",
        r"ready, 2 results",
        *(
            f"fetched {stem}, {path.stat().st_size} bytes, sha256 {hash_file(path).sha256}, as {path.name}"
            for stem, path in zip(
                ("Vocals", "Instrumental"), sorted(home.glob("purchases/*/*.flac"), reverse=True), strict=True
            )
        ),
        r"placed at .*Song\.stems",
    ]
    assert [bool(re.search(word, line)) for word, line in zip(words, life, strict=True)] == [True] * len(words)
    # The log file has the same, without being asked.
    log = (home / "logs/stembridge.log").read_text(encoding="utf-8")
    assert all(line.removeprefix("stembridge: ") in log for line in life)
    assert "planned" not in stembridge("separate", write_song(song.with_name("Other.flac"), 0.2, seed=3)).err


def test_verbose_says_that_a_refused_job_costs_nothing(stembridge: Run, fake: FakeSeparator, song: Path) -> None:
    fake.submit_errors["Song.flac"] = ServiceError("no such model any more")
    result = stembridge("-v", "separate", song)
    assert result.code == 1
    assert re.search(r"job \S+: [0-9a-f-]{36} costs nothing: no such model any more", result.err)


def test_a_store_in_use_is_waited_for_with_one_line(
    stembridge: Run, fake: FakeSeparator, home: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SAID_AFTER", 0.2)
    monkeypatch.setattr(sqlite, "_SLICE_MS", 100)
    monkeypatch.setattr(sqlite, "BUSY_MS", 300)
    stembridge("separate", write_song(song.with_name("Other.flac"), 0.2, seed=3))
    other = sqlite3.connect(home / "jobs.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    # Longer than a command that pays nothing would wait.
    release = threading.Timer(2.0, lambda: other.execute("ROLLBACK"))
    release.start()
    result = stembridge("separate", song)
    release.join()
    other.close()
    assert result.code == 0, result.err
    assert result.err.count("the job store is in use by another process; waiting for it") == 1
    assert len(fake.submitted) == 2
