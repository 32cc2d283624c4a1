"""The tables of the services' documentation name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROVIDERS = HERE.parents[2] / "plugin_core" / "providers"


@pytest.mark.parametrize("provider", ["mediax", "tencent_ci"])
def test_every_row_of_the_documentation_has_a_test_that_exists(provider: str) -> None:
    text = (PROVIDERS / provider / "README.md").read_text("utf-8").partition("row by row")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(test_\w+)`", text))
    made = {
        name
        for path in (HERE / provider).glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert named - made == set()
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.endswith("| test |")]
    assert len(rows) > 15
    assert [row for row in rows if "`test_" not in row] == []
