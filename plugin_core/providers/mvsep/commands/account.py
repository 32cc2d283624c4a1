"""What MVSEP lists: past jobs, queue, news, published separations, its quality checker; an account, and making one."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from plugin_core.console.answers import ask_word, confirm, number, show_list, show_one, tell
from plugin_core.console.context import Context
from plugin_core.console.groups import examples, group
from plugin_core.console.options import JSON_OPTION, read_pairs
from plugin_core.errors import StembridgeError, UsageError
from plugin_core.providers.mvsep.account_calls import DemoEntry, HistoryEntry, NewsItem, QueueState, QueueSummary
from plugin_core.providers.mvsep.caller import MvsepSettings
from plugin_core.providers.mvsep.client import MvsepClient, QualityEntry
from plugin_core.settings import Secret

T = TypeVar("T")


def ask(context: Context, call: Callable[[MvsepClient], Awaitable[T]]) -> T:
    """Make one call with the user's account and return its answer."""
    settings = context.settings.section("mvsep", MvsepSettings)
    client = MvsepClient(settings.base_url, settings.api_token)

    async def work() -> T:
        try:
            return await call(client)
        finally:
            await client.transfer.close()

    return asyncio.run(work())


F = TypeVar("F", bound=Callable[..., Any])


def page_options(function: F) -> F:
    """Add ``--start`` and ``--limit``."""
    limit = click.option("--limit", type=click.IntRange(1, 20), default=10, show_default=True, help="How many.")
    start = click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="How many to skip.")
    return start(limit(function))


@examples("stembridge mvsep history --limit 10")
@click.command("history")
@page_options
@JSON_OPTION
@click.pass_obj
def history(context: Context, start: int, limit: int, as_json: bool) -> None:
    """List this account's past jobs at MVSEP, newest first."""
    found = ask(context, lambda client: client.history(start=start, limit=limit))
    show_list("history", found, _HISTORY, _history_row, as_json=as_json, none="MVSEP knows no job of this account")


_HISTORY = ("DATE", "MODEL", "CREDITS", "KEPT", "HASH")


def _history_row(entry: HistoryEntry) -> tuple[str, ...]:
    is_kept = entry.job_exists is not False and (entry.time_left is None or entry.time_left > 0)
    kept = f"{number(entry.time_left)} h" if is_kept and entry.time_left is not None else "yes" if is_kept else "no"
    return entry.created_at, entry.algorithm.name, number(entry.credits), kept, entry.hash


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """How busy the service is, and how long this account would wait."""

    state: QueueState
    wait: QueueSummary


@examples("stembridge mvsep queue")
@click.command("queue")
@JSON_OPTION
@click.pass_obj
def queue(context: Context, as_json: bool) -> None:
    """Show how many separations wait at MVSEP, and how long this account would."""
    has_account = bool(context.settings.section("mvsep", MvsepSettings).api_token)
    state = ask(context, lambda client: client.queue())
    wait, unknown = _ask_wait(context) if has_account else (QueueSummary(), {})
    show_one("queue", Queue(state=state, wait=wait), lambda: _queue_lines(state, wait) | unknown, as_json=as_json)


def _ask_wait(context: Context) -> tuple[QueueSummary, dict[str, str]]:
    """Return the wait, or none and why: its endpoint is known from clients alone and may go any day."""
    try:
        return ask(context, lambda client: client.queue_summary()), {}
    except StembridgeError as error:
        return QueueSummary(), {"wait": f"unknown: {error.message}"}


def _queue_lines(state: QueueState, wait: QueueSummary) -> dict[str, str]:
    left = "" if state.free_left is None else f"{state.free_left} of {number(state.free_max)}"
    return {
        "in process": number(state.in_process),
        "premium": number(state.premium),
        "registered": number(state.registered),
        "unregistered": number(state.unregistered),
        "your plan": state.plan,
        "ahead of you": number(state.plan_queue),
        "left today": left,
        "wait": "" if wait.estimated_wait_seconds is None else f"about {number(wait.estimated_wait_seconds)} s",
    }


@examples("stembridge mvsep news --lang en")
@click.command("news")
@click.option("--lang", default="en", show_default=True, help="Language of the texts.")
@page_options
@JSON_OPTION
@click.pass_obj
def news(context: Context, lang: str, start: int, limit: int, as_json: bool) -> None:
    """Show MVSEP's news."""
    found = ask(context, lambda client: client.news(lang=lang, start=start, limit=limit))
    show_list("news", found, ("DATE", "TITLE"), _news_row, as_json=as_json, none="no news")


def _news_row(item: NewsItem) -> tuple[str, ...]:
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", item.text)).split())
    return item.created_at, f"{item.title}: {text}" if item.title else text


@examples("stembridge mvsep demo --model 40")
@click.command("demo")
@click.option("--model", type=int, help="Only of the model of this id.")
@click.option("--option", "options", metavar="K=V", multiple=True, callback=read_pairs, help="Only with this; repeat.")
@page_options
@JSON_OPTION
@click.pass_obj
def demo(
    context: Context, model: int | None, options: dict[str, str] | None, start: int, limit: int, as_json: bool
) -> None:
    """List separations that people published at MVSEP."""
    found = ask(context, lambda client: client.demo(start=start, limit=limit, algorithm_id=model, options=options))
    show_list("demo", found, ("DATE", "MODEL", "SIZE", "HASH"), _demo_row, as_json=as_json, none="nothing is published")


def _demo_row(entry: DemoEntry) -> tuple[str, ...]:
    return entry.date, entry.algorithm.name, entry.size, entry.hash


SWITCH = click.argument("switch", type=click.Choice(["on", "off"]))


@examples("stembridge mvsep premium on")
@click.command("premium")
@SWITCH
@JSON_OPTION
@click.pass_obj
def premium(context: Context, switch: str, as_json: bool) -> None:
    """Spend credits on jobs, or stop doing so."""
    notice = ask(context, lambda client: client.set_premium(switch == "on"))
    tell(context, "premium", f"premium is {switch}", notice.message, as_json=as_json, switch=switch)


@examples("stembridge mvsep long-filenames on")
@click.command("long-filenames")
@SWITCH
@JSON_OPTION
@click.pass_obj
def long_filenames(context: Context, switch: str, as_json: bool) -> None:
    """Have model and options in the names of results at MVSEP, or not."""
    notice = ask(context, lambda client: client.set_long_filenames(switch == "on"))
    tell(context, "long_filenames", f"long file names are {switch}", notice.message, as_json=as_json, switch=switch)


@examples("stembridge mvsep register")
@click.command("register")
@click.option("--name", help="Shown at MVSEP; asked for when it is not said.")
@click.option("--email", help="Where the service writes to; asked for when it is not said.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@JSON_OPTION
@click.pass_obj
def register(context: Context, name: str | None, email: str | None, yes: bool, as_json: bool) -> None:
    """Make an account at MVSEP; the password is asked for, or read from a pipe."""
    known, address = name or ask_word("Name"), email or ask_word("E-mail")
    password = Secret(ask_word("Password", is_new_secret=True))
    confirm(f"Make an account for {address} at MVSEP?", yes=yes)
    notice = ask(context, lambda client: client.register(known, address, password))
    tell(
        context,
        "registered",
        "registered; next: stembridge login mvsep",
        notice.message,
        as_json=as_json,
        email=address,
    )


_ENTRIES = ("ID", "DATE", "DATA SET", "RESULT", "SDR", "ALGORITHM")
_DATASET = click.option(
    "--dataset", type=click.IntRange(0, 12), default=0, show_default=True, help="Number of the data set."
)


@examples("stembridge mvsep quality leaderboard")
@group()
def quality() -> None:
    """Use MVSEP's quality checker."""


@examples("stembridge mvsep quality list")
@quality.command("list")
@page_options
@JSON_OPTION
@click.pass_obj
def list_waiting(context: Context, start: int, limit: int, as_json: bool) -> None:
    """List what was sent to the quality checker last."""
    found = ask(context, lambda client: client.quality_queue(start=start, limit=limit))
    show_list("quality_entry", found, _ENTRIES, _entry_row, as_json=as_json, none="nothing waits")


@examples("stembridge mvsep quality leaderboard --limit 10")
@quality.command("leaderboard")
@_DATASET
@click.option("--search", default="", help="Part of an algorithm's name.")
@click.option("--sort", default="", help="What to sort by, as the service names it.")
@page_options
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
    show_list("quality_entry", board.entries, _ENTRIES, _entry_row, as_json=as_json, none="the leaderboard is empty")


@examples("stembridge mvsep quality entry 123")
@quality.command("entry")
@click.argument("entry_id", metavar="ID", type=int)
@JSON_OPTION
@click.pass_obj
def entry(context: Context, entry_id: int, as_json: bool) -> None:
    """Show one entry and its measures."""
    found = ask(context, lambda client: client.quality_entry(entry_id))
    show_one("quality_entry", found, lambda: _entry_lines(found), as_json=as_json)


@examples("stembridge mvsep quality add results.zip --name Mine")
@quality.command("add")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the algorithm.")
@click.option("--text", required=True, help="What it is and how it was made.")
@_DATASET
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


def _entry_row(found: QualityEntry) -> tuple[str, ...]:
    sdr = ", ".join(f"{name} {value:.2f}" for name, value in found.sdr.items())
    data_set = found.dataset_name or number(found.dataset_type)
    return number(found.id), found.date, data_set, found.msg, sdr, found.algo_name


def _entry_lines(found: QualityEntry) -> dict[str, str]:
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
