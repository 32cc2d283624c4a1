from __future__ import annotations

from collections import Counter

import pytest
from mutagen.id3 import Frames

from plugin_core.tags import ape, asf, id3, mp4, vorbis
from plugin_core.tags.fields import COUNTED, FIELDS, KINDS, Family
from plugin_core.tags.reader import Format, format_of

REFERENCE = {
    "genre": ("TCON", "GENRE", "©gen", "WM/Genre", "Genre", "IGNR"),
    "language": ("TLAN", "LANGUAGE", "----:com.apple.iTunes:LANGUAGE", "WM/Language", "Language", "ILNG"),
    "scene": ("TXXX:SCENE", "SCENE", "----:com.apple.iTunes:SCENE", "WM/Scene", "Scene", None),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_labels_stand_where_readers_look(name: str) -> None:
    assert tuple(FIELDS[name].keys.get(family, (None,))[0] for family in Family) == REFERENCE[name]


def test_each_family_that_can_be_written_has_its_module() -> None:
    formats: list[Format] = [id3, vorbis, mp4, asf, ape]
    assert [format_of(family) for family in KINDS.values()] == formats
    assert set(Family) - set(KINDS.values()) == {Family.RIFF}


def test_mood_serves_both_id3_versions() -> None:
    assert FIELDS["mood"].written(Family.ID3) == ("TMOO", "TXXX:MOOD")


def test_every_id3_key_is_a_frame() -> None:
    keys = [key for field in FIELDS.values() for key in field.read(Family.ID3)]
    assert [key for key in keys if key.partition(":")[0] not in Frames] == []


@pytest.mark.parametrize("family", Family)
def test_no_key_serves_two_fields(family: Family) -> None:
    used = Counter(key.lower() for field in FIELDS.values() for key in field.read(family))
    assert [key for key, times in used.items() if times > 1] == []


def test_atoms_have_four_letters_or_a_mean() -> None:
    keys = [key for field in FIELDS.values() for key in field.read(Family.MP4)]
    assert [key for key in keys if len(key) != 4 and not key.startswith("----:com.apple.iTunes:")] == []


@pytest.mark.parametrize("word", ["lyrics", "replaygain", "encod", "norm", "cuesheet", "acoustid", "fingerprint"])
def test_what_describes_the_samples_is_not_in_the_table(word: str) -> None:
    keys = [key for field in FIELDS.values() for family in Family for key in field.read(family)]
    assert [key for key in keys if word in key.lower()] == []


def test_numbers_have_totals() -> None:
    assert {*COUNTED, *COUNTED.values()} <= set(FIELDS)
