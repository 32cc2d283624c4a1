"""``stembridge tag``: label songs in their own tags, or take that back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_core.cli.request import RunRequest, run_request
from plugin_core.cli.sources import files_argument, find_sources
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import describe_count, describe_error, write_record
from plugin_core.console.options import (
    JSON_OPTION,
    RunChoices,
    Words,
    choose_tagging,
    split_options,
    wish_options,
)
from plugin_core.console.phrases import clean, describe_fields, plural, show
from plugin_core.errors import ExitCode, StembridgeError, UsageError
from plugin_core.model import Tagging
from plugin_core.wishes import TAGS

if TYPE_CHECKING:
    from plugin_core.operations.undo import Undone
    from plugin_core.session import Session


log = logging.getLogger(__name__)


def tag_files(context: Context, files: Sequence[str], said: Words, choices: TagChoices, *, as_json: bool) -> int:
    """Label the files as the options say, or undo that, show it, and return the exit code."""
    if choices.undo:
        _refuse_rules(said)
    paths = tuple(find_sources(files, recursive=choices.recursive))
    if choices.undo:
        return _undo_files(context, paths, choices, as_json=as_json)
    wish = choose_tagging(said, context.settings.section("tags", TAGS).as_operation())
    request = RunRequest(paths=paths, operations=(wish,), force=choices.force, dry_run=choices.dry_run, yes=choices.yes)
    return run_request(context, request, said.get("provider"), as_json=as_json)


def _refuse_rules(said: Words) -> None:
    """Refuse what says how to label: an undo that seems to heed it would take back more than is meant.

    Raises:
        UsageError: names the option.
    """
    for name in said:
        raise UsageError(f"--{name.replace('_', '-')} has no meaning with --undo", remedy="leave one of them out")


def _undo_files(context: Context, paths: Sequence[Path], choices: TagChoices, *, as_json: bool) -> int:
    """Undo file by file: one that cannot be undone hinders no other."""
    with context.session(is_paying=True) as session:
        codes = [_undo_file(session, path, choices, as_json=as_json, quiet=context.quiet) for path in paths]
    done = codes.count(ExitCode.DONE)
    code = next((code for code in (ExitCode.FAILED, ExitCode.USAGE) if code in codes), ExitCode.DONE)
    if as_json:
        write_record(describe_count(done, code))
    elif not context.quiet:
        click.echo(f"{plural(done, 'song')} {'would be undone' if choices.dry_run else 'undone'}")
    return code


def _undo_file(session: Session, path: Path, choices: TagChoices, *, as_json: bool, quiet: bool) -> int:
    try:
        undone = session.undo(path, force=choices.force, dry_run=choices.dry_run)
    except StembridgeError as error:
        if as_json:
            write_record(describe_error(path, error))
        else:
            click.echo(f"stembridge: {clean(str(error))}", err=True)
        return int(error.exit_code)
    if as_json:
        write_record(_describe_undone(path, undone, dry_run=choices.dry_run))
    elif not quiet:
        how = "the file is what it was" if undone.exact else "other changes of the file stay"
        click.echo(f"{show(path)}: {describe_fields(undone.fields)}; {how}")
        if undone.kept:
            names = ", ".join(undone.kept)
            click.echo(f"  note: {names} changed since and stays; --force puts back what stood there before")
    return int(ExitCode.DONE)


def _describe_undone(path: Path, undone: Undone, *, dry_run: bool) -> dict[str, Any]:
    return {
        "event": "undone",
        "source": path,
        "job": undone.job,
        "fields": {name: list(values) for name, values in undone.fields.items()},
        "exact": undone.exact,
        "kept": list(undone.kept),
        "dry_run": dry_run,
    }


class TagChoices(RunChoices, frozen=True, kw_only=True):
    """What the options of ``tag`` say beside the wish."""

    undo: bool = False


@examples(
    "stembridge tag Song.mp3",
    "stembridge tag Music --recursive --dimensions mood,genre --dry-run",
    "stembridge tag Song.mp3 --undo",
)
@click.command("tag")
@files_argument
@wish_options(Tagging)
@click.option("--undo", is_flag=True, help="Take back what was written last.")
@click.option("-r", "--recursive", is_flag=True, help="Take every song in the folders named.")
@click.option("--force", is_flag=True, help="Ask the service anew; with --undo, also where the tags changed since.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and stop.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before paying.")
@JSON_OPTION
@click.pass_obj
def command(context: Context, /, files: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Label songs (mood, genre, language, ...) in their own tags.

    FILE is a song, a pattern, or with --recursive a folder. What stands in a tag already is not touched, unless
    --policy says so; audio, pictures and all other tags stay as they are. --undo takes back what was written last, also
    when the song was moved, and once more what was written before that; what you changed since stays.

    Exit code: 0 all done, 1 some failed, 2 usage, 3 refused by the service or by your own limit, 4 unconfirmed, 130
    interrupted.
    """
    said, rest = split_options(Tagging, options)
    return tag_files(context, files, said, TagChoices(**rest), as_json=as_json)
