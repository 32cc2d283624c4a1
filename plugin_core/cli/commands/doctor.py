"""``stembridge doctor``: is this installation well, and if not, what to do."""

from __future__ import annotations

import click

from plugin_core.cli.doctor.checks import run_checks
from plugin_core.console.context import Context
from plugin_core.console.findings import Counts, show_findings
from plugin_core.console.formatting import plural
from plugin_core.console.options import JSON_OPTION
from plugin_core.model import Verdict
from plugin_core.session import Session

WIDTH = 12


@click.command("doctor")
@JSON_OPTION
@click.pass_obj
def command(context: Context, as_json: bool) -> int:
    """Check this installation and say what to mend.

    Exit code 1 when something is wrong; warnings are no failure.
    """
    # Not context.session(): settings that cannot be read are a finding here.
    with Session(context.settings, context.plugins) as session:
        return show_findings(run_checks(session), as_json=as_json, quiet=context.quiet, conclude=_conclude, width=WIDTH)


def _conclude(counts: Counts) -> str:
    if counts[Verdict.WRONG]:
        return f"{plural(counts[Verdict.WRONG], 'problem')} to mend"
    if counts[Verdict.WARNING]:
        return f"ready, with {plural(counts[Verdict.WARNING], 'warning')}"
    return "all well"
