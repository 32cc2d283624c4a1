"""Groups of commands: they suggest what was meant, and import what a plugin adds when it is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, NoReturn, TypeVar

import click

from plugin_core.errors import suggest

_WHOLE_SENTENCE = 200
_MISSPELT, _ALIKE = 0.85, 0.75
"""How near a word is to a command to be a slip of its name; and to be meant where no command speaks of the word."""
_FEW = 3
"""Commands at most that are named for what they do."""
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
EXAMPLES = "Examples:"
C = TypeVar("C", bound=click.Command)


def summarise(command: click.Command) -> str:
    """Return a command's whole first sentence."""
    return command.get_short_help_str(limit=_WHOLE_SENTENCE)


def examples(*lines: str) -> Callable[[C], C]:
    """Return a decorator that ends the help page of a command with command lines as people type them."""

    def add(command: C) -> C:
        # The first sign tells click to leave the lines as they are.
        command.epilog = "\n".join(("\b", EXAMPLES, *(f"  {line}" for line in lines)))
        return command

    return add


class HelpPage(click.HelpFormatter):
    """A page of help whose columns suit the terminal: in a narrow one a long option stands above its words."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write options or commands with what each does."""
        super().write_dl(rows, min(col_max, self.width * 2 // 5), col_spacing)


class SuggestingGroup(click.Group):
    """A group that answers a wrong command with what was meant by it, and none at all with those there are."""

    unnamed = ""
    """The command that is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse a group without its command in one line; click would put the whole help page there."""
        if not args and not self.invoke_without_command and not ctx.resilient_parsing:
            raise click.UsageError(f"name a command: {', '.join(name for name, _ in self._rows(ctx))}", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            self._refuse(ctx, name)
        return super().resolve_command(ctx, args)

    def _refuse(self, ctx: click.Context, name: str) -> NoReturn:
        rows = self._rows(ctx)
        shown = [name for name, _ in rows]
        hint = suggest(name, shown, cutoff=_MISSPELT)
        if not hint and len(does := self._doing(ctx, name, rows)) in range(1, _FEW + 1):
            hint = f"did you mean {' or '.join(map(repr, does))}?"
        hint = hint or suggest(name, shown, f"there are {', '.join(shown)}", cutoff=_ALIKE)
        raise click.UsageError(f"no command {name!r}, {hint}", ctx)

    def _doing(self, ctx: click.Context, name: str, rows: list[tuple[str, str]]) -> list[str]:
        """Return the commands of that name within groups, or those whose line speaks of it."""
        # One that a plugin adds may fail when it is loaded.
        loaded = [each for each, _ in rows if not isinstance(self.commands.get(each), Deferred)]
        inner = [f"{each} {name}" for each in loaded if name in getattr(self.get_command(ctx, each), "commands", ())]
        return inner or [each for each, line in rows if _stem(name) in {_stem(word) for word in _WORD.findall(line)}]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with its whole first sentence; click would cut it off at the line's end."""
        if rows := self._rows(ctx):
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def _rows(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Return the commands that people call, with the line of each."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return [(name, summarise(each)) for name, each in found if each is not None and not each.hidden]


def _stem(word: str) -> str:
    """Return a word as it is in the singular: presets are a preset's."""
    return word.lower().removesuffix("s")


class Deferred(click.Command):
    """A plugin's command whose module is imported when it is called: every run of stembridge loads every plugin.

    Args:
        name: the word people call.
        module: has the command as ``command``.
        help: its first sentence.
    """

    def __init__(self, name: str, module: str, help: str) -> None:  # noqa: A002 - click's word
        super().__init__(name, help=help)
        self._module = module

    def load(self) -> click.Command:
        command: click.Command = import_module(self._module).command
        return command


def group(**kwargs: Any) -> Callable[[Callable[..., Any]], SuggestingGroup]:
    """Return a decorator that makes a group of sub-commands which suggests, as the main one does."""
    return click.group(cls=SuggestingGroup, **kwargs)
