from __future__ import annotations

import json
from typing import Any

import pytest

from plugin_core.errors import UsageError
from plugin_core.model import Label, Tagging
from plugin_core.tags.labels import check_rules, covers, decide, job_named_in, provenance
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
