from __future__ import annotations

import pytest

pytest.importorskip("beets")

from stembridge_beets import media_fields

from plugin_core.tags.fields import FIELDS, Family
from plugin_core.tags.rules import DIMENSIONS


def test_dimensions_are_those_of_the_core() -> None:
    assert media_fields.DIMENSIONS == DIMENSIONS


@pytest.mark.parametrize("name", media_fields.LISTS)
def test_keys_are_those_of_the_core(name: str) -> None:
    row, field = FIELDS[name], media_fields.make_field(name)
    styles = {type(style).__name__: style for style in field._styles}
    assert f"TXXX:{styles['Id3List'].description}" in row.written(Family.ID3)
    assert (("MP3ListStorageStyle" in styles) and styles["MP3ListStorageStyle"].key) == (name == "mood" and "TMOO")
    assert (styles["MP4ListStorageStyle"].key,) == row.written(Family.MP4)
    assert (styles["ListStorageStyle"].key,) == row.written(Family.VORBIS)
    assert (styles["ListStorageStyle"].key,) == tuple(key.upper() for key in row.written(Family.APE))
    assert (styles["ASFStorageStyle"].key,) == row.written(Family.ASF)
