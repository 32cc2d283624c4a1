"""Labels out of every spelling of a result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugin_core.model import Label
from plugin_core.providers.mediax.answers import DIMENSIONS, english_names, read_labels
from plugin_core.settings import manifest


def job(result: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "outputs": [{"smartContentResult": result}]}


MOOD = {"mood": {"label": "兴奋", "prob": "0.2953"}}
EXPECTED = (Label(dimension="mood", value="兴奋", english=english_names()["mood", "兴奋"], probability=0.2953),)


@pytest.mark.parametrize(
    "result",
    [
        {"musigTagV2": {"musicTagV2": MOOD}},
        {"musicTagV2": {"musicTagV2": MOOD}},
        {"musigTagV2": MOOD},
        {"musicTagV2": MOOD},
        {"audioTagger": [{"tagType": "mood", "tag": "兴奋", "probility": "0.2953"}]},
        {"audioTagger": [{"tagType": "mood", "tag": "兴奋", "probability": 0.2953}]},
        {"audioTagger": [{"tagType": "mood", "tag": "兴奋", "probability": None, "probility": "0.2953"}]},
        {
            "audioTagger": [
                {"tagType": "mood", "tag": "安静", "probility": "0.1"},
                {"tagType": "mood", "tag": "兴奋", "probility": "0.2953"},
            ]
        },
        {"musicTagV2": {"mood": [{"label": "安静", "prob": "0.1"}, {"label": "兴奋", "prob": "0.2953"}]}},
        {"musicTagV2": {"mood": {"label": " 兴奋 ", "prob": 0.2953}, "genre": {}, "scene": None, "bgm": []}},
    ],
    ids=[
        "misspelt",
        "spelt",
        "misspelt flat",
        "flat",
        "older",
        "older spelt",
        "older both",
        "older list",
        "list",
        "holes",
    ],
)
def test_every_spelling_says_the_same(result: dict[str, Any]) -> None:
    assert read_labels(job(result), DIMENSIONS) == EXPECTED


@pytest.mark.parametrize("probability", ["", None, "high", "nan", -1, 1.5, True, {}], ids=repr)
def test_a_probability_that_is_none_leaves_the_label(probability: object) -> None:
    labels = read_labels(job({"musicTagV2": {"mood": {"label": "兴奋", "prob": probability}}}), DIMENSIONS)
    assert [(label.value, label.probability) for label in labels] == [("兴奋", None)]


def test_what_was_not_asked_for_is_not_taken() -> None:
    result = {"musicTagV2": MOOD | {"genre": {"label": "摇滚", "prob": "1"}}}
    assert [label.dimension for label in read_labels(job(result), ["genre"])] == ["genre"]


def test_an_unknown_label_is_kept_as_it_came() -> None:
    labels = read_labels(job({"musicTagV2": {"genre": {"label": "新流派", "prob": "1"}}}), DIMENSIONS)
    assert (labels[0].value, labels[0].english) == ("新流派", "新流派")


def test_one_text_means_different_things_in_two_dimensions() -> None:
    result = {"musicTagV2": {each: {"label": "兴奋", "prob": "1"} for each in ("mood", "intensity")}}
    english = {label.dimension: label.english for label in read_labels(job(result), DIMENSIONS)}
    assert english == {each: english_names()[each, "兴奋"] for each in ("mood", "intensity")}


@pytest.mark.parametrize(
    "broken", [{}, {"outputs": None}, {"outputs": ["x"]}, {"outputs": [{"smartContentResult": 1}]}]
)
def test_no_result_is_no_label(broken: dict[str, Any]) -> None:
    assert read_labels(broken, DIMENSIONS) == ()


def test_all_101_labels_have_an_english_name_of_their_own() -> None:
    document = json.loads(manifest("providers/mediax_labels.json").read_text(encoding="utf-8"))
    names = english_names()
    assert len(names) == document["total_listed"] == 101
    for dimension in DIMENSIONS:
        english = [name for (each, _), name in names.items() if each == dimension]
        assert len(set(english)) == len(english)
