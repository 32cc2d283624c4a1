from __future__ import annotations

import shlex
import sys

import pytest

from plugin_core.errors import find_near, install_hint, suggest

KNOWN = ("vocals", "drums", "bass")


def test_what_is_to_be_installed_is_for_this_python() -> None:
    assert install_hint("s3") == f"{shlex.quote(sys.executable)} -m pip install 'stembridge[s3]'"


def test_near_words_come_nearest_first() -> None:
    assert find_near("drum", {"drums": 1, "dram": 2, "piano": 3}, many=3) == ["drums", "dram"]
    assert find_near("drum", iter(KNOWN)) == ["drums"]
    assert find_near("xyz", KNOWN) == []


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (suggest("vocal", KNOWN), "did you mean 'vocals'?"),
        (suggest("vocal", KNOWN, "there are three", lead=", "), ", did you mean 'vocals'?"),
        (suggest("vocal", KNOWN, is_quoted=False), "did you mean vocals?"),
        (suggest("xyz", KNOWN), ""),
        (suggest("xyz", KNOWN, "there are three", lead=", "), "there are three"),
        (suggest("vo", ["vocals"]), ""),
        (suggest("vo", ["vocals"], cutoff=0.5), "did you mean 'vocals'?"),
    ],
    ids=["near", "lead", "bare", "none", "otherwise", "too far", "cutoff"],
)
def test_suggestions(told: str, text: str) -> None:
    assert told == text
