"""Labels out of every spelling of a result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from plugin_core.manifests import manifest
from plugin_core.model import Label
from plugin_core.providers.mediax.answers import DIMENSIONS, english_names, keep_results, list_unread, read_labels
from plugin_core.transfer import Answer


def job(result: Any) -> dict[str, Any]:
    return {"id": "1", "outputs": [{"smartContentResult": result}]}


def labels_of(result: Any, wanted: Sequence[str] = DIMENSIONS) -> tuple[Label, ...]:
    labels = read_labels(job(result), wanted)
    assert labels is not None
    return labels


MOOD = {"mood": {"label": "兴奋", "prob": "0.2953"}}
LOW = {"label": "安静", "prob": "0.1"}
EXPECTED = (Label(dimension="mood", value="兴奋", english=english_names()["mood", "兴奋"], probability=0.2953),)


HIGH = {"label": "兴奋", "prob": "0.2953"}
OLDER = {"tagType": "mood", "tag": "兴奋", "probility": "0.2953"}
SPELLINGS: dict[str, Any] = {
    "misspelt": {"musigTagV2": {"musicTagV2": MOOD}},
    "spelt": {"musicTagV2": {"musicTagV2": MOOD}},
    "misspelt flat": {"musigTagV2": MOOD},
    "flat": {"musicTagV2": MOOD},
    "bare": MOOD,
    "capitals": {"MusicTagV2": {"Mood": {"Label": "兴奋", "Prob": "0.2953"}}},
    "Chinese": {"musicTagV2": {"情绪": HIGH}},
    "a text": json.dumps({"musicTagV2": MOOD}),
    "a text within": {"musicTagV2": json.dumps(MOOD, ensure_ascii=False)},
    "a text of one": {"musicTagV2": {"mood": json.dumps(HIGH)}},
    "list": {"musicTagV2": {"mood": [LOW, HIGH]}},
    "holes": {"musicTagV2": {"mood": {"label": " 兴奋 ", "prob": 0.2953}, "genre": {}, "scene": None, "bgm": []}},
    "older": {"audioTagger": [OLDER]},
    "older spelt": {"audioTagger": [{"tagType": "mood", "tag": "兴奋", "probability": 0.2953}]},
    "older both": {"audioTagger": [OLDER | {"probability": None}]},
    "older list": {"audioTagger": [OLDER | {"tag": "安静", "probility": "0.1"}, OLDER]},
    "older capital": {"audioTagger": [{"TagType": "Mood", "Tag": "兴奋", "Probility": "0.2953"}]},
    "older Chinese": {"audioTagger": [OLDER | {"tagType": "情绪"}]},
    # Of mood and of intensity: the number decides.
    "older number": {"audioTagger": [OLDER | {"tagType": 3}]},
    "older text": {"audioTagger": json.dumps([OLDER | {"tagType": "3"}])},
    "older nested": {"audioTagger": {"audioTagger": [OLDER]}},
}


@pytest.mark.parametrize("result", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_says_the_same(result: Any) -> None:
    assert read_labels(job(result), DIMENSIONS) == EXPECTED


def test_a_label_of_one_dimension_alone_says_which_it_is_whatever_its_number() -> None:
    result = {"audioTagger": [{"tagType": 99, "tag": "摇滚", "probility": "1"}, {"tagType": 99, "tag": "兴奋"}]}
    assert [label.dimension for label in labels_of(result)] == ["genre"]


def test_a_dimension_nobody_knew_of_is_taken_with_all_of_them_alone() -> None:
    result = {"musicTagV2": {"energy": {"label": "high", "prob": "0.9"}} | MOOD}
    assert [label.dimension for label in labels_of(result)] == ["mood", "energy"]
    assert [label.dimension for label in labels_of(result, ["mood"])] == ["mood"]


@pytest.mark.parametrize(
    "probability", ["", None, "high", "nan", -1, 1.5, True, {}, 10**400], ids=lambda one: repr(one)[:9]
)
def test_a_probability_that_is_none_leaves_the_label(probability: object) -> None:
    labels = labels_of({"musicTagV2": {"mood": {"label": "兴奋", "prob": probability}}})
    assert [(label.value, label.probability) for label in labels] == [("兴奋", None)]


def test_what_is_not_understood_of_some_dimensions_is_named() -> None:
    broken = {"genre": {"guess": "摇滚"}, "scene": {}, "bgm": [3], "energy": {"high": True}}
    result = job({"musicTagV2": MOOD | broken})
    assert list_unread(result, DIMENSIONS) == ["bgm", "energy", "genre"]
    assert list_unread(result, ["mood", "bgm"]) == ["bgm", "energy"]
    assert list_unread(job({"audioTagger": [{"tagType": 99, "tag": "兴奋"}]}), DIMENSIONS) == [
        "a dimension without a name"
    ]
    assert list_unread(job({"\x1b[2Jx\n" * 999: {"y": ["z"]}}), DIMENSIONS)[0].startswith(r"\x1b[2jx \x1b[2jx \x1b")


def test_what_was_not_asked_for_is_not_taken() -> None:
    result = {"musicTagV2": MOOD | {"genre": {"label": "摇滚", "prob": "1"}}}
    assert [label.dimension for label in labels_of(result, ["genre"])] == ["genre"]


def test_an_unknown_label_is_kept_as_it_came() -> None:
    labels = labels_of({"musicTagV2": {"genre": {"label": "新流派", "prob": "1"}}})
    assert (labels[0].value, labels[0].english) == ("新流派", "新流派")


def test_one_text_means_different_things_in_two_dimensions() -> None:
    result = {"musicTagV2": {each: {"label": "兴奋", "prob": "1"} for each in ("mood", "intensity")}}
    english = {label.dimension: label.english for label in labels_of(result)}
    assert english == {each: english_names()[each, "兴奋"] for each in ("mood", "intensity")}


@pytest.mark.parametrize(
    "result",
    [
        {"musigTagV2": {"musicTagV2": {}}},
        {"musicTagV2": {"mood": {}, "intensity": None, "genre": [], "bgm": ""}},
        {"musicTagV2": {"mood": {"label": "", "prob": ""}}},
        {"audioTagger": []},
    ],
    ids=repr,
)
def test_an_answer_that_found_nothing_has_no_labels(result: Any) -> None:
    assert read_labels(job(result), DIMENSIONS) == ()


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"outputs": None},
        {"outputs": ["x"]},
        {"outputs": [{"smartContentResult": 1}]},
        {"outputs": [{"smartContentResult": {}}]},
        job("{no json"),
        job({"musicTagV3": [{"what": "calm"}]}),
        job({"musicTagV2": {"mood": {"word": "calm"}}}),
        job({"audioTagger": [{"tagType": 99, "tag": "兴奋"}]}),
    ],
    ids=repr,
)
def test_what_is_in_no_known_form_is_not_taken_for_nothing_found(broken: dict[str, Any]) -> None:
    assert read_labels(broken, DIMENSIONS) is None


def test_an_answer_is_kept_whole_without_its_links() -> None:
    whole = job({"musicTagV3": "calm"}) | {
        "inputs": [{"url": "https://x.example/?sign=s3cret"}],
        "callback": "https://y",
    }
    assert json.loads(keep_results(whole)) == job({"musicTagV3": "calm"})
    signed = job([{"fileName": "https://x.example/a.wav?mark=s3cret#s3cret", "tone": 1}, "cos://b/c?s3cret"])
    assert json.loads(keep_results(signed)) == job([{"fileName": "https://x.example/a.wav", "tone": 1}, "cos://b/c"])


def test_all_101_labels_have_an_english_name_of_their_own() -> None:
    document = json.loads(manifest("providers/mediax_labels.json").read_text(encoding="utf-8"))
    names = english_names()
    assert len(names) == document["total_listed"] == 101
    for dimension in DIMENSIONS:
        english = [name for (each, _), name in names.items() if each == dimension]
        assert len(set(english)) == len(english)


@pytest.mark.parametrize(
    "label", [rb'"\ud83c!"', b'"\xed\xa0\xbc!"', rb'"\uD83C!"'], ids=["escaped", "raw", "capitals"]
)
@pytest.mark.parametrize("is_text", [False, True], ids=["object", "text"])
def test_half_of_a_character_costs_no_label(label: bytes, is_text: bool) -> None:
    """Neither a file nor the job store takes one."""
    result = b'{"musicTagV2": {"mood": {"label": ' + label + b"}}}"
    if is_text:
        result = json.dumps(result.decode("utf-8", "surrogatepass"), ensure_ascii=b"x" not in label).encode()
    (found,) = labels_of(Answer(200, {}, b'{"r": ' + result + b"}").data["r"])
    assert found.value == "?!"
