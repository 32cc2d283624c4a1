"""``stembridge run``: do a preset's operations to songs."""

from __future__ import annotations

from typing import Any

import click

from plugin_core.cli.face import Face
from plugin_core.cli.flow import separate_files
from plugin_core.cli.options import Choices, files_argument, separation_options


@click.command("run")
@click.argument("preset", metavar="PRESET")
@files_argument
@separation_options
@click.pass_obj
def command(face: Face, /, preset: str, files: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Do a preset's operations to songs.

    Presets are named recipes: the shipped four-stems, vocals, karaoke, drumless and practice, and your own
    [presets.NAME] in config.toml. Options win over the preset's word.
    """
    return separate_files(face, files, Choices(**options), preset, as_json=as_json)
