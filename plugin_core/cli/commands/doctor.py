"""``stembridge doctor``: is this installation well, and if not, what to do."""

from __future__ import annotations

from collections import Counter

import click

from plugin_core.cli.commands.checks import run_checks
from plugin_core.cli.display.records import write_record
from plugin_core.cli.display.words import clean, encodable, plural
from plugin_core.cli.face import Face
from plugin_core.cli.options import JSON_OPTION
from plugin_core.model import Finding, Verdict

_WORDS = {Verdict.OK: "ok", Verdict.WARNING: "warning", Verdict.WRONG: "problem"}
_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.WRONG: "red"}


@click.command("doctor")
@JSON_OPTION
@click.pass_obj
def command(face: Face, as_json: bool) -> int:
    """Check this installation and say what to mend.

    Exit code 1 when something is wrong; warnings are no failure.
    """
    counts: Counter[Verdict] = Counter()
    with face.session() as session:
        for finding in run_checks(session):
            counts[finding.verdict] += 1
            _tell(finding, as_json=as_json, quiet=face.quiet)
    code = 1 if counts[Verdict.WRONG] else 0
    if as_json:
        write_record(
            {"event": "summary"} | {verdict.value: counts[verdict] for verdict in Verdict} | {"exit_code": code}
        )
    elif not face.quiet:
        click.echo(_conclude(counts))
    return code


def _tell(finding: Finding, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        write_record(
            {
                "event": "check",
                "name": finding.name,
                "verdict": finding.verdict.value,
                "found": encodable(finding.found),
                "remedy": encodable(finding.remedy),
            }
        )
    elif not quiet or finding.verdict is not Verdict.OK:
        word = click.style(f"{_WORDS[finding.verdict]:<8}", fg=_COLOURS[finding.verdict])
        click.echo(f"{word}{clean(finding.name):<12} {clean(finding.found)}")
        if finding.remedy:
            click.echo(f"{'':<21}{clean(finding.remedy)}")


def _conclude(counts: Counter[Verdict]) -> str:
    if counts[Verdict.WRONG]:
        return f"{plural(counts[Verdict.WRONG], 'problem')} to mend"
    if counts[Verdict.WARNING]:
        return f"ready, with {plural(counts[Verdict.WARNING], 'warning')}"
    return "all well"
