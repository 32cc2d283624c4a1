"""``stembridge separate``, ``run`` and ``fetch``: split songs, do what a preset says, place what a service has made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from plugin_core.cli.request import Batch, make_folder, place_results, separate_files
from plugin_core.cli.sources import files_argument
from plugin_core.console.context import Context, choose_display
from plugin_core.console.display import Summary
from plugin_core.console.groups import examples
from plugin_core.console.options import (
    JSON_OPTION,
    OUTPUT_OPTION,
    read_name,
    separation_options,
    split_options,
    wish_options,
)
from plugin_core.model import Separation
from plugin_core.wishes import SEPARATE


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
