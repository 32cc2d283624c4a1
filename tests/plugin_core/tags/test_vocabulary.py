from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from plugin_core.model import Label, Tagging
from plugin_core.tags.vocabulary import entries, find_entry, is_catch_all, is_placeholder, word_for


def wish(**words: Any) -> Tagging:
    return Tagging(provider="ears", **words)


def test_all_labels_map_both_ways() -> None:
    assert len(entries()) == 101
    for entry in entries():
        assert find_entry(entry.dimension, entry.zh) is entry
        assert find_entry(entry.dimension, entry.en) is entry


def test_no_two_labels_of_a_dimension_share_a_name() -> None:
    assert max(Counter((entry.dimension, entry.en.casefold()) for entry in entries()).values()) == 1


@pytest.mark.parametrize(
    ("dimension", "value", "english"), [("mood", "兴奋", "Excited"), ("intensity", "兴奋", "Intense")], ids=str
)
def test_one_word_means_different_things_in_two_dimensions(dimension: str, value: str, english: str) -> None:
    assert word_for(Label(dimension=dimension, value=value), wish(labels="en", language_codes="639-2")) == english


@pytest.mark.parametrize(
    ("value", "codes", "expected"),
    [("国语", "639-2", "zho"), ("国语", "639-3", "cmn"), ("粤语", "639-2", "zho"), ("粤语", "639-3", "yue"),
     ("德语", "639-2", "deu"), ("English", "639-2", "eng"), ("Klingon", "639-2", "Klingon")],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("labels", ["en", "zh"])
def test_languages_are_codes_whatever_the_labels(value: str, codes: str, expected: str, labels: str) -> None:
    assert word_for(Label(dimension="language", value=value), wish(labels=labels, language_codes=codes)) == expected


@pytest.mark.parametrize("labels", ["en", "zh"])
def test_unknown_label_is_kept_as_it_came(labels: str) -> None:
    label = Label(dimension="scene", value="太空漫步")
    assert word_for(label, wish(labels=labels, language_codes="639-2")) == "太空漫步"


def test_english_name_of_the_service_wins_and_chinese_is_found_for_it() -> None:
    label = Label(dimension="mood", value="安静", english="Quiet")
    assert word_for(label, wish(labels="en", language_codes="639-2")) == "Quiet"
    assert word_for(label, wish(labels="zh", language_codes="639-2")) == "安静"


@pytest.mark.parametrize(
    ("dimension", "value", "expected"),
    [("language", "其他", True), ("language", "纯音乐", True), ("vocal", "纯音乐", False), ("scene", "其他", True),
     ("genre", "Unknown", True), ("language", "und", True), ("mood", "安静", False)],
    ids=str,
)  # fmt: skip
def test_catch_alls(dimension: str, value: str, expected: bool) -> None:
    assert is_catch_all(Label(dimension=dimension, value=value)) is expected


@pytest.mark.parametrize(
    ("existing", "codes", "expected"),
    [
        (("eng",), "639-2", "zho"), (("eng",), "639-3", "cmn"), (("yue",), "639-2", "cmn"),
        (("chi", "eng"), "639-3", "chi"), (("ger",), "639-2", "chi"), (("en",), "639-2", "zh"),
        (("fi",), "639-2", "zh"), (("English",), "639-3", "Mandarin"), (("fin",), "639-3", "cmn"),
        (("English", "eng"), "639-2", "zho"),
    ],
    ids=str,
)  # fmt: skip
def test_languages_keep_the_standard_that_stands_there(existing: tuple[str, ...], codes: str, expected: str) -> None:
    label = Label(dimension="language", value="国语", english="Mandarin")
    assert word_for(label, wish(language_codes=codes), existing) == expected


def test_one_s_own_words_come_before_all_others() -> None:
    own = wish(names={"calm": "Ruhig", "国语": "Chinese"}, labels="zh")
    assert word_for(Label(dimension="mood", value="安静", english="Calm"), own) == "Ruhig"
    assert word_for(Label(dimension="language", value="国语", english="Mandarin"), own, ("eng",)) == "Chinese"


@pytest.mark.parametrize("word", ["Unknown", "other", "(255)", " Genre ", "其他"])
def test_what_says_that_nobody_knew_is_a_placeholder(word: str) -> None:
    assert is_placeholder(word) and not is_placeholder(f"{word} Rock")
