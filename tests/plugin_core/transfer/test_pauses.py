from __future__ import annotations

import pytest

from plugin_core.transfer.pauses import MOST, RateBudget, backoff, read_retry_after, shared_budget

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("17", 17.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("99999999999", 86_400.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2033 22:14:20 GMT", 86_400.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_reads_both_forms(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, NOW) == seconds


def test_grows_with_jitter_up_to_a_most() -> None:
    assert [backoff(tries, lambda: 0.0) for tries in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert backoff(1, lambda: 1.0) == 1.5
    assert backoff(10_000, lambda: 0.0) == MOST


def headers(left: int | str, limit: int = 60) -> dict[str, str]:
    return {"x-ratelimit-limit": str(limit), "x-ratelimit-remaining": str(left)}


def test_lets_everything_out_until_it_is_told() -> None:
    budget = RateBudget()
    for _ in range(100):
        assert budget.delay(0.0) == 0.0
        budget.spend(0.0)
        budget.settle({"x-ratelimit-remaining": "?"}, 0.0)


def test_waits_for_the_next_minute_when_none_are_left() -> None:
    budget = RateBudget()
    budget.spend(100.0)
    budget.settle(headers(0), 100.0)
    assert budget.delay(130.0) == 30.0
    assert budget.delay(160.0) == 0.0


def test_counts_those_under_way() -> None:
    budget = RateBudget()
    for _ in range(3):
        budget.spend(0.0)
    budget.settle(headers(2), 0.0)
    assert budget.delay(0.0) == 60.0
    budget.settle(headers(1), 0.0)
    budget.settle(headers(0), 0.0)
    assert budget.delay(0.0) == 60.0


def test_notices_that_the_service_s_minute_began_anew() -> None:
    budget = RateBudget()
    budget.spend(0.0)
    budget.settle(headers(1), 0.0)
    budget.spend(30.0)
    budget.settle(headers(59), 30.0)
    assert budget.delay(31.0) == 0.0


def test_the_next_minute_has_the_limit_again() -> None:
    budget = RateBudget()
    budget.spend(0.0)
    budget.settle(headers(0, limit=2), 0.0)
    for _ in range(2):
        assert budget.delay(61.0) == 0.0
        budget.spend(61.0)
    assert budget.delay(61.0) > 0.0


def test_a_minute_begins_with_its_first_answer() -> None:
    budget = RateBudget()
    budget.spend(0.0)
    budget.settle(headers(0, limit=1), 0.0)
    budget.spend(60.0)
    budget.settle(headers(0, limit=1), 63.0)
    assert budget.delay(120.0) == 3.0


@pytest.mark.parametrize("now", [-5000.0, 5000.0])
def test_a_clock_that_jumps_costs_no_more_than_a_minute(now: float) -> None:
    budget = RateBudget()
    budget.spend(0.0)
    budget.settle(headers(0), 0.0)
    assert budget.delay(now) <= 60.0


def test_pauses_when_told() -> None:
    budget = RateBudget()
    budget.pause(0.0, 10.0)
    budget.pause(0.0, 5.0)
    assert budget.delay(4.0) == 6.0


def test_is_shared_by_name() -> None:
    assert shared_budget("a") is shared_budget("a")
    assert shared_budget("a") is not shared_budget("b")
