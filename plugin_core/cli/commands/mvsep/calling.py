"""One call to MVSEP by a command, and what its commands ask for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from plugin_core.cli.answers import confirm, number, show_list, show_one, tell
from plugin_core.cli.face import Face
from plugin_core.cli.interrupt import nothing_begun
from plugin_core.errors import UsageError
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.settings import MvsepSettings

__all__ = ["ask", "ask_word", "confirm", "number", "show_list", "show_one", "tell"]

T = TypeVar("T")


def ask(face: Face, call: Callable[[MvsepClient], Awaitable[T]]) -> T:
    """Make one call with the user's account and return its answer."""
    settings = face.settings.section("mvsep", MvsepSettings)
    client = MvsepClient(settings.base_url, settings.api_token)

    async def work() -> T:
        try:
            return await call(client)
        finally:
            await client.transfer.close()

    return asyncio.run(work())


def ask_word(text: str, *, is_secret: bool = False, is_new_secret: bool = False) -> str:
    """Ask for a word on the terminal, a new secret twice; from a pipe, take the next line.

    Raises:
        UsageError: there is no answer.
    """
    if sys.stdin.isatty():
        hide = is_secret or is_new_secret
        with nothing_begun():
            return str(click.prompt(text, hide_input=hide, confirmation_prompt=is_new_secret, err=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line.strip():
        raise UsageError(f"no answer to: {text}", remedy="run it on a terminal, or pipe one line an answer")
    return line
