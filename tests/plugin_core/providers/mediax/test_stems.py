"""Results in every spelling, and names that are none."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_core.errors import ServiceError, UsageError
from plugin_core.model import RemoteFile
from plugin_core.providers.mediax.stems import (
    METHODS,
    find_address,
    find_method,
    list_models,
    make_place,
    object_name,
    output,
    read_stems,
)
from plugin_core.stem_names import canonical
from tests.simulators.mediax_stems import FORMS, StemMaker

KEY = "01890000-0000-7000-8000-000000000001"


def test_equal_keys_give_equal_places_and_others_others() -> None:
    one, again = make_place("stembridge", KEY), make_place("/stembridge/", KEY)
    assert one == again
    places = {make_place("stembridge", f"{KEY[:-4]}{number:04d}") for number in range(2000)}
    assert len({place.prefix for place in places}) == len({place.folder for place in places}) == 2000
    assert {len(place.prefix) for place in places} == {19}


@pytest.mark.parametrize(
    ("destination", "folder"), [("stembridge", "stembridge/"), ("/a/b/", "a/b/"), ("", ""), ("/", "")]
)
def test_each_job_has_a_folder_of_its_own(destination: str, folder: str) -> None:
    place = make_place(destination, KEY)
    assert place.folder == f"{folder}{place.prefix}"


def test_only_names_with_the_jobs_own_mark_are_its_own() -> None:
    place = make_place("stembridge", KEY)
    own = [
        f"{place.folder}/x.wav",
        f"{place.prefix}_x.wav",
        f"a/b/{place.prefix}x.wav",
        f"{place.folder}{place.prefix}x",
    ]
    others = ["x.wav", "stembridge/x.wav", f"stembridge/not-{place.prefix}", make_place("stembridge", "other").folder]
    assert [place.owns(name) for name in own + others] == [True] * 4 + [False] * 4


@pytest.mark.parametrize(("model", "number"), [("two-stems", 1), ("four-stems", 2), ("five-stems", 3)])
def test_the_output_is_what_the_documentation_says(model: str, number: int) -> None:
    place = make_place("stembridge", KEY)
    assert output(find_method(model), "repo-1", place) == {
        "contentId": "repo-1",
        "destination": place.folder,
        "smartContentDescriptor": {"outputPrefix": place.prefix, "musicSeperate": {"method": number}},
    }


def test_models_are_marked_experimental_and_give_canonical_stems() -> None:
    models = list_models()
    assert [model.id for model in models] == list(METHODS)
    assert all("experimental" in model.name for model in models)
    assert [len(model.stems) for model in models] == [2, 4, 5]
    assert all(canonical(stem) == stem for model in models for stem in model.stems)


def test_an_unknown_model_says_which_there_are() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'six'.*two-stems, four-stems, five-stems"):
        find_method("six")


FOUR = METHODS["four-stems"]


def job(*results: dict[str, Any], form: str = "theirs") -> dict[str, Any]:
    return {"outputs": [{"smartContentResult": StemMaker(form=form).wrap(list(results))}]}


def one(name: str, tone: object = None) -> RemoteFile:
    (found,) = read_stems(job({"fileName": name} | ({} if tone is None else {"tone": tone})), FOUR)
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_spelling_of_the_list_is_read(form: str) -> None:
    found = read_stems(job({"fileName": "a.wav", "tone": 1}, {"fileName": "b.wav", "tone": 2}, form=form), FOUR)
    assert [(file.stem, file.url, file.name) for file in found] == [
        ("vocals", "a.wav", "a.wav"),
        ("drums", "b.wav", "b.wav"),
    ]


@pytest.mark.parametrize(
    ("tone", "stem"),
    [
        (1, "vocals"),
        (2.0, "drums"),
        ("3", "bass"),
        (4, "piano"),
        (5, "other"),
        ("VOCALS", "vocals"),
        ("Vocal", "vocals"),
        ("Drums", "drums"),
        ("Accompaniment", "other"),
        ("instrumental", "other"),
        ("人声", "vocals"),
        ("鼓点", "drums"),
        ("贝斯", "bass"),
        ("钢琴", "piano"),
        ("伴奏", "other"),
        ("Electric Guitar", "electric-guitar"),
        ("../../x", "x"),
    ],
)
def test_tones_become_the_house_s_names(tone: object, stem: str) -> None:
    assert one("sb-x.wav", tone).stem == stem


def test_accompaniment_is_the_instrumental_where_there_are_only_two() -> None:
    found = read_stems(job({"fileName": "a.wav", "tone": 1}, {"fileName": "b.wav", "tone": 5}), METHODS["two-stems"])
    assert [file.stem for file in found] == ["vocals", "instrumental"]


@pytest.mark.parametrize(
    ("name", "tone", "stem"),
    [
        ("sb-abc_vocals.wav", None, "vocals"),
        ("sb-abc_DRUMS_01.wav", 17, "drums"),
        ("dir/sb-abc-人声.mp3", None, "vocals"),
        ("sb-abc accompaniment.wav", "", "other"),
        ("https://x.example/a/sb-abc_%E8%B4%9D%E6%96%AF.wav?s=1", None, "bass"),
        ("sb-abc.wav", None, "part"),
        ("sb-abc.wav", 17, "part"),
        ("sb-abc.wav", True, "part"),
        ("sb-abc.wav", ["x"], "part"),
    ],
)
def test_without_a_tone_the_file_s_name_tells(name: str, tone: object, stem: str) -> None:
    assert one(name, tone).stem == stem


def test_two_results_of_one_tone_both_stay() -> None:
    found = read_stems(job({"fileName": "a.wav", "tone": 1}, {"fileName": "b.wav", "tone": 1}), FOUR)
    assert [(file.stem, file.url) for file in found] == [("vocals", "a.wav"), ("vocals-2", "b.wav")]


def test_the_same_result_named_twice_is_one() -> None:
    assert len(read_stems(job({"fileName": "a.wav", "tone": 1}, {"fileName": "a.wav", "tone": 1}), FOUR)) == 1


@pytest.mark.parametrize(
    ("name", "kept", "meant"),
    [
        ("sb-x_a.wav", "sb-x_a.wav", "sb-x_a.wav"),
        ("/stembridge/sb-x/a b.wav", "stembridge/sb-x/a b.wav", "stembridge/sb-x/a b.wav"),
        ("https://b.example/s/a%20b.wav?sign=x#y", "https://b.example/s/a%20b.wav", "s/a b.wav"),
        ("what?.wav", "what?.wav", "what?.wav"),
    ],
    ids=["bare", "slashed", "url", "question"],
)
def test_a_name_is_kept_without_what_may_be_a_signature(name: str, kept: str, meant: str) -> None:
    found = one(name, 1)
    assert (found.url, object_name(found)) == (kept, meant)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "a/../b.wav",
        "./a.wav",
        "..",
        "a\\..\\b.wav",
        "a\nb.wav",
        "a\x00.wav",
        "a\u202eb.wav",
        "\udc80.wav",
        "https://x.example/a/%2e%2e/b.wav",
        "https://x.example/a%0Ab.wav",
        "/",
        "a" * 900,
    ],
)
def test_what_is_no_objects_name_is_refused_on_one_line(name: str) -> None:
    with pytest.raises(ServiceError, match="no object's name") as caught:
        one(name, 1)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"outputs": None},
        {"outputs": [{"smartContentResult": None}]},
        {"outputs": [{"smartContentResult": {"musicSeperate": []}}]},
        {"outputs": [{"smartContentResult": {"musicSeperate": [{"fileName": "", "tone": 1}, "x", 3, None]}}]},
        {"outputs": [{"smartContentResult": {"musicSeperate": [[[[[[{"fileName": "deep.wav"}]]]]]]}}]},
    ],
)
def test_a_job_may_name_no_stems_that_are_understood(answer: dict[str, Any]) -> None:
    assert read_stems(answer, FOUR) == ()


def test_the_whole_address_is_found_again_by_what_was_kept() -> None:
    address = "https://x.example/a.wav?sign=new"
    answer = job({"fileName": address, "tone": 1}, {"fileName": "b.wav", "tone": 2})
    first, second = read_stems(answer, FOUR)
    assert (find_address(answer, first), find_address(answer, second)) == (address, "")
    assert find_address(job({"fileName": "c.wav"}), first) == ""
