"""``stembridge tag``: label songs in their own tags, or take that back."""

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
from plugin_core.console.json_lines import describe_count, describe_error, write_record
from plugin_core.console.options import JSON_OPTION, files_argument, read_name
from plugin_core.errors import ExitCode, StembridgeError, UsageError
from plugin_core.model import Tagging
from plugin_core.tags.labels import DIMENSIONS, LABELS, LANGUAGE_CODES, check_rules
from plugin_core.wishes import TagsSettings

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


Given = tuple[str | None, dict[str, str]] | None


def read_words(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Turn "mood, genre" into words."""
    if value is None:
        return None
    words = tuple(dict.fromkeys(word.strip().lower() for word in value.split(",") if word.strip()))
    if not words:
        raise click.BadParameter(f"name at least one of {', '.join(DIMENSIONS)}", ctx, param)
    if "all" in words and len(words) > 1:
        raise click.BadParameter("'all' stands alone", ctx, param)
    return () if words == ("all",) else words


def read_rule(ctx: click.Context, param: click.Parameter, value: str | None) -> Given:
    """Turn "fill, genre=append" into a word for all dimensions and words for single ones."""
    if value is None:
        return None
    usual: str | None = None
    single: dict[str, str] = {}
    parts = [part.strip().lower() for part in value.split(",") if part.strip()]
    if not parts:
        raise click.BadParameter(f"{value!r} says nothing", ctx, param)
    for part in parts:
        name, is_single, word = (text.strip() for text in part.partition("="))
        if name in single:
            raise click.BadParameter(f"{name} is named twice", ctx, param)
        if is_single:
            single[name] = word
        elif usual is None:
            usual = part
        else:
            raise click.BadParameter(f"{part!r} names no dimension, as in genre={part}", ctx, param)
    return usual, single


def read_numbers(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[float | None, dict[str, float]] | None:
    """Turn "0.5, mood=0.3" into a number for all dimensions and numbers for single ones."""
    rule = read_rule(ctx, param, value)
    if rule is None:
        return None
    usual, single = rule
    try:
        return None if usual is None else _number(usual), {name: _number(word) for name, word in single.items()}
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a number such as 0.5, or 0.5,mood=0.3", ctx, param) from error


def _number(word: str) -> float:
    """Return a number as people write it; Python's own grammar takes 1_0 for 10."""
    if "_" in word:
        raise ValueError(word)
    return float(word)


@click.command("tag")
@files_argument
@click.option(
    "--provider",
    metavar="NAME",
    callback=read_name,
    help="Who labels; default [tags] provider, or the only one there is.",
)
@click.option("--dimensions", metavar="A,B", callback=read_words, help=f"Of {', '.join(DIMENSIONS)}; default all.")
@click.option(
    "--min-probability",
    metavar="P",
    callback=read_numbers,
    help="Write no label less probable (0.5); also 0.5,mood=0.3.",
)
@click.option(
    "--labels",
    type=click.Choice(LABELS, case_sensitive=False),
    help="English names, or the service's own Chinese ones.",
)
@click.option(
    "--policy",
    metavar="HOW",
    callback=read_rule,
    help="fill only what is empty (default), append or replace; also fill,genre=append.",
)
@click.option("--language-codes", type=click.Choice(LANGUAGE_CODES), help="639-3 tells Mandarin and Cantonese apart.")
@click.option("--provenance/--no-provenance", default=None, help="Also a field that says who found what, and when.")
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
    return tag_files(context, files, TagChoices(**options), as_json=as_json)
