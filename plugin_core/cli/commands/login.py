"""``stembridge login``: the keys of an account, asked for on the terminal and kept in the keyring."""

from __future__ import annotations

import asyncio
import sys

import click

from plugin_core.cli.display.records import write_record
from plugin_core.cli.face import Face
from plugin_core.cli.options import JSON_OPTION
from plugin_core.errors import UsageError, blame
from plugin_core.keeping import keep_secrets
from plugin_core.model import Question
from plugin_core.protocols import Enrolled
from plugin_core.settings import Secret

ASK = "-"


@click.command("login")
@click.argument("provider")
@click.option(
    "--token",
    metavar="[TOKEN]",
    is_flag=False,
    flag_value=ASK,
    help="Use an API token instead of a password; without a value it is asked for, or read from a pipe.",
)
@JSON_OPTION
@click.pass_obj
def command(face: Face, provider: str, token: str | None, as_json: bool) -> int:
    """Give stembridge the keys of an account.

    They are tried out, then kept in the system's keyring, or in config.toml where there is none.
    """
    with face.session() as session:
        enrolled = session.provider(provider)
        if not isinstance(enrolled, Enrolled):
            raise UsageError(f"{provider} needs no account", remedy="there is nothing to log in to")
        answers = _ask_token(enrolled, provider, token) if token else _ask_all(enrolled)
        with blame(provider):
            kept = asyncio.run(enrolled.login(answers))
        place = keep_secrets(face.settings, enrolled.section, kept)
    if as_json:
        write_record({"event": "login", "provider": provider, "kept": place, "exit_code": 0})
    elif not face.quiet:
        click.echo(f"{provider}: accepted; kept in {place}")
        click.echo(f"next: stembridge account {provider}")
    return 0


def _ask_token(enrolled: Enrolled, provider: str, token: str) -> dict[str, Secret]:
    if not enrolled.token:
        raise UsageError(f"{provider} has no token", remedy=f"`stembridge login {provider}` asks for what it needs")
    if token == ASK:
        return {enrolled.token: _ask(Question(name=enrolled.token, text="API token"))}
    click.echo(
        "stembridge: other users of this machine can read what stands in a command line; next time end it with --token",
        err=True,
    )
    return {enrolled.token: Secret(token)}


def _ask_all(enrolled: Enrolled) -> dict[str, Secret]:
    return {question.name: _ask(question) for question in enrolled.questions}


def _ask(question: Question) -> Secret:
    """Ask on the terminal; from a pipe, take the next line."""
    if sys.stdin is None or not sys.stdin.isatty():
        line = sys.stdin.readline() if sys.stdin is not None else ""
        if not line.strip():
            raise UsageError(
                f"no answer to: {question.text}", remedy="run it on a terminal, or pipe one line an answer"
            )
        return Secret(line.strip())
    text: str = click.prompt(question.text, hide_input=question.hidden, err=True)
    return Secret(text.strip())
