"""Everything a user can get wrong with MVSEP: one clear line, the service's own reason, the right exit code.

Nothing is uploaded that could have been refused before; what nobody can know ends as unconfirmed and is not paid again.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.audio_files import write_song
from tests.end_to_end.hasty import SEARCH, start
from tests.simulators.faults import bad_gateway, hang, late, reset_after, reset_before
from tests.simulators.mvsep import FREE_TOKEN, PREMIUM_TOKEN, MvsepSimulator

CREATE = "*/separation/create"
LIMIT = 900


@pytest.fixture
def service() -> Iterator[MvsepSimulator]:
    with MvsepSimulator() as simulator:
        yield simulator


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Song.wav", 1.0, 22050, subtype="PCM_16")


class Bench:
    """The real command, with one account."""

    def __init__(self, service: MvsepSimulator, home: Path) -> None:
        self.service = service
        self.environ = {
            "STEMBRIDGE_HOME": str(home),
            "STEMBRIDGE_PLUGINS": "mvsep",
            "STEMBRIDGE_MVSEP_API_TOKEN": FREE_TOKEN,
            "STEMBRIDGE_MVSEP_BASE_URL": service.api,
            "STEMBRIDGE_MVSEP_POLL_FIRST": "0.05",
            "STEMBRIDGE_MVSEP_POLL_LONGEST": "0.1",
            "STEMBRIDGE_MVSEP_REGISTER_SECONDS": "0.5",
        }

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Return exit code, output and errors."""
        process = start(self.environ, *arguments)
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out.decode(), err.decode()

    def separate(self, *arguments: object) -> tuple[int, str, str]:
        return self.run("separate", "--provider", "mvsep", *arguments)

    @property
    def uploads(self) -> int:
        return len(self.service.requests("POST", CREATE))


@pytest.fixture
def bench(service: MvsepSimulator, home: Path) -> Bench:
    return Bench(service, home)


def release_until_the_end(service: MvsepSimulator, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """End hangs for as long as the process runs: one may only begin after the first release."""
    while process.poll() is None:
        service.release()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    return process.communicate()


def assert_one_line(err: str, says: str) -> None:
    lines = err.splitlines()
    assert (len(lines), lines[0][:12]) == (1, "stembridge: "), err
    assert says in lines[0]


def cut(song: Path) -> None:
    whole = song.with_suffix(".flac")
    samples, rate = soundfile.read(song)
    soundfile.write(whole, samples, rate)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.rename(song)


def hide(song: Path) -> None:
    song.chmod(0)
    if os.access(song, os.R_OK):
        pytest.skip("this user may read everything")


REFUSED_BEFORE = [
    pytest.param("", [], 3, "`stembridge login mvsep`", id="no-token"),
    pytest.param("x" * 30, [], 3, "invalid token (HTTP 400); use `stembridge login mvsep`", id="wrong-token"),
    pytest.param(FREE_TOKEN, ["--model", "28"], 3, "to premium accounts only", id="premium-model"),
    pytest.param(FREE_TOKEN, ["--option", "output_format=5"], 3, "for premium accounts only", id="premium-format"),
    pytest.param(FREE_TOKEN, ["--format", "flac99"], 2, "no format is called 'flac99'", id="format"),
    pytest.param(FREE_TOKEN, ["--option", "output_format=x"], 2, "no output_format 'x'", id="output-format"),
    pytest.param(FREE_TOKEN, ["--model", "BS Rofomer"], 2, "did you mean 40 (BS Roformer", id="unknown-model"),
    pytest.param(FREE_TOKEN, ["--model", "99999"], 2, "no model '99999'", id="unknown-id"),
    pytest.param(FREE_TOKEN, ["--model", "104"], 2, "takes no song", id="model-without-song"),
    pytest.param(FREE_TOKEN, ["--model", "68"], 2, "takes two songs", id="model-of-two-songs"),
    pytest.param(FREE_TOKEN, ["--model", "35"], 2, "switched off", id="inactive-model"),
    pytest.param(FREE_TOKEN, ["--model", "40", "--option", "Overlp=8"], 2, "did you mean 'overlap'?", id="option"),
    pytest.param(FREE_TOKEN, ["--model", "40", "--option", "Overlap=77"], 2, "has no value '77'", id="value"),
    pytest.param(FREE_TOKEN, ["--model", "40", "--option", "add_opt4=1"], 2, "has no option 'add_opt4'", id="field"),
    pytest.param(FREE_TOKEN, ["--model", "17"], 2, "needs option 'Model Type'", id="required-option"),
    pytest.param(FREE_TOKEN, ["--model", "40", "--stems", "kazoo"], 2, "gives no 'kazoo'", id="stem"),
    pytest.param(FREE_TOKEN, ["--option", "is_demo=maybe"], 2, "neither 0 nor 1", id="is-demo"),
]


@pytest.mark.parametrize(("token", "arguments", "code", "says"), REFUSED_BEFORE)
def test_what_the_account_or_the_wish_forbids(
    bench: Bench, song: Path, token: str, arguments: list[str], code: int, says: str
) -> None:
    bench.environ["STEMBRIDGE_MVSEP_API_TOKEN"] = token
    found, out, err = bench.separate(*arguments, song)
    assert (found, out, bench.uploads) == (code, "", 0)
    assert_one_line(err, says)


def test_without_a_token_nothing_is_asked_but_which_models_there_are(bench: Bench, song: Path) -> None:
    bench.environ["STEMBRIDGE_MVSEP_API_TOKEN"] = ""
    assert bench.separate(song)[0] == 3
    assert {one.path for one in bench.service.requests()} == {"/api/app/algorithms"}


BAD_FILES: list[Any] = [
    pytest.param(lambda song: song.write_text("no audio"), "not audio", id="not-audio"),
    pytest.param(lambda song: song.write_bytes(b""), "is empty", id="empty"),
    pytest.param(cut, "is damaged at", id="cut-short"),
    pytest.param(hide, "ermission denied", id="unreadable"),
]


@pytest.mark.parametrize(("spoil", "says"), BAD_FILES)
def test_bad_files(bench: Bench, song: Path, spoil: Callable[[Path], object], says: str) -> None:
    spoil(song)
    code, _, err = bench.separate(song)
    assert (code, bench.uploads) == (1, 0)
    assert_one_line(err, says)
    assert song.name in err


def test_a_file_that_is_not_there(bench: Bench, song: Path) -> None:
    code, out, err = bench.separate(song.with_name("none.wav"))
    assert (code, out, bench.uploads) == (2, "", 0)
    assert_one_line(err, "no such file")


@pytest.mark.parametrize("change", ["vanishes", "changes"])
def test_a_file_that_vanishes_or_changes_after_it_was_looked_at(bench: Bench, song: Path, change: str) -> None:
    asked = bench.service.faults.add(hang("GET", "*/app/user"))
    process = start(bench.environ, "separate", "--provider", "mvsep", song)
    asked.wait(1, LIMIT)
    song.unlink()
    if change == "changes":
        write_song(song, 1.0, 22050, subtype="PCM_16", seed=2)
    err = release_until_the_end(bench.service, process)[1].decode()
    assert (process.returncode, bench.uploads) == (1, 0)
    assert_one_line(err, song.name)


LIMITS = [
    pytest.param({"max_seconds": 0.5}, [], 1, "File exceeds the 0.00833333 minutes free limit", id="too-long"),
    pytest.param({"max_bytes": 10}, [], 1, "File exceeds the 0 MB free limit", id="too-large"),
    pytest.param({"is_premium": True, "credits": 1}, ["--option", "Overlap=8"], 3, "Not enough credits", id="credits"),
]


@pytest.mark.parametrize(("account", "arguments", "code", "says"), LIMITS)
def test_what_only_the_service_knows_is_told_in_its_words(
    bench: Bench, song: Path, account: dict[str, Any], arguments: list[str], code: int, says: str
) -> None:
    """The plans' limits are not documented alike everywhere, so that only the service refuses by them."""
    for name, value in account.items():
        setattr(bench.service.accounts[FREE_TOKEN], name, value)
    if "credits" in account:
        write_song(song, 80.0, 8000, channels=1, subtype="PCM_U8")
    found, _, err = bench.separate("--model", "40", *arguments, song)
    assert (found, bench.service.created, bench.uploads) == (code, 0, 1), err
    assert_one_line(err, says)


def test_a_song_longer_than_the_plan_is_warned_of_before(bench: Bench, song: Path) -> None:
    soundfile.write(song, np.zeros(8000 * 601, np.int16), 8000, subtype="PCM_U8")
    code, out, _ = bench.separate("--dry-run", song)
    assert (code, bench.uploads) == (0, 0)
    assert "longer than the 10 minutes of a free account" in out


def test_a_dry_run_names_the_model_in_words(bench: Bench, song: Path) -> None:
    _, out, _ = bench.separate("--dry-run", "--model", "40", song)
    assert "mvsep 40 (BS Roformer" in out


def test_too_few_credits_for_a_premium_model_end_before_the_upload(bench: Bench, song: Path) -> None:
    bench.environ["STEMBRIDGE_MVSEP_API_TOKEN"] = PREMIUM_TOKEN
    bench.service.accounts[PREMIUM_TOKEN].credits = 1
    write_song(song, 80.0, 8000, channels=1, subtype="PCM_U8")
    code, _, err = bench.separate("--model", "28", song)
    assert (code, bench.uploads) == (3, 0)
    assert_one_line(err, "takes 5 credits for this song and the account has 1")


def test_the_daily_limit_ends_before_the_upload(bench: Bench, song: Path) -> None:
    bench.service.accounts[FREE_TOKEN].daily_limit = 0
    code, _, err = bench.separate(song)
    assert (code, bench.uploads) == (3, 0)
    assert_one_line(err, "separations of today are used up; try again tomorrow")


def test_one_bad_file_does_not_keep_the_others(bench: Bench, song: Path) -> None:
    bad = song.with_name("bad.wav")
    bad.write_text("no audio")
    code, out, err = bench.separate("--model", "40", bad, song)
    assert (code, bench.service.created) == (1, 1)
    assert_one_line(err, "bad.wav")
    assert "1 done, 1 failed" in out


@pytest.mark.parametrize("has_job", [True, False], ids=["it-was-made", "it-was-not"])
def test_a_job_that_nobody_can_tell_of_is_unconfirmed_until_the_user_says_so(
    bench: Bench, song: Path, has_job: bool
) -> None:
    bench.environ |= {"STEMBRIDGE_MVSEP_API_TOKEN": PREMIUM_TOKEN, SEARCH: "1"}
    bench.service.faults.add(reset_after("POST", CREATE) if has_job else reset_before("POST", CREATE))
    if has_job:
        bench.service.faults.add(late("POST", CREATE, requests=100_000))
    bench.service.faults.add(bad_gateway("GET", "*/app/separation_history", times=None))
    code, out, err = bench.separate("--model", "40", "--json", song)
    events = [json.loads(line) for line in out.splitlines()]
    (job_id,) = {event["id"] for event in events if event["event"] == "job"}
    assert (code, events[-1]["unconfirmed"], bench.uploads) == (4, 1, 1), err
    assert bench.service.created == int(has_job)

    # Neither going on, nor a retry, nor asking again for the same pays once more.
    for again in (("jobs", "resume"), ("jobs", "retry", job_id), ("separate", "--provider", "mvsep", song)):
        code, _, err_again = bench.run(*again, *(["--model", "40"] if again[0] == "separate" else []))
        assert (code, bench.uploads) == (4, 1)
        assert_one_line(err_again, f"`stembridge jobs retry {job_id}`")

    assert bench.run("jobs", "retry", job_id, "--force")[0] == 0
    assert bench.uploads == 2
    assert len(list(song.with_suffix(".stems").iterdir())) == 2
