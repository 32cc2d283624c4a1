"""What a failure keeps, and where a retry goes on: nothing that is paid for is bought again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import (
    GoneError,
    OutcomeUnknownError,
    PlacementError,
    PluginError,
    RefusedError,
    ResultError,
    ServiceError,
    SourceError,
    TransientError,
    UnchargedError,
    UsageError,
)
from plugin_core.jobs.changes import give_up_old
from plugin_core.jobs.claim import Claim
from plugin_core.jobs.engine import Engine
from plugin_core.model import Job, JobState
from plugin_core.purchases.purchase import PurchaseState
from tests.plugin_core.jobs.conftest import FAST, Desk
from tests.plugin_core.jobs.fakes import make_job, make_stem

ANY_STORE = True

RUNNING, FETCHING, PUBLISHING = JobState.RUNNING, JobState.FETCHING, JobState.PUBLISHING
METHODS = {RUNNING: "poll", FETCHING: "fetch", PUBLISHING: "publish"}
ANYTHING = (
    PlacementError("read-only", remedy="choose another place with --to FOLDER"),
    RefusedError("log in again", remedy="stembridge login"),
    SourceError("moved"),
    PluginError("broke"),
    ServiceError("odd words"),
    KeyError("defect"),
)


@pytest.mark.parametrize("state", list(METHODS), ids=str)
@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
def test_retry_goes_on_from_what_is_bought(desk: Desk, state: JobState, error: BaseException) -> None:
    failed = desk.fail(METHODS[state], error)
    assert failed.resume is (PUBLISHING if state is PUBLISHING else None)
    assert desk.work.service.lines("released") == []
    assert failed.problem is not None and f"`stembridge jobs retry {failed.id}`" in failed.problem.remedy
    assert "--to" not in failed.problem.remedy
    done = desk.retry(failed)
    assert (done.state, done.stems, done.notes) == (JobState.DONE, (make_stem(done),), ("treated",))
    assert desk.work.calls[-1] == "discard" and desk.work.service.lines("released") == [failed.id]
    assert desk.creates == [failed.id]


@pytest.mark.parametrize("error", [ServiceError("404"), ResultError("damaged")], ids=lambda error: type(error).__name__)
def test_results_that_are_no_good_are_fetched_again(desk: Desk, error: BaseException) -> None:
    job, _ = desk.store.add(make_job())
    desk.work.fail("fetch", [error] * (FAST.fetch_tries - 1))
    desk.run()
    assert desk.store.get(job.id).state is JobState.DONE
    assert (
        desk.work.calls.count("fetch") == FAST.fetch_tries
        and desk.work.calls.count("drop_fetched") == FAST.fetch_tries - 1
    )
    assert desk.creates == [job.id]


def test_a_failing_network_does_not_use_up_the_tries_of_bad_results(desk: Desk) -> None:
    job, _ = desk.store.add(make_job())
    bad, offline = ResultError("cut off"), TransientError("offline")
    desk.work.fail("fetch", [offline] * 5 + [bad, offline] * (FAST.fetch_tries - 1))
    desk.run()
    assert desk.store.get(job.id).state is JobState.DONE
    # What came whole at last begins a new count.
    assert desk.purchase(job).spoilt == 0


def test_a_retry_has_as_many_tries_again(desk: Desk) -> None:
    failed = desk.fail("fetch", ResultError("cut off"))
    desk.work.fail("fetch", [ResultError("cut off")] * (FAST.fetch_tries - 1))
    assert desk.retry(failed).state is JobState.DONE
    assert desk.creates == [failed.id]


def test_what_the_service_failed_and_does_not_charge_is_bought_by_a_plain_retry(desk: Desk) -> None:
    failed = desk.fail("poll", UnchargedError("out of memory"))
    assert desk.purchase(failed).state is PurchaseState.CANCELLED
    done = desk.retry(failed)
    assert done.state is JobState.DONE and done.purchase != failed.id
    assert desk.creates == [failed.id, done.purchase]


def test_what_is_gone_at_the_service_is_bought_again_only_at_the_users_word(desk: Desk) -> None:
    failed = desk.fail("fetch", PlacementError("read-only"))
    desk.work.kept.clear()
    desk.work.fail("poll", [GoneError("kept for three days only")])
    gone = desk.retry(failed)
    assert gone.state is JobState.FAILED and gone.problem is not None
    assert "--force" in gone.problem.remedy and gone.problem.needs_word
    assert desk.purchase(failed).state is PurchaseState.EXPIRED
    assert desk.retry(failed).state is JobState.FAILED
    # The same wish again is no word either.
    other, is_new = desk.store.add(make_job())
    desk.run()
    problem = desk.store.get(other.id).problem
    assert is_new and problem is not None and "was bought on" in problem.message
    assert desk.creates == [failed.id]
    assert desk.retry(failed, force=True).state is JobState.DONE
    assert len(desk.creates) == 2


def let_go(desk: Desk) -> Job:
    """Let a service say of a finished job that it is gone."""
    failed = desk.fail("fetch", PlacementError("read-only"))
    desk.work.kept.clear()
    desk.work.fail("poll", [GoneError("unknown job")])
    desk.retry(failed)
    assert desk.purchase(failed).state is PurchaseState.EXPIRED
    return desk.store.get(failed.id)


def test_a_retry_finds_what_was_wrongly_said_to_be_gone(desk: Desk) -> None:
    failed = let_go(desk)
    desk.store.purchases.change(failed.id, is_released=False)
    assert desk.retry(failed).state is JobState.DONE
    assert desk.purchase(failed).state is PurchaseState.KEPT
    assert desk.creates == [failed.id]


def test_what_the_service_was_told_to_forget_is_not_asked_for(desk: Desk) -> None:
    failed = let_go(desk)
    assert desk.purchase(failed).is_released
    polls = desk.work.calls.count("poll")
    desk.retry(failed)
    problem = desk.store.get(failed.id).problem
    assert problem is not None and "was bought on" in problem.message
    assert desk.work.calls.count("poll") == polls


def test_the_users_word_is_for_one_purchase(desk: Desk) -> None:
    failed = desk.fail("fetch", PlacementError("read-only"))
    desk.work.kept.clear()
    desk.work.fail("poll", [GoneError("kept for three days only")])
    desk.work.fail("fetch", [ResultError("of another song")] * FAST.fetch_tries)
    assert desk.retry(failed, force=True).state is JobState.FAILED
    assert len(desk.creates) == 2


def test_the_users_word_looks_at_the_service_first(desk: Desk) -> None:
    failed = desk.fail("fetch", ResultError("of another song"))
    assert desk.retry(failed, force=True).state is JobState.DONE
    assert desk.creates == [failed.id]


def test_results_that_stay_bad_are_bought_again_at_the_users_word(desk: Desk) -> None:
    failed = desk.fail("fetch", ResultError("of another song"))
    desk.work.fail("fetch", [ResultError("of another song")] * FAST.fetch_tries)
    assert desk.retry(failed, force=True).state is JobState.DONE
    assert len(desk.creates) == 2


def test_a_cancel_that_the_service_refuses_leaves_what_runs_to_be_taken_back(desk: Desk) -> None:
    job, _ = desk.store.add(make_job())
    desk.work.polls = 1000
    desk.work.fail("cancel", [ServiceError("too late")])
    desk.work.fail("poll", [None, lambda: desk.store.request_cancel(job.id)])
    desk.run()
    cancelled = desk.store.get(job.id)
    assert cancelled.state is JobState.CANCELLED and "too late" in cancelled.notes[-1]
    assert desk.purchase(job).state is PurchaseState.RUNNING and desk.work.service.lines("released") == []
    desk.work.polls = 1
    assert desk.retry(job).state is JobState.DONE
    assert desk.creates == [job.id]


def test_a_cancel_in_time_costs_nothing_and_is_bought_anew(desk: Desk) -> None:
    job, _ = desk.store.add(make_job())
    desk.work.polls = 1000
    desk.work.fail("poll", [None, lambda: desk.store.request_cancel(job.id)])
    desk.run()
    assert desk.purchase(job).state is PurchaseState.CANCELLED
    desk.work.polls = 1
    assert desk.retry(job).state is JobState.DONE
    assert len(desk.creates) == 2


def test_what_is_ready_stays_bought_though_its_job_is_cancelled(desk: Desk) -> None:
    job, _ = desk.store.add(make_job())

    async def hang() -> None:
        desk.store.request_cancel(job.id)
        await asyncio.Event().wait()

    desk.work.fail("fetch", [hang])
    desk.run()
    assert desk.store.get(job.id).state is JobState.CANCELLED
    assert desk.purchase(job).state is PurchaseState.READY and desk.work.service.lines("released") == []
    assert desk.retry(job).state is JobState.DONE
    assert desk.creates == [job.id]


def test_lost_staging_is_made_anew_of_what_is_kept(desk: Desk) -> None:
    failed = desk.fail("publish", ResultError("neither in staging nor in its place"))
    desk.store.retry(failed.id)
    assert desk.store.get(failed.id).staged == ()
    polls = desk.work.calls.count("poll")
    desk.run()
    assert desk.store.get(failed.id).state is JobState.DONE
    assert desk.work.calls.count("poll") == polls and desk.creates == [failed.id]


@pytest.mark.parametrize(("method", "resume"), [("poll", None), ("fetch", None), ("publish", PUBLISHING)])
def test_work_on_this_machine(desk: Desk, method: str, resume: JobState | None) -> None:
    desk.work.is_remote, desk.work.polls = False, 2
    failed = desk.fail(method, PlacementError("read-only"))
    assert failed.resume is resume and desk.store.purchases.list() == []
    assert desk.retry(failed).state is JobState.DONE


def test_the_same_wish_goes_on_with_what_is_kept(desk: Desk) -> None:
    failed = desk.fail("publish", PlacementError("read-only"))
    elsewhere, is_new = desk.store.add(make_job(to=Path("/other")))
    assert is_new and elsewhere.id != failed.id
    again, is_new = desk.store.add(make_job())
    assert (again.id, again.state, is_new) == (failed.id, PUBLISHING, False)
    desk.run([again.id, elsewhere.id])
    assert [desk.store.get(one.id).state for one in (again, elsewhere)] == [JobState.DONE] * 2
    assert desk.creates == [failed.id]


@pytest.mark.parametrize("state", ["found", "absent"])
def test_plain_wish_looks_for_an_unconfirmed_job_first(desk: Desk, state: str) -> None:
    job, _ = desk.store.add(make_job())
    desk.work.can_find = False
    desk.work.fail("submit" if state == "absent" else "late_submit", [OutcomeUnknownError("timeout")])
    desk.run()
    assert desk.store.get(job.id).state is JobState.UNCONFIRMED
    desk.work.can_find = True
    again, is_new = desk.store.add(make_job())
    assert (again.id, is_new) == (job.id, False)
    desk.run()
    found = desk.store.get(job.id)
    if state == "found":
        assert found.state is JobState.DONE
    else:
        assert found.state is JobState.UNCONFIRMED and found.problem is not None
        assert "--force" in found.problem.remedy and desk.creates == []
        assert desk.retry(job, force=True).state is JobState.DONE
    assert desk.creates == [job.id]


def test_plain_wish_joins_a_forced_job_and_a_forced_one_only_its_like(desk: Desk) -> None:
    forced = msgspec.structs.replace(make_job(), dedupe=f"{make_job().dedupe}:forced")
    first, _ = desk.store.add(forced)
    joined, is_new = desk.store.add(make_job())
    assert (joined.id, is_new) == (first.id, False)
    again, is_new = desk.store.add(msgspec.structs.replace(make_job(), dedupe=forced.dedupe))
    assert (again.id, is_new) == (first.id, False)


def test_prune_spares_what_is_kept_until_it_is_given_up(desk: Desk) -> None:
    failed = desk.fail("publish", PlacementError("read-only"))
    assert desk.store.prune(-1) == 0
    assert desk.store.give_up(3600) == 0
    assert desk.store.give_up(-1) == 1
    given_up = desk.store.get(failed.id)
    assert (given_up.state, given_up.resume, given_up.updated) == (JobState.FAILED, None, failed.updated)
    assert desk.store.prune(-1) == 0
    assert asyncio.run(desk.engine.discard_leftovers()) == 1
    assert desk.store.prune(-1) == 1
    # The job is forgotten, what was paid for is not.
    assert desk.purchase(failed).state is PurchaseState.KEPT


@pytest.mark.parametrize("is_wanted", [False, True], ids=["nobody", "another job"])
def test_what_nobody_came_for_is_removed_at_the_service(desk: Desk, is_wanted: bool) -> None:
    failed = desk.fail("fetch", ResultError("the file is gone"))
    assert desk.purchase(failed).state is PurchaseState.READY
    assert desk.store.give_up(3600) == 0
    if is_wanted:
        other = msgspec.structs.replace(make_job(), dedupe=f"{failed.dedupe}:forced", id=f"{failed.id}-b")
        desk.store.add(other)
    assert desk.store.give_up(-1) == (0 if is_wanted else 1)
    assert len(desk.store.leftovers()) == (0 if is_wanted else 1)
    assert desk.purchase(failed).state is (PurchaseState.READY if is_wanted else PurchaseState.EXPIRED)
    assert desk.store.get(failed.id).updated == failed.updated


@pytest.mark.parametrize(("since", "count"), [(-1.0, 0), (0.0, 1)], ids=["failed anew", "still as it was"])
def test_what_failed_anew_since_it_was_found_old_is_kept(desk: Desk, since: float, count: int) -> None:
    failed = desk.fail("publish", PlacementError("read-only"))
    with desk.store._database.write() as connection:
        assert give_up_old(connection, [failed.id, "gone"], failed.updated + since, desk.store.clock()) == count
    assert (desk.store.get(failed.id).resume is PUBLISHING) is (count == 0)


def test_cancel_gives_up_what_is_staged(desk: Desk) -> None:
    failed = desk.fail("publish", PlacementError("read-only"))
    desk.store.request_cancel(failed.id)
    desk.run([failed.id])
    assert desk.work.calls[-1] == "discard"
    cancelled = desk.store.get(failed.id)
    assert (cancelled.state, cancelled.resume, desk.store.leftovers()) == (JobState.CANCELLED, None, [])
    with pytest.raises(UsageError, match="cancelled already"):
        desk.store.request_cancel(failed.id)


def test_tidying_of_another_process_spares_what_is_kept_since(desk: Desk) -> None:
    failed = desk.fail("publish", PlacementError("read-only"))
    desk.store.clean(failed.id)
    assert desk.store.prune(-1) == 0
    assert desk.retry(failed).state is JobState.DONE


def test_cancelled_after_a_retry_is_cleaned_up(desk: Desk) -> None:
    failed = desk.fail("publish", PlacementError("read-only"))
    desk.store.retry(failed.id)
    desk.store.request_cancel(failed.id)
    desk.run()
    assert desk.store.get(failed.id).state is JobState.CANCELLED
    assert desk.work.calls[-1] == "discard"


def test_a_song_that_moved_is_followed(desk: Desk) -> None:
    """Handed in elsewhere while its own path is empty, or found near it: it is the same job."""
    job, _ = desk.store.add(make_job(path=Path("/music/old.wav")))
    elsewhere = make_job(path=Path("/music/new.wav"))
    stays, is_new = desk.store.add(elsewhere, is_gone=lambda path: False)
    assert is_new and stays.id != job.id
    desk.store.request_cancel(stays.id)
    desk.run([stays.id])
    followed, is_new = desk.store.add(make_job(path=Path("/music/new.wav")), is_gone=lambda path: True)
    assert (followed.id, is_new, followed.source.path) == (job.id, False, Path("/music/new.wav"))
    desk.work.fail("fetch", [SourceError("gone")])
    desk.work.found_at = msgspec.structs.replace(followed.source, path=Path("/music/newer.wav"))
    desk.run()
    done = desk.store.get(job.id)
    assert (done.state, done.source.path) == (JobState.DONE, Path("/music/newer.wav"))
    assert desk.creates == [job.id]


def test_a_song_handed_in_elsewhere_while_it_is_missed_is_followed(desk: Desk) -> None:
    job, _ = desk.store.add(make_job(path=Path("/music/old.wav")))
    desk.work.fail("fetch", [SourceError("gone")])
    # It is not found near its old path, and by then it is known from elsewhere.
    desk.work.fail("locate", [lambda: desk.store.add(make_job(path=Path("/music/new.wav")), is_gone=lambda path: True)])
    desk.run()
    done = desk.store.get(job.id)
    assert (done.state, done.source.path) == (JobState.DONE, Path("/music/new.wav"))
    assert (desk.store.list(), desk.creates) == ([done], [job.id])


def test_a_song_that_moved_once_can_still_fail(desk: Desk) -> None:
    job, _ = desk.store.add(make_job(path=Path("/music/old.wav")))
    desk.store.move(job.id, msgspec.structs.replace(job.source, path=Path("/music/new.wav")))
    desk.work.fail("fetch", [SourceError("gone")])
    desk.run()
    assert desk.store.get(job.id).state is JobState.FAILED


@pytest.mark.parametrize(("name", "fetches"), [("1.wav", 1), ("renamed.wav", 2)], ids=["moved", "renamed"])
def test_stems_that_wait_to_be_placed_follow_a_song_and_take_its_name(desk: Desk, name: str, fetches: int) -> None:
    job, _ = desk.store.add(make_job())
    desk.work.found_at = msgspec.structs.replace(job.source, path=Path("/elsewhere") / name)
    desk.work.fail("target", [SourceError("gone from its path")])
    desk.run()
    done = desk.store.get(job.id)
    assert (done.state, done.source.path) == (JobState.DONE, desk.work.found_at.path)
    assert (desk.work.calls.count("fetch"), desk.work.calls.count("target")) == (fetches, 2)
    assert desk.creates == [job.id]


@pytest.mark.parametrize("stands", [False, True], ids=["nothing stands", "some stand"])
def test_a_song_renamed_while_its_stems_are_placed_has_no_second_set(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands: bool
) -> None:
    place = tmp_path / "1.stems"

    async def target(_job: Job) -> Path:
        return place

    monkeypatch.setattr(desk.work, "target", target)
    job, _ = desk.store.add(make_job())
    desk.work.found_at = msgspec.structs.replace(job.source, path=Path("/elsewhere/renamed.wav"))
    desk.work.fail("publish", [SourceError("gone from its path")])
    if stands:
        place.mkdir()
    desk.run()
    done = desk.store.get(job.id)
    assert (done.state, done.source.path) == (JobState.DONE, desk.work.found_at.path)
    assert desk.work.calls.count("fetch") == (1 if stands else 2)


def test_the_users_word_buys_again_what_the_service_failed(desk: Desk) -> None:
    """The service may have charged for it, so that only this word does; it must not be in vain."""
    failed = desk.fail("poll", ServiceError("it broke here"))
    assert failed.problem is not None and failed.problem.needs_word
    desk.work.fail("poll", [ServiceError("it broke here")])
    assert desk.retry(failed, force=True).state is JobState.DONE
    assert len(desk.creates) == 2


def test_another_account_that_does_not_know_a_job_is_not_believed(desk: Desk) -> None:
    failed = desk.fail("fetch", PlacementError("read-only"))
    desk.work.kept.clear()
    desk.work.keys = "another"
    desk.work.fail("poll", [GoneError("no such job")])
    desk.retry(failed, force=True)
    problem = desk.store.get(failed.id).problem
    assert problem is not None and "other keys" in problem.message
    assert desk.purchase(failed).state is PurchaseState.READY
    desk.work.keys = ""
    assert desk.retry(failed).state is JobState.DONE
    assert desk.creates == [failed.id]


def test_a_song_that_does_not_fit_does_not_cost_what_is_kept(desk: Desk) -> None:
    """Another job found it whole: what is wrong is wrong with this one."""
    bought, _ = desk.store.add(make_job())
    desk.run()
    other, _ = desk.store.add(make_job(to=Path("/other")))
    desk.work.fail("fetch", [ResultError("of another song")] * FAST.fetch_tries)
    desk.run()
    assert desk.store.get(other.id).state is JobState.FAILED and "drop_fetched" not in desk.work.calls
    # The user's word throws it away.
    desk.work.fail("fetch", [ResultError("damaged")])
    desk.retry(other, force=True)
    assert "drop_fetched" in desk.work.calls and desk.store.get(other.id).state is JobState.DONE
    assert desk.creates == [bought.id]


def test_what_another_job_bought_again_serves_the_first_as_well(desk: Desk) -> None:
    failed = desk.fail("fetch", PlacementError("read-only"))
    desk.work.kept.clear()
    desk.store.purchases.change(failed.id, state=PurchaseState.EXPIRED)
    again, _ = desk.store.add(msgspec.structs.replace(make_job(), may_buy=True))
    desk.run()
    assert desk.store.get(again.id).state is JobState.DONE
    assert desk.retry(failed, force=True).state is JobState.DONE
    assert desk.creates == [failed.id, again.id]


def test_what_a_service_says_is_kept_without_secrets(desk: Desk) -> None:
    failed = desk.fail("poll", UnchargedError("https://x.org/a?q-signature=0123456789abcdef failed"))
    assert "0123456789abcdef" not in desk.purchase(failed).reason


def test_a_cancel_before_the_call_costs_nothing(desk: Desk) -> None:
    job, _ = desk.store.add(make_job())

    def changed(after: Job, _before: Job | None) -> None:
        if after.state is JobState.SUBMITTING:
            desk.store.request_cancel(job.id)

    desk.engine = Engine(desk.store, lambda job: desk.work, changed, clock=desk.store.clock, policy=FAST)
    desk.run()
    assert desk.store.get(job.id).state is JobState.CANCELLED and desk.creates == []
    assert desk.purchase(job).state is PurchaseState.CANCELLED


def test_job_of_an_older_version_has_nothing_kept(desk: Desk) -> None:
    job, _ = desk.store.add(make_job())
    old = {name: value for name, value in msgspec.to_builtins(job, enc_hook=str).items() if name != "resume"}
    assert msgspec.convert(old, Job, dec_hook=lambda kind, value: Path(value)).resume is None


@pytest.mark.parametrize(
    ("state", "target", "is_interruptible"),
    [
        (RUNNING, None, True),
        (PUBLISHING, None, True),
        (PUBLISHING, Path("/music"), False),
        (JobState.DONE, Path("/music"), False),
    ],
    ids=["running", "before a target", "with a target", "settled"],
)
def test_nothing_is_interrupted_once_results_may_stand_beside_the_source(
    desk: Desk, state: JobState, target: Path | None, is_interruptible: bool
) -> None:
    job = msgspec.structs.replace(make_job(), state=state, target=target)
    claim = Claim(job, "owner", desk.work, desk.store, lambda _after, _before: None, FAST)
    assert claim.is_interruptible is is_interruptible


def test_each_state_counts_its_own_tries(desk: Desk) -> None:
    desk.work.fail("poll", [TransientError("busy")] * 2)
    job, _ = desk.store.add(make_job())
    tries = []
    desk.work.on_call = lambda name, asked: tries.append((name, asked.attempts))
    desk.run()
    told = [(name, count) for name, count in tries if name in ("poll", "fetch")]
    assert told == [("poll", 0), ("poll", 1), ("poll", 2), ("fetch", 0)]
    assert desk.store.get(job.id).state is JobState.DONE
