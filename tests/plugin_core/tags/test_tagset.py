from __future__ import annotations

import logging

import pytest

from plugin_core.tags.tagset import MAX_FIELD, clean_text, clean_values


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        pytest.param("a\x07b\x1b[31m", "ab[31m", id="control"),
        pytest.param("one\r\ntwo\rthree\tfour", "one\ntwo\nthree\tfour", id="lines-stay"),
        pytest.param("a\udcffb", "a\ufffdb", id="surrogate"),
        pytest.param("  x \0", "x", id="edges"),
        pytest.param("日本語 🎵", "日本語 🎵", id="any-script"),
    ],
)
def test_text_becomes_plain(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_values_are_split_at_nul_and_kept_once() -> None:
    assert clean_values("artist", ["Ann\0Bob", "", "Ann", "AC/DC"]) == ("Ann", "Bob", "AC/DC")


def test_a_huge_field_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        values = clean_values("comment", ["a", "b" * 10_000_000, "c"])
    assert values == ("a", "b" * (MAX_FIELD - 1))
    assert "comment" in caplog.text
