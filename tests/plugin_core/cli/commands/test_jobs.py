from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.console.tables import unique_length
from plugin_core.errors import ServiceError
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakeSeparator, write_song


@pytest.fixture
def failed(stembridge: Run, song: Path, fake: FakeSeparator) -> str:
    """Leave one failed job behind, whose next try will do."""
    fake.submit_errors["Song.flac"] = ServiceError("out of luck", remedy="try luck")
    job_id: str = stembridge("separate", song, "--json").of("job")[-1]["id"]
    fake.submit_errors.clear()
    return job_id


def test_no_jobs(stembridge: Run) -> None:
    assert stembridge("jobs") == (0, "no jobs\n", "")
    empty = (0, '{"event":"summary","count":0,"exit_code":0}\n', "")
    assert stembridge("jobs", "list", "--json") == stembridge("jobs", "--json") == empty
    assert stembridge("jobs", "--json", "list") == empty


def test_list_is_newest_first_and_filtered(stembridge: Run, failed: str, tmp_path: Path) -> None:
    done = stembridge("separate", write_song(tmp_path / "Other.flac", seed=5), "--json").of("job")[-1]["id"]
    assert [job["id"] for job in stembridge("jobs", "list", "--json").of("job")] == [done, failed]
    assert [job["id"] for job in stembridge("jobs", "list", "--state", "failed", "--json").of("job")] == [failed]
    assert stembridge("jobs", "list", "--state", "active", "--json").of("job") == []
    head, *rows = stembridge("jobs", "list").out.splitlines()
    assert head.split() == ["ID", "STATE", "AGE", "WHAT", "SOURCE"]
    assert rows[0].split()[1:2] == ["done"]
    assert rows[1].endswith("Song.flac")
    limited = stembridge("jobs", "list", "--limit", 1)
    assert limited.out.splitlines()[-1] == "1 more: --limit 2"


def test_the_id_that_list_shows_is_enough_for_show(stembridge: Run, failed: str) -> None:
    shown = stembridge("jobs", "list").out.splitlines()[1].split()[0]
    page = stembridge("jobs", "show", shown)
    assert page.code == 0
    for text in (failed, "failed", "Song.flac", "fake halves", "out of luck; try luck"):
        assert text in page.out
    job, end = stembridge("jobs", "show", failed, "--json").events
    assert end == {"event": "summary", "count": 1, "exit_code": 0}
    assert stembridge("jobs", "--json").events == [job, end]
    assert job["error"]["message"] == "out of luck"
    assert {"host", "preset", "operation", "created", "updated", "attempts", "labels"} <= set(job)


def test_unknown_id(stembridge: Run, failed: str) -> None:
    result = stembridge("jobs", "show", "zzz")
    assert result.code == 2
    assert result.err.startswith("stembridge: no job 'zzz'")


def test_retry_runs_the_job(stembridge: Run, failed: str, tmp_path: Path) -> None:
    result = stembridge("jobs", "retry", failed[:23], "--json")
    assert (result.code, result.events[-1]["done"]) == (0, 1)
    assert (tmp_path / "Song.stems" / "Song - Vocals.flac").is_file()


def test_retry_can_leave_the_work_to_resume(stembridge: Run, failed: str) -> None:
    assert stembridge("jobs", "retry", failed, "--no-run").out == "Song.flac: queued\n"
    assert stembridge("jobs", "resume", "--json").events[-1]["done"] == 1
    assert stembridge("jobs", "resume") == (0, "no job is unfinished\n", "")


def test_retry_of_a_done_job_is_refused(stembridge: Run, song: Path) -> None:
    job_id = stembridge("separate", song, "--json").of("job")[-1]["id"]
    assert stembridge("jobs", "retry", job_id).code == 2


def test_cancel(stembridge: Run, failed: str, fake: FakeSeparator) -> None:
    stembridge("jobs", "retry", failed, "--no-run")
    assert stembridge("jobs", "cancel", failed) == (0, "Song.flac: cancelled\n", "")
    assert stembridge("jobs", "list", "--state", "cancelled", "--json").events[0]["id"] == failed
    assert fake.submitted == []


def test_cancel_and_retry_end_with_a_summary_for_programs(stembridge: Run, failed: str) -> None:
    for command in (["retry", failed, "--no-run"], ["cancel", failed]):
        job, end = stembridge("jobs", *command, "--json").events
        assert (job["event"], job["id"]) == ("job", failed)
        assert end == {"event": "summary", "count": 1, "exit_code": 0}


def test_prune_forgets_only_what_is_old(stembridge: Run, failed: str) -> None:
    assert stembridge("jobs", "prune", "--older-than", "1d").out == "0 jobs forgotten\n"
    pruned, end = stembridge("jobs", "prune", "--older-than", "0s", "--json").events
    assert (pruned, end) == ({"event": "pruned", "jobs": 1}, {"event": "summary", "count": 1, "exit_code": 0})
    assert "'--older-than'" in stembridge("jobs", "prune", "--older-than", "x").err
    assert stembridge("jobs").out == "no jobs\n"


@pytest.mark.parametrize(
    ("ids", "length"),
    [([], 8), (["0123456789"], 8), (["0123456789", "1123456789"], 8), (["0123456789ab", "0123456789cd"], 11)],
)
def test_ids_are_cut_where_they_differ(ids: list[str], length: int) -> None:
    assert unique_length(ids) == length
