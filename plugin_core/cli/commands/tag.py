"""``stembridge tag``: label songs in their own tags."""

from __future__ import annotations

from typing import Any

import click

from plugin_core.cli.tagging import TagChoices, tag_files
from plugin_core.console.context import Context
from plugin_core.console.options import JSON_OPTION, files_argument, read_name
from plugin_core.tags.rules import DIMENSIONS, LABELS, LANGUAGE_CODES

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
