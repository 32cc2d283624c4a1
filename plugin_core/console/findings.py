"""What an examination found, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import click

from plugin_core.console.formatting import clean, encodable
from plugin_core.console.records import write_record
from plugin_core.errors import ExitCode
from plugin_core.model import Finding, Verdict

Counts = Counter[Verdict]

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
    click.echo(f"{word}{clean(finding.name):<{width}} {clean(finding.found)}")
    if finding.remedy:
        click.echo(f"{'':<{9 + width}}{clean(finding.remedy)}")
