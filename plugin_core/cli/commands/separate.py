"""``stembridge separate``, ``run``, ``fetch`` and ``demo``: split songs, by a preset, as a service did, for a try."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_core.cli.request import Batch, RunRequest, make_folder, place_results, separate_files
from plugin_core.cli.sources import files_argument
from plugin_core.console.context import Context, choose_display
from plugin_core.console.display import Summary
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import write_record
from plugin_core.console.options import (
    JSON_OPTION,
    OUTPUT_OPTION,
    read_name,
    read_new_folder,
    separation_options,
    split_options,
    wish_options,
)
from plugin_core.console.phrases import show
from plugin_core.console.tables import print_table
from plugin_core.model import Job, Separation
from plugin_core.wishes import SEPARATE

if TYPE_CHECKING:
    from plugin_core.demo import Score


@examples(
    "stembridge separate Song.flac",
    "stembridge separate Song.flac --stems vocals,instrumental -o Stems",
    "find . -name '*.wav' -print0 | stembridge separate -0 --files-from -",
)
@click.command("separate")
@files_argument
@separation_options
@click.option(
    "--preset", metavar="NAME", callback=read_name, help="Start from a named recipe; other options win over it."
)
@click.pass_obj
def command(context: Context, /, files: tuple[str, ...], as_json: bool, preset: str | None, **options: Any) -> int:
    """Split songs into stems, placed beside each song.

    FILE is a song, a pattern, or with --recursive a folder. "Song.flac" becomes "Song.stems/Song - Vocals.flac" and
    so on; nothing is ever overwritten, and stems that stand already are not made again.

    Exit code: 0 all done, 1 some failed, 2 usage, 3 refused by the service or by your own limit, 4 unconfirmed, 130
    interrupted.
    """
    return separate_files(context, files, options, preset, as_json=as_json)


@examples("stembridge run karaoke Song.flac", "stembridge run drumless Music --recursive --format mp3")
@click.command("run")
@click.argument("preset", metavar="PRESET")
@files_argument
@separation_options
@click.pass_obj
def run(context: Context, /, preset: str, files: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Do a preset's operations to songs.

    Presets are named recipes: the shipped four-stems, vocals, karaoke, drumless, practice, two-stems,
    labels, mood and stems-and-labels, and your own [presets.NAME] in config.toml. Options win over the preset's word.

    Exit code: 0 all done, 1 some failed, 2 usage, 3 refused by the service or by your own limit, 4 unconfirmed, 130
    interrupted.
    """
    return separate_files(context, files, options, preset, as_json=as_json)


@examples(
    "stembridge fetch mvsep 20240131120000-abc Song.flac", "stembridge fetch mvsep 0192f4c1 -o Stems --format wav"
)
@click.command("fetch")
@click.argument("provider")
@click.argument("remote_id", metavar="REMOTE_ID")
@click.argument("song", required=False, type=click.Path(path_type=Path))
@wish_options(Separation, "format", "on_overload", "to", "as_is")
@OUTPUT_OPTION
@JSON_OPTION
@click.pass_obj
def fetch(
    context: Context,
    /,
    provider: str,
    remote_id: str,
    song: Path | None,
    output: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Place the stems of a job that a service has, made on its website or by one of `stembridge purchases`.

    REMOTE_ID is the service's own id (MVSEP: the hash), or that of a purchase. SONG is what was separated; a purchase
    knows it. Nothing is bought.
    """
    usual = context.settings.section("separate", SEPARATE).as_operation().on_overload
    said, _ = split_options(Separation, options)
    wish = Separation(**{"provider": provider, "on_overload": usual, **place_results(said, output)})
    with choose_display(as_json=as_json, quiet=context.quiet) as display, context.session(is_paying=True) as session:

        async def work() -> Summary:
            job = await session.take_over(remote_id, song, wish)
            if output is not None:
                make_folder(output)
            return await Batch(session, display).resume([job.id])

        summary = asyncio.run(work())
        display.finish(summary)
    return summary.exit_code


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
def demo(context: Context, to: Path, as_json: bool) -> int:
    """Make a small song, separate it and measure the result.

    Needs no account and no network. The song's true parts are kept in the folder "truth".
    """
    from plugin_core.demo import make_demo, score

    is_talkative = not (as_json or context.quiet)
    # The session first: where nothing can be separated no song is left lying about.
    with context.session() as session, choose_display(as_json=as_json, quiet=context.quiet) as display:
        session.separator("local")
        made = make_demo(to)
        if is_talkative:
            click.echo(f"made {show(made.song)}: {made.seconds:.0f} s, four parts, known to the last sample")
        request = RunRequest(paths=(made.song,), operations=(Separation(provider="local"),), force=True)

        async def separate() -> tuple[Summary, list[Job]]:
            batch = Batch(session, display, request)
            return await batch.separate(), batch.run.finished

        summary, finished = asyncio.run(separate())
        scores = [(job, score(made.song, made.truth, {stem.name: stem.path for stem in job.stems})) for job in finished]
        if as_json:
            for _job, found in scores:
                write_record({"event": "score", "source": made.song} | found._asdict())
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
