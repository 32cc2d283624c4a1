"""``stembridge demo``: a song whose parts are known, separated and measured."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.cli.request import Batch, RunRequest
from plugin_core.console.context import Context, choose_display
from plugin_core.console.display import Summary
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import write_record
from plugin_core.console.options import JSON_OPTION, read_new_folder
from plugin_core.console.phrases import show
from plugin_core.console.tables import print_table
from plugin_core.model import Job, Separation

if TYPE_CHECKING:
    from plugin_core.demo import Score

FOLDER = "stembridge-demo"


@examples("stembridge demo", "stembridge demo -o /tmp/demo")
@click.command("demo")
@click.option(
    *("-o", "--to", "to"),
    metavar="DIR",
    default=FOLDER,
    callback=read_new_folder,
    help=f"Folder to make; default ./{FOLDER}.",
)
@JSON_OPTION
@click.pass_obj
def command(context: Context, to: Path, as_json: bool) -> int:
    """Make a small song, separate it and measure the result.

    Needs no account and no network. The song's true parts are kept in the folder "truth".
    """
    from plugin_core.demo import make_demo, score

    is_talkative = not (as_json or context.quiet)
    # The session first: where nothing can be separated no song is left lying about.
    with context.session() as session, choose_display(as_json=as_json, quiet=context.quiet) as display:
        session.separator("local")
        demo = make_demo(to)
        if is_talkative:
            click.echo(f"made {show(demo.song)}: {demo.seconds:.0f} s, four parts, known to the last sample")
        request = RunRequest(paths=(demo.song,), operations=(Separation(provider="local"),), force=True)

        async def separate() -> tuple[Summary, list[Job]]:
            batch = Batch(session, display, request)
            return await batch.separate(), batch.run.finished

        summary, finished = asyncio.run(separate())
        scores = [(job, score(demo.song, demo.truth, {stem.name: stem.path for stem in job.stems})) for job in finished]
        if as_json:
            for _job, found in scores:
                write_record({"event": "score", "source": demo.song} | found._asdict())
        display.finish(summary)
    if is_talkative:
        for job, found in scores:
            _tell_score(found, job.stems[0].path.parent)
    return summary.exit_code


def _tell_score(found: Score, folder: Path) -> None:
    rows = [(name, f"{found.sdr[name]:6.1f}", f"{found.untouched[name]:6.1f}") for name in found.sdr]
    click.echo()
    print_table(("STEM", "SDR dB", "BEFORE"), rows)
    click.echo("\nSDR: how far the stem stands above its errors; BEFORE: the song itself taken for the stem.")
    if found.difference == 0:
        click.echo("The four stems add up to the song exactly, sample for sample.")
    else:
        click.echo(
            f"The sum of the stems differs from the song by at most {20 * math.log10(found.difference):.0f} dBFS."
        )
    click.echo(f"Listen: {show(folder)}")
