from __future__ import annotations

from pathlib import Path

import pytest

from plugin_core.errors import PlacementError, UsageError
from plugin_core.stagers.ledger import Ledger


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
