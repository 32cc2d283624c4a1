"""The group of all commands; only the module of the command that is called is imported."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

import click

from plugin_core._version import __version__
from plugin_core.console.context import Context
from plugin_core.console.groups import Deferred, SuggestingGroup, summarise
from plugin_core.hook_guard import acting_plugin

if TYPE_CHECKING:
    from plugin_core.plugins import Plugins

#: Built-in commands, in the order of the help page, with the line shown there.
COMMANDS = {
    "separate": "Split songs into stems, placed beside each song.",
    "tag": "Label songs (mood, genre, ...) in their own tags.",
    "run": "Do a preset's operations to songs.",
    "jobs": "List, show, resume, cancel, retry or forget jobs.",
    "purchases": "Show what was bought, and where its stems are.",
    "fetch": "Place the stems of a job that a service has already.",
    "listen": "Hear from services that a job ended, instead of waiting for the next look.",
    "models": "List what the providers can split a song into.",
    "login": "Give stembridge the keys of an account, kept in the keyring.",
    "account": "Show what your accounts have: plan, credits, limits.",
    "demo": "Make a small song, separate it and measure the result.",
    "doctor": "Check this installation and say what to mend.",
    "plugins": "List the plugins, and what each of them adds.",
}


log = logging.getLogger(__name__)


class LazyGroup(SuggestingGroup):
    """Built-in commands by module name, then whatever plugins register."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._has_asked_plugins = False
        self._plugins: Plugins | None = None
        self._owners: dict[str, str] = {}

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a plugin's command, unless a built-in one is called so; of two that of the plugin loaded first stays."""
        name, plugin = name or cmd.name or "", acting_plugin()
        if name in COMMANDS:
            log.warning("a plugin's command %r is passed over: stembridge has one of that name", name)
            return
        owner = self._owners.get(name, plugin)
        first = plugin if self._rank(plugin) <= self._rank(owner) else owner
        if owner != plugin:
            passed = plugin if first == owner else owner
            log.warning("command %r of plugin %s is passed over: %s has one of that name", name, passed, first)
        if first == plugin:
            self._owners[name] = plugin
            super().add_command(cmd, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return built-in commands in their order, then those of plugins."""
        self._ask_plugins(ctx)
        return [*COMMANDS, *sorted(set(self.commands) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a built-in command, or find a plugin's; a built-in one cannot be replaced."""
        if cmd_name in COMMANDS:
            command: click.Command = importlib.import_module(f"plugin_core.cli.commands.{cmd_name}").command
            return command
        self._ask_plugins(ctx)
        found = self.commands.get(cmd_name)
        return found.load() if isinstance(found, Deferred) else found

    def _rows(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Return the commands without importing the built-in ones."""
        names = (name for name in self.list_commands(ctx) if name in COMMANDS or not self.commands[name].hidden)
        return [(name, COMMANDS.get(name) or summarise(self.commands[name])) for name in names]

    def _ask_plugins(self, ctx: click.Context) -> None:
        if not self._has_asked_plugins:
            self._has_asked_plugins = True
            context: Context = ctx.find_root().obj
            self._plugins = context.plugins
            context.plugins.notify("register_commands", group=self)

    def _rank(self, plugin: str) -> int:
        return 0 if self._plugins is None else self._plugins.rank(plugin)


def build_app() -> LazyGroup:
    """Return the command line with its built-in commands; plugins add theirs when they are first needed."""

    @click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("-v", "--verbose", is_flag=True, help="Log every step to standard error.")
    @click.option("-q", "--quiet", is_flag=True, help="Say nothing but what went wrong.")
    @click.version_option(__version__, message="stembridge %(version)s")
    @click.pass_context
    def app(ctx: click.Context, verbose: bool, quiet: bool) -> None:
        """Split songs into stems, placed beside each song.

        Start with: stembridge demo
        """
        context: Context = ctx.obj
        context.quiet = quiet
        context.logs.open(verbose=verbose, quiet=quiet)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())

    return app
