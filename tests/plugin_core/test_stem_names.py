from __future__ import annotations

import json
from pathlib import Path

import pytest

from plugin_core.stem_names import canonical, distinct, parts_of, title, without

LABELS = Path(__file__).parents[4] / "shared/reference/mvsep_algorithms.json"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Vocals", "vocals"),
        ("Instrum", "instrumental"),
        ("Vocals_Lead", "lead-vocals"),
        ("vocals-back", "back-vocals"),
        ("Back vocal", "back-vocals"),
        ("No guitar", "no-guitar"),
        ("Drums (full)", "drums"),
        ("hh", "hi-hat"),
        ("Pedal steel guitar", "pedal-steel-guitar"),
        ("NO_VOCALS", "no-vocals"),
        ("人声", "vocals"),
        ("../../etc/passwd", "etc-passwd"),
        ("\x00\u202e", "part"),
    ],
)
def test_canonical(label: str, name: str) -> None:
    assert canonical(label) == name


@pytest.mark.parametrize("label", ["Vocals", "x" * 200, "İstanbul", "ﬁddle", "Straße", "e\u0301 é", "No No Drums"])
def test_canonical_is_stable(label: str) -> None:
    assert canonical(canonical(label)) == canonical(label)


@pytest.mark.skipif(not LABELS.exists(), reason="needs the shared reference")
def test_every_known_label_has_a_name_that_fits_a_file() -> None:
    words = [word for model in json.loads(LABELS.read_text())["models"] for word in (model["outputs"] or {}).values()]
    names = {canonical(word) for word in words}
    assert len(names) > 60
    assert all(name and name == name.strip("-") and "/" not in name and "." not in name for name in names)


@pytest.mark.parametrize(
    ("name", "words"),
    [("no-drums", "No Drums"), ("lead-vocals", "Lead Vocals"), ("sfx", "SFX"), ("no-hi-hat", "No Hi-Hat")],
)
def test_title(name: str, words: str) -> None:
    assert title(name) == words


@pytest.mark.parametrize(
    ("stems", "given", "parts"),
    [
        (["Instrum"], {"vocals", "drums", "bass", "other"}, {"vocals"}),
        (["vocals", "instrumental"], {"vocals", "instrumental"}, {"vocals", "instrumental"}),
        (["drums", "no-vocals"], {"drums"}, {"drums", "no-vocals"}),
    ],
    ids=["what the source leaves", "a part of its own", "others are themselves"],
)
def test_parts_of(stems: list[str], given: set[str], parts: set[str]) -> None:
    assert parts_of(stems, given) == parts


def test_without_and_distinct() -> None:
    assert without("Drum") == "no-drums"
    assert distinct(["a", "a", "a-2", "a"]) == ["a", "a-2", "a-2-2", "a-3"]
