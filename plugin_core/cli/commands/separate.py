"""``stembridge separate`` and ``run``: split songs into stems, or do all that a preset says."""

from __future__ import annotations

from typing import Any

import click

from plugin_core.cli.request import separate_files
from plugin_core.cli.sources import files_argument
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.options import read_name, separation_options


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
