"""The command line: the group of all commands, and where each ends, in one line, one JSON object and an exit code."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from plugin_core._version import __version__
from plugin_core.console.context import Context
from plugin_core.console.groups import Deferred, HelpPage, SuggestingGroup, summarise
from plugin_core.console.interrupt import NothingBegunError
from plugin_core.console.phrases import clean
from plugin_core.errors import ExitCode, StembridgeError, UsageError, suggest
from plugin_core.hook_guard import acting_plugin

if TYPE_CHECKING:
    from plugin_core.plugins import Plugins


def run(arguments: Sequence[str], context: Context | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: what follows ``stembridge``.
        context: settings and plugins; default the user's own.
    """
    _replace_missing_streams()
    _let_any_name_be_printed()
    code: int = ExitCode.FAILED
    try:
        code = _run(list(arguments), context)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget(sys.stdout)
        code = ExitCode.INTERRUPTED
    except OSError as error:
        is_terminal_gone = error.errno == errno.EIO and stat.S_ISCHR(os.fstat(sys.stdout.fileno()).st_mode)
        _forget(sys.stdout)
        # Where a terminal was closed the run ended as its user wanted, and nobody is left to be told.
        if not is_terminal_gone:
            code = _tell(f"standard output cannot be written: {error.strerror or error}", ExitCode.FAILED)
    try:
        sys.stderr.flush()
    except OSError:
        _forget(sys.stderr)
    return code


def _run(arguments: list[str], context: Context | None) -> int:
    try:
        context = context or Context()
    except StembridgeError as error:
        return _end(error, arguments)
    context.logs.open(verbose=False, quiet=False)
    try:
        return _invoke(arguments, context)
    except click.exceptions.Exit as exit_asked:
        return exit_asked.exit_code
    except NothingBegunError:
        return _end_interrupted("nothing was begun", arguments)
    except (click.Abort, KeyboardInterrupt):
        return _end_interrupted(f"interrupted; {_tell_what_goes_on(context)}", arguments)
    except BrokenPipeError:
        raise
    except Exception as error:
        # The last line of defence: a person sees one line, the log the rest.
        error = first_of(error)
        if is_of_output(error):
            raise error from None
        failure = name_failure(error, context)
        # A plugin's settings are told of when it registers, and again by whoever needs it.
        return _end(failure, arguments, is_told=context.logs.has_said(clean(str(failure))))
    finally:
        context.logs.close()


def _tell_what_goes_on(context: Context) -> str:
    from plugin_core.stores import has_workers

    with suppress(StembridgeError):
        if has_workers(context.settings):
            return "workers go on with what was begun: stembridge jobs shows it, jobs cancel ends it"
    return "what was begun goes on with: stembridge jobs resume"


def _invoke(arguments: list[str], context: Context) -> int:
    app = build_app()
    # Not app.main: it would end the process by its own rules when a reader goes away.
    with app.make_context("stembridge", arguments, obj=context) as command:
        return int(app.invoke(command) or 0)


def _end(error: StembridgeError, arguments: Sequence[str], *, is_told: bool = False) -> int:
    """Tell people of the error that ended the command, and programs that read standard output too."""
    if not is_told:
        _tell(str(error), error.exit_code)
    if _is_for_programs(arguments):
        from plugin_core.console.json_lines import describe_end, describe_error, write_record

        write_record(describe_error(None, error))
        write_record(describe_end(error.exit_code))
    return error.exit_code


def _end_interrupted(message: str, arguments: Sequence[str]) -> int:
    if _is_for_programs(arguments):
        from plugin_core.console.json_lines import describe_end, write_record

        write_record(describe_end(ExitCode.INTERRUPTED))
    return _tell(message, ExitCode.INTERRUPTED)


def _is_for_programs(arguments: Sequence[str]) -> bool:
    """Tell whether JSON was asked for, also on a line that cannot be understood."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _tell(message: str, code: int) -> int:
    # Where standard error cannot be written there is nobody left to tell, and the exit code still says it.
    with suppress(OSError):
        print(f"stembridge: {clean(message)}", file=sys.stderr, flush=True)
    return code


def _replace_missing_streams() -> None:
    """Give a process that was started without a standard stream one that leads nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Never closed: it stands in for the process's own.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


def _let_any_name_be_printed() -> None:
    """Escape what the terminal's encoding lacks; a file name must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget(stream: TextIO) -> None:
    """Send the rest to nowhere, so that the interpreter's own last flush stays quiet, and its exit code ours."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())


def first_of(error: Exception) -> Exception:
    """Return the first error of a group; one at a time can be mended."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def name_failure(error: Exception, context: Context) -> StembridgeError:
    """Return the error that people are told: itself, click's as a usage error, any other by its kind.

    The trace of an error that nobody expected goes to the log.
    """
    if isinstance(error, StembridgeError):
        return error
    if isinstance(error, click.UsageError):
        return _describe_usage(error)
    if isinstance(error, click.ClickException):
        return UsageError(error.format_message())
    what = " ".join(f"{type(error).__name__}: {error}".split())
    kept = context.logs.keep_traceback(what, error)
    return StembridgeError(
        what, remedy=f"details in {context.logs.path}" if kept else f"{context.logs.path} cannot be written"
    )


def is_of_output(error: Exception) -> bool:
    """Tell whether an error came from printing: it names no file and was raised where things are shown."""
    if not isinstance(error, OSError) or error.filename is not None:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return module.startswith(("plugin_core.cli.", "plugin_core.console.", "click.", "rich."))


def _describe_usage(error: click.UsageError) -> UsageError:
    message = _describe_no_such_option(error) if isinstance(error, click.NoSuchOption) else error.format_message()
    path = error.ctx.command_path if error.ctx else "stembridge"
    return UsageError(message[:1].lower() + message[1:].rstrip("."), remedy=f"try '{path} --help'")


def _describe_no_such_option(error: click.NoSuchOption) -> str:
    root = error.ctx.find_root() if error.ctx is not None and error.ctx.parent is not None else None
    if error.ctx is not None and root and any(error.option_name in param.opts for param in root.command.params):
        words = error.ctx.command_path.removeprefix(root.command_path)
        return f"{error.option_name} goes before the command: {root.command_path} {error.option_name}{words}"
    hint = suggest(error.option_name, error.possibilities or (), lead=", ", is_quoted=False)
    return f"no option {error.option_name}{hint}"


#: Built-in commands, in the order of the help page, with the line shown there.
COMMANDS = {
    "separate": "Split songs into stems, placed beside each song.",
    "tag": "Label songs (mood, genre, ...) in their own tags.",
    "run": "Do a preset's operations to songs.",
    "jobs": "List, show, resume, cancel, retry or forget jobs.",
    "purchases": "Show what was bought, and where its stems are.",
    "fetch": "Place the stems of a job that a service has already.",
    "worker": "Work on the jobs of the store, also for other machines.",
    "listen": "Hear from services that a job ended, instead of waiting for the next look.",
    "show": "Show a song and its stems as a picture.",
    "models": "List what the providers can split a song into.",
    "login": "Give stembridge the keys of an account, kept in the keyring.",
    "config": "Show or change the settings.",
    "account": "Show what your accounts have: plan, credits, limits.",
    "demo": "Make a small song, separate it and measure the result.",
    "doctor": "Check this installation and say what to mend.",
    "completion": "Complete words by the Tab key in bash, zsh and fish.",
    "plugins": "List the plugins, and what each of them adds.",
}

_BESIDE = {
    "run": ("separate", "run"),
    "fetch": ("separate", "fetch"),
    "demo": ("separate", "demo"),
    "worker": ("jobs", "worker"),
    "login": ("account", "login"),
    "plugins": ("doctor", "plugins"),
}
"""Commands that stand in the module of another."""

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
            module, name = _BESIDE.get(cmd_name, (cmd_name, "command"))
            command: click.Command = getattr(importlib.import_module(f"plugin_core.cli.commands.{module}"), name)
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

    # Of every command, also those of plugins, which know nothing of us.
    click.Context.formatter_class = HelpPage
    return app
