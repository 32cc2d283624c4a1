"""What was answered or found, for people and for programs; and what is asked of people."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
import msgspec

from plugin_core.console.context import Context
from plugin_core.console.interrupt import nothing_begun
from plugin_core.console.json_lines import describe_count, write_record
from plugin_core.console.phrases import clean, encodable
from plugin_core.console.tables import print_table, print_wrapped, screen_width, wrapped
from plugin_core.errors import ExitCode, UsageError
from plugin_core.model import Finding, Verdict

Row = Sequence[str]


def show_list(
    event: str,
    items: Sequence[msgspec.Struct],
    heads: Row,
    row: Callable[[Any], Row],
    *,
    as_json: bool,
    none: str,
    **common: object,
) -> None:
    """Write a list as a table, or as one object a line, each with what is common to all, and a summary."""
    if as_json:
        for item in items:
            write_record({"event": event} | common | msgspec.structs.asdict(item))
        write_record(describe_count(len(items), 0))
    elif items:
        print_table(heads, [row(item) for item in items])
    else:
        click.echo(none)


def show_one(
    event: str,
    item: msgspec.Struct,
    lines: Callable[[], dict[str, str]],
    *,
    as_json: bool,
    exit_code: int = ExitCode.DONE,
) -> None:
    """Write one thing as named lines, empty ones left out, or as one object and a summary."""
    if as_json:
        write_record({"event": event} | msgspec.structs.asdict(item))
        write_record(describe_count(1, exit_code))
        return
    for name, text in lines().items():
        print_wrapped(f"{name:<16} ", clean(text))


def tell(context: Context, event: str, what: str, message: str, *, as_json: bool, **more: object) -> None:
    """Say that something was done, in our words and the service's."""
    if as_json:
        write_record({"event": event, "message": clean(message), **more, "exit_code": 0})
        write_record(describe_count(1, ExitCode.DONE))
    elif not context.quiet:
        click.echo(clean(f"{what}: {message}" if message else what))


def number(value: float | None) -> str:
    """Write a number without a trailing ``.0``; nothing for one that is not known."""
    return "" if value is None else f"{value:g}"


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.

    Raises:
        UsageError: nobody can be asked.
        click.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here", remedy="say --yes")
    with nothing_begun():
        click.confirm(question, abort=True, err=True)


def ask_word(text: str, *, is_secret: bool = False, is_new_secret: bool = False) -> str:
    """Ask for a word on the terminal, a new secret twice; from a pipe, take the next line.

    Raises:
        UsageError: there is no answer.
    """
    if sys.stdin.isatty():
        hide = is_secret or is_new_secret
        with nothing_begun():
            return str(click.prompt(text, hide_input=hide, confirmation_prompt=is_new_secret, err=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line.strip():
        raise UsageError(f"no answer to: {text}", remedy="run it on a terminal, or pipe one line an answer")
    return line


Counts = Counter[Verdict]

_WIDE = 60
"""Columns of a screen that holds names and findings side by side."""
_WORDS = {Verdict.OK: "ok", Verdict.WARNING: "warning", Verdict.WRONG: "problem"}
_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.WRONG: "red"}


def show_findings(
    findings: Iterable[Finding], *, as_json: bool, quiet: bool, conclude: Callable[[Counts], str], width: int
) -> int:
    """Show each finding as it is made, then the conclusion; return the exit code.

    Args:
        findings: what is found.
        as_json: whether to write events for programs.
        quiet: whether to leave out what is well, and the conclusion.
        conclude: returns the last line for people.
        width: characters of the longest name.
    """
    counts: Counts = Counter()
    for finding in findings:
        counts[finding.verdict] += 1
        if as_json:
            write_record({"event": "check"} | _describe(finding))
        elif not quiet or finding.verdict is not Verdict.OK:
            _print(finding, width)
    code = ExitCode.FAILED if counts[Verdict.WRONG] else ExitCode.DONE
    if as_json:
        verdicts = {verdict.value: counts[verdict] for verdict in Verdict}
        write_record({"event": "summary"} | verdicts | {"exit_code": int(code)})
    elif not quiet:
        click.echo(conclude(counts))
    return code


def _describe(finding: Finding) -> dict[str, object]:
    return {
        "name": finding.name,
        "verdict": finding.verdict.value,
        "found": encodable(finding.found),
        "remedy": encodable(finding.remedy),
    }


def _print(finding: Finding, width: int) -> None:
    word = click.style(f"{_WORDS[finding.verdict]:<8}", fg=_COLOURS[finding.verdict])
    size = screen_width()
    # On a narrow screen what was found stands below its name.
    name = f"{clean(finding.name):<{width}} "
    if size is not None and size < _WIDE:
        click.echo(f"{word}{name}".rstrip())
        head = " " * len(_WORDS[Verdict.WARNING]) + " "
        print_wrapped(head, clean(finding.found))
    else:
        head = " " * (8 + len(name))
        lines = wrapped(clean(finding.found), len(head))
        click.echo(f"{word}{name}{lines[0]}")
        for line in lines[1:]:
            click.echo(f"{head}{line}")
    print_wrapped(head, clean(finding.remedy))
