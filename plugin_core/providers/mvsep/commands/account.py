"""What MVSEP lists: past jobs, its queue, news, published separations; switches of an account, and making one."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
import msgspec

from plugin_core.console.answers import ask_word, confirm, number, show_list, show_one, tell
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.options import JSON_OPTION, read_pairs
from plugin_core.errors import StembridgeError
from plugin_core.providers.mvsep.account_calls import DemoEntry, HistoryEntry, NewsItem, QueueState, QueueSummary
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.settings import MvsepSettings
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


def page_options(most: int) -> Callable[[F], F]:
    """Add ``--start`` and ``--limit``."""

    def add(function: F) -> F:
        limit = click.option("--limit", type=click.IntRange(1, most), default=10, show_default=True, help="How many.")
        start = click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="How many to skip.")
        return start(limit(function))

    return add


@examples("stembridge mvsep history --limit 10")
@click.command("history")
@page_options(20)
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
@page_options(20)
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
@page_options(20)
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
