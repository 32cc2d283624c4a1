"""Retry never pays without looking: what a service has, or may have, is had; all else takes the user's word."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_core import Session
from plugin_core.model import Job
from tests import quick_start
from tests.audio_files import write_song
from tests.end_to_end.hasty import SEARCH, start
from tests.end_to_end.sharing import SHARED, share_jobs
from tests.end_to_end.sharing import working as worker
from tests.end_to_end.tencent_bench import settings_for
from tests.simulators.faults import Fault, bad_gateway, html_page, refuse, reset_after, reset_before, wrong_length
from tests.simulators.mediax import MediaxSimulator
from tests.simulators.mvsep import PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.walks import failed, processing
from tests.simulators.tencent import TencentSimulator

LIMIT = 900
HOURS = 3600.0


class Bench:
    """The real command and one service.

    Attributes:
        word: of the command that makes a job.
        lost: lets the answer of the next create be lost, after it made a job or before.
        mute: keeps the service from telling what jobs there are, until ``soothe``.
        bad: what spoils the download of results.
    """

    word: tuple[str, ...]
    created: int
    """How many jobs were made, each of which is charged for."""

    def __init__(self, environ: dict[str, str], song: Path) -> None:
        self.environ, self.song = environ, song

    def run(self, *arguments: object) -> tuple[int, str]:
        """Return exit code and errors."""
        process = start(self.environ, *arguments)
        out, err = process.communicate(timeout=LIMIT)
        assert b"Traceback" not in out + err
        return process.returncode, err.decode()

    def ask(self, *more: object) -> tuple[int, str]:
        """Give the plain command."""
        return self.run(*self.word, *more, self.song)

    @property
    def jobs(self) -> list[Job]:
        with Session() as session:
            return session.store.list()

    @property
    def states(self) -> list[str]:
        return [job.state.value for job in self.jobs]

    @property
    def job(self) -> str:
        """The id of the only job."""
        (job,) = self.jobs
        return job.id

    def again(self, how: str) -> tuple[int, str]:
        """Ask for the job once more."""
        if how == "plain":
            return self.ask("--yes")
        return self.run("jobs", how, *([self.job] if how == "retry" else []))

    def lose(self, *, made: bool) -> None:
        raise NotImplementedError

    def soothe(self) -> None:
        raise NotImplementedError

    def work_for_ever(self) -> None:
        raise NotImplementedError

    def come_to_an_end(self) -> None:
        raise NotImplementedError

    def fail_next(self) -> None:
        raise NotImplementedError

    def leave_running(self) -> None:
        """Kill the command once its job runs at the service."""
        worker = start(self.environ, *self.word, self.song)
        while "running" not in self.states:
            assert worker.poll() is None, worker.communicate()
            time.sleep(0.05)
        worker.kill()
        worker.communicate()


Working = Callable[[Bench], contextlib.AbstractContextManager[None]]


class MvsepBench(Bench):
    word = ("separate", "--provider", "mvsep", "--model", "40")

    def __init__(self, service: MvsepSimulator, home: Path, song: Path) -> None:
        self.service = service
        quick = {"POLL_FIRST": "0.05", "POLL_LONGEST": "0.1", "REGISTER_SECONDS": "0.3"}
        settings = {f"STEMBRIDGE_MVSEP_{key}": text for key, text in quick.items()}
        settings |= {"STEMBRIDGE_MVSEP_API_TOKEN": PREMIUM_TOKEN, "STEMBRIDGE_MVSEP_BASE_URL": service.api}
        super().__init__({"STEMBRIDGE_HOME": str(home), "STEMBRIDGE_PLUGINS": "mvsep", SEARCH: "2", **settings}, song)

    @property
    def created(self) -> int:  # type: ignore[override]
        return self.service.created

    def lose(self, *, made: bool) -> None:
        self.service.faults.add((reset_after if made else reset_before)("POST", "*/separation/create"))
        self.service.faults.add(bad_gateway("GET", "*/app/*", nth=3, times=None))

    def soothe(self) -> None:
        self.service.faults.clear()

    def work_for_ever(self) -> None:
        self.service.behave(Behaviour(walk=(processing(seconds=HOURS),)))

    def come_to_an_end(self) -> None:
        self.service.clock.advance(2 * HOURS)

    def fail_next(self) -> None:
        self.service.behave(Behaviour(walk=(failed("the GPU burnt down"),)))


class CiBench(Bench):
    word = ("separate", "--provider", "tencent_ci")

    def __init__(self, service: MediaxSimulator, bucket: TencentSimulator, home: Path, song: Path) -> None:
        self.service, self.bucket = service, bucket
        super().__init__({**settings_for(service, bucket, home), SEARCH: "2"}, song)

    @property
    def created(self) -> int:  # type: ignore[override]
        return len(self.bucket.jobs.all)

    def lose(self, *, made: bool) -> None:
        self.bucket.faults.add((reset_after if made else reset_before)("POST", "/jobs"))
        words = "<Error><Code>InvalidArgument</Code><Message>no lists today</Message></Error>"
        self.bucket.faults.add(refuse("GET", "/jobs*", 400, words, times=None))
        self.bucket.faults.add(refuse("GET", "/asrqueue*", 400, words, times=None))

    def soothe(self) -> None:
        self.bucket.faults.clear()

    def work_for_ever(self) -> None:
        self.bucket.behaviour.walk = ("Submitted", "Running")

    def come_to_an_end(self) -> None:
        for job in self.bucket.jobs.all.values():
            job.walk = (*("Running",) * (job.looks + 1), "Success")

    def fail_next(self) -> None:
        self.bucket.behaviour.walk = ("Submitted", "Failed")


class MediaxBench(CiBench):
    word = ("tag", "--provider", "mediax")

    @property
    def created(self) -> int:  # type: ignore[override]
        return self.service.created

    def lose(self, *, made: bool) -> None:
        self.service.faults.add((reset_after if made else reset_before)("POST", "/job"))
        self.service.faults.add(refuse("POST", "/job", 200, '{"errorResponse":{"message":"no lists"}}', times=None))

    def soothe(self) -> None:
        self.service.faults.clear()

    def work_for_ever(self) -> None:
        self.service.walk = (1, 2)

    def come_to_an_end(self) -> None:
        for job in self.service.jobs.values():
            job.states = [2, 3]

    def fail_next(self) -> None:
        self.service.walk = (1, 4)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Song.mp3", 1.0, 22050)


@pytest.fixture
def is_shared() -> bool:
    return SHARED


@pytest.fixture
def working(request: pytest.FixtureRequest, home: Path, song: Path, is_shared: bool) -> Working:
    """Return what works beside a bench: nothing, or a worker where the jobs lie in a database."""
    if not is_shared:
        return lambda _bench: contextlib.nullcontext()
    share_jobs(home, request.getfixturevalue("postgresql"), song.parent)
    return lambda bench: worker(bench.environ, home)


@pytest.fixture
def mvsep(home: Path, song: Path, working: Working) -> Iterator[MvsepBench]:
    with MvsepSimulator() as service, working(made := MvsepBench(service, home, song)):
        yield made


@pytest.fixture(params=["mvsep", "tencent_ci", "mediax"])
def bench(request: pytest.FixtureRequest, home: Path, song: Path, working: Working) -> Iterator[Bench]:
    if request.param == "mvsep":
        yield request.getfixturevalue("mvsep")
        return
    kind = CiBench if request.param == "tencent_ci" else MediaxBench
    with (
        MediaxSimulator() as service,
        TencentSimulator() as bucket,
        working(made := kind(service, bucket, home, song)),
    ):
        yield made


@pytest.mark.parametrize("how", ["retry", "resume", "plain"])
def test_an_unconfirmed_job_that_the_history_shows_goes_on(bench: Bench, how: str) -> None:
    bench.lose(made=True)
    code, err = bench.ask("--yes")
    assert (code, bench.created) == (4, 1), err
    bench.soothe()
    code, err = bench.again(how)
    assert (code, err, bench.created) == (0, "", 1)
    assert bench.states == ["done"]


def test_an_unconfirmed_job_that_surely_is_not_there_takes_the_users_word(bench: Bench) -> None:
    bench.lose(made=False)
    code, err = bench.ask("--yes")
    assert (code, bench.created) == (4, 0), err
    bench.soothe()
    for how in ("retry", "resume", "plain"):
        code, err = bench.again(how)
        assert (code, len(err.splitlines()), bench.created) == (4, 1, 0), err
        assert "the service has no such job" in err and f"`stembridge jobs retry {bench.job} --force`" in err
        assert bench.states == ["unconfirmed"]
    code, err = bench.run("jobs", "retry", "--force", bench.job)
    assert (code, bench.created) == (0, 1), err


@pytest.mark.parametrize(
    ("bench", "how", "is_over"),
    # Each word and either state at each service, and with each other at one.
    [
        ("mvsep", "retry", False),
        ("mvsep", "plain", True),
        ("tencent_ci", "plain", False),
        ("tencent_ci", "retry", True),
        ("mediax", "plain", False),
        ("mediax", "retry", True),
    ],
    indirect=["bench"],
)
def test_a_cancelled_job_whose_cancel_the_service_refused_goes_on(bench: Bench, how: str, is_over: bool) -> None:
    bench.work_for_ever()
    bench.leave_running()
    assert bench.run("jobs", "cancel", bench.job)[0] == 0
    if is_over:
        bench.come_to_an_end()
        code, err = bench.again(how)
    else:
        worker = start(bench.environ, *(bench.word if how == "plain" else ("jobs", "retry")), _last(bench, how))
        while "running" not in bench.states:
            assert worker.poll() is None, worker.communicate()
            time.sleep(0.05)
        bench.come_to_an_end()
        err = worker.communicate(timeout=LIMIT)[1].decode()
        code = worker.returncode
    assert (code, bench.created) == (0, 1), err
    assert bench.states == ["done"]


def _last(bench: Bench, how: str) -> object:
    return bench.song if how == "plain" else bench.job


@pytest.mark.parametrize("is_shared", [False, True])
def test_an_unconfirmed_job_that_was_given_up_is_looked_for_when_it_is_wanted_after_all(mvsep: MvsepBench) -> None:
    mvsep.lose(made=True)
    assert mvsep.ask("--yes")[0] == 4
    assert mvsep.run("jobs", "cancel", mvsep.job)[0] == 0
    mvsep.soothe()
    code, err = mvsep.again("plain")
    assert (code, mvsep.created) == (0, 1), err


@pytest.mark.parametrize("how", ["retry", "plain"])
def test_a_job_that_the_service_itself_reports_as_failed_is_bought_again_by_a_plain_retry(
    bench: Bench, how: str
) -> None:
    bench.fail_next()
    assert bench.ask("--yes")[0] == 1
    assert bench.again(how)[0] == 1
    assert bench.created == 2


def test_a_cancel_that_the_service_took_leaves_nothing_to_look_for(mvsep: MvsepBench) -> None:
    from tests.simulators.mvsep.walks import waiting

    mvsep.service.behave(Behaviour(walk=(waiting(1, seconds=HOURS),)))
    mvsep.leave_running()
    assert mvsep.run("jobs", "cancel", mvsep.job)[0] == 0
    mvsep.service.behave(Behaviour())
    code, err = mvsep.again("retry")
    assert (code, mvsep.created) == (0, 2), err


def page(times: int | None) -> Fault:
    return html_page("GET", "/storage/*", times=times)


def unlabelled_page(times: int | None) -> Fault:
    words = "<html><body>Just a moment...</body></html>"
    return refuse("GET", "/storage/*", 200, words, headers={"Content-Type": "audio/x-wav"}, times=times)


def nothing(times: int | None) -> Fault:
    return refuse("GET", "/storage/*", 200, "", headers={"Content-Type": "audio/x-wav"}, times=times)


def short(times: int | None) -> Fault:
    return wrong_length("GET", "/storage/*", at=-20_000, times=times)


def absent(times: int | None) -> Fault:
    return refuse("GET", "/storage/*", 404, times=times)


def forbidden(times: int | None) -> Fault:
    return refuse("GET", "/storage/*", 403, times=times)


BAD = [page, unlabelled_page, nothing, short, absent, forbidden]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_download_is_fetched_again_by_itself(mvsep: MvsepBench, bad: Callable[[int | None], Fault]) -> None:
    fault = mvsep.service.faults.add(bad(1))
    code, err = mvsep.ask("--yes")
    assert (code, fault.struck, mvsep.created) == (0, 1, 1), err
    assert len(list(mvsep.song.with_suffix(".stems").iterdir())) == 2


@pytest.mark.parametrize("bad", [page, nothing, absent])
def test_a_download_that_stays_bad_keeps_the_ticket(mvsep: MvsepBench, bad: Callable[[int | None], Fault]) -> None:
    mvsep.service.faults.add(bad(None))
    for how in ("plain", "plain", "retry", "resume"):
        code, err = mvsep.again(how)
        assert (code, mvsep.created) == (0 if how == "resume" else 1, 1), err
        if how != "resume":
            assert err.splitlines()[-1].endswith("looks again, with --force it is bought again if need be")
    mvsep.soothe()
    assert mvsep.again("retry")[0] == 0
    assert mvsep.created == 1
    assert mvsep.states == ["done"]


def test_a_result_that_is_gone_is_bought_again_by_force_alone(mvsep: MvsepBench) -> None:
    """``--yes`` is not enough: it speaks of the price, not of paying twice."""
    mvsep.service.faults.add(absent(None))
    assert mvsep.ask("--yes")[0] == 1
    assert mvsep.ask("--yes")[0] == 1
    assert mvsep.created == 1
    process = start(mvsep.environ, "jobs", "retry", "--force", mvsep.job)
    while mvsep.created < 2:
        assert process.poll() is None, process.communicate()
    mvsep.soothe()
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, mvsep.created) == (0, 2), out + err


@pytest.mark.parametrize("is_shared", [False, True])
def test_force_looks_first_as_well(mvsep: MvsepBench) -> None:
    mvsep.service.faults.add(absent(None))
    assert mvsep.ask("--yes")[0] == 1
    mvsep.soothe()
    assert mvsep.run("jobs", "retry", "--force", mvsep.job)[0] == 0
    assert mvsep.created == 1


def test_an_object_that_is_gone_from_the_bucket_keeps_the_ticket(home: Path, song: Path) -> None:
    with MediaxSimulator() as service, TencentSimulator() as bucket:
        bench = CiBench(service, bucket, home, song)
        for method in ("GET", "HEAD"):
            bucket.faults.add(refuse(method, "/stembridge/*/j*", 404, times=None))
        for how in ("plain", "retry"):
            code, err = bench.again(how)
            assert (code, bench.created) == (1, 1), err
            assert err.splitlines()[-1].endswith("with --force it is bought again if need be")
        bench.soothe()
        assert bench.again("retry")[0] == 0
        assert bench.created == 1


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")
@pytest.mark.parametrize(("answer", "code", "created"), [("y\n", 0, 2), ("n\n", 1, 1)], ids=["yes", "no"])
def test_a_new_purchase_after_a_failure_is_asked_for_on_a_terminal(
    mvsep: MvsepBench, answer: str, code: int, created: int
) -> None:
    import pty
    import sys

    from tests.end_to_end.hasty import ROOT

    mvsep.service.faults.add(absent(None))
    assert mvsep.ask("--yes")[0] == 1
    master, slave = pty.openpty()
    arguments = [sys.executable, "-m", "tests.end_to_end.hasty", "jobs", "retry", mvsep.job]
    environ = {**os.environ, **mvsep.environ, "TERM": "xterm-256color"}
    process = quick_start.Popen(arguments, cwd=ROOT, env=environ, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:
            break  # the other side is closed
        if not block:
            break
        seen += block
        if mvsep.created == 2:
            mvsep.soothe()
        if answer and b"Buy again?" in seen:
            os.write(master, answer.encode())
            answer = ""
    os.close(master)
    assert (process.wait(LIMIT), mvsep.created) == (code, created), seen.decode()
