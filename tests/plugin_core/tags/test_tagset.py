from __future__ import annotations

import logging

import pytest

from plugin_core.tags.fields import (
    MAX_FIELD,
    MAX_PICTURE,
    Picture,
    clean_text,
    clean_values,
    select_pictures,
    sniff_mime,
)
from tests.plugin_core.tags.tagged_files import JPEG, PNG


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


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (JPEG, "image/jpeg"),
        (PNG, "image/png"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"", ""),
        (b"nothing", ""),
    ],
)
def test_the_bytes_name_the_format(data: bytes, mime: str) -> None:
    assert sniff_mime(data) == mime


def test_front_covers_come_first_and_only_once() -> None:
    back, front = Picture(PNG, "", 4), Picture(JPEG, "image/jpg", 3)
    assert select_pictures([back, front, front]) == (Picture(JPEG, "image/jpeg", 3), Picture(PNG, "image/png", 4))


def test_links_and_rubbish_are_left_out() -> None:
    rubbish = [Picture(b"http://x/y.jpg", "-->"), Picture(b"", "image/png"), Picture(b"MZ", "application/x-exe")]
    assert select_pictures(rubbish) == ()


def test_an_unknown_type_becomes_other() -> None:
    assert select_pictures([Picture(PNG, "", 255, "a\0b")]) == (Picture(PNG, "image/png", 0, "ab"),)


def test_too_large_pictures_are_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    largest = Picture(PNG.ljust(MAX_PICTURE, b"\0"), "image/png")
    assert select_pictures([Picture(largest.data + b"\0", "image/png"), largest]) == (largest,)
    assert f"{MAX_PICTURE + 1} bytes" in caplog.text


def test_all_pictures_together_have_a_limit() -> None:
    many = [Picture(PNG.ljust(MAX_PICTURE, bytes([number])), "image/png") for number in range(6)]
    assert len(select_pictures(many)) == 4
