"""Switches of an account at MVSEP, and making one."""

from __future__ import annotations

import click

from plugin_core.console.answers import ask_word, confirm, tell
from plugin_core.console.context import Context
from plugin_core.console.options import JSON_OPTION
from plugin_core.providers.mvsep.commands.calling import ask
from plugin_core.settings import Secret

SWITCH = click.argument("switch", type=click.Choice(["on", "off"]))


@click.command("premium")
@SWITCH
@JSON_OPTION
@click.pass_obj
def premium(context: Context, switch: str, as_json: bool) -> None:
    """Spend credits on jobs, or stop doing so."""
    notice = ask(context, lambda client: client.set_premium(switch == "on"))
    tell(context, "premium", f"premium is {switch}", notice.message, as_json=as_json, switch=switch)


@click.command("long-filenames")
@SWITCH
@JSON_OPTION
@click.pass_obj
def long_filenames(context: Context, switch: str, as_json: bool) -> None:
    """Have model and options in the names of results at MVSEP, or not."""
    notice = ask(context, lambda client: client.set_long_filenames(switch == "on"))
    tell(context, "long_filenames", f"long file names are {switch}", notice.message, as_json=as_json, switch=switch)


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
