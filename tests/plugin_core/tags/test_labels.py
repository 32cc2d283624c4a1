from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from plugin_core.errors import UsageError
from plugin_core.model import Label, Tagging
from plugin_core.tags.labels import (
    check_rules,
    covers,
    decide,
    entries,
    find_entry,
    is_catch_all,
    is_placeholder,
    job_named_in,
    provenance,
    word_for,
)
from plugin_core.wishes import DIMENSIONS

LABELS = (
    Label(dimension="mood", value="浪漫", english="Romantic", probability=0.6),
    Label(dimension="mood", value="安静", english="Calm", probability=0.9),
    Label(dimension="genre", value="摇滚", english="Rock", probability=0.8),
    Label(dimension="language", value="其他", english="Other", probability=0.95),
    Label(dimension="scene", value="航拍", english="Aerial Footage", probability=0.2),
    Label(dimension="tempo", value="fast", probability=1.0),
)


def wish(**words: Any) -> Tagging:
    return Tagging(provider="ears", **words)


def test_what_is_probable_goes_into_empty_fields_the_likelier_first() -> None:
    decision = decide(LABELS, wish(), {"genre": ("Jazz",)})
    assert decision.fields == {"mood": ("Calm", "Romantic"), "tempo": ("fast",)}
    assert decision.left == {
        "genre": "has Jazz",
        "language": "Other says nothing",
        "scene": "Aerial Footage is only 0.20 probable, below 0.5",
        "vocal": "nothing found",
        "bgm": "nothing found",
        "intensity": "nothing found",
    }


@pytest.mark.parametrize(
    ("policy", "existing", "expected"),
    [
        ("fill", (), ("Rock",)),
        ("fill", ("Jazz",), None),
        ("append", ("Jazz",), ("Jazz", "Rock")),
        ("append", ("rock",), None),
        ("replace", ("Jazz", "Pop"), ("Rock",)),
        ("replace", ("Rock",), None),
    ],
    ids=["fill-empty", "fill", "append", "append-known", "replace", "replace-same"],
)
def test_policies(policy: str, existing: tuple[str, ...], expected: tuple[str, ...] | None) -> None:
    asked = wish(dimensions=("genre",), policies={"genre": policy}, policy="replace")
    assert decide(LABELS, asked, {"genre": existing} if existing else {}).fields.get("genre") == expected


def test_threshold_of_a_dimension_wins() -> None:
    assert decide(LABELS, wish(thresholds={"scene": 0.1, "mood": 0.7}), {}).fields == {
        "mood": ("Calm",),
        "genre": ("Rock",),
        "scene": ("Aerial Footage",),
        "tempo": ("fast",),
    }


@pytest.mark.parametrize(
    ("probability", "came"),
    [(None, "without a probability"), (1.7, "with the probability 1.7"), (-1.0, "with the probability -1")],
    ids=str,
)
def test_what_is_no_probability_passes_no_threshold_and_is_said(probability: float | None, came: str) -> None:
    label = Label(dimension="bgm", value="有背景音乐", english="With Background Music", probability=probability)
    decision = decide((label,), wish(dimensions=("bgm",)), {})
    assert decision.fields == {}
    assert decision.left == {"bgm": f"With Background Music came {came}, and at least 0.5 is asked"}
    assert decide((label,), wish(min_probability=0), {}).fields == {"bgm": ("With Background Music",)}


def test_only_dimensions_asked_for_are_told_of() -> None:
    decision = decide(LABELS, wish(dimensions=("mood",)), {})
    assert (set(decision.fields), decision.left) == ({"mood"}, {})


def test_provenance_names_its_job_and_every_probability() -> None:
    text = provenance(LABELS, wish(dimensions=("mood",)), "job-1", "2026-01-02")
    assert json.loads(text) == {
        "provider": "ears",
        "job": "job-1",
        "date": "2026-01-02",
        "labels": [
            {"dimension": "mood", "label": "浪漫", "probability": 0.6},
            {"dimension": "mood", "label": "安静", "probability": 0.9},
        ],
    }
    assert job_named_in(text) == "job-1"


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "3", '{"job": 3}', "{}"])
def test_foreign_provenance_names_no_job(text: str) -> None:
    assert job_named_in(text) == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"dimensions": ("mod",)}, "no dimension 'mod'; did you mean 'mood'"),
        ({"policies": {"genres": "fill"}}, "no dimension 'genres'"),
        ({"dimensions": ("能量",)}, "no dimension '能量'"),
        ({"policy": "fil"}, "no policy 'fil'"),
        ({"labels": "fr"}, "no language of labels 'fr'"),
        ({"language_codes": "639-1"}, "no kind of language codes"),
        ({"min_probability": 1.5}, "1.5 is no probability"),
        ({"thresholds": {"mood": float("nan")}}, "nan is no probability"),
    ],
    ids=["dimension", "by-dimension", "no-field", "policy", "labels", "codes", "number", "nan"],
)
def test_rules_that_mean_nothing_are_refused(words: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        check_rules(wish(**words))


def test_everything_covers_a_part_and_no_part_covers_everything() -> None:
    assert covers(wish(), wish(dimensions=("mood",)))
    assert not covers(wish(dimensions=("mood",)), wish())
    assert covers(wish(dimensions=("mood", "genre")), wish(dimensions=("genre",), policy="replace", labels="zh"))


def test_append_adds_no_language_that_stands_there_in_another_standard() -> None:
    label = Label(dimension="language", value="国语", english="Mandarin", probability=0.9)
    asked = wish(dimensions=("language",), policy="append")
    for word in ("zho", "cmn", "chi", "zh", "eng/chi", "Mandarin", "Chinese", "国语", "中文"):
        assert decide((label,), asked, {"language": (word,)}).fields == {}
    assert decide((label,), asked, {"language": ("yue",)}).fields == {"language": ("yue", "cmn")}


@pytest.mark.parametrize("text", ["Pop; Rock", "Pop/rock", "Pop / Rock"])
def test_append_adds_nothing_that_stands_inside_a_text(text: str) -> None:
    asked = wish(dimensions=("genre",), policy="append")
    assert decide(LABELS, asked, {"genre": (text,)}).fields == {}


def test_a_dimension_of_a_tagger_s_own_can_be_asked_for() -> None:
    asked = wish(dimensions=("tempo",), policies={"tempo": "append"}, thresholds={"tempo": 0.9})
    check_rules(asked)
    assert decide(LABELS, asked, {"tempo": ("slow",)}).fields == {"tempo": ("slow", "fast")}


@pytest.mark.parametrize("named", [(), DIMENSIONS, DIMENSIONS[::-1]], ids=["none", "all", "in another order"])
def test_who_names_all_the_usual_dimensions_takes_whatever_else_is_found(named: tuple[str, ...]) -> None:
    assert decide(LABELS, wish(dimensions=named), {}).fields["tempo"] == ("fast",)
    assert "tempo" not in decide(LABELS, wish(dimensions=named[1:] or ("mood",)), {}).fields


def test_dimensions_go_to_the_fields_that_are_named_and_share_them() -> None:
    asked = wish(dimensions=("mood", "genre"), fields={"mood": "comment", "genre": "comment"}, policy="append")
    assert decide(LABELS, asked, {"comment": ("Mine",)}).fields == {"comment": ("Mine", "Calm", "Romantic", "Rock")}
    with pytest.raises(UsageError, match="mood cannot be written to 'title'"):
        check_rules(wish(fields={"mood": "title"}))


@pytest.mark.parametrize("dimension", ["title", "能量", "a=b"])
def test_a_dimension_without_a_field_is_said(dimension: str) -> None:
    decision = decide((Label(dimension=dimension, value="x", probability=1.0),), wish(), {})
    assert dimension not in decision.fields and "[tags.fields]" in decision.left[dimension]


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
