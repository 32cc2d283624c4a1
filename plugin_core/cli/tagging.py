"""From the words of ``stembridge tag`` to a run, or to an undo."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from plugin_core.cli.batch import Request
from plugin_core.cli.flow import run_request
from plugin_core.cli.sources import find_sources
from plugin_core.console.context import Context
from plugin_core.console.formatting import clean, describe_fields, plural, show
from plugin_core.console.records import describe_count, describe_error, write_record
from plugin_core.defaults import TagsSettings
from plugin_core.errors import ExitCode, StembridgeError, UsageError
from plugin_core.model import Tagging
from plugin_core.tags.rules import check_rules

if TYPE_CHECKING:
    from plugin_core.operations.undo import Undone
    from plugin_core.session import Session

log = logging.getLogger(__name__)


class TagChoices(msgspec.Struct, frozen=True, kw_only=True):
    """What the options of ``tag`` say; None means not said."""

    provider: str | None = None
    dimensions: tuple[str, ...] | None = None
    min_probability: tuple[float | None, dict[str, float]] | None = None
    labels: str | None = None
    policy: tuple[str | None, dict[str, str]] | None = None
    language_codes: str | None = None
    provenance: bool | None = None
    force: bool = False
    undo: bool = False
    dry_run: bool = False
    recursive: bool = False
    yes: bool = False


def tag_files(context: Context, files: Sequence[str], choices: TagChoices, *, as_json: bool) -> int:
    """Label the files as the options say, or undo that, show it, and return the exit code."""
    if choices.undo:
        _refuse_rules(choices)
    paths = tuple(find_sources(files, recursive=choices.recursive))
    if choices.undo:
        return _undo_files(context, paths, choices, as_json=as_json)
    wish = choose_tagging(choices, context.settings.section("tags", TagsSettings))
    request = Request(paths=paths, operations=(wish,), force=choices.force, dry_run=choices.dry_run, yes=choices.yes)
    return run_request(context, request, choices.provider, as_json=as_json)


def choose_tagging(choices: TagChoices, settings: TagsSettings) -> Tagging:
    """Return what is asked for; an option wins over the settings, for all dimensions or for the one it names.

    Raises:
        UsageError: a word or number that means nothing.
    """
    said: dict[str, Any] = {
        name: getattr(choices, name)
        for name in ("provider", "dimensions", "labels", "language_codes", "provenance")
        if getattr(choices, name) is not None
    }
    for option, single, table in (("min_probability",) * 2 + ("thresholds",), ("policy",) * 2 + ("policies",)):
        value, by_dimension = getattr(choices, option) or (None, {})
        if value is not None:
            said |= {single: value, table: {}}
        said[table] = said.get(table, getattr(settings, table)) | by_dimension
    wish = msgspec.structs.replace(settings.as_operation(), **said)
    check_rules(wish)
    return wish


def _refuse_rules(choices: TagChoices) -> None:
    """Refuse what says how to label: an undo that seems to heed it would take back more than is meant.

    Raises:
        UsageError: names the option.
    """
    for name in ("provider", "dimensions", "min_probability", "labels", "policy", "language_codes", "provenance"):
        if getattr(choices, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} has no meaning with --undo", remedy="leave one of them out")


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
