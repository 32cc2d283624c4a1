"""What is asked for, and where the stems go."""

from __future__ import annotations

import pytest

from plugin_core.errors import UsageError
from plugin_core.providers.mediax.separation import (
    METHODS,
    find_method,
    list_models,
    make_place,
    output,
)
from plugin_core.stem_names import canonical

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
