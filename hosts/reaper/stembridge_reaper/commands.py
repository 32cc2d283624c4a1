"""``stembridge reaper`` and ``stembridge reaper-worker``; what they do is imported when one of them is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plugin_core.console.context import Context
from plugin_core.console.groups import examples, group
from plugin_core.console.options import JSON_OPTION
from plugin_core.errors import ExitCode, StembridgeError

if TYPE_CHECKING:
    from stembridge_reaper.install.actions import Launcher
    from stembridge_reaper.protocol import Request

QUERIES = ("place", "insert", "jobs", "cancel", "choices")
"""Kinds of requests that are answered at once."""

_RESOURCE_PATH = click.option(
    "--resource-path",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="REAPER's folder of settings; default, the usual place of this system.",
)


@examples("stembridge reaper install")
@group()
def reaper() -> None:
    """Set up the actions in REAPER, take them away, or check them."""


@examples("stembridge reaper install")
@reaper.command("install")
@_RESOURCE_PATH
@click.option(
    "--python-library",
    default="auto",
    metavar="auto|keep|FILE",
    help="Python library that REAPER loads: found, left as it is, or this file.",
)
@click.option(
    "--launcher",
    type=click.Choice(["lua", "python"]),
    default=None,
    help="Language of the scripts: REAPER brings Lua; Python needs the library. Default, what is installed, or Lua.",
)
@click.pass_obj
def install_command(
    context: Context, resource_path: Path | None, python_library: str, launcher: Launcher | None
) -> int:
    """Copy the scripts and register the actions; REAPER must be closed.

    Every file that is changed is copied first. Run it again after an update, or after adding a preset.
    """
    from stembridge_reaper.install.reaper_ini import find_resource_path
    from stembridge_reaper.install.setup import install

    folder = find_resource_path(resource_path, context.settings.environ)
    for line in install(folder, context.settings, python_library, launcher):
        click.echo(line)
    return ExitCode.DONE


@examples("stembridge reaper uninstall")
@reaper.command("uninstall")
@_RESOURCE_PATH
@click.pass_obj
def uninstall_command(context: Context, resource_path: Path | None) -> int:
    """Put everything back as it was before ``install``; REAPER must be closed."""
    from stembridge_reaper.install.reaper_ini import find_resource_path
    from stembridge_reaper.install.setup import uninstall

    for line in uninstall(find_resource_path(resource_path, context.settings.environ)):
        click.echo(line)
    return ExitCode.DONE


@examples("stembridge reaper doctor")
@reaper.command("doctor")
@_RESOURCE_PATH
@JSON_OPTION
@click.pass_obj
def doctor_command(context: Context, resource_path: Path | None, as_json: bool) -> int:
    """Check each step between REAPER and stembridge, and say what to do.

    Exit code 1 when something is wrong.
    """
    from plugin_core.console.answers import show_findings
    from stembridge_reaper.install.diagnosis import WIDTH, conclude, examine
    from stembridge_reaper.install.reaper_ini import find_resource_path

    findings = examine(find_resource_path(resource_path, context.settings.environ), context.settings)
    return show_findings(findings, as_json=as_json, quiet=context.quiet, conclude=conclude, width=WIDTH)


@click.command("reaper-worker", hidden=True)
@click.argument("request", type=click.Path(path_type=Path), metavar="REQUEST")
@click.pass_obj
def worker(context: Context, request: Path) -> int:
    """Do what a request of REAPER's scripts says; started by them."""
    from stembridge_reaper.protocol import read_request
    from stembridge_reaper.runs import hold

    wanted = read_request(request)
    with hold(request.with_name("lock")) as is_ours:
        if not is_ours:
            click.echo("another worker is on this request already")
            return ExitCode.DONE
        return (
            _answer(context, wanted, request.parent)
            if wanted.kind in QUERIES
            else _work(context, wanted, request.parent)
        )


def _answer(context: Context, wanted: Request, folder: Path) -> int:
    from stembridge_reaper.queries import Query

    query = Query(context.settings, wanted, folder, context.session)
    with _telling(query.fail):
        return query.run()


def _work(context: Context, wanted: Request, folder: Path) -> int:
    from stembridge_reaper.runs import forget_old_runs
    from stembridge_reaper.worker import Worker

    with context.session() as session:
        at_work = Worker(session, wanted, folder)
        with _telling(at_work.fail):
            code = asyncio.run(at_work.run())
        forget_old_runs(session.settings, session.slices.folder, keep=folder)
    return code


@contextmanager
def _telling(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell people in REAPER of an error before it ends the process."""
    try:
        yield
    except StembridgeError as error:
        tell(str(error))
        raise
    except Exception as error:
        tell(f"{type(error).__name__}: {error}")
        raise
