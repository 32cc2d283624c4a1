"""The page that says how labels are written names every setting, with its default, and the true keys."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plugin_core.tags.fields import FIELDS, Family
from plugin_core.tags.id3 import PICARD
from plugin_core.wishes import TAGS

README = Path(__file__).parents[3] / "plugin_core" / "tags" / "README.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in README.read_text(encoding="utf-8").splitlines()
    if line.startswith("|")
]
COLUMNS = (Family.ID3, Family.ID3, Family.VORBIS, Family.MP4, Family.ASF, Family.APE)


def test_every_setting_is_named_with_its_default() -> None:
    said = {row[0].strip("`"): row[1] for row in ROWS if row[0].startswith("`")}
    defaults = msgspec.json.decode(msgspec.json.encode(TAGS()))
    assert set(said) == set(defaults)
    for name, value in defaults.items():
        if name != "provider":
            assert msgspec.json.decode(said[name].partition(",")[0].strip("`")) == value, name


@pytest.mark.parametrize("name", ["genre", "language", "mood", "scene"])
def test_keys_are_those_of_the_field_table(name: str) -> None:
    row = next(row for row in ROWS if row[0].partition(" ")[0] == name)
    for family, cell, number in zip(COLUMNS, row[1:], range(len(COLUMNS)), strict=True):
        keys = [PICARD.get(key, key) if number == 1 else key for key in FIELDS[name].written(family)]
        keys = [key for key in keys if number != 1 or key != "TMOO"]
        assert [key.strip().strip("`") for key in cell.split(",")] == keys
