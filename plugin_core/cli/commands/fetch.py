"""``stembridge fetch``: place what a service has made already."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from plugin_core.cli.batch import Batch
from plugin_core.console.context import Context, choose_display
from plugin_core.console.display import Summary
from plugin_core.console.options import AS_IS_OPTION, JSON_OPTION, ON_OVERLOAD_OPTION, read_folder, read_name
from plugin_core.model import OnOverload, Separation
from plugin_core.wishes import SeparateSettings


@click.command("fetch")
@click.argument("provider")
@click.argument("remote_id", metavar="REMOTE_ID")
@click.argument("song", required=False, type=click.Path(path_type=Path))
@click.option("--format", "format_", metavar="NAME", callback=read_name, help="Format of the stems; default lossless.")
@ON_OVERLOAD_OPTION
@AS_IS_OPTION
@click.option("--to", metavar="DIR", callback=read_folder, help="Place the stems below DIR, a folder that is there.")
@JSON_OPTION
@click.pass_obj
def command(
    context: Context,
    provider: str,
    remote_id: str,
    song: Path | None,
    format_: str | None,
    on_overload: OnOverload | None,
    as_is: bool | None,
    to: Path | None,
    as_json: bool,
) -> int:
    """Place the stems of a job that a service has, made on its website or by one of `stembridge purchases`.

    REMOTE_ID is the service's own id (MVSEP: the hash), or that of a purchase. SONG is what was separated; a purchase
    knows it. Nothing is bought.
    """
    usual = context.settings.section("separate", SeparateSettings).on_overload
    wish = Separation(
        provider=provider, format=format_ or "", on_overload=on_overload or usual, as_is=bool(as_is), to=to
    )
    with choose_display(as_json=as_json, quiet=context.quiet) as display, context.session(is_paying=True) as session:

        async def work() -> Summary:
            job = await session.take_over(remote_id, song, wish)
            return await Batch(session, display).resume([job.id])

        summary = asyncio.run(work())
        display.finish(summary)
    return summary.exit_code
