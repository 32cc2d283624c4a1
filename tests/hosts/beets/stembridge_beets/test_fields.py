from __future__ import annotations

from typing import Any

import pytest
import yaml

pytest.importorskip("beets")

from beets.dbcore import query, types
from stembridge_beets import fields
from stembridge_beets.fields import WordList, WordsType

from plugin_core.tags.fields import FIELDS, Family
from plugin_core.wishes import DIMENSIONS


def test_dimensions_are_those_of_the_core() -> None:
    assert fields.DIMENSIONS == DIMENSIONS


@pytest.mark.parametrize("name", fields.LISTS)
def test_keys_are_those_of_the_core(name: str) -> None:
    row, field = FIELDS[name], fields.make_field(name)
    styles = {type(style).__name__: style for style in field._styles}
    assert f"TXXX:{styles['Id3List'].description}" in row.written(Family.ID3)
    assert (("MP3ListStorageStyle" in styles) and styles["MP3ListStorageStyle"].key) == (name == "mood" and "TMOO")
    assert (styles["MP4ListStorageStyle"].key,) == row.written(Family.MP4)
    assert (styles["ListStorageStyle"].key,) == row.written(Family.VORBIS)
    assert (styles["ListStorageStyle"].key,) == tuple(key.upper() for key in row.written(Family.APE))
    assert (styles["ASFStorageStyle"].key,) == row.written(Family.ASF)


OLD = WordsType(types.MULTI_VALUE_DSV.db_delimiter)
"""The type of lists before beets 2.11; newer versions have one of their own that does the same."""


@pytest.mark.parametrize("kind", [OLD, fields.list_type()], ids=["old", "installed"])
def test_a_text_given_to_a_list_is_no_letters(kind: types.DelimitedString) -> None:
    assert kind.normalize("Calm") == ["Calm"]
    assert kind.normalize("Calm; Dark") == ["Calm", "Dark"]
    assert kind.normalize("") == kind.normalize(None) == kind.normalize([]) == []
    assert kind.normalize(["Calm", "Dark"]) == ["Calm", "Dark"]
    assert kind.from_sql(kind.to_sql(["Calm", "Dark"])) == ["Calm", "Dark"]


def test_a_list_equals_each_of_its_values_for_versions_that_compare_it_with_one() -> None:
    found: Any = OLD.normalize(["Calm", "Dark"])
    assert "Calm" == found  # noqa: SIM300 - as beets asks
    assert found == "Dark"
    assert not found != "Dark"  # noqa: SIM202 - is what is tested
    assert found != "Cal"
    assert found == ["Calm", "Dark"]
    assert found != ["Calm"]
    assert str(found) == "Calm; Dark"


def test_no_text_is_no_path() -> None:
    kind = fields.FolderType()
    assert kind.parse("") == b"", "whatever folder somebody types `beet modify stems_path=` in"
    assert kind.parse("/music/a/../b.stems") == b"/music/b.stems"


def test_a_list_can_be_edited_as_any_other() -> None:
    assert yaml.safe_load(yaml.safe_dump({"mood": WordList(["Calm", "Dark"])})) == {"mood": ["Calm", "Dark"]}


@pytest.mark.parametrize("lacks", ["nothing", "texts", "regular expressions", "equality"])
def test_the_type_of_beets_itself_is_taken_where_it_is_good(monkeypatch: pytest.MonkeyPatch, lacks: str) -> None:
    def split(self: types.DelimitedString, value: Any) -> list[str]:
        return list(value)

    def match(*_: object) -> bool:
        return False

    good = types.MULTI_VALUE_DSV.normalize("ab") == ["ab"]
    if lacks == "texts":
        monkeypatch.setattr(types.DelimitedString, "normalize", split)
    elif lacks != "nothing":
        old = query.RegexpQuery if lacks == "regular expressions" else query.MatchQuery
        monkeypatch.setattr(old, "value_match", match)
    kind = fields.list_type()
    assert isinstance(kind, WordsType) == (lacks != "nothing" or not good)
    assert kind.normalize("Calm") == ["Calm"]
