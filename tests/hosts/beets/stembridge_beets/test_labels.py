"""Fields of an item by policy, labelled anew, and put back."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("beets")

from beets.library import Item
from stembridge_beets.labels import get_values, is_labelled, put_labels, read_history, take_back, tidy

from plugin_core.model import Label, Tagging

CALM = Label(dimension="mood", value="安静", english="Calm", probability=0.9)
ROCK = Label(dimension="genre", value="摇滚", english="Rock", probability=0.8)
MANDARIN = Label(dimension="language", value="国语", english="Mandarin", probability=0.7)
FOUND = (CALM, ROCK, MANDARIN)


def wish(**more: Any) -> Tagging:
    return Tagging(provider="mediax", dimensions=("mood", "genre", "language"), language_codes="639-3", **more)


def song(**fields: Any) -> Item:
    return Item(path=b"/nowhere/song.flac", **fields)


def test_empty_fields_are_filled() -> None:
    item = song()
    assert put_labels(item, FOUND, wish()) == {}
    assert (item["mood"], item["genres"], item["language"]) == (["Calm"], ["Rock"], "cmn")
    assert item["mood_probability"] == 0.9
    assert item["labels_provider"] == "mediax"


@pytest.mark.parametrize(
    ("policy", "genres", "language"),
    [("fill", ["Folk"], "eng"), ("append", ["Folk", "Rock"], "eng"), ("replace", ["Rock"], "cmn")],
)
def test_what_stands_there_is_treated_by_policy(policy: str, genres: list[str], language: str) -> None:
    item = song(genres=["Folk"], language="eng")
    put_labels(item, FOUND, wish(policy=policy))
    assert (item["genres"], item["language"]) == (genres, language)


def test_one_dimension_can_have_a_policy_of_its_own() -> None:
    item = song(genres=["Folk"], language="eng")
    put_labels(item, FOUND, wish(policies={"genre": "replace"}))
    assert (item["genres"], item["language"]) == (["Rock"], "eng")


def test_what_is_not_sure_enough_is_left_out_and_said() -> None:
    item = song()
    left = put_labels(item, FOUND, wish(min_probability=0.85))
    assert get_values(item, "genre") == ()
    assert "0.80" in left["genre"]
    assert item["genre_probability"] == 0.8


def test_labelling_anew_starts_from_what_was_there_before() -> None:
    item = song(genres=["Folk"])
    put_labels(item, FOUND, wish(policy="append"))
    other = Label(dimension="genre", value="爵士", english="Jazz", probability=0.9)
    put_labels(item, (other,), wish(policy="append"))
    assert item["genres"] == ["Folk", "Jazz"]
    assert get_values(item, "mood") == ()
    take_back(item)
    assert item["genres"] == ["Folk"]


def test_undo_puts_back_and_leaves_nothing_behind() -> None:
    item = song(genres=["Folk"])
    before = dict(item)
    put_labels(item, FOUND, wish(policy="replace"))
    assert take_back(item) == []
    tidy(item)
    assert {**dict(item), "mtime": 0} == {**before, "mtime": 0}


def test_undo_leaves_alone_what_the_user_has_changed() -> None:
    item = song()
    put_labels(item, FOUND, wish())
    item["genres"] = ["Mine"]
    assert take_back(item) == ["genre"]
    assert item["genres"] == ["Mine"]
    assert get_values(item, "mood") == ()


def test_other_dimensions_keep_their_undo() -> None:
    item = song()
    put_labels(item, (CALM,), Tagging(provider="mediax", dimensions=("mood",)))
    put_labels(item, (ROCK,), Tagging(provider="mediax", dimensions=("genre",)))
    assert set(read_history(item)) == {"mood", "genre"}
    assert item["labels_dimensions"] == ["genre", "mood"]


def test_is_labelled() -> None:
    item = song()
    assert not is_labelled(item, wish())
    put_labels(item, (), wish())
    assert is_labelled(item, wish())
    assert not is_labelled(item, Tagging(provider="mediax", dimensions=("scene",)))
    full = song(genres=["Folk"], language="eng", mood=["Calm"])
    assert is_labelled(full, wish())
    assert not is_labelled(full, wish(policy="append"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"mood": 1}', "null"])
def test_a_history_that_cannot_be_read_is_none(text: str) -> None:
    assert read_history(song(labels_undo=text)) == {}
