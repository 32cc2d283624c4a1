"""Dedupe keys and delays."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plugin_core.jobs.keys import base_key, dedupe_key, forced_key, is_forced
from plugin_core.jobs.policy import Backoff
from plugin_core.model import Operation, Separation, Tagging

WISH = Separation(provider="mvsep", options={"a": "1", "b": "2"})
RICH = Separation(
    provider="mvsep",
    model="40",
    options={"output_format": "5", "add_opt1": "2"},
    stems=("vocals", "drums"),
    minus=("drums",),
    residual=True,
    format="flac24",
    to=Path("/stems"),
    template="{stem}",
)


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


PINNED = [
    (
        ("a" * 64, RICH, "mvsep:0123456789ab"),
        "f86f9f8c6ea933a78a9d9ef61d7df1499bdc152208e18c4222fb9d8a401347bf",
    ),
    (
        (
            "b" * 64,
            Separation(provider="tencent_ci", model="VocalBackground", format="flac16"),
            "tencent_ci:songs-1250000000",
        ),
        "1672050d6ad5c1c6bac06b9b300dddfe1a40f09976861219fe93a2c265becd16",
    ),
    (
        (
            "c" * 64,
            Tagging(provider="mediax", dimensions=("mood",), min_probability=0.7, write=False),
            "mediax:0123456789ab",
        ),
        "5c3133091d9a67184fea7dbee8a51efb6821f2f2522a6885638775a92c342fc3",
    ),
]


@pytest.mark.parametrize(("given", "key"), PINNED, ids=["rich", "plain", "tagging"])
def test_keys_of_earlier_versions_are_found_for_ever(given: tuple[str, Operation, str], key: str) -> None:
    """Whatever changes them forgets every earlier purchase of every user."""
    assert dedupe_key(*given) == key


class Later(Separation, frozen=True, kw_only=True, tag="separation", tag_field="kind"):
    """A separation that has gained fields."""

    quality: str = ""
    slices: tuple[float, ...] = ()
    extra: dict[str, str] = msgspec.field(default_factory=dict)


def test_a_field_with_a_default_added_to_an_operation_forgets_no_earlier_purchase() -> None:
    fields = {name: getattr(RICH, name) for name in RICH.__struct_fields__}
    assert dedupe_key("a" * 64, Later(**fields), "mvsep:0123456789ab") == PINNED[0][1]
    keys = {
        dedupe_key("a" * 64, Later(**fields, **more), "mvsep:0123456789ab")
        for more in ({}, {"quality": "best"}, {"slices": (1.0, 2.0)}, {"extra": {"a": "b"}})
    }
    assert len(keys) == 4


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
