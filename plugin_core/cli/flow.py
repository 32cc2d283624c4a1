"""From the command line's words to a run: what ``separate``, ``tag`` and ``run`` share."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from plugin_core.cli.batch import Batch, Request
from plugin_core.cli.settings import check_format, check_provider, check_template, usual_preset
from plugin_core.cli.sources import find_sources
from plugin_core.console.context import Context, choose_display
from plugin_core.console.display import Summary
from plugin_core.console.interrupt import NothingBegunError
from plugin_core.console.options import RunChoices, Words, choose_operations, split_options
from plugin_core.errors import UsageError
from plugin_core.presets import Preset, find_preset
from plugin_core.protocols import TakesLinks
from plugin_core.settings import Secret
from plugin_core.wishes import SEPARATE, Operation, Separation


def separate_files(context: Context, files: Sequence[str], options: Words, preset: str | None, *, as_json: bool) -> int:
    """Do to the files what the options say, show it, and return the exit code.

    Args:
        context: settings and plugins.
        files: as written on the command line.
        options: what they say.
        preset: name of the preset to start from; None means the one of the settings, if any.
        as_json: whether to write events for programs.
    """
    said, rest = split_options(Separation, options)
    request = build_request(context, files, said, RunChoices(**rest), preset)
    return run_request(context, request, said.get("provider"), as_json=as_json)


def run_request(context: Context, request: Request, provider: str | None, *, as_json: bool) -> int:
    """Do what a request asks for, show it, and return the exit code.

    Args:
        context: settings and plugins.
        request: what is asked for.
        provider: the one named on the command line.
        as_json: whether to write events for programs.
    """
    with choose_display(as_json=as_json, quiet=context.quiet) as display:
        with context.session(is_paying=True) as session:
            for operation in request.operations:
                # A misspelt provider is told before hours of music are read.
                check_provider(session, operation, provider)
            summary = _separate(Batch(session, display), request)
        display.finish(summary)
    return summary.exit_code


def _separate(batch: Batch, request: Request) -> Summary:
    try:
        return asyncio.run(batch.separate(request))
    except (click.Abort, KeyboardInterrupt) as error:
        if batch.has_begun:
            raise
        raise NothingBegunError from error


def build_request(
    context: Context, files: Sequence[str], said: Words, choices: RunChoices, preset: str | None
) -> Request:
    """Turn words into a request.

    Raises:
        UsageError: a file, folder or preset that does not exist; SettingsError for the settings.
    """
    usual = context.settings.section("separate", SEPARATE).as_operation()
    found = _choose_preset(context, said, preset)
    if found is None and "format" not in said:
        check_format(context.settings)
    check_template(context.settings)
    operations = choose_operations(said, found, usual)
    if any(map(is_link, files)):
        operations, paths = _stand_in(context, files, operations)
    else:
        paths = tuple(find_sources(files, recursive=choices.recursive, results=said.get("to")))
    return Request(
        operations=operations,
        paths=paths,
        preset=found.name if found else "",
        force=choices.force,
        dry_run=choices.dry_run,
        yes=choices.yes,
    )


def is_link(name: str) -> bool:
    """Tell whether a word on the command line is the address of a song."""
    return re.match(r"https?://", name, re.IGNORECASE) is not None


def _stand_in(
    context: Context, links: Sequence[str], operations: tuple[Operation, ...]
) -> tuple[tuple[Operation, ...], tuple[Path, ...]]:
    """Return what is done to songs that a service fetches itself, and the files that stand for them.

    Raises:
        UsageError: there are files among the links, or the provider cannot do that.
    """
    if not all(map(is_link, links)):
        raise UsageError("links and files are named together", remedy="separate them in two runs")
    with context.session() as session:
        separator = session.separator(operations[0].provider)
        if len(operations) > 1 or not isinstance(operations[0], Separation) or not isinstance(separator, TakesLinks):
            able = [name for name, each in session.separators.items() if isinstance(each, TakesLinks)]
            raise UsageError(
                f"{separator.name} separates files, and only one thing is done to a link",
                remedy=f"links are fetched by {', '.join(sorted(able))}: name it with --provider" if able else "",
            )
        paths = tuple(separator.accept_link(Secret(link)) for link in links)
    # Nobody looks beside a file that only stands for a song.
    wish = msgspec.structs.replace(operations[0], to=operations[0].to or Path.cwd())
    return (wish,), paths


def _choose_preset(context: Context, said: Words, name: str | None) -> Preset | None:
    if name is not None:
        return find_preset(context.settings, name)
    # A provider that is named asks for that provider, not for the user's usual recipe.
    return None if said.get("provider") else usual_preset(context.settings)
