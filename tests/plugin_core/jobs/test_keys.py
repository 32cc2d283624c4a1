"""Dedupe keys and delays."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.jobs.backoff import Backoff
from plugin_core.jobs.dedupe import base_key, dedupe_key, forced_key, is_forced
from plugin_core.model import Operation, Separation, Tagging

WISH = Separation(provider="mvsep", options={"a": "1", "b": "2"})


@pytest.mark.parametrize(
    "same",
    [
        Separation(provider="mvsep", options={"b": "2", "a": "1"}),
        Separation(provider="mvsep", options={"a": "1", "b": "2"}, to=Path("/stems"), template="{stem}"),
    ],
    ids=["order of options", "place"],
)
def test_equal_keys(same: Separation) -> None:
    assert dedupe_key("c", same, "mvsep") == dedupe_key("c", WISH, "mvsep")


@pytest.mark.parametrize(
    ("content", "operation", "account"),
    [
        ("d", WISH, "mvsep"),
        ("c", WISH, "mvsep:other"),
        ("c", Separation(provider="mvsep", options={"a": "1", "b": "3"}), "mvsep"),
        ("c", Separation(provider="mvsep", options=WISH.options, residual=True), "mvsep"),
        ("c", Tagging(provider="mvsep"), "mvsep"),
    ],
    ids=["content", "account", "option", "residual", "kind"],
)
def test_other_keys(content: str, operation: Operation, account: str) -> None:
    assert dedupe_key(content, operation, account) != dedupe_key("c", WISH, "mvsep")


def test_forced_keys() -> None:
    key = dedupe_key("c", WISH, "mvsep")
    assert is_forced(forced_key(key)) and not is_forced(key)
    assert base_key(forced_key(forced_key(key))) == key


def test_delays_grow_to_a_cap() -> None:
    backoff = Backoff(first=1.0, most=60.0, jitter=0.0)
    assert [backoff.delay(attempts) for attempts in (0, 1, 2, 3, 7, 10_000)] == [1, 1, 2, 4, 60, 60]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_jitter_only_adds(chance: float) -> None:
    backoff = Backoff(first=2.0, jitter=0.25, rng=lambda: chance)
    assert backoff.delay(1) == 2.0 + 0.5 * chance
    assert backoff.delay(1, retry_after=100.0) == 100.0 + 25.0 * chance
    assert backoff.delay(5, retry_after=1.0) >= 32.0
