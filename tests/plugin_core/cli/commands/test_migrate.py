"""``stembridge jobs migrate``, and the commands over a store in PostgreSQL: they tell the same as over a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.errors import ServiceError
from plugin_core.jobs.store import Place
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakeSeparator, write_song

SECRET = "hush-hush"


def test_without_a_database_there_is_nothing_to_move_to(stembridge: Run) -> None:
    result = stembridge("jobs", "migrate", "postgresql")
    assert result.code == 2 and "[jobs] database names no database" in result.err


@pytest.mark.shared
def test_a_store_moves_there_and_back_and_every_command_tells_the_same(
    stembridge: Run,
    home: Path,
    fake: FakeSeparator,
    tmp_path: Path,
    store_place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    songs, staging = tmp_path / "songs", tmp_path / "staging"
    songs.mkdir()
    staging.mkdir()
    (home / "config.toml").write_text(f'[paths]\nsongs = "{songs}"\n')
    (home / "staging").mkdir()
    assert (home / "staging").stat().st_dev == songs.stat().st_dev, "else what was staged lay beside the songs"
    fake.submit_errors["Bad.flac"] = ServiceError("out of luck")
    for name in ("Good.flac", "Bad.flac"):
        stembridge("separate", write_song(songs / name, seed=len(name)), "--yes")
    fake.submit_errors.clear()
    asked = (("jobs", "list"), ("purchases",), ("jobs", "list", "--state", "failed"))
    before = [stembridge(*words, "--json").events for words in asked]
    failed = before[2][0]["id"]
    assert [job["state"] for job in before[0][:-1]] == ["failed", "done"]
    address = f"{store_place}&password={SECRET}"
    monkeypatch.setenv("STEMBRIDGE_JOBS_DATABASE", address)
    (home / "config.toml").write_text(f'[jobs]\nstaging = "{staging}"\n[paths]\nsongs = "{songs}"\n')
    # What could not be placed is not paid for.
    config = (home / "config.toml").read_text()
    for line, said in (
        ("", "STEMBRIDGE_JOBS_DATABASE: is of use only with [jobs] staging"),
        ('staging = "gs://bucket/a"', "gs://bucket/a is an address, and must be a folder of a share or s3://bucket"),
        ('staging = "s3://Of Mine/a"', "line 2: [jobs] staging: it names no bucket"),
    ):
        (home / "config.toml").write_text(config.replace(f'staging = "{staging}"', line))
        nowhere = stembridge("jobs", "list")
        assert nowhere.code == 2 and said in nowhere.err and len(nowhere.err.splitlines()) == 1
    (home / "config.toml").write_text(config)
    # Neither store is forgotten over the other.
    mixed = stembridge("jobs", "list")
    assert mixed.code != 0 and "jobs migrate postgresql" in mixed.err
    moved = stembridge("jobs", "migrate", "postgresql", "--json").events
    assert moved[0]["event"] == "migrated" and moved[0]["jobs"] == 2, moved
    assert [stembridge(*words, "--json").events for words in asked] == before
    # What was kept in the home is there for all machines.
    kept = {path.name: path.read_bytes() for path in (home / "purchases").rglob("*.flac")}
    assert kept and {path.name: path.read_bytes() for path in (staging / "purchases").rglob("*.flac")} == kept
    assert stembridge("jobs", "retry", failed, "--no-run").code == 0
    assert stembridge("jobs", "show", failed, "--json").events[0]["state"] == "queued"
    shown = stembridge("config", "show")
    assert SECRET not in shown.out + shown.err and "database" in shown.out
    monkeypatch.delenv("STEMBRIDGE_JOBS_DATABASE")
    gone = stembridge("jobs", "list")
    assert gone.code != 0 and "its jobs are in postgresql://" in gone.err and SECRET not in gone.err
    monkeypatch.setenv("STEMBRIDGE_JOBS_DATABASE", address)
    assert stembridge("jobs", "migrate", "sqlite").out.startswith("2 jobs and ")
    monkeypatch.delenv("STEMBRIDGE_JOBS_DATABASE")
    assert {job["state"] for job in stembridge("jobs", "list", "--json").events[:-1]} == {"queued", "done"}
