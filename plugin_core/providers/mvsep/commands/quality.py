"""``stembridge mvsep quality``: the quality checker, which measures separations of songs whose true stems it holds."""

from __future__ import annotations

from pathlib import Path

import click

from plugin_core.console.answers import ask_word, confirm, number, show_list, show_one, tell
from plugin_core.console.context import Context
from plugin_core.console.groups import examples, group
from plugin_core.console.options import JSON_OPTION
from plugin_core.errors import UsageError
from plugin_core.providers.mvsep.client import QualityEntry
from plugin_core.providers.mvsep.commands.account import ask, page_options
from plugin_core.settings import Secret

HEADS = ("ID", "DATE", "DATA SET", "RESULT", "SDR", "ALGORITHM")
DATASET = click.option(
    "--dataset", type=click.IntRange(0, 12), default=0, show_default=True, help="Number of the data set."
)


@examples("stembridge mvsep quality leaderboard")
@group()
def quality() -> None:
    """Use MVSEP's quality checker."""


@examples("stembridge mvsep quality list")
@quality.command("list")
@page_options(20)
@JSON_OPTION
@click.pass_obj
def list_waiting(context: Context, start: int, limit: int, as_json: bool) -> None:
    """List what was sent to the quality checker last."""
    found = ask(context, lambda client: client.quality_queue(start=start, limit=limit))
    show_list("quality_entry", found, HEADS, _row, as_json=as_json, none="nothing waits")


@examples("stembridge mvsep quality leaderboard --limit 10")
@quality.command("leaderboard")
@DATASET
@click.option("--search", default="", help="Part of an algorithm's name.")
@click.option("--sort", default="", help="What to sort by, as the service names it.")
@page_options(20)
@JSON_OPTION
@click.pass_obj
def leaderboard(context: Context, dataset: int, search: str, sort: str, start: int, limit: int, as_json: bool) -> None:
    """List the best separations of a data set."""
    board = ask(
        context,
        lambda client: client.quality_leaderboard(
            dataset_type=dataset, name_filter=search, sort=sort, start=start, limit=limit
        ),
    )
    show_list("quality_entry", board.entries, HEADS, _row, as_json=as_json, none="the leaderboard is empty")


@examples("stembridge mvsep quality entry 123")
@quality.command("entry")
@click.argument("entry_id", metavar="ID", type=int)
@JSON_OPTION
@click.pass_obj
def entry(context: Context, entry_id: int, as_json: bool) -> None:
    """Show one entry and its measures."""
    found = ask(context, lambda client: client.quality_entry(entry_id))
    show_one("quality_entry", found, lambda: _lines(found), as_json=as_json)


@examples("stembridge mvsep quality add results.zip --name Mine")
@quality.command("add")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the algorithm.")
@click.option("--text", required=True, help="What it is and how it was made.")
@DATASET
@click.option("--ensemble", is_flag=True, help="It combines several algorithms.")
@JSON_OPTION
@click.pass_obj
def add(context: Context, archive: Path, name: str, text: str, dataset: int, ensemble: bool, as_json: bool) -> None:
    """Send a zip of separations to be measured; a password to remove it later is asked for."""
    if not archive.is_file():
        raise UsageError(f"{archive} is no file", remedy="give the zip to send")
    password = Secret(ask_word("Password of the entry", is_secret=True))
    added = ask(
        context,
        lambda client: client.quality_add(
            archive, algo_name=name, main_text=text, password=password, dataset_type=dataset, ensemble=ensemble
        ),
    )
    tell(context, "quality_added", f"added as {number(added.id)}", added.link, as_json=as_json, id=added.id)


@examples("stembridge mvsep quality delete 123 --yes")
@quality.command("delete")
@click.argument("entry_id", metavar="ID", type=int)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@JSON_OPTION
@click.pass_obj
def delete(context: Context, entry_id: int, yes: bool, as_json: bool) -> None:
    """Remove an entry, with the password it was added with."""
    password = Secret(ask_word("Password of the entry", is_secret=True))
    confirm(f"Remove entry {entry_id}?", yes=yes)
    notice = ask(context, lambda client: client.quality_delete(entry_id, password))
    tell(context, "quality_deleted", f"entry {entry_id} deleted", notice.message, as_json=as_json, id=entry_id)


def _row(found: QualityEntry) -> tuple[str, ...]:
    sdr = ", ".join(f"{name} {value:.2f}" for name, value in found.sdr.items())
    data_set = found.dataset_name or number(found.dataset_type)
    return number(found.id), found.date, data_set, found.msg, sdr, found.algo_name


def _lines(found: QualityEntry) -> dict[str, str]:
    return {
        "id": number(found.id),
        "algorithm": found.algo_name,
        "text": found.main_text,
        "date": found.date,
        "data set": found.dataset_name or number(found.dataset_type),
        "result": found.msg,
        **{name: f"{value:.2f} dB" for name, value in found.sdr.items()},
        "metrics": "; ".join(found.metrics),
    }
