from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_core.errors import UsageError
from plugin_core.stagers.names import check_key, staged_name


@pytest.mark.parametrize(
    ("name", "staged"),
    [
        ("A b.FLAC", "k-A-b.flac"),
        ("音乐.mp3", "k-song.mp3"),
        ("..", "k-song"),
        ("x" * 200 + ".wav", f"k-{'x' * 60}.wav"),
    ],
)
def test_names_are_plain(name: str, staged: str) -> None:
    assert staged_name(Path(name), "k") == staged


@pytest.mark.parametrize("key", ["", "..", "a/b", "-x", "a\n", "a b", "x" * 101])
def test_a_key_that_is_no_name_is_refused(key: str) -> None:
    with pytest.raises(UsageError):
        check_key(key)


@given(st.text(alphabet=st.characters(exclude_characters="\0/"), min_size=1, max_size=50))
def test_no_name_leaves_its_alphabet(name: str) -> None:
    assert re.fullmatch(r"key-[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)?", staged_name(Path(name), "key"))
