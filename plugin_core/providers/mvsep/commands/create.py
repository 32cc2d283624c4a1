"""``stembridge mvsep create``: models that take no song, or two."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from plugin_core.console.answers import show_list
from plugin_core.console.context import Context
from plugin_core.console.options import JSON_OPTION, read_folder, read_name, read_pairs
from plugin_core.errors import UsageError
from plugin_core.model import Model
from plugin_core.providers.mvsep.adapter import MvsepSeparator
from plugin_core.providers.mvsep.options import REFERENCE


@click.command("create")
@click.argument("model", required=False)
@click.option("--option", "options", metavar="K=V", multiple=True, callback=read_pairs, help="An option; repeat.")
@click.option("--target", type=click.Path(path_type=Path), help="The song to change, for a model that takes two.")
@click.option(
    "--reference", type=click.Path(path_type=Path), help="What it shall sound like, for a model that takes two."
)
@click.option("--format", metavar="NAME", callback=read_name, help="mp3, wav16, flac16, m4a, wav32f or flac24.")
@click.option("--to", metavar="DIR", callback=read_folder, help="Place results below DIR; default here.")
@click.option("--force", is_flag=True, help="Make it anew even if the same was made before.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be made, and stop.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before paying.")
@JSON_OPTION
@click.pass_context
def create(
    ctx: click.Context,
    /,
    model: str | None,
    options: dict[str, str] | None,
    target: Path | None,
    reference: Path | None,
    to: Path | None,
    as_json: bool,
    **run: Any,
) -> Any:
    """Make sound of words, or a song sound like another: what MVSEP's models do that take no song, or two.

    Without MODEL they are listed. `stembridge models mvsep MODEL` shows the options of one.
    """
    context: Context = ctx.obj
    with context.session() as session:
        separator = session.separator("mvsep")
        assert isinstance(separator, MvsepSeparator)
        if model is None:
            others = asyncio.run(separator.other_models())
            return show_list("model", others, ("MODEL", "TAKES", "NAME"), _row, as_json=as_json, none="there is none")
        found = asyncio.run(separator.model(model))
        song, given = _choose_song(separator, found, options or {}, target, reference)
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    separate = root.command.get_command(root, "separate")
    assert separate is not None
    place = to or (None if target else Path.cwd())
    return ctx.invoke(
        separate, files=(str(song),), provider="mvsep", model=found.id, options=given, to=place, as_json=as_json, **run
    )


def _choose_song(
    separator: MvsepSeparator, model: Model, options: dict[str, str], target: Path | None, reference: Path | None
) -> tuple[Path, dict[str, str]]:
    """Return the song, or what stands for it, and the options.

    Raises:
        UsageError: the model takes something else.
    """
    if model.takes == "song":
        raise UsageError(
            f"model {model.id}, {model.name}, takes a song", remedy=f"`stembridge separate SONG --model {model.id}`"
        )
    if model.takes == "no song":
        if target or reference:
            raise UsageError(f"model {model.id}, {model.name}, takes no file", remedy="leave out --target, --reference")
        return separator.accept_words(model.id, options), options
    if target is None or reference is None:
        raise UsageError(f"model {model.id}, {model.name}, takes two songs", remedy="give --target and --reference")
    return target, options | {REFERENCE: str(reference)}


def _row(model: Model) -> tuple[str, ...]:
    return model.id, model.takes, model.name
