"""How many small mistakes the nearby tests notice: ``python -m tests.mutation FILE... [--sample N] [--tests PATH...]``.

Each mutant is one of the given modules with one thing changed: a comparison, a sign, a number, a condition, a call left
out, a word of an SQL statement. It is imported in a fork of its own, and the tests that run its line are run until one
fails, the quickest first. Nearby tests are those of the same folder (``plugin_core/jobs/queue.py``:
``tests/plugin_core/jobs``); ``--tests`` names others. Processes that tests start do not see the mutant. What survives
is printed with its place: some are no mistakes at all, the others want a test.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
FEW = 60.0
"""Seconds of tests that a mutant is tried with at most, as they took without it."""

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_SIGNS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_SQL = re.compile(r"\b(SELECT|WHERE|ORDER BY|UPDATE|DELETE|AND|LIMIT)\b")
_SQL_WORDS = (
    (r" <= ", " < "),
    (r" >= ", " > "),
    (r" < ", " <= "),
    (r" > ", " >= "),
    (r" = (?!excluded)", " <> "),
    (r" <> ", " = "),
    (r"\bAND\b", "OR"),
    (r"\bOR\b", "AND"),
    (r"\bNOT EXISTS\b", "EXISTS"),
    (r"\bIS NULL\b", "IS NOT NULL"),
    (r" DESC\b", ""),
    (r"(?<=ORDER BY )([\w.]+)(?! DESC)", r"\1 DESC"),
    (r"\bLIMIT 1\b", "LIMIT 1 OFFSET 1"),
)


class Mutant(NamedTuple):
    """One change of one module."""

    path: Path
    node: int
    """Its number in the walk of the module's tree."""
    variant: int
    lines: tuple[int, int]
    is_inside: bool
    """Whether it lies in a function, so that it is known which tests run it."""
    what: str

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.lines[0]}"


class Seen(NamedTuple):
    """What the tests do without a mutant."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, set[int]]]
    """By file, by test."""


def main() -> None:
    """Print what survives, and the score of each module."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tests", nargs="+", default=[])
    parser.add_argument("--sample", type=int, default=0, help="mutants a module, chosen by --seed; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-k", default="", help="as pytest has it")
    given = parser.parse_args()
    os.nice(5)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    sys.path.insert(0, str(ROOT))
    _import_others()
    with tempfile.TemporaryDirectory() as bytecode:
        # Shared by all forks, each of which would otherwise make its own and leave it.
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = bytecode
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        _try_all(given)


def _try_all(given: argparse.Namespace) -> None:
    for path in (file.resolve() for file in given.files):
        tests = given.tests or [nearby(path)]
        mutants = list(find_mutants(path))
        if 0 < given.sample < len(mutants):
            mutants = sorted(random.Random(given.seed).sample(mutants, given.sample))
        seen = watch(path, tests, given.k)
        killed = sum(is_killed(mutant, seen) for mutant in mutants)
        print(f"{path.relative_to(ROOT)}: {killed} of {len(mutants)} killed", flush=True)


def nearby(path: Path) -> str:
    """Return the folder of the tests of a module."""
    folder = ROOT / "tests" / path.relative_to(ROOT).parent
    own = folder / f"test_{path.stem}.py"
    return str(own if not folder.is_dir() else folder)


def find_mutants(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {id(inner) for node in ast.walk(tree) for part in _not_code(node) for inner in ast.walk(part)}
    spans = dict(_spans(tree, (1, 1), is_inside=False))
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in skipped or id(node) not in spans:
            continue
        lines, is_inside = spans[id(node)]
        for variant, other in enumerate(_variants(node)):
            yield Mutant(path, number, variant, lines, is_inside, _show(node, other))


def _show(node: ast.AST, other: ast.AST) -> str:
    """Return what stood there and what stands there now, long ones from shortly before the difference."""
    before, after = ast.unparse(node), ast.unparse(other)
    differing = (at for at, (one, other_one) in enumerate(zip(before, after, strict=False)) if one != other_one)
    start = max(0, next(differing, 0) - 30)
    return f"{before[start : start + 80]!r}  ->  {after[start : start + 80]!r}"


def _not_code(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what no test can or need run: annotations, docstrings, logging, what only checkers of types see."""
    if isinstance(node, (ast.AnnAssign, ast.arg)) and node.annotation is not None:
        yield node.annotation
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield from node.decorator_list
        if node.returns is not None:
            yield node.returns
    if isinstance(node, ast.ClassDef):
        yield from node.keywords
    if isinstance(node, ast.Expr):
        call = node.value
        if isinstance(call, ast.Constant) or (isinstance(call, ast.Call) and ast.unparse(call.func).startswith("_log")):
            yield node
    if isinstance(node, ast.Assert) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
        yield node


def _spans(
    node: ast.AST, lines: tuple[int, int], *, is_inside: bool
) -> Iterator[tuple[int, tuple[tuple[int, int], bool]]]:
    """Yield of every node the lines of which one is run when it is, and whether it lies in a function."""
    if isinstance(node, (ast.stmt, ast.expr)) and (isinstance(node, ast.stmt) or not hasattr(node, "body")):
        is_compound = isinstance(node, ast.stmt) and hasattr(node, "body")
        if isinstance(node, ast.stmt):
            lines = (node.lineno, node.lineno if is_compound else node.end_lineno or node.lineno)
    yield id(node), (lines, is_inside)
    inside = is_inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    for child in ast.iter_child_nodes(node):
        yield from _spans(child, lines, is_inside=inside)


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what could stand in a node's place by a small mistake."""
    match node:
        case ast.Compare():
            for at, found in enumerate(node.ops):
                operators = [*node.ops]
                operators[at] = _COMPARISONS[type(found)]()
                yield ast.Compare(node.left, operators, node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _SIGNS:
            yield ast.BinOp(node.left, _SIGNS[type(node.op)](), node.right)
        case ast.AugAssign() if type(node.op) in _SIGNS:
            yield ast.AugAssign(node.target, _SIGNS[type(node.op)](), node.value)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str() as value) if _SQL.search(value):
            yield from (ast.Constant(text) for text in _other_sql(value))
        case ast.Call(func=ast.Name(id="min" | "max" as name)):
            yield ast.Call(ast.Name("max" if name == "min" else "min", ast.Load()), node.args, node.keywords)
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass()
        case ast.If() if not isinstance(node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
            yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def _other_sql(text: str) -> Iterator[str]:
    for pattern, other in _SQL_WORDS:
        for found in re.finditer(pattern, text):
            yield text[: found.start()] + found.expand(other) + text[found.end() :]


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old = old
        self._new = new

    def visit(self, node: ast.AST) -> Any:
        return ast.copy_location(self._new, node) if node is self._old else self.generic_visit(node)


def compile_mutant(mutant: Mutant) -> CodeType:
    """Return the module as it is with its mistake."""
    tree = copy.deepcopy(ast.parse(mutant.path.read_text("utf-8")))
    node = next(one for number, one in enumerate(ast.walk(tree)) if number == mutant.node)
    new = next(one for number, one in enumerate(_variants(node)) if number == mutant.variant)
    changed = ast.fix_missing_locations(_Replace(node, new).visit(tree))
    return compile(changed, str(mutant.path), "exec")


def watch(path: Path, tests: Sequence[str], words: str) -> Seen:
    """Run the tests as they are, and see which lines of the module each of them runs."""
    with tempfile.TemporaryDirectory() as name:
        answer = Path(name) / "seen.json"
        code = _fork(lambda: _watch(path, [*tests, "-k", words] if words else tests, answer), 3600.0)
        if code:
            raise SystemExit(f"the tests fail without any mutant: {', '.join(tests)}")
        found = json.loads(answer.read_text("utf-8"))
    by_test = {test: set(lines) for test, lines in found["lines"].items()}
    return Seen(found["seconds"], {str(path): by_test})


def _watch(path: Path, tests: Sequence[str], answer: Path) -> int:
    import pytest

    watcher = _Watcher(str(path))
    threading.settrace(watcher.trace)
    code = pytest.main([*_QUIET, *tests], plugins=[watcher])
    lines = {test: sorted(found) for test, found in watcher.lines.items()}
    answer.write_text(json.dumps({"seconds": watcher.seconds, "lines": lines}), "utf-8")
    return int(code)


class _Watcher:
    """A plugin of pytest that notes times and lines."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._test = ""
        self.seconds: dict[str, float] = defaultdict(float)
        self.lines: dict[str, set[int]] = defaultdict(set)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._test = nodeid
        sys.settrace(self.trace)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration

    def trace(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != self._path:
            return None
        self.lines[self._test].add(frame.f_lineno)
        return self.trace


_QUIET = ("-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=no", "--no-summary")


def is_killed(mutant: Mutant, seen: Seen) -> bool:
    """Run the tests of a mutant's lines, the quickest first; print it when none of them fails."""
    runs = seen.lines[str(mutant.path)]
    wanted = set(range(mutant.lines[0], mutant.lines[1] + 1))
    tests = [test for test in seen.seconds if not mutant.is_inside or wanted & runs.get(test, set())]
    chosen: list[str] = []
    spent = 0.0
    for test in sorted(tests, key=lambda one: seen.seconds[one]):
        if chosen and spent + seen.seconds[test] > FEW:
            break
        spent += seen.seconds[test]
        chosen.append(test)
    if chosen and _fork(lambda: _run(mutant, chosen), 20.0 + 5 * spent):
        return True
    print(f"  {'survived' if chosen else 'never run'}: {mutant.place}: {mutant.what}", flush=True)
    return False


def _run(mutant: Mutant, tests: Sequence[str]) -> int:
    import pytest

    code = compile_mutant(mutant)
    load = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        return code if loader.path == str(mutant.path) else load(loader, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]
    return int(pytest.main([*_QUIET, *tests]))


def _fork(work: Callable[[], int], seconds: float) -> int:
    """Do something in a fork of its own, silently; return its code, 1 of one that breaks or takes too long."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setpgid(0, 0)
            silence = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(silence, descriptor)
            code = work()
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


def _import_others() -> None:
    """Import what tests need of others once: forks have it then, and modules of ours anew each."""
    import asyncio
    import sqlite3

    import click
    import httpx
    import msgspec
    import mutagen
    import numpy as np
    import pluggy
    import pytest
    import soundfile

    assert asyncio and sqlite3 and click and httpx and msgspec and mutagen and np and pluggy and pytest and soundfile
    assert not [name for name in sys.modules if name.partition(".")[0] == "plugin_core"]


if __name__ == "__main__":
    main()
