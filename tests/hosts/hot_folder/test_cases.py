"""The table in the README and the tests name the same cases: ``test_case_12_...`` shows what row 12 says."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

CASES = range(1, 40)
HERE = Path(__file__).parent
README = Path(__file__).parents[3] / "hosts" / "hot_folder" / "README.md"


def rows() -> Iterator[int]:
    """Yield the cases of the table, in its order; a row may hold several."""
    for line in README.read_text("utf-8").splitlines():
        if found := re.match(r"\| (\d+(?:, \d+)*) \| \S.* \| \S.* \|$", line):
            yield from map(int, found[1].split(", "))


def count_tests() -> Counter[int]:
    """Count the tests of each case; one test may show several."""
    counted: Counter[int] = Counter()
    for module in HERE.rglob("test_*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                counted.update(int(number) for number in re.findall(r"case_(\d\d)(?=_)", node.name))
    return counted


def test_table_tells_every_case_once_and_in_order() -> None:
    assert list(rows()) == list(CASES)


def test_every_case_has_a_test_with_its_number() -> None:
    assert sorted(count_tests()) == list(CASES)
