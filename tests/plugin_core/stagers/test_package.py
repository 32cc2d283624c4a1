from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_core.errors import PlacementError, UsageError
from plugin_core.stagers import Ledger, check_key, staged_name


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


def test_names_outlive_the_process(tmp_path: Path) -> None:
    Ledger(tmp_path / "deep" / "er").note("k", "a")
    ledger = Ledger(tmp_path / "deep" / "er")
    ledger.note("k", "b")
    ledger.note("k", "a")
    assert ledger.names("k") == ("a", "b")
    ledger.forget("k")
    ledger.forget("k")
    assert ledger.names("k") is None


def test_half_a_line_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("a\nb")
    assert Ledger(tmp_path).names("k") == ("a",)


def test_no_key_leaves_the_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Ledger(tmp_path / "in").note("../out", "a")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PlacementError, match="cannot be written"):
        Ledger(tmp_path / "file").note("k", "a")
