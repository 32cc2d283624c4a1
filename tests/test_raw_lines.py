"""A test fails on any raw line, and no work begins where nobody would observe it."""

from __future__ import annotations

import ast
import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.raw_lines import RawLines, collect_garbage

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for top in ("plugin_core", "hosts") for path in (ROOT / top).rglob("*.py"))
BARE = frozenset({"create_task", "ensure_future", "run_in_executor"})
HOME = ROOT / "plugin_core" / "tasks.py"
"""The one place that may begin work."""


def bare_calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in BARE:
            yield f"{path.relative_to(ROOT)}: {name}"


def test_every_task_is_started_where_it_is_observed() -> None:
    assert [call for path in SOURCES if path != HOME for call in bare_calls(path)] == []
    assert list(bare_calls(HOME))


async def fail() -> None:
    raise OSError("the disk is full")


def leave_unobserved() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(fail())
        await asyncio.wait([task])

    asyncio.run(main())
    collect_garbage()


def test_a_task_that_nobody_observed_is_heard(raw_lines: RawLines) -> None:
    leave_unobserved()
    assert raw_lines.take() == ["Task exception was never retrieved"]


def test_a_log_that_cannot_be_written_is_heard(raw_lines: RawLines, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(logging.StreamHandler):  # type: ignore[type-arg]
        def flush(self) -> None:
            raise OSError("the disk is full")

    log = logging.getLogger("tests.broken")
    log.addHandler(handler := Broken())
    log.propagate = False
    log.error("told")
    log.removeHandler(handler)
    assert "--- Logging error ---" in capsys.readouterr().err
    assert raw_lines.take() == ["--- Logging error ---"]


@pytest.mark.parametrize("is_text", [True, False], ids=["text", "bytes"])
def test_a_child_process_is_heard(raw_lines: RawLines, is_text: bool) -> None:
    code = "import sys; print('Task exception was never retrieved\\nfuture: x', file=sys.stderr)"
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=is_text, check=True)
    assert raw_lines.take() == ["Task exception was never retrieved"]
