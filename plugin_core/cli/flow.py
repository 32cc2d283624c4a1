"""From the command line's words to a run: what ``separate``, ``tag`` and ``run`` share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from plugin_core.cli.batch import Batch, Request
from plugin_core.cli.settings import check_format, check_provider, check_template, usual_preset
from plugin_core.cli.sources import find_sources
from plugin_core.console.context import Context, choose_display
from plugin_core.console.display import Summary
from plugin_core.console.interrupt import NothingBegunError
from plugin_core.console.options import Choices, choose_operations
from plugin_core.presets import Preset, find_preset
from plugin_core.wishes import SeparateSettings


def separate_files(
    context: Context, files: Sequence[str], choices: Choices, preset: str | None, *, as_json: bool
) -> int:
    """Do to the files what the options say, show it, and return the exit code.

    Args:
        context: settings and plugins.
        files: as written on the command line.
        choices: the options.
        preset: name of the preset to start from; None means the one of the settings, if any.
        as_json: whether to write events for programs.
    """
    request = build_request(context, files, choices, preset)
    return run_request(context, request, choices.provider, as_json=as_json)


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


def build_request(context: Context, files: Sequence[str], choices: Choices, preset: str | None) -> Request:
    """Turn words into a request.

    Raises:
        UsageError: a file, folder or preset that does not exist; SettingsError for the settings.
    """
    settings = context.settings.section("separate", SeparateSettings)
    found = _choose_preset(context, choices, preset)
    if found is None and choices.format is None:
        check_format(context.settings)
    check_template(context.settings)
    return Request(
        operations=choose_operations(choices, found, settings),
        paths=tuple(find_sources(files, recursive=choices.recursive, results=choices.to)),
        preset=found.name if found else "",
        force=choices.force,
        dry_run=choices.dry_run,
        yes=choices.yes,
    )


def _choose_preset(context: Context, choices: Choices, name: str | None) -> Preset | None:
    if name is not None:
        return find_preset(context.settings, name)
    # A provider that is named asks for that provider, not for the user's usual recipe.
    return None if choices.provider else usual_preset(context.settings)
